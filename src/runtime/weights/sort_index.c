/*
 * sort_index.c: heap sort of an index. Source: Williams 1964, Algorithm 232.
 */
#include "weights/sort_index.h"

#include <string.h>

/* restore the heap below `root`: every parent is not before its children */
static void
sift_down(uint32_t *index, uint32_t root, uint32_t n, LlmIndexCompare compare, const void *ctx)
{
	uint32_t	value = index[root];

	for (;;)
	{
		uint64_t	child = 2 * (uint64_t) root + 1;

		if (child >= n)
			break;
		if (child + 1 < n && compare(ctx, index[child], index[child + 1]) < 0)
			child++;
		if (compare(ctx, value, index[child]) >= 0)
			break;
		index[root] = index[child];
		root = (uint32_t) child;
	}
	index[root] = value;
}

void
llm_sort_index(uint32_t *index, uint32_t n, LlmIndexCompare compare, const void *ctx)
{
	for (uint32_t i = 0; i < n; i++)
		index[i] = i;
	for (uint32_t i = n / 2; i > 0; i--)
		sift_down(index, i - 1, n, compare, ctx);
	for (uint32_t end = n; end > 1; end--)
	{
		uint32_t	largest = index[0];

		index[0] = index[end - 1];
		index[end - 1] = largest;
		sift_down(index, 0, end - 1, compare, ctx);
	}
}

int
llm_str_compare(LlmStr a, LlmStr b)
{
	size_t		common = a.len < b.len ? a.len : b.len;
	int			order = common ? memcmp(a.data, b.data, common) : 0;

	if (order != 0)
		return order;
	return (a.len > b.len) - (a.len < b.len);
}
