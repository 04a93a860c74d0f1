/*
 * embed_test.c: embeddings and ranking around the pass: what a model is for, prefixes, pairs and templates as tokens, texts
 * that are too long, the batch and the memory limit, requests of all kinds together, and what is done to a vector.
 */
#include <math.h>

#include "encoder_models.h"
#include "model/forward.h"
#include "serve/request.h"
#include "base/threads.h"
#include "gguf_writer.h"
#include "weights/gguf.h"

#define STR(text) ((LlmStr) {text, sizeof(text) - 1})

static const LlmModelOptions plain_options = {.kv_type = LLM_KV_F32};

typedef struct Running
{
	TestModel	t;
	LlmPool    *pool;
	LlmScheduler *s;
} Running;

static Running
start(const char *name, const LlmModelOptions *options, const LlmSchedulerOptions *scheduler)
{
	Running		r;
	LlmError	err;

	r.t = encoder_open(name, options, llmk_select(NULL, llmk_cpu_features()));
	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 2, &r.pool, &err), &err));
	CHECK(test_ok(llm_scheduler_create(r.t.model, r.pool, scheduler, &llm_malloc_allocator, &r.s, &err), &err));
	return r;
}

static void
finish(Running *r)
{
	llm_scheduler_free(r->s);
	llm_pool_free(r->pool);
	test_model_close(&r->t);
}

static const LlmSchedulerOptions default_scheduler;

/* ---- kinds ---- */

static void
test_kinds(void)
{
	static const struct
	{
		const char *name;
		LlmModelKind kind;
		LlmPooling	pooling;
		uint32_t	size;		/* of an embedding, or outputs */
	}			models[] = {
		{"bert-cross", LLM_MODEL_RERANK, LLM_POOLING_RANK, 1},	/* by its classifier: the file has no pooling_type */
		{"modern-bert-cross", LLM_MODEL_RERANK, LLM_POOLING_RANK, 3},
		{"gemma-embedding", LLM_MODEL_EMBED, LLM_POOLING_MEAN, 16},
		{"modern-bert", LLM_MODEL_EMBED, LLM_POOLING_CLS, 24},
		{"qwen3-last", LLM_MODEL_EMBED, LLM_POOLING_LAST, 24},
	};

	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
	{
		TestModel	t = encoder_open(models[i].name, &plain_options, llmk_level(0));

		CHECK_MSG(llm_model_kind(t.model) == models[i].kind && t.model->pooling == models[i].pooling, "%s", models[i].name);
		CHECK((uint32_t) encoder_width(t.model) == models[i].size);
		test_model_close(&t);
	}
	CHECK(strcmp(llm_model_kind_name(LLM_MODEL_RERANK), "rerank") == 0 && strcmp(llm_model_kind_name(LLM_MODEL_EMBED), "embed") == 0);
	CHECK(strcmp(llm_model_kind_name(LLM_MODEL_GENERATE), "generate") == 0);
}

