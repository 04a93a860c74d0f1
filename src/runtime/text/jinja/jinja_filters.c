/*
 * jinja_filters.c: filters of texts and numbers, and looking filters up. Those of lists are in jinja_list_filters.c and
 * jinja_select_filters.c.
 *
 * Filters of jinja2 that are left out are refused by name: what is random, or lays text out for people.
 */
#include "text/jinja/jinja.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* call a method of str on str(self) */
static LlmStatus
via_method(Jinja *j, const char *name, LlmValue *self, LlmValue **positional, size_t n, LlmValue **out)
{
	JinjaArgs	args = {positional, n, NULL, NULL, 0};
	LlmValue   *text;

	LLM_TRY(llm_jinja_soft_str(j, self, &text));
	return llm_jinja_apply(j, llm_jinja_find_function(llm_jinja_string_methods, (LlmStr) {name, strlen(name)}), "filter", text, &args, out);
}

static LlmStatus
filter_trim(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return via_method(j, "strip", self, v, v[0] ? 1 : 0, out);
}

static LlmStatus
filter_upper(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return via_method(j, "upper", self, v, 0, out);
}

static LlmStatus
filter_lower(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return via_method(j, "lower", self, v, 0, out);
}

static LlmStatus
filter_capitalize(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return via_method(j, "capitalize", self, v, 0, out);
}

static LlmStatus
filter_center(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmValue   *width = v[0];

	(void) args;
	if (!width)
		LLM_TRY(llm_jinja_int(j, 80, &width));
	return via_method(j, "center", self, &width, 1, out);
}

static bool
is_word_start(uint32_t c)
{
	return llm_jinja_is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
}

/* words begin after white space and opening brackets; runs of these are kept as they are */
static LlmStatus
filter_title(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmText		text;
	size_t		mark;
	size_t		pos = 0;

	(void) v;
	(void) args;
	LLM_TRY(llm_jinja_str(j, self, &text));
	LLM_TRY(llm_jinja_step(j, text.len / 16));
	mark = j->out.len;
	while (pos < text.len)
	{
		size_t		start = pos;
		uint32_t	c;
		size_t		first = llm_jinja_decode(text.bytes + pos, text.len - pos, &c);
		bool		separator = is_word_start(c);

		while (pos < text.len)
		{
			size_t		used = llm_jinja_decode(text.bytes + pos, text.len - pos, &c);

			if (is_word_start(c) != separator)
				break;
			pos += used;
		}
		LLM_TRY(llm_jinja_put_case(j, llm_jinja_sub(text, start, start + first), JINJA_CASE_UPPER));
		LLM_TRY(llm_jinja_put_case(j, llm_jinja_sub(text, start + first, pos), JINJA_CASE_LOWER));
	}
	return llm_jinja_cut(j, mark, out);
}

static LlmStatus
filter_replace(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmText		text;
	LlmText		old;
	LlmText		new;
	int64_t		max = -1;

	(void) args;
	LLM_TRY(llm_jinja_str(j, self, &text));
	LLM_TRY(llm_jinja_str(j, v[0], &old));
	LLM_TRY(llm_jinja_str(j, v[1], &new));
	if (llm_jinja_given(v[2]))
		LLM_TRY(llm_jinja_arg_int(j, v[2], "count", &max));
	return llm_jinja_replace(j, text, old, new, max, out);
}

/* indent(width=4, first=false, blank=false) */
static LlmStatus
filter_indent(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmText		text;
	LlmText		unit = {" ", NULL, 1};
	int64_t		width = 4;
	size_t		mark;
	LlmValue   *indent;
	LlmValue   *lines;
	LlmValue   *terminated;
	static const LlmText newline = {"\n", NULL, 1};

	(void) args;
	LLM_TRY(llm_jinja_arg_text(j, self, "indented value", &text));
	mark = j->out.len;
	if (v[0] && v[0]->kind == LLM_VALUE_STRING)
	{
		unit = v[0]->u.text;
		width = 1;
	}
	else if (v[0])
		LLM_TRY(llm_jinja_arg_int(j, v[0], "width", &width));
	LLM_TRY(llm_jinja_put_fill(j, unit, width > 0 ? (size_t) width : 0));
	LLM_TRY(llm_jinja_cut(j, mark, &indent));
	/* a line feed is added so that the last line counts even if it is empty */
	LLM_TRY(llm_jinja_put(j, text));
	LLM_TRY(llm_jinja_put(j, newline));
	LLM_TRY(llm_jinja_cut(j, mark, &terminated));
	LLM_TRY(via_method(j, "splitlines", terminated, NULL, 0, &lines));
	if (llm_jinja_is_true(v[1]))
		LLM_TRY(llm_jinja_put(j, indent->u.text));
	for (size_t i = 0; i < lines->u.seq.n; i++)
	{
		LlmText		line = lines->u.seq.items[i]->u.text;

		if (i)
			LLM_TRY(llm_jinja_put(j, newline));
		if (i && (line.len || llm_jinja_is_true(v[2])))
			LLM_TRY(llm_jinja_put(j, indent->u.text));
		LLM_TRY(llm_jinja_put(j, line));
	}
	return llm_jinja_cut(j, mark, out);
}

