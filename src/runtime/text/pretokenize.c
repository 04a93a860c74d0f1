/*
 * pretokenize.c: pre-tokenizer patterns by name, and their run over a text by PCRE2.
 *
 * A pattern is a list of stages. A stage's expression is searched for in each part that the stage before left; matches and
 * what lies between them are the parts for the next. Expressions are those of the models' own tokenizer files, matched
 * not against the text but against one byte per character (unicode_class.h says why). A part is a text of its own:
 * a look-ahead at its end sees the end.
 *
 * Every expression takes time linear in the text: repetitions are of single characters, and what backtracking can undo is
 * read at most twice more. PCRE2's limits on backtracking are lifted for that reason.
 */
#include "text/pretokenize.h"
#include "text/unicode_class.h"
#include "text/utf8.h"

#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define MAX_STAGES 4
#define STACK_CLASSES 2048		/* characters of a text that need no allocation */
#define POLL_BYTES ((size_t) 64 * 1024)

#define L LLM_SET_L
#define N LLM_SET_N
#define P LLM_SET_P
#define SPACE LLM_SET_SPACE
#define SMALL_S LLM_SET_SMALL_S
#define NEW_DIGIT LLM_SET_NEW_DIGIT

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
#define GPT2_CONTRACTION "'(?:[stmd]|re|ve|ll)"
#define GPT2 \
	GPT2_CONTRACTION "| ?[" L "]+| ?[" N "]+| ?[^" SPACE L N "]+|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+"

/*
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * with the longest run of digits as a parameter
 */
#define LLAMA3(digits) \
	"'(?:[" SMALL_S "tTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])" \
	"|[^\\r\\n" L N "]?[" L "]+|[" N "]" digits "| ?[^" SPACE L N "]+[\\r\\n]*|[" SPACE "]*[\\r\\n]+" \
	"|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+"

/*
 * Each digit by itself, then GPT-2's in the parts between: here in one expression, where a digit ends a part. The tokenizers
 * library takes digits from a newer Unicode version than letters, thus NEW_DIGIT.
 */
#define SMOLLM \
	GPT2_CONTRACTION "| ?[" L "]+| ?[^" SPACE L N NEW_DIGIT "]+|[" N NEW_DIGIT "]" \
	"|[" SPACE "]+(?![^" SPACE N NEW_DIGIT "])|[" SPACE "]+"

typedef struct PatternFamily
{
	const char *stages[MAX_STAGES + 1];
} PatternFamily;

static const PatternFamily gpt2 = {{GPT2}};
static const PatternFamily llama3 = {{LLAMA3("{1,3}")}};
static const PatternFamily qwen2 = {{LLAMA3("")}};
static const PatternFamily smollm = {{SMOLLM}};

/* what llama.cpp does where a model names nothing */
static const PatternFamily fallback = {{"[" P "$+<=>^~|]+", GPT2, "[" N "]+", "[0-9][0-9][0-9]"}};

/* names that share a pattern, with their traits. Source of the names: llama.cpp, src/llama-vocab.cpp */
static const struct
{
	const char *name;
	const PatternFamily *family;
	LlmPretokenizerTraits traits;
}			known[] = {
	{"default", &fallback, {false, false}},
	{"smollm", &smollm, {false, false}},
	{"starcoder", &smollm, {false, false}},
	{"refact", &smollm, {false, false}},
	{"command-r", &smollm, {false, false}},
	{"codeshell", &smollm, {false, false}},
	{"exaone", &smollm, {false, false}},
	{"minerva-7b", &smollm, {false, false}},
	{"mellum2", &smollm, {false, false}},
	{"llama-bpe", &llama3, {true, true}},
	{"llama3", &llama3, {true, true}},
	{"llama-v3", &llama3, {true, true}},
	{"falcon3", &llama3, {true, true}},
	{"falcon-h1", &llama3, {true, true}},
	{"pixtral", &llama3, {true, true}},
	{"midm-2.0", &llama3, {true, true}},
	{"lfm2", &llama3, {true, true}},
	{"jina-v5-nano", &llama3, {true, true}},
	{"dbrx", &llama3, {false, false}},
	{"smaug-bpe", &llama3, {false, false}},
	{"chatglm-bpe", &llama3, {false, false}},
	{"glm4", &llama3, {true, false}},
	{"glm5", &llama3, {true, false}},
	{"gpt-2", &gpt2, {false, false}},
	{"phi-2", &gpt2, {false, false}},
	{"jina-es", &gpt2, {false, false}},
	{"jina-de", &gpt2, {false, false}},
	{"jina-v2-es", &gpt2, {false, false}},
	{"jina-v2-de", &gpt2, {false, false}},
	{"jina-v1-en", &gpt2, {false, false}},
	{"jina-v2-code", &gpt2, {false, false}},
	{"roberta-bpe", &gpt2, {false, false}},
	{"gigachat", &gpt2, {false, false}},
	{"a.x-4.0", &gpt2, {false, false}},
	{"mellum", &gpt2, {false, false}},
	{"modern-bert", &gpt2, {false, false}},
	{"mpt", &gpt2, {false, false}},
	{"olmo", &gpt2, {false, false}},
	{"jais", &gpt2, {false, false}},
	{"trillion", &gpt2, {false, false}},
	{"granite-docling", &gpt2, {false, false}},
	{"exaone4", &gpt2, {false, false}},
	{"qwen2", &qwen2, {false, false}},
	{"stablelm2", &qwen2, {false, false}},
	{"deepseek-r1-qwen", &qwen2, {false, false}},
	{"kormo", &qwen2, {false, false}},
	{"f2llmv2", &qwen2, {false, false}},
	{"megrez", &qwen2, {false, false}},
	{"hunyuan", &qwen2, {false, false}},
	{"solar-open", &qwen2, {false, false}},
	{"grok-2", &qwen2, {false, false}},
};

