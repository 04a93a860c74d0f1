/*
 * jinja_lexer.c: template source to tokens, one at a time, as jinja2 cuts it with trim_blocks and lstrip_blocks.
 *
 * Outside tags the source is text up to the next "{%", "{{" or "{#". A block tag or comment removes the blanks before it on
 * its line and one line feed after it; "-" removes all white space on its side, "+" keeps what would be removed. Inside a
 * tag its end is seen only when all brackets are closed. Line ends are made \n first, and one at the very end is dropped.
 */
#include "text/jinja/jinja.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum
{
	IN_TEXT, IN_BLOCK, IN_VARIABLE
};

static LlmStatus
syntax_error(const JinjaLexer *x, LlmError *err, const char *reason)
{
	return llm_fail(err, LLM_E_FORMAT, "chat template is wrong on line %u: %s", x->line, reason);
}

const char *
llm_jinja_token_name(JinjaTokenKind kind)
{
	static const char *const names[] = {
		[JINJA_T_EOF] = "end of template", [JINJA_T_DATA] = "text", [JINJA_T_BLOCK_BEGIN] = "{%", [JINJA_T_BLOCK_END] = "%}",
		[JINJA_T_VARIABLE_BEGIN] = "{{", [JINJA_T_VARIABLE_END] = "}}", [JINJA_T_NAME] = "name", [JINJA_T_STRING] = "string",
		[JINJA_T_INTEGER] = "integer", [JINJA_T_FLOAT] = "float", [JINJA_T_ADD] = "+", [JINJA_T_SUB] = "-", [JINJA_T_MUL] = "*",
		[JINJA_T_DIV] = "/", [JINJA_T_FLOORDIV] = "//", [JINJA_T_MOD] = "%", [JINJA_T_POW] = "**", [JINJA_T_TILDE] = "~",
		[JINJA_T_LBRACKET] = "[", [JINJA_T_RBRACKET] = "]", [JINJA_T_LPAREN] = "(", [JINJA_T_RPAREN] = ")",
		[JINJA_T_LBRACE] = "{", [JINJA_T_RBRACE] = "}", [JINJA_T_EQ] = "==", [JINJA_T_NE] = "!=", [JINJA_T_GT] = ">",
		[JINJA_T_GTEQ] = ">=", [JINJA_T_LT] = "<", [JINJA_T_LTEQ] = "<=", [JINJA_T_ASSIGN] = "=", [JINJA_T_DOT] = ".",
		[JINJA_T_COLON] = ":", [JINJA_T_PIPE] = "|", [JINJA_T_COMMA] = ",", [JINJA_T_SEMICOLON] = ";"
	};

	return names[kind];
}

LlmStatus
llm_jinja_lexer_init(JinjaLexer *x, const char *source, size_t len, LlmArena *arena, LlmError *err)
{
	void	   *copy;
	char	   *to;

	memset(x, 0, sizeof(*x));
	x->arena = arena;
	x->line = 1;
	x->pending = JINJA_T_EOF;
	x->line_starting = true;
	LLM_TRY(llm_arena_alloc(arena, len, 1, &copy, err));
	to = copy;
	for (size_t i = 0; i < len; i++)
	{
		if (source[i] == '\r')
		{
			if (i + 1 < len && source[i + 1] == '\n')
				i++;
			*to++ = '\n';
		}
		else
			*to++ = source[i];
	}
	x->src = copy;
	x->len = (size_t) (to - (char *) copy);
	if (x->len && x->src[x->len - 1] == '\n')
		x->len--;
	return LLM_OK;
}

static bool
starts_with(const JinjaLexer *x, size_t pos, const char *text)
{
	size_t		n = strlen(text);

	return pos <= x->len && x->len - pos >= n && memcmp(x->src + pos, text, n) == 0;
}