/* a model refuses what it is not for */
static void
test_refused_requests(void)
{
	const int32_t ids[] = {2, 5, 3};
	const LlmGenerateParams params = {.max_tokens = 1, .sampling = llm_sampling_default};
	Running		encoder = start("nomic-bert", &plain_options, &default_scheduler);
	Running		ranker = start("bert-cross", &plain_options, &default_scheduler);
	LlmRequest *r;
	LlmTokens	tokens;
	LlmError	err;
	size_t		n_query;

	llm_tokens_init(&tokens, &llm_malloc_allocator);
	CHECK(llm_request_generate(encoder.s, ids, 3, &params, &r, &err) == LLM_E_UNSUPPORTED && err.hint[0]);
	CHECK(llm_request_logits(encoder.s, ids, 3, &r, &err) == LLM_E_UNSUPPORTED);
	CHECK(llm_request_score(encoder.s, ids, 3, &(LlmBranch) {ids, 1}, 1, &r, &err) == LLM_E_UNSUPPORTED);
	CHECK(llm_request_rank(encoder.s, ids, 3, 0, &r, &err) == LLM_E_UNSUPPORTED && err.hint[0]);
	CHECK(llm_request_embed(ranker.s, ids, 3, &r, &err) == LLM_E_UNSUPPORTED && err.hint[0]);
	CHECK(llm_request_embed(encoder.s, ids, 0, &r, &err) == LLM_E_ARGUMENT);
	CHECK(llm_request_embed(encoder.s, (const int32_t[]) {ENCODER_VOCAB}, 1, &r, &err) == LLM_E_ARGUMENT);
	CHECK(llm_rank_tokens(encoder.t.model, STR(""), STR("a"), STR("b"), false, NULL, &tokens, &n_query, &err) == LLM_E_UNSUPPORTED);
	CHECK(llm_rank_tokens(ranker.t.model, STR("find"), STR("a"), STR("b"), false, NULL, &tokens, &n_query, &err) == LLM_E_UNSUPPORTED);
	CHECK(tokens.n == 0 && strstr(err.message, "instruction"));
	llm_tokens_free(&tokens);
	finish(&encoder);
	finish(&ranker);
}

/* pooling as an option takes the place of the model's own */
static void
test_pooling_option(void)
{
	static const LlmPooling kinds[] = {LLM_POOLING_NONE, LLM_POOLING_MEAN, LLM_POOLING_CLS, LLM_POOLING_LAST};
	int32_t		ids[70];
	float		each[70][24];
	float		got[24];
	LlmError	err;

	encoder_ids(70, 2, 3, ids);
	for (size_t k = 0; k < 4; k++)
	{
		const LlmModelOptions options = {.kv_type = LLM_KV_F32, .pooling = &kinds[k]};
		Running		run = start("nomic-bert", &options, &default_scheduler);
		LlmRequest *r;

		CHECK(test_ok(llm_request_embed(run.s, ids, 70, &r, &err), &err));
		CHECK(test_ok(llm_scheduler_run(run.s, NULL, &err), &err));
		CHECK(llm_request_n_vectors(r) == (kinds[k] == LLM_POOLING_NONE ? 70 : 1));
		if (kinds[k] == LLM_POOLING_NONE)
			memcpy(each, llm_request_vector(r), sizeof each);
		memcpy(got, llm_request_vector(r), sizeof got);
		for (int i = 0; i < 24; i++)
		{
			double		mean = 0;

			for (int t = 0; t < 70; t++)
				mean += (double) each[t][i] / 70;
			CHECK(kinds[k] != LLM_POOLING_MEAN || fabs(got[i] - mean) <= 1e-6);
			CHECK(kinds[k] != LLM_POOLING_CLS || got[i] == each[0][i]);
			CHECK(kinds[k] != LLM_POOLING_LAST || got[i] == each[69][i]);
		}
		finish(&run);
	}
}

/* a decoder's mean, first or each vector: the same bytes whatever steps the text is read in */
static void
test_pooling_in_steps(void)
{
	static const LlmPooling kinds[] = {LLM_POOLING_NONE, LLM_POOLING_MEAN, LLM_POOLING_CLS, LLM_POOLING_LAST};
	static const int steps[] = {512, 64, 7, 1};
	int32_t		ids[150];
	float		first[150 * 24];
	LlmError	err;

	encoder_ids(150, 2, 3, ids);
	for (size_t k = 0; k < 4; k++)
	{
		const LlmModelOptions options = {.kv_type = LLM_KV_F16, .pooling = &kinds[k]};

		for (size_t i = 0; i < 4; i++)
		{
			const LlmSchedulerOptions scheduler = {.batch_tokens = steps[i], .prefix_cache_bytes = i % 2 ? 1 << 24 : 0};
			Running		run = start("qwen3-last", &options, &scheduler);
			LlmRequest *r[2];

			for (int again = 0; again < 2; again++)
			{
				CHECK(test_ok(llm_request_embed(run.s, ids, 150, &r[again], &err), &err));
				CHECK(test_ok(llm_scheduler_run(run.s, NULL, &err), &err));
				CHECK(llm_request_finish(r[again]) == LLM_FINISH_STOP);
				if (i == 0 && again == 0)
					memcpy(first, llm_request_vector(r[0]), llm_request_n_vectors(r[0]) * 24 * sizeof(float));
				CHECK_MSG(memcmp(first, llm_request_vector(r[again]), llm_request_n_vectors(r[again]) * 24 * sizeof(float)) == 0,
						  "%s in steps of %d", llm_pooling_name(kinds[k]), steps[i]);
			}
			CHECK((llm_request_cached_tokens(r[1]) > 0) == (i % 2 && kinds[k] == LLM_POOLING_LAST));
			finish(&run);
		}
	}
}

