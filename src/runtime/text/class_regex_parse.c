/*
 * class_regex_parse.c: Oniguruma's expressions (Ruby syntax) written as PCRE2's. Source: Oniguruma 6.9, doc/RE.
 */
#include "text/class_regex_impl.h"

#include <stdio.h>

#define MAX_REPEAT 1000

/* a set as a class of PCRE2 */
static LlmStatus
put_set(LlmRegexParser *p, const LlmClassSet *set, LlmError *err)
{
	char		text[32];
	bool		any = false;

	LLM_TRY(llm_regex_put(p, "[", err));
	for (int b = 0; b < 256; b++)
	{
		int			last = b;

		if (!llm_class_set_has(set, (uint8_t) b))
			continue;
		while (last < 255 && llm_class_set_has(set, (uint8_t) (last + 1)))
			last++;
		snprintf(text, sizeof(text), last > b ? "\\x%02x-\\x%02x" : "\\x%02x", b, last);
		LLM_TRY(llm_regex_put(p, text, err));
		any = true;
		b = last;
	}
	/* no byte is all: a class must not be empty */
	return llm_regex_put(p, any ? "]" : "^\\x00-\\xff]", err);
}

/* \b and \B as what they mean with our words */
static LlmStatus
put_word_boundary(LlmRegexParser *p, bool is_boundary, LlmError *err)
{
	LlmClassSet word = {{0}};
	const char *const parts[] = {"(?:(?<=", ")(?!", ")|(?<!", ")(?=", "))"};
	const char *const others[] = {"(?:(?<=", ")(?=", ")|(?<!", ")(?!", "))"};

	for (int i = 0; i < 5; i++)
	{
		LLM_TRY(llm_regex_put(p, is_boundary ? parts[i] : others[i], err));
		memset(&word, 0, sizeof(word));
		if (i == 4)
			break;
		LLM_TRY(llm_regex_add_word(p, false, &word, err));
		LLM_TRY(put_set(p, &word, err));
	}
	return LLM_OK;
}

/* {n}, {n,}, {n,m} or {,m} at the opening brace; *valid false: the brace is a character */
static LlmStatus
read_repeat(LlmRegexParser *p, char text[32], bool *valid, LlmError *err)
{
	size_t		start = p->pos;
	unsigned	number[2] = {0, 0};
	bool		given[2] = {false, false};
	int			k = 0;

	p->pos++;
	for (; !llm_regex_at_end(p) && p->pattern.data[p->pos] != '}'; p->pos++)
	{
		char		c = p->pattern.data[p->pos];

		if (c == ',' && k == 0)
			k = 1;
		else if (c >= '0' && c <= '9' && number[k] <= MAX_REPEAT)
		{
			number[k] = number[k] * 10 + (unsigned) (c - '0');
			given[k] = true;
		}
		else
			break;
	}
	*valid = llm_regex_accept(p, "}") && (given[0] || given[1]);
	if (!*valid)
	{
		p->pos = start;
		return LLM_OK;
	}
	if (number[0] > MAX_REPEAT || number[1] > MAX_REPEAT)
		return llm_regex_bad_pattern(p, LLM_E_LIMIT, "repeats too often", err);
	if (k == 0)
		snprintf(text, 32, "{%u}", number[0]);
	else if (given[1])
		snprintf(text, 32, "{%u,%u}", number[0], number[1]);
	else
		snprintf(text, 32, "{%u,}", number[0]);
	return LLM_OK;
}

static LlmStatus
wrap_atom(LlmRegexParser *p, size_t atom, LlmError *err)
{
	if (p->collecting)
		return LLM_OK;
	LLM_TRY(llm_buf_reserve(&p->out, 4, err));
	memmove(p->out.data + atom + 3, p->out.data + atom, p->out.len - atom);
	memcpy(p->out.data + atom, "(?:", 3);
	p->out.len += 3;
	return llm_regex_put(p, ")", err);
}

/* what repeats the atom that begins at this offset of out. {n,m}+ is no possessive one here: it repeats the repetition. */
static LlmStatus
read_quantifiers(LlmRegexParser *p, size_t atom, LlmError *err)
{
	bool		repeated = false;

	while (!llm_regex_at_end(p) && strchr("*+?{", p->pattern.data[p->pos]) && p->pattern.data[p->pos])
	{
		char		text[32] = {p->pattern.data[p->pos]};
		bool		is_brace = text[0] == '{';
		bool		valid = true;

		if (is_brace)
			LLM_TRY(read_repeat(p, text, &valid, err));
		else
			p->pos++;
		if (!valid)
			break;
		if (repeated)
			LLM_TRY(wrap_atom(p, atom, err));
		LLM_TRY(llm_regex_put(p, text, err));
		repeated = true;
		if (llm_regex_accept(p, "?"))
			LLM_TRY(llm_regex_put(p, "?", err));
		else if (!is_brace && llm_regex_accept(p, "+"))
			LLM_TRY(llm_regex_put(p, "+", err));
	}
	return LLM_OK;
}

static LlmStatus read_alternatives(LlmRegexParser *p, LlmError *err);