static size_t
skip_space(const JinjaLexer *x, size_t pos)
{
	uint32_t	c;

	while (pos < x->len)
	{
		size_t		used = llm_jinja_decode(x->src + pos, x->len - pos, &c);

		if (!llm_jinja_is_space(c))
			break;
		pos += used;
	}
	return pos;
}

static void
move_to(JinjaLexer *x, size_t pos)
{
	while (x->pos < pos)
		if (x->src[x->pos++] == '\n')
			x->line++;
}

/* behind the end of a block tag or comment whose closing mark ("%}" or "#}") may stand at pos; 0 if it does not */
static size_t
match_end(const JinjaLexer *x, size_t pos, const char *mark)
{
	if (starts_with(x, pos, mark))
	{
		pos += 2;
		return starts_with(x, pos, "\n") ? pos + 1 : pos;
	}
	if (starts_with(x, pos, "+") && starts_with(x, pos + 1, mark))
		return pos + 3;
	if (starts_with(x, pos, "-") && starts_with(x, pos + 1, mark))
		return skip_space(x, pos + 3);
	return 0;
}

/* the text before a tag whose mark is followed by sign: without what the tag removes on its left */
static LlmStr
text_before(const JinjaLexer *x, size_t start, size_t end, char sign, bool is_variable)
{
	LlmStr		text = {x->src + start, end - start};

	if (sign == '-')
	{
		LlmText		whole = {text.data, NULL, text.len};

		text.len = llm_jinja_strip(whole, NULL, false, true).len;
	}
	else if (sign != '+' && !is_variable)
	{
		size_t		line = end;

		while (line > start && x->src[line - 1] != '\n')
			line--;
		if ((line > start || x->line_starting) && skip_space(x, line) >= end)
			text.len = line - start;
	}
	return text;
}

static char
sign_at(const JinjaLexer *x, size_t pos)
{
	return pos < x->len && (x->src[pos] == '-' || x->src[pos] == '+') ? x->src[pos] : 0;
}

/* behind the word in a tag like {% raw %} whose mark has been passed; 0 if it is another tag */
static size_t
match_word(const JinjaLexer *x, size_t pos, const char *word)
{
	if (sign_at(x, pos))
		pos++;
	pos = skip_space(x, pos);
	if (!starts_with(x, pos, word))
		return 0;
	return skip_space(x, pos + strlen(word));
}

/* behind {% raw %} at pos, or 0. Its end takes no line feed with it. */
static size_t
match_raw(const JinjaLexer *x, size_t pos)
{
	size_t		p = match_word(x, pos + 2, "raw");

	if (p == 0)
		return 0;
	if (starts_with(x, p, "-%}"))
		return skip_space(x, p + 3);
	return starts_with(x, p, "%}") ? p + 2 : 0;
}

static void
set_line_starting(JinjaLexer *x, size_t end)
{
	x->line_starting = end > 0 && x->src[end - 1] == '\n';
}

/* the inside of a raw block that begins at x->pos */
static LlmStatus
raw_text(JinjaLexer *x, LlmStr *text, LlmError *err)
{
	for (size_t p = x->pos; p + 1 < x->len; p++)
	{
		size_t		end;

		if (!starts_with(x, p, "{%"))
			continue;
		end = match_word(x, p + 2, "endraw");
		if (end == 0 || (end = match_end(x, end, "%}")) == 0)
			continue;
		*text = text_before(x, x->pos, p, sign_at(x, p + 2), false);
		move_to(x, end);
		set_line_starting(x, end);
		return LLM_OK;
	}
	if (x->pos < x->len)
		return syntax_error(x, err, "missing end of raw directive");
	text->len = 0;
	return LLM_OK;
}

static LlmStatus
skip_comment(JinjaLexer *x, LlmError *err)
{
	for (size_t p = x->pos; p < x->len; p++)
	{
		size_t		end;

		if (x->src[p] != '#' && x->src[p] != '-' && x->src[p] != '+')
			continue;
		end = match_end(x, p, "#}");
		if (end)
		{
			move_to(x, end);
			set_line_starting(x, end);
			return LLM_OK;
		}
	}
	if (x->pos < x->len)
		return syntax_error(x, err, "missing end of comment tag");
	return LLM_OK;
}

