/*
 * json_reader.h: JSON read from its beginning to its end, without a tree: for texts of megabytes (vocabularies).
 *
 * The caller says what it expects; what comes is checked as it is read. Errors are LLM_E_FORMAT with the offset. A long text
 * is not read to its end if stop wants that: LLM_PAUSED from llm_json_next and llm_json_skip, after which nothing more is read.
 */
#ifndef LLM_JSON_READER_H
#define LLM_JSON_READER_H

#include "base/arena.h"

typedef struct LlmJsonReader
{
	const char *text;
	size_t		len;
	size_t		pos;
	const char *what;			/* what the text is, for messages */
	const LlmStop *stop;
	size_t		polled;			/* where stop was asked last */
} LlmJsonReader;

static inline LlmJsonReader
llm_json_reader(LlmStr text, const char *what, const LlmStop *stop)
{
	return (LlmJsonReader) {text.data, text.len, 0, what, stop, 0};
}

extern LlmStatus llm_json_error(const LlmJsonReader *r, const char *reason, LlmError *err);

/* the next character that is no white space, '\0' at the end */
extern char llm_json_peek(LlmJsonReader *r);

/* the character c must come next */
extern LlmStatus llm_json_expect(LlmJsonReader *r, char c, LlmError *err);

/*
 * Iterate over what an opening bracket (already read) begins: *more is whether another element comes. first: true at the
 * first call. Reads the comma, and the closing bracket.
 */
extern LlmStatus llm_json_next(LlmJsonReader *r, char close, bool *first, bool *more, LlmError *err);

/* a string; *out points into the text or into scratch, and holds until either changes */
extern LlmStatus llm_json_string(LlmJsonReader *r, LlmBuf *scratch, LlmStr *out, LlmError *err);

extern LlmStatus llm_json_number(LlmJsonReader *r, double *out, LlmError *err);

/* any value; *span is its text */
extern LlmStatus llm_json_skip(LlmJsonReader *r, LlmStr *span, LlmError *err);

#endif
