/*
 * block_scan.h: joins by llm_filter, blocked: only pairs of rows whose texts are near are shown to the model.
 *
 * JOIN … ON llm_filter(f(a.x, b.y), …) is a nested loop with a batch node above, which asks the model about all pairs. With the
 * option block_model a node LlmBlock takes the place of the nested loop. It reads both sides, embeds what the condition
 * reads of each row (equal texts once), and hands on the pairs whose vectors are near enough. The batch node above verifies
 * them as ever, so the result is a part of that of the whole join, and equal inputs give an equal result.
 *
 * Near enough is said by an option: block_similarity, a least cosine; block_top, the k nearest texts of each text of either
 * side; block_recall, the least cosine that keeps that part of the matches, by an estimate from a sample that the model
 * verifies. The cosines are sums in one written order (kernels.h), so they have the same bits on every machine.
 *
 *   block_plan.c     which nested loops: called for each batch node that was put above one
 *   block_paths.c    lets the planner join by a nested loop over whole sides where it would look up
 *   block_exec.c     the node: reads, chooses, hands on pairs in the order of a nested loop
 *   block_texts.c    rows of a side, their texts, and the vectors of both sides' texts
 *   block_matrix.c   cosines of texts by blocks, and the bits of pairs that are near enough
 *   block_choose.c   how near is near enough
 *   block_sample.c   a sample of pairs that the model verifies
 *   block_explain.c  what EXPLAIN shows
 *
 * Memory: rows wait in tuplestores and bits of pairs in blocks, both by work_mem. Vectors, 100 bytes for each text and 4 for each row
 * are in memory, and count against pg_llm.memory_limit.
 */
#ifndef PGLLM_BLOCK_SCAN_H
#define PGLLM_BLOCK_SCAN_H

#include "batch_scan/batch_plan.h"
#include "kernels.h"
#include "utils/hsearch.h"

enum
{
	PGLLM_OUTER,
	PGLLM_INNER,
	PGLLM_SIDES
};

/* custom_exprs: the call, over the node's scan tuple; what it reads of each side, over the side's columns */
#define PGLLM_BLOCK_CALL(scan)  linitial_node(FuncExpr, (scan)->custom_exprs)
#define PGLLM_BLOCK_PARTS(scan, side)  ((List *) list_nth((scan)->custom_exprs, 1 + (side)))

/* argument of llm_filter */
#define PGLLM_FILTER_OPTIONS 5

/* texts of rows whose reading raised: they are near to everything, so that the call itself raises if it is reached */
#define PGLLM_BLOCK_NO_TEXT (-1)
#define PGLLM_BLOCK_FAILED (-2)

/* so many expressions are made anew after an error, which takes memory; one more error ends the statement */
#define PGLLM_BLOCK_MAX_ERRORS 1000

/* rows of one side */
typedef struct PgLlmBlockSide
{
	int			n_parts;
	ExprState **parts;			/* (n_parts) what the call reads of a row */
	bool		simple;			/* columns: reading them cannot fail */
	int			n_errors;
	bool	   *is_text;		/* (n_parts) */
	FmgrInfo   *output;			/* (n_parts) */
	Tuplestorestate *rows;
	TupleTableSlot *slot;
	int64		n_rows;
	int64		max_rows;
	int32	   *text_of;		/* (n_rows) NO_TEXT: nothing but NULLs and empty texts; FAILED */
	int32		n_texts;		/* different ones */
	int32		max_texts;
	int32	   *vector_of;		/* (n_texts) */
	int64	   *first_row;		/* (n_texts) a row that has it */
	float	   *least;			/* (n_texts) with block_top: cosine of the last of its nearest; NULL: one for all */
} PgLlmBlockSide;

typedef struct PgLlmBlockStats
{
	int64		n_sampled;
	int64		n_matches;		/* of them */
	double		recall;			/* that the sample makes expect; -1: no sample */
	uint64		n_pairs;		/* handed on, before other conditions of the join */
	instr_time	read_time;		/* both sides, and their vectors */
	instr_time	choose_time;
} PgLlmBlockStats;

