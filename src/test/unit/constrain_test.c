/*
 * constrain_test.c: generation that must fit a grammar.
 *
 * Masks are compared with trying every token. Texts fit their grammar, end within the limit, and are the same bytes alone or
 * together, for any batch size, thread count and cache state, greedy or sampled. Thinking parts are free and closed in time.
 */
#include "choose/token_mask.h"
#include "choose/written_keys.h"
#include "fail_alloc.h"
#include "test_model.h"

#define N_REQUESTS 6
#define MAX_TOKENS 40

static const char *const schemas[] = {
	"{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":12},\"n\":{\"type\":\"integer\",\"minimum\":-5,\"maximum\":120},"
	"\"tags\":{\"type\":\"array\",\"items\":{\"enum\":[\"red\",\"green\",\"größer\"]},\"maxItems\":2}},\"required\":[\"name\",\"n\"]}",
	"{\"type\":\"array\",\"items\":{\"anyOf\":[{\"type\":\"object\",\"properties\":{\"k\":{\"const\":\"a\"},\"v\":{\"type\":\"boolean\"}},\"required\":[\"k\",\"v\"]},"
	"{\"type\":\"object\",\"properties\":{\"k\":{\"const\":\"b\"},\"v\":{\"type\":\"null\"}},\"required\":[\"k\",\"v\"]}]},\"minItems\":1,\"maxItems\":2}",
	"{}",
	"{\"oneOf\":[{\"items\":{\"minimum\":3}},{\"items\":{\"maximum\":7}}],\"type\":\"array\",\"maxItems\":3}",
	"{\"type\":\"string\",\"pattern\":\"^[α-ω]{2,5}$\"}",
	/* keys that are not declared must differ */
	"{\"type\":\"object\",\"additionalProperties\":{\"enum\":[0,1]},\"minProperties\":3,\"maxProperties\":5}",
	"{\"type\":\"object\",\"propertyNames\":{\"enum\":[\"a\",\"ab\",\"b\",\"\\\\\"]},\"additionalProperties\":{\"enum\":[0,1]},\"minProperties\":3}",
	"{\"type\":\"object\",\"patternProperties\":{\"^x[0-9]$\":{\"type\":\"boolean\"}},\"additionalProperties\":false,\"minProperties\":2}",
	"{\"type\":\"object\",\"properties\":{\"k\":{\"type\":\"object\",\"minProperties\":2}},\"required\":[\"k\"],\"additionalProperties\":{\"type\":\"null\"}}",
	"{\"type\":\"object\",\"additionalProperties\":{\"enum\":[0,1]},\"oneOf\":[{\"maxProperties\":2},{\"maxProperties\":4}]}",
};

static LlmStr
str(const char *s)
{
	return (LlmStr) {s, strlen(s)};
}

static LlmGrammar *
grammar_of(size_t i)
{
	static const char gbnf[] = "root ::= sum\nsum ::= term (\"+\" term)*\nterm ::= [0-9]{1,2} | \"(\" sum \")\"\n";
	const LlmStr choices[] = {str("yes"), str("no"), str("not at all")};
	const size_t n = sizeof schemas / sizeof schemas[0];
	LlmGrammar *g = NULL;
	LlmError	err;
	LlmStatus	status = i < n ? llm_grammar_json_schema(str(schemas[i]), false, &llm_malloc_allocator, NULL, &g, &err) :
		i == n ? llm_grammar_gbnf(str(gbnf), &llm_malloc_allocator, NULL, &g, &err) :
		i == n + 1 ? llm_grammar_choice(choices, 3, &llm_malloc_allocator, NULL, &g, &err) :
		llm_grammar_regex(str("^\\d{3}-[^x]{1,4}$"), &llm_malloc_allocator, NULL, &g, &err);

	if (!test_ok(status, &err))
		exit(1);
	return g;
}

#define N_GRAMMARS (sizeof schemas / sizeof schemas[0] + 3)
#define OPEN_KEYS 6				/* one with keys that are not declared */

