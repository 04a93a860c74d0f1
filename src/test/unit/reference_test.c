/*
 * reference_test.c: the whole way from text to logits, compared with what Hugging Face computes in float32 on the same files
 * (sql-tests/data/models): tokens, logits of the last position, greedy continuation (fed the reference's tokens), and the
 * likelihood of the prompt, at every CPU level of this machine.
 *
 * Another folder of NAME.gguf and NAME.json can be given as argument.
 */
#include <dirent.h>
#include <math.h>
#include <json-c/json.h>

#include "check.h"
#include "model/model.h"
#include "serve/scheduler.h"
#include "weights/memory_pack.h"

#define TOLERANCE 2e-3			/* of a logit; the references agree with each other to 1e-4 */

typedef struct Loaded
{
	const uint8_t *base;
	size_t		size;
	LlmModel   *model;
	LlmPool    *pool;
	LlmScheduler *scheduler;
} Loaded;

/* field of an object; a null object if absent, whose arrays are empty */
static struct json_object *
field(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return value;
}

static size_t
length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

static double
number(struct json_object *array, size_t i)
{
	return json_object_get_double(json_object_array_get_idx(array, i));
}

static bool
load(const char *path, const LlmKernels *kernels, Loaded *l, LlmError *err)
{
	const LlmAllocator *a = &llm_malloc_allocator;
	LlmModelOptions options = {.kv_type = LLM_KV_F32};
	LlmSchedulerOptions scheduler_options = {.batch_tokens = 0};
	LlmSource	source;
	LlmStatus	status;

	memset(l, 0, sizeof *l);
	if (llm_source_open(path, a, NULL, &source, err) != LLM_OK)
		return false;
	status = llm_pack_to_memory(&source, a, NULL, &l->base, &l->size, err);
	llm_source_close(&source);
	return status == LLM_OK &&
		llm_model_open(l->base, l->size, &options, kernels, a, &l->model, err) == LLM_OK &&
		llm_pool_create(a, 2, &l->pool, err) == LLM_OK &&
		llm_scheduler_create(l->model, l->pool, &scheduler_options, a, &l->scheduler, err) == LLM_OK;
}

static void
unload(Loaded *l)
{
	if (l->scheduler)
		llm_scheduler_free(l->scheduler);
	if (l->pool)
		llm_pool_free(l->pool);
	if (l->model)
		llm_model_close(l->model);
	llm_memory_pack_free(l->base, l->size);
}

/* logits (n_vocab,) after the tokens; false if the request fails */
static bool
logits_after(Loaded *l, const int32_t *ids, size_t n, float *out)
{
	LlmRequest *request;
	LlmError	err;
	bool		ok;

	if (llm_request_logits(l->scheduler, ids, n, &request, &err) != LLM_OK)
		return false;
	ok = llm_scheduler_run(l->scheduler, NULL, &err) == LLM_OK && llm_request_finish(request) == LLM_FINISH_STOP;
	if (ok)
		memcpy(out, llm_request_logits_result(request), l->model->hp.n_vocab * sizeof(float));
	llm_request_free(request);
	return ok;
}

static int32_t
largest(const float *x, size_t n)
{
	size_t		best = 0;

	for (size_t i = 1; i < n; i++)
		if (x[i] > x[best])
			best = i;
	return (int32_t) best;
}

static void
check_tokens(const Loaded *l, const char *name, struct json_object *prompt, const int32_t *ids, size_t n)
{
	struct json_object *text = field(prompt, "text");
	LlmText		input = {json_object_get_string(text), NULL, (size_t) json_object_get_string_len(text)};
	LlmTokens	tokens;
	LlmError	err;

	llm_tokens_init(&tokens, &llm_malloc_allocator);
	CHECK(llm_tokenize(l->model->tokenizer, input, LLM_TOKENIZE_ADD_SPECIAL, NULL, &tokens, &err) == LLM_OK);
	CHECK_MSG(tokens.n == n && memcmp(tokens.ids, ids, n * sizeof *ids) == 0, "%s: tokens of \"%.30s\" differ", name, input.bytes);
	llm_tokens_free(&tokens);
}

/* the largest difference from the reference's logits */
static void
check_logits(const char *name, const char *kernels, struct json_object *expected, const float *logits, size_t n_vocab)
{
	double		worst = 0;

	CHECK(length(expected) == n_vocab);
	for (size_t i = 0; i < length(expected) && i < n_vocab; i++)
	{
		double		d = fabs(logits[i] - number(expected, i));

		worst = check_larger(worst, d);
	}
	CHECK_MSG(worst <= TOLERANCE, "%s, %s: logits differ by %g", name, kernels, worst);
}

