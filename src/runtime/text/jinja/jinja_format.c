/*
 * jinja_format.c: "…%s…" % x, str.format() and its format specifications, as Python's.
 *
 * Text of the format keeps its origin, inserted strings keep theirs; digits, signs and padding belong to the template. A
 * character made from a number (%c, {:c}) counts as data, as it could complete a special token.
 */
#include "text/jinja/jinja.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_WIDTH (1 << 20)
#define MAX_PRECISION 300

/* one conversion, of either kind of format */
typedef struct Spec
{
	LlmText		fill;			/* one character */
	char		align;			/* < > ^ =, 0: default */
	char		sign;			/* + or blank, 0: only minus */
	bool		alternate;
	bool		zero;			/* pad with zeros behind the sign */
	int64_t		width;
	int64_t		precision;		/* -1: none */
	char		grouping;		/* , or _ or 0 */
	char		type;			/* 0: none */
} Spec;

static const LlmText blank = {" ", NULL, 1};
static const LlmText zero_fill = {"0", NULL, 1};

/* pad what was put since mark to the width */
static LlmStatus
pad(Jinja *j, size_t mark, const Spec *spec, char align)
{
	LlmText		text = {j->out.data + mark, (const uint8_t *) j->origin.data + mark, j->out.len - mark};
	int64_t		missing;
	size_t		left;
	LlmValue   *body;

	missing = spec->width - (int64_t) llm_jinja_count(text);
	if (missing <= 0)
		return LLM_OK;
	left = align == '<' ? 0 : align == '>' ? (size_t) missing : (size_t) missing / 2;
	if (left == 0)
		return llm_jinja_put_fill(j, spec->fill, (size_t) missing);
	LLM_TRY(llm_jinja_cut(j, mark, &body));
	LLM_TRY(llm_jinja_put_fill(j, spec->fill, left));
	LLM_TRY(llm_jinja_put(j, body->u.text));
	return llm_jinja_put_fill(j, spec->fill, (size_t) missing - left);
}

/* digits with separators between groups of the whole part; n_whole digits come before point, exponent or end */
static size_t
group(const char *digits, size_t n_whole, size_t size, char separator, char *out)
{
	size_t		n = 0;

	for (size_t i = 0; i < n_whole; i++)
	{
		if (i && (n_whole - i) % size == 0)
			out[n++] = separator;
		out[n++] = digits[i];
	}
	return n;
}

/*
 * Put a number made of sign, prefix (0x…) and digits (with whatever follows the whole part), padded.
 */
static LlmStatus
put_number(Jinja *j, bool negative, const char *prefix, const char *digits, const Spec *spec)
{
	char		grouped[2 * JINJA_NUMBER_BUFFER];
	size_t		n_whole = strspn(digits, "0123456789abcdefABCDEF");
	size_t		size = spec->grouping && spec->type && strchr("xXob", spec->type) ? 4 : 3;
	size_t		mark = j->out.len;
	char		sign = negative ? '-' : spec->sign;
	char		align = spec->align ? spec->align : '>';
	const char *tail;
	int64_t		used;

	if (!spec->grouping || n_whole == 0)
	{
		n_whole = strlen(digits);
		memcpy(grouped, digits, n_whole);
		tail = digits + n_whole;
	}
	else
	{
		/* letters only count as digits of hexadecimal numbers */
		if (!spec->type || !strchr("xX", spec->type))
			n_whole = strspn(digits, "0123456789");
		tail = digits + n_whole;
		n_whole = group(digits, n_whole, size, spec->grouping, grouped);
	}
	if (sign)
		LLM_TRY(llm_jinja_put_bytes(j, &sign, 1, false));
	LLM_TRY(llm_jinja_put_bytes(j, prefix, strlen(prefix), false));
	used = (int64_t) ((sign ? 1 : 0) + strlen(prefix) + n_whole + strlen(tail));
	if (align == '=' && used < spec->width)
	{
		int64_t		missing = spec->width - used;

		if (spec->grouping && spec->fill.len == 1 && spec->fill.bytes[0] == '0')
		{
			/* zeros are grouped too; a separator never comes first */
			size_t		at = strcspn(grouped, ",_") < n_whole ? strcspn(grouped, ",_") : n_whole;
			LlmValue   *zeros;
			size_t		start = j->out.len;
			size_t		in_group = at;

			for (; missing > 0; missing--)
			{
				if (in_group == size)
				{
					LLM_TRY(llm_jinja_put_bytes(j, &spec->grouping, 1, false));
					in_group = 0;
					if (missing == 1)
						missing++;
				}
				else
				{
					LLM_TRY(llm_jinja_put_bytes(j, "0", 1, false));
					in_group++;
				}
			}
			LLM_TRY(llm_jinja_cut(j, start, &zeros));
			for (size_t i = zeros->u.text.len; i-- > 0;)
				LLM_TRY(llm_jinja_put_bytes(j, zeros->u.text.bytes + i, 1, false));
		}
		else
			LLM_TRY(llm_jinja_put_fill(j, spec->fill, (size_t) missing));
	}
	LLM_TRY(llm_jinja_put_bytes(j, grouped, n_whole, false));
	LLM_TRY(llm_jinja_put_bytes(j, tail, strlen(tail), false));
	return align == '=' ? LLM_OK : pad(j, mark, spec, align);
}