/* ---- masks against trying each token ---- */

static bool
bit(const uint32_t *bits, int32_t id)
{
	return bits[id >> 5] >> (id & 31) & 1;
}

static void
compare_mask(const LlmTokenizer *t, const LlmTokenTrie *trie, LlmMasker *masker, LlmGrammarRun *run, bool first, uint32_t *random,
			 int32_t *chosen)
{
	const uint32_t *bits;
	LlmBuf		bytes;
	LlmError	err;
	bool		any;
	int			n_allowed = 0;

	llm_buf_init(&bytes, &llm_malloc_allocator);
	*chosen = -1;
	CHECK(llm_masker_mask(masker, run, &bits, &any, &err) == LLM_OK);
	for (int32_t id = 0; id < trie->n_vocab; id++)
	{
		LlmGrammarRun copy;
		bool		alive = false;

		bytes.len = 0;
		CHECK(llm_detokenize_one(t, id, first, false, &bytes, &err) == LLM_OK);
		if (llm_tokenizer_is_end(t, id))
			alive = llm_run_complete(run);
		else if (bytes.len > 0)
		{
			CHECK(llm_run_copy(run, &copy, &err) == LLM_OK);
			CHECK(llm_run_bytes(&copy, bytes.data, bytes.len, &alive, &err) == LLM_OK);
			llm_run_free(&copy);
		}
		CHECK_MSG(alive == bit(bits, id), "token %d \"%.*s\" of %s", (int) id, (int) bytes.len, bytes.data, alive ? "allowed ones" : "others");
		if (alive && !llm_tokenizer_is_end(t, id))
		{
			*random = *random * 1664525u + 1013904223u;
			if ((*random >> 8) % (uint32_t) ++n_allowed == 0)
				*chosen = id;
		}
	}
	llm_buf_free(&bytes);
}

static void
check_masks(const LlmModel *m, size_t grammar)
{
	LlmGrammar *g = grammar_of(grammar);
	LlmTokenTrie *trie[2];
	LlmMasker  *masker[2];
	LlmGrammarRun run;
	LlmBuf		bytes;
	LlmError	err;
	uint32_t	random = 7 + (uint32_t) grammar;

	llm_buf_init(&bytes, &llm_malloc_allocator);
	for (int f = 0; f < 2; f++)
	{
		CHECK(llm_token_trie_create(m->tokenizer, (int32_t) m->hp.n_vocab, f, &llm_malloc_allocator, &trie[f], &err) == LLM_OK);
		CHECK(llm_masker_create(g, trie[f], 1 << 20, &llm_malloc_allocator, &masker[f], &err) == LLM_OK);
	}
	for (int round = 0; round < 4; round++)
	{
		CHECK(llm_run_init(&run, g, &llm_malloc_allocator, &err) == LLM_OK);
		for (int step = 0; step < 30; step++)
		{
			int32_t		chosen;
			bool		alive;

			compare_mask(m->tokenizer, trie[step == 0], masker[step == 0], &run, step == 0, &random, &chosen);
			if (chosen < 0)
				break;
			bytes.len = 0;
			CHECK(llm_detokenize_one(m->tokenizer, chosen, step == 0, false, &bytes, &err) == LLM_OK);
			CHECK(llm_run_bytes(&run, bytes.data, bytes.len, &alive, &err) == LLM_OK && alive);
		}
		llm_run_free(&run);
	}
	for (int f = 0; f < 2; f++)
	{
		llm_masker_free(masker[f]);
		llm_token_trie_free(trie[f]);
	}
	llm_buf_free(&bytes);
	llm_grammar_free(g);
}

/* ---- the same bytes in any company ---- */

typedef struct Company
{
	int			threads;
	int			batch_tokens;
	int			max_sequences;
	bool		together;
} Company;

typedef struct Answer
{
	char		text[1000];
	size_t		text_len;
	double		logprob;
	LlmFinish	finish;
} Answer;

