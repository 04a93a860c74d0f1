/*
 * schema_scalar.c: numbers and strings that must fit several schemas: their conditions run side by side.
 */
#include <string.h>

#include "choose/schema_compile.h"
#include "choose/symbol_dfa.h"

/* ---- string literals ---- */

/* how much of an escape was read; after it come the states of the conditions */
enum
{
	IN_TEXT,
	IN_ESCAPE,					/* after the backslash */
	IN_U,
	IN_U0,
	IN_U00,
	IN_U000,
	IN_U001,
	AT_END
};

static bool
literal_char(const LlmLiteral *l, const int32_t *key, uint8_t byte, int32_t *next)
{
	next[0] = IN_TEXT;
	for (int i = 0; i < l->n; i++)
	{
		next[1 + i] = llm_dfa_next(l->dfas[i], key[1 + i], byte);
		if (next[1 + i] < 0 && l->needed[i])
			return false;
	}
	return true;
}

/* escapes are those that json.dumps writes without ensure_ascii: \" \\ \b \f \n \r \t, else \u00xx below U+0020 */
static bool
literal_step(void *ctx, const int32_t *key, uint8_t byte, int32_t *next)
{
	static const char names[] = "\"\\bfnrt";
	static const char values[] = "\"\\\b\f\n\r\t";
	const LlmLiteral *l = ctx;
	const char *found;
	int			digit = byte >= '0' && byte <= '9' ? byte - '0' : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;

	memcpy(next, key, (1 + (size_t) l->n) * sizeof(int32_t));
	switch (key[0])
	{
		case IN_TEXT:
			if (byte == '"' || byte == '\\')
			{
				next[0] = byte == '"' ? AT_END : IN_ESCAPE;
				return llm_dfa_label(l->dfas[0], key[1]) >= 0;	/* not inside a character */
			}
			return byte >= 0x20 && literal_char(l, key, byte, next);
		case IN_ESCAPE:
			if (byte == 'u')
			{
				next[0] = IN_U;
				return true;
			}
			found = byte ? strchr(names, byte) : NULL;
			return found && literal_char(l, key, (uint8_t) values[found - names], next);
		case IN_U:
		case IN_U0:
			next[0] = key[0] + 1;
			return byte == '0';
		case IN_U00:
			next[0] = byte == '0' ? IN_U000 : IN_U001;
			return byte == '0' || byte == '1';
		case IN_U000:
		case IN_U001:
			if (digit >= 0 && key[0] == IN_U001)
				digit += 16;
			if (digit == 0 && l->no_nul)
				return false;
			return digit >= 0 && !(digit > 0 && strchr(values, digit)) && literal_char(l, key, (uint8_t) digit, next);
		default:
			return false;
	}
}

static LlmStatus
literal_label(void *ctx, const int32_t *key, int32_t *label)
{
	const LlmLiteral *l = ctx;
	int32_t		labels[256];

	*label = -1;
	if (key[0] != AT_END)
		return LLM_OK;
	for (int i = 0; i < l->n; i++)
		labels[i] = llm_dfa_label(l->dfas[i], key[1 + i]);
	return l->label(l->ctx, labels, label);
}

/* label 0: the number of characters is full, 1: closed before; without a number: 0 closed */
static LlmStatus
block_label(void *ctx, const int32_t *key, int32_t *label)
{
	const LlmLiteral *l = ctx;

	*label = -1;
	if (key[0] == IN_TEXT && l->n > 1 && llm_dfa_label(l->dfas[1], key[2]) >= 0)
		*label = 0;
	else if (key[0] == AT_END)
		*label = l->n > 1;
	return LLM_OK;
}

static LlmStatus
build_literal(LlmCompile *cx, const LlmLiteral *literal, LlmStatus (*label) (void *ctx, const int32_t *key, int32_t *label), LlmDfa **out)
{
	int32_t		start[257] = {0};
	LlmDfaSource source = {(void *) literal, 1 + literal->n, start, literal_step, label, {{0}, 0}};

	if (literal->n > 256)
		return llm_compile_limit(cx, "more than 255 conditions on one string");
	llm_byte_classes_init(&source.classes);
	for (int i = 0; i < literal->n; i++)
		llm_byte_classes_split(&source.classes, literal->dfas[i]->class_of);
	llm_byte_classes_range(&source.classes, 0, 0x1F);
	for (const char *p = "\"\\bfnrtu0123456789abcdef"; *p; p++)
		llm_byte_classes_range(&source.classes, *p, *p);
	return llm_dfa_build(cx, &source, out);
}