/* ---- tokens ---- */

static void
test_pairs(const char *name)
{
	struct json_object *reference = encoder_reference(name);
	struct json_object *pairs = encoder_field(reference, "pairs");
	Running		run = start(name, &plain_options, &default_scheduler);

	for (size_t i = 0; i < json_object_array_length(pairs); i++)
	{
		struct json_object *pair = json_object_array_get_idx(pairs, i);
		struct json_object *ids = encoder_field(pair, "token_ids");
		const char *query = json_object_get_string(encoder_field(pair, "query"));
		const char *document = json_object_get_string(encoder_field(pair, "document"));
		double		want[MAX_ENCODER_VALUES];
		int			n = encoder_values(encoder_field(pair, "values"), want);
		LlmTokens	tokens;
		LlmRequest *r;
		LlmError	err;
		size_t		n_query;

		llm_tokens_init(&tokens, &llm_malloc_allocator);
		CHECK(test_ok(llm_rank_tokens(run.t.model, STR(""), (LlmStr) {query, strlen(query)}, (LlmStr) {document, strlen(document)},
									  false, NULL, &tokens, &n_query, &err), &err));
		CHECK(tokens.n == json_object_array_length(ids));
		for (size_t t = 0; t < tokens.n && t < json_object_array_length(ids); t++)
			CHECK_MSG(tokens.ids[t] == json_object_get_int(json_object_array_get_idx(ids, t)), "%s: token %zu is %d", name, t, tokens.ids[t]);
		CHECK(test_ok(llm_request_rank(run.s, tokens.ids, tokens.n, n_query, &r, &err), &err));
		CHECK(test_ok(llm_scheduler_run(run.s, NULL, &err), &err));
		CHECK(llm_request_finish(r) == LLM_FINISH_STOP);
		for (int k = 0; k < n; k++)
			CHECK_MSG(fabs(llm_request_vector(r)[k] - want[k]) <= 1e-4, "%s: output %g, not %g", name, llm_request_vector(r)[k], want[k]);
		llm_request_free(r);
		llm_tokens_free(&tokens);
	}
	finish(&run);
	json_object_put(reference);
}