static void
generate(const LlmModel *m, LlmGrammar *const *grammars, const Company *c, Answer *answers)
{
	const LlmSchedulerOptions options = {.batch_tokens = c->batch_tokens, .max_sequences = c->max_sequences,
		.prefix_cache_bytes = c->together ? 1 << 22 : 0};
	LlmRequest *requests[N_REQUESTS * N_GRAMMARS] = {NULL};
	LlmScheduler *s;
	LlmPool    *pool;
	LlmError	err;
	size_t		n = N_REQUESTS * N_GRAMMARS;

	if (!test_ok(llm_pool_create(&llm_malloc_allocator, c->threads, &pool, &err), &err) ||
		!test_ok(llm_scheduler_create(m, pool, &options, &llm_malloc_allocator, &s, &err), &err))
		exit(1);
	for (size_t i = 0; i < n; i++)
	{
		int32_t		prompt[20];
		LlmGenerateParams p = {.sampling = llm_sampling_default, .max_tokens = MAX_TOKENS - 3 * (int) (i % N_REQUESTS),
			.starts_text = i % 2, .grammar = grammars[i / N_REQUESTS]};
		LlmGeneration out;

		for (int k = 0; k < 20; k++)
			prompt[k] = 10 + (int32_t) (i * 31 + (size_t) k * 7) % 300;
		p.sampling.temperature = i % 3 ? 1.2f : 0;
		p.sampling.seed = i;
		CHECK(llm_request_generate(s, prompt, 8 + i % 12, &p, &requests[i], &err) == LLM_OK);
		if (c->together && i + 1 < n)
			continue;
		CHECK(llm_scheduler_run(s, NULL, &err) == LLM_OK);
		for (size_t k = c->together ? 0 : i; k <= i; k++)
		{
			llm_request_generation(requests[k], &out);
			answers[k].text_len = out.text_len < sizeof answers[k].text ? out.text_len : sizeof answers[k].text;
			memcpy(answers[k].text, out.text, answers[k].text_len);
			answers[k].logprob = out.logprob;
			answers[k].finish = out.finish;
			CHECK((int) out.n_tokens <= MAX_TOKENS - 3 * (int) (k % N_REQUESTS));
			llm_request_free(requests[k]);
		}
	}
	llm_scheduler_free(s);
	llm_pool_free(pool);
}

static bool
has_key_twice(const char *text, size_t len)
{
	LlmWrittenKeys w;
	LlmError	err;
	bool		again;

	llm_written_init(&w, &llm_malloc_allocator);
	CHECK(llm_written_read(&w, text, len, &again, &err) == LLM_OK);
	llm_written_free(&w);
	return again;
}

static void
check_reading_keys(void)
{
	static const char *const twice[] = {"{\"a\": 1, \"a\"", "{\"\\\"\": {\"a\": 1}, \"\\\"\": 2}", "[{\"b\": 1, \"a\": [\"a\"], \"b\": 0}]", "{\"\":{},\"\":0}"};
	static const char *const once[] = {"{\"a\": \"a\", \"b\": \"a\"}", "[\"a\", \"a\", {\"a\": {\"a\": 1}}, {\"a\": 1}]", "{\"a\\\\\": 1, \"a\": 2}", "\"{\\\"a\\\":0,\\\"a\\\":0}\"", "]}"};

	for (size_t i = 0; i < sizeof twice / sizeof twice[0]; i++)
		CHECK_MSG(has_key_twice(twice[i], strlen(twice[i])), "%s", twice[i]);
	for (size_t i = 0; i < sizeof once / sizeof once[0]; i++)
		CHECK_MSG(!has_key_twice(once[i], strlen(once[i])), "%s", once[i]);
}

