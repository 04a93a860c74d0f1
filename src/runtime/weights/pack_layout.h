/*
 * pack_layout.h: the bytes of a pack, agreed between the packer and the opener. Internal to weights/.
 *
 * Header, metadata, directory (entries, then names), tables of the tokenizer, data; each part and each matrix starts at a multiple of LLMK_ALIGN.
 * Numbers are those of the machine that wrote the pack: a pack is a cache, never carried elsewhere, and a foreign one
 * fails the check of the byte-order mark. All offsets count from the start of the pack.
 */
#ifndef LLM_PACK_LAYOUT_H
#define LLM_PACK_LAYOUT_H

#include "weights/pack.h"

#define LLM_PACK_MAGIC "LLMPACK"	/* 8 bytes with the zero */
#define LLM_PACK_BYTE_ORDER 0x01020304
#define LLM_PACK_FORMAT 2		/* of the structures below; the layout of matrices is LLMK_PACK_VERSION */

#define LLM_PACK_MAX_COLS ((int64_t) 1 << 20)	/* of a matrix, so that a group of rows stays a bounded buffer */

typedef struct LlmPackHeader
{
	char		magic[8];
	uint32_t	byte_order;
	uint32_t	format;
	uint32_t	pack_version;
	uint32_t	n_meta_entries;
	uint64_t	total_bytes;
	uint64_t	source_bytes;
	uint8_t		digest[LLM_DIGEST_BYTES];
	uint64_t	meta_off;
	uint64_t	meta_bytes;
	uint64_t	dir_off;
	uint64_t	dir_bytes;		/* entries and names */
	uint64_t	n_tensors;
	uint64_t	tables_off;
	uint64_t	tables_bytes;
	uint64_t	data_off;
	uint64_t	body_checksum;	/* of the metadata, continued over the directory and the tables */
	uint64_t	header_checksum;	/* of the fields above */
	uint8_t		pad[40];
} LlmPackHeader;

_Static_assert(sizeof(LlmPackHeader) == 192, "pack header");
_Static_assert(sizeof(LlmPackHeader) % LLMK_ALIGN == 0, "alignment of what follows the header");

/* entries are sorted by name */
typedef struct LlmPackEntry
{
	uint64_t	name_off;		/* from dir_off */
	uint32_t	name_len;
	uint32_t	type;
	uint32_t	source_type;
	uint32_t	is_vector;
	int64_t		n_cols;
	int64_t		n_rows;
	int64_t		n_stack;
	uint64_t	data_off;
	uint64_t	n_bytes;
} LlmPackEntry;

_Static_assert(sizeof(LlmPackEntry) == 64, "pack entry");

/*
 * Bytes of one packed matrix, with its padding to LLMK_ALIGN; of the whole stack; or of a vector. False if the type is not
 * computed with or a size is out of range.
 */
extern bool llm_pack_matrix_bytes(LlmType type, int64_t n_rows, int64_t n_cols, uint64_t *n_bytes);
extern bool llm_pack_tensor_bytes(const LlmPackEntry *entry, uint64_t *n_bytes);

/* 64 bits over bytes, to notice damage (not forgery): state is 0 at first, then the result of the part before */
extern uint64_t llm_pack_checksum(uint64_t state, const void *data, size_t len);

/* of what follows the header and is no data, at base */
extern uint64_t llm_pack_body_checksum(const uint8_t *base, const LlmPackHeader *header);

static inline uint64_t
llm_pack_align(uint64_t off)
{
	return (off + LLMK_ALIGN - 1) & ~(uint64_t) (LLMK_ALIGN - 1);
}

#endif