struct LlmPretokenizer
{
	const LlmAllocator *allocator;
	pcre2_general_context *general;
	pcre2_match_context *limits;
	int			n_stages;
	struct
	{
		pcre2_code *code;
		bool		jit;		/* compiled to machine code; else interpreted, with the same result */
	}			stage[MAX_STAGES];
};

static void *
pcre_malloc(size_t size, void *ctx)
{
	const LlmAllocator *a = ctx;

	return a->alloc(a->ctx, size ? size : 1);
}

static void
pcre_free(void *ptr, void *ctx)
{
	llm_free(ctx, ptr);
}

static LlmStatus
out_of_memory(LlmError *err)
{
	return llm_fail(err, LLM_E_NOMEM, "out of memory for the pre-tokenizer's patterns");
}

static LlmStatus
compile_stage(LlmPretokenizer *p, const char *expression, LlmError *err)
{
	pcre2_compile_context *context = pcre2_compile_context_create(p->general);
	int			code;
	PCRE2_SIZE	offset;
	pcre2_code *compiled;

	if (!context)
		return out_of_memory(err);
	compiled = pcre2_compile((PCRE2_SPTR) expression, PCRE2_ZERO_TERMINATED, 0, &code, &offset, context);
	pcre2_compile_context_free(context);
	if (!compiled)
	{
		PCRE2_UCHAR reason[128];

		if (code == PCRE2_ERROR_HEAP_FAILED || code == PCRE2_ERROR_NOMEMORY)
			return out_of_memory(err);
		pcre2_get_error_message(code, reason, sizeof(reason));
		return llm_fail(err, LLM_E_UNSUPPORTED, "PCRE2 could not compile a pre-tokenizer pattern: %s", (char *) reason);
	}
	p->stage[p->n_stages].code = compiled;
	p->stage[p->n_stages].jit = pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE) == 0;
	p->n_stages++;
	return LLM_OK;
}

static LlmStatus
compile_family(LlmPretokenizer *p, const PatternFamily *family, LlmError *err)
{
	p->general = pcre2_general_context_create(pcre_malloc, pcre_free, (void *) p->allocator);
	if (!p->general)
		return out_of_memory(err);
	p->limits = pcre2_match_context_create(p->general);
	if (!p->limits)
		return out_of_memory(err);
	pcre2_set_match_limit(p->limits, UINT32_MAX);
	pcre2_set_depth_limit(p->limits, UINT32_MAX);
	pcre2_set_heap_limit(p->limits, UINT32_MAX);
	for (int i = 0; family->stages[i]; i++)
		LLM_TRY(compile_stage(p, family->stages[i], err));
	return LLM_OK;
}

LlmStatus
llm_pretokenizer_create(LlmStr name, const LlmAllocator *a, LlmPretokenizer **out, LlmPretokenizerTraits *traits, LlmError *err)
{
	void	   *p;
	LlmStatus	status;
	size_t		k;

	if (name.len == 0)
		name = (LlmStr) {"default", 7};
	for (k = 0; k < sizeof(known) / sizeof(known[0]); k++)
		if (strlen(known[k].name) == name.len && memcmp(known[k].name, name.data, name.len) == 0)
			break;
	if (k == sizeof(known) / sizeof(known[0]))
	{
		llm_fail(err, LLM_E_UNSUPPORTED, "pre-tokenizer \"%.*s\" is not supported", (int) (name.len < 64 ? name.len : 64),
				 name.data);
		llm_error_detail(err, "The model's metadata names it as tokenizer.ggml.pre.");
		return LLM_E_UNSUPPORTED;
	}
	LLM_TRY(llm_alloc_zero(a, 1, sizeof(LlmPretokenizer), &p, err));
	((LlmPretokenizer *) p)->allocator = a;
	status = compile_family(p, known[k].family, err);
	if (status != LLM_OK)
	{
		llm_pretokenizer_free(p);
		return status;
	}
	*traits = known[k].traits;
	*out = p;
	return LLM_OK;
}

void
llm_pretokenizer_free(LlmPretokenizer *p)
{
	if (!p)
		return;
	for (int i = 0; i < p->n_stages; i++)
		pcre2_code_free(p->stage[i].code);
	if (p->limits)
		pcre2_match_context_free(p->limits);
	if (p->general)
		pcre2_general_context_free(p->general);
	llm_free(p->allocator, p);
}

