/*
 * model_identity.c: what of a model answers depend on, as a digest: content, adapters, options of its owner, numeric version.
 *
 * Two models of that digest answer alike, whatever they are called and whichever database they are in. One thing more can
 * matter: the time, where a chat template prints it.
 */
#include "models.h"
#include "sha256.h"

#include <time.h>

#include "kernels.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

/* conversions of strftime that are the same all day */
static const char date_conversions[] = "aAbBCdDeFgGhjmuUVwWxyY%";

static void
add_option(StringInfo s, const char *name, const char *value)
{
	if (value != NULL)
		appendStringInfo(s, "%s %zu %s\n", name, strlen(value), value);
}

void
pgllm_model_identify(const PgLlmSpec *spec, PgLlmModel *model)
{
	const LlmRopeOptions *rope = &spec->rope;
	StringInfoData s;

	initStringInfo(&s);
	appendStringInfo(&s, "content %s\nnumeric %d\nencoding %d\ncontext %u\nkv %d\n", model->digest, LLM_NUMERIC_VERSION,
					 GetDatabaseEncoding(), model->model->n_ctx, (int) spec->kv_type);
	appendStringInfo(&s, "rope %d %.17g %.17g %u %d %.17g %.17g %.17g %.17g\n", (int) rope->scaling, rope->freq_base, rope->freq_scale,
					 rope->yarn_orig_ctx, rope->has_ext_factor, rope->yarn_ext_factor, rope->yarn_attn_factor, rope->yarn_beta_fast,
					 rope->yarn_beta_slow);
	add_option(&s, "template", spec->chat_template);
	add_option(&s, "query", spec->query_prefix);
	add_option(&s, "document", spec->document_prefix);
	pgllm_sha256(s.data, s.len, model->identity);
	pfree(s.data);
}

/* ---- time ---- */

/* whether a call of strftime_now, from after its name on, has a format in quotes that shows the date only */
static bool
shows_date_only(const char *call, const char *end)
{
	char		quote;

	while (call < end && (*call == '(' || *call == ' '))
		call++;
	if (call == end || (*call != '"' && *call != '\''))
		return false;
	for (quote = *call++; call < end && *call != quote; call++)
	{
		if (*call == '\\')
			return false;
		if (*call != '%')
			continue;
		call++;
		if (call < end && *call == '-')
			call++;
		if (call == end || *call == '\0' || strchr(date_conversions, *call) == NULL)
			return false;
	}
	return call < end;
}

static PgLlmClock
clock_of(LlmStr source)
{
	static const char name[] = "strftime_now";
	const char *end = source.data + source.len;
	PgLlmClock	clock = PGLLM_CLOCK_NONE;

	for (const char *at = source.data; at != NULL && (at = memmem(at, end - at, name, strlen(name))) != NULL;)
	{
		at += strlen(name);
		/* templates test whether there is such a function: "strftime_now is defined" */
		if (strncmp(at, " is defined", Min((size_t) (end - at), strlen(" is defined"))) == 0)
			continue;
		if (!shows_date_only(at, end))
			return PGLLM_CLOCK_SECOND;
		clock = PGLLM_CLOCK_DAY;
	}
	return clock;
}

void
pgllm_model_find_clock(const PgLlmSpec *spec, PgLlmModel *model)
{
	LlmStr		source = {.data = NULL, .len = 0};
	LlmError	err;

	if (spec->chat_template != NULL)
		source = (LlmStr) {.data = spec->chat_template, .len = strlen(spec->chat_template)};
	else if (model->model->chat_template != NULL)
		PGLLM_CHECK(llm_meta_string(&model->model->pack.meta, "tokenizer.chat_template", false, &source, &err), &err);
	model->clock = clock_of(source);
}

int64_t
pgllm_model_time(const PgLlmModel *model)
{
	int64_t		now = pgllm_statement_time();
	time_t		seconds = (time_t) now;
	struct tm	tm;

	switch (model->clock)
	{
		case PGLLM_CLOCK_NONE:
			return 0;
		case PGLLM_CLOCK_DAY:
			if (localtime_r(&seconds, &tm) != NULL)
				return tm.tm_year * 366 + tm.tm_yday;
			break;
		case PGLLM_CLOCK_SECOND:
			break;
	}
	return now;
}
