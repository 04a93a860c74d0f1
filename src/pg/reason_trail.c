/*
 * reason_trail.c: writing a trail.
 *
 *   version   of this form
 *   model     name, digest of the content, identity (content and the owner's options, as model_identity.c says), numeric version
 *   settings  samples asked for, max_tokens, temperature, seed, think_budget
 *   options   as they were given
 *   prompt    tokens and text
 *   samples   each with seed, tokens, thinking and text, log probabilities, why it ended, its answer and the answer's key
 *   result    answer, votes, samples drawn, confidence
 *   texts     of llm_reason_agg: rows, partial answers made of them, digest of the texts
 *   seal      SHA-256 over all the others
 *
 * The seal tells that something was changed, by accident or by hand; whoever can write trails can seal them, so the proof is
 * to run it again.
 */
#include "reason.h"
#include "sha256.h"

#include <math.h>

#include "kernels.h"
#include "common/shortest_dec.h"
#include "utils/builtins.h"
#include "utils/json.h"

/* "key": text as a JSON string; false if the server's encoding lacks a character */
static bool
add_text(StringInfo s, const char *key, const char *bytes, size_t len, LlmError *err)
{
	text	   *value = pgllm_from_utf8_or_error(bytes ? bytes : "", len, err);

	if (value == NULL)
		return false;
	appendStringInfo(s, ", \"%s\": ", key);
	escape_json(s, text_to_cstring(value));
	return true;
}

static void
add_tokens(StringInfo s, const int32_t *ids, size_t n)
{
	appendStringInfoString(s, "\"tokens\": [");
	for (size_t i = 0; i < n; i++)
		appendStringInfo(s, "%s%d", i == 0 ? "" : ", ", ids[i]);
	appendStringInfoChar(s, ']');
}

/* the shortest digits that are this float and no other; JSON has no infinity */
static void
add_float(StringInfo s, float value)
{
	char		digits[FLOAT_SHORTEST_DECIMAL_LEN];

	float_to_shortest_decimal_buf(value, digits);
	appendStringInfoString(s, isfinite(value) ? digits : "null");
}

static void
add_logprobs(StringInfo s, const float *logprobs, size_t n)
{
	appendStringInfoString(s, ", \"logprobs\": [");
	for (size_t i = 0; i < n; i++)
	{
		appendStringInfoString(s, i == 0 ? "" : ", ");
		add_float(s, logprobs[i]);
	}
	appendStringInfoChar(s, ']');
}

static bool
add_answer(StringInfo s, const char *key, const LlmBuf *answer, bool has_one, LlmError *err)
{
	if (has_one)
		return add_text(s, key, answer->data, answer->len, err);
	appendStringInfo(s, ", \"%s\": null", key);
	return true;
}

static bool
add_sample(StringInfo s, const PgLlmReasonRun *run, int i, LlmError *err)
{
	const LlmGeneration *g = &run->samples[i];
	const bool	has_answer = run->keys[i].len > 0;

	appendStringInfo(s, "%s{\"seed\": " INT64_FORMAT ", ", i == 0 ? "" : ", ", (int64) (run->seed + (uint64) i));
	add_tokens(s, g->tokens, g->n_tokens);
	add_logprobs(s, g->token_logprobs, g->n_tokens);
	if (g->answer_off > 0 && !add_text(s, "thinking", g->text, g->answer_off, err))
		return false;
	if (!add_text(s, "text", g->text + g->answer_off, g->text_len - g->answer_off, err) ||
		!add_answer(s, "answer", &run->answers[i], has_answer, err) || !add_answer(s, "key", &run->keys[i], has_answer, err))
		return false;
	appendStringInfo(s, ", \"finish_reason\": \"%s\"}", g->finish == LLM_FINISH_LENGTH ? "length" : "stop");
	return true;
}