/* one run over a text */
typedef struct Run
{
	const LlmPretokenizer *p;
	const uint8_t *bytes;		/* where the next word begins */
	const uint8_t *classes;		/* one for each character */
	bool		ascii;			/* characters are bytes */
	pcre2_match_data *match;
	LlmWordFn	take;
	void	   *ctx;
} Run;

/*
 * classify: one class for each character of bytes into classes (room for len); *n is their number.
 */
static LlmStatus
classify(const uint8_t *bytes, size_t len, const LlmStop *stop, uint8_t *classes, size_t *n)
{
	size_t		k = 0;
	size_t		i = 0;

	while (i < len)
	{
		size_t		end = len - i > POLL_BYTES ? i + POLL_BYTES : len;

		while (i < end)
		{
			uint32_t	code_point = 0;
			int			step;

			if (bytes[i] < 0x80)
			{
				classes[k++] = bytes[i++];
				continue;
			}
			step = llm_utf8_char(bytes + i, len - i, &code_point);
			classes[k++] = step ? llm_unicode_class(code_point) : LLM_CLASS_INVALID;
			i += step ? (size_t) step : 1;
		}
		if (i < len && llm_should_stop(stop))
			return LLM_PAUSED;
	}
	*n = k;
	return LLM_OK;
}

/* hand over the next word: characters [begin, end) */
static LlmStatus
give_word(Run *run, size_t begin, size_t end, LlmError *err)
{
	const uint8_t *word = run->bytes;
	size_t		len = end - begin;

	if (!run->ascii)
	{
		len = 0;
		for (size_t i = begin; i < end; i++)
			len += run->classes[i] == LLM_CLASS_INVALID ? 1 : (size_t) llm_utf8_lead_length(word[len]);
	}
	run->bytes += len;
	return run->take(run->ctx, (const char *) word, len, err);
}

/* the next match of a stage in subject (len) at or after from; *found false if there is none */
static LlmStatus
find_match(const Run *run, int stage, const uint8_t *subject, size_t len, size_t from, bool *found, LlmError *err)
{
	const pcre2_code *code = run->p->stage[stage].code;
	int			rc = PCRE2_ERROR_JIT_STACKLIMIT;

	if (run->p->stage[stage].jit)
		rc = pcre2_jit_match(code, subject, len, from, 0, run->match, run->p->limits);
	if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
		rc = pcre2_match(code, subject, len, from, PCRE2_NO_JIT, run->match, run->p->limits);
	if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
	{
		PCRE2_UCHAR reason[128];

		if (rc == PCRE2_ERROR_NOMEMORY)
			return out_of_memory(err);
		pcre2_get_error_message(rc, reason, sizeof(reason));
		llm_fail(err, LLM_E_LIMIT, "a pre-tokenizer pattern could not be matched: %s", (char *) reason);
		llm_error_detail(err, "It was matched at character %zu of a text of %zu.", from, len);
		return LLM_E_LIMIT;
	}
	*found = rc >= 0;
	return LLM_OK;
}

/* cut characters [begin, end) by this stage and the ones after it */
static LlmStatus
cut(Run *run, int stage, size_t begin, size_t end, LlmError *err)
{
	const uint8_t *subject = run->classes + begin;
	size_t		len = end - begin;
	size_t		pos = 0;

	if (stage == run->p->n_stages)
		return give_word(run, begin, end, err);
	while (pos < len)
	{
		size_t		match_begin = len;
		size_t		match_end = len;
		bool		found = false;

		LLM_TRY(find_match(run, stage, subject, len, pos, &found, err));
		if (found)
		{
			const PCRE2_SIZE *span = pcre2_get_ovector_pointer(run->match);

			match_begin = span[0];
			match_end = span[1];
		}
		if (match_begin > pos)
			LLM_TRY(cut(run, stage + 1, begin + pos, begin + match_begin, err));
		if (match_end > match_begin)
			LLM_TRY(cut(run, stage + 1, begin + match_begin, begin + match_end, err));
		pos = match_end;
	}
	return LLM_OK;
}

LlmStatus
llm_pretokenize(const LlmPretokenizer *p, const char *bytes, size_t len, const LlmStop *stop, LlmWordFn take, void *ctx,
				LlmError *err)
{
	uint8_t		small[STACK_CLASSES];
	void	   *large = NULL;
	uint8_t    *classes = small;
	Run			run = {.p = p, .bytes = (const uint8_t *) bytes, .take = take, .ctx = ctx};
	size_t		n = 0;
	LlmStatus	status;

	if (len > sizeof(small))
	{
		LLM_TRY(llm_alloc(p->allocator, len, 1, &large, err));
		classes = large;
	}
	status = classify(run.bytes, len, stop, classes, &n);
	if (status == LLM_OK)
	{
		run.classes = classes;
		run.ascii = n == len;
		run.match = pcre2_match_data_create(1, p->general);
		status = run.match ? cut(&run, 0, 0, n, err) : out_of_memory(err);
	}
	if (run.match)
		pcre2_match_data_free(run.match);
	llm_free(p->allocator, large);
	return status;
}