static void
test_prefixes(void)
{
	TestModel	t = encoder_open("gemma-embedding", &plain_options, llmk_level(0));
	TestModel	without = encoder_open("nomic-bert", &plain_options, llmk_level(0));
	LlmTokens	with_prefix;
	LlmTokens	as_text;
	LlmStr		prefix;
	LlmError	err;

	llm_tokens_init(&with_prefix, &llm_malloc_allocator);
	llm_tokens_init(&as_text, &llm_malloc_allocator);
	CHECK(llm_embed_prefix(t.model, STR("query"), &prefix, &err) == LLM_OK && prefix.len == strlen("task: search | query: "));
	CHECK(llm_embed_tokens(t.model, prefix, STR("the cat"), false, NULL, &with_prefix, &err) == LLM_OK);
	CHECK(llm_embed_tokens(t.model, STR(""), STR("task: search | query: the cat"), false, NULL, &as_text, &err) == LLM_OK);
	CHECK(with_prefix.n == as_text.n && memcmp(with_prefix.ids, as_text.ids, as_text.n * sizeof(int32_t)) == 0);
	CHECK(with_prefix.ids[0] == 2 && with_prefix.ids[with_prefix.n - 1] == 3);
	CHECK(llm_embed_prefix(t.model, STR(""), &prefix, &err) == LLM_OK && prefix.len == 0);
	CHECK(llm_embed_prefix(without.model, STR("query"), &prefix, &err) == LLM_OK && prefix.len == 0);
	CHECK(llm_embed_prefix(t.model, STR("clustering"), &prefix, &err) == LLM_E_ARGUMENT && strstr(err.message, "clustering") && err.hint[0]);
	CHECK(llm_embed_prefix(t.model, (LlmStr) {"que\0ry", 6}, &prefix, &err) == LLM_E_ARGUMENT);
	llm_tokens_free(&with_prefix);
	llm_tokens_free(&as_text);
	test_model_close(&t);
	test_model_close(&without);
}

/* special tokens in data stay text */
static void
test_data_is_data(void)
{
	TestModel	t = encoder_open("nomic-bert", &plain_options, llmk_level(0));
	LlmTokens	tokens;
	LlmError	err;

	llm_tokens_init(&tokens, &llm_malloc_allocator);
	CHECK(llm_embed_tokens(t.model, STR("[MASK]"), STR("[SEP]"), false, NULL, &tokens, &err) == LLM_OK);
	CHECK(tokens.n > 4 && tokens.ids[0] == 2 && tokens.ids[1] == 4 && tokens.ids[tokens.n - 1] == 3);
	for (size_t i = 2; i + 1 < tokens.n; i++)
		CHECK(tokens.ids[i] != 3);
	llm_tokens_free(&tokens);
	test_model_close(&t);
}

/* ---- lengths and memory ---- */

static void
test_too_long(void)
{
	static char text[800];
	TestModel	t = encoder_open("bert-cross", &plain_options, llmk_level(0));	/* 80 positions */
	LlmTokens	tokens;
	LlmError	err;
	size_t		n_query;

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = i % 2 ? ' ' : 'a';
	llm_tokens_init(&tokens, &llm_malloc_allocator);
	CHECK(llm_embed_tokens(t.model, STR(""), (LlmStr) {text, 156}, false, NULL, &tokens, &err) == LLM_OK && tokens.n == 80);
	CHECK(llm_embed_tokens(t.model, STR(""), (LlmStr) {text, 800}, false, NULL, &tokens, &err) == LLM_E_LIMIT && tokens.n == 80);
	CHECK_MSG(strstr(err.message, "402 tokens") && strstr(err.message, "80 tokens") && err.hint[0], "%s", err.message);
	tokens.n = 0;
	CHECK(llm_embed_tokens(t.model, STR(""), (LlmStr) {text, 800}, true, NULL, &tokens, &err) == LLM_OK);
	CHECK(tokens.n == 80 && tokens.ids[0] == 2 && tokens.ids[78] != 3 && tokens.ids[79] == 3);

	CHECK(llm_rank_tokens(t.model, STR(""), STR("a b"), (LlmStr) {text, 800}, false, NULL, &tokens, &n_query, &err) == LLM_E_LIMIT);
	CHECK(tokens.n == 80 && strstr(err.message, "405 tokens") && strstr(err.message, "80 tokens"));
	tokens.n = 0;
	CHECK(llm_rank_tokens(t.model, STR(""), STR("a b"), (LlmStr) {text, 800}, true, NULL, &tokens, &n_query, &err) == LLM_OK);
	CHECK(tokens.n == 80 && n_query == 4 && tokens.ids[3] == 3 && tokens.ids[79] == 3);
	CHECK(llm_rank_tokens(t.model, STR(""), (LlmStr) {text, 800}, STR("a"), true, NULL, &tokens, &n_query, &err) == LLM_E_LIMIT);
	CHECK(tokens.n == 80);
	llm_tokens_free(&tokens);
	test_model_close(&t);
}

