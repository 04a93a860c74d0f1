/*
 * class_regex.c: expressions over character classes: their bytes, and PCRE2 that runs them.
 */
#include "text/class_regex_impl.h"
#include "text/pcre_memory.h"
#include "text/utf8.h"

#define MIN_MATCH_STEPS 10000000
#define MAX_HEAP_KB 65536

struct LlmRegexMatch
{
	const LlmAllocator *allocator;
	pcre2_general_context *general;
	pcre2_match_data *data;
	pcre2_match_context *limits;
};

/* give bytes to the characters of an interval, which are in these groups */
static LlmStatus
mark_interval(LlmRegexParser *p, uint32_t first, uint32_t end, uint64_t groups, LlmError *err)
{
	LlmRegex   *r = p->r;
	int			k = 0;

	while (k < r->n_marks && r->marks[k].groups != groups)
		k++;
	if (k == LLM_REGEX_MAX_GROUPS)
		return llm_regex_bad_pattern(p, LLM_E_LIMIT, "names too many sets of characters", err);
	if (k == r->n_marks)
		r->marks[r->n_marks++].groups = groups;
	for (uint32_t c = first; c < end; c++)
	{
		uint8_t		class = llm_unicode_class(c);
		uint8_t    *byte = &r->marks[k].byte[class - 0x80];

		if (*byte)
			continue;
		if (LLM_CLASS_MARK + r->n_bytes > 255)
			return llm_regex_bad_pattern(p, LLM_E_LIMIT, "names too many sets of characters", err);
		*byte = (uint8_t) (LLM_CLASS_MARK + r->n_bytes++);
		r->category[*byte] = class;
		r->byte_groups[*byte] = groups;
	}
	r->intervals[r->n_intervals++] = (LlmRegexInterval) {{first, end - 1}, k};
	return LLM_OK;
}

/* intervals between all borders of the n ranges */
static LlmStatus
make_intervals(LlmRegexParser *p, const LlmRegexRange *ranges, size_t n, LlmError *err)
{
	void	   *memory;
	uint32_t	begin = 0x80;

	if (n > 4096)
		return llm_regex_bad_pattern(p, LLM_E_LIMIT, "names too many ranges of characters", err);
	LLM_TRY(llm_alloc(p->r->allocator, 2 * n + 1, sizeof(LlmRegexInterval), &memory, err));
	p->r->intervals = memory;
	while (begin <= 0x10FFFF)
	{
		uint32_t	end = 0x110000;
		uint64_t	groups = 0;

		for (size_t i = 0; i < n; i++)
		{
			const LlmCharRange *chars = &ranges[i].chars;

			if (chars->first <= begin && begin <= chars->last)
				groups |= UINT64_C(1) << ranges[i].group;
			if (chars->first > begin && chars->first < end)
				end = chars->first;
			if (chars->last >= begin && chars->last < end)
				end = chars->last + 1;
		}
		if (groups)
			LLM_TRY(mark_interval(p, begin, end, groups, err));
		begin = end;
	}
	return LLM_OK;
}

static LlmStatus
out_of_memory(LlmError *err)
{
	return llm_fail(err, LLM_E_NOMEM, "out of memory for the tokenizer's regular expressions");
}

static LlmStatus
compile(LlmRegexParser *p, LlmError *err)
{
	LlmRegex   *r = p->r;
	pcre2_compile_context *context;
	int			code;
	PCRE2_SIZE	offset;

	r->general = llm_pcre_context(r->allocator);
	if (!r->general)
		return out_of_memory(err);
	context = pcre2_compile_context_create(r->general);
	if (!context)
		return out_of_memory(err);
	pcre2_set_newline(context, PCRE2_NEWLINE_LF);
	r->code = pcre2_compile((PCRE2_SPTR) p->out.data, p->out.len, PCRE2_DOLLAR_ENDONLY, &code, &offset, context);
	pcre2_compile_context_free(context);
	if (!r->code)
	{
		PCRE2_UCHAR reason[128];

		if (code == PCRE2_ERROR_HEAP_FAILED || code == PCRE2_ERROR_NOMEMORY)
			return out_of_memory(err);
		pcre2_get_error_message(code, reason, sizeof(reason));
		return llm_regex_bad_pattern(p, LLM_E_UNSUPPORTED, (char *) reason, err);
	}
	r->jit = pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE) == 0;
	return LLM_OK;
}

static LlmStatus
compile_pattern(LlmRegexParser *p, LlmError *err)
{
	if (p->pattern.len > LLM_REGEX_MAX_BYTES)
		return llm_fail(err, LLM_E_LIMIT, "a regular expression of the tokenizer has %zu bytes, at most %d are allowed",
						p->pattern.len, LLM_REGEX_MAX_BYTES);
	for (int b = 0; b < 256; b++)
		p->r->category[b] = b < 0x80 ? llm_class_of_ascii((uint8_t) b) : b <= LLM_CLASS_INVALID ? (uint8_t) b : LLM_CLASS_INVALID;
	LLM_TRY(llm_regex_read_pattern(p, true, err));
	LLM_TRY(make_intervals(p, (const LlmRegexRange *) p->ranges.data, p->ranges.len / sizeof(LlmRegexRange), err));
	LLM_TRY(llm_regex_read_pattern(p, false, err));
	return compile(p, err);
}

