/*
 * hf_steps.c: the sections of tokenizer.json that are lists of steps: normalizer, pre-tokenizer, decoder.
 *
 * What is not known is refused by its name: a step left out would change the tokens silently.
 */
#include "text/hf.h"

#include <json-c/json.h>
#include <string.h>

#define MAX_NESTING 8

static LlmStatus
bad_step(const char *section, const char *type, const char *reason, LlmStatus status, LlmError *err)
{
	llm_fail(err, status, "%s \"%.64s\" of tokenizer.json %s", section, type, reason);
	llm_error_hint(err, "Supported are those that docs/models.md lists.");
	return status;
}

LlmStatus
llm_hf_copy(LlmHf *hf, const char *s, size_t len, LlmStr *out, LlmError *err)
{
	void	   *copy;

	LLM_TRY(llm_arena_alloc(&hf->arena, len + 1, 1, &copy, err));
	memcpy(copy, s, len);
	((char *) copy)[len] = '\0';
	*out = (LlmStr) {copy, len};
	return LLM_OK;
}

static struct json_object *
member(struct json_object *o, const char *key)
{
	struct json_object *value = NULL;

	return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &value) ? value : NULL;
}

static bool
flag(struct json_object *o, const char *key, bool otherwise)
{
	struct json_object *value = member(o, key);

	return json_object_is_type(value, json_type_boolean) ? json_object_get_boolean(value) : otherwise;
}

static LlmStatus
string(LlmHf *hf, struct json_object *o, const char *key, LlmStr *out, LlmError *err)
{
	struct json_object *value = member(o, key);

	if (!json_object_is_type(value, json_type_string))
		return llm_fail(err, LLM_E_FORMAT, "a step of tokenizer.json lacks its string \"%s\"", key);
	return llm_hf_copy(hf, json_object_get_string(value), (size_t) json_object_get_string_len(value), out, err);
}

static LlmStatus
pattern(LlmHf *hf, struct json_object *o, LlmHfStep *step, LlmError *err)
{
	struct json_object *value = member(o, "pattern");
	LlmStr		expression;

	if (member(value, "Regex"))
	{
		LLM_TRY(string(hf, value, "Regex", &expression, err));
		return llm_regex_compile(expression, hf->allocator, &step->regex, err);
	}
	LLM_TRY(string(hf, value, "String", &step->literal, err));
	return step->literal.len ? LLM_OK : llm_fail(err, LLM_E_UNSUPPORTED, "a step of tokenizer.json has an empty pattern");
}

static LlmStatus
behavior(struct json_object *o, LlmHfBehavior otherwise, LlmHfBehavior *out, LlmError *err)
{
	static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
	struct json_object *value = member(o, "behavior");

	*out = otherwise;
	if (!value)
		return LLM_OK;
	for (int i = 0; i < 5; i++)
		if (json_object_is_type(value, json_type_string) && strcmp(json_object_get_string(value), names[i]) == 0)
		{
			*out = (LlmHfBehavior) i;
			return LLM_OK;
		}
	return llm_fail(err, LLM_E_UNSUPPORTED, "behavior %.64s of a pre-tokenizer of tokenizer.json is not supported",
					json_object_to_json_string(value));
}

static int
base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static LlmStatus
precompiled(LlmHf *hf, struct json_object *o, LlmHfStep *step, LlmError *err)
{
	LlmStr		text;
	void	   *memory;
	uint8_t    *out;
	size_t		n = 0;
	uint32_t	bits = 0;
	int			n_bits = 0;

	LLM_TRY(string(hf, o, "precompiled_charsmap", &text, err));
	LLM_TRY(llm_arena_alloc(&hf->arena, text.len + 1, 1, &memory, err));
	out = memory;
	while (text.len > 0 && text.data[text.len - 1] == '=')
		text.len--;
	for (size_t i = 0; i < text.len; i++)
	{
		int			digit = base64_digit(text.data[i]);

		if (digit < 0)
			return llm_fail(err, LLM_E_FORMAT, "precompiled_charsmap of tokenizer.json is not base64 at byte %zu", i);
		bits = bits << 6 | (uint32_t) digit;
		n_bits += 6;
		if (n_bits >= 8)
			out[n++] = (uint8_t) (bits >> (n_bits -= 8));
	}
	return llm_char_map_parse(out, n, "precompiled_charsmap of tokenizer.json", &step->char_map, err);
}

static LlmStatus
read_bert(struct json_object *o, LlmHfStep *step)
{
	step->left = flag(o, "clean_text", true);
	step->right = flag(o, "handle_chinese_chars", true);
	step->lowercase = flag(o, "lowercase", true);
	step->strip_accents = flag(o, "strip_accents", step->lowercase);
	return LLM_OK;
}

