/*
 * jinja_string.c: methods of strings that make strings, lists or numbers. Questions (isdigit, startswith, …) are in
 * jinja_string_checks.c.
 *
 * Parts of a string (strip, split, slices) share its bytes and origins. Methods of a Markup string give Markup again.
 */
#include "text/jinja/jinja.h"

#include <string.h>

/* arguments of a method are all positional, as in Python, except where keywords are taken */
#define SELF (self->u.text)

/* text value of the kind of self */
static LlmStatus
same_kind(Jinja *j, const LlmValue *self, LlmText text, LlmValue **out)
{
	LLM_TRY(llm_jinja_text(j, text, out));
	(*out)->flavour = self->flavour;
	return LLM_OK;
}

static LlmStatus
cut_same_kind(Jinja *j, const LlmValue *self, size_t mark, LlmValue **out)
{
	LLM_TRY(llm_jinja_cut(j, mark, out));
	(*out)->flavour = self->flavour;
	return LLM_OK;
}

static LlmStatus
change_case(Jinja *j, LlmValue *self, JinjaCase to, LlmValue **out)
{
	size_t		mark = j->out.len;

	LLM_TRY(llm_jinja_put_case(j, SELF, to));
	return cut_same_kind(j, self, mark, out);
}

#define CASE_METHOD(name, to) \
	static LlmStatus \
	name(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out) \
	{ \
		(void) v; \
		(void) args; \
		return change_case(j, self, to, out); \
	}

CASE_METHOD(str_upper, JINJA_CASE_UPPER)
CASE_METHOD(str_lower, JINJA_CASE_LOWER)
CASE_METHOD(str_title, JINJA_CASE_TITLE)
CASE_METHOD(str_capitalize, JINJA_CASE_CAPITALIZE)
CASE_METHOD(str_swapcase, JINJA_CASE_SWAP)
CASE_METHOD(str_casefold, JINJA_CASE_FOLD)

static LlmStatus
strip_sides(Jinja *j, LlmValue *self, LlmValue *chars, bool left, bool right, LlmValue **out)
{
	LlmText		text;
	bool		given = chars && chars->kind != LLM_VALUE_NULL;

	if (given)
		LLM_TRY(llm_jinja_arg_text(j, chars, "characters to strip", &text));
	LLM_TRY(llm_jinja_step(j, SELF.len / 64 * (given ? 1 + text.len : 1)));
	return same_kind(j, self, llm_jinja_strip(SELF, given ? &text : NULL, left, right), out);
}

static LlmStatus
str_strip(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return strip_sides(j, self, v[0], true, true, out);
}

static LlmStatus
str_lstrip(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return strip_sides(j, self, v[0], true, false, out);
}

static LlmStatus
str_rstrip(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return strip_sides(j, self, v[0], false, true, out);
}

static LlmStatus
add_part(Jinja *j, const LlmValue *self, LlmValue *list, size_t start, size_t end)
{
	LlmValue   *part;

	LLM_TRY(llm_jinja_step(j, 1));
	LLM_TRY(same_kind(j, self, llm_jinja_sub(SELF, start, end), &part));
	return llm_jinja_push(j, list, part);
}

/* words between white space, from the left, at most max + 1; the last keeps what follows with its blanks at the end */
static LlmStatus
split_words(Jinja *j, LlmValue *self, int64_t max, LlmValue *list)
{
	size_t		pos = 0;
	size_t		used;
	uint32_t	c;

	for (;;)
	{
		size_t		start;

		while (pos < SELF.len && (used = llm_jinja_decode(SELF.bytes + pos, SELF.len - pos, &c), llm_jinja_is_space(c)))
			pos += used;
		if (pos == SELF.len)
			return LLM_OK;
		start = pos;
		if (max-- == 0)
			return add_part(j, self, list, start, SELF.len);
		while (pos < SELF.len && (used = llm_jinja_decode(SELF.bytes + pos, SELF.len - pos, &c), !llm_jinja_is_space(c)))
			pos += used;
		LLM_TRY(add_part(j, self, list, start, pos));
	}
}

