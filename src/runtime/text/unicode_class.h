/*
 * unicode_class.h: one byte for each character, which is what pre-tokenizer patterns are matched against.
 *
 * Patterns only ask for general categories, white space and ASCII. A text is therefore reduced to one byte per character
 * (ASCII stays, all else becomes its class), and PCRE2 runs over these bytes. So the split depends on the Unicode version
 * of our table and not on that of the machine's PCRE2 (14.0 on Debian 12, which lacks 9,272 letters of 16.0); \s is the
 * White_Space property, as in the tokenizers library (PCRE2's own also takes U+180E); and bytes that are not UTF-8 are one
 * more class.
 */
#ifndef LLM_UNICODE_CLASS_H
#define LLM_UNICODE_CLASS_H

#include <stddef.h>
#include <stdint.h>

/* general categories, in the order of the table */
typedef enum LlmClass
{
	LLM_CLASS_LU = 0x80, LLM_CLASS_LL, LLM_CLASS_LT, LLM_CLASS_LM, LLM_CLASS_LO,
	LLM_CLASS_MN, LLM_CLASS_MC, LLM_CLASS_ME,
	LLM_CLASS_ND, LLM_CLASS_NL, LLM_CLASS_NO,
	LLM_CLASS_PC, LLM_CLASS_PD, LLM_CLASS_PS, LLM_CLASS_PE, LLM_CLASS_PI, LLM_CLASS_PF, LLM_CLASS_PO,
	LLM_CLASS_SM, LLM_CLASS_SC, LLM_CLASS_SK, LLM_CLASS_SO,
	LLM_CLASS_ZS, LLM_CLASS_ZL, LLM_CLASS_ZP,
	LLM_CLASS_CC, LLM_CLASS_CF, LLM_CLASS_CS, LLM_CLASS_CO, LLM_CLASS_CN,
	LLM_CLASS_NEXT_LINE,		/* U+0085: Cc, but white space */
	LLM_CLASS_LONG_S,			/* U+017F: Ll, and an s where case is ignored */
	LLM_CLASS_NEW_DIGIT,		/* unassigned in Unicode 16, but a number in 17: see the pattern of smollm */
	LLM_CLASS_INVALID,			/* a byte that is not part of UTF-8 */
	LLM_CLASS_MARK				/* this and following: sets of one pattern, see pretokenizer_names.h and class_regex.h */
} LlmClass;

/*
 * The same as text for character classes of patterns (string literals, inside brackets). Non-ASCII white space is just
 * the Z categories and U+0085.
 */
#define LLM_SET_L "A-Za-z\\x80-\\x84\\x9F"
#define LLM_SET_N "0-9\\x88-\\x8A"
#define LLM_SET_P "!-#%-*,-/:;?@\\[-\\]_{}\\x8B-\\x91"
#define LLM_SET_M "\\x85-\\x87"
#define LLM_SET_S "$+<=>\\^`|~\\x92-\\x95"
#define LLM_SET_UPPER "A-Z\\x80\\x82-\\x87"	/* Lu Lt Lm Lo M */
#define LLM_SET_LOWER "a-z\\x81\\x83-\\x87\\x9F"	/* Ll Lm Lo M */
#define LLM_SET_ND "0-9\\x88"
#define LLM_SET_WORD "0-9A-Z_a-z\\x80-\\x89\\x8B\\x9F"	/* L M Nd Nl Pc */
#define LLM_SET_SPACE "\\x09-\\x0D \\x96-\\x98\\x9E"
#define LLM_SET_SMALL_S "sS\\x9F"
#define LLM_SET_NEW_DIGIT "\\xA0"

/* code_point >= 0x80 */
extern uint8_t llm_unicode_class(uint32_t code_point);

#endif
