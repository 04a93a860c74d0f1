/*
 * mask_bench.c: what a token mask costs in processor time: median, 99th percentile, and the first sight of each state.
 *
 * usage: mask_bench MODEL.gguf [values [FILE]]: only the vocabulary of the file is used. Random values of a schema with objects, arrays, strings, enums and
 * numbers are written token by token, the next token drawn from the mask. FILE gets the schema and the tokens of each value, a JSON value a line, so
 * that another program can be given the same. The last line of output is the result in JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "choose/token_mask.h"
#include "weights/gguf.h"
#include "weights/gguf_meta.h"

static const char schema[] =
	"{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":40},\"kind\":{\"enum\":[\"invoice\",\"order\",\"complaint\",\"praise\"]},"
	"\"date\":{\"type\":\"string\",\"format\":\"date\"},\"total\":{\"type\":\"number\",\"minimum\":0},\"note\":{\"type\":\"string\"},"
	"\"items\":{\"type\":\"array\",\"maxItems\":5,\"items\":{\"type\":\"object\",\"properties\":{\"sku\":{\"type\":\"string\",\"pattern\":\"^[A-Z]{3}-\\\\d{4}$\"},"
	"\"n\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":99}},\"required\":[\"sku\",\"n\"]}}},\"required\":[\"name\",\"kind\",\"date\",\"total\",\"note\",\"items\"]}";

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
}

static int
compare(const void *a, const void *b)
{
	return (*(const double *) a > *(const double *) b) - (*(const double *) a < *(const double *) b);
}

static void
check(LlmStatus status, const LlmError *err)
{
	if (status == LLM_OK)
		return;
	fprintf(stderr, "mask_bench: %s\n", err->message);
	exit(1);
}

/* a random token of the mask, the end only if there is no other; a short run of draws, then the first */
static int32_t
draw(const LlmTokenTrie *trie, const LlmTokenizer *t, const uint32_t *bits, uint32_t *random)
{
	int32_t		start;

	*random = *random * 1664525u + 1013904223u;
	start = (int32_t) ((*random >> 4) % (uint32_t) trie->n_vocab);
	for (int32_t i = 0; i < trie->n_vocab; i++)
	{
		int32_t		id = (start + i) % trie->n_vocab;

		if ((bits[id >> 5] >> (id & 31) & 1) && !llm_tokenizer_is_end(t, id))
			return id;
	}
	return -1;
}

int
main(int argc, char **argv)
{
	int			n_values = argc > 2 ? atoi(argv[2]) : 50;
	LlmGguf		gguf;
	LlmTokenizer *t;
	LlmTokenTrie *trie;
	LlmMasker  *masker;
	LlmGrammar *g;
	LlmError	err;
	LlmBuf		bytes;
	uint32_t	random = 1;
	double	   *cost = malloc(sizeof(double) * 2000000);
	double		worst_first = 0;
	double		compile_ms;
	double		began;
	FILE	   *file = NULL;
	size_t		n = 0;

	if (argc < 2 || !cost)
		return 1;
	if (argc > 3 && !(file = fopen(argv[3], "w")))
	{
		perror(argv[3]);
		return 1;
	}
	if (file)
		fprintf(file, "%s\n", schema);
	check(llm_gguf_open(argv[1], &llm_malloc_allocator, NULL, &gguf, &err), &err);
	check(llm_tokenizer_create(&gguf.meta, &llm_malloc_allocator, &t, &err), &err);
	began = now_us();
	check(llm_token_trie_create(t, llm_tokenizer_vocab_size(t), false, &llm_malloc_allocator, &trie, &err), &err);
	printf("%d tokens, tree of %d nodes in %.1f ms\n", (int) trie->n_vocab, (int) trie->n_nodes, (now_us() - began) / 1e3);
	began = now_us();
	check(llm_grammar_json_schema((LlmStr) {schema, sizeof schema - 1}, false, &llm_malloc_allocator, NULL, &g, &err), &err);
	compile_ms = (now_us() - began) / 1e3;
	printf("schema compiled in %.1f ms\n", compile_ms);
	check(llm_masker_create(g, trie, (size_t) 256 << 20, &llm_malloc_allocator, &masker, &err), &err);
	llm_buf_init(&bytes, &llm_malloc_allocator);
	for (int v = 0; v < n_values; v++)
	{
		LlmGrammarRun run;

		check(llm_run_init(&run, g, &llm_malloc_allocator, &err), &err);
		for (int step = 0; step < 120 && n < 2000000; step++)
		{
			const uint32_t *bits;
			int32_t		id;
			bool		any;

			began = now_us();
			check(llm_masker_mask(masker, &run, &bits, &any, &err), &err);
			cost[n] = now_us() - began;
			worst_first = cost[n] > worst_first ? cost[n] : worst_first;
			n++;
			id = draw(trie, t, bits, &random);
			if (id < 0)
				break;
			if (file)
				fprintf(file, "%s%d", step == 0 ? "[" : ", ", (int) id);
			bytes.len = 0;
			check(llm_detokenize_one(t, id, false, false, &bytes, &err), &err);
			check(llm_run_bytes(&run, bytes.data, bytes.len, &any, &err), &err);
			check(llm_run_settle(&run, &err), &err);
		}
		llm_run_free(&run);
		if (file)
			fprintf(file, "]\n");
	}
	if (file && fclose(file) != 0)
	{
		perror(argv[3]);
		return 1;
	}
	qsort(cost, n, sizeof(double), compare);
	printf("%zu masks: median %.1f us, 99%% %.1f us, first sight of a state at most %.0f us\n", n, cost[n / 2], cost[n * 99 / 100],
		   worst_first);
	printf("{\"vocabulary\": %d, \"median\": %.2f, \"p99\": %.2f, \"worst\": %.1f, \"compile_ms\": %.2f}\n", (int) trie->n_vocab, cost[n / 2],
		   cost[n * 99 / 100], worst_first, compile_ms);
	return 0;
}
