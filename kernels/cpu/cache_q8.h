/*
 * cache_q8.h: pages of keys or values in 8 bits: where the numbers of a page lie. Inside kernels/cpu only.
 *
 * A head's numbers are rounded in blocks of 32 dimensions (the last may be shorter) that share a scale in half precision:
 * x stands as scale * q with q from -127 to 127. That product is exact in F32 (11 and 7 bits), so reading a page back is
 * exact too, at every level. First come the q, laid out as the elements of a page of floats are, then the scales: those of a
 * block of keys beside each other (block, LLMK_PAGE_KEYS), those of a value beside each other (LLMK_PAGE_KEYS, block).
 */
#ifndef LLMK_CACHE_Q8_H
#define LLMK_CACHE_Q8_H

#include "kernels.h"

static inline int64_t
llmk_q8_blocks(int head_dim)
{
	return (head_dim + LLM_QK - 1) / LLM_QK;
}

static inline uint16_t *
llmk_q8_scales(const void *page, int head_dim)
{
	return (uint16_t *) ((uint8_t *) page + (int64_t) LLMK_PAGE_KEYS * head_dim);
}

/* store_key and store_value of LLM_KV_Q8, the same for every level */
extern void llmk_q8_store_key(const float *k, int head_dim, int slot, void *k_page);
extern void llmk_q8_store_value(const float *v, int head_dim, int slot, void *v_page);

/* LlmKernels.read_keys and read_values of a level */
extern void llmk_q8_read_keys_generic(const void *k_page, int head_dim, float *out);
extern void llmk_q8_read_values_generic(const void *v_page, int head_dim, float *out);
#if defined(__x86_64__)
extern void llmk_q8_read_keys_avx2(const void *k_page, int head_dim, float *out);
extern void llmk_q8_read_values_avx2(const void *v_page, int head_dim, float *out);
#endif

#endif
