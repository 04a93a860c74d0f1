/*
 * json_tree.c: a reader of JSON (RFC 8259).
 */
#include "choose/json_tree.h"

#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"

#define MAX_DEPTH 200
#define MAX_DIGITS 2000
#define POLL_BYTES 65536

typedef struct Reader
{
	LlmArena   *arena;
	const char *text;
	size_t		len;
	size_t		at;
	int			depth;
	const LlmStop *stop;
	size_t		polled;			/* where stop was last asked */
	LlmError   *err;
} Reader;

static LlmStatus
fail_at(Reader *r, const char *what)
{
	LlmStatus	status = llm_fail(r->err, LLM_E_ARGUMENT, "invalid JSON: %s at offset %zu", what, r->at);

	llm_error_hint(r->err, "Give JSON text (RFC 8259).");
	return status;
}

static LlmStatus
alloc(Reader *r, size_t n, size_t size, void *out)
{
	void	   *p;

	LLM_TRY(llm_arena_alloc(r->arena, n ? n : 1, size, &p, r->err));
	memset(p, 0, n * size);
	memcpy(out, &p, sizeof(p));
	return LLM_OK;
}

/* at is where reading has come to */
static LlmStatus
poll(Reader *r, size_t at)
{
	if (at - r->polled < POLL_BYTES)
		return LLM_OK;
	r->polled = at;
	return llm_should_stop(r->stop) ? LLM_PAUSED : LLM_OK;
}

static int
peek(const Reader *r)
{
	return r->at < r->len ? (uint8_t) r->text[r->at] : -1;
}

static void
skip_space(Reader *r)
{
	while (peek(r) == ' ' || peek(r) == '\t' || peek(r) == '\n' || peek(r) == '\r')
		r->at++;
}

/* ---- strings ---- */

static LlmStatus
four_digits(Reader *r, uint32_t *c)
{
	*c = 0;
	for (int i = 0; i < 4; i++)
	{
		int			d = peek(r);

		if (d >= '0' && d <= '9')
			d -= '0';
		else if ((d | 0x20) >= 'a' && (d | 0x20) <= 'f')
			d = (d | 0x20) - 'a' + 10;
		else
			return fail_at(r, "a \\u escape needs four hexadecimal digits");
		*c = *c * 16 + (uint32_t) d;
		r->at++;
	}
	return LLM_OK;
}

static size_t
put_utf8(char *to, uint32_t c)
{
	if (c < 0x80)
	{
		to[0] = (char) c;
		return 1;
	}
	if (c < 0x800)
	{
		to[0] = (char) (0xC0 | c >> 6);
		to[1] = (char) (0x80 | (c & 0x3F));
		return 2;
	}
	if (c < 0x10000)
	{
		to[0] = (char) (0xE0 | c >> 12);
		to[1] = (char) (0x80 | (c >> 6 & 0x3F));
		to[2] = (char) (0x80 | (c & 0x3F));
		return 3;
	}
	to[0] = (char) (0xF0 | c >> 18);
	to[1] = (char) (0x80 | (c >> 12 & 0x3F));
	to[2] = (char) (0x80 | (c >> 6 & 0x3F));
	to[3] = (char) (0x80 | (c & 0x3F));
	return 4;
}

/* after the backslash */
static LlmStatus
escape(Reader *r, char *to, size_t *n)
{
	static const char names[] = "\"\\/bfnrt";
	static const char values[] = "\"\\/\b\f\n\r\t";
	int			which = peek(r);
	const char *found = which > 0 ? strchr(names, which) : NULL;
	uint32_t	c;

	if (found)
	{
		to[(*n)++] = values[found - names];
		r->at++;
		return LLM_OK;
	}
	if (which != 'u')
		return fail_at(r, "an unknown escape");
	r->at++;
	LLM_TRY(four_digits(r, &c));
	if (c >= 0xD800 && c < 0xDC00 && r->at + 1 < r->len && r->text[r->at] == '\\' && r->text[r->at + 1] == 'u')
	{
		size_t		back = r->at;
		uint32_t	low;

		r->at += 2;
		LLM_TRY(four_digits(r, &low));
		if (low >= 0xDC00 && low <= 0xDFFF)
			c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
		else
			r->at = back;
	}
	if (c >= 0xD800 && c <= 0xDFFF)
		c = 0xFFFD;
	*n += put_utf8(to + *n, c);
	return LLM_OK;
}

static LlmStatus
string(Reader *r, LlmStr *out)
{
	const char *end = NULL;
	char	   *to;
	size_t		n = 0;

	for (size_t i = r->at + 1; i < r->len && !end; i++)
	{
		if (r->text[i] == '\\')
			i++;
		else if (r->text[i] == '"')
			end = r->text + i;
	}
	if (!end)
		return fail_at(r, "a string does not end");
	r->at++;
	LLM_TRY(alloc(r, (size_t) (end - r->text) - r->at + 4, 1, &to));
	while (r->text + r->at < end)
	{
		uint32_t	c;
		int			len;

		LLM_TRY(poll(r, r->at));
		if (peek(r) == '\\')
		{
			r->at++;
			LLM_TRY(escape(r, to, &n));
			continue;
		}
		if (peek(r) < 0x20)
			return fail_at(r, "a control character in a string");
		len = llm_utf8_char((const uint8_t *) r->text + r->at, (size_t) (end - r->text) - r->at, &c);
		if (len == 0)
			return fail_at(r, "bytes that are not UTF-8");
		memcpy(to + n, r->text + r->at, (size_t) len);
		n += (size_t) len;
		r->at += (size_t) len;
	}
	r->at++;
	*out = (LlmStr) {to, n};
	return LLM_OK;
}

