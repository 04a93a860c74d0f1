/*
 * get_row.h: the one get_row function that all levels and types use.
 */
#ifndef LLMK_GET_ROW_H
#define LLMK_GET_ROW_H

#include "kernels.h"

extern void llmk_get_row(const LlmkMatrix *w, int64_t row, float *out);

#endif
