/*
 * drop_score.c: spans to bags of words, their F1 in pairs, and the best alignment.
 */
#include "measure/drop_score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "measure/normal_form.h"

/* an answer: its spans in normal form, and the different words of each */
typedef struct Answer
{
	int			n;
	LlmBuf		text;			/* all normal forms, one after the other */
	LlmStr	   *span;			/* (n) */
	LlmStr	   *words;			/* of all spans, sorted within each, without repetition */
	int		   *first;			/* (n + 1) in words */
} Answer;

static int
compare(const void *a, const void *b)
{
	const LlmStr *x = a;
	const LlmStr *y = b;
	int			c = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);

	return c != 0 ? c : x->len < y->len ? -1 : x->len > y->len;
}

static void
answer_free(Answer *answer)
{
	const LlmAllocator *a = answer->text.allocator;

	llm_free(a, answer->span);
	llm_free(a, answer->words);
	llm_free(a, answer->first);
	llm_buf_free(&answer->text);
}

/* the words of a span (str.split()), sorted, each once; how many */
static int
split_words(LlmStr span, LlmStr *words)
{
	size_t		begin = 0;
	int			n = 0;
	int			different = 0;
	uint32_t	c;

	for (size_t at = 0; at <= span.len;)
	{
		int			bytes = at < span.len ? llm_normal_char(span.data + at, span.len - at, &c) : 1;

		if (at == span.len || llm_normal_is_space(c))
		{
			if (at > begin)
				words[n++] = (LlmStr) {span.data + begin, at - begin};
			begin = at + (size_t) bytes;
		}
		at += (size_t) bytes;
	}
	qsort(words, (size_t) n, sizeof(LlmStr), compare);
	for (int i = 0; i < n; i++)
		if (different == 0 || compare(&words[different - 1], &words[i]) != 0)
			words[different++] = words[i];
	return different;
}

/* on error too, answer is to be freed */
static LlmStatus
answer_make(const LlmStr *spans, int n, const LlmAllocator *a, Answer *answer, LlmError *err)
{
	size_t		n_words = 0;
	void	   *p;

	memset(answer, 0, sizeof *answer);
	llm_buf_init(&answer->text, a);
	LLM_TRY(llm_alloc_zero(a, (size_t) n + 1, sizeof(int), &p, err));
	answer->first = p;
	LLM_TRY(llm_alloc_zero(a, (size_t) n + 1, sizeof(LlmStr), &p, err));
	answer->span = p;
	for (int i = 0; i < n; i++)
	{
		size_t		begin = answer->text.len;

		LLM_TRY(llm_normal_span(spans[i], &answer->text, err));
		answer->span[i].len = answer->text.len - begin;
		n_words += answer->span[i].len / 2 + 1;
	}
	LLM_TRY(llm_alloc_zero(a, n_words + 1, sizeof(LlmStr), &p, err));
	answer->words = p;
	answer->n = n;
	for (size_t i = 0, at = 0; i < (size_t) n; at += answer->span[i++].len)
	{
		answer->span[i].data = answer->text.data ? answer->text.data + at : "";
		answer->first[i + 1] = answer->first[i] + split_words(answer->span[i], answer->words + answer->first[i]);
	}
	return LLM_OK;
}

/* equal sets of spans in lists of equal length */
static bool
exact(const Answer *predicted, const Answer *gold)
{
	const Answer *from[2] = {predicted, gold};

	if (predicted->n != gold->n)
		return false;
	for (int side = 0; side < 2; side++)
		for (int i = 0; i < from[side]->n; i++)
		{
			bool		found = false;

			for (int j = 0; j < gold->n && !found; j++)
				found = compare(&from[side]->span[i], &from[1 - side]->span[j]) == 0;
			if (!found)
				return false;
		}
	return true;
}

/* F1 of two bags; 0 where the gold bag has numbers and the predicted one none of them */
static double
bag_f1(const Answer *predicted, int p, const Answer *gold, int g)
{
	const int	n_predicted = predicted->first[p + 1] - predicted->first[p];
	const int	n_gold = gold->first[g + 1] - gold->first[g];
	bool		has_number = false;
	bool		shares_number = false;
	int			shared = 0;
	double		precision;
	double		recall;

	for (int i = gold->first[g]; i < gold->first[g + 1]; i++)
	{
		double		value;
		bool		number = llm_normal_float(gold->words[i], &value);
		bool		both = n_predicted > 0 && bsearch(&gold->words[i], predicted->words + predicted->first[p], (size_t) n_predicted,
													  sizeof(LlmStr), compare) != NULL;

		has_number = has_number || number;
		shares_number = shares_number || (number && both);
		shared += both;
	}
	if (has_number && !shares_number)
		return 0;
	precision = n_predicted == 0 ? 1 : shared / (double) n_predicted;
	recall = n_gold == 0 ? 1 : shared / (double) n_gold;
	return precision == 0 && recall == 0 ? 0 : 2 * precision * recall / (precision + recall);
}

