/*
 * class_metrics.c: accuracy, balanced accuracy, macro F1 and calibration of answers by class. Classes are few, and are
 * found by looking at each.
 */
#include "measure/class_metrics.h"

#include <math.h>
#include <string.h>

LlmStatus
llm_class_metrics_init(LlmClassMetrics *m, const LlmAllocator *a, LlmError *err)
{
	LlmStatus	status;

	memset(m, 0, sizeof *m);
	m->allocator = a;
	status = llm_alloc(a, LLM_CLASS_MAX, sizeof(LlmStr), (void **) &m->classes, err);
	if (status == LLM_OK)
		status = llm_alloc_zero(a, LLM_CLASS_MAX, sizeof(uint64_t), (void **) &m->n_expected, err);
	if (status == LLM_OK)
		status = llm_alloc_zero(a, LLM_CLASS_MAX, sizeof(uint64_t), (void **) &m->n_answer, err);
	if (status == LLM_OK)
		status = llm_alloc_zero(a, LLM_CLASS_MAX, sizeof(uint64_t), (void **) &m->n_right, err);
	if (status != LLM_OK)
		llm_class_metrics_free(m);
	return status;
}

void
llm_class_metrics_free(LlmClassMetrics *m)
{
	for (size_t i = 0; i < m->n_classes; i++)
		llm_free(m->allocator, (void *) m->classes[i].data);
	llm_free(m->allocator, m->classes);
	llm_free(m->allocator, m->n_expected);
	llm_free(m->allocator, m->n_answer);
	llm_free(m->allocator, m->n_right);
	llm_free(m->allocator, m->cells);
	memset(m, 0, sizeof *m);
}

/* index of a class, a new one if need be */
static LlmStatus
class_of(LlmClassMetrics *m, LlmStr name, size_t *index, LlmError *err)
{
	void	   *copy;

	for (*index = 0; *index < m->n_classes; (*index)++)
		if (m->classes[*index].len == name.len && (name.len == 0 || memcmp(m->classes[*index].data, name.data, name.len) == 0))
			return LLM_OK;
	if (m->n_classes == LLM_CLASS_MAX)
	{
		llm_fail(err, LLM_E_LIMIT, "more than %d classes", LLM_CLASS_MAX);
		llm_error_hint(err, "Expected values must be the labels themselves.");
		return LLM_E_LIMIT;
	}
	LLM_TRY(llm_alloc(m->allocator, name.len + 1, 1, &copy, err));
	if (name.len > 0)
		memcpy(copy, name.data, name.len);
	((char *) copy)[name.len] = '\0';
	m->classes[m->n_classes++] = (LlmStr) {copy, name.len};
	return LLM_OK;
}

static LlmStatus
grow_cells(LlmClassMetrics *m, LlmError *err)
{
	size_t		n = m->max_cells == 0 ? 16 : m->max_cells * 2;
	LlmClassCell *cells;

	LLM_TRY(llm_alloc(m->allocator, n, sizeof(LlmClassCell), (void **) &cells, err));
	if (m->n_cells > 0)
		memcpy(cells, m->cells, m->n_cells * sizeof(LlmClassCell));
	llm_free(m->allocator, m->cells);
	m->cells = cells;
	m->max_cells = n;
	return LLM_OK;
}

static LlmStatus
count_cell(LlmClassMetrics *m, size_t expected, size_t answer, LlmError *err)
{
	for (size_t i = 0; i < m->n_cells; i++)
		if (m->cells[i].expected == expected && m->cells[i].answer == answer)
		{
			m->cells[i].n++;
			return LLM_OK;
		}
	if (m->n_cells == m->max_cells)
		LLM_TRY(grow_cells(m, err));
	m->cells[m->n_cells++] = (LlmClassCell) {.n = 1, .expected = (uint32_t) expected, .answer = (uint32_t) answer};
	return LLM_OK;
}

static void
count_probability(LlmClassMetrics *m, double probability, bool right)
{
	int			bin = (int) ceil(probability * LLM_CALIBRATION_BINS) - 1;

	bin = bin < 0 ? 0 : bin >= LLM_CALIBRATION_BINS ? LLM_CALIBRATION_BINS - 1 : bin;
	m->n_bin[bin]++;
	m->right_bin[bin] += right;
	m->probability_bin[bin] += probability;
}

LlmStatus
llm_class_metrics_add(LlmClassMetrics *m, LlmStr expected, LlmStr answer, double probability, LlmError *err)
{
	size_t		e;
	size_t		a;

	LLM_TRY(class_of(m, expected, &e, err));
	if (answer.data != NULL)
	{
		LLM_TRY(class_of(m, answer, &a, err));
		LLM_TRY(count_cell(m, e, a, err));
		m->n_answer[a]++;
		m->n_right[e] += e == a;
		if (probability >= 0 && probability <= 1)
			count_probability(m, probability, e == a);
	}
	m->n_expected[e]++;
	m->n_rows++;
	return LLM_OK;
}

double
llm_class_accuracy(const LlmClassMetrics *m)
{
	uint64_t	right = 0;

	for (size_t i = 0; i < m->n_classes; i++)
		right += m->n_right[i];
	return m->n_rows == 0 ? NAN : (double) right / (double) m->n_rows;
}

double
llm_class_balanced_accuracy(const LlmClassMetrics *m)
{
	double		sum = 0;
	size_t		n = 0;

	for (size_t i = 0; i < m->n_classes; i++)
	{
		if (m->n_expected[i] == 0)
			continue;
		sum += (double) m->n_right[i] / (double) m->n_expected[i];
		n++;
	}
	return n == 0 ? NAN : sum / (double) n;
}

double
llm_class_macro_f1(const LlmClassMetrics *m)
{
	double		sum = 0;
	size_t		n = 0;

	for (size_t i = 0; i < m->n_classes; i++)
	{
		uint64_t	both = m->n_expected[i] + m->n_answer[i];

		if (both == 0)
			continue;			/* of a row that could not be counted */
		sum += 2 * (double) m->n_right[i] / (double) both;
		n++;
	}
	return n == 0 ? NAN : sum / (double) n;
}

double
llm_class_calibration_error(const LlmClassMetrics *m)
{
	double		sum = 0;
	uint64_t	n = 0;

	for (int b = 0; b < LLM_CALIBRATION_BINS; b++)
	{
		sum += fabs((double) m->right_bin[b] - m->probability_bin[b]);
		n += m->n_bin[b];
	}
	return n == 0 ? NAN : sum / (double) n;
}