/* truncate(length=255, killwords=false, end='...', leeway=5) */
static LlmStatus
filter_truncate(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmText		text;
	LlmText		end = {"...", NULL, 3};
	int64_t		length = 255;
	int64_t		leeway = 5;
	int64_t		end_length;
	int64_t		n;
	size_t		mark = j->out.len;
	size_t		cut;

	(void) args;
	*out = self;
	if (self->kind == LLM_VALUE_UNDEFINED)
		return LLM_OK;
	if (v[0])
		LLM_TRY(llm_jinja_arg_int(j, v[0], "length", &length));
	if (v[2])
		LLM_TRY(llm_jinja_arg_text(j, v[2], "end", &end));
	if (llm_jinja_given(v[3]))
		LLM_TRY(llm_jinja_arg_int(j, v[3], "leeway", &leeway));
	end_length = (int64_t) llm_jinja_count(end);
	if (length < end_length || leeway < 0)
		return llm_jinja_fail(j, "expected length >= %lld and leeway >= 0", (long long) end_length);
	LLM_TRY(llm_jinja_length(j, self, &n));
	if (leeway > INT64_MAX - length || n <= length + leeway)
		return LLM_OK;
	LLM_TRY(llm_jinja_arg_text(j, self, "truncated value", &text));
	cut = llm_jinja_offset(text, (size_t) (length - end_length));
	text.len = cut;
	if (!llm_jinja_is_true(v[1]))
	{
		LLM_TRY(llm_jinja_find_last(j, text, (LlmText) {" ", NULL, 1}, cut, &cut));
		if (cut != SIZE_MAX)
			text.len = cut;
	}
	LLM_TRY(llm_jinja_put(j, text));
	LLM_TRY(llm_jinja_put(j, end));
	return llm_jinja_cut(j, mark, out);
}

static LlmStatus
filter_wordcount(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmText		text;
	size_t		pos = 0;
	int64_t		n = 0;
	bool		inside = false;

	(void) v;
	(void) args;
	LLM_TRY(llm_jinja_str(j, self, &text));
	LLM_TRY(llm_jinja_step(j, text.len / 32));
	while (pos < text.len)
	{
		uint32_t	c;
		bool		word;

		pos += llm_jinja_decode(text.bytes + pos, text.len - pos, &c);
		word = c == '_' || llm_jinja_is_alpha(c) || llm_jinja_is_numeric(c);
		n += word && !inside;
		inside = word;
	}
	return llm_jinja_int(j, n, out);
}

static LlmStatus
put_url_quoted(Jinja *j, LlmValue *v, bool query)
{
	LlmText		text;
	static const char hex[] = "0123456789ABCDEF";

	LLM_TRY(llm_jinja_str(j, v, &text));
	LLM_TRY(llm_jinja_step(j, text.len / 16));
	for (size_t i = 0; i < text.len; i++)
	{
		unsigned char c = (unsigned char) text.bytes[i];
		bool		data = text.from_data && text.from_data[i];
		bool		letter = (c | 32) >= 'a' && (c | 32) <= 'z';
		char		escape[3] = {'%', hex[c >> 4], hex[c & 15]};

		if (letter || (c >= '0' && c <= '9') || (c && strchr("_.-~", c)) || (c == '/' && !query))
			LLM_TRY(llm_jinja_put_bytes(j, text.bytes + i, 1, data));
		else if (c == ' ' && query)
			LLM_TRY(llm_jinja_put_bytes(j, "+", 1, data));
		else
			LLM_TRY(llm_jinja_put_bytes(j, escape, 3, data));
	}
	return LLM_OK;
}