static LlmStatus
rsplit_words(Jinja *j, LlmValue *self, int64_t max, LlmValue *list)
{
	size_t		pos = SELF.len;
	size_t		used;
	uint32_t	c;

	for (;;)
	{
		size_t		end;

		while (pos > 0 && (used = llm_jinja_decode_last(SELF.bytes, pos, &c), llm_jinja_is_space(c)))
			pos -= used;
		if (pos == 0)
			return LLM_OK;
		end = pos;
		if (max-- == 0)
			return add_part(j, self, list, 0, end);
		while (pos > 0 && (used = llm_jinja_decode_last(SELF.bytes, pos, &c), !llm_jinja_is_space(c)))
			pos -= used;
		LLM_TRY(add_part(j, self, list, pos, end));
	}
}

static LlmStatus
split_separated(Jinja *j, LlmValue *self, LlmText separator, int64_t max, bool from_right, LlmValue *list)
{
	size_t		start = 0;
	size_t		end = SELF.len;

	while (max-- != 0)
	{
		size_t		found;

		if (from_right)
			LLM_TRY(llm_jinja_find_last(j, SELF, separator, end, &found));
		else
			found = llm_jinja_find(SELF, separator, start);
		if (found == SIZE_MAX)
			break;
		if (from_right)
		{
			LLM_TRY(add_part(j, self, list, found + separator.len, end));
			end = found;
		}
		else
		{
			LLM_TRY(add_part(j, self, list, start, found));
			start = found + separator.len;
		}
	}
	return add_part(j, self, list, start, end);
}

static LlmStatus
split(Jinja *j, LlmValue *self, LlmValue **v, bool from_right, LlmValue **out)
{
	int64_t		max = -1;
	LlmText		separator;
	LlmValue   *list;

	if (v[1])
		LLM_TRY(llm_jinja_arg_int(j, v[1], "maxsplit", &max));
	if (max < 0)
		max = -1;
	LLM_TRY(llm_jinja_step(j, SELF.len / 32));
	LLM_TRY(llm_jinja_list(j, 0, &list));
	if (v[0] && v[0]->kind != LLM_VALUE_NULL)
	{
		LLM_TRY(llm_jinja_arg_text(j, v[0], "separator", &separator));
		if (separator.len == 0)
			return llm_jinja_fail(j, "empty separator");
		LLM_TRY(split_separated(j, self, separator, max, from_right, list));
	}
	else
		LLM_TRY(from_right ? rsplit_words(j, self, max, list) : split_words(j, self, max, list));
	for (size_t a = 0, b = list->u.seq.n; from_right && a + 1 < b; a++)
	{
		LlmValue   *item = list->u.seq.items[a];

		list->u.seq.items[a] = list->u.seq.items[--b];
		list->u.seq.items[b] = item;
	}
	*out = list;
	return LLM_OK;
}

static LlmStatus
str_split(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return split(j, self, v, false, out);
}

static LlmStatus
str_rsplit(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return split(j, self, v, true, out);
}

static LlmStatus
str_splitlines(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	bool		keep = v[0] && llm_jinja_truth(v[0]);
	size_t		start = 0;
	size_t		pos = 0;

	(void) args;
	LLM_TRY(llm_jinja_step(j, SELF.len / 32));
	LLM_TRY(llm_jinja_list(j, 0, out));
	while (pos < SELF.len)
	{
		uint32_t	c;
		size_t		used = llm_jinja_decode(SELF.bytes + pos, SELF.len - pos, &c);

		if (!llm_jinja_is_line_end(c))
		{
			pos += used;
			continue;
		}
		if (c == '\r' && pos + 1 < SELF.len && SELF.bytes[pos + 1] == '\n')
			used = 2;
		LLM_TRY(add_part(j, self, *out, start, keep ? pos + used : pos));
		start = pos += used;
	}
	return start < SELF.len ? add_part(j, self, *out, start, SELF.len) : LLM_OK;
}