/* the way around keys finds every one that there is: 126 of up to six letters a and b */
static void
check_all_keys(void)
{
	for (int n = 126; n <= 127; n++)
	{
		char		schema[160];
		LlmGrammar *g;
		LlmGrammarRun run;
		LlmWrittenKeys w;
		LlmBuf		text;
		LlmError	err;
		bool		found;
		bool		accepted = false;

		snprintf(schema, sizeof schema, "{\"type\":\"object\",\"propertyNames\":{\"pattern\":\"^[ab]{1,6}$\"},\"additionalProperties\":{\"const\":1},"
				 "\"minProperties\":%d}", n);
		CHECK(llm_grammar_json_schema(str(schema), false, &llm_malloc_allocator, NULL, &g, &err) == LLM_OK);
		CHECK(llm_run_init(&run, g, &llm_malloc_allocator, &err) == LLM_OK);
		llm_written_init(&w, &llm_malloc_allocator);
		llm_buf_init(&text, &llm_malloc_allocator);
		CHECK(llm_written_shortest(&w, &run, 1 << 20, &text, &found, &err) == LLM_OK);
		CHECK(found == (n == 126));
		CHECK(!found || (llm_grammar_accepts(g, (LlmStr) {text.data, text.len}, &accepted, &err) == LLM_OK && accepted && !has_key_twice(text.data, text.len)));
		llm_buf_free(&text);
		llm_written_free(&w);
		llm_run_free(&run);
		llm_grammar_free(g);
	}
}

/* a declared key that begins as one that is there is no way around: the end is as short as the machine knows */
static void
check_shortest_keys(void)
{
	static const char *const schemas[] = {
		"{\"type\":\"object\",\"properties\":{\"n2\":{\"type\":\"integer\"},\"x\":{\"type\":\"string\",\"minLength\":3},\"n1\":{\"type\":\"integer\"}},"
		"\"required\":[\"n2\",\"n1\"],\"additionalProperties\":{\"type\":\"integer\"}}",
		"{\"type\":\"object\",\"properties\":{\"n2\":{\"const\":1},\"m2\":{\"const\":1},\"n1\":{\"const\":\"long\"},\"m1\":{\"const\":1}},"
		"\"required\":[\"n2\",\"m2\",\"m1\"],\"additionalProperties\":{\"const\":1}}",
	};

	for (size_t i = 0; i < sizeof schemas / sizeof schemas[0]; i++)
	{
		LlmGrammar *g;
		LlmGrammarRun run;
		LlmWrittenKeys w;
		LlmBuf		text;
		LlmError	err;
		bool		found;

		CHECK(llm_grammar_json_schema(str(schemas[i]), false, &llm_malloc_allocator, NULL, &g, &err) == LLM_OK);
		CHECK(llm_run_init(&run, g, &llm_malloc_allocator, &err) == LLM_OK);
		llm_written_init(&w, &llm_malloc_allocator);
		llm_buf_init(&text, &llm_malloc_allocator);
		CHECK(llm_written_shortest(&w, &run, 1 << 20, &text, &found, &err) == LLM_OK && found);
		CHECK_MSG(text.len == (size_t) llm_run_cost(&run), "%.*s", (int) text.len, text.data);
		llm_buf_free(&text);
		llm_written_free(&w);
		llm_run_free(&run);
		llm_grammar_free(g);
	}
}

/* where several keys must come the shortest end has to be looked at, also where a oneOf asks for them */
static void
check_counting(void)
{
	static const struct
	{
		const char *schema;
		bool		counts;
	}			known[] = {
		{"{\"type\":\"object\",\"additionalProperties\":true}", false},
		{"{\"type\":\"object\",\"additionalProperties\":true,\"maxProperties\":4}", false},
		{"{\"type\":\"object\",\"additionalProperties\":true,\"minProperties\":2}", true},
		{"{\"type\":\"object\",\"additionalProperties\":true,\"oneOf\":[{\"maxProperties\":2},{\"maxProperties\":4}]}", true},
	};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
	{
		LlmGrammar *g;
		LlmError	err;

		CHECK(llm_grammar_json_schema(str(known[i].schema), false, &llm_malloc_allocator, NULL, &g, &err) == LLM_OK);
		CHECK_MSG(g->m.open_keys && g->m.counts_keys == known[i].counts, "%s", known[i].schema);
		llm_grammar_free(g);
	}
}

