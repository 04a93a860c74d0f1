/*
 * rank.c: a query with a document as tokens, and the relevance that comes out.
 *
 * A cross-encoder reads the pair as its tokenizer puts two texts together: [CLS] query [SEP] document [SEP], the second text
 * with token type 1 (BERT), or <s> query </s></s> document </s> (RoBERTa). A generative reranker has a template in metadata
 * "tokenizer.chat_template.rerank", a text with {query} and {document}; an instruction takes the place of {instruction}, or of
 * what stands between "<Instruct>: " and the end of that line.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "serve/embed.h"
#include "serve/prompt_parts.h"

#define INSTRUCT "<Instruct>: "

typedef struct RankTexts
{
	LlmStr		instruction;
	LlmStr		query;
	LlmStr		document;
} RankTexts;

static LlmStatus
fail_too_long(const LlmModel *model, size_t n_tokens, LlmError *err)
{
	LlmStatus	status = llm_fail(err, LLM_E_LIMIT, "query and document have %zu tokens, more than the context of %u tokens",
								  n_tokens, model->n_ctx);

	llm_error_hint(err, "Shorten the document or the query, or have the document truncated.");
	return status;
}

static LlmStatus
refuse_instruction(LlmError *err)
{
	LlmStatus	status = llm_fail(err, LLM_E_UNSUPPORTED, "the model takes no instruction for ranking");

	llm_error_hint(err, "Leave the instruction out.");
	return status;
}

/* ---- pairs ---- */

/* tokens of query and document as a pair; types: as llm_tokenize_pair gives them */
static LlmStatus
add_pair(const LlmTokenizer *t, LlmStr query, LlmStr document, const LlmStop *stop, LlmTokens *out, LlmBuf *types, LlmError *err)
{
	return llm_tokenize_pair(t, (LlmText) {query.data, NULL, query.len}, (LlmText) {document.data, NULL, document.len},
							 LLM_TOKENIZE_ADD_SPECIAL, stop, out, types, err);
}

/*
 * The document is cut, so that the tokens of a pair, out's from `first` on, fit into the context: LLM_E_LIMIT if nothing would
 * be left of it. How many tokens come before it, a pair without a document tells.
 */
static LlmStatus
cut_document(const LlmModel *model, LlmStr query, const LlmStop *stop, size_t first, LlmTokens *out, LlmError *err)
{
	const size_t n = out->n;
	const size_t n_after = llm_tokenizer_n_after(model->tokenizer, true);
	size_t		n_least;

	LLM_TRY(add_pair(model->tokenizer, query, (LlmStr) {"", 0}, stop, out, NULL, err));
	n_least = out->n - n;
	out->n = n;
	if (n_least >= model->n_ctx)
		return fail_too_long(model, n - first, err);
	llm_tokens_cut(out, first + model->n_ctx, n_after);
	return LLM_OK;
}

/* where the ids with type 1 begin, which are the last; 0: there are none */
static size_t
first_of_second(const LlmBuf *types)
{
	const char *at = types->len ? memchr(types->data, 1, types->len) : NULL;

	return at ? (size_t) (at - types->data) : 0;
}

/* as llm_rank_tokens; on an error out may have grown */
static LlmStatus
pair_tokens(const LlmModel *model, const RankTexts *texts, bool truncate, const LlmStop *stop, LlmTokens *out, size_t *n_query,
			LlmError *err)
{
	const size_t first = out->n;
	LlmBuf		types;
	LlmStatus	status;

	if (texts->instruction.len > 0)
		return refuse_instruction(err);
	llm_buf_init(&types, out->allocator);
	status = add_pair(model->tokenizer, texts->query, texts->document, stop, out, &types, err);
	*n_query = first_of_second(&types);
	llm_buf_free(&types);
	LLM_TRY(status);
	if (out->n - first <= model->n_ctx)
		return LLM_OK;
	if (!truncate)
		return fail_too_long(model, out->n - first, err);
	return cut_document(model, texts->query, stop, first, out, err);
}

/* ---- templates ---- */

/* the end of needle in text from `from` on; len: not there. *at: where it begins */
static size_t
find(LlmStr text, size_t from, const char *needle, size_t *at)
{
	const char *p = from < text.len ? memmem(text.data + from, text.len - from, needle, strlen(needle)) : NULL;

	*at = p ? (size_t) (p - text.data) : text.len;
	return p ? *at + strlen(needle) : text.len;
}

/* [*begin, *end) of the template is what an instruction takes the place of; false: there is no such place */
static bool
find_instruction(LlmStr template, size_t *begin, size_t *end)
{
	*end = find(template, 0, "{instruction}", begin);
	if (*begin < template.len)
		return true;
	*begin = find(template, 0, INSTRUCT, end);
	if (*begin == template.len)
		return false;
	find(template, *begin, "\n", end);
	return true;
}

/* template bytes [from, to), with the texts in their places */
static LlmStatus
add_filled(LlmParts *parts, LlmStr template, size_t from, size_t to, const RankTexts *texts, LlmError *err)
{
	while (from < to)
	{
		size_t		query;
		size_t		document;
		size_t		after_query = find(template, from, "{query}", &query);
		size_t		after_document = find(template, from, "{document}", &document);
		size_t		at = query < document ? query : document;
		const LlmStr *text = query < document ? &texts->query : &texts->document;

		if (at >= to)
			return llm_parts_add(parts, template.data + from, to - from, false, err);
		LLM_TRY(llm_parts_add(parts, template.data + from, at - from, false, err));
		LLM_TRY(llm_parts_add(parts, text->data, text->len, true, err));
		from = query < document ? after_query : after_document;
	}
	return LLM_OK;
}