static void
add_settings(StringInfo s, const PgLlmReasonRun *run)
{
	const PgLlmReasonArgs *args = run->args;

	appendStringInfo(s, "{\"version\": %d, \"settings\": {\"samples\": %d, \"max_tokens\": %d, \"temperature\": ",
					 PGLLM_REASON_TRAIL_VERSION, args->samples, args->generate.options.max_tokens);
	add_float(s, args->generate.options.sampling.temperature);
	appendStringInfo(s, ", \"seed\": " INT64_FORMAT ", \"think_budget\": ", (int64) run->seed);
	if (args->has_budget)
		appendStringInfo(s, "%u}", args->think_budget);
	else
		appendStringInfoString(s, "null}");
	appendStringInfoString(s, ", \"options\": ");
	if (args->given != NULL)
		(void) JsonbToCString(s, &args->given->root, VARSIZE(args->given));
	else
		appendStringInfoString(s, "{}");
}

static bool
add_prompt(StringInfo s, const PgLlmReasonRun *run, LlmError *err)
{
	LlmBuf		bytes;

	llm_buf_init(&bytes, pgllm_allocator(CurrentMemoryContext));
	PGLLM_CHECK(llm_detokenize(run->model->model->tokenizer, run->prompt->ids, run->prompt->n, true, &bytes, err), err);
	appendStringInfoString(s, ", \"prompt\": {");
	add_tokens(s, run->prompt->ids, run->prompt->n);
	if (!add_text(s, "text", bytes.data, bytes.len, err))
		return false;
	appendStringInfoChar(s, '}');
	return true;
}

Jsonb *
pgllm_trail_body(const PgLlmReasonRun *run, LlmError *err)
{
	StringInfoData s;

	initStringInfo(&s);
	add_settings(&s, run);
	if (!add_prompt(&s, run, err))
		return NULL;
	appendStringInfoString(&s, ", \"samples\": [");
	for (int i = 0; i < run->n_samples; i++)
		if (!add_sample(&s, run, i, err))
			return NULL;
	appendStringInfo(&s, "], \"result\": {\"votes\": %d, \"samples\": %d, \"confidence\": ", run->votes, run->n_samples);
	add_float(&s, (float) run->votes / (float) run->n_samples);
	if (!add_answer(&s, "answer", run->winner >= 0 ? &run->answers[run->winner] : NULL, run->winner >= 0, err))
		return NULL;
	appendStringInfoString(&s, "}}");
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(s.data)));
}

/* ---- model and seal ---- */

static Jsonb *
concat(Jsonb *a, const char *b)
{
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(a), DirectFunctionCall1(jsonb_in, CStringGetDatum(b))));
}

char *
pgllm_trail_hex(const uint8 *bytes, int n)
{
	char	   *out = palloc(2 * n + 1);

	for (int i = 0; i < n; i++)
		sprintf(out + 2 * i, "%02x", bytes[i]);
	return out;
}

Jsonb *
pgllm_trail_with(Jsonb *body, const char *key, const char *value)
{
	return concat(body, psprintf("{\"%s\": %s}", key, value));
}

char *
pgllm_trail_seal(Jsonb *trail)
{
	Jsonb	   *rest = DatumGetJsonbP(DirectFunctionCall2(jsonb_delete, JsonbPGetDatum(trail), CStringGetTextDatum("seal")));
	LlmStr		all = pgllm_cstring_to_utf8(JsonbToCString(NULL, &rest->root, VARSIZE(rest)));
	char	   *seal = palloc(2 * PG_SHA256_DIGEST_LENGTH + 1);

	pgllm_sha256_hex(all.data, all.len, seal);
	return seal;
}

Jsonb *
pgllm_trail_whole(Jsonb *body, const PgLlmModel *model, const char *name)
{
	StringInfoData s;
	Jsonb	   *trail;

	initStringInfo(&s);
	appendStringInfoString(&s, "{\"model\": {\"name\": ");
	escape_json(&s, name);
	appendStringInfo(&s, ", \"digest\": \"%s\", \"identity\": \"%s\", \"numeric_version\": %d}}", model->digest,
					 pgllm_trail_hex(model->identity, sizeof model->identity), LLM_NUMERIC_VERSION);
	trail = concat(body, s.data);
	return concat(trail, psprintf("{\"seal\": \"%s\"}", pgllm_trail_seal(trail)));
}
