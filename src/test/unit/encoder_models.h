/*
 * encoder_models.h: the small encoders of sql-tests/data/encoders, made by src/test/references/encoders.py, with what Hugging
 * Face computes on them: texts are token ids by a formula, results are vectors.
 */
#ifndef LLM_TEST_ENCODER_MODELS_H
#define LLM_TEST_ENCODER_MODELS_H

#include <json-c/json.h>

#include "test_model.h"
#include "serve/embed.h"

#define ENCODER_FOLDER "sql-tests/data/encoders"
#define ENCODER_VOCAB 96
#define MAX_ENCODER_PROMPTS 16
#define MAX_ENCODER_TOKENS 1024
#define MAX_ENCODER_VALUES 64

typedef struct EncoderPrompt
{
	int			n;
	int32_t		ids[MAX_ENCODER_TOKENS];
	int			n_values;
	double		values[MAX_ENCODER_VALUES];
} EncoderPrompt;

static const char *const encoder_names[] = {"bert-cross", "eurobert", "gemma-embedding", "jina-bert-v2", "jina-bert-v2-code",
	"jina-bert-v3", "llama-embed", "modern-bert", "modern-bert-cross", "nomic-bert", "nomic-bert-moe", "qwen3-both", "qwen3-last",
	"xlm-roberta", "xlm-roberta-cross"};
#define N_ENCODERS ((int) (sizeof(encoder_names) / sizeof(encoder_names[0])))

static inline struct json_object *
encoder_field(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return value;
}

static inline struct json_object *
encoder_reference(const char *name)
{
	char		path[200];
	struct json_object *reference;

	snprintf(path, sizeof path, ENCODER_FOLDER "/%s.json", name);
	reference = json_object_from_file(path);
	CHECK_MSG(reference != NULL, "%s", path);
	return reference;
}

static inline int
encoder_values(struct json_object *values, double *out)
{
	int			n = (int) json_object_array_length(values);

	CHECK(n > 0 && n <= MAX_ENCODER_VALUES);
	for (int i = 0; i < n; i++)
		out[i] = json_object_get_double(json_object_array_get_idx(values, (size_t) i));
	return n;
}

/* the same ids as formula_ids in encoders.py */
static inline void
encoder_ids(int n, int32_t bos, int32_t eos, int32_t *ids)
{
	for (int i = 0; i < n; i++)
		ids[i] = (7 * i * i + 3 * i + 5) % (ENCODER_VOCAB - 5) + 5;
	ids[0] = bos;
	if (n > 1)
		ids[n - 1] = eos;
}

/* number of prompts */
static inline int
encoder_prompts(struct json_object *reference, EncoderPrompt *out)
{
	struct json_object *prompts = encoder_field(reference, "prompts");
	int			n = (int) json_object_array_length(prompts);

	CHECK(n > 0 && n <= MAX_ENCODER_PROMPTS);
	for (int i = 0; i < n; i++)
	{
		struct json_object *p = json_object_array_get_idx(prompts, (size_t) i);

		out[i].n = json_object_get_int(encoder_field(p, "n"));
		CHECK(out[i].n > 0 && out[i].n <= MAX_ENCODER_TOKENS);
		encoder_ids(out[i].n, json_object_get_int(encoder_field(p, "bos")), json_object_get_int(encoder_field(p, "eos")), out[i].ids);
		out[i].n_values = encoder_values(encoder_field(p, "values"), out[i].values);
	}
	return n;
}

static inline TestModel
encoder_open(const char *name, const LlmModelOptions *options, const LlmKernels *kernels)
{
	char		path[200];

	snprintf(path, sizeof path, ENCODER_FOLDER "/%s.gguf", name);
	return test_model_open(path, options, kernels);
}

/* a request of the model's kind */
static inline LlmStatus
encoder_add(LlmScheduler *s, const LlmModel *model, const int32_t *ids, int n, LlmRequest **out, LlmError *err)
{
	if (llm_model_kind(model) == LLM_MODEL_RERANK)
		return llm_request_rank(s, ids, (size_t) n, 0, out, err);
	return llm_request_embed(s, ids, (size_t) n, out, err);
}

static inline int
encoder_width(const LlmModel *model)
{
	return (int) (llm_model_kind(model) == LLM_MODEL_RERANK ? llm_rank_outputs(model) : llm_embedding_size(model));
}

#endif
