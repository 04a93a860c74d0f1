/*
 * pretokenize.c: the run of pre-tokenizer patterns (pretokenizer_names.c) over a text by PCRE2.
 *
 * A pattern is a list of stages. A stage's expression is searched for in each part that the stage before left; matches and
 * what lies between them are the parts for the next. It is matched not against the text but against one byte per character
 * (unicode_class.h says why); stages that mark characters of their own have bytes of their own. A part is a text of its
 * own: a look-ahead at its end sees the end.
 *
 * Every expression takes time linear in the text, so PCRE2's limits on backtracking are lifted.
 */
#include "text/pcre_memory.h"
#include "text/pretokenize.h"
#include "text/unicode_class.h"
#include "text/utf8.h"

#include <string.h>

#define STACK_CLASSES 2048		/* characters of a text that need no allocation */
#define POLL_BYTES ((size_t) 64 * 1024)

struct LlmPretokenizer
{
	const LlmAllocator *allocator;
	pcre2_general_context *general;
	pcre2_match_context *limits;
	int			n_stages;
	const LlmPatternStage *family;
	struct
	{
		pcre2_code *code;
		bool		jit;		/* compiled to machine code; else interpreted, with the same result */
	}			stage[LLM_MAX_STAGES];
};

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
compile_family(LlmPretokenizer *p, const LlmPatternStage *family, LlmError *err)
{
	p->general = llm_pcre_context(p->allocator);
	if (!p->general)
		return out_of_memory(err);
	p->limits = pcre2_match_context_create(p->general);
	if (!p->limits)
		return out_of_memory(err);
	pcre2_set_match_limit(p->limits, UINT32_MAX);
	pcre2_set_depth_limit(p->limits, UINT32_MAX);
	pcre2_set_heap_limit(p->limits, UINT32_MAX);
	p->family = family;
	for (int i = 0; family[i].expression; i++)
		LLM_TRY(compile_stage(p, family[i].expression, err));
	return LLM_OK;
}

LlmStatus
llm_pretokenizer_create(LlmStr name, const LlmAllocator *a, LlmPretokenizer **out, LlmPretokenizerTraits *traits, LlmError *err)
{
	const LlmPretokenizerName *known;
	void	   *p;
	LlmStatus	status;

	if (name.len == 0)
		name = (LlmStr) {"default", 7};
	known = llm_pretokenizer_find(name);
	if (!known)
	{
		llm_fail(err, LLM_E_UNSUPPORTED, "pre-tokenizer \"%.*s\" is not supported", (int) (name.len < 64 ? name.len : 64),
				 name.data);
		llm_error_detail(err, "The model's metadata names it as tokenizer.ggml.pre.");
		return LLM_E_UNSUPPORTED;
	}
	LLM_TRY(llm_alloc_zero(a, 1, sizeof(LlmPretokenizer), &p, err));
	((LlmPretokenizer *) p)->allocator = a;
	status = compile_family(p, known->stages, err);
	if (status != LLM_OK)
	{
		llm_pretokenizer_free(p);
		return status;
	}
	*traits = known->traits;
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
	const uint8_t *classes[LLM_MAX_STAGES];	/* one byte for each character, as each stage sees it */
	bool		ascii;			/* characters are bytes */
	pcre2_match_data *match;
	LlmWordFn	take;
	void	   *ctx;
} Run;

static uint8_t
class_of(uint32_t code_point, const LlmMarkedRange *marks)
{
	for (; marks && marks->last; marks++)
		if (code_point >= marks->first && code_point <= marks->last)
			return marks->mark;
	return llm_unicode_class(code_point);
}

/*
 * classify: one class for each character of bytes into classes (room for len); *n is their number.
 */
static LlmStatus
classify(const uint8_t *bytes, size_t len, const LlmMarkedRange *marks, const LlmStop *stop, uint8_t *classes, size_t *n)
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
			classes[k++] = step ? class_of(code_point, marks) : LLM_CLASS_INVALID;
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
			len += run->classes[0][i] == LLM_CLASS_INVALID ? 1 : (size_t) llm_utf8_lead_length(word[len]);
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

