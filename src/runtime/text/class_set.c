/*
 * class_set.c: properties that expressions may name, as sets of general categories or ranges of characters.
 *
 * Source: Oniguruma, doc/RE; The Unicode Standard, Scripts.txt 16.0.
 */
#include "text/class_set.h"
#include "text/unicode_class.h"

#include <string.h>

#define MAX_NAME 32

#define BIT(c) LLM_CLASS_BIT(LLM_CLASS_##c)
#define SET_L (BIT(LU) | BIT(LL) | BIT(LT) | BIT(LM) | BIT(LO) | BIT(LONG_S))
#define SET_M (BIT(MN) | BIT(MC) | BIT(ME))
#define SET_N (BIT(ND) | BIT(NL) | BIT(NO))
#define SET_P (BIT(PC) | BIT(PD) | BIT(PS) | BIT(PE) | BIT(PI) | BIT(PF) | BIT(PO))
#define SET_S (BIT(SM) | BIT(SC) | BIT(SK) | BIT(SO))
#define SET_Z (BIT(ZS) | BIT(ZL) | BIT(ZP))
#define SET_CC (BIT(CC) | BIT(NEXT_LINE))
#define SET_CN (BIT(CN) | BIT(NEW_DIGIT))
#define SET_C (SET_CC | BIT(CF) | BIT(CS) | BIT(CO) | SET_CN)

static const struct
{
	const char *name;
	uint64_t	set;
}			properties[] = {
	{"l", SET_L}, {"letter", SET_L},
	{"lu", BIT(LU)}, {"uppercaseletter", BIT(LU)},
	{"ll", BIT(LL) | BIT(LONG_S)}, {"lowercaseletter", BIT(LL) | BIT(LONG_S)},
	{"lt", BIT(LT)}, {"titlecaseletter", BIT(LT)},
	{"lm", BIT(LM)}, {"modifierletter", BIT(LM)},
	{"lo", BIT(LO)}, {"otherletter", BIT(LO)},
	{"m", SET_M}, {"mark", SET_M}, {"combiningmark", SET_M},
	{"mn", BIT(MN)}, {"nonspacingmark", BIT(MN)},
	{"mc", BIT(MC)}, {"spacingmark", BIT(MC)},
	{"me", BIT(ME)}, {"enclosingmark", BIT(ME)},
	{"n", SET_N}, {"number", SET_N},
	{"nd", BIT(ND)}, {"decimalnumber", BIT(ND)}, {"digit", BIT(ND)},
	{"nl", BIT(NL)}, {"letternumber", BIT(NL)},
	{"no", BIT(NO)}, {"othernumber", BIT(NO)},
	{"p", SET_P}, {"punctuation", SET_P},
	{"pc", BIT(PC)}, {"connectorpunctuation", BIT(PC)},
	{"pd", BIT(PD)}, {"dashpunctuation", BIT(PD)},
	{"ps", BIT(PS)}, {"openpunctuation", BIT(PS)},
	{"pe", BIT(PE)}, {"closepunctuation", BIT(PE)},
	{"pi", BIT(PI)}, {"initialpunctuation", BIT(PI)},
	{"pf", BIT(PF)}, {"finalpunctuation", BIT(PF)},
	{"po", BIT(PO)}, {"otherpunctuation", BIT(PO)},
	{"s", SET_S}, {"symbol", SET_S},
	{"sm", BIT(SM)}, {"mathsymbol", BIT(SM)},
	{"sc", BIT(SC)}, {"currencysymbol", BIT(SC)},
	{"sk", BIT(SK)}, {"modifiersymbol", BIT(SK)},
	{"so", BIT(SO)}, {"othersymbol", BIT(SO)},
	{"z", SET_Z}, {"separator", SET_Z},
	{"zs", BIT(ZS)}, {"spaceseparator", BIT(ZS)},
	{"zl", BIT(ZL)}, {"lineseparator", BIT(ZL)},
	{"zp", BIT(ZP)}, {"paragraphseparator", BIT(ZP)},
	{"c", SET_C}, {"other", SET_C},
	{"cc", SET_CC}, {"control", SET_CC}, {"cntrl", SET_CC},
	{"cf", BIT(CF)}, {"format", BIT(CF)},
	{"co", BIT(CO)}, {"privateuse", BIT(CO)},
	{"cn", SET_CN}, {"unassigned", SET_CN},
};