static LlmStatus
put_int(Jinja *j, int64_t i, const Spec *spec, int64_t min_digits)
{
	char		digits[JINJA_NUMBER_BUFFER];
	char		bits[JINJA_NUMBER_BUFFER];
	uint64_t	magnitude = i < 0 ? 0 - (uint64_t) i : (uint64_t) i;
	const char *prefix = "";
	size_t		n;

	switch (spec->type)
	{
		case 'x':
			snprintf(bits, sizeof(bits), "%" PRIx64, magnitude);
			prefix = spec->alternate ? "0x" : "";
			break;
		case 'X':
			snprintf(bits, sizeof(bits), "%" PRIX64, magnitude);
			prefix = spec->alternate ? "0X" : "";
			break;
		case 'o':
			snprintf(bits, sizeof(bits), "%" PRIo64, magnitude);
			prefix = spec->alternate ? "0o" : "";
			break;
		case 'b':
			n = 1;
			while (n < 64 && magnitude >> n)
				n++;
			for (size_t k = 0; k < n; k++)
				bits[k] = (magnitude >> (n - 1 - k) & 1) ? '1' : '0';
			bits[n] = '\0';
			prefix = spec->alternate ? "0b" : "";
			break;
		default:
			snprintf(bits, sizeof(bits), "%" PRIu64, magnitude);
			break;
	}
	n = strlen(bits);
	if (min_digits > MAX_PRECISION)
		return llm_jinja_limit(j, "a precision above %d", MAX_PRECISION);
	memset(digits, '0', sizeof(digits));
	n = (int64_t) n < min_digits ? (size_t) min_digits : n;
	strcpy(digits + n - strlen(bits), bits);
	return put_number(j, i < 0, prefix, digits, spec);
}

static LlmStatus
put_float(Jinja *j, double d, const Spec *spec)
{
	char		text[2 * JINJA_NUMBER_BUFFER];
	char		format[16];
	char		type = spec->type;
	int			precision = spec->precision < 0 ? 6 : (int) spec->precision;
	char	   *digits = text;

	if (spec->precision > MAX_PRECISION)
		return llm_jinja_limit(j, "a precision above %d", MAX_PRECISION);
	if (type == '%')
		d *= 100;
	if (!isfinite(d))
	{
		bool		upper = type == 'E' || type == 'F' || type == 'G';

		strcpy(text, isnan(d) ? (upper ? "NAN" : "nan") : (upper ? "INF" : "inf"));
		if (type == '%')
			strcat(text, "%");
		return put_number(j, !isnan(d) && d < 0, "", text, spec);
	}
	if (!type && spec->precision < 0)
		llm_jinja_float_repr(fabs(d), text);
	else
	{
		char		c = type == '%' ? 'f' : type && type != 'n' ? type : 'g';

		if (!type && precision == 0)
			precision = 1;
		snprintf(format, sizeof(format), "%%%s.*%c", spec->alternate ? "#" : "", c);
		snprintf(text, sizeof(text), format, precision, fabs(d));
		if (!type && !strpbrk(text, ".e"))
		{
			/* as %g, but a float shows its point; if no digit is left for that, the exponent form it is */
			if (strlen(text) >= (size_t) precision)
				snprintf(text, sizeof(text), "%.*e", precision - 1, fabs(d));
			else
				strcat(text, ".0");
		}
	}
	if (type == '%')
		strcat(text, "%");
	return put_number(j, signbit(d), "", digits, spec);
}