static LlmStatus
read_metaspace(LlmHf *hf, struct json_object *o, LlmHfStep *step, LlmError *err)
{
	static const char *const names[] = {"always", "first", "never"};
	struct json_object *scheme = member(o, "prepend_scheme");

	LLM_TRY(string(hf, o, "replacement", &step->text, err));
	if (step->text.len == 0)
		return llm_fail(err, LLM_E_FORMAT, "Metaspace of tokenizer.json has no replacement");
	step->right = flag(o, "split", true);
	step->prepend = flag(o, "add_prefix_space", true) ? LLM_HF_PREPEND_ALWAYS : LLM_HF_PREPEND_NEVER;
	for (int i = 0; i < 3; i++)
		if (json_object_is_type(scheme, json_type_string) && strcmp(json_object_get_string(scheme), names[i]) == 0)
			step->prepend = (LlmHfPrepend) i;
	return LLM_OK;
}

static LlmStatus
count(struct json_object *o, const char *key, size_t *out, LlmError *err)
{
	struct json_object *value = member(o, key);
	int64_t		n = json_object_get_int64(value);

	if (!json_object_is_type(value, json_type_int) || n < 0 || n > 1000)
		return llm_fail(err, LLM_E_FORMAT, "a step of tokenizer.json has no good number \"%s\"", key);
	*out = (size_t) n;
	return LLM_OK;
}

/* what a step of this kind has besides its type */
static LlmStatus
read_details(LlmHf *hf, struct json_object *o, LlmHfStep *step, LlmError *err)
{
	switch (step->kind)
	{
		case LLM_HF_STRIP:
			step->left = flag(o, "strip_left", true);
			step->right = flag(o, "strip_right", true);
			return LLM_OK;
		case LLM_HF_REPLACE:
			LLM_TRY(pattern(hf, o, step, err));
			return string(hf, o, "content", &step->text, err);
		case LLM_HF_PREPEND:
			return string(hf, o, "prepend", &step->text, err);
		case LLM_HF_PRECOMPILED:
			return precompiled(hf, o, step, err);
		case LLM_HF_BERT_NORMALIZER:
			return read_bert(o, step);
		case LLM_HF_BYTE_LEVEL:
			step->left = flag(o, "add_prefix_space", true);
			step->right = flag(o, "use_regex", true);
			return LLM_OK;
		case LLM_HF_SPLIT:
			step->invert = flag(o, "invert", false);
			LLM_TRY(behavior(o, LLM_HF_ISOLATED, &step->behavior, err));
			return pattern(hf, o, step, err);
		case LLM_HF_METASPACE:
			return read_metaspace(hf, o, step, err);
		case LLM_HF_DIGITS:
			step->behavior = flag(o, "individual_digits", false) ? LLM_HF_ISOLATED : LLM_HF_CONTIGUOUS;
			return LLM_OK;
		case LLM_HF_PUNCTUATION:
			return behavior(o, LLM_HF_ISOLATED, &step->behavior, err);
		case LLM_HF_DELIMITER:
			step->behavior = LLM_HF_REMOVED;
			return string(hf, o, "delimiter", &step->text, err);
		case LLM_HF_FIXED_LENGTH:
			step->start = 5;
			LLM_TRY(member(o, "length") ? count(o, "length", &step->start, err) : LLM_OK);
			return step->start ? LLM_OK : llm_fail(err, LLM_E_FORMAT, "FixedLength of tokenizer.json has words of no length");
		case LLM_HF_BPE_DECODER:
			LLM_TRY(string(hf, o, "suffix", &step->text, err));
			return step->text.len ? LLM_OK : llm_fail(err, LLM_E_UNSUPPORTED, "a BPEDecoder of tokenizer.json without suffix is not supported");
		case LLM_HF_WORDPIECE_DECODER:
			step->left = flag(o, "cleanup", true);
			return string(hf, o, "prefix", &step->text, err);
		case LLM_HF_STRIP_DECODER:
			LLM_TRY(count(o, "start", &step->start, err));
			LLM_TRY(count(o, "stop", &step->stop, err));
			return string(hf, o, "content", &step->text, err);
		default:
			return LLM_OK;
	}
}

typedef struct StepName
{
	const char *name;
	LlmHfStepKind kind;
} StepName;

static const StepName normalizers[] = {
	{"NFC", LLM_HF_NFC}, {"NFD", LLM_HF_NFD}, {"NFKC", LLM_HF_NFKC}, {"NFKD", LLM_HF_NFKD}, {"Lowercase", LLM_HF_LOWERCASE},
	{"StripAccents", LLM_HF_STRIP_ACCENTS}, {"Strip", LLM_HF_STRIP}, {"Replace", LLM_HF_REPLACE}, {"Prepend", LLM_HF_PREPEND},
	{"Nmt", LLM_HF_NMT}, {"Precompiled", LLM_HF_PRECOMPILED}, {"BertNormalizer", LLM_HF_BERT_NORMALIZER},
	{"ByteLevel", LLM_HF_BYTE_NORMALIZER}, {NULL, LLM_HF_NFC}
};

