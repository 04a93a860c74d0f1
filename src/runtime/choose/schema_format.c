/*
 * schema_format.c: the formats that are checked. Sources: RFC 3339 (date, time, date-time), RFC 9562 (uuid), RFC 5321 (email),
 * RFC 2673 (ipv4), RFC 4291 (ipv6), RFC 3986 (uri).
 *
 * A leap second is valid where it is 23:59:60 in UTC, which ties hours and minutes to the offset; a model is not offered any.
 */
#include <string.h>

#include "choose/regex.h"
#include "choose/schema.h"

#define DATE_COMMON "[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
#define DATE_LEAP "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29"
#define DATE "(?:" DATE_COMMON "|" DATE_LEAP ")"
#define HOUR "(?:[01][0-9]|2[0-3])"
#define TIME HOUR ":[0-5][0-9]:[0-5][0-9](?:\\.[0-9]+)?(?:[Zz]|[+-]" HOUR ":[0-5][0-9])"
#define TIME_OFFERED HOUR ":[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?(?:Z|[+-]" HOUR ":[0-5][0-9])"

#define BYTE "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define IPV4 BYTE "(?:\\." BYTE "){3}"
#define H16 "[0-9A-Fa-f]{1,4}"
#define LS32 "(?:" H16 ":" H16 "|" IPV4 ")"
#define IPV6 "(?:(?:" H16 ":){6}" LS32 "|::(?:" H16 ":){5}" LS32 "|(?:" H16 ")?::(?:" H16 ":){4}" LS32 \
	"|(?:(?:" H16 ":){0,1}" H16 ")?::(?:" H16 ":){3}" LS32 "|(?:(?:" H16 ":){0,2}" H16 ")?::(?:" H16 ":){2}" LS32 \
	"|(?:(?:" H16 ":){0,3}" H16 ")?::" H16 ":" LS32 "|(?:(?:" H16 ":){0,4}" H16 ")?::" LS32 "|(?:(?:" H16 ":){0,5}" H16 ")?::" H16 \
	"|(?:(?:" H16 ":){0,6}" H16 ")?::)"

#define ATEXT "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
#define LABEL "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
#define EMAIL "(?:" ATEXT "(?:\\." ATEXT ")*|\"(?:[ !#-\\[\\]-~]|\\\\[ -~])*\")@(?:" LABEL "(?:\\." LABEL ")*|\\[(?:" IPV4 "|IPv6:" IPV6 ")\\])"

#define PCHAR "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
#define USER "(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@)?"
#define HOST "(?:\\[(?:" IPV6 "|[vV][0-9A-Fa-f]+\\.[A-Za-z0-9._~!$&'()*+,;=:-]+)\\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)"
#define URI "[A-Za-z][A-Za-z0-9+.-]*:(?://" USER HOST "(?::[0-9]*)?(?:/" PCHAR "*)*|/(?:" PCHAR "+(?:/" PCHAR "*)*)?|" PCHAR "+(?:/" PCHAR "*)*|)" \
	"(?:\\?(?:" PCHAR "|[/?])*)?(?:#(?:" PCHAR "|[/?])*)?"
#define UUID "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"

/* ---- leap seconds ---- */

/* HH:MM:60[.digits](Z|+HH:MM|-HH:MM), 23:59 in UTC. A state: bytes read; minutes of local time, after the sign those that the offset must have */
enum
{
	LEAP_AT,
	LEAP_MINUTES,
	LEAP_N
};

enum
{
	AT_FRACTION = 9,			/* 8: after 60; 9: after the point; 10: fraction digits */
	AT_OFFSET = 11,				/* then H H : M M */
	AT_END = 16,
	LAST_MINUTE = 23 * 60 + 59
};

static bool
clock_digit(int32_t *minutes, int at, uint8_t byte)
{
	static const int weight[] = {600, 60, 0, 10, 1};
	int			d = byte - '0';

	if (at == 2)
		return byte == ':';
	if (byte < '0' || byte > '9' || (at == 0 && d > 2) || (at == 3 && d > 5) || (at == 1 && *minutes >= 1200 && d > 3))
		return false;
	*minutes += d * weight[at];
	return true;
}

/* character of HH:MM */
static uint8_t
offset_char(int32_t minutes, int at)
{
	const int32_t digit[] = {minutes / 600, minutes / 60 % 10, 0, minutes % 60 / 10, minutes % 10};

	return at == 2 ? ':' : (uint8_t) ('0' + digit[at]);
}

