/*
 * jinja_number.c: integers of 64 bits and doubles with the semantics of Python, and its text forms of them.
 *
 * An integer result beyond 64 bits is an error instead of a longer number. Division and remainder round to minus infinity.
 */
#include "text/jinja/jinja.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool
llm_jinja_as_int(const LlmValue *v, int64_t *out)
{
	if (v->kind == LLM_VALUE_INT)
		*out = v->u.integer;
	else if (v->kind == LLM_VALUE_BOOL)
		*out = v->u.boolean;
	else
		return false;
	return true;
}

bool
llm_jinja_as_number(const LlmValue *v, double *out)
{
	int64_t		i;

	if (v->kind == LLM_VALUE_FLOAT)
		*out = v->u.number;
	else if (llm_jinja_as_int(v, &i))
		*out = (double) i;
	else
		return false;
	return true;
}

/* d as D.DDDe+XX with n digits, if that reads back as d */
static bool
try_digits(double d, int n, char *buffer)
{
	snprintf(buffer, JINJA_NUMBER_BUFFER, "%.*e", n - 1, d);
	return strtod(buffer, NULL) == d;
}

/*
 * The next larger 16-digit number can be the shortest form when the nearest one does not read back: just above a power of
 * two the gap to the neighbour below is half as wide.
 */
static bool
try_next_above(double d, char *buffer)
{
	char	   *p;

	snprintf(buffer, JINJA_NUMBER_BUFFER, "%.15e", d);
	p = strchr(buffer, 'e') - 1;
	while (*p == '9' || *p == '.')
	{
		if (*p == '9')
			*p = '0';
		if (p == buffer || p[-1] == '-')
			return false;
		p--;
	}
	++*p;
	return strtod(buffer, NULL) == d;
}