/* more keys are asked for than there are: no text fits, and that is said at once */
static void
check_too_few_keys(const LlmModel *m)
{
	const int32_t prompt[] = {11, 12, 13};
	LlmSchedulerOptions options = {0};
	LlmGrammar *g;
	LlmScheduler *s;
	LlmPool    *pool;
	LlmRequest *r;
	LlmError	err;

	CHECK(llm_grammar_json_schema(str("{\"type\":\"object\",\"propertyNames\":{\"enum\":[\"a\",\"b\"]},\"minProperties\":3}"), false,
								  &llm_malloc_allocator, NULL, &g, &err) == LLM_OK);
	if (!test_ok(llm_pool_create(&llm_malloc_allocator, 1, &pool, &err), &err) ||
		!test_ok(llm_scheduler_create(m, pool, &options, &llm_malloc_allocator, &s, &err), &err))
		exit(1);

	LlmGenerateParams p = {.sampling = llm_sampling_default, .max_tokens = 60, .grammar = g};

	CHECK(llm_request_generate(s, prompt, 3, &p, &r, &err) == LLM_OK);
	CHECK(llm_request_finish(r) == LLM_FINISH_ERROR && llm_request_error(r)->status == LLM_E_ARGUMENT &&
		  strcmp(llm_request_error(r)->message, LLM_NO_TEXT) == 0);
	llm_request_free(r);
	llm_scheduler_free(s);
	llm_pool_free(pool);
	llm_grammar_free(g);
}

static void
check_company(const LlmModel *m)
{
	static const Company companies[] = {{1, 64, 1, false}, {3, 512, 64, true}, {2, 7, 5, true}};
	static Answer first[N_REQUESTS * N_GRAMMARS];
	static Answer other[N_REQUESTS * N_GRAMMARS];
	LlmGrammar *grammars[N_GRAMMARS];
	LlmError	err;

	for (size_t g = 0; g < N_GRAMMARS; g++)
		grammars[g] = grammar_of(g);
	for (size_t c = 0; c < sizeof companies / sizeof companies[0]; c++)
	{
		generate(m, grammars, &companies[c], c == 0 ? first : other);
		for (size_t i = 0; i < N_REQUESTS * N_GRAMMARS; i++)
		{
			const Answer *a = &first[i];
			bool		accepted = false;

			if (c > 0)
				CHECK(a->text_len == other[i].text_len && memcmp(a->text, other[i].text, a->text_len) == 0 &&
					  a->logprob == other[i].logprob && a->finish == other[i].finish);
			else if (a->finish != LLM_FINISH_ERROR)
			{
				CHECK(a->finish == LLM_FINISH_STOP);
				CHECK(llm_grammar_accepts(grammars[i / N_REQUESTS], (LlmStr) {a->text, a->text_len}, &accepted, &err) == LLM_OK);
				CHECK_MSG(i / N_REQUESTS >= sizeof schemas / sizeof schemas[0] || !has_key_twice(a->text, a->text_len), "\"%.*s\" has a key twice", (int) a->text_len, a->text);
				CHECK_MSG(accepted, "\"%.*s\" does not fit grammar %zu", (int) a->text_len, a->text, i / N_REQUESTS);
			}
		}
	}
	for (size_t g = 0; g < N_GRAMMARS; g++)
		llm_grammar_free(grammars[g]);
}

/* ---- thinking, and too little room ---- */

