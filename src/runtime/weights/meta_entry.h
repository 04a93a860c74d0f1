/*
 * meta_entry.h: the one walker over encoded key/value pairs. gguf.c uses it to find where the metadata of a file ends
 * while reading it, gguf_meta.c to index bytes that are all there. Internal to weights/.
 */
#ifndef LLM_META_ENTRY_H
#define LLM_META_ENTRY_H

#include "weights/byte_reader.h"
#include "weights/gguf_meta.h"

#define LLM_META_MAX_ENTRIES 65536	/* models have about 50 */
#define LLM_META_MAX_KEY_BYTES 65535	/* of the specification */
#define LLM_META_MIN_ENTRY_BYTES 14 /* key length, one byte of key, type, one byte of value */

/*
 * Read and check one pair. LLM_OK with r->need == 0: *entry is filled (but for array.string_off) and r->pos is behind it.
 * LLM_OK with r->need > 0: bytes are missing; call again with at least that many from the old r->pos, which is kept.
 * LLM_E_FORMAT with key and offset otherwise.
 */
extern LlmStatus llm_meta_read_entry(LlmByteReader *r, LlmMetaEntry *entry, LlmError *err);

/* bytes of a value of that type; 0 for strings, arrays and unknown numbers */
extern size_t llm_meta_type_bytes(uint32_t type);

/* name of a type for messages; "unknown" */
extern const char *llm_meta_type_name(uint32_t type);

#endif