static LlmStatus
put_string(Jinja *j, LlmText text, const Spec *spec, char align)
{
	size_t		mark = j->out.len;

	if (spec->precision >= 0)
		text = llm_jinja_sub(text, 0, llm_jinja_offset(text, (size_t) spec->precision));
	LLM_TRY(llm_jinja_put(j, text));
	return pad(j, mark, spec, align);
}

static LlmStatus
put_code_point(Jinja *j, int64_t c, const Spec *spec, char align)
{
	size_t		mark = j->out.len;

	if (c < 0 || c > 0x10FFFF)
		return llm_jinja_fail(j, "a character number is out of range");
	LLM_TRY(llm_jinja_put_char(j, (uint32_t) c, true));
	return pad(j, mark, spec, align);
}

/* ASCII-only repr */
static LlmStatus
put_ascii(Jinja *j, const LlmValue *v)
{
	size_t		mark = j->out.len;
	LlmValue   *repr;
	size_t		pos = 0;

	LLM_TRY(llm_jinja_put_repr(j, v));
	LLM_TRY(llm_jinja_cut(j, mark, &repr));
	while (pos < repr->u.text.len)
	{
		LlmText		text = repr->u.text;
		uint32_t	c;
		size_t		used = llm_jinja_decode(text.bytes + pos, text.len - pos, &c);
		char		escape[16];

		if (c < 0x80 || c >= JINJA_BAD_BYTE)
			LLM_TRY(llm_jinja_put(j, llm_jinja_sub(text, pos, pos + used)));
		else
		{
			int			n = snprintf(escape, sizeof(escape), c < 0x100 ? "\\x%02" PRIx32 : c < 0x10000 ? "\\u%04" PRIx32 : "\\U%08" PRIx32, c);

			LLM_TRY(llm_jinja_put_bytes(j, escape, (size_t) n, text.from_data && text.from_data[pos]));
		}
		pos += used;
	}
	return LLM_OK;
}

/* str(), repr() or ascii() of v as a text */
static LlmStatus
convert(Jinja *j, LlmValue *v, char how, LlmText *out)
{
	size_t		mark = j->out.len;
	LlmValue   *text;

	if (how == 's')
		return llm_jinja_str(j, v, out);
	LLM_TRY(how == 'r' ? llm_jinja_put_repr(j, v) : put_ascii(j, v));
	LLM_TRY(llm_jinja_cut(j, mark, &text));
	*out = text->u.text;
	return LLM_OK;
}

/* ---- the % operator ---- */

typedef struct PercentArgs
{
	LlmValue   *mapping;		/* for %(name)s */
	LlmValue  **items;
	size_t		n;
	size_t		used;
} PercentArgs;

static LlmStatus
next_arg(Jinja *j, PercentArgs *args, LlmValue **out)
{
	if (args->used >= args->n)
		return llm_jinja_fail(j, "not enough arguments for format string");
	*out = args->items[args->used++];
	return LLM_OK;
}

/* digits or * at *pos */
static LlmStatus
read_amount(Jinja *j, LlmText format, size_t *pos, PercentArgs *args, int64_t *out)
{
	LlmValue   *v = NULL;

	if (*pos < format.len && format.bytes[*pos] == '*')
	{
		++*pos;
		LLM_TRY(next_arg(j, args, &v));
		if (!llm_jinja_as_int(v, out))
			return llm_jinja_fail(j, "* wants int");
	}
	else
	{
		*out = 0;
		while (*pos < format.len && format.bytes[*pos] >= '0' && format.bytes[*pos] <= '9' && *out <= MAX_WIDTH)
			*out = *out * 10 + (format.bytes[(*pos)++] - '0');
	}
	if (*out > MAX_WIDTH || *out < -MAX_WIDTH)
		return llm_jinja_limit(j, "a width above %d", MAX_WIDTH);
	return LLM_OK;
}