/* ---- numbers ---- */

static LlmStatus
too_long(Reader *r)
{
	LlmStatus	status = llm_fail(r->err, LLM_E_LIMIT, "a number has more than %d digits at offset %zu", MAX_DIGITS, r->at);

	llm_error_hint(r->err, "Give numbers with smaller exponents.");
	return status;
}

/* digits (n) with a point after the first `point` of them (may lie outside) to canonical writing */
static LlmStatus
canonical(Reader *r, bool negative, const char *digits, size_t n, int64_t point, LlmStr *out)
{
	char	   *to;
	size_t		len = 0;

	while (n > 0 && digits[0] == '0')
	{
		digits++;
		n--;
		point--;
	}
	while (n > 0 && digits[n - 1] == '0')
		n--;
	if (n == 0)
		point = 0;
	if (point > MAX_DIGITS || point < -MAX_DIGITS || n > MAX_DIGITS)
		return too_long(r);
	LLM_TRY(alloc(r, (size_t) llabs(point) + n + 8, 1, &to));
	if (negative && n > 0)
		to[len++] = '-';
	if (point <= 0)
		to[len++] = '0';
	for (int64_t i = 0; i < point; i++)
		to[len++] = i < (int64_t) n ? digits[i] : '0';
	if ((int64_t) n > point)
	{
		to[len++] = '.';
		for (int64_t i = point; i < 0; i++)
			to[len++] = '0';
		for (int64_t i = point > 0 ? point : 0; i < (int64_t) n; i++)
			to[len++] = digits[i];
	}
	*out = (LlmStr) {to, len};
	return LLM_OK;
}

static bool
digits(Reader *r, char *to, size_t *n)
{
	size_t		begin = r->at;

	while (peek(r) >= '0' && peek(r) <= '9')
		to[(*n)++] = r->text[r->at++];
	return r->at > begin;
}

static LlmStatus
number(Reader *r, LlmStr *out)
{
	bool		negative = false;
	size_t		end = r->at;
	char	   *all;
	size_t		n = 0;
	int64_t		point;
	int64_t		exponent = 0;

	if (peek(r) == '-')
	{
		negative = true;
		r->at++;
	}
	while (end < r->len && strchr("+-0123456789.eE", r->text[end]) && r->text[end])
		end++;
	LLM_TRY(alloc(r, end - r->at + 1, 1, &all));
	if (peek(r) == '0' && r->at + 1 < r->len && r->text[r->at + 1] >= '0' && r->text[r->at + 1] <= '9')
		return fail_at(r, "a number begins with zero");
	if (!digits(r, all, &n))
		return fail_at(r, "an unknown value");
	point = (int64_t) n;
	if (peek(r) == '.')
	{
		r->at++;
		if (!digits(r, all, &n))
			return fail_at(r, "a digit is missing after the point");
	}
	if (peek(r) == 'e' || peek(r) == 'E')
	{
		bool		down;
		size_t		begin;

		r->at++;
		down = peek(r) == '-';
		if (down || peek(r) == '+')
			r->at++;
		begin = r->at;
		for (; peek(r) >= '0' && peek(r) <= '9'; r->at++)
			exponent = exponent > 1000000000 ? exponent : exponent * 10 + (peek(r) - '0');
		if (r->at == begin)
			return fail_at(r, "a digit is missing in the exponent");
		exponent = down ? -exponent : exponent;
	}
	return canonical(r, negative, all, n, point + exponent, out);
}

/* ---- values ---- */

static LlmStatus value(Reader *r, LlmJson **out);

/* items while they are read; copied once their number is known */
typedef struct Member
{
	LlmStr		key;
	LlmJson    *value;
	size_t		order;
	struct Member *next;
} Member;

static int
compare_members(const void *a, const void *b)
{
	const Member *x = *(Member *const *) a;
	const Member *y = *(Member *const *) b;
	size_t		n = x->key.len < y->key.len ? x->key.len : y->key.len;
	int			c = n ? memcmp(x->key.data, y->key.data, n) : 0;

	if (c == 0)
		c = (x->key.len > y->key.len) - (x->key.len < y->key.len);
	return c ? c : (x->order > y->order) - (x->order < y->order);
}