/* a tokenizer.json puts its template around a pair, also around one that is cut, and around a text that is cut */
static void
test_template_pairs(void)
{
	static const char json[] = "{\"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}, \"model\": {\"type\": \"WordPiece\", "
		"\"unk_token\": \"[UNK]\", \"continuing_subword_prefix\": \"##\", \"max_input_chars_per_word\": 100, "
		"\"vocab\": {\"[UNK]\": 0, \"[CLS]\": 1, \"[SEP]\": 2, \"a\": 3, \"b\": 4}}, "
		"\"post_processor\": {\"type\": \"BertProcessing\", \"sep\": [\"[SEP]\", 2], \"cls\": [\"[CLS]\", 1]}}";
	static const int32_t want[] = {1, 3, 4, 2, 4, 2};
	static char text[800];
	TestModel	t = encoder_open("bert-cross", &plain_options, llmk_level(0));	/* 80 positions */
	LlmTokenizer *own = t.model->tokenizer;
	GgufWriter	w;
	LlmGguf		gguf;
	LlmTokens	tokens;
	LlmError	err;
	char		path[64];
	size_t		n_query;
	int			fd;

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = i % 2 ? ' ' : 'a';
	gw_init(&w);
	gw_string(&w, "tokenizer.ggml.model", "huggingface");
	gw_string(&w, "tokenizer.huggingface.json", json);
	gw_finish(&w);
	fd = gw_memfd(w.file.data, w.file.len, path);
	CHECK(test_ok(llm_gguf_open(path, &llm_malloc_allocator, NULL, &gguf, &err), &err));
	CHECK(test_ok(llm_tokenizer_create(&gguf.meta, &llm_malloc_allocator, &t.model->tokenizer, &err), &err));
	llm_tokens_init(&tokens, &llm_malloc_allocator);
	CHECK(test_ok(llm_rank_tokens(t.model, STR(""), STR("a b"), STR("b"), false, NULL, &tokens, &n_query, &err), &err));
	CHECK(n_query == 4 && tokens.n == 6 && memcmp(tokens.ids, want, sizeof want) == 0);
	CHECK(llm_rank_tokens(t.model, STR(""), STR("a b"), (LlmStr) {text, 800}, false, NULL, &tokens, &n_query, &err) == LLM_E_LIMIT);
	tokens.n = 0;
	CHECK(test_ok(llm_rank_tokens(t.model, STR(""), STR("a b"), (LlmStr) {text, 800}, true, NULL, &tokens, &n_query, &err), &err));
	CHECK(n_query == 4 && tokens.n == 80 && tokens.ids[78] == 3 && tokens.ids[79] == 2);
	tokens.n = 0;
	CHECK(test_ok(llm_embed_tokens(t.model, STR(""), (LlmStr) {text, 800}, true, NULL, &tokens, &err), &err));
	CHECK(tokens.n == 80 && tokens.ids[0] == 1 && tokens.ids[78] == 3 && tokens.ids[79] == 2);
	llm_tokens_free(&tokens);
	llm_tokenizer_free(t.model->tokenizer);
	t.model->tokenizer = own;
	llm_gguf_close(&gguf);
	close(fd);
	gw_free(&w);
	test_model_close(&t);
}

