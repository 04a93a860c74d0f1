/*
 * written_keys.h: which keys a JSON text has written so far, so that none is written twice.
 *
 * Declared keys come once by the machine itself. That other keys differ from each other is nothing that an automaton can tell: this reads
 * the text beside the machine and holds the keys of the objects that are open, which are less than the text itself. Internal to
 * choose/ and serve/.
 */
#ifndef LLM_WRITTEN_KEYS_H
#define LLM_WRITTEN_KEYS_H

#include "choose/grammar_run.h"
#include "choose/token_trie.h"

typedef enum LlmKeyPlace
{
	LLM_PLACE_VALUE,			/* at or behind a value */
	LLM_PLACE_STRING,			/* in a string that is a value */
	LLM_PLACE_BEFORE_KEY,		/* behind the brace or comma before a key */
	LLM_PLACE_KEY				/* in a key */
} LlmKeyPlace;

typedef struct LlmWrittenKeys
{
	LlmBuf		levels;			/* of each object and array that is open */
	LlmBuf		keys;			/* of open objects, outer ones first; each a place in text */
	LlmBuf		text;			/* their bytes as written, and those of the key that is being read */
	LlmKeyPlace place;
	bool		escaped;		/* behind a backslash */
} LlmWrittenKeys;

extern void llm_written_init(LlmWrittenKeys *w, const LlmAllocator *a);
extern void llm_written_free(LlmWrittenKeys *w);

/* to becomes as from is; both are initialised */
extern LlmStatus llm_written_copy(const LlmWrittenKeys *from, LlmWrittenKeys *to, LlmError *err);

/* read on in a text that the machine allows; *again: a key came that its object has */
extern LlmStatus llm_written_read(LlmWrittenKeys *w, const char *bytes, size_t n, bool *again, LlmError *err);

/*
 * Append to out a short text that makes run whole without a key that is there; *found false: there is none of at most limit bytes.
 * w and run are in the same place.
 */
extern LlmStatus llm_written_shortest(const LlmWrittenKeys *w, const LlmGrammarRun *run, size_t limit, LlmBuf *out, bool *found,
									  LlmError *err);

/*
 * Append to out the tokens that may not come, among those that the machine allows (bits): they would write a key again, or begin one
 * that could only become one that is there.
 */
extern LlmStatus llm_written_forbidden(const LlmWrittenKeys *w, const LlmGrammarRun *run, const LlmTokenTrie *trie,
									   const uint32_t *bits, LlmTokens *out, LlmError *err);

#endif