LlmStatus
llm_schema_literal(LlmCompile *cx, const LlmLiteral *literal, LlmDfa **out)
{
	return build_literal(cx, literal, literal_label, out);
}

LlmStatus
llm_schema_block(LlmCompile *cx, const LlmLiteral *literal, LlmDfa **out)
{
	return build_literal(cx, literal, block_label, out);
}

/* ---- conditions of all parts of a value ---- */

typedef struct Side
{
	LlmSchemaCompile *c;
	LlmValueProc *proc;
	bool		number;
	int			n;
	const LlmDfa *dfas[256];
	uint8_t		good[256];
	int32_t		part[256];		/* whose condition; -1: of the writing itself */
	uint8_t		needed[256];
} Side;

static int
side_type(const Side *s)
{
	return s->number ? LLM_TYPE_NUMBER : LLM_TYPE_STRING;
}

/* what a part without conditions says about the type */
static void
know_types(const Side *s, int type)
{
	uint8_t    *known = s->c->known.data;

	for (size_t i = 0; i < s->proc->parts.n; i++)
	{
		const LlmSchema *schema = llm_schemas_get(&s->c->schemas, ((int32_t *) s->proc->parts.data)[i]);

		known[i] = (schema->types & type) == 0 ? LLM_FITS_NOT : (schema->types & type) == type ? LLM_FITS : LLM_FITS_MAYBE;
	}
}

/* could a value of the type fit, whatever its conditions say? A part that is lost (>= 0) does not. */
static bool
may_fit(const Side *s, int32_t lost)
{
	uint8_t    *known = s->c->known.data;

	know_types(s, side_type(s));
	for (size_t k = 0; k < s->proc->parts.n; k++)
	{
		if (known[k] == LLM_FITS)
			known[k] = LLM_FITS_MAYBE;
	}
	if (lost >= 0)
		known[lost] = LLM_FITS_NOT;
	return llm_schema_feasible(s->c, s->proc);
}

static LlmStatus
add_side(Side *s, const LlmDfa *dfa, uint8_t good, int32_t part)
{
	if (s->n == 256)
		return llm_compile_limit(s->c->cx, "more than 255 conditions on one value");
	s->dfas[s->n] = dfa;
	s->good[s->n] = good;
	s->part[s->n] = part;
	s->needed[s->n] = part < 0;
	s->n++;
	return LLM_OK;
}

static LlmStatus
add_sides(Side *s)
{
	for (size_t i = 0; i < s->proc->parts.n; i++)
	{
		const LlmSchema *schema = llm_schemas_get(&s->c->schemas, ((int32_t *) s->proc->parts.data)[i]);
		const LlmVec *conditions = s->number ? &schema->numbers : &schema->strings;
		const LlmCondition *all = conditions->data;

		if ((schema->types & side_type(s)) == 0)
			continue;
		for (size_t k = 0; k < conditions->n; k++)
		{
			LlmDfa	   *length;

			if (!all[k].dfa)
				LLM_TRY(llm_dfa_length(s->c->cx, all[k].least, all[k].most, &length));
			LLM_TRY(add_side(s, all[k].dfa ? all[k].dfa : length, all[k].good, (int32_t) i));
		}
	}

	/* is a part so needed that losing it is the end? */
	for (int i = 0; i < s->n; i++)
	{
		if (s->part[i] >= 0)
			s->needed[i] = !may_fit(s, s->part[i]);
	}
	return LLM_OK;
}

/* the exit for labels (n) of all conditions, for a value of type */
static LlmStatus
side_label(Side *s, const int32_t *labels, int type, int32_t *label)
{
	uint8_t    *known = s->c->known.data;

	know_types(s, type);
	for (int i = 0; i < s->n; i++)
	{
		if (s->part[i] >= 0 && (labels[i] < 0 || !(s->good[i] >> labels[i] & 1)))
			known[s->part[i]] = LLM_FITS_NOT;
	}
	LLM_TRY(llm_schema_verdict(s->c, s->proc, label));
	if (*label < -1)
		*label = -1;
	return LLM_OK;
}

static LlmStatus
string_label(void *ctx, const int32_t *labels, int32_t *label)
{
	return side_label(ctx, labels, LLM_TYPE_STRING, label);
}