static bool
leap_step(void *ctx, const int32_t *key, uint8_t byte, int32_t *next)
{
	const int	at = key[LEAP_AT];

	(void) ctx;
	memcpy(next, key, LEAP_N * sizeof(int32_t));
	if (at < 5)
	{
		next[LEAP_AT]++;
		return clock_digit(&next[LEAP_MINUTES], at, byte);
	}
	if (at < 8)
	{
		next[LEAP_AT]++;
		return byte == (uint8_t) ":60"[at - 5];
	}
	if (at >= AT_OFFSET)
	{
		next[LEAP_AT]++;
		return at < AT_END && byte == offset_char(key[LEAP_MINUTES], at - AT_OFFSET);
	}
	if (byte >= '0' && byte <= '9')
	{
		next[LEAP_AT] = AT_FRACTION + 1;
		return at >= AT_FRACTION;
	}
	if (byte == '.')
	{
		next[LEAP_AT] = AT_FRACTION;
		return at == 8;
	}
	if (at == AT_FRACTION)
		return false;
	if (byte == 'Z' || byte == 'z')
	{
		next[LEAP_AT] = AT_END;
		next[LEAP_MINUTES] = 0;
		return key[LEAP_MINUTES] == LAST_MINUTE;
	}
	next[LEAP_AT] = AT_OFFSET;
	next[LEAP_MINUTES] = (byte == '+' ? key[LEAP_MINUTES] - LAST_MINUTE + 1440 : LAST_MINUTE - key[LEAP_MINUTES]) % 1440;
	return byte == '+' || byte == '-';
}

static LlmStatus
leap_label(void *ctx, const int32_t *key, int32_t *label)
{
	(void) ctx;
	*label = key[LEAP_AT] == AT_END ? 0 : -1;
	return LLM_OK;
}

/* ---- a date, a T, a time with or without a leap second ---- */

typedef struct Moment
{
	const LlmDfa *date;			/* NULL: only a time */
	const LlmDfa *time;
	const LlmDfa *leap;
} Moment;

static bool
moment_step(void *ctx, const int32_t *key, uint8_t byte, int32_t *next)
{
	const Moment *m = ctx;

	next[0] = key[0];
	if (key[0] >= 0)
	{
		next[1] = next[2] = 0;
		if (llm_dfa_label(m->date, key[0]) >= 0)
		{
			next[0] = -1;
			return byte == 'T' || byte == 't';
		}
		next[0] = llm_dfa_next(m->date, key[0], byte);
		return next[0] >= 0;
	}
	next[1] = llm_dfa_next(m->time, key[1], byte);
	next[2] = llm_dfa_next(m->leap, key[2], byte);
	return next[1] >= 0 || next[2] >= 0;
}

static LlmStatus
moment_label(void *ctx, const int32_t *key, int32_t *label)
{
	const Moment *m = ctx;

	*label = key[0] < 0 && (llm_dfa_label(m->time, key[1]) >= 0 || llm_dfa_label(m->leap, key[2]) >= 0) ? 0 : -1;
	return LLM_OK;
}

static LlmStatus
whole_regex(LlmCompile *cx, const char *pattern, LlmDfa **out)
{
	return llm_regex_dfa(cx, (LlmStr) {pattern, strlen(pattern)}, out);
}

static LlmStatus
moment(LlmCompile *cx, bool with_date, LlmDfa **out)
{
	const int32_t leap_start[LEAP_N] = {0};
	const int32_t start[3] = {with_date ? 0 : -1, 0, 0};
	Moment		m = {0};
	LlmDfaSource leap = {NULL, LEAP_N, leap_start, leap_step, leap_label, {{0}, 0}};
	LlmDfaSource source = {&m, 3, start, moment_step, moment_label, {{0}, 0}};
	LlmDfa	   *d;

	llm_byte_classes_init(&leap.classes);
	for (const char *p = "0123456789.:+-"; *p; p++)
		llm_byte_classes_range(&leap.classes, *p, *p);
	llm_byte_classes_range(&leap.classes, 'Z', 'Z');
	llm_byte_classes_range(&leap.classes, 'z', 'z');
	LLM_TRY(llm_dfa_build(cx, &leap, &d));
	m.leap = d;
	LLM_TRY(whole_regex(cx, "^" TIME "$", &d));
	m.time = d;
	if (with_date)
	{
		LLM_TRY(whole_regex(cx, "^" DATE "$", &d));
		m.date = d;
	}
	source.classes = leap.classes;
	llm_byte_classes_range(&source.classes, 'T', 'T');
	llm_byte_classes_range(&source.classes, 't', 't');
	return llm_dfa_build(cx, &source, out);
}

LlmStatus
llm_dfa_format(LlmCompile *cx, LlmStr name, bool offered, LlmDfa **out)
{
	static const struct
	{
		const char *name;
		const char *pattern;
	}			formats[] = {
		{"date", "^" DATE "$"}, {"uuid", "^" UUID "$"}, {"email", "^" EMAIL "$"}, {"ipv4", "^" IPV4 "$"}, {"ipv6", "^" IPV6 "$"},
		{"uri", "^" URI "$"},
	};

	*out = NULL;
	if (llm_str_equals(name, "time"))
		return offered ? whole_regex(cx, "^" TIME_OFFERED "$", out) : moment(cx, false, out);
	if (llm_str_equals(name, "date-time"))
		return offered ? whole_regex(cx, "^" DATE "T" TIME_OFFERED "$", out) : moment(cx, true, out);
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
	{
		if (llm_str_equals(name, formats[i].name))
			return whole_regex(cx, formats[i].pattern, out);
	}
	return LLM_OK;
}