static LlmStatus
fill_template(LlmStr template, const RankTexts *texts, LlmParts *parts, LlmError *err)
{
	size_t		begin;
	size_t		end;
	const bool	has_place = find_instruction(template, &begin, &end);

	if (texts->instruction.len == 0)
		return add_filled(parts, template, 0, template.len, texts, err);
	if (!has_place)
		return refuse_instruction(err);
	LLM_TRY(add_filled(parts, template, 0, begin, texts, err));
	LLM_TRY(llm_parts_add(parts, texts->instruction.data, texts->instruction.len, true, err));
	return add_filled(parts, template, end, template.len, texts, err);
}

static LlmStatus
tokenize_filled(const LlmModel *model, LlmStr template, const RankTexts *texts, const LlmStop *stop, LlmTokens *out, LlmError *err)
{
	LlmParts	parts;
	LlmStatus	status;

	llm_parts_init(&parts, out->allocator);
	status = fill_template(template, texts, &parts, err);
	if (status == LLM_OK)
		status = llm_tokenize(model->tokenizer, llm_parts_text(&parts), LLM_TOKENIZE_PARSE_SPECIAL, stop, out, err);
	llm_parts_free(&parts);
	return status;
}

/*
 * As llm_rank_tokens. A document that is too long is cut by bytes, in proportion to the tokens that are too many, until the
 * whole fits: a few times, as each cut takes a tenth more than seems needed.
 */
static LlmStatus
template_tokens(const LlmModel *model, LlmStr template, RankTexts texts, bool truncate, const LlmStop *stop, LlmTokens *out,
				LlmError *err)
{
	const size_t first = out->n;

	for (;;)
	{
		size_t		n;
		size_t		drop;

		LLM_TRY(tokenize_filled(model, template, &texts, stop, out, err));
		n = out->n - first;
		if (n <= model->n_ctx)
			return LLM_OK;
		if (!truncate || texts.document.len == 0)
			return fail_too_long(model, n, err);
		drop = (size_t) ((double) texts.document.len * (double) (n - model->n_ctx) / (double) n * 1.1) + 1;
		texts.document.len -= drop < texts.document.len ? drop : texts.document.len;
		texts.document.len = llm_utf8_complete_prefix(texts.document.data, texts.document.len);
		out->n = first;
	}
}

LlmStatus
llm_rank_tokens(const LlmModel *model, LlmStr instruction, LlmStr query, LlmStr document, bool truncate, const LlmStop *stop,
				LlmTokens *out, size_t *n_query, LlmError *err)
{
	const RankTexts texts = {instruction, query, document};
	const size_t n_before = out->n;
	LlmStr		template = {NULL, 0};
	LlmStatus	status;
	size_t		at;

	if (model->pooling != LLM_POOLING_RANK)
	{
		status = llm_fail(err, LLM_E_UNSUPPORTED, "the model does not rank: it has no classifier");
		llm_error_hint(err, "Use a reranking model.");
		return status;
	}
	LLM_TRY(llm_meta_string(&model->pack.meta, "tokenizer.chat_template.rerank", false, &template, err));
	*n_query = 0;
	if (template.len == 0)
		status = pair_tokens(model, &texts, truncate, stop, out, n_query, err);
	else if (find(template, 0, "{query}", &at) == at || find(template, 0, "{document}", &at) == at)
	{
		status = llm_fail(err, LLM_E_UNSUPPORTED, "the model's template for ranking has no place for {query} or {document}");
		llm_error_hint(err, "The template is metadata \"tokenizer.chat_template.rerank\".");
	}
	else
		status = template_tokens(model, template, texts, truncate, stop, out, err);
	if (status != LLM_OK)
		out->n = n_before;
	return status;
}

/* ---- relevance ---- */

/* the output that stands for "relevant": by its label; else the first of a generative model, the second of two others */
static uint32_t
yes_output(const LlmModel *model)
{
	static const char *const names[] = {"yes", "true", "relevant", "entailment", "positive", "LABEL_1"};
	const uint32_t n = model->head.n_outputs;
	const LlmMetaArray *labels = NULL;
	char		key[128];
	LlmError	unused;

	snprintf(key, sizeof(key), "%s.classifier.output_labels", model->arch->name);
	if (llm_meta_array(&model->pack.meta, key, false, LLM_META_STRING, &labels, &unused) != LLM_OK)
		labels = NULL;
	for (uint32_t i = 0; labels && i < n && i < labels->count; i++)
	{
		LlmStr		label = llm_meta_array_string(labels, i);

		for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
		{
			if (label.len == strlen(names[k]) && strncasecmp(label.data, names[k], label.len) == 0)
				return i;
		}
	}
	return !model->hp.causal && n == 2 ? 1 : 0;
}

double
llm_rank_score(const LlmModel *model, const float *outputs)
{
	const uint32_t n = model->head.n_outputs;
	const uint32_t yes = yes_output(model);
	double		sum = 0;

	if (n == 1)
		return 1 / (1 + llmk_exp(-(double) outputs[0]));
	for (uint32_t i = 0; i < n; i++)
		sum += llmk_exp((double) outputs[i] - outputs[yes]);
	return 1 / sum;
}