LlmStatus
llm_schema_string(LlmSchemaCompile *c, LlmValueProc *proc, LlmDfa **out)
{
	Side	   *s;
	LlmLiteral	literal;

	LLM_TRY(llm_compile_alloc(c->cx, 1, sizeof(*s), &s));
	s->c = c;
	s->proc = proc;
	*out = NULL;
	if (!may_fit(s, -1))
		return LLM_OK;
	LLM_TRY(add_side(s, c->utf8, 1, -1));
	LLM_TRY(add_sides(s));
	literal = (LlmLiteral) {s->dfas, s->n, s->needed, string_label, s, c->offered};
	return llm_schema_literal(c->cx, &literal, out);
}

/* ---- numbers ---- */

/*
 * Syntax: nothing, minus, zero, whole digits, point, fraction ending in another digit than zero, in zero, of zeros only; and
 * behind -0 the point and zeros. Canonical numbers end in no zero of a fraction; a model may write them, as texts do: 120.50.
 */
enum
{
	NUMBER_START,
	NUMBER_MINUS,
	NUMBER_ZERO,
	NUMBER_WHOLE,
	NUMBER_POINT,
	NUMBER_FRACTION,
	NUMBER_FRACTION_ZERO,
	NUMBER_ZEROS,
	NUMBER_MINUS_ZERO,
	NUMBER_MINUS_POINT
};

static int32_t
number_syntax(int32_t state, uint8_t byte)
{
	const bool	digit = byte >= '0' && byte <= '9';

	switch (state)
	{
		case NUMBER_START:
			return byte == '-' ? NUMBER_MINUS : byte == '0' ? NUMBER_ZERO : digit ? NUMBER_WHOLE : -1;
		case NUMBER_MINUS:
			return byte == '0' ? NUMBER_MINUS_ZERO : digit ? NUMBER_WHOLE : -1;
		case NUMBER_ZERO:
			return byte == '.' ? NUMBER_POINT : -1;
		case NUMBER_MINUS_ZERO:
			return byte == '.' ? NUMBER_MINUS_POINT : -1;
		case NUMBER_WHOLE:
			return digit ? NUMBER_WHOLE : byte == '.' ? NUMBER_POINT : -1;
		case NUMBER_POINT:
		case NUMBER_ZEROS:
			return !digit ? -1 : byte == '0' ? NUMBER_ZEROS : NUMBER_FRACTION;
		case NUMBER_MINUS_POINT:
			return !digit ? -1 : byte == '0' ? NUMBER_MINUS_POINT : NUMBER_FRACTION;
		default:
			return !digit ? -1 : byte == '0' ? NUMBER_FRACTION_ZERO : NUMBER_FRACTION;
	}
}

/* a condition that was lost by a point or zeros that need not be there: if nothing else follows, it may hold of the number all the same */
#define LOST_BY_ZEROS (-2)

static bool
number_step(void *ctx, const int32_t *key, uint8_t byte, int32_t *next)
{
	const Side *s = ctx;
	bool		empty;			/* so far, what is behind the last digit that counts */

	next[0] = number_syntax(key[0], byte);
	if (next[0] < 0)
		return false;
	empty = s->c->offered && (byte == '.' || next[0] == NUMBER_ZEROS || next[0] == NUMBER_FRACTION_ZERO);
	for (int i = 0; i < s->n; i++)
	{
		const int32_t was = key[1 + i];

		next[1 + i] = was < 0 ? was : llm_dfa_next(s->dfas[i], was, byte);
		if (next[1 + i] < 0 && s->needed[i])
			return false;
		if (was >= 0 && next[1 + i] < 0 && empty)
			next[1 + i] = LOST_BY_ZEROS;
		else if (next[1 + i] == LOST_BY_ZEROS && !empty)
			next[1 + i] = -1;
	}
	return true;
}

