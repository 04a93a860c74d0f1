/*
 * utf8.h: well-formed UTF-8, one character at a time. Source: The Unicode Standard, table 3-7.
 */
#ifndef LLM_UTF8_H
#define LLM_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * Length in bytes (1 to 4) of the character that begins s (len >= 1 bytes) and its code point, or 0 if the bytes there are
 * not well formed or end too early; *code_point is then untouched.
 */
extern int	llm_utf8_char(const uint8_t *s, size_t len, uint32_t *code_point);

/* bytes of a well-formed character by its first byte */
static inline int
llm_utf8_lead_length(uint8_t lead)
{
	return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

#endif