/* (name) at *pos: its value becomes the one to convert next */
static LlmStatus
read_key(Jinja *j, LlmText format, size_t *pos, PercentArgs *args, LlmValue **keyed)
{
	size_t		start = ++*pos;
	int			open = 1;
	LlmValue   *key;

	if (!args->mapping)
		return llm_jinja_fail(j, "format requires a mapping");
	for (; *pos < format.len; ++*pos)
	{
		open += format.bytes[*pos] == '(' ? 1 : format.bytes[*pos] == ')' ? -1 : 0;
		if (open == 0)
			break;
	}
	if (open)
		return llm_jinja_fail(j, "incomplete format key");
	LLM_TRY(llm_jinja_text(j, llm_jinja_sub(format, start, *pos), &key));
	++*pos;
	LLM_TRY(args->mapping->kind == LLM_VALUE_MAP ? llm_jinja_map_find(j, args->mapping, key, keyed) : LLM_OK);
	if (!*keyed)
		return llm_jinja_fail(j, "format key '%.*s' is missing", (int) (key->u.text.len < 60 ? key->u.text.len : 60), key->u.text.bytes);
	return LLM_OK;
}

static LlmStatus
percent_number(Jinja *j, LlmValue *v, Spec *spec)
{
	int64_t		i;
	double		d;

	if (strchr("eEfFgG", spec->type))
	{
		if (!llm_jinja_as_number(v, &d))
			return llm_jinja_fail(j, "must be real number, not %s", llm_jinja_type_name(v));
		return put_float(j, d, spec);
	}
	if (v->kind == LLM_VALUE_FLOAT && strchr("diu", spec->type))
	{
		d = trunc(v->u.number);
		if (!(fabs(d) < 9.2e18))
			return llm_jinja_limit(j, "an integer does not fit 64 bits");
		i = (int64_t) d;
	}
	else if (!llm_jinja_as_int(v, &i))
		return llm_jinja_fail(j, "%%%c format: a number is required, not %s", spec->type, llm_jinja_type_name(v));
	return put_int(j, i, spec, spec->precision);
}

static LlmStatus
percent_convert(Jinja *j, LlmText format, size_t *pos, PercentArgs *args)
{
	Spec		spec = {.fill = blank, .precision = -1};
	LlmValue   *v = NULL;
	bool		left = false;
	LlmText		text;
	int64_t		i;

	if (*pos < format.len && format.bytes[*pos] == '(')
		LLM_TRY(read_key(j, format, pos, args, &v));
	for (; *pos < format.len && format.bytes[*pos] && strchr("-+ #0", format.bytes[*pos]); ++*pos)
	{
		char		c = format.bytes[*pos];

		left |= c == '-';
		spec.alternate |= c == '#';
		spec.zero |= c == '0';
		if (c == '+' || (c == ' ' && !spec.sign))
			spec.sign = c;
	}
	LLM_TRY(read_amount(j, format, pos, args, &spec.width));
	if (spec.width < 0)
	{
		left = true;
		spec.width = -spec.width;
	}
	if (*pos < format.len && format.bytes[*pos] == '.')
	{
		++*pos;
		LLM_TRY(read_amount(j, format, pos, args, &spec.precision));
		if (spec.precision < 0)
			spec.precision = 0;
	}
	if (*pos < format.len && format.bytes[*pos] && strchr("hlL", format.bytes[*pos]))
		++*pos;
	if (*pos >= format.len)
		return llm_jinja_fail(j, "incomplete format");
	spec.type = format.bytes[(*pos)++];
	if (spec.type == '%')
		return llm_jinja_put(j, llm_jinja_sub(format, *pos - 1, *pos));
	if (!v)
		LLM_TRY(next_arg(j, args, &v));
	spec.align = left ? '<' : '>';
	switch (spec.type)
	{
		case 's':
		case 'r':
		case 'a':
			LLM_TRY(convert(j, v, spec.type, &text));
			return put_string(j, text, &spec, spec.align);
		case 'c':
			spec.precision = -1;
			if (v->kind == LLM_VALUE_STRING && llm_jinja_count(v->u.text) == 1)
				return put_string(j, v->u.text, &spec, spec.align);
			if (!llm_jinja_as_int(v, &i))
				return llm_jinja_fail(j, "%%c requires int or char");
			return put_code_point(j, i, &spec, spec.align);
		case 'd':
		case 'i':
		case 'u':
		case 'o':
		case 'x':
		case 'X':
		case 'e':
		case 'E':
		case 'f':
		case 'F':
		case 'g':
		case 'G':
			if (spec.zero && !left)
			{
				spec.fill = zero_fill;
				spec.align = '=';
			}
			return percent_number(j, v, &spec);
		default:
			return llm_jinja_fail(j, "unsupported format character '%c'", spec.type < ' ' || spec.type > '~' ? '?' : spec.type);
	}
}

