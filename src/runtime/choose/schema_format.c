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

/* ---- times with leap seconds ---- */

/*
 * [date T] HH:MM:SS[.digits](Z|+HH:MM|-HH:MM). A state: bytes of the time read; in a date the state of its automaton, then minutes of
 * local time while they matter, after the sign those that the offset of a leap second must have; is it one.
 */
enum
{
	MOMENT_AT,
	MOMENT_VALUE,
	MOMENT_LEAP,
	MOMENT_N
};

enum
{
	IN_DATE = -1,
	AT_POINT = 8,				/* after the seconds */
	AT_FRACTION = 9,			/* after the point */
	AT_DIGIT = 10,				/* after a digit of the fraction */
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

/* :SS; only of second 60 the minutes matter */
static bool
seconds(const int32_t *key, uint8_t byte, int32_t *next)
{
	next[MOMENT_AT]++;
	if (key[MOMENT_AT] == 5)
		return byte == ':';
	if (key[MOMENT_AT] == 7)
		return byte >= '0' && byte <= (key[MOMENT_LEAP] ? '0' : '9');
	next[MOMENT_LEAP] = byte == '6';
	if (byte != '6')
		next[MOMENT_VALUE] = 0;
	return byte >= '0' && byte <= '6';
}

/* after the seconds */
static bool
fraction_or_zone(const int32_t *key, uint8_t byte, int32_t *next)
{
	const int	at = key[MOMENT_AT];

	if (byte >= '0' && byte <= '9')
	{
		next[MOMENT_AT] = AT_DIGIT;
		return at != AT_POINT;
	}
	if (byte == '.')
	{
		next[MOMENT_AT] = AT_FRACTION;
		return at == AT_POINT;
	}
	if (at == AT_FRACTION)
		return false;
	if (byte == 'Z' || byte == 'z')
	{
		next[MOMENT_AT] = AT_END;
		next[MOMENT_VALUE] = next[MOMENT_LEAP] = 0;
		return !key[MOMENT_LEAP] || key[MOMENT_VALUE] == LAST_MINUTE;
	}
	next[MOMENT_AT] = AT_OFFSET;
	if (key[MOMENT_LEAP])
		next[MOMENT_VALUE] = (byte == '+' ? key[MOMENT_VALUE] - LAST_MINUTE + 1440 : LAST_MINUTE - key[MOMENT_VALUE]) % 1440;
	return byte == '+' || byte == '-';
}

static bool
moment_step(void *ctx, const int32_t *key, uint8_t byte, int32_t *next)
{
	const LlmDfa *date = ctx;
	const int	at = key[MOMENT_AT];

	memcpy(next, key, MOMENT_N * sizeof(int32_t));
	if (at == IN_DATE && llm_dfa_label(date, key[MOMENT_VALUE]) >= 0)
	{
		next[MOMENT_AT] = next[MOMENT_VALUE] = 0;
		return byte == 'T' || byte == 't';
	}
	if (at == IN_DATE)
	{
		next[MOMENT_VALUE] = llm_dfa_next(date, key[MOMENT_VALUE], byte);
		return next[MOMENT_VALUE] >= 0;
	}
	if (at < 5)
	{
		next[MOMENT_AT]++;
		return clock_digit(&next[MOMENT_VALUE], at, byte);
	}
	if (at < AT_POINT)
		return seconds(key, byte, next);
	if (at < AT_OFFSET)
		return fraction_or_zone(key, byte, next);
	next[MOMENT_AT]++;
	if (at < AT_END && key[MOMENT_LEAP])
	{
		if (at == AT_END - 1)
			next[MOMENT_VALUE] = next[MOMENT_LEAP] = 0;
		return byte == offset_char(key[MOMENT_VALUE], at - AT_OFFSET);
	}
	if (at >= AT_END || !clock_digit(&next[MOMENT_VALUE], at - AT_OFFSET, byte))
		return false;
	if (at > AT_OFFSET)
		next[MOMENT_VALUE] = 0;	/* only the second digit of the hour depends on the first */
	return true;
}

static LlmStatus
moment_label(void *ctx, const int32_t *key, int32_t *label)
{
	(void) ctx;
	*label = key[MOMENT_AT] == AT_END ? 0 : -1;
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
	const int32_t start[MOMENT_N] = {with_date ? IN_DATE : 0};
	LlmDfaSource source = {NULL, MOMENT_N, start, moment_step, moment_label, {{0}, 0}};
	LlmDfa	   *date;

	if (with_date)
	{
		LLM_TRY(whole_regex(cx, "^" DATE "$", &date));
		source.ctx = date;
	}
	llm_byte_classes_init(&source.classes);
	for (const char *p = "0123456789.:+-TZtz"; *p; p++)
		llm_byte_classes_range(&source.classes, *p, *p);
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