static LlmStatus
partition(Jinja *j, LlmValue *self, LlmValue *by, bool from_right, LlmValue **out)
{
	LlmText		separator;
	LlmValue   *middle;
	LlmValue   *nothing;
	size_t		found;

	LLM_TRY(llm_jinja_arg_text(j, by, "separator", &separator));
	if (separator.len == 0)
		return llm_jinja_fail(j, "empty separator");
	LLM_TRY(llm_jinja_step(j, SELF.len / 32));
	LLM_TRY(llm_jinja_list(j, 3, out));
	(*out)->flavour = JINJA_TUPLE;
	LLM_TRY(llm_jinja_cstring(j, "", &nothing));
	if (from_right)
		LLM_TRY(llm_jinja_find_last(j, SELF, separator, SELF.len, &found));
	else
		found = llm_jinja_find(SELF, separator, 0);
	if (found == SIZE_MAX)
	{
		LLM_TRY(llm_jinja_push(j, *out, from_right ? nothing : self));
		LLM_TRY(llm_jinja_push(j, *out, nothing));
		return llm_jinja_push(j, *out, from_right ? self : nothing);
	}
	LLM_TRY(llm_jinja_text(j, separator, &middle));
	LLM_TRY(add_part(j, self, *out, 0, found));
	LLM_TRY(llm_jinja_push(j, *out, middle));
	return add_part(j, self, *out, found + separator.len, SELF.len);
}

static LlmStatus
str_partition(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return partition(j, self, v[0], false, out);
}

static LlmStatus
str_rpartition(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return partition(j, self, v[0], true, out);
}

/* replace up to max occurrences (negative: all); an empty old stands between all characters */
LlmStatus
llm_jinja_replace(Jinja *j, LlmText text, LlmText old, LlmText new, int64_t max, LlmValue **out)
{
	size_t		mark = j->out.len;
	size_t		pos = 0;

	LLM_TRY(llm_jinja_step(j, text.len / 64));
	while (max-- != 0)
	{
		size_t		found = llm_jinja_find(text, old, pos);
		uint32_t	c;

		if (found == SIZE_MAX)
			break;
		LLM_TRY(llm_jinja_step(j, 1));
		LLM_TRY(llm_jinja_put(j, llm_jinja_sub(text, pos, found)));
		LLM_TRY(llm_jinja_put(j, new));
		pos = found + old.len;
		if (old.len == 0)
		{
			size_t		used;

			if (pos == text.len)
				return llm_jinja_cut(j, mark, out);
			used = llm_jinja_decode(text.bytes + pos, text.len - pos, &c);
			LLM_TRY(llm_jinja_put(j, llm_jinja_sub(text, pos, pos + used)));
			pos += used;
		}
	}
	LLM_TRY(llm_jinja_put(j, llm_jinja_sub(text, pos, text.len)));
	return llm_jinja_cut(j, mark, out);
}

static LlmStatus
str_replace(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmText		old;
	LlmText		new;
	int64_t		max = -1;

	(void) args;
	LLM_TRY(llm_jinja_arg_text(j, v[0], "replaced text", &old));
	LLM_TRY(llm_jinja_arg_text(j, v[1], "replacement", &new));
	if (v[2])
		LLM_TRY(llm_jinja_arg_int(j, v[2], "count", &max));
	LLM_TRY(llm_jinja_replace(j, SELF, old, new, max, out));
	(*out)->flavour = self->flavour;
	return LLM_OK;
}

