/*
 * class_regex_impl.h: an expression while it is rewritten. Internal to class_regex*.c.
 *
 * The expression is read twice by the same code. The first time collects what characters it names: a group is a bracket
 * expression, a literal or a script, with ranges of characters above ASCII. Characters that lie in the same groups and
 * have the same category get one byte together. The second time writes the expression with sets of bytes.
 */
#ifndef LLM_CLASS_REGEX_IMPL_H
#define LLM_CLASS_REGEX_IMPL_H

#include "text/class_regex.h"
#include "text/class_set.h"
#include "text/unicode_class.h"

#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define LLM_REGEX_MAX_BYTES 65536
#define LLM_REGEX_MAX_GROUPS 64
#define LLM_REGEX_MAX_DEPTH 32
#define LLM_REGEX_CATEGORIES 34	/* LLM_CLASS_LU to LLM_CLASS_INVALID */

typedef struct LlmRegexRange
{
	LlmCharRange chars;
	int			group;
} LlmRegexRange;

/* characters that the expression tells apart from others of their category */
typedef struct LlmRegexInterval
{
	LlmCharRange chars;
	int			marks;			/* index in marks */
} LlmRegexInterval;

/* the groups that such characters are in, and the byte for each category (0: none has it) */
typedef struct LlmRegexMarks
{
	uint64_t	groups;
	uint8_t		byte[LLM_REGEX_CATEGORIES];
} LlmRegexMarks;

struct LlmRegex
{
	const LlmAllocator *allocator;
	pcre2_general_context *general;
	pcre2_code *code;
	bool		jit;
	LlmRegexInterval *intervals;	/* ascending */
	size_t		n_intervals;
	LlmRegexMarks marks[LLM_REGEX_MAX_GROUPS];
	int			n_marks;
	int			n_bytes;		/* of marks, from LLM_CLASS_MARK on */
	uint8_t		category[256];	/* of each byte, as LlmClass */
	uint64_t	byte_groups[256];	/* which groups the characters of a byte are in */
};

typedef struct LlmRegexParser
{
	LlmRegex   *r;
	LlmStr		pattern;
	size_t		pos;
	bool		collecting;		/* first time: ranges into list; second time: out */
	LlmBuf		ranges;			/* LlmRegexRange each */
	LlmBuf		out;
	int			n_groups;
	bool		ignore_case;
	bool		dot_all;
	int			depth;
} LlmRegexParser;

static inline bool
llm_regex_at_end(const LlmRegexParser *p)
{
	return p->pos >= p->pattern.len;
}

static inline bool
llm_regex_looking_at(const LlmRegexParser *p, const char *text)
{
	size_t		n = strlen(text);

	return p->pattern.len - p->pos >= n && memcmp(p->pattern.data + p->pos, text, n) == 0;
}

static inline bool
llm_regex_accept(LlmRegexParser *p, const char *text)
{
	if (!llm_regex_looking_at(p, text))
		return false;
	p->pos += strlen(text);
	return true;
}

static inline LlmStatus
llm_regex_put(LlmRegexParser *p, const char *text, LlmError *err)
{
	return p->collecting ? LLM_OK : llm_buf_append(&p->out, text, strlen(text), err);
}

static inline void
llm_regex_complement(LlmClassSet *set)
{
	for (int i = 0; i < 4; i++)
		set->word[i] = ~set->word[i];
}

/* class_regex_sets.c: sets of characters */
extern LlmStatus llm_regex_bad_pattern(const LlmRegexParser *p, LlmStatus status, const char *reason, LlmError *err);
extern LlmStatus llm_regex_add_char(LlmRegexParser *p, uint32_t c, int *group, LlmClassSet *set, LlmError *err);
extern LlmStatus llm_regex_add_word(LlmRegexParser *p, bool in_brackets, LlmClassSet *set, LlmError *err);
extern LlmStatus llm_regex_read_plain_char(LlmRegexParser *p, uint32_t *c, LlmError *err);
extern LlmStatus llm_regex_read_escape(LlmRegexParser *p, bool in_brackets, uint32_t *c, bool *is_set, LlmClassSet *set, LlmError *err);
extern LlmStatus llm_regex_read_bracket(LlmRegexParser *p, LlmClassSet *set, LlmError *err);

/* class_regex_parse.c */
extern LlmStatus llm_regex_read_pattern(LlmRegexParser *p, bool collecting, LlmError *err);

#endif