static LlmStatus
filter_urlencode(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	size_t		mark = j->out.len;
	LlmValue  **items;
	size_t		n;

	(void) v;
	(void) args;
	if (self->kind == LLM_VALUE_STRING || !llm_jinja_iterable(self))
	{
		LLM_TRY(put_url_quoted(j, self, false));
		return llm_jinja_cut(j, mark, out);
	}
	LLM_TRY(llm_jinja_items(j, self, &items, &n));
	for (size_t i = 0; i < n; i++)
	{
		LlmValue   *pair[2] = {items[i], self->kind == LLM_VALUE_MAP ? self->u.seq.items[i] : NULL};
		LlmValue  **parts = pair;
		size_t		len = 2;

		if (self->kind != LLM_VALUE_MAP)
			LLM_TRY(llm_jinja_items(j, items[i], &parts, &len));
		if (len != 2)
			return llm_jinja_fail(j, "urlencode needs pairs");
		if (i)
			LLM_TRY(llm_jinja_put_bytes(j, "&", 1, false));
		LLM_TRY(put_url_quoted(j, parts[0], true));
		LLM_TRY(llm_jinja_put_bytes(j, "=", 1, false));
		LLM_TRY(put_url_quoted(j, parts[1], true));
	}
	return llm_jinja_cut(j, mark, out);
}

static LlmStatus
escape(Jinja *j, LlmValue *self, LlmValue **out)
{
	LlmText		text;
	size_t		mark;

	LLM_TRY(llm_jinja_str(j, self, &text));
	mark = j->out.len;
	LLM_TRY(llm_jinja_put_escaped(j, text));
	LLM_TRY(llm_jinja_cut(j, mark, out));
	(*out)->flavour = JINJA_MARKUP;
	return LLM_OK;
}

static LlmStatus
filter_escape(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) v;
	(void) args;
	*out = self;
	return self->kind == LLM_VALUE_STRING && self->flavour == JINJA_MARKUP ? LLM_OK : escape(j, self, out);
}

static LlmStatus
filter_forceescape(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) v;
	(void) args;
	return escape(j, self, out);
}

static LlmStatus
filter_safe(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmText		text;

	(void) v;
	(void) args;
	LLM_TRY(llm_jinja_str(j, self, &text));
	LLM_TRY(llm_jinja_text(j, text, out));
	(*out)->flavour = JINJA_MARKUP;
	return LLM_OK;
}

static LlmStatus
filter_string(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) v;
	(void) args;
	return llm_jinja_soft_str(j, self, out);
}

/* value % arguments */
static LlmStatus
filter_format(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmText		text;
	LlmValue   *values;

	(void) v;
	if (args->n_positional && args->n_keywords)
		return llm_jinja_fail(j, "can't handle positional and keyword arguments at the same time");
	LLM_TRY(llm_jinja_str(j, self, &text));
	if (args->n_keywords)
	{
		LLM_TRY(llm_jinja_new(j, LLM_VALUE_MAP, &values));
		for (size_t i = 0; i < args->n_keywords; i++)
			LLM_TRY(llm_jinja_map_put(j, values, args->keyword_names[i], args->keyword_values[i]));
	}
	else
	{
		LLM_TRY(llm_jinja_list(j, args->n_positional, &values));
		values->flavour = JINJA_TUPLE;
		for (size_t i = 0; i < args->n_positional; i++)
			LLM_TRY(llm_jinja_push(j, values, args->positional[i]));
	}
	return llm_jinja_percent(j, text, values, out);
}

static LlmStatus
filter_default(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	*out = self;
	if (self->kind != LLM_VALUE_UNDEFINED && !(llm_jinja_is_true(v[1]) && !llm_jinja_truth(self)))
		return LLM_OK;
	*out = v[0];
	return v[0] ? LLM_OK : llm_jinja_cstring(j, "", out);
}

/* truncated double as integer */
static LlmStatus
int_of_float(Jinja *j, double d, LlmValue **out)
{
	if (!(fabs(d) < 9.2233720368547e18))
		return llm_jinja_limit(j, "an integer does not fit 64 bits");
	return llm_jinja_int(j, (int64_t) d, out);
}