typedef struct PgLlmBlockState
{
	CustomScanState css;		/* first */
	int			n_columns;		/* of the scan tuple */
	int		   *column_side;
	AttrNumber *column_no;
	ExprState **call_args;		/* of the call, over the scan tuple; NULL: no sample was taken */
	int			n_call_errors;
	PgLlmBlockSide sides[PGLLM_SIDES];
	bool		ready;			/* both sides are read, and it is chosen what is near enough */
	bool		everything;		/* every pair is: a recheck of changed rows has one */

	/* until the sides are read again */
	MemoryContext context;
	PgLlmOptions options;
	const LlmKernels *kernels;
	HTAB	   *texts;			/* of both sides, by digest (block_texts.c) */
	uint32		n_embd;
	int32		n_vectors;
	int32		max_vectors;
	float	   *vectors;		/* (n_vectors, n_embd) of length 1 */
	uint64	   *hashes;			/* (n_vectors) of the texts */
	uint8	   *packed;			/* vectors of the inner side's texts as a matrix for kernels */
	float		least;			/* cosine of pairs that are near enough, where sides have no own */

	/* where it is */
	int64		outer_row;		/* -1: before the first */
	bool		has_outer;
	int64		inner_row;		/* the next to look at */
	int64		inner_read;		/* rows of the inner tuplestore that were passed */
	int64		bits_begin;		/* outer rows that have bits */
	int64		bits_end;
	int32	   *bits_of;		/* (outer texts) place in bits */
	int32		n_bits;
	int32		max_bits;		/* there is room for so many */
	int32	   *bits_texts;		/* (n_bits) */
	uint64	   *bits;			/* (n_bits, words for the inner texts) */
	PgLlmBlockStats stats;
} PgLlmBlockState;

extern const CustomScanMethods pgllm_block_scan_methods;

/* called once, when the library is loaded (block_exec.c) */
extern void pgllm_block_init(void);

/* make the scan slot hold the pair of the sides' slots (block_exec.c) */
extern void pgllm_block_store_pair(PgLlmBlockState *b);

/* ---- block_plan.c ---- */

/* whether one of the conditions is a call of llm_filter with option block_model */
extern bool pgllm_has_blocking(List *quals);

/* called once, when the library is loaded (block_paths.c): the planner gives joins that are to be blocked no other plan */
extern void pgllm_block_paths_init(void);

/* one condition */
extern bool pgllm_is_blocking(Node *qual);

/*
 * What is to be below a batch node above a join: a node LlmBlock, which is put there, or the join itself, if there is nothing to
 * block by, or the texts of the sides cannot be told apart.
 */
extern Plan *pgllm_block_join(const PgLlmRewrite *r, Plan *batch_node, Plan *join);

/* ---- block_exec.c ---- */

/* make the expressions of a side */
extern void pgllm_block_init_parts(PgLlmBlockState *b, int side);

/* ---- block_texts.c ---- */

/* memory of n things in b->context; raises if that would pass pg_llm.memory_limit */
extern void *pgllm_block_alloc(PgLlmBlockState *b, size_t n, size_t bytes);

/* read both sides to their ends, and embed their texts */
extern void pgllm_block_read(PgLlmBlockState *b);

/* ---- block_matrix.c ---- */

/* cosines of an outer text (number i of those asked for) with n inner texts from the first one on */
typedef void (*PgLlmCosinesFn) (void *opaque, int i, int32 first, int n, const float *cosines);

/* lay out the inner side's vectors for the kernels */
extern void pgllm_block_pack(PgLlmBlockState *b);

/* the cosines of some outer texts (NULL: all) with all inner ones, block by block */
extern void pgllm_block_cosines(PgLlmBlockState *b, const int32 *texts, int n, PgLlmCosinesFn fn, void *opaque);

/* the bits of outer rows from this one on, as many as there is room for */
extern void pgllm_block_fill_bits(PgLlmBlockState *b, int64 row);

/* ---- block_choose.c ---- */

/* by the options: b->least, or that of the sides */
extern void pgllm_block_choose(PgLlmBlockState *b);

/* ---- block_sample.c ---- */
typedef struct PgLlmPair
{
	uint64		hash;
	int32		texts[PGLLM_SIDES];
	float		cosine;
	int			stratum;
	bool		matches;
} PgLlmPair;

/* ask the model about pairs of texts: fills in matches */
extern void pgllm_block_verify(PgLlmBlockState *b, PgLlmPair *pairs, int n);

/* ---- block_explain.c ---- */
extern void pgllm_block_explain(CustomScanState *node, List *ancestors, struct ExplainState *es);

#endif
