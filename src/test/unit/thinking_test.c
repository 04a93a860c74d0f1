/*
 * thinking_test.c: where the known families think, seen from the ends of their prompts; how a part is ended in each place of it;
 * and that samples of one prompt compute it once.
 */
#include "serve/thinking.h"

#include "gguf_writer.h"
#include "serve/think_part.h"
#include "test_model.h"
#include "weights/gguf.h"

static const char *const names[] = {"<|im_start|>", "<|im_end|>", "<think>", "</think>", "[THINK]", "[/THINK]", "<|START_THINKING|>", "<|END_THINKING|>",
	"<seed:think>", "</seed:think>", "<|inner_prefix|>", "<|inner_suffix|>", "<|channel>", "<channel|>", "<|start|>", "<|channel|>", "<|message|>",
"<|end|>", "<|return|>", "<|call|>"};

#define N_NAMES (sizeof names / sizeof names[0])
#define N_TOKENS (256 + N_NAMES)

/* a vocabulary of single bytes, and of the named tokens of one family (pair of names from `first` on) */
typedef struct Family
{
	GgufWriter	writer;
	LlmGguf		gguf;
	LlmTokenizer *t;
	int			fd;
} Family;

/* the characters that stand for bytes in a byte-level vocabulary */
static void
byte_name(int byte, char out[4])
{
	const bool	shown = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
	int			c = byte;
	int			n = 0;

	for (int b = 0; b < byte && !shown; b++)
		n += !((b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174);
	if (!shown)
		c = 256 + n;
	if (c < 0x80)
		snprintf(out, 4, "%c", c);
	else
		snprintf(out, 4, "%c%c", 0xC0 | c >> 6, 0x80 | (c & 0x3F));
}

/* a family has the chat marks, and those names that `has` marks with x */
static void
open_family(Family *f, const char *has)
{
	static char bytes[256][4];
	const char *tokens[N_TOKENS];
	int32_t		types[N_TOKENS];
	const char *no_merges[] = {"x y"};
	char		path[64];
	char		unused[N_NAMES][16];
	LlmError	err;

	for (int i = 0; i < 256; i++)
	{
		byte_name(i, bytes[i]);
		tokens[i] = bytes[i];
		types[i] = 1;
	}
	for (size_t i = 0; i < N_NAMES; i++)
	{
		snprintf(unused[i], sizeof unused[i], "<unused%zu>", i);
		tokens[256 + i] = i < 2 || has[i] == 'x' ? names[i] : unused[i];
		types[256 + i] = 3;
	}
	gw_init(&f->writer);
	gw_string(&f->writer, "tokenizer.ggml.model", "gpt2");
	gw_string(&f->writer, "tokenizer.ggml.pre", "gpt-2");
	gw_strings(&f->writer, "tokenizer.ggml.tokens", tokens, N_TOKENS);
	gw_i32s(&f->writer, "tokenizer.ggml.token_type", types, N_TOKENS);
	gw_strings(&f->writer, "tokenizer.ggml.merges", no_merges, 0);
	gw_u32(&f->writer, "tokenizer.ggml.eos_token_id", has[18] == 'x' ? 256 + 18 : 256 + 1);
	gw_finish(&f->writer);
	f->fd = gw_memfd(f->writer.file.data, f->writer.file.len, path);
	if (!test_ok(llm_gguf_open(path, &llm_malloc_allocator, NULL, &f->gguf, &err), &err) ||
		!test_ok(llm_tokenizer_create(&f->gguf.meta, &llm_malloc_allocator, &f->t, &err), &err))
		exit(1);
}

static void
close_family(Family *f)
{
	llm_tokenizer_free(f->t);
	llm_gguf_close(&f->gguf);
	close(f->fd);
	gw_free(&f->writer);
}

static LlmTokens
tokens_of(const LlmTokenizer *t, const char *text)
{
	LlmTokens	ids;
	LlmError	err;

	llm_tokens_init(&ids, &llm_malloc_allocator);
	CHECK(llm_tokenize(t, (LlmText) {text, NULL, strlen(text)}, LLM_TOKENIZE_PARSE_SPECIAL, NULL, &ids, &err) == LLM_OK);
	return ids;
}

/* ---- where a model thinks ---- */

/* names that a family has, the end of a prompt as its template writes it, and what follows */
static const struct
{
	const char *has;
	const char *prompt;
	bool		open;
	const char *begin;			/* may begin a part; NULL: nothing may */
	const char *end;			/* NULL: the answer begins */
}			prompts[] =
{
	/* Qwen 3: the model opens the part, or the template closes it; Qwen 3.5, QwQ, DeepSeek R1, Nemotron 3: the template opens it */
	{"..xx................", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", false, "<think>", "</think>"},
	{"..xx................", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n", false, NULL, NULL},
	{"..xx................", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n", true, "<think>", "</think>"},
	/* a part of an earlier turn says nothing */
	{"..xx................", "<|im_start|>assistant\n<think>a</think>b<|im_end|>\n<|im_start|>assistant\n", false, "<think>", "</think>"},
	{"....xx..............", "<|im_start|>user\nHi<|im_end|>", false, "[THINK]", "[/THINK]"},	/* Magistral, Ministral */
	{"......xx............", "<|im_start|>assistant<|START_THINKING|>", true, "<|START_THINKING|>", "<|END_THINKING|>"},
	{"......xx............", "<|im_start|>assistant<|START_THINKING|><|END_THINKING|>", false, NULL, NULL},
	{"........xx..........", "<|im_start|>assistant\n", false, "<seed:think>", "</seed:think>"},	/* Seed-OSS */
	{"..........xx........", "<|im_start|>assistant", false, "<|inner_prefix|>", "<|inner_suffix|>"},	/* Apertus */
	{"............xx......", "<|im_start|>model\n<|channel>thought\n<channel|>", false, NULL, NULL},	/* Gemma 4 */
	{"............xx......", "<|im_start|>model\n", false, "<|channel>", "<channel|>"},
	/* gpt-oss: always in a channel; a prompt that names one has nothing left to do */
	{"..............xxxxxx", "<|start|>user<|message|>Hi<|end|><|start|>assistant", true, NULL, "<|channel|>final<|message|>"},
	{"..............xxxxxx", "<|start|>assistant<|channel|>final<|message|>", false, NULL, NULL},
	/* tags that are plain text, as Granite 3.3 is told of them: an answer may begin so, and none is taken for a part */
	{"....................", "<|im_start|>system\nWrite your thoughts between <think></think> and your response between <response></response>.<|im_end|>\n"
	"<|im_start|>assistant\n", false, NULL, NULL},
	/* a model that does not think */
	{"....................", "<|im_start|>assistant\n<think>", false, NULL, NULL},
};

static void
check_prompt(size_t k)
{
	Family		f;
	LlmModel	model = {0};
	LlmThinking found;
	LlmTokens	prompt;
	LlmTokens	end;
	LlmTokens	begin;
	LlmError	err;

	open_family(&f, prompts[k].has);
	model.tokenizer = f.t;
	prompt = tokens_of(f.t, prompts[k].prompt);
	end = tokens_of(f.t, prompts[k].end ? prompts[k].end : "");
	begin = tokens_of(f.t, prompts[k].begin ? prompts[k].begin : "");
	CHECK(llm_thinking_find(&model, prompt.ids, prompt.n, &llm_malloc_allocator, &found, &err) == LLM_OK);
	CHECK_MSG(found.open == prompts[k].open, "prompt %zu: open %d", k, found.open);
	CHECK_MSG(begin.n == 1 ? found.begin == begin.ids[0] : found.begin == -1, "prompt %zu: begins by %d", k, (int) found.begin);
	CHECK_MSG(found.end.n == end.n && (end.n == 0 || memcmp(found.end.ids, end.ids, end.n * sizeof(int32_t)) == 0), "prompt %zu: end of %zu tokens", k, found.end.n);
	llm_tokens_free(&prompt);
	llm_tokens_free(&end);
	llm_tokens_free(&begin);
	llm_tokens_free(&found.end);
	llm_tokens_free(&found.between);
	close_family(&f);
}

/* ---- how it is ended ---- */

/* what a part of gpt-oss has written when its budget is used up, and what is written in the place of the next token */
static const struct
{
	const char *thought;
	const char *closing;
}			closings[] =
{
	{"", "<|channel|>final<|message|>"},
	{"<|channel|>", "final<|message|>"},
	{"<|channel|>anal", "<|message|><|end|><|start|>assistant<|channel|>final<|message|>"},
	{"<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"},
	{"<|channel|>analysis<|message|>Hm", "<|end|><|start|>assistant<|channel|>final<|message|>"},
	{"<|channel|>analysis<|message|>Hm<|end|>", "<|start|>assistant<|channel|>final<|message|>"},
	{"<|channel|>analysis<|message|>Hm<|end|><|start|>", "assistant<|channel|>final<|message|>"},
	{"<|channel|>analysis<|message|>Hm<|end|><|start|>assistant", "<|channel|>final<|message|>"},
	{"<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>commentary<|message|>So", "<|end|><|start|>assistant<|channel|>final<|message|>"},
};

static void
check_closing(size_t k)
{
	Family		f;
	LlmModel	model = {0};
	LlmThinking found;
	LlmThinkPart part;
	LlmTokens	prompt;
	LlmTokens	output;
	LlmTokens	want;
	LlmTokens	put;
	LlmError	err;

	open_family(&f, "..............xxxxxx");
	model.tokenizer = f.t;
	prompt = tokens_of(f.t, "<|start|>user<|message|>Hi<|end|><|start|>assistant");
	output = tokens_of(f.t, closings[k].thought);
	want = tokens_of(f.t, closings[k].closing);
	CHECK(llm_thinking_find(&model, prompt.ids, prompt.n, &llm_malloc_allocator, &found, &err) == LLM_OK);

	const LlmGenerateParams params = {.thinks = found.open, .think_token = found.begin, .after = found.end.ids, .n_after = (int) found.end.n,
		.between = found.between.ids, .n_between = (int) found.between.n, .limits_thinking = true, .think_budget = (uint32_t) output.n};

	CHECK(llm_think_part_init(&part, &params, &llm_malloc_allocator, &err) == LLM_OK && part.open);
	llm_tokens_init(&put, &llm_malloc_allocator);
	for (size_t i = 0; i < output.n; i++)
	{
		put.n = 0;
		CHECK(llm_think_part_token(&part, output.ids, i, output.ids[i], true, &put, &err) == LLM_OK);
		CHECK(part.open && put.n == 1 && put.ids[0] == output.ids[i]);
	}
	put.n = 0;
	CHECK(llm_think_part_token(&part, output.ids, output.n, 'x', true, &put, &err) == LLM_OK);
	CHECK(!part.open && put.n <= llm_think_part_closing(&part));
	CHECK_MSG(put.n == want.n && memcmp(put.ids, want.ids, want.n * sizeof(int32_t)) == 0, "closing %zu: %zu tokens, not %zu", k, put.n, want.n);
	llm_free(&llm_malloc_allocator, part.end);
	llm_tokens_free(&prompt);
	llm_tokens_free(&output);
	llm_tokens_free(&want);
	llm_tokens_free(&put);
	llm_tokens_free(&found.end);
	llm_tokens_free(&found.between);
	close_family(&f);
}

/* ---- samples of one prompt ---- */

/* begun together or one after the other: the prompt's whole pages are computed once, and each sample is what it is alone */
static void
check_shared_prompt(void)
{
	enum
	{
		SAMPLES = 8, PROMPT = 150
	};
	LlmModelOptions options = {.kv_type = LLM_KV_F16};
	TestModel	t = test_model_open("sql-tests/data/models/llama3.gguf", &options, llmk_select(NULL, llmk_cpu_features()));
	int32_t		prompt[PROMPT];
	int32_t		alone[SAMPLES][12];
	size_t		n_alone[SAMPLES];

	for (int i = 0; i < PROMPT; i++)
		prompt[i] = 10 + i * 37 % 400;
	for (int together = 0; together < 2; together++)
	{
		LlmSchedulerOptions schedule = {.batch_tokens = 64, .prefix_cache_bytes = together ? 1 << 22 : 0};
		LlmRequest *requests[SAMPLES];
		LlmSchedulerStats stats;
		LlmScheduler *s;
		LlmPool    *pool;
		LlmError	err;

		if (!test_ok(llm_pool_create(&llm_malloc_allocator, 1, &pool, &err), &err) ||
			!test_ok(llm_scheduler_create(t.model, pool, &schedule, &llm_malloc_allocator, &s, &err), &err))
			exit(1);
		for (int i = 0; i < SAMPLES; i++)
		{
			LlmGenerateParams p = {.sampling = llm_sampling_default, .max_tokens = 12};
			LlmGeneration out;

			p.sampling.temperature = 1;
			p.sampling.seed = (uint64_t) i;
			CHECK(llm_request_generate(s, prompt, PROMPT, &p, &requests[i], &err) == LLM_OK);
			if (together && i + 1 < SAMPLES)
				continue;
			CHECK(llm_scheduler_run(s, NULL, &err) == LLM_OK);
			for (int k = together ? 0 : i; k <= i; k++)
			{
				llm_request_generation(requests[k], &out);
				CHECK(out.n_tokens <= 12);
				if (together)
					CHECK_MSG(out.n_tokens == n_alone[k] && memcmp(alone[k], out.tokens, out.n_tokens * sizeof(int32_t)) == 0,
							  "sample %d is another", k);
				else
					memcpy(alone[k], out.tokens, (n_alone[k] = out.n_tokens) * sizeof(int32_t));
				llm_request_free(requests[k]);
			}
		}
		llm_scheduler_stats(s, &stats);
		if (together)
			CHECK_MSG(stats.prompt_tokens < PROMPT + SAMPLES * 64 && stats.cached_tokens >= (SAMPLES - 1) * 64,
					  "%d tokens of %d prompts computed, %d cached", (int) stats.prompt_tokens, SAMPLES, (int) stats.cached_tokens);
		printf("%d samples: %d prompt tokens computed, %d found\n", SAMPLES, (int) stats.prompt_tokens, (int) stats.cached_tokens);
		llm_scheduler_free(s);
		llm_pool_free(pool);
	}
	test_model_close(&t);
}

int
main(void)
{
	for (size_t k = 0; k < sizeof prompts / sizeof prompts[0]; k++)
		check_prompt(k);
	for (size_t k = 0; k < sizeof closings / sizeof closings[0]; k++)
		check_closing(k);
	check_shared_prompt();
	CHECK_DONE();
}