LlmStatus
llm_regex_compile(LlmStr pattern, const LlmAllocator *a, LlmRegex **out, LlmError *err)
{
	void	   *memory;
	LlmRegexParser		p = {.pattern = pattern};
	LlmStatus	status;

	LLM_TRY(llm_alloc_zero(a, 1, sizeof(LlmRegex), &memory, err));
	p.r = memory;
	p.r->allocator = a;
	llm_buf_init(&p.ranges, a);
	llm_buf_init(&p.out, a);
	status = compile_pattern(&p, err);
	llm_buf_free(&p.ranges);
	llm_buf_free(&p.out);
	if (status != LLM_OK)
	{
		llm_regex_free(p.r);
		return status;
	}
	*out = p.r;
	return LLM_OK;
}

void
llm_regex_free(LlmRegex *r)
{
	if (!r)
		return;
	if (r->code)
		pcre2_code_free(r->code);
	if (r->general)
		pcre2_general_context_free(r->general);
	llm_free(r->allocator, r->intervals);
	llm_free(r->allocator, r);
}

LlmStatus
llm_regex_match_create(const LlmAllocator *a, LlmRegexMatch **out, LlmError *err)
{
	void	   *memory;
	LlmRegexMatch *m;

	LLM_TRY(llm_alloc_zero(a, 1, sizeof(LlmRegexMatch), &memory, err));
	m = memory;
	m->allocator = a;
	m->general = llm_pcre_context(a);
	if (m->general)
		m->data = pcre2_match_data_create(1, m->general);
	if (m->data)
		m->limits = pcre2_match_context_create(m->general);
	if (!m->limits)
	{
		llm_regex_match_free(m);
		return out_of_memory(err);
	}
	pcre2_set_heap_limit(m->limits, MAX_HEAP_KB);
	*out = m;
	return LLM_OK;
}

void
llm_regex_match_free(LlmRegexMatch *m)
{
	if (!m)
		return;
	if (m->limits)
		pcre2_match_context_free(m->limits);
	if (m->data)
		pcre2_match_data_free(m->data);
	if (m->general)
		pcre2_general_context_free(m->general);
	llm_free(m->allocator, m);
}

/* the byte of a character above ASCII */
static uint8_t
class_of(const LlmRegex *r, uint32_t c)
{
	size_t		low = 0;		/* the first interval that does not end before c */
	size_t		high = r->n_intervals;

	while (low < high)
	{
		size_t		middle = low + (high - low) / 2;

		if (r->intervals[middle].chars.last < c)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < r->n_intervals && r->intervals[low].chars.first <= c)
		return r->marks[r->intervals[low].marks].byte[llm_unicode_class(c) - 0x80];
	return llm_unicode_class(c);
}

size_t
llm_regex_classify(const LlmRegex *r, const uint8_t *s, size_t len, uint8_t *classes)
{
	size_t		n = 0;

	for (size_t i = 0; i < len;)
	{
		uint32_t	c = 0;
		int			step;

		if (s[i] < 0x80)
		{
			classes[n++] = s[i++];
			continue;
		}
		step = llm_utf8_char(s + i, len - i, &c);
		classes[n++] = step ? class_of(r, c) : LLM_CLASS_INVALID;
		i += step ? (size_t) step : 1;
	}
	return n;
}

LlmStatus
llm_regex_find(const LlmRegex *r, LlmRegexMatch *m, const uint8_t *classes, size_t n, size_t from, bool *found, size_t *begin,
			   size_t *end, LlmError *err)
{
	uint64_t	steps = MIN_MATCH_STEPS + 64 * (uint64_t) n;
	int			rc = PCRE2_ERROR_JIT_STACKLIMIT;

	pcre2_set_match_limit(m->limits, steps < UINT32_MAX ? (uint32_t) steps : UINT32_MAX);
	if (r->jit)
		rc = pcre2_jit_match(r->code, classes, n, from, 0, m->data, m->limits);
	if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
		rc = pcre2_match(r->code, classes, n, from, PCRE2_NO_JIT, m->data, m->limits);
	*found = rc >= 0;
	if (rc >= 0)
	{
		*begin = pcre2_get_ovector_pointer(m->data)[0];
		*end = pcre2_get_ovector_pointer(m->data)[1];
		return LLM_OK;
	}
	if (rc == PCRE2_ERROR_NOMATCH)
		return LLM_OK;
	if (rc == PCRE2_ERROR_NOMEMORY)
		return out_of_memory(err);
	llm_fail(err, LLM_E_LIMIT, "a regular expression of the tokenizer takes too many steps");
	llm_error_detail(err, "It was matched at character %zu of a text of %zu.", from, n);
	llm_error_hint(err, "Split the text into shorter ones.");
	return LLM_E_LIMIT;
}
