/*
 * pack_layout.c: sizes and checksum of a pack.
 */
#include "weights/pack_layout.h"

#include <string.h>

bool
llm_pack_matrix_bytes(LlmType type, int64_t n_rows, int64_t n_cols, uint64_t *n_bytes)
{
	uint64_t	group_bytes;
	uint64_t	bytes;

	if (n_rows < 1 || n_cols < 1 || n_cols > LLM_PACK_MAX_COLS)
		return false;
	group_bytes = llmk_group_bytes(type, n_cols);
	if (group_bytes == 0 ||
		__builtin_mul_overflow(((uint64_t) n_rows - 1) / LLMK_ROWS + 1, group_bytes, &bytes) ||
		bytes > INT64_MAX - LLMK_ALIGN)
		return false;
	*n_bytes = llm_pack_align(bytes);
	return true;
}

bool
llm_pack_tensor_bytes(const LlmPackEntry *entry, uint64_t *n_bytes)
{
	uint64_t	bytes;

	if (entry->is_vector)
	{
		if (entry->n_cols < 1 || entry->n_cols > INT64_MAX / 8 || entry->n_rows != 1 || entry->n_stack != 1)
			return false;
		*n_bytes = llm_pack_align((uint64_t) entry->n_cols * sizeof(float));
		return true;
	}
	if (entry->n_stack < 1 ||
		!llm_pack_matrix_bytes((LlmType) entry->type, entry->n_rows, entry->n_cols, &bytes) ||
		__builtin_mul_overflow(bytes, (uint64_t) entry->n_stack, &bytes) || bytes > INT64_MAX)
		return false;
	*n_bytes = bytes;
	return true;
}

/*
 * Multiply and shift over words, in four lanes that take words by turns, as a product has to wait for the one before. The length
 * goes in, so that trailing zeros count.
 */
#define N_LANES 4

static inline uint64_t
mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * UINT64_C(0x9E3779B97F4A7C15);
	return h ^ (h >> 32);
}

uint64_t
llm_pack_checksum(uint64_t state, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t	lane[N_LANES];
	uint64_t	word[N_LANES];
	uint64_t	h = mix(state, len);

	for (int i = 0; i < N_LANES; i++)
		lane[i] = h + (uint64_t) i;
	for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word))
	{
		memcpy(word, p, sizeof(word));
		for (int i = 0; i < N_LANES; i++)
			lane[i] = mix(lane[i], word[i]);
	}
	memset(word, 0, sizeof(word));
	if (len > 0)
		memcpy(word, p, len);
	for (int i = 0; i < N_LANES; i++)
		h = mix(h, mix(lane[i], word[i]));
	return h;
}

uint64_t
llm_pack_body_checksum(const uint8_t *base, const LlmPackHeader *header)
{
	uint64_t	sum = llm_pack_checksum(0, base + header->meta_off, header->meta_bytes);

	sum = llm_pack_checksum(sum, base + header->dir_off, header->dir_bytes);
	return llm_pack_checksum(sum, base + header->tables_off, header->tables_bytes);
}