static void
check_thinking(const LlmModel *m)
{
	const int32_t prompt[] = {11, 12, 13};
	const int32_t after[] = {260, 270};
	LlmGrammar *g = grammar_of(0);
	LlmSchedulerOptions options = {0};
	LlmGenerateParams p = {.sampling = llm_sampling_default, .max_tokens = 60, .grammar = g, .thinks = true, .think_token = -1,
		.after = after, .n_after = 2};
	LlmScheduler *s;
	LlmPool    *pool;
	LlmRequest *r;
	LlmGeneration out;
	LlmError	err;
	bool		accepted;

	if (!test_ok(llm_pool_create(&llm_malloc_allocator, 1, &pool, &err), &err) ||
		!test_ok(llm_scheduler_create(m, pool, &options, &llm_malloc_allocator, &s, &err), &err))
		exit(1);
	CHECK(llm_request_generate(s, prompt, 3, &p, &r, &err) == LLM_OK);
	CHECK(llm_scheduler_run(s, NULL, &err) == LLM_OK);
	CHECK(llm_request_finish(r) == LLM_FINISH_STOP);
	llm_request_generation(r, &out);
	CHECK(out.n_tokens <= 60 && out.answer_off > 0 && out.answer_off < out.text_len);
	CHECK(llm_grammar_accepts(g, (LlmStr) {out.text + out.answer_off, out.text_len - out.answer_off}, &accepted, &err) == LLM_OK &&
		  accepted);
	llm_request_free(r);

	/* a thinking part of at most five tokens, without grammar and with it */
	for (int free = 0; free < 2; free++)
	{
		p.grammar = free ? NULL : g;
		p.limits_thinking = true;
		p.think_budget = 5;
		CHECK(llm_request_generate(s, prompt, 3, &p, &r, &err) == LLM_OK);
		CHECK(llm_scheduler_run(s, NULL, &err) == LLM_OK);
		llm_request_generation(r, &out);
		CHECK(out.n_tokens > 7 && out.tokens[5] == after[0] && out.tokens[6] == after[1] && out.answer_off > 0);

		/* what was thought begins with this character: as a stop string it ends nothing before the answer */
		char		first = out.text[0];
		LlmStr		stop = {&first, 1};
		size_t		answer_off = out.answer_off;

		llm_request_free(r);
		p.stop = &stop;
		p.n_stop = 1;
		CHECK(llm_request_generate(s, prompt, 3, &p, &r, &err) == LLM_OK);
		CHECK(llm_scheduler_run(s, NULL, &err) == LLM_OK);
		llm_request_generation(r, &out);
		CHECK(out.answer_off == answer_off && out.text_len >= answer_off && out.text[0] == first);
		CHECK(!memchr(out.text + answer_off, first, out.text_len - answer_off));
		llm_request_free(r);
		p.n_stop = 0;
	}
	p.grammar = g;

	p.thinks = false;
	p.n_after = 0;
	p.max_tokens = 3;
	CHECK(llm_request_generate(s, prompt, 3, &p, &r, &err) == LLM_OK);
	CHECK(llm_request_finish(r) == LLM_FINISH_ERROR && llm_request_error(r)->status == LLM_E_ARGUMENT);
	llm_request_free(r);
	llm_scheduler_free(s);
	llm_pool_free(pool);
	llm_grammar_free(g);
}