LlmStatus
llm_jinja_percent(Jinja *j, LlmText format, LlmValue *arg, LlmValue **out)
{
	PercentArgs args = {NULL, &arg, 1, 0};
	size_t		mark = j->out.len;
	size_t		pos = 0;
	bool		used_keys = false;

	if (arg->kind == LLM_VALUE_LIST && (arg->flavour == JINJA_TUPLE || arg->flavour == JINJA_GROUP))
	{
		args.items = arg->u.seq.items;
		args.n = arg->u.seq.n;
	}
	else if (arg->kind == LLM_VALUE_MAP || arg->kind == LLM_VALUE_LIST || arg->kind == LLM_VALUE_UNDEFINED)
		args.mapping = arg;
	while (pos < format.len)
	{
		size_t		next = llm_jinja_find(format, (LlmText) {"%", NULL, 1}, pos);

		LLM_TRY(llm_jinja_step(j, 1));
		if (next == SIZE_MAX)
			next = format.len;
		LLM_TRY(llm_jinja_put(j, llm_jinja_sub(format, pos, next)));
		pos = next;
		if (pos == format.len)
			break;
		pos++;
		used_keys |= pos < format.len && format.bytes[pos] == '(';
		LLM_TRY(percent_convert(j, format, &pos, &args));
	}
	if (args.used < args.n && !args.mapping && !used_keys)
		return llm_jinja_fail(j, "not all arguments converted during string formatting");
	return llm_jinja_cut(j, mark, out);
}

/* ---- str.format ---- */

static LlmStatus
bad_spec(Jinja *j)
{
	return llm_jinja_fail(j, "invalid format specifier");
}

/* [[fill]align][sign][#][0][width][,][.precision][type] */
static LlmStatus
parse_spec(Jinja *j, LlmText text, Spec *spec)
{
	uint32_t	c;
	size_t		first = llm_jinja_decode(text.bytes, text.len, &c);
	size_t		pos = 0;
	PercentArgs none = {0};

	*spec = (Spec) {.fill = blank, .precision = -1};
	if (first < text.len && text.bytes[first] && strchr("<>=^", text.bytes[first]))
	{
		spec->fill = llm_jinja_sub(text, 0, first);
		spec->align = text.bytes[first];
		pos = first + 1;
	}
	else if (text.len && text.bytes[0] && strchr("<>=^", text.bytes[0]))
		spec->align = text.bytes[pos++];
	if (pos < text.len && text.bytes[pos] && strchr("+- ", text.bytes[pos]))
	{
		spec->sign = text.bytes[pos] == '-' ? 0 : text.bytes[pos];
		pos++;
	}
	if (pos < text.len && text.bytes[pos] == '#')
	{
		spec->alternate = true;
		pos++;
	}
	if (pos < text.len && text.bytes[pos] == '0')
	{
		spec->zero = true;
		if (spec->align == 0 || pos == 0)
			spec->fill = zero_fill;
		pos++;
	}
	if (pos < text.len && text.bytes[pos] == '*')
		return bad_spec(j);
	LLM_TRY(read_amount(j, text, &pos, &none, &spec->width));
	if (pos < text.len && (text.bytes[pos] == ',' || text.bytes[pos] == '_'))
		spec->grouping = text.bytes[pos++];
	if (pos < text.len && text.bytes[pos] == '.')
	{
		pos++;
		if (pos >= text.len || text.bytes[pos] < '0' || text.bytes[pos] > '9')
			return llm_jinja_fail(j, "format specifier missing precision");
		LLM_TRY(read_amount(j, text, &pos, &none, &spec->precision));
	}
	if (pos < text.len)
		spec->type = text.bytes[pos++];
	return pos == text.len ? LLM_OK : bad_spec(j);
}

static LlmStatus
unknown_code(Jinja *j, char type, const LlmValue *v)
{
	return llm_jinja_fail(j, "unknown format code '%c' for object of type '%s'", type < ' ' || type > '~' ? '?' : type, llm_jinja_type_name(v));
}

