/*
 * tokenizer_models.h: metadata of a small tokenizer of each kind, those of tokenizer.json from sql-tests/data/tokenizers.
 */
#ifndef LLM_TEST_TOKENIZER_MODELS_H
#define LLM_TEST_TOKENIZER_MODELS_H

#include "check.h"
#include "gguf_writer.h"
#include "tokenizer_cases.h"

#include <json-c/json.h>

#define TOKENIZER_N(array) (sizeof(array) / sizeof((array)[0]))
#define TOKENIZER_FOLDER "sql-tests/data/tokenizers/"

static inline void
tokenizer_put_json(GgufWriter *w, const char *name)
{
	char		path[256];
	struct json_object *all;

	snprintf(path, sizeof(path), TOKENIZER_FOLDER "%s.json", name);
	all = json_object_from_file(path);
	CHECK_MSG(all != NULL, "%s", path);
	gw_string(w, "tokenizer.ggml.model", "huggingface");
	gw_string(w, "tokenizer.huggingface.json",
			  json_object_to_json_string_ext(json_object_object_get(all, "tokenizer"), JSON_C_TO_STRING_PLAIN));
	json_object_put(all);
}

static const char *const tokenizer_hf_names[] = {"llama3", "gemma", "llama2", "bert", "word_level", "flags", "unigram_bytes"};

#define TOKENIZER_MODELS ((int) (5 + TOKENIZER_N(tokenizer_hf_names)))

static inline void
tokenizer_put_model(GgufWriter *w, int model)
{
	static const char *const kinds[] = {"gpt2", "llama", "bert", "t5", "none"};

	if (model >= 5)
	{
		tokenizer_put_json(w, tokenizer_hf_names[model - 5]);
		return;
	}
	gw_string(w, "tokenizer.ggml.model", kinds[model]);
	if (model == 0)
	{
		gw_string(w, "tokenizer.ggml.pre", "smollm");
		gw_strings(w, "tokenizer.ggml.tokens", bpe_tokens, TOKENIZER_N(bpe_tokens));
		gw_strings(w, "tokenizer.ggml.merges", bpe_merges, TOKENIZER_N(bpe_merges));
	}
	else if (model == 2)
	{
		gw_strings(w, "tokenizer.ggml.tokens", wordpiece_tokens, TOKENIZER_N(wordpiece_tokens));
		gw_i32s(w, "tokenizer.ggml.token_type", wordpiece_types, TOKENIZER_N(wordpiece_types));
	}
	else
	{
		gw_strings(w, "tokenizer.ggml.tokens", spm_tokens, TOKENIZER_N(spm_tokens));
		gw_f32s(w, "tokenizer.ggml.scores", spm_scores, TOKENIZER_N(spm_scores));
		gw_i32s(w, "tokenizer.ggml.token_type", spm_types, TOKENIZER_N(spm_types));
	}
}

#endif
