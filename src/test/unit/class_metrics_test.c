/*
 * class_metrics_test.c: figures by class against values computed by hand and by scikit-learn's definitions; limits, and each
 * allocation failing in turn.
 */
#include "measure/class_metrics.h"

#include <math.h>

#include "check.h"
#include "fail_alloc.h"

#define STR(s) ((LlmStr) {.data = (s), .len = strlen(s)})
#define NEAR(a, b) CHECK_MSG(fabs((a) - (b)) <= 1e-12, "%.17g, not %.17g", (a), (b))

typedef struct Row
{
	const char *expected;
	const char *answer;			/* NULL: none */
	double		probability;
} Row;

static LlmStatus
add_all(LlmClassMetrics *m, const Row *rows, int n, LlmError *err)
{
	for (int i = 0; i < n; i++)
		LLM_TRY(llm_class_metrics_add(m, STR(rows[i].expected), rows[i].answer == NULL ? (LlmStr) {0} : STR(rows[i].answer),
									  rows[i].probability, err));
	return LLM_OK;
}

/* the example of scikit-learn's guide: y_true 0 1 2 0 1 2, y_pred 0 2 1 0 0 1: macro F1 0.2666…, recall 1, 0, 0 */
static void
check_guide(void)
{
	static const Row rows[] = {{"0", "0", 0.9}, {"1", "2", 0.8}, {"2", "1", 0.5}, {"0", "0", 0.9}, {"1", "0", 0.31}, {"2", "1", 1}};
	LlmClassMetrics m;
	LlmError	err;

	CHECK(llm_class_metrics_init(&m, &llm_malloc_allocator, &err) == LLM_OK);
	CHECK(add_all(&m, rows, 6, &err) == LLM_OK);
	CHECK(m.n_rows == 6 && m.n_classes == 3 && m.n_cells == 4);
	NEAR(llm_class_accuracy(&m), 2.0 / 6);
	NEAR(llm_class_balanced_accuracy(&m), 1.0 / 3);
	NEAR(llm_class_macro_f1(&m), 0.8 / 3);
	/* bins: (0.8, 0.9] two right of 1.8; (0.7, 0.8] 0 of 0.8; (0.4, 0.5] 0 of 0.5; (0.3, 0.4] 0 of 0.31; (0.9, 1] 0 of 1 */
	NEAR(llm_class_calibration_error(&m), (0.2 + 0.8 + 0.5 + 0.31 + 1) / 6);
	llm_class_metrics_free(&m);
}

/* an answer that is never expected is in F1, not in balanced accuracy; a row without answer is wrong */
static void
check_unequal(void)
{
	static const Row rows[] = {{"a", "a", NAN}, {"a", "a", NAN}, {"a", "c", NAN}, {"b", "b", NAN}, {"b", NULL, NAN}, {"", "", NAN}};
	LlmClassMetrics m;
	LlmError	err;

	CHECK(llm_class_metrics_init(&m, &llm_malloc_allocator, &err) == LLM_OK);
	CHECK(isnan(llm_class_accuracy(&m)) && isnan(llm_class_balanced_accuracy(&m)) && isnan(llm_class_macro_f1(&m)));
	CHECK(add_all(&m, rows, 6, &err) == LLM_OK);
	NEAR(llm_class_accuracy(&m), 4.0 / 6);
	NEAR(llm_class_balanced_accuracy(&m), (2.0 / 3 + 0.5 + 1) / 3);
	NEAR(llm_class_macro_f1(&m), (0.8 + 2.0 / 3 + 1 + 0) / 4);
	CHECK(isnan(llm_class_calibration_error(&m)));
	llm_class_metrics_free(&m);
}

/* probabilities at the edges of bins belong to the lower one, 0 to the first */
static void
check_bins(void)
{
	LlmClassMetrics m;
	LlmError	err;

	CHECK(llm_class_metrics_init(&m, &llm_malloc_allocator, &err) == LLM_OK);
	for (int i = 0; i <= 10; i++)
		CHECK(llm_class_metrics_add(&m, STR("x"), STR("x"), i / 10.0, &err) == LLM_OK);
	CHECK(m.n_bin[0] == 2);
	for (int b = 1; b < LLM_CALIBRATION_BINS; b++)
		CHECK_MSG(m.n_bin[b] == 1, "bin %d", b);
	llm_class_metrics_free(&m);
}

static void
check_limit(void)
{
	LlmClassMetrics m;
	LlmError	err;
	char		name[16];

	CHECK(llm_class_metrics_init(&m, &llm_malloc_allocator, &err) == LLM_OK);
	for (int i = 0; i <= LLM_CLASS_MAX; i++)
	{
		snprintf(name, sizeof name, "%d", i);
		CHECK(llm_class_metrics_add(&m, STR(name), STR(name), NAN, &err) == (i < LLM_CLASS_MAX ? LLM_OK : LLM_E_LIMIT));
	}
	CHECK(strcmp(m.classes[1].data, "1") == 0 && strcmp(m.classes[1023].data, "1023") == 0);
	CHECK(err.hint[0] != '\0' && m.n_rows == LLM_CLASS_MAX && m.n_cells == LLM_CLASS_MAX);
	NEAR(llm_class_macro_f1(&m), 1.0);
	llm_class_metrics_free(&m);
}

static void
check_no_memory(void)
{
	static const Row rows[] = {{"a", "b", 0.5}, {"b", "b", 0.5}};

	for (long k = 0;; k++)
	{
		FailAlloc	fa;
		LlmClassMetrics m;
		LlmError	err;
		LlmStatus	status;

		fail_alloc_init(&fa, k);
		status = llm_class_metrics_init(&m, &fa.allocator, &err);
		if (status == LLM_OK)
		{
			status = add_all(&m, rows, 2, &err);
			llm_class_metrics_free(&m);
		}
		CHECK(fa.n_alive == 0);
		CHECK(status == (fa.refused ? LLM_E_NOMEM : LLM_OK));
		if (!fa.refused)
			break;
	}
}

int
main(void)
{
	check_guide();
	check_unequal();
	check_bins();
	check_limit();
	check_no_memory();
	CHECK_DONE();
}