/* of equal keys keep the first place and the last value; others get value NULL */
static LlmStatus
join_equal_keys(Reader *r, Member *first, size_t n)
{
	Member	  **sorted;
	size_t		i = 0;

	LLM_TRY(alloc(r, n, sizeof(*sorted), &sorted));
	for (Member *m = first; m; m = m->next)
		sorted[i++] = m;
	qsort(sorted, n, sizeof(*sorted), compare_members);
	for (i = 1; i < n; i++)
	{
		if (!llm_str_same(sorted[i]->key, sorted[i - 1]->key))
			continue;

		/* sorted[i-1] holds the value so far; move the later one to the first place */
		sorted[i - 1]->value = sorted[i]->value;
		sorted[i]->value = NULL;
		sorted[i] = sorted[i - 1];
	}
	return LLM_OK;
}

static LlmStatus
container(Reader *r, LlmJson *v)
{
	const bool	object = v->kind == LLM_JSON_OBJECT;
	const int	close = object ? '}' : ']';
	Member	   *first = NULL;
	Member	  **last = &first;
	size_t		n = 0;

	r->at++;
	skip_space(r);
	while (peek(r) != close)
	{
		Member	   *m;

		LLM_TRY(alloc(r, 1, sizeof(*m), &m));
		if (object)
		{
			if (peek(r) != '"')
				return fail_at(r, "a key is missing");
			LLM_TRY(string(r, &m->key));
			skip_space(r);
			if (peek(r) != ':')
				return fail_at(r, "a colon is missing");
			r->at++;
		}
		LLM_TRY(value(r, &m->value));
		m->order = n++;
		*last = m;
		last = &m->next;
		skip_space(r);
		if (peek(r) == ',')
		{
			r->at++;
			skip_space(r);
			if (peek(r) == close)
				return fail_at(r, "a value is missing after the comma");
		}
		else if (peek(r) != close)
			return fail_at(r, object ? "a comma or } is missing" : "a comma or ] is missing");
	}
	r->at++;
	if (object && n > 1)
		LLM_TRY(join_equal_keys(r, first, n));
	LLM_TRY(alloc(r, n, sizeof(LlmJson *), &v->items));
	if (object)
		LLM_TRY(alloc(r, n, sizeof(LlmStr), &v->keys));
	for (Member *m = first; m; m = m->next)
	{
		if (!m->value)
			continue;
		if (object)
			v->keys[v->n] = m->key;
		v->items[v->n++] = m->value;
	}
	return LLM_OK;
}

static LlmStatus
value(Reader *r, LlmJson **out)
{
	static const struct
	{
		const char *word;
		LlmJsonKind kind;
	}			words[] = {{"null", LLM_JSON_NULL}, {"false", LLM_JSON_FALSE}, {"true", LLM_JSON_TRUE}};
	LlmJson    *v;

	LLM_TRY(poll(r, r->at));
	LLM_TRY(alloc(r, 1, sizeof(*v), &v));
	v->schema = v->constant = -1;
	v->resource = 0;
	*out = v;
	skip_space(r);
	if (peek(r) == '"')
	{
		v->kind = LLM_JSON_STRING;
		return string(r, &v->text);
	}
	if (peek(r) == '[' || peek(r) == '{')
	{
		LlmStatus	status;

		v->kind = peek(r) == '[' ? LLM_JSON_ARRAY : LLM_JSON_OBJECT;
		if (++r->depth > MAX_DEPTH)
		{
			status = llm_fail(r->err, LLM_E_LIMIT, "JSON is nested more than %d deep at offset %zu", MAX_DEPTH, r->at);
			llm_error_hint(r->err, "Give a flatter value.");
			return status;
		}
		status = container(r, v);
		r->depth--;
		return status;
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
	{
		size_t		n = strlen(words[i].word);

		if (r->len - r->at >= n && memcmp(r->text + r->at, words[i].word, n) == 0)
		{
			v->kind = words[i].kind;
			r->at += n;
			return LLM_OK;
		}
	}
	v->kind = LLM_JSON_NUMBER;
	return number(r, &v->text);
}

LlmStatus
llm_json_tree(LlmArena *arena, const char *json, size_t len, const LlmStop *stop, LlmJson **out, LlmError *err)
{
	Reader		r = {.arena = arena, .text = json, .len = len, .stop = stop, .err = err};

	LLM_TRY(value(&r, out));
	skip_space(&r);
	return r.at == len ? LLM_OK : fail_at(&r, "more text after the value");
}

const LlmJson *
llm_json_get(const LlmJson *object, const char *key)
{
	if (object->kind != LLM_JSON_OBJECT)
		return NULL;
	for (size_t i = 0; i < object->n; i++)
	{
		if (llm_str_equals(object->keys[i], key))
			return object->items[i];
	}
	return NULL;
}

bool
llm_json_same(const LlmJson *a, const LlmJson *b)
{
	if (a->kind != b->kind || a->n != b->n)
		return false;
	if (a->kind == LLM_JSON_NUMBER || a->kind == LLM_JSON_STRING)
		return llm_str_same(a->text, b->text);
	for (size_t i = 0; i < a->n; i++)
	{
		size_t		k = i;

		if (a->kind == LLM_JSON_OBJECT)
		{
			for (k = 0; k < b->n && !llm_str_same(a->keys[i], b->keys[k]); k++)
				;
			if (k == b->n)
				return false;
		}
		if (!llm_json_same(a->items[i], b->items[k]))
			return false;
	}
	return true;
}