static LlmStatus
number_label(void *ctx, const int32_t *key, int32_t *label)
{
	Side	   *s = ctx;
	int32_t		labels[256] = {0};
	bool		whole = key[0] == NUMBER_ZERO || key[0] == NUMBER_WHOLE;
	bool		zeros = s->c->offered && key[0] == NUMBER_ZEROS;
	bool		fraction_zero = s->c->offered && key[0] == NUMBER_FRACTION_ZERO;
	int32_t		as_whole;

	*label = -1;
	if (!whole && !zeros && !fraction_zero && key[0] != NUMBER_FRACTION)
		return LLM_OK;
	for (int i = 0; i < s->n; i++)
	{
		/* 6.900 is a multiple of 0.01, and 1.50 is in the list 1.5, 1.501, but not by its writing: not offered */
		bool		unsure = key[1 + i] == LOST_BY_ZEROS || ((zeros || fraction_zero) && key[1 + i] >= 0);

		labels[i] = llm_dfa_label(s->dfas[i], key[1 + i]);
		if (labels[i] < 0 && (s->part[i] < 0 || unsure))
			return LLM_OK;
	}
	LLM_TRY(side_label(s, labels, whole ? LLM_TYPE_INTEGER : LLM_TYPE_FRACTION, label));
	if (!zeros)
		return LLM_OK;

	/* 5.00 is whole: only where that is no different */
	LLM_TRY(side_label(s, labels, LLM_TYPE_INTEGER, &as_whole));
	if (as_whole != *label)
		*label = -1;
	return LLM_OK;
}

LlmStatus
llm_schema_number(LlmSchemaCompile *c, LlmValueProc *proc, LlmDfa **out)
{
	for (int bounded = c->offered ? 1 : 0; bounded >= 0; bounded--)
	{
		int32_t		start[257] = {0};
		Side	   *s;
		LlmDfaSource source;

		LLM_TRY(llm_compile_alloc(c->cx, 1, sizeof(*s), &s));
		s->c = c;
		s->proc = proc;
		s->number = true;
		*out = NULL;
		if (!may_fit(s, -1))
			return LLM_OK;
		if (bounded)
			LLM_TRY(add_side(s, c->short_number, 1, -1));
		LLM_TRY(add_sides(s));
		source = (LlmDfaSource) {s, 1 + s->n, start, number_step, number_label, {{0}, 0}};
		llm_byte_classes_init(&source.classes);
		for (int i = 0; i < s->n; i++)
			llm_byte_classes_split(&source.classes, s->dfas[i]->class_of);
		for (const char *p = "0-."; *p; p++)
			llm_byte_classes_range(&source.classes, *p, *p);
		llm_byte_classes_range(&source.classes, '1', '9');
		if (source.classes.n > 200)
			return llm_compile_limit(c->cx, "too many conditions on one number");
		LLM_TRY(llm_dfa_build(c->cx, &source, out));
		if ((*out)->n_states > 1)
			break;				/* else try without the bounds on digits */
	}
	return LLM_OK;
}

/* ---- keys ---- */

static bool
key_step(void *ctx, const int32_t *key, uint8_t byte, int32_t *next)
{
	const Side *s = ctx;

	for (int i = 0; i < s->n; i++)
	{
		next[i] = llm_dfa_next(s->dfas[i], key[i], byte);
		if (next[i] < 0 && s->needed[i])
			return false;
	}
	return true;
}

static LlmStatus
key_label(void *ctx, const int32_t *key, int32_t *label)
{
	Side	   *s = ctx;
	int32_t		labels[256];

	for (int i = 0; i < s->n; i++)
		labels[i] = llm_dfa_label(s->dfas[i], key[i]);
	*label = -1;
	if (labels[0] < 0)
		return LLM_OK;
	LLM_TRY(side_label(s, labels, LLM_TYPE_STRING, label));
	return LLM_OK;
}

LlmStatus
llm_schema_key_dfa(LlmSchemaCompile *c, int32_t schema, LlmDfa **out)
{
	int32_t		start[256] = {0};
	LlmValueProc *proc;
	Side	   *s;
	LlmDfaSource source;

	LLM_TRY(llm_compile_alloc(c->cx, 1, sizeof(*proc), &proc));
	LLM_TRY(llm_vec_push(c->cx, &proc->must, &schema, sizeof(schema)));
	LLM_TRY(llm_schema_parts(c, proc));
	LLM_TRY(llm_compile_alloc(c->cx, 1, sizeof(*s), &s));
	s->c = c;
	s->proc = proc;
	LLM_TRY(add_side(s, c->utf8, 1, -1));
	LLM_TRY(add_sides(s));
	source = (LlmDfaSource) {s, s->n, start, key_step, key_label, {{0}, 0}};
	llm_byte_classes_init(&source.classes);
	for (int i = 0; i < s->n; i++)
		llm_byte_classes_split(&source.classes, s->dfas[i]->class_of);
	return llm_dfa_build(c->cx, &source, out);
}
