/*
 * pretokenizer_names.h: what is known by the name of a pre-tokenizer (tokenizer.ggml.pre).
 *
 * A pre-tokenizer is a list of stages; pretokenize.c says how they are run.
 */
#ifndef LLM_PRETOKENIZER_NAMES_H
#define LLM_PRETOKENIZER_NAMES_H

#include "base/status.h"

#define LLM_MAX_STAGES 6

/* characters first to last have the class mark in this stage, instead of that of their category */
typedef struct LlmMarkedRange
{
	uint32_t	first;
	uint32_t	last;
	uint8_t		mark;
} LlmMarkedRange;

typedef struct LlmPatternStage
{
	const char *expression;		/* over classes (unicode_class.h); never matches nothing */
	const LlmMarkedRange *marks;	/* the first that fits counts; ends with last = 0; or NULL */
	uint8_t		digits;			/* 0, or cut matches where a multiple of 3 digits lies ahead: LLM_CLASS_ND for \d, _NO for \p{N} */
} LlmPatternStage;

/* what the name of a pre-tokenizer says besides its pattern */
typedef struct LlmPretokenizerTraits
{
	bool		ignore_merges;	/* a word that is a token is taken whole */
	bool		add_bos;		/* where the metadata does not say */
	bool		digit_bytes;	/* words are cut at bytes that are digits in GPT-2's alphabet */
} LlmPretokenizerTraits;

typedef struct LlmPretokenizerName
{
	const char *name;
	const LlmPatternStage *stages;	/* up to LLM_MAX_STAGES, then one without expression */
	LlmPretokenizerTraits traits;
} LlmPretokenizerName;

/* NULL: not known */
extern const LlmPretokenizerName *llm_pretokenizer_find(LlmStr name);

#endif
