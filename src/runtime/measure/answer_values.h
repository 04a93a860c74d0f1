/*
 * answer_values.h: numbers and dates as people write them, in one form. Internal to measure/.
 */
#ifndef LLM_ANSWER_VALUES_H
#define LLM_ANSWER_VALUES_H

#include "base/arena.h"

/*
 * A number (sign, currency, groups of thousands, decimals, a fraction) or date that begins at text[at]: append it in its one
 * form, and say where it ends. False if there is none; then *end is unchanged.
 */
extern bool llm_answer_number(LlmStr text, size_t at, size_t *end, LlmBuf *form, LlmStatus *status, LlmError *err);
extern bool llm_answer_date(LlmStr text, size_t at, size_t *end, LlmBuf *form, LlmStatus *status, LlmError *err);

#endif