/* shortest text that reads back as d, as Python's repr(): fixed between 1e-4 and 1e16, else with exponent */
void
llm_jinja_float_repr(double d, char *buffer)
{
	char		scientific[JINJA_NUMBER_BUFFER];
	char		digits[32];
	char	   *to = buffer;
	int			n = 0;
	int			exponent;

	if (isnan(d) || isinf(d))
	{
		strcpy(buffer, isnan(d) ? "nan" : d < 0 ? "-inf" : "inf");
		return;
	}
	if (fabs(d) < 2.3e-308)
	{
		for (int i = 1; i <= 17 && !try_digits(d, i, scientific); i++)
			;
	}
	else if (!try_digits(d, 15, scientific) && !try_digits(d, 16, scientific) && !try_next_above(d, scientific))
		try_digits(d, 17, scientific);
	exponent = atoi(strchr(scientific, 'e') + 1);
	for (const char *p = scientific; *p != 'e'; p++)
		if (*p >= '0' && *p <= '9')
			digits[n++] = *p;
	while (n > 1 && digits[n - 1] == '0')
		n--;
	if (signbit(d))
		*to++ = '-';
	if (exponent < -4 || exponent >= 16)
	{
		*to++ = digits[0];
		if (n > 1)
		{
			*to++ = '.';
			memcpy(to, digits + 1, (size_t) n - 1);
			to += n - 1;
		}
		sprintf(to, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
		return;
	}
	if (exponent < 0)
	{
		memcpy(to, "0.", 2);
		to += 2;
		for (int i = -1; i > exponent; i--)
			*to++ = '0';
	}
	for (int i = 0; i < n || i <= exponent; i++)
	{
		if (i > 0 && i == exponent + 1)
			*to++ = '.';
		*to++ = i < n ? digits[i] : '0';
	}
	if (exponent >= n - 1)
	{
		*to++ = '.';
		*to++ = '0';
	}
	*to = '\0';
}

/* text without blanks around it */
static LlmText
trimmed(LlmText text)
{
	return llm_jinja_strip(text, NULL, true, true);
}

/* [sign] digits of the base, single underscores between them; base 0 and the base's own prefix are understood */
bool
llm_jinja_parse_int(LlmText text, int base, int64_t *out, bool *overflow)
{
	size_t		pos = 0;
	bool		negative = false;
	bool		digit_before = false;
	bool		any = false;
	bool		leading_zero = false;
	uint64_t	value = 0;

	*overflow = false;
	text = trimmed(text);
	if (pos < text.len && (text.bytes[pos] == '+' || text.bytes[pos] == '-'))
		negative = text.bytes[pos++] == '-';
	if (pos + 1 < text.len && text.bytes[pos] == '0')
	{
		char		prefix = text.bytes[pos + 1] | 32;
		int			prefix_base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 0;

		if (prefix_base && (base == 0 || base == prefix_base))
		{
			base = prefix_base;
			pos += 2;
			digit_before = true;	/* an underscore may follow the prefix */
		}
	}
	if (base == 0)
	{
		leading_zero = pos < text.len && text.bytes[pos] == '0';
		base = 10;
	}
	for (; pos < text.len; pos++)
	{
		unsigned char c = (unsigned char) text.bytes[pos];
		int			digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'z' ? (c | 32) - 'a' + 10 : 99;

		if (c == '_' && digit_before)
		{
			digit_before = false;
			continue;
		}
		if (digit >= base)
			return false;
		digit_before = any = true;
		if (__builtin_mul_overflow(value, (uint64_t) base, &value) || __builtin_add_overflow(value, (uint64_t) digit, &value))
			*overflow = true;
	}
	if (!any || !digit_before || (leading_zero && value != 0))
		return false;
	if (*overflow || value > (uint64_t) INT64_MAX + (negative ? 1 : 0))
	{
		*overflow = true;
		return false;
	}
	*out = negative ? (int64_t) (0 - value) : (int64_t) value;
	return true;
}

bool
llm_jinja_parse_float(LlmText text, double *out)
{
	char		buffer[JINJA_NUMBER_BUFFER];
	size_t		n = 0;
	char	   *end;

	text = trimmed(text);
	if (text.len == 0 || text.len >= sizeof(buffer))
		return false;
	for (size_t i = 0; i < text.len; i++)
	{
		char		c = text.bytes[i];

		if (c == '_')
		{
			if (i == 0 || i + 1 == text.len || text.bytes[i - 1] < '0' || text.bytes[i - 1] > '9' ||
				text.bytes[i + 1] < '0' || text.bytes[i + 1] > '9')
				return false;
			continue;
		}
		/* no hexadecimal floats and no nan(…), which strtod knows */
		if (c == '\0' || c == 'x' || c == 'X' || c == '(' || (unsigned char) c >= 0x80)
			return false;
		buffer[n++] = c;
	}
	buffer[n] = '\0';
	if (llm_jinja_is_space((unsigned char) buffer[0]))
		return false;
	*out = strtod(buffer, &end);
	return end == buffer + n;
}

static LlmStatus
overflow_error(Jinja *j)
{
	return llm_jinja_limit(j, "an integer does not fit 64 bits");
}

static LlmStatus
int_power(Jinja *j, int64_t a, int64_t b, LlmValue **out)
{
	int64_t		result = 1;

	if (b < 0)
	{
		if (a == 0)
			return llm_jinja_fail(j, "0.0 cannot be raised to a negative power");
		return llm_jinja_float(j, pow((double) a, (double) b), out);
	}
	while (b > 0)
	{
		if ((b & 1) && __builtin_mul_overflow(result, a, &result))
			return overflow_error(j);
		b >>= 1;
		if (b && __builtin_mul_overflow(a, a, &a))
			return overflow_error(j);
	}
	return llm_jinja_int(j, result, out);
}

static LlmStatus
int_binary(Jinja *j, int op, int64_t a, int64_t b, LlmValue **out)
{
	int64_t		result;
	bool		overflow = false;

	if (b == 0 && (op == JINJA_T_DIV || op == JINJA_T_FLOORDIV || op == JINJA_T_MOD))
		return llm_jinja_fail(j, "division by zero");
	switch (op)
	{
		case JINJA_T_ADD:
			overflow = __builtin_add_overflow(a, b, &result);
			break;
		case JINJA_T_SUB:
			overflow = __builtin_sub_overflow(a, b, &result);
			break;
		case JINJA_T_MUL:
			overflow = __builtin_mul_overflow(a, b, &result);
			break;
		case JINJA_T_DIV:
			return llm_jinja_float(j, (double) ((long double) a / (long double) b), out);
		case JINJA_T_POW:
			return int_power(j, a, b, out);
		case JINJA_T_FLOORDIV:
			if (b == -1)
				overflow = __builtin_sub_overflow(0, a, &result);
			else
				result = a / b - (a % b != 0 && (a % b < 0) != (b < 0));
			break;
		default:
			result = b == -1 ? 0 : a % b;
			if (result != 0 && (result < 0) != (b < 0))
				result += b;
			break;
	}
	return overflow ? overflow_error(j) : llm_jinja_int(j, result, out);
}

static LlmStatus
float_binary(Jinja *j, int op, double a, double b, LlmValue **out)
{
	double		mod;
	double		div;

	switch (op)
	{
		case JINJA_T_ADD:
			return llm_jinja_float(j, a + b, out);
		case JINJA_T_SUB:
			return llm_jinja_float(j, a - b, out);
		case JINJA_T_MUL:
			return llm_jinja_float(j, a * b, out);
		case JINJA_T_POW:
			if (a == 0 && b < 0)
				return llm_jinja_fail(j, "0.0 cannot be raised to a negative power");
			if (a < 0 && isfinite(a) && isfinite(b) && b != floor(b))
				return llm_jinja_fail(j, "a negative number cannot be raised to a fraction");
			div = pow(a, b);
			if (isinf(div) && isfinite(a) && isfinite(b))
				return llm_jinja_fail(j, "the result is too large");
			return llm_jinja_float(j, div, out);
		default:
			break;
	}
	if (b == 0)
		return llm_jinja_fail(j, op == JINJA_T_DIV ? "division by zero" : "float division by zero");
	if (op == JINJA_T_DIV)
		return llm_jinja_float(j, a / b, out);
	/* as CPython's float_divmod */
	mod = fmod(a, b);
	div = (a - mod) / b;
	if (mod != 0)
	{
		if ((b < 0) != (mod < 0))
		{
			mod += b;
			div -= 1.0;
		}
	}
	else
		mod = copysign(0.0, b);
	if (op == JINJA_T_MOD)
		return llm_jinja_float(j, mod, out);
	if (div != 0)
	{
		double		floored = floor(div);

		if (div - floored > 0.5)
			floored += 1.0;
		div = floored;
	}
	else
		div = copysign(0.0, a / b);
	return llm_jinja_float(j, div, out);
}

/* sequence * n */
static LlmStatus
repeat(Jinja *j, LlmValue *seq, int64_t n, LlmValue **out)
{
	size_t		times = n > 0 ? (size_t) n : 0;
	size_t		mark = j->out.len;

	if (seq->kind == LLM_VALUE_STRING)
	{
		LLM_TRY(llm_jinja_put_fill(j, seq->u.text, times));
		LLM_TRY(llm_jinja_cut(j, mark, out));
		(*out)->flavour = seq->flavour;
		return LLM_OK;
	}
	LLM_TRY(llm_jinja_list(j, 0, out));
	(*out)->flavour = seq->flavour == JINJA_PLAIN ? JINJA_PLAIN : JINJA_TUPLE;
	for (; seq->u.seq.n > 0 && times > 0; times--)
	{
		LLM_TRY(llm_jinja_step(j, 1 + seq->u.seq.n / 4));
		for (size_t i = 0; i < seq->u.seq.n; i++)
			LLM_TRY(llm_jinja_push(j, *out, seq->u.seq.items[i]));
	}
	return LLM_OK;
}

/* a string or Markup on either side: escape what is not Markup */
static LlmStatus
concat(Jinja *j, const LlmValue *a, const LlmValue *b, LlmValue **out)
{
	size_t		mark = j->out.len;
	bool		markup = a->flavour == JINJA_MARKUP || b->flavour == JINJA_MARKUP;

	LLM_TRY(markup && a->flavour != JINJA_MARKUP ? llm_jinja_put_escaped(j, a->u.text) : llm_jinja_put(j, a->u.text));
	LLM_TRY(markup && b->flavour != JINJA_MARKUP ? llm_jinja_put_escaped(j, b->u.text) : llm_jinja_put(j, b->u.text));
	LLM_TRY(llm_jinja_cut(j, mark, out));
	(*out)->flavour = markup ? JINJA_MARKUP : JINJA_PLAIN;
	return LLM_OK;
}

static bool
is_sequence(const LlmValue *v)
{
	return v->kind == LLM_VALUE_STRING || (v->kind == LLM_VALUE_LIST && v->flavour <= JINJA_GROUP);
}

static LlmStatus
join_lists(Jinja *j, const LlmValue *a, const LlmValue *b, LlmValue **out)
{
	size_t		n;

	if (!llm_size_add(a->u.seq.n, b->u.seq.n, &n))
		return llm_jinja_limit(j, "a list is too long");
	LLM_TRY(llm_jinja_step(j, n / 8));
	LLM_TRY(llm_jinja_list(j, n, out));
	(*out)->flavour = a->flavour == JINJA_PLAIN ? JINJA_PLAIN : JINJA_TUPLE;
	for (size_t i = 0; i < a->u.seq.n; i++)
		LLM_TRY(llm_jinja_push(j, *out, a->u.seq.items[i]));
	for (size_t i = 0; i < b->u.seq.n; i++)
		LLM_TRY(llm_jinja_push(j, *out, b->u.seq.items[i]));
	return LLM_OK;
}

static LlmStatus
unsupported_operands(Jinja *j, int op, const LlmValue *a, const LlmValue *b)
{
	return llm_jinja_fail(j, "unsupported operand types for %s: '%s' and '%s'", llm_jinja_token_name((JinjaTokenKind) op),
						  llm_jinja_type_name(a), llm_jinja_type_name(b));
}

LlmStatus
llm_jinja_binary(Jinja *j, int op, LlmValue *a, LlmValue *b, LlmValue **out)
{
	int64_t		i1;
	int64_t		i2;
	double		d1;
	double		d2;

	if (a->kind == LLM_VALUE_STRING && op == JINJA_T_MOD)
	{
		LLM_TRY(llm_jinja_percent(j, a->u.text, b, out));
		(*out)->flavour = a->flavour;
		return LLM_OK;
	}
	if (a->kind == LLM_VALUE_UNDEFINED)
		return llm_jinja_fail_undefined(j, a);
	if (b->kind == LLM_VALUE_UNDEFINED)
		return llm_jinja_fail_undefined(j, b);
	if (llm_jinja_as_int(a, &i1) && llm_jinja_as_int(b, &i2))
		return int_binary(j, op, i1, i2, out);
	if (llm_jinja_as_number(a, &d1) && llm_jinja_as_number(b, &d2))
		return float_binary(j, op, d1, d2, out);
	if (op == JINJA_T_MUL && is_sequence(a) && llm_jinja_as_int(b, &i2))
		return repeat(j, a, i2, out);
	if (op == JINJA_T_MUL && is_sequence(b) && llm_jinja_as_int(a, &i1))
		return repeat(j, b, i1, out);
	if (op == JINJA_T_ADD && a->kind == LLM_VALUE_STRING && b->kind == LLM_VALUE_STRING)
		return concat(j, a, b, out);
	if (op == JINJA_T_ADD && a->kind == LLM_VALUE_LIST && b->kind == LLM_VALUE_LIST && is_sequence(a) && is_sequence(b) &&
		(a->flavour == JINJA_PLAIN) == (b->flavour == JINJA_PLAIN))
		return join_lists(j, a, b, out);
	if (op == JINJA_T_ADD && a->kind == LLM_VALUE_STRING)
		return llm_jinja_fail(j, "can only concatenate str (not \"%s\") to str", llm_jinja_type_name(b));
	return unsupported_operands(j, op, a, b);
}

LlmStatus
llm_jinja_negate(Jinja *j, LlmValue *a, bool negative, LlmValue **out)
{
	int64_t		i;

	if (a->kind == LLM_VALUE_UNDEFINED)
		return llm_jinja_fail_undefined(j, a);
	if (llm_jinja_as_int(a, &i))
		return int_binary(j, negative ? JINJA_T_SUB : JINJA_T_ADD, 0, i, out);
	if (a->kind == LLM_VALUE_FLOAT)
		return llm_jinja_float(j, negative ? -a->u.number : a->u.number, out);
	return llm_jinja_fail(j, "bad operand type for unary %c: '%s'", negative ? '-' : '+', llm_jinja_type_name(a));
}

/* round(value, digits): half to even on the exact decimal value; an integer stays one */
LlmStatus
llm_jinja_round(Jinja *j, LlmValue *value, int64_t digits, LlmValue **out)
{
	char		text[JINJA_NUMBER_BUFFER];
	int64_t		i;

	if (llm_jinja_as_int(value, &i))
	{
		uint64_t	unit = 1;
		uint64_t	magnitude = i < 0 ? 0 - (uint64_t) i : (uint64_t) i;
		uint64_t	rest;

		if (digits >= 0)
			return llm_jinja_int(j, i, out);
		if (digits < -18)
			return llm_jinja_int(j, 0, out);
		for (int64_t k = digits; k < 0; k++)
			unit *= 10;
		rest = magnitude % unit;
		magnitude -= rest;
		if (rest * 2 > unit || (rest * 2 == unit && (magnitude / unit) % 2 == 1))
			magnitude += unit;
		if (magnitude > INT64_MAX)
			return overflow_error(j);
		return llm_jinja_int(j, i < 0 ? -(int64_t) magnitude : (int64_t) magnitude, out);
	}
	if (value->kind != LLM_VALUE_FLOAT)
		return llm_jinja_fail(j, "type %s cannot be rounded", llm_jinja_type_name(value));
	if (!isfinite(value->u.number) || digits > 323)
		return llm_jinja_float(j, value->u.number, out);
	if (digits < -308)
		return llm_jinja_float(j, copysign(0.0, value->u.number), out);
	if (digits >= 0)
	{
		/* more than 40 digits behind the point cannot matter unless the number is tiny: print it in full then */
		int			n = snprintf(text, sizeof(text), "%.*f", (int) digits, value->u.number);

		if (n < 0 || (size_t) n >= sizeof(text))
			return llm_jinja_float(j, value->u.number, out);
		return llm_jinja_float(j, strtod(text, NULL), out);
	}
	else
	{
		/* as many significant digits as stand before the rounded place */
		int			exponent = value->u.number == 0 ? 0 : (int) floor(log10(fabs(value->u.number)));
		int			keep = exponent + 1 + (int) digits;

		if (keep < 0)
			return llm_jinja_float(j, copysign(0.0, value->u.number), out);
		if (keep == 0)
		{
			double		half = 5.0 * pow(10.0, exponent);

			return llm_jinja_float(j, copysign(fabs(value->u.number) > half ? pow(10.0, exponent + 1) : 0.0, value->u.number), out);
		}
		snprintf(text, sizeof(text), "%.*e", keep - 1, value->u.number);
		return llm_jinja_float(j, strtod(text, NULL), out);
	}
}
