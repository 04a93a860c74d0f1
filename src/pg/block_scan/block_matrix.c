/*
 * block_matrix.c: cosines of the outer with the inner side's texts, by the kernel for products with F32 weights.
 *
 * The inner side's vectors are packed as a matrix is, the outer side's are the rows that it is multiplied with. A block of
 * the product takes a millisecond or so, and stays in the processor's cache.
 */
#include "block_scan/block_scan.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#define BLOCK_OUTER 64
#define BLOCK_GROUPS 128		/* of LLMK_ROWS inner texts each */
#define MAX_BITS_ROWS 4096

static void *
align(void *p)
{
	return (void *) TYPEALIGN(LLMK_ALIGN, (uintptr_t) p);
}

static const float *
vector_of(const PgLlmBlockState *b, int side, int32 text)
{
	return b->vectors + (size_t) b->sides[side].vector_of[text] * b->n_embd;
}

void
pgllm_block_pack(PgLlmBlockState *b)
{
	const int32 n = b->sides[PGLLM_INNER].n_texts;
	const size_t group_bytes = llmk_group_bytes(LLM_TYPE_F32, b->n_embd);
	float	   *rows = pgllm_block_alloc(b, LLMK_ROWS * b->n_embd, sizeof(float));

	b->packed = align(pgllm_block_alloc(b, ((size_t) n + LLMK_ROWS - 1) / LLMK_ROWS + 1, group_bytes + LLMK_ALIGN));
	for (int32 i = 0; i < n; i += LLMK_ROWS)
	{
		int			n_rows = Min(n - i, LLMK_ROWS);

		CHECK_FOR_INTERRUPTS();
		for (int k = 0; k < n_rows; k++)
			memcpy(rows + (size_t) k * b->n_embd, vector_of(b, PGLLM_INNER, i + k), sizeof(float) * b->n_embd);
		llmk_pack_group(LLM_TYPE_F32, b->n_embd, rows, n_rows, b->packed + (size_t) (i / LLMK_ROWS) * group_bytes);
	}
	pfree(rows);
}

void
pgllm_block_cosines(PgLlmBlockState *b, const int32 *texts, int n, PgLlmCosinesFn fn, void *opaque)
{
	const int32 n_inner = b->sides[PGLLM_INNER].n_texts;
	const size_t group_bytes = llmk_group_bytes(LLM_TYPE_F32, b->n_embd);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_llm cosines", ALLOCSET_DEFAULT_SIZES);
	float	   *rows = align(MemoryContextAlloc(context, sizeof(float) * BLOCK_OUTER * b->n_embd + LLMK_ALIGN));
	float	   *out = align(MemoryContextAlloc(context, sizeof(float) * BLOCK_OUTER * BLOCK_GROUPS * LLMK_ROWS + LLMK_ALIGN));

	for (int begin = 0; begin < n; begin += BLOCK_OUTER)
	{
		int			n_rows = Min(n - begin, BLOCK_OUTER);
		LlmkActs	acts = {.n_tokens = n_rows, .n_cols = b->n_embd, .x = rows, .ld_x = b->n_embd};

		for (int i = 0; i < n_rows; i++)
			memcpy(rows + (size_t) i * b->n_embd, vector_of(b, PGLLM_OUTER, texts ? texts[begin + i] : begin + i), sizeof(float) * b->n_embd);
		for (int32 first = 0; first < n_inner; first += BLOCK_GROUPS * LLMK_ROWS)
		{
			int			n_cols = Min(n_inner - first, BLOCK_GROUPS * LLMK_ROWS);
			LlmkMatrix	w = {.type = LLM_TYPE_F32, .n_rows = n_cols, .n_cols = b->n_embd,
				.data = b->packed + (size_t) (first / LLMK_ROWS) * group_bytes};

			CHECK_FOR_INTERRUPTS();
			b->kernels->matmul[LLM_TYPE_F32] (&w, &acts, 0, (n_cols + LLMK_ROWS - 1) / LLMK_ROWS, out, n_cols);
			for (int i = 0; i < n_rows; i++)
				fn(opaque, begin + i, first, n_cols, out + (size_t) i * n_cols);
		}
	}
	MemoryContextDelete(context);
}

/* ---- bits ---- */

static size_t
words(const PgLlmBlockState *b)
{
	return ((size_t) b->sides[PGLLM_INNER].n_texts + 63) / 64;
}

/* PgLlmCosinesFn */
static void
set_bits(void *opaque, int i, int32 first, int n, const float *cosines)
{
	PgLlmBlockState *b = opaque;
	uint64	   *bits = b->bits + (size_t) i * words(b);
	const float *inner = b->sides[PGLLM_INNER].least;
	float		least = b->least;

	if (inner != NULL)
		least = b->sides[PGLLM_OUTER].least[b->bits_texts[i]];
	for (int k = 0; k < n; k++)
		if (cosines[k] >= least || (inner != NULL && cosines[k] >= inner[first + k]))
			bits[(first + k) / 64] |= UINT64CONST(1) << ((first + k) % 64);
}

void
pgllm_block_fill_bits(PgLlmBlockState *b, int64 row)
{
	const PgLlmBlockSide *outer = &b->sides[PGLLM_OUTER];
	const size_t bytes = Max(words(b), 1) * sizeof(uint64);

	/* work_mem may change between the rows of a cursor: it counts once */
	if (b->bits == NULL)
	{
		b->max_bits = (int32) Min(Max((size_t) work_mem * 1024 / 2 / bytes, 1), (size_t) Min(MAX_BITS_ROWS, outer->n_texts));
		b->bits = pgllm_block_alloc(b, b->max_bits, bytes);
		b->bits_texts = pgllm_block_alloc(b, b->max_bits, sizeof(int32));
		b->bits_of = pgllm_block_alloc(b, outer->n_texts, sizeof(int32));
		memset(b->bits_of, 0xff, sizeof(int32) * outer->n_texts);
	}
	for (int32 i = 0; i < b->n_bits; i++)
		b->bits_of[b->bits_texts[i]] = -1;
	b->n_bits = 0;
	b->bits_begin = b->bits_end = row;
	for (; b->bits_end < outer->n_rows; b->bits_end++)
	{
		int32		text = outer->text_of[b->bits_end];

		if (text < 0 || b->bits_of[text] >= 0)
			continue;
		if (b->n_bits == b->max_bits)
			break;
		b->bits_of[text] = b->n_bits;
		b->bits_texts[b->n_bits++] = text;
	}
	memset(b->bits, 0, bytes * b->n_bits);
	pgllm_block_cosines(b, b->bits_texts, b->n_bits, set_bits, b);
}
