/*
 * hf_windows.c: which layers see a window only: layer_types of new files, numbers, letters and switches of older ones.
 *
 * Source: transformers 4 and 5, configuration_*.py.
 */
#include "weights/hf/hf_params.h"

#include <json-c/json.h>
#include <string.h>

LlmStatus
llm_hf_layer_windows(LlmHfParams *p, bool **local)
{
	bool	   *known;

	LLM_TRY(llm_hf_layer_words(p, "layer_types", "sliding_attention", local));
	LLM_TRY(llm_hf_layer_words(p, "layer_types", "sliding_attention|full_attention", &known));
	for (uint64_t i = 0; *local && i < p->n_layer; i++)
		if (!known[i])
			return llm_hf_refuse(&p->config, "layer_types", json_object_array_get_idx(llm_hf_get(&p->config, "layer_types"), i));
	return LLM_OK;
}

/* a letter for each layer of a row that repeats: L has a window, G has none; the last layer of all never has one (EXAONE 4) */
static bool
letter_has_window(const LlmHfParams *p, const char *letters, size_t n, uint64_t layer)
{
	return letters[layer % n] == 'L' && layer + 1 < p->n_layer;
}

/* by letters, or where there are none from layer first on (Qwen) */
static LlmStatus
put_windows(LlmHfParams *p, struct json_object *pattern, uint64_t first)
{
	const char *letters = pattern ? json_object_get_string(pattern) : NULL;
	const size_t n = letters ? strlen(letters) : 0;
	bool	   *local;
	void	   *ptr;

	if (letters && (n == 0 || strspn(letters, "LG") != n))
		return llm_hf_refuse(&p->config, "sliding_window_pattern", pattern);
	LLM_TRY(llm_arena_alloc(&p->folder->arena, p->n_layer, sizeof(bool), &ptr, p->err));
	local = ptr;
	for (uint64_t i = 0; i < p->n_layer; i++)
		local[i] = letters ? letter_has_window(p, letters, n, i) : i >= first;
	return llm_hf_put_bools(p, "attention.sliding_window_pattern", local, p->n_layer);
}

/*
 * None if the configuration says so; else a length, and which layers have it. Where layers are not listed, the architecture's
 * own pattern holds, or what older files give: a number, letters, or the first layer that has one.
 */
LlmStatus
llm_hf_windows(LlmHfParams *p)
{
	struct json_object *pattern = llm_hf_get(&p->config, "sliding_window_pattern|_sliding_window_pattern");
	bool		found;
	bool		switched;
	bool		used = true;
	bool	   *local;
	uint64_t	window = 0;
	uint64_t	first;

	LLM_TRY(llm_hf_bool(&p->config, "use_sliding_window", &switched, &used));
	LLM_TRY(llm_hf_layer_windows(p, &local));
	LLM_TRY(llm_hf_uint(&p->config, "sliding_window", &found, &window));
	if (!used)
		window = 0;
	else if (found && window == 0 && strcmp(p->arch, "gemma-embedding") == 0)
		window = 1;				/* what is seen to both sides together, without the token itself */
	LLM_TRY(llm_hf_put_uint(p, "attention.sliding_window", window));
	if (local)
		return llm_hf_put_bools(p, "attention.sliding_window_pattern", local, p->n_layer);
	if (json_object_is_type(pattern, json_type_string))
		return put_windows(p, pattern, 0);
	if (pattern)
		return llm_hf_copy_uint(p, "sliding_window_pattern|_sliding_window_pattern", "attention.sliding_window_pattern");
	LLM_TRY(llm_hf_uint(&p->config, "max_window_layers", &found, &first));
	return found && switched && window > 0 ? put_windows(p, NULL, first) : LLM_OK;
}