/* int(default=0, base=10): what cannot be converted becomes the default */
static LlmStatus
filter_int(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	int64_t		base = 10;
	int64_t		i;
	bool		overflow = false;
	double		d;

	(void) args;
	if (v[1])
		LLM_TRY(llm_jinja_arg_int(j, v[1], "base", &base));
	if (base != 0 && (base < 2 || base > 36))
		return llm_jinja_fail(j, "base must be 0 or between 2 and 36");
	if (self->kind == LLM_VALUE_UNDEFINED)
		return llm_jinja_fail_undefined(j, self);
	if (llm_jinja_as_int(self, &i))
		return llm_jinja_int(j, i, out);
	if (self->kind == LLM_VALUE_FLOAT && isinf(self->u.number))
		return llm_jinja_fail(j, "cannot convert float infinity to integer");
	if (self->kind == LLM_VALUE_FLOAT && !isnan(self->u.number))
		return int_of_float(j, self->u.number, out);
	if (self->kind == LLM_VALUE_STRING)
	{
		if (llm_jinja_parse_int(self->u.text, (int) base, &i, &overflow))
			return llm_jinja_int(j, i, out);
		if (overflow)
			return llm_jinja_limit(j, "an integer does not fit 64 bits");
		if (llm_jinja_parse_float(self->u.text, &d) && isfinite(d))
			return int_of_float(j, d, out);
	}
	*out = v[0];
	return v[0] ? LLM_OK : llm_jinja_int(j, 0, out);
}

static LlmStatus
filter_float(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	double		d;

	(void) args;
	if (self->kind == LLM_VALUE_UNDEFINED)
		return llm_jinja_fail_undefined(j, self);
	if (llm_jinja_as_number(self, &d) || (self->kind == LLM_VALUE_STRING && llm_jinja_parse_float(self->u.text, &d)))
		return llm_jinja_float(j, d, out);
	*out = v[0];
	return v[0] ? LLM_OK : llm_jinja_float(j, 0, out);
}

/* round(precision=0, method='common') */
static LlmStatus
filter_round(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	int64_t		precision = 0;
	LlmText		method = {"common", NULL, 6};
	double		d;
	double		factor;

	(void) args;
	if (v[0])
		LLM_TRY(llm_jinja_arg_int(j, v[0], "precision", &precision));
	if (v[1])
		LLM_TRY(llm_jinja_arg_text(j, v[1], "method", &method));
	if (method.len == 6 && memcmp(method.bytes, "common", 6) == 0)
		return llm_jinja_round(j, self, precision, out);
	if (!(method.len == 4 && memcmp(method.bytes, "ceil", 4) == 0) && !(method.len == 5 && memcmp(method.bytes, "floor", 5) == 0))
		return llm_jinja_fail(j, "method must be common, ceil or floor");
	if (!llm_jinja_as_number(self, &d))
		return llm_jinja_fail(j, "type %s cannot be rounded", llm_jinja_type_name(self));
	factor = pow(10, (double) precision);
	d *= factor;
	if (!isfinite(d) || !isfinite(factor) || factor == 0)
		return llm_jinja_fail(j, "the number cannot be rounded");
	return llm_jinja_float(j, (method.len == 4 ? ceil(d) : floor(d)) / factor, out);
}

static LlmStatus
filter_abs(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	int64_t		i;

	(void) v;
	(void) args;
	if (llm_jinja_as_int(self, &i))
		return i < 0 ? llm_jinja_negate(j, self, true, out) : llm_jinja_int(j, i, out);
	if (self->kind == LLM_VALUE_FLOAT)
		return llm_jinja_float(j, fabs(self->u.number), out);
	return llm_jinja_fail(j, "bad operand type for abs(): '%s'", llm_jinja_type_name(self));
}

