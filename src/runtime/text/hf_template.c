/*
 * hf_template.c: post-processors: which tokens stand around a text, or around and between two.
 *
 * All become two templates: lists of tokens and of places for the texts. Steps of a sequence that only move offsets
 * (ByteLevel) do nothing here.
 */
#include "text/hf.h"

#include <json-c/json.h>
#include <string.h>

#define MAX_NESTING 8

static struct json_object *
member(struct json_object *o, const char *key)
{
	struct json_object *value = NULL;

	return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &value) ? value : NULL;
}

static LlmStatus
add_piece(LlmHfTemplate *template, LlmHfPiece piece, LlmError *err)
{
	if (template->n == LLM_HF_MAX_PIECES)
		return llm_fail(err, LLM_E_LIMIT, "a template of tokenizer.json has more than %d tokens", LLM_HF_MAX_PIECES);
	template->piece[template->n++] = piece;
	return LLM_OK;
}

static LlmStatus
add_token(const LlmTokenizer *t, LlmHfTemplate *template, struct json_object *id, uint32_t type_id, LlmError *err)
{
	int64_t		value = json_object_is_type(id, json_type_int) ? json_object_get_int64(id) : -1;

	if (value < 0 || value >= t->n_vocab)
		return llm_fail(err, LLM_E_FORMAT, "a post-processor of tokenizer.json names token %s, but the vocabulary has %d",
						json_object_to_json_string(id), (int) t->n_vocab);
	return add_piece(template, (LlmHfPiece) {(int32_t) value, false, type_id}, err);
}

static LlmStatus
add_text(LlmHfTemplate *template, bool second, uint32_t type_id, LlmError *err)
{
	return add_piece(template, (LlmHfPiece) {-1, second, type_id}, err);
}

/* [{"SpecialToken": {"id", "type_id"}}, {"Sequence": {"id": "A", "type_id"}}, …] */
static LlmStatus
read_pieces(const LlmTokenizer *t, struct json_object *list, struct json_object *tokens, LlmHfTemplate *template, LlmError *err)
{
	size_t		n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;

	template->n = 0;
	for (size_t i = 0; i < n; i++)
	{
		struct json_object *o = json_object_array_get_idx(list, i);
		struct json_object *text = member(o, "Sequence");
		struct json_object *part = text ? text : member(o, "SpecialToken");
		struct json_object *id = member(part, "id");
		uint32_t	type_id = (uint32_t) json_object_get_int64(member(part, "type_id"));
		const char *name = json_object_is_type(id, json_type_string) ? json_object_get_string(id) : "";
		struct json_object *ids = text ? NULL : member(member(tokens, name), "ids");

		if (!part || (text && strcmp(name, "A") != 0 && strcmp(name, "B") != 0) || (!text && !json_object_is_type(ids, json_type_array)))
			return llm_fail(err, LLM_E_FORMAT, "part %zu of a template of tokenizer.json is neither a text nor a known token", i);
		if (text)
			LLM_TRY(add_text(template, name[0] == 'B', type_id, err));
		for (size_t k = 0; ids && k < json_object_array_length(ids); k++)
			LLM_TRY(add_token(t, template, json_object_array_get_idx(ids, k), type_id, err));
	}
	return LLM_OK;
}

/* the texts of a template, in order and each once: others are not supported */
static LlmStatus
check_texts(const LlmHfTemplate *template, int n_texts, LlmError *err)
{
	int			n = 0;

	for (int i = 0; i < template->n; i++)
	{
		if (template->piece[i].id >= 0)
			continue;
		if (n == n_texts || template->piece[i].second != (n == 1))
			return llm_fail(err, LLM_E_UNSUPPORTED, "a template of tokenizer.json that repeats or turns around its texts is not supported");
		n++;
	}
	return n == n_texts ? LLM_OK : llm_fail(err, LLM_E_FORMAT, "a template of tokenizer.json has %d texts instead of %d", n, n_texts);
}

/* {"sep": ["[SEP]", 102], "cls": ["[CLS]", 101]} */
static LlmStatus
read_cls_sep(const LlmTokenizer *t, struct json_object *o, bool roberta, LlmHf *hf, LlmError *err)
{
	struct json_object *sep_pair = member(o, "sep");
	struct json_object *cls_pair = member(o, "cls");
	struct json_object *sep;
	struct json_object *cls;

	if (!json_object_is_type(sep_pair, json_type_array) || !json_object_is_type(cls_pair, json_type_array))
		return llm_fail(err, LLM_E_FORMAT, "a post-processor of tokenizer.json has no tokens \"sep\" and \"cls\"");
	sep = json_object_array_get_idx(sep_pair, 1);
	cls = json_object_array_get_idx(cls_pair, 1);
	hf->single.n = 0;
	hf->pair.n = 0;
	for (int k = 0; k < 2; k++)
	{
		LlmHfTemplate *template = k ? &hf->pair : &hf->single;

		LLM_TRY(add_token(t, template, cls, 0, err));
		LLM_TRY(add_text(template, false, 0, err));
		LLM_TRY(add_token(t, template, sep, 0, err));
	}
	if (roberta)
		LLM_TRY(add_token(t, &hf->pair, sep, 0, err));
	LLM_TRY(add_text(&hf->pair, true, roberta ? 0 : 1, err));
	return add_token(t, &hf->pair, sep, roberta ? 0 : 1, err);
}

static LlmStatus
read_processor(LlmTokenizer *t, struct json_object *o, int nesting, bool *templated, LlmError *err)
{
	LlmHf	   *hf = t->hf;
	struct json_object *type_value = member(o, "type");
	const char *type = json_object_is_type(type_value, json_type_string) ? json_object_get_string(type_value) : "";
	struct json_object *list = member(o, "processors");

	if (strcmp(type, "ByteLevel") == 0)
		return LLM_OK;
	if (strcmp(type, "Sequence") == 0 && nesting < MAX_NESTING && json_object_is_type(list, json_type_array))
	{
		for (size_t i = 0; i < json_object_array_length(list); i++)
			LLM_TRY(read_processor(t, json_object_array_get_idx(list, i), nesting + 1, templated, err));
		return LLM_OK;
	}
	if (*templated)
		return llm_fail(err, LLM_E_UNSUPPORTED, "two post-processors of tokenizer.json that add tokens are not supported");
	*templated = true;
	if (strcmp(type, "TemplateProcessing") == 0)
	{
		LLM_TRY(read_pieces(t, member(o, "single"), member(o, "special_tokens"), &hf->single, err));
		LLM_TRY(read_pieces(t, member(o, "pair"), member(o, "special_tokens"), &hf->pair, err));
		LLM_TRY(check_texts(&hf->single, 1, err));
		return check_texts(&hf->pair, 2, err);
	}
	if (strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0)
		return read_cls_sep(t, o, type[0] == 'R', hf, err);
	return llm_fail(err, LLM_E_UNSUPPORTED, "post-processor \"%.64s\" of tokenizer.json is not supported", type);
}

LlmStatus
llm_hf_read_template(LlmTokenizer *t, struct json_object *o, LlmError *err)
{
	LlmHf	   *hf = t->hf;
	bool		templated = false;

	LLM_TRY(add_text(&hf->single, false, 0, err));
	LLM_TRY(add_text(&hf->pair, false, 0, err));
	LLM_TRY(add_text(&hf->pair, true, 1, err));
	return o ? read_processor(t, o, 0, &templated, err) : LLM_OK;
}