/* text up to the next tag; a tag that begins there is left in x->pending. Sets *found if the token is to be given out. */
static LlmStatus
text_token(JinjaLexer *x, JinjaToken *token, bool *found, LlmError *err)
{
	size_t		tag = x->pos;
	size_t		raw;
	char		kind;
	char		sign;

	token->kind = JINJA_T_DATA;
	token->line = x->line;
	*found = true;
	for (;; tag++)
	{
		const char *brace = tag < x->len ? memchr(x->src + tag, '{', x->len - tag) : NULL;

		if (!brace)
		{
			token->text = (LlmStr) {x->src + x->pos, x->len - x->pos};
			move_to(x, x->len);
			if (token->text.len == 0)
				token->kind = JINJA_T_EOF;
			return LLM_OK;
		}
		tag = (size_t) (brace - x->src);
		if (tag + 1 < x->len && (x->src[tag + 1] == '%' || x->src[tag + 1] == '{' || x->src[tag + 1] == '#'))
			break;
	}
	kind = x->src[tag + 1];
	sign = sign_at(x, tag + 2);
	token->text = text_before(x, x->pos, tag, sign, kind == '{');
	*found = token->text.len > 0;
	raw = kind == '%' ? match_raw(x, tag) : 0;
	if (raw)
	{
		/* text before the block is given now, the inside with the next call */
		if (*found)
		{
			move_to(x, tag);
			x->line_starting = false;
			return LLM_OK;
		}
		move_to(x, raw);
		set_line_starting(x, raw);
		token->line = x->line;
		LLM_TRY(raw_text(x, &token->text, err));
		*found = token->text.len > 0;
		return LLM_OK;
	}
	move_to(x, tag + 2 + (sign ? 1 : 0));
	x->line_starting = false;
	if (kind == '#')
		return skip_comment(x, err);
	x->pending = kind == '{' ? JINJA_T_VARIABLE_BEGIN : JINJA_T_BLOCK_BEGIN;
	x->pending_line = x->line;
	return LLM_OK;
}

static bool
is_digit(const JinjaLexer *x, size_t pos)
{
	return pos < x->len && x->src[pos] >= '0' && x->src[pos] <= '9';
}

/* behind (\d+_)*\d+ at pos */
static size_t
skip_digits(const JinjaLexer *x, size_t pos)
{
	while (is_digit(x, pos))
	{
		pos++;
		if (pos < x->len && x->src[pos] == '_' && is_digit(x, pos + 1))
			pos++;
	}
	return pos;
}

/* behind the float at pos, or 0 if there is none */
static size_t
match_float(const JinjaLexer *x, size_t pos)
{
	size_t		p;
	bool		is_float = false;

	if (pos > 0 && x->src[pos - 1] == '.')
		return 0;
	p = skip_digits(x, pos);
	if (starts_with(x, p, ".") && is_digit(x, p + 1))
	{
		p = skip_digits(x, p + 1);
		is_float = true;
	}
	if (p < x->len && (x->src[p] == 'e' || x->src[p] == 'E'))
	{
		size_t		e = p + 1;

		if (e < x->len && (x->src[e] == '+' || x->src[e] == '-'))
			e++;
		if (is_digit(x, e))
		{
			p = skip_digits(x, e);
			is_float = true;
		}
	}
	return is_float ? p : 0;
}

static bool
is_base_digit(char c, int base)
{
	int			d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 99;

	return d < base;
}

