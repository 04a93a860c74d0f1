#!/usr/bin/env python3
"""Write src/runtime/text/unicode_class.c: the class of every code point above ASCII, from Unicode 16.0.

Only needed to move to another Unicode version; the result is kept in the tree. Needs the PyPI package unicodedata2 at
exactly version 16.0.0:  python3 src/tools/unicode_class.py > src/runtime/text/unicode_class.c
"""
import sys

import unicodedata2

CATEGORIES = ["Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
              "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn"]
FIRST = 0x80                # class of Lu; the others follow in this order
NEXT_LINE, LONG_S, NEW_DIGIT = 0x9E, 0x9F, 0xA0
PAGE_BITS = 10

HEAD = '''/*
 * unicode_class.c: the class of every code point above ASCII (Unicode 16.0). Written by src/tools/unicode_class.py.
 *
 * class_range holds (first code point << 8 | class), ascending; page_range[p] is the range in which page p (1024 code
 * points) begins. Source: the Unicode Character Database 16.0, general categories.
 */
#include "text/unicode_class.h"

#define PAGE_BITS %d

''' % PAGE_BITS

TAIL = '''
uint8_t
llm_unicode_class(uint32_t code_point)
{
	uint32_t	page = code_point >> PAGE_BITS;
	uint32_t	low;
	uint32_t	high;

	if (code_point > 0x10FFFF)
		return LLM_CLASS_INVALID;
	low = page_range[page];
	high = page_range[page + 1];
	while (low < high)
	{
		uint32_t	middle = (low + high + 1) / 2;

		if (class_range[middle] >> 8 <= code_point)
			low = middle;
		else
			high = middle - 1;
	}
	return (uint8_t) class_range[low];
}
'''


def code_class(code_point):
    if code_point == 0x85:
        return NEXT_LINE
    if code_point == 0x17F:
        return LONG_S
    if 0x11DE0 <= code_point <= 0x11DE9 or 0x16FF4 <= code_point <= 0x16FF6:
        return NEW_DIGIT    # numbers since Unicode 17
    return FIRST + CATEGORIES.index(unicodedata2.category(chr(code_point)))


def numbers(values, per_line, form):
    lines = [", ".join(form % v for v in values[i:i + per_line]) for i in range(0, len(values), per_line)]
    return "\t" + ",\n\t".join(lines) + "\n"


def main():
    if unicodedata2.unidata_version != "16.0.0":
        sys.exit("unicodedata2 has Unicode %s, this table is Unicode 16.0.0" % unicodedata2.unidata_version)
    ranges = []
    for code_point in range(0x110000):
        c = code_class(code_point) if code_point >= 0x80 else FIRST + CATEGORIES.index("Cn")
        if not ranges or ranges[-1] & 0xFF != c:
            ranges.append(code_point << 8 | c)
    pages = []
    k = 0
    for start in range(0, 0x110001, 1 << PAGE_BITS):
        while k + 1 < len(ranges) and ranges[k + 1] >> 8 <= start:
            k += 1
        pages.append(k)
    print(HEAD + "static const uint32_t class_range[] = {\n" + numbers(ranges, 11, "0x%07X") + "};\n\n"
          + "static const uint16_t page_range[] = {\n" + numbers(pages, 22, "%d") + "};\n" + TAIL, end="")


if __name__ == "__main__":
    main()
