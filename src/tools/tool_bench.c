/*
 * tool_bench.c: tokens per second of a model, through the same scheduler that answers rows.
 *
 * prefill: one prompt of P tokens, up to the logits of its last position. decode: N tokens of one sequence, batch decode:
 * N tokens of each of S sequences at once; both begin from a prompt of one token after D others, and the time runs from the
 * step after which every sequence has its first token. load: the model was read and packed in that time. copy: N tokens of one
 * sequence after a prompt whose halves are the same text, which a trained model goes on copying, with guesses from the prompt
 * (serve/draft.h) and without; the tokens must be the same.
 *
 * Prompts are pseudo-random tokens, new ones in every run. Medians of R runs, after a prompt and a few tokens that are not
 * counted, so that buffers have their memory; llama-bench does the same.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool.h"

typedef struct Bench
{
	ToolModel	m;
	double		load_seconds;	/* from the file to a model that is ready */
	uint64_t	random;			/* state of next_token */
	int32_t    *ids;			/* scratch for a prompt */
	LlmRequest **requests;		/* scratch for the sequences */
	double	   *runs;			/* results of the runs */
	double	   *plain_runs;		/* of copy without guesses */
	double		plain_tps;
	uint64_t	n_drafted;		/* guesses in the last run, and those that were right */
	uint64_t	n_accepted;
} Bench;

static double
now_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

/* Source: Knuth, MMIX linear congruential generator; the high bits are used */
static int32_t
next_token(Bench *b)
{
	b->random = b->random * 6364136223846793005u + 1442695040888963407u;
	return (int32_t) ((b->random >> 33) % b->m.model->hp.n_vocab);
}

static void
fill_prompt(Bench *b, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		b->ids[i] = next_token(b);
}

static LlmStatus
run_prefill(Bench *b, int64_t n_prompt, double *tps, LlmError *err)
{
	LlmRequest *request;
	double		start;
	LlmStatus	status;

	fill_prompt(b, n_prompt);
	start = now_seconds();
	LLM_TRY(llm_request_logits(b->m.scheduler, b->ids, (size_t) n_prompt, &request, err));
	status = tool_run_request(&b->m, request, err);
	*tps = (double) n_prompt / (now_seconds() - start);
	llm_request_free(request);
	return status;
}

/* tokens made so far by all sequences; *all_started: each has its first */
static size_t
count_tokens(const Bench *b, int64_t n_sequences, bool *all_started)
{
	size_t		n = 0;

	*all_started = true;
	for (int64_t i = 0; i < n_sequences; i++)
	{
		LlmGeneration generation;

		llm_request_generation(b->requests[i], &generation);
		n += generation.n_tokens;
		if (generation.n_tokens == 0)
			*all_started = false;
	}
	return n;
}

/* step until all sequences are done, timing from where all have begun */
static LlmStatus
time_decode(Bench *b, int64_t n_sequences, double *tps, LlmError *err)
{
	bool		more = true;
	bool		started = false;
	double		start = 0;
	size_t		n_start = 0;

	while (more)
	{
		LLM_TRY(llm_scheduler_step(b->m.scheduler, NULL, &more, err));
		if (!started)
		{
			n_start = count_tokens(b, n_sequences, &started);
			start = now_seconds();
		}
	}
	*tps = (double) (count_tokens(b, n_sequences, &started) - n_start) / (now_seconds() - start);
	for (int64_t i = 0; i < n_sequences; i++)
	{
		if (llm_request_finish(b->requests[i]) == LLM_FINISH_ERROR)
		{
			*err = *llm_request_error(b->requests[i]);
			return err->status;
		}
	}
	return LLM_OK;
}

static LlmStatus
run_decode(Bench *b, int64_t n_sequences, int64_t depth, int64_t n_tokens, double *tps, LlmError *err)
{
	LlmGenerateParams params;
	int64_t		n_added = 0;
	LlmStatus	status = LLM_OK;

	memset(&params, 0, sizeof params);
	params.sampling = llm_sampling_default;
	params.max_tokens = (int) n_tokens + 1;
	params.ignore_end = true;
	while (status == LLM_OK && n_added < n_sequences)
	{
		fill_prompt(b, depth + 1);
		status = llm_request_generate(b->m.scheduler, b->ids, (size_t) depth + 1, &params, &b->requests[n_added], err);
		if (status == LLM_OK)
			n_added++;
	}
	if (status == LLM_OK)
		status = time_decode(b, n_sequences, tps, err);
	while (n_added > 0)
		llm_request_free(b->requests[--n_added]);
	return status;
}

