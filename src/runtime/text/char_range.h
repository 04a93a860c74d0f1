/*
 * char_range.h: ranges of code points, and lists of them.
 */
#ifndef LLM_CHAR_RANGE_H
#define LLM_CHAR_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct LlmCharRange
{
	uint32_t	first;
	uint32_t	last;
} LlmCharRange;

/* whether a character is in one of n ranges that are ascending and apart */
static inline bool
llm_char_ranges_have(const LlmCharRange *ranges, size_t n, uint32_t c)
{
	size_t		low = 0;		/* the first range that does not end before c */
	size_t		high = n;

	while (low < high)
	{
		size_t		middle = low + (high - low) / 2;

		if (c > ranges[middle].last)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && c >= ranges[low].first;
}

/* the same for an array */
#define LLM_CHAR_LISTED(list, c) llm_char_ranges_have(list, sizeof(list) / sizeof((list)[0]), c)

#endif
