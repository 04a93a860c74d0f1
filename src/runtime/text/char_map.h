/*
 * char_map.h: the character map of SentencePiece models, which unigram tokenizers normalize text with.
 */
#ifndef LLM_CHAR_MAP_H
#define LLM_CHAR_MAP_H

#include "weights/gguf_meta.h"

/* a double array over byte strings, and replacements that end with a NUL; borrowed from the metadata */
typedef struct LlmCharMap
{
	const uint8_t *units;		/* (n_units) little-endian, unaligned; NULL: no map */
	size_t		n_units;
	const char *replacements;
	size_t		replacements_bytes;	/* the last byte is a NUL */
} LlmCharMap;

/* an absent map leaves it empty. Errors: LLM_E_FORMAT if it contradicts itself, LLM_E_LIMIT for too long a replacement */
extern LlmStatus llm_char_map_load(const LlmMeta *meta, LlmCharMap *map, LlmError *err);

/* the same from bytes, which must outlive map; what: their name for messages */
extern LlmStatus llm_char_map_parse(const uint8_t *data, size_t n, const char *what, LlmCharMap *map, LlmError *err);

/* bytes (1 or more) at the beginning of s that the map replaces, the longest such part, and by what; 0: none */
extern size_t llm_char_map_find(const LlmCharMap *map, const uint8_t *s, size_t len, LlmStr *replacement);

/* the same for the shortest such part, which is what the tokenizers library takes */
extern size_t llm_char_map_find_shortest(const LlmCharMap *map, const uint8_t *s, size_t len, LlmStr *replacement);

#endif