/* the batch grows for a text and shrinks again; a text that the memory limit has no room for is that request's error */
static void
test_memory(void)
{
	const LlmSchedulerOptions small = {.batch_tokens = 64};
	int32_t		ids[1000];
	LlmSchedulerStats stats;
	LlmSchedulerOptions limited = {.batch_tokens = 64};
	Running		run = start("nomic-bert", &plain_options, &small);
	LlmRequest *r;
	LlmRequest *other;
	LlmError	err;
	size_t		before;

	encoder_ids(1000, 2, 3, ids);
	llm_scheduler_stats(run.s, &stats);
	before = stats.memory_bytes;
	CHECK(test_ok(llm_request_embed(run.s, ids, 1000, &r, &err), &err));
	CHECK(test_ok(llm_scheduler_run(run.s, NULL, &err), &err) && llm_request_finish(r) == LLM_FINISH_STOP);
	llm_request_free(r);
	CHECK(test_ok(llm_request_embed(run.s, ids, 10, &r, &err), &err));
	CHECK(test_ok(llm_scheduler_run(run.s, NULL, &err), &err) && llm_request_finish(r) == LLM_FINISH_STOP);
	llm_scheduler_stats(run.s, &stats);
	CHECK_MSG(stats.memory_bytes < before + (1 << 20), "%zu bytes, before %zu", stats.memory_bytes, before);
	finish(&run);

	limited.memory_limit_bytes = before + (1 << 19);
	run = start("nomic-bert", &plain_options, &limited);
	CHECK(test_ok(llm_request_embed(run.s, ids, 1000, &r, &err), &err));
	CHECK(test_ok(llm_request_embed(run.s, ids, 60, &other, &err), &err));
	CHECK(test_ok(llm_scheduler_run(run.s, NULL, &err), &err));
	CHECK(llm_request_finish(other) == LLM_FINISH_STOP);
	CHECK(llm_request_finish(r) == LLM_FINISH_ERROR && llm_request_error(r)->status == LLM_E_LIMIT);
	CHECK_MSG(strstr(llm_request_error(r)->message, "1000 tokens") && llm_request_error(r)->hint[0], "%s", llm_request_error(r)->message);
	finish(&run);
}

/* a text that needs a longer batch waits while shorter ones hold pages that would not fit beside it */
static void
test_memory_waits(void)
{
	enum
	{
		N_SHORT = 20
	};
	LlmSchedulerOptions options = {.batch_tokens = 64};
	Running		run = start("nomic-bert", &plain_options, &options);
	LlmRequest *requests[N_SHORT + 1];
	LlmSchedulerStats stats;
	int32_t		ids[300];
	bool		more = true;
	LlmError	err;

	options.memory_limit_bytes = llm_pass_bytes(run.t.model, 512, 2) + 5 * run.s->kv.page_bytes;
	finish(&run);
	run = start("nomic-bert", &plain_options, &options);
	encoder_ids(300, 2, 3, ids);
	for (int i = 0; i <= N_SHORT; i++)
		CHECK(test_ok(llm_request_embed(run.s, ids, i < N_SHORT ? 60 : 300, &requests[i], &err), &err));
	while (more)
	{
		CHECK(test_ok(llm_scheduler_step(run.s, NULL, &more, &err), &err));
		llm_scheduler_stats(run.s, &stats);
		CHECK_MSG(stats.memory_bytes <= options.memory_limit_bytes, "%zu of %zu bytes", stats.memory_bytes, options.memory_limit_bytes);
	}
	for (int i = 0; i <= N_SHORT; i++)
		CHECK(llm_request_finish(requests[i]) == LLM_FINISH_STOP);
	finish(&run);
}

/* ---- together ---- */