static const StepName pre_tokenizers[] = {
	{"ByteLevel", LLM_HF_BYTE_LEVEL}, {"Split", LLM_HF_SPLIT}, {"Metaspace", LLM_HF_METASPACE}, {"BertPreTokenizer", LLM_HF_BERT_WORDS},
	{"Whitespace", LLM_HF_WHITESPACE}, {"WhitespaceSplit", LLM_HF_WHITESPACE_SPLIT}, {"Digits", LLM_HF_DIGITS},
	{"Punctuation", LLM_HF_PUNCTUATION}, {"CharDelimiterSplit", LLM_HF_DELIMITER}, {"FixedLength", LLM_HF_FIXED_LENGTH},
	{NULL, LLM_HF_NFC}
};

static const StepName decoders[] = {
	{"ByteLevel", LLM_HF_BYTE_LEVEL}, {"Metaspace", LLM_HF_METASPACE}, {"Replace", LLM_HF_REPLACE}, {"ByteFallback", LLM_HF_BYTE_FALLBACK},
	{"Fuse", LLM_HF_FUSE}, {"WordPiece", LLM_HF_WORDPIECE_DECODER}, {"Strip", LLM_HF_STRIP_DECODER},
	{"BPEDecoder", LLM_HF_BPE_DECODER}, {NULL, LLM_HF_NFC}
};

/* a section, or one step of a sequence in it */
typedef struct Section
{
	const char *name;
	const char *list;			/* key of a sequence's steps */
	const StepName *known;
	LlmHfSteps *steps;
} Section;

static LlmStatus
read_step(LlmHf *hf, const Section *section, struct json_object *o, int nesting, LlmError *err)
{
	const char *type = json_object_is_type(member(o, "type"), json_type_string) ? json_object_get_string(member(o, "type")) : NULL;
	LlmHfStep  *step;

	if (!type)
		return llm_fail(err, LLM_E_FORMAT, "a %s of tokenizer.json has no type", section->name);
	if (strcmp(type, "Sequence") == 0)
	{
		struct json_object *list = member(o, section->list);

		if (nesting == MAX_NESTING || !json_object_is_type(list, json_type_array))
			return bad_step(section->name, type, nesting == MAX_NESTING ? "is nested too deeply" : "has no list", LLM_E_FORMAT, err);
		for (size_t i = 0; i < json_object_array_length(list); i++)
			LLM_TRY(read_step(hf, section, json_object_array_get_idx(list, i), nesting + 1, err));
		return LLM_OK;
	}
	if (section->steps->n == LLM_HF_MAX_STEPS)
		return bad_step(section->name, type, "is one step too many", LLM_E_LIMIT, err);
	step = &section->steps->step[section->steps->n];
	memset(step, 0, sizeof(*step));
	for (const StepName *k = section->known; k->name; k++)
	{
		if (strcmp(type, k->name) != 0)
			continue;
		step->kind = k->kind;
		section->steps->n++;
		return read_details(hf, o, step, err);
	}
	return bad_step(section->name, type, "is not supported", LLM_E_UNSUPPORTED, err);
}

LlmStatus
llm_hf_read_normalizer(LlmHf *hf, struct json_object *o, LlmError *err)
{
	Section		section = {"normalizer", "normalizers", normalizers, &hf->normalizer};

	return o ? read_step(hf, &section, o, 0, err) : LLM_OK;
}

/* GPT-2's expression, which ByteLevel cuts by */
static LlmStatus
compile_byte_level(LlmHf *hf, LlmHfStep *step, LlmError *err)
{
	static const char expression[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

	step->behavior = LLM_HF_ISOLATED;
	return step->right ? llm_regex_compile((LlmStr) {expression, sizeof(expression) - 1}, hf->allocator, &step->regex, err) : LLM_OK;
}

LlmStatus
llm_hf_read_pre_tokenizer(LlmHf *hf, struct json_object *o, LlmError *err)
{
	Section		section = {"pre-tokenizer", "pretokenizers", pre_tokenizers, &hf->pre_tokenizer};

	if (o)
		LLM_TRY(read_step(hf, &section, o, 0, err));
	for (int i = 0; i < hf->pre_tokenizer.n; i++)
		if (hf->pre_tokenizer.step[i].kind == LLM_HF_BYTE_LEVEL)
			LLM_TRY(compile_byte_level(hf, &hf->pre_tokenizer.step[i], err));
	return LLM_OK;
}

LlmStatus
llm_hf_read_decoder(LlmHf *hf, struct json_object *o, LlmError *err)
{
	Section		section = {"decoder", "decoders", decoders, &hf->decoder};

	hf->has_decoder = o != NULL;
	return o ? read_step(hf, &section, o, 0, err) : LLM_OK;
}

void
llm_hf_free_steps(LlmHfSteps *steps)
{
	for (int i = 0; i < steps->n; i++)
		llm_regex_free(steps->step[i].regex);
	steps->n = 0;
}