static LlmStatus
str_join(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmValue  **items;
	size_t		n;
	size_t		mark = j->out.len;

	(void) args;
	LLM_TRY(llm_jinja_items(j, v[0], &items, &n));
	for (size_t i = 0; i < n; i++)
	{
		LLM_TRY(llm_jinja_step(j, 1));
		if (items[i]->kind != LLM_VALUE_STRING)
			return llm_jinja_fail(j, "sequence item %zu: expected str instance, %s found", i, llm_jinja_type_name(items[i]));
		if (i)
			LLM_TRY(llm_jinja_put(j, SELF));
		LLM_TRY(llm_jinja_put(j, items[i]->u.text));
	}
	return cut_same_kind(j, self, mark, out);
}

static LlmStatus
str_removeprefix(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmText		fix;
	bool		has;

	(void) args;
	LLM_TRY(llm_jinja_arg_text(j, v[0], "prefix", &fix));
	has = fix.len && SELF.len >= fix.len && memcmp(SELF.bytes, fix.bytes, fix.len) == 0;
	return same_kind(j, self, llm_jinja_sub(SELF, has ? fix.len : 0, SELF.len), out);
}

static LlmStatus
str_removesuffix(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmText		fix;
	bool		has;

	(void) args;
	LLM_TRY(llm_jinja_arg_text(j, v[0], "suffix", &fix));
	has = fix.len && SELF.len >= fix.len && memcmp(SELF.bytes + SELF.len - fix.len, fix.bytes, fix.len) == 0;
	return same_kind(j, self, llm_jinja_sub(SELF, 0, SELF.len - (has ? fix.len : 0)), out);
}

/* side: '<' text to the left, '>' to the right, '^' centred as str.center does */
static LlmStatus
justify(Jinja *j, LlmValue *self, LlmValue **v, char side, LlmValue **out)
{
	LlmText		fill = {" ", NULL, 1};
	int64_t		width;
	int64_t		missing;
	size_t		left;
	size_t		mark = j->out.len;

	LLM_TRY(llm_jinja_arg_int(j, v[0], "width", &width));
	if (v[1])
		LLM_TRY(llm_jinja_arg_text(j, v[1], "fill character", &fill));
	if (llm_jinja_count(fill) != 1)
		return llm_jinja_fail(j, "the fill character must be exactly one character long");
	LLM_TRY(llm_jinja_step(j, SELF.len / 64));
	if (width > (int64_t) LLM_JINJA_MAX_OUTPUT)
		return llm_jinja_limit(j, "more than %zu bytes of text", LLM_JINJA_MAX_OUTPUT);
	missing = width - (int64_t) llm_jinja_count(SELF);
	if (missing <= 0)
		return same_kind(j, self, SELF, out);
	left = side == '<' ? 0 : side == '>' ? (size_t) missing : (size_t) (missing / 2 + (missing & width & 1));
	LLM_TRY(llm_jinja_put_fill(j, fill, left));
	LLM_TRY(llm_jinja_put(j, SELF));
	LLM_TRY(llm_jinja_put_fill(j, fill, (size_t) missing - left));
	return cut_same_kind(j, self, mark, out);
}

static LlmStatus
str_ljust(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return justify(j, self, v, '<', out);
}

static LlmStatus
str_rjust(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return justify(j, self, v, '>', out);
}

static LlmStatus
str_center(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return justify(j, self, v, '^', out);
}

static LlmStatus
str_zfill(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	int64_t		width;
	int64_t		missing;
	size_t		sign = SELF.len && (SELF.bytes[0] == '+' || SELF.bytes[0] == '-') ? 1 : 0;
	size_t		mark = j->out.len;

	(void) args;
	LLM_TRY(llm_jinja_arg_int(j, v[0], "width", &width));
	missing = width > (int64_t) LLM_JINJA_MAX_OUTPUT ? (int64_t) LLM_JINJA_MAX_OUTPUT : width - (int64_t) llm_jinja_count(SELF);
	LLM_TRY(llm_jinja_put(j, llm_jinja_sub(SELF, 0, sign)));
	LLM_TRY(llm_jinja_put_fill(j, (LlmText) {"0", NULL, 1}, missing > 0 ? (size_t) missing : 0));
	LLM_TRY(llm_jinja_put(j, llm_jinja_sub(SELF, sign, SELF.len)));
	return cut_same_kind(j, self, mark, out);
}

