/*
 * cache_q8_test.c: pages of keys and values in 8 bits: every level writes the same bytes and reads the same numbers, which
 * are scale * q exactly and near to what was written; numbers that are not finite stay so.
 */
#include <math.h>

#include "check.h"
#include "tested_levels.h"

#define MAX_DIM 600

static uint32_t random_state = 1;

static float
random_float(void)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (float) (int32_t) random_state * 0x1p-31f;
}

static uint8_t pages[2][LLMK_PAGE_KEYS * (MAX_DIM + 64)] __attribute__((aligned(64)));
static float read_back[2][LLMK_PAGE_KEYS * MAX_DIM] __attribute__((aligned(64)));
static float written[LLMK_PAGE_KEYS][MAX_DIM];

static void
fill(const LlmKernels *k, bool keys, int dim, uint8_t *page, float *out)
{
	memset(page, 0xff, llmk_page_bytes(LLM_KV_Q8, dim));
	for (int slot = 0; slot < LLMK_PAGE_KEYS; slot++)
		(keys ? k->store_key : k->store_value) (written[slot], dim, LLM_KV_Q8, slot, page);
	(keys ? k->read_keys : k->read_values) (page, dim, out);
}

static float
read_number(bool keys, int dim, int slot, int d)
{
	return read_back[0][keys ? d * LLMK_PAGE_KEYS + slot : slot * dim + d];
}

/* half a step of the block that d is in, a little more as scales are rounded too, and what the smallest scale cannot hold */
static double
allowed(int dim, int slot, int d)
{
	double		largest = 0;

	for (int i = d / 32 * 32; i < dim && i < d / 32 * 32 + 32; i++)
		largest = fmax(largest, fabs(written[slot][i]));
	return largest / 127 * (0.5 + 127 * 0x1p-11) + 127 * 0x1p-25;
}

static void
test_pages(bool keys, int dim, float size)
{
	const size_t bytes = llmk_page_bytes(LLM_KV_Q8, dim);

	for (int slot = 0; slot < LLMK_PAGE_KEYS; slot++)
		for (int d = 0; d < dim; d++)
			written[slot][d] = random_float() * size * (d % 7 ? 1 : 5);
	fill(&tested_levels[0], keys, dim, pages[0], read_back[0]);
	for (int level = 1; level < n_tested_levels; level++)
	{
		fill(&tested_levels[level], keys, dim, pages[1], read_back[1]);
		CHECK_MSG(memcmp(pages[0], pages[1], bytes) == 0, "%s writes otherwise than generic, dim %d", tested_levels[level].name, dim);
		CHECK_MSG(memcmp(read_back[0], read_back[1], sizeof(float) * (size_t) dim * LLMK_PAGE_KEYS) == 0,
				  "%s reads otherwise than generic, dim %d", tested_levels[level].name, dim);
	}
	for (int slot = 0; slot < LLMK_PAGE_KEYS; slot++)
		for (int d = 0; d < dim; d++)
		{
			double		error = fabs((double) read_number(keys, dim, slot, d) - (double) written[slot][d]);

			CHECK_MSG(error <= allowed(dim, slot, d), "dim %d, slot %d, %d: %g for %g", dim, slot, d,
					  (double) read_number(keys, dim, slot, d), (double) written[slot][d]);
		}
}

/* a NaN or infinity, and what is above all half-precision scales, show in their block and nowhere else */
static void
test_not_finite(bool keys)
{
	static const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f};

	for (int i = 0; i < 4; i++)
	{
		const int	dim = 70;

		for (int slot = 0; slot < LLMK_PAGE_KEYS; slot++)
			for (int d = 0; d < dim; d++)
				written[slot][d] = slot == 5 && d == 40 ? bad[i] : 1;
		for (int level = 0; level < n_tested_levels; level++)
		{
			fill(&tested_levels[level], keys, dim, pages[0], read_back[0]);
			for (int d = 0; d < dim; d++)
			{
				float		x = read_number(keys, dim, 5, d);

				CHECK(d / 32 == 1 ? !isfinite(x) : fabsf(x - 1) < 1e-3f);
			}
			CHECK(fabsf(read_number(keys, dim, 4, 40) - 1) < 1e-3f);
		}
	}
}

int
main(void)
{
	static const int dims[] = {1, 7, 8, 31, 32, 33, 40, 64, 80, 96, 100, 128, 192, 256, 320, 576, 600};
	static const float sizes[] = {0, 1e-8f, 1e-4f, 1, 300};

	list_tested_levels();
	for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
		for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
			for (int keys = 0; keys < 2; keys++)
				test_pages(keys, dims[i], sizes[s]);
	test_not_finite(false);
	test_not_finite(true);
	CHECK_DONE();
}
