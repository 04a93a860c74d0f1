/*
 * check.h: the few macros that unit tests need. A failed check prints place and values and counts; main ends with
 * CHECK_DONE(). Write CHECK(fabs(a - b) <= tol), so that NaN fails.
 */
#ifndef LLM_TEST_CHECK_H
#define LLM_TEST_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long check_count;
static long check_failures;

#define CHECK_MSG(condition, ...) \
	do { \
		check_count++; \
		if (!(condition)) \
		{ \
			if (check_failures++ < 50) \
			{ \
				fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
				fprintf(stderr, __VA_ARGS__); \
				fprintf(stderr, "\n"); \
			} \
		} \
	} while (0)

#define CHECK(condition) CHECK_MSG(condition, "failed")

/* the larger of two errors; NaN if one of them is, so that a check of the largest fails */
static inline double
check_larger(double worst, double error)
{
	return worst != worst || error <= worst ? worst : error;
}

#define CHECK_DONE() \
	do { \
		printf("%ld checks, %ld failed\n", check_count, check_failures); \
		return check_failures || check_count == 0 ? 1 : 0; \
	} while (0)

#endif
