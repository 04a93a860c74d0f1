/*
 * answer.h: the answer in a text that reasons its way to one, in a form in which answers of several texts can be counted.
 *
 * The answer is what follows the last mark ("The answer is", "Answer:", "####", or inside \boxed{}), else what the text ends
 * with. Two answers are the same if their keys are equal: a number without its writing, a date as year-month-day, one of the
 * choices, or words without case, punctuation and articles.
 */
#ifndef LLM_ANSWER_H
#define LLM_ANSWER_H

#include "base/arena.h"

typedef enum LlmAnswerKind
{
	LLM_ANSWER_AUTO,			/* text, whose key is that of a number or date if it is one as a whole */
	LLM_ANSWER_TEXT,
	LLM_ANSWER_NUMBER,
	LLM_ANSWER_DATE,
	LLM_ANSWER_CHOICE,
	LLM_ANSWER_KINDS
} LlmAnswerKind;

extern const char *const llm_answer_kind_names[LLM_ANSWER_KINDS];

typedef struct LlmAnswerForm
{
	LlmAnswerKind kind;
	const LlmStr *choices;		/* of LLM_ANSWER_CHOICE */
	int			n_choices;
} LlmAnswerForm;

/* append answer and key; both stay empty if the text has none */
extern LlmStatus llm_answer_find(const LlmAnswerForm *form, LlmStr text, LlmBuf *answer, LlmBuf *key, LlmError *err);

/* votes over answers that are there so far */
typedef struct LlmVote
{
	int			winner;			/* the first with the most frequent key, -1: none has one */
	int			votes;
	bool		decided;		/* no answer to come can change the winner */
	int			needed;			/* at least so many more may decide it; 0: decided */
} LlmVote;

/* keys (n_keys, len 0: no answer) of n_total that are asked for */
extern LlmVote llm_answer_vote(const LlmStr *keys, int n_keys, int n_total);

#endif