/* behind the integer at pos; base 10 unless it has a prefix. 007 is the integer 00 and the integer 7. */
static size_t
match_integer(const JinjaLexer *x, size_t pos)
{
	size_t		p = pos + 1;
	int			base = 10;

	if (x->src[pos] == '0')
	{
		char		prefix = p < x->len ? x->src[p] | 32 : 0;
		size_t		digits = starts_with(x, p + 1, "_") ? p + 2 : p + 1;

		base = prefix == 'b' ? 2 : prefix == 'o' ? 8 : prefix == 'x' ? 16 : 1;
		if (base > 1 && digits < x->len && is_base_digit(x->src[digits], base))
			p = digits;
		else
			base = 1;
	}
	while (p < x->len && (is_base_digit(x->src[p], base) ||
						  (x->src[p] == '_' && p + 1 < x->len && is_base_digit(x->src[p + 1], base))))
		p++;
	return p;
}

static LlmStatus
number_token(JinjaLexer *x, JinjaToken *token, LlmError *err)
{
	size_t		end = match_float(x, x->pos);
	LlmText		text;
	bool		overflow;

	token->kind = end ? JINJA_T_FLOAT : JINJA_T_INTEGER;
	if (!end)
		end = match_integer(x, x->pos);
	text = (LlmText) {x->src + x->pos, NULL, end - x->pos};
	if (token->kind == JINJA_T_FLOAT)
	{
		LLM_TRY(llm_value_float(x->arena, 0, &token->value, err));
		if (!llm_jinja_parse_float(text, &token->value->u.number))
			return syntax_error(x, err, "the number is too long");
	}
	else
	{
		LLM_TRY(llm_value_int(x->arena, 0, &token->value, err));
		if (!llm_jinja_parse_int(text, 0, &token->value->u.integer, &overflow))
			return llm_fail(err, LLM_E_LIMIT, "chat template is beyond a limit on line %u: the integer does not fit 64 bits", x->line);
	}
	move_to(x, end);
	return LLM_OK;
}