/* ---- copy ---- */

static LlmStatus
time_copy(Bench *b, const ToolOptions *o, LlmDraftKind draft, LlmTokens *tokens, double *tps, LlmError *err)
{
	LlmGenerateParams params = {.sampling = llm_sampling_default, .max_tokens = (int) o->generate, .ignore_end = true, .draft = draft};
	LlmGeneration made;
	LlmStatus	status;

	LLM_TRY(llm_request_generate(b->m.scheduler, b->ids, (size_t) o->prompt, &params, &b->requests[0], err));
	status = time_decode(b, 1, tps, err);
	if (status == LLM_OK)
	{
		llm_request_generation(b->requests[0], &made);
		llm_request_drafts(b->requests[0], &b->n_drafted, &b->n_accepted);
		for (size_t i = 0; i < made.n_tokens && status == LLM_OK; i++)
			status = llm_tokens_append(tokens, made.tokens[i], err);
	}
	llm_request_free(b->requests[0]);
	return status;
}

/* with guesses into *tps, without into b->plain_runs[run] */
static LlmStatus
run_copy(Bench *b, const ToolOptions *o, int64_t run, double *tps, LlmError *err)
{
	const LlmAllocator *a = &llm_malloc_allocator;
	LlmTokens	plain;
	LlmTokens	guessed;
	LlmStatus	status;

	fill_prompt(b, o->prompt);
	memcpy(b->ids + o->prompt / 2, b->ids, (size_t) (o->prompt - o->prompt / 2) * sizeof(int32_t));
	llm_tokens_init(&plain, a);
	llm_tokens_init(&guessed, a);
	status = time_copy(b, o, LLM_DRAFT_OFF, &plain, &b->plain_runs[run], err);
	if (status == LLM_OK)
		status = time_copy(b, o, LLM_DRAFT_PROMPT, &guessed, tps, err);
	if (status == LLM_OK && (plain.n != guessed.n || memcmp(plain.ids, guessed.ids, plain.n * sizeof(int32_t)) != 0))
		status = llm_fail(err, LLM_E_FORMAT, "guesses changed the tokens");
	llm_tokens_free(&plain);
	llm_tokens_free(&guessed);
	return status;
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static double
median(double *values, int64_t n)
{
	qsort(values, (size_t) n, sizeof *values, compare_doubles);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

typedef LlmStatus (*RunFn) (Bench *b, const ToolOptions *o, int64_t run, double *tps, LlmError *err);

static LlmStatus
prefill_once(Bench *b, const ToolOptions *o, int64_t run, double *tps, LlmError *err)
{
	(void) run;
	return run_prefill(b, o->prompt, tps, err);
}

static LlmStatus
decode_once(Bench *b, const ToolOptions *o, int64_t run, double *tps, LlmError *err)
{
	(void) run;
	return run_decode(b, 1, o->depth, o->generate, tps, err);
}

static LlmStatus
batch_once(Bench *b, const ToolOptions *o, int64_t run, double *tps, LlmError *err)
{
	(void) run;
	return run_decode(b, o->sequences, o->depth, o->generate, tps, err);
}

static const struct
{
	RunFn		run;
	const char *name;			/* in the table */
	const char *key;			/* in JSON */
}			measures[] = {
	[TOOL_PREFILL] = {prefill_once, "prefill", "prefill_tps"},
	[TOOL_DECODE] = {decode_once, "decode", "decode_tps"},
	[TOOL_BATCH] = {batch_once, "batch", "batch_decode_tps"},
	[TOOL_COPY] = {run_copy, "copy", "copy_tps"},
};

#define N_MEASURES (TOOL_COPY + 1)

/* results by ToolMeasure; 0: left out */
static LlmStatus
measure(Bench *b, const ToolOptions *o, double *results, LlmError *err)
{
	double		ignored;

	LLM_TRY(run_prefill(b, o->prompt < 32 || o->only == 0 || o->only == TOOL_PREFILL ? o->prompt : 32, &ignored, err));
	LLM_TRY(run_decode(b, 1, 0, 4, &ignored, err));
	for (int what = TOOL_PREFILL; what < N_MEASURES; what++)
	{
		if (o->only != 0 ? (int) o->only != what : what == TOOL_COPY)
			continue;
		for (int64_t i = 0; i < o->repeat; i++)
			LLM_TRY(measures[what].run(b, o, i, &b->runs[i], err));
		results[what] = median(b->runs, o->repeat);
		if (what == TOOL_COPY)
			b->plain_tps = median(b->plain_runs, o->repeat);
	}
	return LLM_OK;
}

static LlmStatus
fill_object(const Bench *b, const ToolOptions *o, const double *results, struct json_object *object, LlmError *err)
{
	LLM_TRY(tool_json_set_text(object, "kernels", b->m.model->kernels->name, err));
	LLM_TRY(tool_json_set_number(object, "load_ms", b->load_seconds * 1000, err));
	LLM_TRY(tool_json_set_int(object, "threads", llm_pool_threads(b->m.pool), err));
	LLM_TRY(tool_json_set_int(object, "prompt", o->prompt, err));
	LLM_TRY(tool_json_set_int(object, "generate", o->generate, err));
	LLM_TRY(tool_json_set_int(object, "sequences", o->sequences, err));
	LLM_TRY(tool_json_set_int(object, "depth", o->depth, err));
	LLM_TRY(tool_json_set_int(object, "repeat", o->repeat, err));
	for (int what = TOOL_PREFILL; what < N_MEASURES; what++)
	{
		if (results[what] > 0)
			LLM_TRY(tool_json_set_number(object, measures[what].key, results[what], err));
	}
	if (results[TOOL_COPY] <= 0)
		return LLM_OK;
	LLM_TRY(tool_json_set_number(object, "copy_without_guesses_tps", b->plain_tps, err));
	LLM_TRY(tool_json_set_int(object, "guesses", (int64_t) b->n_drafted, err));
	return tool_json_set_int(object, "right_guesses", (int64_t) b->n_accepted, err);
}

static LlmStatus
report(const Bench *b, const ToolOptions *o, const double *results, LlmError *err)
{
	struct json_object *object;
	LlmStatus	status;

	if (!o->json)
	{
		printf("kernels %s, %d threads, median of %lld runs, tokens per second\n", b->m.model->kernels->name,
			   llm_pool_threads(b->m.pool), (long long) o->repeat);
		printf("%-10s %10.2f s\n", "load", b->load_seconds);
		for (int what = TOOL_PREFILL; what < N_MEASURES; what++)
		{
			if (results[what] > 0)
				printf("%-10s %10.2f\n", measures[what].name, results[what]);
		}
		if (results[TOOL_COPY] > 0)
			printf("%-10s %10.2f without guesses; %llu of %llu guesses were right in the last run, the tokens were the same\n", "",
				   b->plain_tps, (unsigned long long) b->n_accepted, (unsigned long long) b->n_drafted);
		return LLM_OK;
	}
	object = json_object_new_object();
	if (!object)
		return llm_fail(err, LLM_E_NOMEM, "out of memory");
	status = fill_object(b, o, results, object, err);
	if (status == LLM_OK)
		return tool_json_print(object, err);
	json_object_put(object);
	return status;
}

LlmStatus
tool_bench(const ToolOptions *options, LlmError *err)
{
	const LlmAllocator *a = &llm_malloc_allocator;
	Bench		b;
	double		results[N_MEASURES] = {0};
	double		start = now_seconds();
	LlmStatus	status;

	memset(&b, 0, sizeof b);
	LLM_TRY(tool_model_open(options, &b.m, err));
	b.load_seconds = now_seconds() - start;
	status = llm_alloc(a, (size_t) (options->prompt > options->depth ? options->prompt : options->depth + 1), sizeof(int32_t),
					   (void **) &b.ids, err);
	if (status == LLM_OK)
		status = llm_alloc(a, (size_t) options->sequences, sizeof(LlmRequest *), (void **) &b.requests, err);
	if (status == LLM_OK)
		status = llm_alloc(a, (size_t) options->repeat, sizeof(double), (void **) &b.runs, err);
	if (status == LLM_OK)
		status = llm_alloc(a, (size_t) options->repeat, sizeof(double), (void **) &b.plain_runs, err);
	if (status == LLM_OK)
		status = measure(&b, options, results, err);
	if (status == LLM_OK)
		status = report(&b, options, results, err);
	llm_free(a, b.ids);
	llm_free(a, b.requests);
	llm_free(a, b.runs);
	llm_free(a, b.plain_runs);
	tool_model_close(&b.m);
	return status;
}