static LlmStatus cut(Run *run, int stage, size_t begin, size_t end, LlmError *err);

/* how many digits begin classes (n): ASCII, and the classes from Nd to last */
static size_t
count_digits(const uint8_t *classes, size_t n, uint8_t last)
{
	size_t		k = 0;

	while (k < n && ((classes[k] >= '0' && classes[k] <= '9') || (classes[k] >= LLM_CLASS_ND && classes[k] <= last)))
		k++;
	return k;
}

/* a match [begin, end) of a stage with digits: the next stages get it in parts, cut before every three of them */
static LlmStatus
cut_before_digits(Run *run, int stage, size_t begin, size_t end, LlmError *err)
{
	const uint8_t *classes = run->classes[stage];
	size_t		part = begin;

	for (size_t i = begin; i < end;)
	{
		size_t		n = count_digits(classes + i, end - i, run->p->family[stage].digits);

		for (size_t k = n % 3; k < n; k += 3)
		{
			if (i + k > part)
				LLM_TRY(cut(run, stage + 1, part, i + k, err));
			part = i + k;
		}
		i += n ? n : 1;
	}
	return cut(run, stage + 1, part, end, err);
}

/* cut characters [begin, end) by this stage and the ones after it */
static LlmStatus
cut(Run *run, int stage, size_t begin, size_t end, LlmError *err)
{
	const uint8_t *subject = stage < run->p->n_stages ? run->classes[stage] + begin : NULL;
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
		if (match_end > match_begin && run->p->family[stage].digits)
			LLM_TRY(cut_before_digits(run, stage, begin + match_begin, begin + match_end, err));
		else if (match_end > match_begin)
			LLM_TRY(cut(run, stage + 1, begin + match_begin, begin + match_end, err));
		pos = match_end;
	}
	return LLM_OK;
}

/*
 * The classes of all stages: memory has room for len bytes for stage 0, and as many for each stage with marks. *n: number of
 * characters.
 */
static LlmStatus
classify_for_stages(Run *run, size_t len, uint8_t *memory, const LlmStop *stop, size_t *n)
{
	uint8_t    *next = memory + len;

	LLM_TRY(classify(run->bytes, len, NULL, stop, memory, n));
	for (int stage = 0; stage < run->p->n_stages; stage++)
	{
		const LlmMarkedRange *marks = run->p->family[stage].marks;

		/* ASCII has no marks */
		run->classes[stage] = marks && *n < len ? next : memory;
		if (run->classes[stage] == memory)
			continue;
		LLM_TRY(classify(run->bytes, len, marks, stop, next, n));
		next += len;
	}
	return LLM_OK;
}

LlmStatus
llm_pretokenize(const LlmPretokenizer *p, const char *bytes, size_t len, const LlmStop *stop, LlmWordFn take, void *ctx,
				LlmError *err)
{
	uint8_t		small[STACK_CLASSES];
	void	   *large = NULL;
	Run			run = {.p = p, .bytes = (const uint8_t *) bytes, .take = take, .ctx = ctx};
	size_t		n_copies = 1;
	size_t		n = 0;
	LlmStatus	status;

	for (int stage = 0; stage < p->n_stages; stage++)
		n_copies += p->family[stage].marks != NULL;
	if (len > sizeof(small) / n_copies)
		LLM_TRY(llm_alloc(p->allocator, len, n_copies, &large, err));
	status = classify_for_stages(&run, len, large ? large : small, stop, &n);
	if (status == LLM_OK)
	{
		run.ascii = n == len;
		run.match = pcre2_match_data_create(1, p->general);
		status = run.match ? cut(&run, 0, 0, n, err) : out_of_memory(err);
	}
	if (run.match)
		pcre2_match_data_free(run.match);
	llm_free(p->allocator, large);
	return status;
}