/* embeddings of a decoder beside generation, its prompt prefix in the cache: the same bytes as alone */
static void
test_with_generation(void)
{
	const LlmSchedulerOptions options = {.batch_tokens = 50, .prefix_cache_bytes = 1 << 24};
	const LlmGenerateParams params = {.max_tokens = 6, .ignore_end = true, .sampling = llm_sampling_default};
	int32_t		ids[200];
	float		alone[24];
	int32_t		text[6];
	Running		run = start("qwen3-last", &plain_options, &options);
	LlmRequest *embed[2];
	LlmRequest *generate;
	LlmGeneration made;
	LlmError	err;

	encoder_ids(200, 2, 3, ids);
	for (int round = 0; round < 2; round++)
	{
		CHECK(test_ok(llm_request_embed(run.s, ids, 200, &embed[0], &err), &err));
		if (round == 0)
			CHECK(test_ok(llm_scheduler_run(run.s, NULL, &err), &err));
		CHECK(test_ok(llm_request_generate(run.s, ids, 120, &params, &generate, &err), &err));
		if (round == 1)
			CHECK(test_ok(llm_request_embed(run.s, ids, 200, &embed[1], &err), &err));
		CHECK(test_ok(llm_scheduler_run(run.s, NULL, &err), &err));
		llm_request_generation(generate, &made);
		CHECK(made.n_tokens == 6);
		if (round == 0)
		{
			memcpy(alone, llm_request_vector(embed[0]), sizeof alone);
			memcpy(text, made.tokens, sizeof text);
		}
		else
		{
			CHECK(memcmp(alone, llm_request_vector(embed[0]), sizeof alone) == 0);
			CHECK(memcmp(alone, llm_request_vector(embed[1]), sizeof alone) == 0);
			CHECK(memcmp(text, made.tokens, sizeof text) == 0);
			CHECK(llm_request_cached_tokens(embed[0]) > 0);
		}
		llm_request_free(embed[0]);
		llm_request_free(generate);
	}
	llm_request_free(embed[1]);
	finish(&run);
}

/* ---- results ---- */

static void
test_finish(void)
{
	float		v[4] = {3, 4, 12, 84};
	float		zero[2] = {0, 0};
	uint32_t	n;
	LlmError	err;

	CHECK(llm_embedding_finish(v, 4, 5, true, &n, &err) == LLM_E_ARGUMENT && strstr(err.message, "4") && strstr(err.message, "5"));
	CHECK(llm_embedding_finish(v, 4, 0, false, &n, &err) == LLM_OK && n == 4 && v[3] == 84);
	CHECK(llm_embedding_finish(v, 4, 3, false, &n, &err) == LLM_OK && n == 3 && v[2] == 12);
	CHECK(llm_embedding_finish(v, 4, 2, true, &n, &err) == LLM_OK && n == 2 && v[0] == 0.6f && v[1] == 0.8f);
	CHECK(llm_embedding_finish(zero, 2, 0, true, &n, &err) == LLM_OK && zero[0] == 0 && zero[1] == 0);
	CHECK(fabs(llm_cosine((const float[]) {1, 0}, (const float[]) {3, 4}, 2) - 0.6) <= 1e-12);
	CHECK(llm_cosine(zero, (const float[]) {3, 4}, 2) == 0);
}

static void
test_scores(void)
{
	TestModel	one = encoder_open("bert-cross", &plain_options, llmk_level(0));
	TestModel	three = encoder_open("modern-bert-cross", &plain_options, llmk_level(0));	/* entailment is its second label */

	CHECK(llm_rank_score(one.model, (const float[]) {0}) == 0.5);
	CHECK(fabs(llm_rank_score(one.model, (const float[]) {2}) - 1 / (1 + exp(-2))) <= 1e-12);
	CHECK(fabs(llm_rank_score(three.model, (const float[]) {1, 2, 0.5f}) - exp(2) / (exp(1) + exp(2) + exp(0.5))) <= 1e-12);
	CHECK(llm_rank_score(three.model, (const float[]) {0, 400, 0}) == 1);
	CHECK(llm_rank_score(three.model, (const float[]) {0, -1000, 0}) == 0);
	test_model_close(&one);
	test_model_close(&three);
}

int
main(void)
{
	test_kinds();
	test_refused_requests();
	test_pooling_option();
	test_pooling_in_steps();
	test_pairs("bert-cross");
	test_pairs("xlm-roberta-cross");
	test_pairs("modern-bert-cross");
	test_prefixes();
	test_data_is_data();
	test_too_long();
	test_template_pairs();
	test_memory();
	test_memory_waits();
	test_with_generation();
	test_finish();
	test_scores();
	CHECK_DONE();
}
