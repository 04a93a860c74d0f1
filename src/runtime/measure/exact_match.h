/*
 * exact_match.h: whether a text has the gold answer, by the rules under which results on GSM8K are published
 * (lm-evaluation-harness, task gsm8k version 3.0): a pattern takes the answer out of the text, then both are compared as strings.
 */
#ifndef LLM_EXACT_MATCH_H
#define LLM_EXACT_MATCH_H

#include "base/arena.h"

typedef enum LlmMatchRule
{
	LLM_MATCH_EXACT,			/* equal bytes */
	LLM_MATCH_GSM8K_STRICT,		/* after the first "#### " */
	LLM_MATCH_GSM8K_FLEXIBLE,	/* the last number */
	LLM_MATCH_GSM8K_COT,		/* after the first "The answer is " */
	LLM_MATCH_RULES
} LlmMatchRule;

extern const char *const llm_match_rule_names[LLM_MATCH_RULES];

/* what a rule takes out of a text: a part of it, or "[invalid]" */
extern LlmStr llm_match_extract(LlmStr text, LlmMatchRule rule);

extern LlmStatus llm_match(LlmStr prediction, LlmStr gold, LlmMatchRule rule, const LlmAllocator *a, bool *matches, LlmError *err);

#endif