/* n hexadecimal digits at pos; false if there are fewer */
static bool
read_hex(const char *s, size_t len, size_t pos, int n, uint32_t *out)
{
	uint32_t	value = 0;

	if (len - pos < (size_t) n)
		return false;
	for (int i = 0; i < n; i++)
	{
		char		c = s[pos + i];

		if (!is_base_digit(c, 16))
			return false;
		value = value * 16 + (uint32_t) (c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
	}
	*out = value;
	return true;
}

/*
 * One escape of a string, as Python's unicode-escape reads it: *pos stands behind the backslash and is moved on. Writes at
 * most 12 bytes. An escape that is not known stays as it is.
 */
static LlmStatus
read_escape(JinjaLexer *x, const char *s, size_t len, size_t *pos, char **to, LlmError *err)
{
	static const char plain[] = "\\'\"abfnrtv";
	static const char meaning[] = "\\'\"\a\b\f\n\r\t\v";
	char		c = s[*pos];
	const char *known = c ? strchr(plain, c) : NULL;
	uint32_t	value = 0;

	if (c == '\n')
		++*pos;
	else if (known)
	{
		*(*to)++ = meaning[known - plain];
		++*pos;
	}
	else if (c >= '0' && c <= '7')
	{
		for (int i = 0; i < 3 && *pos < len && s[*pos] >= '0' && s[*pos] <= '7'; i++)
			value = value * 8 + (uint32_t) (s[(*pos)++] - '0');
		*to += llm_jinja_encode(value, *to);
	}
	else if (c == 'x' || c == 'u' || c == 'U')
	{
		int			digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
		uint32_t	low;

		if (!read_hex(s, len, *pos + 1, digits, &value) || value > 0x10FFFF)
			return syntax_error(x, err, "wrong hexadecimal escape in a string");
		*pos += 1 + (size_t) digits;
		if (value >= 0xD800 && value < 0xDC00 && *pos + 6 <= len && s[*pos] == '\\' && s[*pos + 1] == 'u' &&
			read_hex(s, len, *pos + 2, 4, &low) && low >= 0xDC00 && low < 0xE000)
		{
			value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
			*pos += 6;
		}
		*to += llm_jinja_encode(value, *to);
	}
	else if (c == 'N')
		return llm_fail(err, LLM_E_UNSUPPORTED, "chat template uses a character name (\\N) on line %u, which is not supported", x->line);
	else
	{
		uint32_t	cp;
		size_t		used = llm_jinja_decode(s + *pos, len - *pos, &cp);
		static const char hex[] = "0123456789abcdef";

		*(*to)++ = '\\';
		*pos += used;
		if (cp < 0x80 || cp >= JINJA_BAD_BYTE)
		{
			memcpy(*to, s + *pos - used, used);
			*to += used;
			return LLM_OK;
		}
		/* jinja2 makes the string ASCII first, so the backslash swallows the one of the character's own escape */
		*(*to)++ = cp < 0x100 ? 'x' : cp < 0x10000 ? 'u' : 'U';
		for (int shift = cp < 0x100 ? 4 : cp < 0x10000 ? 12 : 28; shift >= 0; shift -= 4)
			*(*to)++ = hex[cp >> shift & 15];
	}
	return LLM_OK;
}

static LlmStatus
string_token(JinjaLexer *x, JinjaToken *token, LlmError *err)
{
	char		quote = x->src[x->pos];
	size_t		start = x->pos + 1;
	size_t		end = start;
	size_t		pos = 0;
	const char *s = x->src + start;
	void	   *ptr;
	char	   *bytes;
	char	   *to;

	while (end < x->len && x->src[end] != quote)
		end += x->src[end] == '\\' ? 2 : 1;
	if (end >= x->len)
		return syntax_error(x, err, "a string is not closed");
	/* the longest escape of a character of n bytes makes 5 n bytes (\ before a 2-byte character) */
	LLM_TRY(llm_arena_alloc(x->arena, end - start, 5, &ptr, err));
	bytes = to = ptr;
	while (pos < end - start)
	{
		if (s[pos] != '\\')
		{
			*to++ = s[pos++];
			continue;
		}
		pos++;
		LLM_TRY(read_escape(x, s, end - start, &pos, &to, err));
	}
	token->kind = JINJA_T_STRING;
	LLM_TRY(llm_value_string(x->arena, "", 0, false, &token->value, err));
	token->value->u.text.bytes = bytes;
	token->value->u.text.len = (size_t) (to - bytes);
	move_to(x, end + 1);
	return LLM_OK;
}

static LlmStatus
operator_token(JinjaLexer *x, JinjaToken *token, LlmError *err)
{
	static const JinjaTokenKind kinds[] = {
		JINJA_T_FLOORDIV, JINJA_T_POW, JINJA_T_EQ, JINJA_T_NE, JINJA_T_GTEQ, JINJA_T_LTEQ,
		JINJA_T_ADD, JINJA_T_SUB, JINJA_T_DIV, JINJA_T_MUL, JINJA_T_MOD, JINJA_T_TILDE, JINJA_T_LBRACKET, JINJA_T_RBRACKET,
		JINJA_T_LPAREN, JINJA_T_RPAREN, JINJA_T_LBRACE, JINJA_T_RBRACE, JINJA_T_GT, JINJA_T_LT, JINJA_T_ASSIGN, JINJA_T_DOT,
		JINJA_T_COLON, JINJA_T_PIPE, JINJA_T_COMMA, JINJA_T_SEMICOLON
	};
	size_t		n_kinds = sizeof(kinds) / sizeof(kinds[0]);
	size_t		i = 0;

	while (i < n_kinds && !starts_with(x, x->pos, llm_jinja_token_name(kinds[i])))
		i++;
	if (i == n_kinds)
	{
		uint32_t	c;
		size_t		used = llm_jinja_decode(x->src + x->pos, x->len - x->pos, &c);

		return llm_fail(err, LLM_E_FORMAT, "chat template is wrong on line %u: unexpected character \"%.*s\"", x->line,
						(int) used, x->src + x->pos);
	}
	token->kind = kinds[i];
	switch (token->kind)
	{
		case JINJA_T_LBRACE:
		case JINJA_T_LPAREN:
		case JINJA_T_LBRACKET:
			if (x->n_brackets == LLM_JINJA_MAX_NESTING)
				return llm_fail(err, LLM_E_LIMIT, "chat template is beyond a limit on line %u: more than %d brackets within each other",
								x->line, LLM_JINJA_MAX_NESTING);
			x->brackets[x->n_brackets++] = token->kind == JINJA_T_LBRACE ? '}' : token->kind == JINJA_T_LPAREN ? ')' : ']';
			break;
		case JINJA_T_RBRACE:
		case JINJA_T_RPAREN:
		case JINJA_T_RBRACKET:
			if (x->n_brackets == 0 || x->brackets[--x->n_brackets] != x->src[x->pos])
				return llm_fail(err, LLM_E_FORMAT, "chat template is wrong on line %u: unexpected '%c'", x->line, x->src[x->pos]);
			break;
		default:
			break;
	}
	move_to(x, x->pos + strlen(llm_jinja_token_name(token->kind)));
	return LLM_OK;
}

static size_t
match_name(const JinjaLexer *x, size_t pos)
{
	uint32_t	c;

	while (pos < x->len)
	{
		size_t		used = llm_jinja_decode(x->src + pos, x->len - pos, &c);

		if (c != '_' && !llm_jinja_is_alpha(c) && !llm_jinja_is_numeric(c))
			break;
		pos += used;
	}
	return pos;
}

static LlmStatus
tag_token(JinjaLexer *x, JinjaToken *token, LlmError *err)
{
	for (;;)
	{
		size_t		end = 0;

		token->line = x->line;
		if (x->n_brackets == 0 && x->state == IN_BLOCK)
		{
			end = match_end(x, x->pos, "%}");
			token->kind = JINJA_T_BLOCK_END;
		}
		else if (x->n_brackets == 0)
		{
			if (starts_with(x, x->pos, "-}}"))
				end = skip_space(x, x->pos + 3);
			else if (starts_with(x, x->pos, "}}"))
				end = x->pos + 2;
			token->kind = JINJA_T_VARIABLE_END;
		}
		if (end)
		{
			x->state = IN_TEXT;
			move_to(x, end);
			set_line_starting(x, end);
			return LLM_OK;
		}
		end = skip_space(x, x->pos);
		if (end == x->pos)
			break;
		move_to(x, end);
	}
	if (x->pos >= x->len)
	{
		token->kind = JINJA_T_EOF;
		return LLM_OK;
	}
	if (is_digit(x, x->pos))
		return number_token(x, token, err);
	if (x->src[x->pos] == '\'' || x->src[x->pos] == '"')
		return string_token(x, token, err);
	token->text.len = match_name(x, x->pos) - x->pos;
	if (token->text.len)
	{
		token->kind = JINJA_T_NAME;
		token->text.data = x->src + x->pos;
		move_to(x, x->pos + token->text.len);
		return LLM_OK;
	}
	return operator_token(x, token, err);
}

LlmStatus
llm_jinja_next_token(JinjaLexer *x, JinjaToken *token, LlmError *err)
{
	bool		found = false;

	token->value = NULL;
	token->text = (LlmStr) {"", 0};
	if (x->state != IN_TEXT)
		return tag_token(x, token, err);
	while (x->pending == JINJA_T_EOF)
	{
		LLM_TRY(text_token(x, token, &found, err));
		if (found)
			return LLM_OK;
	}
	token->kind = x->pending;
	token->line = x->pending_line;
	x->state = x->pending == JINJA_T_BLOCK_BEGIN ? IN_BLOCK : IN_VARIABLE;
	x->pending = JINJA_T_EOF;
	return LLM_OK;
}