/* behind "(?": options that hold to the end of the group; *done: the whole was "(?i)" */
static LlmStatus
read_options(LlmRegexParser *p, bool *done, LlmError *err)
{
	bool		on = true;

	for (; !llm_regex_at_end(p); p->pos++)
	{
		char		c = p->pattern.data[p->pos];

		if (c == '-')
			on = false;
		else if (c == 'i')
			p->ignore_case = on;
		else if (c == 'm')
			p->dot_all = on;
		else
			break;
	}
	*done = llm_regex_accept(p, ")");
	return *done || llm_regex_accept(p, ":") ? LLM_OK : llm_regex_bad_pattern(p, LLM_E_UNSUPPORTED, "has a group that is not supported", err);
}

/* behind an opening parenthesis */
static LlmStatus
read_group(LlmRegexParser *p, bool *is_atom, LlmError *err)
{
	static const char *const openings[] = {"?:", "?=", "?!", "?<=", "?<!", "?>"};
	bool		ignore_case = p->ignore_case;
	bool		dot_all = p->dot_all;
	bool		done = false;
	const char *opening = "?:";

	*is_atom = true;
	if (++p->depth > LLM_REGEX_MAX_DEPTH)
		return llm_regex_bad_pattern(p, LLM_E_LIMIT, "is nested too deeply", err);
	if (llm_regex_looking_at(p, "?"))
	{
		size_t		k = 0;

		while (k < 6 && !llm_regex_accept(p, openings[k]))
			k++;
		if (k < 6)
			opening = openings[k];
		else
		{
			p->pos++;
			LLM_TRY(read_options(p, &done, err));
		}
	}
	if (done)
	{
		/* to the end of the group around it, which restores the options */
		*is_atom = false;
		p->depth--;
		return LLM_OK;
	}
	LLM_TRY(llm_regex_put(p, "(", err));
	LLM_TRY(llm_regex_put(p, opening, err));
	LLM_TRY(read_alternatives(p, err));
	if (!llm_regex_accept(p, ")"))
		return llm_regex_bad_pattern(p, LLM_E_FORMAT, "has a group without end", err);
	p->ignore_case = ignore_case;
	p->dot_all = dot_all;
	p->depth--;
	return llm_regex_put(p, ")", err);
}

/* one character, set or group; *is_atom false if nothing can repeat it */
static LlmStatus
read_atom(LlmRegexParser *p, bool *is_atom, LlmError *err)
{
	static const struct
	{
		const char *text;
		const char *meaning;
	}			anchors[] = {{"^", "(?m:^)"}, {"$", "(?m:$)"}, {"\\A", "\\A"}, {"\\z", "\\z"}, {"\\Z", "\\Z"}, {"\\G", "\\G"}};
	LlmClassSet set = {{0}};
	uint32_t	c = 0;
	int			group = -1;
	bool		is_set = false;

	*is_atom = false;
	for (size_t i = 0; i < sizeof(anchors) / sizeof(anchors[0]); i++)
		if (llm_regex_accept(p, anchors[i].text))
			return llm_regex_put(p, anchors[i].meaning, err);
	if (llm_regex_looking_at(p, "\\b") || llm_regex_looking_at(p, "\\B"))
	{
		p->pos += 2;
		return put_word_boundary(p, p->pattern.data[p->pos - 1] == 'b', err);
	}
	*is_atom = true;
	if (llm_regex_accept(p, "("))
		return read_group(p, is_atom, err);
	if (llm_regex_accept(p, "["))
		LLM_TRY(llm_regex_read_bracket(p, &set, err));
	else if (llm_regex_accept(p, "."))
	{
		if (!p->dot_all)
			llm_class_set_add(&set, '\n');
		llm_regex_complement(&set);
	}
	else
	{
		if (llm_regex_accept(p, "\\"))
			LLM_TRY(llm_regex_read_escape(p, false, &c, &is_set, &set, err));
		else
			LLM_TRY(llm_regex_read_plain_char(p, &c, err));
		if (!is_set)
			LLM_TRY(llm_regex_add_char(p, c, &group, &set, err));
	}
	return put_set(p, &set, err);
}

/* up to the end or a closing parenthesis */
static LlmStatus
read_alternatives(LlmRegexParser *p, LlmError *err)
{
	while (!llm_regex_at_end(p) && !llm_regex_looking_at(p, ")"))
	{
		size_t		atom = p->out.len;
		bool		is_atom;

		if (p->out.len > 16 * LLM_REGEX_MAX_BYTES)
			return llm_regex_bad_pattern(p, LLM_E_LIMIT, "is too large", err);
		if (llm_regex_accept(p, "|"))
		{
			LLM_TRY(llm_regex_put(p, "|", err));
			continue;
		}
		if (llm_regex_looking_at(p, "*") || llm_regex_looking_at(p, "+") || llm_regex_looking_at(p, "?"))
			return llm_regex_bad_pattern(p, LLM_E_FORMAT, "repeats nothing", err);
		LLM_TRY(read_atom(p, &is_atom, err));
		if (is_atom)
			LLM_TRY(read_quantifiers(p, atom, err));
	}
	return LLM_OK;
}

LlmStatus
llm_regex_read_pattern(LlmRegexParser *p, bool collecting, LlmError *err)
{
	p->pos = 0;
	p->n_groups = 0;
	p->depth = 0;
	p->ignore_case = false;
	p->dot_all = false;
	p->collecting = collecting;
	LLM_TRY(read_alternatives(p, err));
	return llm_regex_at_end(p) ? LLM_OK : llm_regex_bad_pattern(p, LLM_E_FORMAT, "has a closing parenthesis too many", err);
}
