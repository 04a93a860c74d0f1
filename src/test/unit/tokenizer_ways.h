/*
 * tokenizer_ways.h: the same tokenizer in two ways, created, and opened with the tables that were made of another one. Tests run
 * over both by tokenizer_way; what they hold ends with tokenizer_ways_end.
 */
#ifndef LLM_TEST_TOKENIZER_WAYS_H
#define LLM_TEST_TOKENIZER_WAYS_H

#include "text/tokenizer.h"

#include "check.h"

#define TOKENIZER_WAYS 2

static int	tokenizer_way = 0;	/* 1: with tables */
static LlmBuf tokenizer_tables[256];
static int	n_tokenizer_tables = 0;

static inline LlmStatus
tokenizer_by_way(const LlmMeta *meta, LlmTokenizer **t, LlmError *err)
{
	LlmBuf	   *tables = &tokenizer_tables[n_tokenizer_tables];
	LlmStatus	status;

	if (tokenizer_way == 0)
		return llm_tokenizer_create(meta, &llm_malloc_allocator, t, err);
	if (n_tokenizer_tables == (int) (sizeof(tokenizer_tables) / sizeof(tokenizer_tables[0])))
	{
		fprintf(stderr, "too many tokenizers in one test\n");
		exit(1);
	}
	n_tokenizer_tables++;
	llm_buf_init(tables, &llm_malloc_allocator);
	CHECK(llm_tokenizer_tables(meta, 5, &llm_malloc_allocator, NULL, tables, err) == LLM_OK);
	status = llm_tokenizer_open(meta, tables->data, tables->len, &llm_malloc_allocator, NULL, t, err);
	CHECK_MSG((tables->len > 0) == (status == LLM_OK), "%s: %s", err->message, err->detail);
	return status;
}

static inline void
tokenizer_ways_end(void)
{
	while (n_tokenizer_tables > 0)
		llm_buf_free(&tokenizer_tables[--n_tokenizer_tables]);
}

#endif