/* letters, digits, '_' aside, '-' and spaces in names do not count */
static void
plain_name(LlmStr name, char out[MAX_NAME])
{
	size_t		n = 0;

	for (size_t i = 0; i < name.len && n < MAX_NAME - 1; i++)
	{
		char		c = name.data[i];

		if (c != '_' && c != '-' && c != ' ')
			out[n++] = (char) (c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	out[n] = '\0';
}

uint64_t
llm_class_property(LlmStr name)
{
	char		plain[MAX_NAME];

	plain_name(name, plain);
	for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++)
		if (strcmp(plain, properties[i].name) == 0)
			return properties[i].set;
	return 0;
}

uint8_t
llm_class_of_ascii(uint8_t c)
{
	static const char marks[] = "!\"#%&'*,./:;?@\\";

	if (c < ' ' || c == 0x7F)
		return LLM_CLASS_CC;
	if (c == ' ')
		return LLM_CLASS_ZS;
	if (c >= '0' && c <= '9')
		return LLM_CLASS_ND;
	if (c >= 'A' && c <= 'Z')
		return LLM_CLASS_LU;
	if (c >= 'a' && c <= 'z')
		return LLM_CLASS_LL;
	if (strchr(marks, c))
		return LLM_CLASS_PO;
	switch (c)
	{
		case '_':
			return LLM_CLASS_PC;
		case '-':
			return LLM_CLASS_PD;
		case '(':
		case '[':
		case '{':
			return LLM_CLASS_PS;
		case ')':
		case ']':
		case '}':
			return LLM_CLASS_PE;
		case '$':
			return LLM_CLASS_SC;
		case '^':
		case '`':
			return LLM_CLASS_SK;
		default:
			return LLM_CLASS_SM;	/* + < = > | ~ */
	}
}

static const LlmCharRange han_chars[] = {
	{0x2E80, 0x2E99}, {0x2E9B, 0x2EF3}, {0x2F00, 0x2FD5}, {0x3005, 0x3005}, {0x3007, 0x3007}, {0x3021, 0x3029},
	{0x3038, 0x303B}, {0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xF900, 0xFA6D}, {0xFA70, 0xFAD9}, {0x16FE2, 0x16FE3},
	{0x16FF0, 0x16FF1}, {0x20000, 0x2A6DF}, {0x2A700, 0x2B739}, {0x2B740, 0x2B81D}, {0x2B820, 0x2CEA1}, {0x2CEB0, 0x2EBE0},
	{0x2EBF0, 0x2EE5D}, {0x2F800, 0x2FA1D}, {0x30000, 0x3134A}, {0x31350, 0x323AF}
};

static const LlmCharRange hiragana_chars[] = {
	{0x3041, 0x3096}, {0x309D, 0x309F}, {0x1B001, 0x1B11F}, {0x1B132, 0x1B132}, {0x1B150, 0x1B152}, {0x1F200, 0x1F200}
};

static const LlmCharRange katakana_chars[] = {
	{0x30A1, 0x30FA}, {0x30FD, 0x30FF}, {0x31F0, 0x31FF}, {0x32D0, 0x32FE}, {0x3300, 0x3357}, {0xFF66, 0xFF6F},
	{0xFF71, 0xFF9D}, {0x1AFF0, 0x1AFF3}, {0x1AFF5, 0x1AFFB}, {0x1AFFD, 0x1AFFE}, {0x1B000, 0x1B000}, {0x1B120, 0x1B122},
	{0x1B155, 0x1B155}, {0x1B164, 0x1B167}
};

static const LlmCharRange hangul_chars[] = {
	{0x1100, 0x11FF}, {0x302E, 0x302F}, {0x3131, 0x318E}, {0x3200, 0x321E}, {0x3260, 0x327E}, {0xA960, 0xA97C},
	{0xAC00, 0xD7A3}, {0xD7B0, 0xD7C6}, {0xD7CB, 0xD7FB}, {0xFFA0, 0xFFBE}, {0xFFC2, 0xFFC7}, {0xFFCA, 0xFFCF},
	{0xFFD2, 0xFFD7}, {0xFFDA, 0xFFDC}
};

static const LlmCharRange latin_chars[] = {
	{0x0041, 0x005A}, {0x0061, 0x007A}, {0x00AA, 0x00AA}, {0x00BA, 0x00BA}, {0x00C0, 0x00D6}, {0x00D8, 0x00F6},
	{0x00F8, 0x02B8}, {0x02E0, 0x02E4}, {0x1D00, 0x1D25}, {0x1D2C, 0x1D5C}, {0x1D62, 0x1D65}, {0x1D6B, 0x1D77},
	{0x1D79, 0x1DBE}, {0x1E00, 0x1EFF}, {0x2071, 0x2071}, {0x207F, 0x207F}, {0x2090, 0x209C}, {0x212A, 0x212B},
	{0x2132, 0x2132}, {0x214E, 0x214E}, {0x2160, 0x2188}, {0x2C60, 0x2C7F}, {0xA722, 0xA787}, {0xA78B, 0xA7CD},
	{0xA7D0, 0xA7D1}, {0xA7D3, 0xA7D3}, {0xA7D5, 0xA7DC}, {0xA7F2, 0xA7FF}, {0xAB30, 0xAB5A}, {0xAB5C, 0xAB64},
	{0xAB66, 0xAB69}, {0xFB00, 0xFB06}, {0xFF21, 0xFF3A}, {0xFF41, 0xFF5A}, {0x10780, 0x10785}, {0x10787, 0x107B0},
	{0x107B2, 0x107BA}, {0x1DF00, 0x1DF1E}, {0x1DF25, 0x1DF2A}
};

static const LlmCharRange cyrillic_chars[] = {
	{0x0400, 0x0484}, {0x0487, 0x052F}, {0x1C80, 0x1C8A}, {0x1D2B, 0x1D2B}, {0x1D78, 0x1D78}, {0x2DE0, 0x2DFF},
	{0xA640, 0xA69F}, {0xFE2E, 0xFE2F}, {0x1E030, 0x1E06D}, {0x1E08F, 0x1E08F}
};

static const LlmCharRange greek_chars[] = {
	{0x0370, 0x0373}, {0x0375, 0x0377}, {0x037A, 0x037D}, {0x037F, 0x037F}, {0x0384, 0x0384}, {0x0386, 0x0386},
	{0x0388, 0x038A}, {0x038C, 0x038C}, {0x038E, 0x03A1}, {0x03A3, 0x03E1}, {0x03F0, 0x03FF}, {0x1D26, 0x1D2A},
	{0x1D5D, 0x1D61}, {0x1D66, 0x1D6A}, {0x1DBF, 0x1DBF}, {0x1F00, 0x1F15}, {0x1F18, 0x1F1D}, {0x1F20, 0x1F45},
	{0x1F48, 0x1F4D}, {0x1F50, 0x1F57}, {0x1F59, 0x1F59}, {0x1F5B, 0x1F5B}, {0x1F5D, 0x1F5D}, {0x1F5F, 0x1F7D},
	{0x1F80, 0x1FB4}, {0x1FB6, 0x1FC4}, {0x1FC6, 0x1FD3}, {0x1FD6, 0x1FDB}, {0x1FDD, 0x1FEF}, {0x1FF2, 0x1FF4},
	{0x1FF6, 0x1FFE}, {0x2126, 0x2126}, {0xAB65, 0xAB65}, {0x10140, 0x1018E}, {0x101A0, 0x101A0}, {0x1D200, 0x1D245}
};

static const LlmCharRange arabic_chars[] = {
	{0x0600, 0x0604}, {0x0606, 0x060B}, {0x060D, 0x061A}, {0x061C, 0x061E}, {0x0620, 0x063F}, {0x0641, 0x064A},
	{0x0656, 0x066F}, {0x0671, 0x06DC}, {0x06DE, 0x06FF}, {0x0750, 0x077F}, {0x0870, 0x088E}, {0x0890, 0x0891},
	{0x0897, 0x08E1}, {0x08E3, 0x08FF}, {0xFB50, 0xFBC2}, {0xFBD3, 0xFD3D}, {0xFD40, 0xFD8F}, {0xFD92, 0xFDC7},
	{0xFDCF, 0xFDCF}, {0xFDF0, 0xFDFF}, {0xFE70, 0xFE74}, {0xFE76, 0xFEFC}, {0x10E60, 0x10E7E}, {0x10EC2, 0x10EC4},
	{0x10EFC, 0x10EFF}, {0x1EE00, 0x1EE03}, {0x1EE05, 0x1EE1F}, {0x1EE21, 0x1EE22}, {0x1EE24, 0x1EE24}, {0x1EE27, 0x1EE27},
	{0x1EE29, 0x1EE32}, {0x1EE34, 0x1EE37}, {0x1EE39, 0x1EE39}, {0x1EE3B, 0x1EE3B}, {0x1EE42, 0x1EE42}, {0x1EE47, 0x1EE47},
	{0x1EE49, 0x1EE49}, {0x1EE4B, 0x1EE4B}, {0x1EE4D, 0x1EE4F}, {0x1EE51, 0x1EE52}, {0x1EE54, 0x1EE54}, {0x1EE57, 0x1EE57},
	{0x1EE59, 0x1EE59}, {0x1EE5B, 0x1EE5B}, {0x1EE5D, 0x1EE5D}, {0x1EE5F, 0x1EE5F}, {0x1EE61, 0x1EE62}, {0x1EE64, 0x1EE64},
	{0x1EE67, 0x1EE6A}, {0x1EE6C, 0x1EE72}, {0x1EE74, 0x1EE77}, {0x1EE79, 0x1EE7C}, {0x1EE7E, 0x1EE7E}, {0x1EE80, 0x1EE89},
	{0x1EE8B, 0x1EE9B}, {0x1EEA1, 0x1EEA3}, {0x1EEA5, 0x1EEA9}, {0x1EEAB, 0x1EEBB}, {0x1EEF0, 0x1EEF1}
};

static const LlmCharRange hebrew_chars[] = {
	{0x0591, 0x05C7}, {0x05D0, 0x05EA}, {0x05EF, 0x05F4}, {0xFB1D, 0xFB36}, {0xFB38, 0xFB3C}, {0xFB3E, 0xFB3E},
	{0xFB40, 0xFB41}, {0xFB43, 0xFB44}, {0xFB46, 0xFB4F}
};

static const LlmCharRange thai_chars[] = {
	{0x0E01, 0x0E3A}, {0x0E40, 0x0E5B}
};

static const LlmCharRange lao_chars[] = {
	{0x0E81, 0x0E82}, {0x0E84, 0x0E84}, {0x0E86, 0x0E8A}, {0x0E8C, 0x0EA3}, {0x0EA5, 0x0EA5}, {0x0EA7, 0x0EBD},
	{0x0EC0, 0x0EC4}, {0x0EC6, 0x0EC6}, {0x0EC8, 0x0ECE}, {0x0ED0, 0x0ED9}, {0x0EDC, 0x0EDF}
};

static const LlmCharRange khmer_chars[] = {
	{0x1780, 0x17DD}, {0x17E0, 0x17E9}, {0x17F0, 0x17F9}, {0x19E0, 0x19FF}
};

static const LlmCharRange myanmar_chars[] = {
	{0x1000, 0x109F}, {0xA9E0, 0xA9FE}, {0xAA60, 0xAA7F}, {0x116D0, 0x116E3}
};

static const LlmCharRange devanagari_chars[] = {
	{0x0900, 0x0950}, {0x0955, 0x0963}, {0x0966, 0x097F}, {0xA8E0, 0xA8FF}, {0x11B00, 0x11B09}
};

static const LlmCharRange bengali_chars[] = {
	{0x0980, 0x0983}, {0x0985, 0x098C}, {0x098F, 0x0990}, {0x0993, 0x09A8}, {0x09AA, 0x09B0}, {0x09B2, 0x09B2},
	{0x09B6, 0x09B9}, {0x09BC, 0x09C4}, {0x09C7, 0x09C8}, {0x09CB, 0x09CE}, {0x09D7, 0x09D7}, {0x09DC, 0x09DD},
	{0x09DF, 0x09E3}, {0x09E6, 0x09FE}
};

static const LlmCharRange tamil_chars[] = {
	{0x0B82, 0x0B83}, {0x0B85, 0x0B8A}, {0x0B8E, 0x0B90}, {0x0B92, 0x0B95}, {0x0B99, 0x0B9A}, {0x0B9C, 0x0B9C},
	{0x0B9E, 0x0B9F}, {0x0BA3, 0x0BA4}, {0x0BA8, 0x0BAA}, {0x0BAE, 0x0BB9}, {0x0BBE, 0x0BC2}, {0x0BC6, 0x0BC8},
	{0x0BCA, 0x0BCD}, {0x0BD0, 0x0BD0}, {0x0BD7, 0x0BD7}, {0x0BE6, 0x0BFA}, {0x11FC0, 0x11FF1}, {0x11FFF, 0x11FFF}
};

static const LlmCharRange telugu_chars[] = {
	{0x0C00, 0x0C0C}, {0x0C0E, 0x0C10}, {0x0C12, 0x0C28}, {0x0C2A, 0x0C39}, {0x0C3C, 0x0C44}, {0x0C46, 0x0C48},
	{0x0C4A, 0x0C4D}, {0x0C55, 0x0C56}, {0x0C58, 0x0C5A}, {0x0C5D, 0x0C5D}, {0x0C60, 0x0C63}, {0x0C66, 0x0C6F},
	{0x0C77, 0x0C7F}
};

static const LlmCharRange bopomofo_chars[] = {
	{0x02EA, 0x02EB}, {0x3105, 0x312F}, {0x31A0, 0x31BF}
};

/* in no order */
static const struct
{
	const char *name;
	const LlmCharRange *ranges;
	size_t		n;
}			scripts[] = {
	{"han", han_chars, sizeof(han_chars) / sizeof(LlmCharRange)},
	{"hiragana", hiragana_chars, sizeof(hiragana_chars) / sizeof(LlmCharRange)},
	{"katakana", katakana_chars, sizeof(katakana_chars) / sizeof(LlmCharRange)},
	{"hangul", hangul_chars, sizeof(hangul_chars) / sizeof(LlmCharRange)},
	{"latin", latin_chars, sizeof(latin_chars) / sizeof(LlmCharRange)},
	{"cyrillic", cyrillic_chars, sizeof(cyrillic_chars) / sizeof(LlmCharRange)},
	{"greek", greek_chars, sizeof(greek_chars) / sizeof(LlmCharRange)},
	{"arabic", arabic_chars, sizeof(arabic_chars) / sizeof(LlmCharRange)},
	{"hebrew", hebrew_chars, sizeof(hebrew_chars) / sizeof(LlmCharRange)},
	{"thai", thai_chars, sizeof(thai_chars) / sizeof(LlmCharRange)},
	{"lao", lao_chars, sizeof(lao_chars) / sizeof(LlmCharRange)},
	{"khmer", khmer_chars, sizeof(khmer_chars) / sizeof(LlmCharRange)},
	{"myanmar", myanmar_chars, sizeof(myanmar_chars) / sizeof(LlmCharRange)},
	{"devanagari", devanagari_chars, sizeof(devanagari_chars) / sizeof(LlmCharRange)},
	{"bengali", bengali_chars, sizeof(bengali_chars) / sizeof(LlmCharRange)},
	{"tamil", tamil_chars, sizeof(tamil_chars) / sizeof(LlmCharRange)},
	{"telugu", telugu_chars, sizeof(telugu_chars) / sizeof(LlmCharRange)},
	{"bopomofo", bopomofo_chars, sizeof(bopomofo_chars) / sizeof(LlmCharRange)},
};

const LlmCharRange *
llm_class_script(LlmStr name, size_t *n)
{
	char		plain[MAX_NAME];

	plain_name(name, plain);
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
	{
		if (strcmp(plain, scripts[i].name) != 0)
			continue;
		*n = scripts[i].n;
		return scripts[i].ranges;
	}
	return NULL;
}
