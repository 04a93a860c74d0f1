/*
 * aggregate.h: aggregates that a model answers: texts of a group, any number of them, and one answer.
 *
 * Texts are gathered into chunks that fit a prompt. A chunk that is full is answered by the model; such partial answers are
 * gathered into chunks of the next level in the same way, so a group holds one open chunk for each level and no more. At
 * the end what is open is answered from the lowest level up. Where chunks end depends on the texts and their order
 * alone, so the same rows give the same answer, whatever runs together.
 *
 * An answer that is reasoned out is that of the last chunk: what comes before are notes for the question. Its samples run and
 * vote as those of llm_reason do.
 *
 *   aggregate_tree.c    the levels of one group, and what its end needs next
 *   aggregate_batch.c   groups of an aggregation at the same time: chunks that wait for the model run together
 *   ../fn_aggregate.c   the SQL functions, and what all of them share
 *   ../fn_reason_agg.c  llm_reason_agg
 */
#ifndef PGLLM_AGGREGATE_H
#define PGLLM_AGGREGATE_H

#include "reason.h"

#include "lib/ilist.h"
#include "lib/stringinfo.h"

/* each level has several parts of the one below in a chunk, so this many hold more texts than there can be */
#define PGLLM_AGGREGATE_LEVELS 40

typedef struct PgLlmBatch PgLlmBatch;

/* what a group is asked; all in the memory of the aggregation */
typedef struct PgLlmQuestion
{
	const char *function;		/* SQL name */
	text	   *model;			/* NULL: the default */
	PgLlmGenerateArgs args;		/* of partial answers, and of the last one if it is not reasoned out */
	LlmStr		of_texts;		/* comes before texts */
	LlmStr		of_parts;		/* comes before partial answers */
	PgLlmReasonArgs *reason;	/* of the last answer; NULL: it is not reasoned out */
	LlmStr		last_of_parts;	/* with reason: comes before partial answers in the last prompt; before texts comes nothing */
	LlmStr		last_after;		/* with reason: comes after them in the last prompt */
} PgLlmQuestion;

/* an open chunk: texts with their headings, UTF-8 */
typedef struct PgLlmLevel
{
	StringInfoData body;		/* data NULL: never used */
	int			n_parts;
	size_t		n_tokens;
	int			last_off;		/* where the last part begins, after its heading */
} PgLlmLevel;

typedef struct PgLlmGroup
{
	PgLlmBatch *batch;
	MemoryContext context;		/* of the aggregation */
	PgLlmQuestion question;
	size_t		chunk_tokens;	/* that a chunk may have */
	int			part_tokens;	/* that a partial answer may have */
	int			n_levels;		/* used */
	PgLlmLevel	levels[PGLLM_AGGREGATE_LEVELS];
	int			n_waiting;		/* chunks in the batch */
	int64		n_texts;		/* of rows */
	int64		n_parts;		/* partial answers */
	PgLlmKey	digest;			/* of all texts of rows, in order */
	text	   *answer;			/* NULL: not yet */
	PgLlmAnswer *reasoned;		/* in its place if the question has reason */
	LlmError	error;			/* trouble of the group; no model runs for it any more */
	bool		listed;
	dlist_node	node;			/* in batch->groups, if listed */
} PgLlmGroup;

/* a chunk that waits for the model */
typedef struct PgLlmChunk
{
	dlist_node	node;
	PgLlmGroup *group;
	int			level;
	bool		last;			/* its answer is the group's */
	char	   *body;			/* UTF-8; the chunk's */
	int			n_bytes;
} PgLlmChunk;

/* ---- ../fn_aggregate.c: for the functions of aggregates; argument 0 is the state ---- */

typedef void (*PgLlmAskFn) (FunctionCallInfo fcinfo, PgLlmQuestion *question);

/* a row's text goes to its group, which the first text makes: ask fills in the question */
extern Datum pgllm_aggregate_add(FunctionCallInfo fcinfo, LlmStr text, PgLlmAskFn ask);

/* the state as it is: nothing is asked, or a batch node evaluates ahead, when no model runs */
extern Datum pgllm_aggregate_skip(FunctionCallInfo fcinfo);

/* the group with its answer; NULL: the result is NULL */
extern PgLlmGroup *pgllm_aggregate_finish(FunctionCallInfo fcinfo);

/* ---- aggregate_batch.c ---- */

/* a group of the aggregation whose memory that is; its question is to be filled in */
extern PgLlmGroup *pgllm_group_create(MemoryContext aggregation);

/* a chunk is to be answered; takes body over */
extern void pgllm_batch_add(PgLlmGroup *group, int level, bool last, char *body, int n_bytes);

/* answer what waits, if that is enough to be worth it or too much to be kept */
extern void pgllm_batch_run_if_full(PgLlmBatch *batch);

/* until the group has its answer or its error; may go on with other groups, whose texts are all there too */
extern void pgllm_group_finish(PgLlmGroup *group);

/* the group's memory is needed no more, but for its answer */
extern void pgllm_group_close(PgLlmGroup *group);

/* ---- aggregate_tree.c ---- */

/* sizes of chunks; call it when the question is there */
extern void pgllm_tree_begin(PgLlmGroup *group, PgLlmModel *model);

/* a text of a row; long ones become several */
extern void pgllm_tree_add_text(PgLlmGroup *group, PgLlmModel *model, LlmStr text);

/* a partial answer, as a text of that level */
extern void pgllm_tree_add_part(PgLlmGroup *group, PgLlmModel *model, int level, LlmStr part);

/* no text will come and no chunk waits: hand on the next chunk that the answer needs */
extern void pgllm_tree_finish_next(PgLlmGroup *group, PgLlmModel *model);

#endif