/* each greedy token, after the reference's tokens so far, wherever the reference is sure enough */
static void
check_greedy(Loaded *l, const char *name, struct json_object *prompt, int32_t *ids, size_t n, float *logits)
{
	struct json_object *expected = field(prompt, "greedy_ids");
	struct json_object *margins = field(prompt, "greedy_margins");

	CHECK(length(expected) > 0 && length(expected) == length(margins));
	for (size_t i = 0; i < length(expected); i++)
	{
		int32_t		want = (int32_t) number(expected, i);

		CHECK(logits_after(l, ids, n + i, logits));
		CHECK_MSG(largest(logits, l->model->hp.n_vocab) == want || number(margins, i) <= 2 * TOLERANCE,
				  "%s: greedy token %zu is %d, not %d (margin %g)", name, i, largest(logits, l->model->hp.n_vocab), want,
				  number(margins, i));
		ids[n + i] = want;
	}
}

/* the mean likelihood of the prompt's own tokens */
static void
check_likelihood(Loaded *l, const char *name, struct json_object *prompt, const int32_t *ids, size_t n)
{
	LlmBranch	branch = {ids + 1, n - 1};
	LlmRequest *request;
	LlmError	err;
	double		expected = json_object_get_double(field(prompt, "nll_mean"));

	if (n < 2 || llm_request_score(l->scheduler, ids, 1, &branch, 1, &request, &err) != LLM_OK)
	{
		CHECK_MSG(false, "%s: likelihood not computed", name);
		return;
	}
	CHECK(llm_scheduler_run(l->scheduler, NULL, &err) == LLM_OK && llm_request_finish(request) == LLM_FINISH_STOP);
	if (llm_request_finish(request) == LLM_FINISH_STOP)
	{
		double		mean = -llm_request_scores(request)[0] / (double) branch.n_tokens;

		CHECK_MSG(fabs(mean - expected) <= 1e-3, "%s: negative log likelihood %g, not %g", name, mean, expected);
	}
	llm_request_free(request);
}

static void
check_prompt(Loaded *l, const char *name, struct json_object *prompt, bool all)
{
	struct json_object *expected_ids = field(prompt, "token_ids");
	size_t		n = length(expected_ids);
	int32_t    *ids = malloc((n + length(field(prompt, "greedy_ids")) + 1) * sizeof *ids);
	float	   *logits = calloc(l->model->hp.n_vocab, sizeof *logits);

	CHECK(ids && logits && n > 0);
	if (ids && logits && n > 0)
	{
		for (size_t i = 0; i < n; i++)
			ids[i] = (int32_t) number(expected_ids, i);
		CHECK(logits_after(l, ids, n, logits));
		check_logits(name, l->model->kernels->name, field(prompt, "logits_last"), logits, l->model->hp.n_vocab);
		if (all)
		{
			check_tokens(l, name, prompt, ids, n);
			check_likelihood(l, name, prompt, ids, n);
			check_greedy(l, name, prompt, ids, n, logits);
		}
	}
	free(ids);
	free(logits);
}

/* all prompts of a model at one CPU level; tokens and greedy text only where all is true */
static void
check_model(const char *folder, const char *name, struct json_object *reference, const LlmKernels *kernels, bool all)
{
	char		path[600];
	Loaded		l;
	LlmError	err;
	struct json_object *prompts = field(reference, "prompts");

	snprintf(path, sizeof path, "%s/%s.gguf", folder, name);
	if (load(path, kernels, &l, &err))
	{
		CHECK(length(prompts) > 0);
		for (size_t i = 0; i < length(prompts); i++)
			check_prompt(&l, name, json_object_array_get_idx(prompts, i), all);
	}
	else
		CHECK_MSG(false, "%s: %s", path, err.message);
	unload(&l);
}

/* models that embed or rank are for encoder_test.c and embed_test.c */
static bool
is_language_model(struct json_object *reference)
{
	struct json_object *prompts;
	struct json_object *logits;

	return json_object_object_get_ex(reference, "prompts", &prompts) && json_object_array_length(prompts) > 0 &&
		json_object_object_get_ex(json_object_array_get_idx(prompts, 0), "logits_last", &logits);
}

int
main(int argc, char **argv)
{
	const char *folder = argc > 1 ? argv[1] : "sql-tests/data/models";
	const LlmKernels *best = llmk_select(NULL, llmk_cpu_features());
	DIR		   *dir = opendir(folder);
	struct dirent *entry;
	int			n_models = 0;

	CHECK_MSG(dir != NULL, "cannot open %s", folder);
	while (dir && (entry = readdir(dir)))
	{
		size_t		len = strlen(entry->d_name);
		char		path[600];
		struct json_object *reference;

		if (len < 6 || len > 250 || strcmp(entry->d_name + len - 5, ".json") != 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		reference = json_object_from_file(path);
		CHECK_MSG(reference != NULL, "%s is not JSON", path);
		if (!is_language_model(reference))
		{
			json_object_put(reference);
			continue;
		}
		n_models++;
		entry->d_name[len - 5] = '\0';
		for (int i = 0; i < llmk_level_count(); i++)
		{
			const LlmKernels *level = llmk_level(i);

			if ((level->required & ~llmk_cpu_features()) == 0)
			{
				printf("%s, %s\n", entry->d_name, level->name);
				check_model(folder, entry->d_name, reference, level, level == best);
			}
		}
		json_object_put(reference);
	}
	if (dir)
		closedir(dir);
	CHECK_MSG(n_models > 0, "%s has no language model", folder);
	CHECK_DONE();
}