static LlmStatus
str_expandtabs(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	int64_t		size = 8;
	int64_t		column = 0;
	size_t		mark = j->out.len;
	size_t		pos = 0;

	(void) args;
	if (v[0])
		LLM_TRY(llm_jinja_arg_int(j, v[0], "tab size", &size));
	LLM_TRY(llm_jinja_step(j, SELF.len / 16));
	while (pos < SELF.len)
	{
		uint32_t	c;
		size_t		used = llm_jinja_decode(SELF.bytes + pos, SELF.len - pos, &c);

		if (c == '\t')
		{
			int64_t		n = size > 0 ? size - column % size : 0;

			LLM_TRY(llm_jinja_put_fill(j, (LlmText) {" ", SELF.from_data ? SELF.from_data + pos : NULL, 1}, (size_t) n));
			column += n;
		}
		else
		{
			LLM_TRY(llm_jinja_put(j, llm_jinja_sub(SELF, pos, pos + used)));
			column = c == '\n' || c == '\r' ? 0 : column + 1;
		}
		pos += used;
	}
	return cut_same_kind(j, self, mark, out);
}

static LlmStatus
str_format(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) v;
	LLM_TRY(llm_jinja_str_format(j, SELF, args, out));
	(*out)->flavour = self->flavour;
	return LLM_OK;
}

static LlmStatus
str_format_map(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	JinjaArgs	from_map = {0};

	(void) args;
	if (v[0]->kind != LLM_VALUE_MAP)
		return llm_jinja_fail(j, "format_map() needs a mapping, not %s", llm_jinja_type_name(v[0]));
	for (size_t i = 0; i < v[0]->u.seq.n; i++)
		if (v[0]->u.seq.keys[i]->kind != LLM_VALUE_STRING)
			return llm_jinja_fail(j, "keywords must be strings");
	from_map.keyword_names = v[0]->u.seq.keys;
	from_map.keyword_values = v[0]->u.seq.items;
	from_map.n_keywords = v[0]->u.seq.n;
	return str_format(j, self, v, &from_map, out);
}

const JinjaFunction llm_jinja_string_methods[] = {
	{"capitalize", str_capitalize, "", 0},
	{"casefold", str_casefold, "", 0},
	{"center", str_center, "/width fillchar", 1},
	{"expandtabs", str_expandtabs, "tabsize", 0},
	{"format", str_format, NULL, 0},
	{"format_map", str_format_map, "/mapping", 1},
	{"join", str_join, "/iterable", 1},
	{"ljust", str_ljust, "/width fillchar", 1},
	{"lower", str_lower, "", 0},
	{"lstrip", str_lstrip, "/chars", 0},
	{"partition", str_partition, "/sep", 1},
	{"removeprefix", str_removeprefix, "/prefix", 1},
	{"removesuffix", str_removesuffix, "/suffix", 1},
	{"replace", str_replace, "/old new count", 2},
	{"rjust", str_rjust, "/width fillchar", 1},
	{"rpartition", str_rpartition, "/sep", 1},
	{"rsplit", str_rsplit, "sep maxsplit", 0},
	{"rstrip", str_rstrip, "/chars", 0},
	{"split", str_split, "sep maxsplit", 0},
	{"splitlines", str_splitlines, "keepends", 0},
	{"strip", str_strip, "/chars", 0},
	{"swapcase", str_swapcase, "", 0},
	{"title", str_title, "", 0},
	{"upper", str_upper, "", 0},
	{"zfill", str_zfill, "/width", 1},
	{NULL, NULL, NULL, 0}
};
