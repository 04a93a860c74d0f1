/*
 * schema_number.c: conditions on numbers, as automata over their canonical decimal writing.
 */
#include <string.h>

#include "choose/schema.h"

#define MAX_REMAINDERS 60000

/* the parts of a canonical number */
typedef struct Decimal
{
	bool		negative;
	LlmStr		whole;			/* digits, at least one */
	LlmStr		fraction;
} Decimal;

static Decimal
split_decimal(LlmStr text)
{
	Decimal		d = {0};
	const char *point;

	d.negative = text.len > 0 && text.data[0] == '-';
	if (d.negative)
		text = (LlmStr) {text.data + 1, text.len - 1};
	point = memchr(text.data, '.', text.len);
	d.whole = (LlmStr) {text.data, point ? (size_t) (point - text.data) : text.len};
	if (point)
		d.fraction = (LlmStr) {point + 1, text.len - d.whole.len - 1};
	return d;
}

static void
number_classes(LlmByteClasses *c)
{
	llm_byte_classes_init(c);
	for (int b = '0'; b <= '9'; b++)
		llm_byte_classes_range(c, b, b);
	llm_byte_classes_range(c, '-', '-');
	llm_byte_classes_range(c, '.', '.');
}

/* ---- comparison ---- */

/* a state: part read (0 nothing, 1 whole digits, 2 fraction), negative, digits of that part, order of what was read so far */
enum
{
	AT_PART,
	AT_NEGATIVE,
	AT_DIGITS,
	AT_ORDER,
	AT_N
};

static int32_t
sign_of(int32_t a, int32_t b)
{
	return (a > b) - (a < b);
}

/* order of the whole part, once it has ended */
static int32_t
whole_order(const Decimal *d, const int32_t *key)
{
	return key[AT_DIGITS] != (int32_t) d->whole.len ? sign_of(key[AT_DIGITS], (int32_t) d->whole.len) : key[AT_ORDER];
}

static bool
compare_step(void *ctx, const int32_t *key, uint8_t byte, int32_t *next)
{
	const Decimal *d = ctx;
	const LlmStr *part = key[AT_PART] == 2 ? &d->fraction : &d->whole;
	int32_t		i = key[AT_DIGITS];

	memcpy(next, key, AT_N * sizeof(int32_t));
	if (byte == '-')
	{
		next[AT_NEGATIVE] = 1;
		return key[AT_PART] == 0 && !key[AT_NEGATIVE];
	}
	if (byte == '.')
	{
		next[AT_PART] = 2;
		next[AT_DIGITS] = 0;
		next[AT_ORDER] = whole_order(d, key);
		return key[AT_PART] == 1;
	}
	if (byte < '0' || byte > '9')
		return false;
	if (key[AT_PART] == 0)
		next[AT_PART] = 1;
	if (key[AT_ORDER] == 0)
		next[AT_ORDER] = sign_of(byte, i < (int32_t) part->len ? (uint8_t) part->data[i] : '0');
	next[AT_DIGITS] = i < (int32_t) part->len ? i + 1 : (int32_t) part->len + (key[AT_PART] != 2);
	if (key[AT_PART] == 2 && next[AT_ORDER] != 0)
		next[AT_DIGITS] = 0;	/* decided */
	return true;
}

static LlmStatus
compare_label(void *ctx, const int32_t *key, int32_t *label)
{
	const Decimal *d = ctx;
	int32_t		order = key[AT_PART] == 2 ? key[AT_ORDER] : whole_order(d, key);

	*label = -1;
	if (key[AT_PART] == 0)
		return LLM_OK;
	if (order == 0 && (key[AT_PART] == 2 ? key[AT_DIGITS] : 0) < (int32_t) d->fraction.len)
		order = -1;				/* value has more digits, the last of them not zero */
	if ((key[AT_NEGATIVE] != 0) != d->negative)
		order = d->negative ? 1 : -1;
	else if (d->negative)
		order = -order;
	*label = order + 1;
	return LLM_OK;
}

LlmStatus
llm_dfa_compare(LlmCompile *cx, LlmStr value, LlmDfa **out)
{
	static const int32_t start[AT_N] = {0};
	Decimal		d = split_decimal(value);
	LlmDfaSource source = {&d, AT_N, start, compare_step, compare_label, {{0}, 0}};

	number_classes(&source.classes);
	return llm_dfa_build(cx, &source, out);
}

/* ---- multiples ---- */

/* value = mantissa / 10^places; a number with k fraction digits N / 10^k is a multiple if mantissa divides N * 10^(places - k) */
typedef struct Multiple
{
	int64_t		mantissa;
	int32_t		places;
} Multiple;

enum
{
	OF_PART,
	OF_PLACES,
	OF_REMAINDER,
	OF_N
};

static bool
multiple_step(void *ctx, const int32_t *key, uint8_t byte, int32_t *next)
{
	const Multiple *m = ctx;

	memcpy(next, key, OF_N * sizeof(int32_t));
	if (byte == '-')
		return key[OF_PART] == 0;
	if (byte == '.')
	{
		next[OF_PART] = 2;
		return key[OF_PART] == 1;
	}
	if (byte < '0' || byte > '9')
		return false;
	if (key[OF_PART] == 0)
		next[OF_PART] = 1;
	if (key[OF_PART] == 2 && ++next[OF_PLACES] > m->places)
		return false;			/* the last digit of a canonical fraction is not zero */
	next[OF_REMAINDER] = (int32_t) (((int64_t) key[OF_REMAINDER] * 10 + (byte - '0')) % m->mantissa);
	return true;
}

static LlmStatus
multiple_label(void *ctx, const int32_t *key, int32_t *label)
{
	const Multiple *m = ctx;
	int64_t		r = key[OF_REMAINDER];

	for (int32_t k = key[OF_PLACES]; k < m->places && r != 0; k++)
		r = r * 10 % m->mantissa;
	*label = key[OF_PART] != 0 && r == 0 ? 0 : -1;
	return LLM_OK;
}

LlmStatus
llm_dfa_multiple(LlmCompile *cx, LlmStr value, LlmDfa **out)
{
	static const int32_t start[OF_N] = {0};
	Decimal		d = split_decimal(value);
	Multiple	m = {0, (int32_t) d.fraction.len};
	LlmDfaSource source = {&m, OF_N, start, multiple_step, multiple_label, {{0}, 0}};

	for (size_t i = 0; i < d.whole.len + d.fraction.len && m.mantissa <= MAX_REMAINDERS; i++)
		m.mantissa = m.mantissa * 10 + (i < d.whole.len ? d.whole.data[i] : d.fraction.data[i - d.whole.len]) - '0';
	if (d.negative || m.mantissa == 0)
	{
		LlmStatus	status = llm_fail(cx->err, LLM_E_ARGUMENT, "multipleOf must be greater than 0");

		llm_error_hint(cx->err, "Give a positive number.");
		return status;
	}
	if (m.mantissa * (m.places + 1) > MAX_REMAINDERS)
	{
		LlmStatus	status = llm_fail(cx->err, LLM_E_UNSUPPORTED, "multipleOf %.*s is not supported", (int) (value.len > 60 ? 60 : value.len),
									  value.data);

		llm_error_detail(cx->err, "A multipleOf of so many digits needs more than %d states.", MAX_REMAINDERS);
		llm_error_hint(cx->err, "Give a number with fewer digits that are not zero.");
		return status;
	}
	number_classes(&source.classes);
	return llm_dfa_build(cx, &source, out);
}
