/*
 * tables.c: arrays in a run of bytes. Before each are two numbers, how many elements it has and how large one is.
 */
#include "text/tables.h"

#include <string.h>

#define ALIGN ((size_t) 16)

typedef struct ArrayHead
{
	uint64_t	n;
	uint64_t	size;
} ArrayHead;

_Static_assert(sizeof(ArrayHead) == ALIGN, "what follows stays aligned");

LlmStatus
llm_tables_damaged(const char *what, LlmError *err)
{
	llm_fail(err, LLM_E_FORMAT, "packed tokenizer is damaged");
	llm_error_detail(err, "Its %s is not right.", what);
	llm_error_hint(err, "Remove the packed model; it will be made again from the model file.");
	return LLM_E_FORMAT;
}

LlmStatus
llm_tables_put(LlmBuf *out, const void *elements, size_t n, size_t size, LlmError *err)
{
	static const char zeros[ALIGN];
	const ArrayHead head = {n, size};
	const size_t n_bytes = n * size;	/* they are in memory, so it fits */

	LLM_TRY(llm_buf_append(out, &head, sizeof(head), err));
	LLM_TRY(llm_buf_append(out, elements, n_bytes, err));
	return llm_buf_append(out, zeros, (ALIGN - n_bytes % ALIGN) % ALIGN, err);
}

LlmStatus
llm_tables_get(LlmTables *t, size_t size, size_t *n, const void **elements, LlmError *err)
{
	ArrayHead	head;
	size_t		rest = t->n_bytes - t->pos;

	if (rest < sizeof(head))
		return llm_tables_damaged("length", err);
	memcpy(&head, t->bytes + t->pos, sizeof(head));
	rest -= sizeof(head);
	if (head.size != size || head.n > rest / size)
		return llm_tables_damaged("list of tables", err);
	*n = (size_t) head.n;
	*elements = t->bytes + t->pos + sizeof(head);
	t->pos += sizeof(head) + (*n * size + ALIGN - 1) / ALIGN * ALIGN;
	if (t->pos > t->n_bytes)
		return llm_tables_damaged("length", err);
	return LLM_OK;
}

LlmStatus
llm_tables_get_n(LlmTables *t, size_t size, size_t n, const void **elements, LlmError *err)
{
	size_t		have;

	LLM_TRY(llm_tables_get(t, size, &have, elements, err));
	return have == n ? LLM_OK : llm_tables_damaged("number of elements", err);
}

bool
llm_tables_in_range(const int32_t *numbers, size_t n, int32_t low, int32_t high)
{
	bool		good = true;

	/* no early end: this way it is done many at a time */
	for (size_t i = 0; i < n; i++)
		good &= numbers[i] >= low && numbers[i] < high;
	return good;
}