/*
 * The largest sum of scores (n, n) over one-to-one pairs of rows and columns: the Hungarian method with potentials, n³ steps.
 * work: 4 * (n + 1) doubles, of which the last two parts hold integers.
 */
static double
best_sum(const double *scores, int n, double *work)
{
	double	   *u = work;
	double	   *v = u + n + 1;
	double	   *least = v + n + 1;
	int		   *row_of = (int *) (least + n + 1);	/* of a column; 0: none. Rows and columns count from 1. */
	int		   *way = row_of + n + 1;
	bool		used[LLM_DROP_MAX_SPANS + 1];
	double		sum = 0;

	memset(work, 0, sizeof(double) * 4 * ((size_t) n + 1));
	for (int i = 1; i <= n; i++)
	{
		int			column = 0;

		row_of[0] = i;
		for (int j = 0; j <= n; j++)
		{
			least[j] = INFINITY;
			used[j] = false;
		}
		do
		{
			int			next = 0;
			double		delta = INFINITY;

			used[column] = true;
			for (int j = 1; j <= n; j++)
			{
				double		cost;

				if (used[j])
					continue;
				cost = -scores[(row_of[column] - 1) * n + j - 1] - u[row_of[column]] - v[j];
				if (cost < least[j])
				{
					least[j] = cost;
					way[j] = column;
				}
				if (least[j] < delta)
				{
					delta = least[j];
					next = j;
				}
			}
			for (int j = 0; j <= n; j++)
			{
				if (used[j])
				{
					u[row_of[j]] += delta;
					v[j] -= delta;
				}
				else
					least[j] -= delta;
			}
			column = next;
		} while (row_of[column] != 0);
		for (; column != 0; column = way[column])
			row_of[column] = row_of[way[column]];
	}
	for (int j = 1; j <= n; j++)
		sum += scores[(row_of[j] - 1) * n + j - 1];
	return sum;
}

/* the mean F1 of the best alignment, over the larger number of spans */
static LlmStatus
aligned_f1(const Answer *predicted, const Answer *gold, const LlmAllocator *a, double *f1, LlmError *err)
{
	const int	n = predicted->n > gold->n ? predicted->n : gold->n;
	double	   *scores;
	void	   *p;

	LLM_TRY(llm_alloc_zero(a, (size_t) n * (size_t) n + 4 * ((size_t) n + 1), sizeof(double), &p, err));
	scores = p;
	for (int g = 0; g < gold->n; g++)
		for (int i = 0; i < predicted->n; i++)
			scores[g * n + i] = bag_f1(predicted, i, gold, g);
	*f1 = rint(best_sum(scores, n, scores + (size_t) n * (size_t) n) / n * 100) / 100;
	llm_free(a, p);
	return LLM_OK;
}

LlmStatus
llm_drop_score(const LlmStr *predicted, int n_predicted, const LlmStr *gold, int n_gold, const LlmAllocator *a, LlmDropScore *score,
			   LlmError *err)
{
	Answer		answer[2];
	LlmStatus	status;
	double		f1 = 0;

	if (n_predicted > LLM_DROP_MAX_SPANS || n_gold > LLM_DROP_MAX_SPANS)
		return llm_fail(err, LLM_E_LIMIT, "an answer has %d spans, at most %d are compared",
						n_predicted > n_gold ? n_predicted : n_gold, LLM_DROP_MAX_SPANS);
	if (n_gold < 1)
		return llm_fail(err, LLM_E_ARGUMENT, "a gold answer has no span");
	memset(answer, 0, sizeof answer);
	llm_buf_init(&answer[1].text, a);
	status = answer_make(predicted, n_predicted, a, &answer[0], err);
	if (status == LLM_OK)
		status = answer_make(gold, n_gold, a, &answer[1], err);
	if (status == LLM_OK)
		status = aligned_f1(&answer[0], &answer[1], a, &f1, err);
	if (status == LLM_OK)
		*score = (LlmDropScore) {.em = exact(&answer[0], &answer[1]), .f1 = f1};
	answer_free(&answer[0]);
	answer_free(&answer[1]);
	return status;
}

bool
llm_drop_is_blank(LlmStr span)
{
	uint32_t	c;

	for (size_t at = 0; at < span.len;)
	{
		at += (size_t) llm_normal_char(span.data + at, span.len - at, &c);
		if (!llm_normal_is_space(c))
			return false;
	}
	return true;
}