static LlmStatus
filter_filesizeformat(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	static const char prefixes[] = "kMGTPEZY";
	bool		binary = llm_jinja_is_true(v[0]);
	double		base = binary ? 1024 : 1000;
	double		unit = base;
	double		bytes;
	char		text[80];
	size_t		mark = j->out.len;

	(void) args;
	if (!llm_jinja_as_number(self, &bytes) && !(self->kind == LLM_VALUE_STRING && llm_jinja_parse_float(self->u.text, &bytes)))
		return llm_jinja_fail(j, "could not convert %s to float", llm_jinja_type_name(self));
	if (!isfinite(bytes))
		return llm_jinja_fail(j, "a size must be finite");
	if (bytes == 1)
		snprintf(text, sizeof(text), "1 Byte");
	else if (bytes < base)
		snprintf(text, sizeof(text), "%.0f Bytes", trunc(bytes));
	else
	{
		int			i = 0;

		while (i < 7 && bytes >= unit * base)
		{
			unit *= base;
			i++;
		}
		snprintf(text, sizeof(text), "%.1f %c%sB", base * bytes / (unit * base), binary && i == 0 ? 'K' : prefixes[i], binary ? "i" : "");
	}
	LLM_TRY(llm_jinja_put_bytes(j, text, strlen(text), false));
	return llm_jinja_cut(j, mark, out);
}

/* key="escaped value" for the defined items of a map */
static LlmStatus
filter_xmlattr(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	size_t		mark = j->out.len;
	bool		autospace = !v[0] || llm_jinja_truth(v[0]);
	bool		any = false;

	(void) args;
	if (self->kind != LLM_VALUE_MAP)
		return llm_jinja_fail(j, "xmlattr needs a mapping, not %s", llm_jinja_type_name(self));
	for (size_t i = 0; i < self->u.seq.n; i++)
	{
		const LlmValue *value = self->u.seq.items[i];
		LlmText		key;
		LlmValue   *escaped;

		if (value->kind == LLM_VALUE_NULL || value->kind == LLM_VALUE_UNDEFINED)
			continue;
		LLM_TRY(llm_jinja_arg_text(j, self->u.seq.keys[i], "attribute name", &key));
		for (size_t k = 0; k < key.len; k++)
			if (key.bytes[k] == 0 ? false : strchr(" \t\n\r\f\v/>=", key.bytes[k]) != NULL)
				return llm_jinja_fail(j, "invalid character in attribute name");
		if (any || autospace)
			LLM_TRY(llm_jinja_put_bytes(j, " ", 1, false));
		any = true;
		LLM_TRY(llm_jinja_put_escaped(j, key));
		LLM_TRY(llm_jinja_put_bytes(j, "=\"", 2, false));
		LLM_TRY(filter_escape(j, self->u.seq.items[i], NULL, NULL, &escaped));
		LLM_TRY(llm_jinja_put(j, escaped->u.text));
		LLM_TRY(llm_jinja_put_bytes(j, "\"", 1, false));
	}
	return llm_jinja_cut(j, mark, out);
}

static const JinjaFunction text_filters[] = {
	{"abs", filter_abs, "", 0},
	{"capitalize", filter_capitalize, "", 0},
	{"center", filter_center, "width", 0},
	{"d", filter_default, "default_value boolean", 0},
	{"default", filter_default, "default_value boolean", 0},
	{"e", filter_escape, "", 0},
	{"escape", filter_escape, "", 0},
	{"filesizeformat", filter_filesizeformat, "binary", 0},
	{"float", filter_float, "default", 0},
	{"forceescape", filter_forceescape, "", 0},
	{"format", filter_format, NULL, 0},
	{"indent", filter_indent, "width first blank", 0},
	{"int", filter_int, "default base", 0},
	{"lower", filter_lower, "", 0},
	{"replace", filter_replace, "old new count", 2},
	{"round", filter_round, "precision method", 0},
	{"safe", filter_safe, "", 0},
	{"string", filter_string, "", 0},
	{"title", filter_title, "", 0},
	{"tojson", llm_jinja_tojson, "ensure_ascii indent separators sort_keys", 0},
	{"trim", filter_trim, "chars", 0},
	{"truncate", filter_truncate, "length killwords end leeway", 0},
	{"upper", filter_upper, "", 0},
	{"urlencode", filter_urlencode, "", 0},
	{"wordcount", filter_wordcount, "", 0},
	{"xmlattr", filter_xmlattr, "autospace", 0},
	{NULL, NULL, NULL, 0}
};

const JinjaFunction *
llm_jinja_find_filter(LlmStr name)
{
	const JinjaFunction *f = llm_jinja_find_function(text_filters, name);

	if (!f)
		f = llm_jinja_find_function(llm_jinja_list_filters, name);
	return f ? f : llm_jinja_find_function(llm_jinja_select_filters, name);
}
