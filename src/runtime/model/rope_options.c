/*
 * rope_options.c: what the owner of a model may say about rope, as names and texts: options of a server, flags of the tool.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/rope_options.h"

typedef struct RopeOption
{
	const char *name;
	size_t		field;			/* a double in LlmRopeOptions */
	double		min;
	double		max;
	const char *hint;
} RopeOption;

#define FIELD(name) offsetof(LlmRopeOptions, name)

static const RopeOption numbers[] = {
	{"rope_freq_base", FIELD(freq_base), 1.001, 1e15, "Give the base of rope's frequencies, from 1.001 to 1e15."},
	{"rope_freq_scale", FIELD(freq_scale), 1e-6, 1e6, "Give what positions are multiplied by, from 1e-6 to 1e6: 0.25 reaches four times as far."},
	{"yarn_orig_ctx", FIELD(yarn_orig_ctx), 1, LLM_MAX_CONTEXT, "Give the context that the model was trained for before it was scaled, from 1 to 67108864."},
	{"yarn_ext_factor", FIELD(yarn_ext_factor), 0, 1, "Give the share of fast pairs that YaRN leaves as they are, from 0 to 1; 1 is as published."},
	{"yarn_attn_factor", FIELD(yarn_attn_factor), 1e-3, 1e3, "Give what cosine and sine are multiplied by, from 0.001 to 1000."},
	{"yarn_beta_fast", FIELD(yarn_beta_fast), 1e-6, 1e6, "Give a number of turns over the original context, from 1e-6 to 1e6; 32 is as published."},
	{"yarn_beta_slow", FIELD(yarn_beta_slow), 1e-6, 1e6, "Give a number of turns over the original context, from 1e-6 to 1e6; 1 is as published."},
};

static const struct
{
	const char *name;
	LlmRopeScaling scaling;
}			scalings[] = {
	{"none", LLM_ROPE_SCALING_NONE},
	{"linear", LLM_ROPE_SCALING_LINEAR},
	{"yarn", LLM_ROPE_SCALING_YARN},
	{"longrope", LLM_ROPE_SCALING_FACTORS},
};

static const RopeOption *
find_number(const char *name)
{
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (strcmp(numbers[i].name, name) == 0)
			return &numbers[i];
	return NULL;
}

bool
llm_rope_option_known(const char *name)
{
	return strcmp(name, "rope_scaling") == 0 || find_number(name) != NULL;
}

static LlmStatus
bad_value(const char *name, const char *value, const char *hint, LlmError *err)
{
	llm_fail(err, LLM_E_ARGUMENT, "invalid value for option \"%s\": \"%.60s\"", name, value);
	llm_error_hint(err, "%s", hint);
	return LLM_E_ARGUMENT;
}

LlmStatus
llm_rope_option_set(LlmRopeOptions *options, const char *name, const char *value, LlmError *err)
{
	const RopeOption *number = find_number(name);
	char	   *end;
	double		d;

	if (!number)
	{
		for (size_t i = 0; i < sizeof scalings / sizeof scalings[0]; i++)
		{
			options->scaling = scalings[i].scaling;
			if (strcmp(scalings[i].name, value) == 0)
				return LLM_OK;
		}
		return bad_value(name, value, "Valid kinds are none, linear, yarn and longrope.", err);
	}
	d = strtod(value, &end);
	if (end == value || *end != '\0' || !(d >= number->min && d <= number->max))
		return bad_value(name, value, number->hint, err);
	if (number->field == FIELD(yarn_orig_ctx))
	{
		if (d != floor(d))
			return bad_value(name, value, number->hint, err);
		options->yarn_orig_ctx = (uint32_t) d;
		return LLM_OK;
	}
	memcpy((char *) options + number->field, &d, sizeof(d));
	if (number->field == FIELD(yarn_ext_factor))
		options->has_ext_factor = true;
	return LLM_OK;
}