/* format(v, spec) */
static LlmStatus
put_formatted(Jinja *j, LlmValue *v, LlmText spec_text)
{
	Spec		spec;
	double		d;
	int64_t		i;
	bool		is_int;

	if (spec_text.len == 0)
		return llm_jinja_put_str(j, v);
	if (v->kind != LLM_VALUE_STRING && !llm_jinja_as_number(v, &d))
		return llm_jinja_fail(j, "unsupported format string passed to %s.__format__", llm_jinja_type_name(v));
	LLM_TRY(parse_spec(j, spec_text, &spec));
	if (v->kind == LLM_VALUE_STRING)
	{
		if ((spec.type && spec.type != 's') || spec.align == '=' || spec.sign || spec.alternate || spec.grouping)
			return unknown_code(j, spec.type, v);
		return put_string(j, v->u.text, &spec, spec.align ? spec.align : '<');
	}
	if (spec.zero && !spec.align)
		spec.align = '=';
	is_int = llm_jinja_as_int(v, &i);
	if (spec.type == 'n')
		spec.type = is_int ? 'd' : 'g';
	if (is_int && (!spec.type || strchr("bcdoxX", spec.type)))
	{
		if (spec.precision >= 0)
			return llm_jinja_fail(j, "precision not allowed in integer format specifier");
		if (spec.type == 'c')
			return put_code_point(j, i, &spec, spec.align == '=' || !spec.align ? '<' : spec.align);
		if (spec.grouping == ',' && spec.type && spec.type != 'd')
			return unknown_code(j, spec.type, v);
		return put_int(j, i, &spec, -1);
	}
	if (spec.type && !strchr("eEfFgG%", spec.type))
		return unknown_code(j, spec.type, v);
	return put_float(j, d, &spec);
}

typedef struct FormatArgs
{
	const JinjaArgs *args;
	int64_t		next;			/* number of the next {} */
	int			numbering;		/* 1: {}, 2: {0}, 0: not known yet */
} FormatArgs;

/* the object that the first part of a field names */
static LlmStatus
field_object(Jinja *j, LlmText name, FormatArgs *state, LlmValue **out)
{
	int64_t		number = 0;
	bool		overflow;
	bool		is_number = name.len == 0;
	int			numbering = name.len == 0 ? 1 : 2;

	if (name.len && name.bytes[0] >= '0' && name.bytes[0] <= '9')
		is_number = llm_jinja_parse_int(name, 10, &number, &overflow);
	if (is_number)
	{
		if (state->numbering && state->numbering != numbering)
			return llm_jinja_fail(j, "cannot switch between manual and automatic field numbering");
		state->numbering = numbering;
		if (name.len == 0)
			number = state->next++;
		if ((uint64_t) number >= state->args->n_positional)
			return llm_jinja_fail(j, "replacement index %" PRId64 " out of range for positional args", number);
		*out = state->args->positional[number];
		return LLM_OK;
	}
	for (size_t i = 0; i < state->args->n_keywords; i++)
	{
		const LlmText *key = &state->args->keyword_names[i]->u.text;

		if (key->len == name.len && memcmp(key->bytes, name.bytes, name.len) == 0)
		{
			*out = state->args->keyword_values[i];
			return LLM_OK;
		}
	}
	return llm_jinja_fail(j, "format argument '%.*s' is missing", (int) (name.len < 60 ? name.len : 60), name.bytes);
}

/* name.attribute[key]… */
static LlmStatus
field_value(Jinja *j, LlmText field, FormatArgs *state, LlmValue **out)
{
	size_t		pos = 0;
	LlmValue   *key;

	while (pos < field.len && field.bytes[pos] != '.' && field.bytes[pos] != '[')
		pos++;
	LLM_TRY(field_object(j, llm_jinja_sub(field, 0, pos), state, out));
	while (pos < field.len)
	{
		bool		dot = field.bytes[pos++] == '.';
		size_t		start = pos;
		int64_t		number;
		bool		overflow;

		while (pos < field.len && (dot ? field.bytes[pos] != '.' && field.bytes[pos] != '[' : field.bytes[pos] != ']'))
			pos++;
		if (pos == start || (!dot && pos == field.len))
			return llm_jinja_fail(j, "wrong field in a format string");
		LLM_TRY(llm_jinja_text(j, llm_jinja_sub(field, start, pos), &key));
		if (dot)
			LLM_TRY(llm_jinja_getattr(j, *out, key, out));
		else
		{
			if (key->u.text.bytes[0] >= '0' && key->u.text.bytes[0] <= '9' && llm_jinja_parse_int(key->u.text, 10, &number, &overflow))
				LLM_TRY(llm_jinja_int(j, number, &key));
			LLM_TRY(llm_jinja_getitem(j, *out, key, out));
			pos++;
			if (pos < field.len && field.bytes[pos] != '.' && field.bytes[pos] != '[')
				return llm_jinja_fail(j, "wrong field in a format string");
		}
	}
	return LLM_OK;
}

