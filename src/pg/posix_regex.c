/*
 * posix_regex.c: PostgreSQL's advanced regular expressions in the writing of ECMA-262, as far as the two agree.
 *
 * What is written differently is rewritten (classes such as [[:digit:]], plain brackets and braces); what only one of them has
 * (lookaround, back references, word ends, options) is given up. Where the two differ in what they match (\w and \s of other
 * alphabets, "." and line feeds) ECMA's is the narrower one.
 */
#include "posix_regex.h"

#include "lib/stringinfo.h"

/* characters that ECMA-262 wants escaped, or allows to be */
#define SYNTAX "^$\\.*+?()[]{}|/"

typedef struct Scan
{
	const char *p;
	StringInfoData out;
} Scan;

static void
append_plain(StringInfo out, char c)
{
	if (c != '\0' && strchr(SYNTAX, c) != NULL)
		appendStringInfoChar(out, '\\');
	appendStringInfoChar(out, c);
}

/* after a backslash */
static bool
translate_escape(Scan *s, bool in_bracket)
{
	char		c = *s->p++;

	if (c == '\0')
		return false;
	if (strchr("dDwWsS", c) != NULL || strchr("ntrfv", c) != NULL)
		appendStringInfo(&s->out, "\\%c", c);
	else if (!in_bracket && c == 'A')
		appendStringInfoChar(&s->out, '^');
	else if (!in_bracket && c == 'Z')
		appendStringInfoChar(&s->out, '$');
	else if (!in_bracket && c == 'y')
		appendStringInfoString(&s->out, "\\b");
	else if (!in_bracket && c == 'Y')
		appendStringInfoString(&s->out, "\\B");
	else if (isalnum((unsigned char) c) || IS_HIGHBIT_SET(c))
		return false;
	else if (in_bracket && c == '-')
		appendStringInfoString(&s->out, "\\-");
	else
		append_plain(&s->out, c);
	return true;
}

/* [:name:] within a bracket */
static bool
translate_class(Scan *s)
{
	static const struct
	{
		const char *name;
		const char *ecma;
	}			classes[] = {
		{"[:alpha:]", "A-Za-z"}, {"[:digit:]", "0-9"}, {"[:alnum:]", "A-Za-z0-9"}, {"[:upper:]", "A-Z"}, {"[:lower:]", "a-z"},
		{"[:space:]", "\\s"}, {"[:blank:]", " \\t"}, {"[:xdigit:]", "0-9A-Fa-f"}, {"[:word:]", "\\w"},
	};

	for (int i = 0; i < (int) lengthof(classes); i++)
		if (strncmp(s->p, classes[i].name, strlen(classes[i].name)) == 0)
		{
			appendStringInfoString(&s->out, classes[i].ecma);
			s->p += strlen(classes[i].name);
			return true;
		}
	return false;
}

/* after an opening bracket */
static bool
translate_bracket(Scan *s)
{
	bool		first = true;
	bool		negated = *s->p == '^';

	appendStringInfoChar(&s->out, '[');
	if (negated)
		appendStringInfoChar(&s->out, *s->p++);
	for (; *s->p != '\0'; first = false)
	{
		if (*s->p == ']' && !first)
		{
			appendStringInfoChar(&s->out, *s->p++);
			return true;
		}
		if (*s->p == '[' && (s->p[1] == ':' || s->p[1] == '=' || s->p[1] == '.'))
		{
			/* without a named class more would match, not less */
			if (negated || !translate_class(s))
				return false;
		}
		else if (*s->p == '\\')
		{
			s->p++;
			if ((negated && *s->p != '\0' && strchr("dwsDWS", *s->p) != NULL) || !translate_escape(s, true))
				return false;
		}
		else if (*s->p == '-')
			appendStringInfoChar(&s->out, *s->p++);
		else
			append_plain(&s->out, *s->p++);
	}
	return false;
}

static bool
translate_atom(Scan *s)
{
	char		c = *s->p++;

	switch (c)
	{
		case '\\':
			return translate_escape(s, false);
		case '[':
			return translate_bracket(s);
		case '(':
			if (*s->p == '?' && s->p[1] != ':')
				return false;
			appendStringInfoChar(&s->out, c);
			if (*s->p == '?')
			{
				appendStringInfoString(&s->out, "?:");
				s->p += 2;
			}
			return true;
		case '{':
			if (!isdigit((unsigned char) *s->p))
			{
				appendStringInfoString(&s->out, "\\{");
				return true;
			}
			appendStringInfoChar(&s->out, c);
			while (*s->p != '\0' && strchr("0123456789,}", *s->p) != NULL)
			{
				appendStringInfoChar(&s->out, *s->p);
				if (*s->p++ == '}')
					return true;
			}
			return false;
		case '}':
		case ']':
		case '/':
			appendStringInfo(&s->out, "\\%c", c);
			return true;
		default:
			appendStringInfoChar(&s->out, c);
			return true;
	}
}

char *
pgllm_posix_to_ecma(const char *pattern)
{
	Scan		s = {.p = pattern};

	initStringInfo(&s.out);
	if (strncmp(pattern, "***", 3) == 0 || strncmp(pattern, "(?", 2) == 0)
	{
		if (strncmp(pattern, "(?:", 3) != 0)
			return NULL;
	}
	while (*s.p != '\0')
		if (!translate_atom(&s))
			return NULL;
	return s.out.data;
}

char *
pgllm_like_to_ecma(const char *pattern)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '^');
	for (const char *p = pattern; *p != '\0'; p++)
	{
		if (*p == '%')
			appendStringInfoString(&out, "[\\s\\S]*");
		else if (*p == '_')
			appendStringInfoString(&out, "[\\s\\S]");
		else if (*p == '\\' && p[1] == '\0')
			return NULL;
		else
			append_plain(&out, *p == '\\' ? *++p : *p);
	}
	appendStringInfoChar(&out, '$');
	return out.data;
}
