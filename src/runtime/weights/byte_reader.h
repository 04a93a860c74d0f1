/*
 * byte_reader.h: a cursor over the directory of a file of which only a leading part may have been read yet.
 *
 * Every read says one of three things: there are bytes; more bytes must be read first (then `need` says up to where, and
 * the caller starts the entry again); or the file itself is too short. All numbers are little-endian and unaligned.
 */
#ifndef LLM_BYTE_READER_H
#define LLM_BYTE_READER_H

#include "base/status.h"

#include <string.h>

typedef struct LlmByteReader
{
	const uint8_t *bytes;
	size_t		pos;
	size_t		n_have;			/* bytes present */
	uint64_t	n_total;		/* bytes that exist; n_have <= n_total */
	size_t		need;			/* set to more than n_have when bytes are missing, else 0 */
} LlmByteReader;

typedef enum LlmBytes
{
	LLM_BYTES_OK,
	LLM_BYTES_MORE,				/* read up to need, then repeat */
	LLM_BYTES_END				/* the file ends before */
} LlmBytes;

/* are the next len bytes present? Does not move. */
static inline LlmBytes
llm_bytes_ask(LlmByteReader *r, uint64_t len)
{
	if (len > r->n_total - r->pos)
		return LLM_BYTES_END;
	if (len > r->n_have - r->pos)
	{
		r->need = r->pos + len;
		return LLM_BYTES_MORE;
	}
	return LLM_BYTES_OK;
}

static inline uint16_t
llm_load_u16(const uint8_t *p)
{
	uint16_t	v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t
llm_load_u32(const uint8_t *p)
{
	uint32_t	v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t
llm_load_u64(const uint8_t *p)
{
	uint64_t	v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline LlmBytes
llm_bytes_u32(LlmByteReader *r, uint32_t *value)
{
	LlmBytes	got = llm_bytes_ask(r, 4);

	if (got == LLM_BYTES_OK)
	{
		*value = llm_load_u32(r->bytes + r->pos);
		r->pos += 4;
	}
	return got;
}

static inline LlmBytes
llm_bytes_u64(LlmByteReader *r, uint64_t *value)
{
	LlmBytes	got = llm_bytes_ask(r, 8);

	if (got == LLM_BYTES_OK)
	{
		*value = llm_load_u64(r->bytes + r->pos);
		r->pos += 8;
	}
	return got;
}

/* a length and its bytes; *value points into the buffer. On LLM_BYTES_END value->len is the length that was asked for, or 0. */
static inline LlmBytes
llm_bytes_string(LlmByteReader *r, LlmStr *value)
{
	uint64_t	len;
	LlmBytes	got;

	value->len = 0;
	got = llm_bytes_u64(r, &len);
	if (got != LLM_BYTES_OK)
		return got;
	value->len = len;
	got = llm_bytes_ask(r, len);
	if (got != LLM_BYTES_OK)
		return got;
	value->data = (const char *) r->bytes + r->pos;
	r->pos += len;
	return LLM_BYTES_OK;
}

#endif