static LlmStatus format_text(Jinja *j, LlmText format, FormatArgs *state, int depth);

/* field!conversion:spec between braces */
static LlmStatus
put_field(Jinja *j, LlmText inner, FormatArgs *state, int depth)
{
	size_t		name_end = 0;
	size_t		brackets = 0;
	size_t		mark;
	LlmText		spec = {"", NULL, 0};
	LlmText		text;
	LlmValue   *v;
	LlmValue   *made;
	char		conversion = 0;

	while (name_end < inner.len && (brackets || (inner.bytes[name_end] != '!' && inner.bytes[name_end] != ':')))
	{
		brackets = inner.bytes[name_end] == '[' ? 1 : inner.bytes[name_end] == ']' ? 0 : brackets;
		name_end++;
	}
	if (name_end < inner.len && inner.bytes[name_end] == '!')
	{
		if (name_end + 1 >= inner.len || (name_end + 2 < inner.len && inner.bytes[name_end + 2] != ':'))
			return llm_jinja_fail(j, "wrong conversion in a format string");
		conversion = inner.bytes[name_end + 1];
		if (!conversion || !strchr("rsa", conversion))
			return llm_jinja_fail(j, "unknown conversion in a format string");
		if (name_end + 2 < inner.len)
			spec = llm_jinja_sub(inner, name_end + 3, inner.len);
	}
	else if (name_end < inner.len)
		spec = llm_jinja_sub(inner, name_end + 1, inner.len);
	LLM_TRY(field_value(j, llm_jinja_sub(inner, 0, name_end), state, &v));
	if (conversion)
	{
		LLM_TRY(convert(j, v, conversion, &text));
		LLM_TRY(llm_jinja_text(j, text, &v));
	}
	mark = j->out.len;
	LLM_TRY(format_text(j, spec, state, depth + 1));
	LLM_TRY(llm_jinja_cut(j, mark, &made));
	return put_formatted(j, v, made->u.text);
}

static LlmStatus
format_text(Jinja *j, LlmText format, FormatArgs *state, int depth)
{
	size_t		pos = 0;

	if (depth > 2)
		return llm_jinja_fail(j, "max string recursion exceeded");
	while (pos < format.len)
	{
		size_t		start = pos;
		int			open = 1;
		bool		bracket = false;

		LLM_TRY(llm_jinja_step(j, 1));
		while (pos < format.len && format.bytes[pos] != '{' && format.bytes[pos] != '}')
			pos++;
		LLM_TRY(llm_jinja_put(j, llm_jinja_sub(format, start, pos)));
		if (pos == format.len)
			break;
		if (pos + 1 < format.len && format.bytes[pos + 1] == format.bytes[pos])
		{
			LLM_TRY(llm_jinja_put(j, llm_jinja_sub(format, pos, pos + 1)));
			pos += 2;
			continue;
		}
		if (format.bytes[pos] == '}')
			return llm_jinja_fail(j, "single '}' encountered in format string");
		start = ++pos;
		for (; pos < format.len; pos++)
		{
			char		c = format.bytes[pos];

			bracket = (bracket || c == '[') && c != ']';
			if (bracket)
				continue;
			open += c == '{' ? 1 : c == '}' ? -1 : 0;
			if (open == 0)
				break;
		}
		if (open)
			return llm_jinja_fail(j, "expected '}' before end of string");
		LLM_TRY(put_field(j, llm_jinja_sub(format, start, pos), state, depth));
		pos++;
	}
	return LLM_OK;
}

LlmStatus
llm_jinja_str_format(Jinja *j, LlmText format, const JinjaArgs *args, LlmValue **out)
{
	FormatArgs	state = {args, 0, 0};
	size_t		mark = j->out.len;

	LLM_TRY(format_text(j, format, &state, 0));
	return llm_jinja_cut(j, mark, out);
}