/* where a part is a message of a channel, as many tokens are asked for as ending it at once and the answer take, and no more */
static void
check_least_room(const LlmModel *m)
{
	const int32_t prompt[] = {11, 12, 13};
	const int32_t after[] = {260, 270, 261};
	const int32_t between[] = {262, 263, 264};
	const LlmStr only[] = {str("no")};
	LlmSchedulerOptions options = {0};
	LlmGenerateParams p = {.sampling = llm_sampling_default, .thinks = true, .think_token = -1, .after = after, .n_after = 3,
		.between = between, .n_between = 3};
	LlmGrammar *g = NULL;
	LlmScheduler *s;
	LlmPool    *pool;
	LlmRequest *r;
	LlmGeneration out;
	LlmError	err;
	int			n_refused = 0;

	CHECK(llm_grammar_choice(only, 1, &llm_malloc_allocator, NULL, &g, &err) == LLM_OK);
	if (!test_ok(llm_pool_create(&llm_malloc_allocator, 1, &pool, &err), &err) ||
		!test_ok(llm_scheduler_create(m, pool, &options, &llm_malloc_allocator, &s, &err), &err))
		exit(1);
	p.grammar = g;
	for (p.max_tokens = 1; p.max_tokens < 20; p.max_tokens++)
	{
		CHECK(llm_request_generate(s, prompt, 3, &p, &r, &err) == LLM_OK);
		if (llm_request_finish(r) != LLM_FINISH_ERROR)
			break;
		n_refused++;
		llm_request_free(r);
	}
	CHECK(n_refused > 3 && p.max_tokens < 20);
	CHECK(llm_scheduler_run(s, NULL, &err) == LLM_OK);
	llm_request_generation(r, &out);
	CHECK_MSG(out.n_tokens == (size_t) p.max_tokens && memcmp(out.tokens, after, sizeof after) == 0, "%zu of %d tokens", (size_t) out.n_tokens,
			  p.max_tokens);
	CHECK(out.text_len - out.answer_off == 2 && memcmp(out.text + out.answer_off, "no", 2) == 0);
	llm_request_free(r);
	llm_scheduler_free(s);
	llm_pool_free(pool);
	llm_grammar_free(g);
}

/* each allocation refused in turn while a constrained answer is made: the request or the call says so, and nothing is left */
static void
check_failing_allocations(const LlmModel *m, size_t grammar)
{
	const int32_t prompt[] = {11, 12, 13};
	LlmGrammar *g = grammar_of(grammar);
	FailAlloc	fa;

	for (long k = 0;; k += k < 40 ? 1 : 7)
	{
		LlmSchedulerOptions options = {.batch_tokens = 32};
		LlmGenerateParams p = {.sampling = llm_sampling_default, .max_tokens = 40, .grammar = g};
		LlmScheduler *s = NULL;
		LlmPool    *pool;
		LlmRequest *r = NULL;
		LlmError	err;
		LlmStatus	status;

		if (!test_ok(llm_pool_create(&llm_malloc_allocator, 1, &pool, &err), &err))
			exit(1);
		fail_alloc_init(&fa, k);
		status = llm_scheduler_create(m, pool, &options, &fa.allocator, &s, &err);
		if (status == LLM_OK)
			status = llm_request_generate(s, prompt, 3, &p, &r, &err);
		if (status == LLM_OK)
			status = llm_scheduler_run(s, NULL, &err);
		if (status == LLM_OK && llm_request_finish(r) == LLM_FINISH_ERROR)
			status = llm_request_error(r)->status;
		llm_scheduler_free(s);
		llm_pool_free(pool);
		CHECK(fa.n_alive == 0);
		if (!fa.refused)
		{
			CHECK(status == LLM_OK);
			break;
		}
		CHECK(status == LLM_E_NOMEM || status == LLM_OK);
	}
	llm_grammar_free(g);
}

int
main(void)
{
	static const char *const paths[] = {"sql-tests/data/models/llama3.gguf", "sql-tests/data/models/mistral.gguf",
	"sql-tests/data/models/nemotron_h.gguf"};

	check_reading_keys();
	check_all_keys();
	check_shortest_keys();
	check_counting();
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
	{
		LlmModelOptions options = {.kv_type = LLM_KV_F16};
		TestModel	t = test_model_open(paths[i], &options, llmk_select(NULL, llmk_cpu_features()));

		for (size_t g = 0; g < N_GRAMMARS; g++)
			check_masks(t.model, g);
		check_company(t.model);
		check_too_few_keys(t.model);
		check_thinking(t.model);
		check_least_room(t.model);
		if (i == 0)
		{
			check_failing_allocations(t.model, 0);
			check_failing_allocations(t.model, OPEN_KEYS);
		}
		test_model_close(&t);
	}
	CHECK_DONE();
}
