/*
 * hf_decode.c: from tokens to text by the decoder's steps. Each step makes a list of strings from a list of strings; the text
 * is the last list in one. A token by itself (of a stream) is a list of one, of which the strings before are known to exist.
 *
 * The lists of one token are short, and each generated token makes them: they come from a piece of the stack, and from the
 * tokenizer's allocator only beyond it.
 */
#include "text/hf.h"

#include <string.h>
#include <utf8proc.h>

#define REPLACEMENT "\xEF\xBF\xBD"

typedef struct List
{
	LlmBuf		bytes;
	LlmBuf		ends;			/* size_t each */
} List;

#define SCRATCH_BYTES 4096

typedef struct Scratch
{
	LlmAllocator allocator;
	const LlmAllocator *beyond;
	size_t		used;
	_Alignas(16) char bytes[SCRATCH_BYTES];
} Scratch;

typedef struct Decoding
{
	Scratch		scratch;
	LlmHfRun	run;			/* for expressions */
	LlmEncoder	e;
	List		list[2];
	bool		first;			/* the list begins with the first token of the text */
	bool		stream;			/* one token: bytes stay as they are */
} Decoding;

static void *
scratch_alloc(void *ctx, size_t size)
{
	Scratch    *s = ctx;
	char	   *at = s->bytes + s->used;

	if (size > SCRATCH_BYTES - s->used)
		return s->beyond->alloc(s->beyond->ctx, size);
	s->used += size > SCRATCH_BYTES - s->used - 15 ? SCRATCH_BYTES - s->used : (size + 15) / 16 * 16;
	return at;
}

/* what lies in the scratch goes with it */
static void
scratch_free(void *ctx, void *ptr)
{
	Scratch    *s = ctx;
	uintptr_t	off = (uintptr_t) ptr - (uintptr_t) s->bytes;

	if (off >= SCRATCH_BYTES)
		s->beyond->free(s->beyond->ctx, ptr);
}

static size_t
list_length(const List *l)
{
	return l->ends.len / sizeof(size_t);
}

static LlmStr
item(const List *l, size_t i)
{
	const size_t *ends = (const size_t *) l->ends.data;
	size_t		begin = i ? ends[i - 1] : 0;

	return (LlmStr) {l->bytes.data ? l->bytes.data + begin : "", ends[i] - begin};
}

static LlmStatus
put(List *l, const char *s, size_t len, LlmError *err)
{
	return llm_buf_append(&l->bytes, s, len, err);
}

static LlmStatus
end_item(List *l, LlmError *err)
{
	return llm_buf_append(&l->ends, &l->bytes.len, sizeof(size_t), err);
}

static LlmStatus
put_item(List *l, LlmStr s, LlmError *err)
{
	LLM_TRY(put(l, s.data, s.len, err));
	return end_item(l, err);
}

/* tokens in GPT-2's alphabet as bytes; ill-formed parts of the whole become U+FFFD */
static LlmStatus
byte_level(Decoding *d, const List *in, List *out, LlmError *err)
{
	LlmBuf		raw;
	LlmStatus	status = LLM_OK;

	llm_buf_init(&raw, &d->scratch.allocator);
	for (size_t i = 0; i < list_length(in) && status == LLM_OK; i++)
	{
		LlmStr		s = item(in, i);
		size_t		len = raw.len;

		status = llm_buf_reserve(&raw, s.len, err);
		if (status != LLM_OK)
			break;
		if (llm_bpe_decode(d->run.hf->byte_of, s, raw.data, &len))
			raw.len = len;
		else
			status = llm_buf_append(&raw, s.data, s.len, err);
	}
	if (status == LLM_OK && d->stream)
		status = put(out, raw.data ? raw.data : "", raw.len, err);
	else if (status == LLM_OK)
		for (size_t i = 0, n; i < raw.len && status == LLM_OK; i += n)
		{
			uint32_t	c;

			n = llm_hf_char(raw.data + i, raw.len - i, &c);
			if (c != LLM_HF_BAD_CHAR)
			{
				status = put(out, raw.data + i, n, err);
				continue;
			}
			/* the longest beginning of a character counts as one */
			for (size_t k = 2; k <= 3 && i + k <= raw.len; k++)
				if (llm_utf8_complete_prefix(raw.data + i, k) == 0)
					n = k;
			status = put(out, REPLACEMENT, 3, err);
		}
	llm_buf_free(&raw);
	return status == LLM_OK ? end_item(out, err) : status;
}

static bool
is_well_formed(const char *s, size_t len)
{
	uint32_t	c = 0;

	for (size_t i = 0; i < len && c != LLM_HF_BAD_CHAR;)
		i += llm_hf_char(s + i, len - i, &c);
	return c != LLM_HF_BAD_CHAR;
}

/* end a run of byte tokens, which begins at this place of out: its text, or U+FFFD for each byte */
static LlmStatus
end_bytes(const Decoding *d, List *out, size_t begin, LlmError *err)
{
	size_t		n = out->bytes.len - begin;

	if (n == 0)
		return LLM_OK;
	if (d->stream || is_well_formed(out->bytes.data + begin, n))
		return end_item(out, err);
	out->bytes.len = begin;
	for (size_t i = 0; i < n; i++)
		LLM_TRY(put_item(out, (LlmStr) {REPLACEMENT, 3}, err));
	return LLM_OK;
}

static LlmStatus
byte_fallback(Decoding *d, const List *in, List *out, LlmError *err)
{
	size_t		begin = 0;

	for (size_t i = 0; i < list_length(in); i++)
	{
		LlmStr		s = item(in, i);
		int			value = llm_byte_token_value(s);
		char		byte = (char) value;

		if (value >= 0)
		{
			LLM_TRY(put(out, &byte, 1, err));
			continue;
		}
		LLM_TRY(end_bytes(d, out, begin, err));
		LLM_TRY(put_item(out, s, err));
		begin = out->bytes.len;
	}
	return end_bytes(d, out, begin, err);
}

static LlmStatus
metaspace(const Decoding *d, const LlmHfStep *step, const List *in, List *out, LlmError *err)
{
	for (size_t i = 0; i < list_length(in); i++)
	{
		LlmStr		s = item(in, i);
		bool		drop = d->first && i == 0 && step->prepend != LLM_HF_PREPEND_NEVER;

		while (s.len > 0)
		{
			bool		mark = s.len >= step->text.len && memcmp(s.data, step->text.data, step->text.len) == 0;
			size_t		n = mark ? step->text.len : 1;

			if (!mark)
				LLM_TRY(put(out, s.data, 1, err));
			else if (!drop)
				LLM_TRY(put(out, " ", 1, err));
			s.data += n;
			s.len -= n;
		}
		LLM_TRY(end_item(out, err));
	}
	return LLM_OK;
}

/* replacements in the item that begins at this place of out, as Python's str.replace */
static LlmStatus
replace_in_item(List *out, size_t begin, const char *old, const char *new, LlmError *err)
{
	size_t		n_old = strlen(old);
	size_t		n_new = strlen(new);
	size_t		from = begin;
	size_t		to = begin;
	char	   *s = out->bytes.data;

	(void) err;
	while (from < out->bytes.len)
	{
		if (out->bytes.len - from >= n_old && memcmp(s + from, old, n_old) == 0)
		{
			memcpy(s + to, new, n_new);	/* never longer than old */
			from += n_old;
			to += n_new;
		}
		else
			s[to++] = s[from++];
	}
	out->bytes.len = to;
	return LLM_OK;
}

static LlmStatus
wordpiece(const Decoding *d, const LlmHfStep *step, const List *in, List *out, LlmError *err)
{
	static const char *const cleanup[][2] = {
		{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"}, {" 'm", "'m"}, {" do not", " don't"},
		{" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}
	};

	for (size_t i = 0; i < list_length(in); i++)
	{
		LlmStr		s = item(in, i);
		size_t		begin = out->bytes.len;

		if (i > 0 || !d->first)
		{
			if (s.len >= step->text.len && memcmp(s.data, step->text.data, step->text.len) == 0)
				s = (LlmStr) {s.data + step->text.len, s.len - step->text.len};
			else
				LLM_TRY(put(out, " ", 1, err));
		}
		LLM_TRY(put(out, s.data, s.len, err));
		for (int k = 0; step->left && k < 11; k++)
			LLM_TRY(replace_in_item(out, begin, cleanup[k][0], cleanup[k][1], err));
		LLM_TRY(end_item(out, err));
	}
	return LLM_OK;
}

/* the suffix of tokens that end a word becomes a space, but for the last token of the text */
static LlmStatus
end_words(const Decoding *d, const LlmHfStep *step, const List *in, List *out, LlmError *err)
{
	size_t		n = list_length(in);

	for (size_t i = 0; i < n; i++)
	{
		LlmStr		s = item(in, i);
		const char *at;

		while ((at = memmem(s.data, s.len, step->text.data, step->text.len)) != NULL)
		{
			size_t		used = (size_t) (at - s.data);

			LLM_TRY(put(out, s.data, used, err));
			LLM_TRY(put(out, " ", d->stream || i + 1 < n ? 1 : 0, err));
			used += step->text.len;
			s = (LlmStr) {s.data + used, s.len - used};
		}
		LLM_TRY(put_item(out, s, err));
	}
	return LLM_OK;
}

/* up to start characters at the beginning of each string, and stop at its end, if they are the one named */
static LlmStatus
strip(const Decoding *d, const LlmHfStep *step, const List *in, List *out, LlmError *err)
{
	for (size_t i = 0; i < list_length(in); i++)
	{
		LlmStr		s = item(in, i);
		size_t		n = step->text.len;

		for (size_t k = 0; (d->first || !d->stream) && k < step->start && n && s.len >= n && memcmp(s.data, step->text.data, n) == 0; k++)
			s = (LlmStr) {s.data + n, s.len - n};
		for (size_t k = 0; !d->stream && k < step->stop && n && s.len >= n && memcmp(s.data + s.len - n, step->text.data, n) == 0; k++)
			s.len -= n;
		LLM_TRY(put_item(out, s, err));
	}
	return LLM_OK;
}

/* each string by the normalizer's step of the same name */
static LlmStatus
replace(Decoding *d, const LlmHfStep *step, const List *in, List *out, LlmError *err)
{
	if (step->regex && !d->run.match)
		LLM_TRY(llm_regex_match_create(d->e.t->allocator, &d->run.match, err));
	for (size_t i = 0; i < list_length(in); i++)
	{
		LlmStr		s = item(in, i);
		const LlmHfText *text;

		LLM_TRY(llm_hf_run_steps(&d->run, step, 1, (LlmText) {s.data, NULL, s.len}, true, false, &text, err));
		LLM_TRY(put_item(out, (LlmStr) {text->bytes.data ? text->bytes.data : "", text->bytes.len}, err));
	}
	return LLM_OK;
}

static LlmStatus
run_step(Decoding *d, const LlmHfStep *step, const List *in, List *out, LlmError *err)
{
	switch (step->kind)
	{
		case LLM_HF_BYTE_LEVEL:
			return byte_level(d, in, out, err);
		case LLM_HF_BYTE_FALLBACK:
			return byte_fallback(d, in, out, err);
		case LLM_HF_METASPACE:
			return metaspace(d, step, in, out, err);
		case LLM_HF_WORDPIECE_DECODER:
			return wordpiece(d, step, in, out, err);
		case LLM_HF_STRIP_DECODER:
			return strip(d, step, in, out, err);
		case LLM_HF_BPE_DECODER:
			return end_words(d, step, in, out, err);
		case LLM_HF_REPLACE:
			return replace(d, step, in, out, err);
		default:
			return put_item(out, (LlmStr) {in->bytes.data ? in->bytes.data : "", in->bytes.len}, err);	/* Fuse */
	}
}

/* the text of a token for the decoder, or *skip */
static LlmStr
decoder_text(const LlmTokenizer *t, int32_t id, bool with_special, bool *skip)
{
	const LlmHf *hf = t->hf;
	int32_t		k = hf->added_of[id];

	/* a special token that the normalizer changes is none to the library here */
	*skip = llm_hf_token_text(t, id).len == 0 ||
		(!with_special && t->info[id].hidden && hf->added[k].pattern.len == hf->added[k].content.len &&
		 memcmp(hf->added[k].pattern.data, hf->added[k].content.data, hf->added[k].content.len) == 0);
	return k >= 0 ? hf->added[k].pattern : llm_vocab_bytes(&t->vocab, id);
}

static LlmStatus
decode(Decoding *d, const int32_t *ids, size_t n, bool with_special, LlmBuf *out, LlmError *err)
{
	const LlmTokenizer *t = d->e.t;
	List	   *in = &d->list[0];
	List	   *next = &d->list[1];

	for (size_t i = 0; i < n; i++)
	{
		LlmStr		text;
		bool		skip;

		if (ids[i] < 0 || ids[i] >= t->n_vocab)
			return llm_fail(err, LLM_E_ARGUMENT, "token id %d is out of range: the vocabulary has %d tokens", (int) ids[i], (int) t->n_vocab);
		text = decoder_text(t, ids[i], with_special, &skip);
		if (!skip)
			LLM_TRY(put_item(in, text, err));
	}
	if (!t->hf->has_decoder)
	{
		for (size_t i = 0; i < list_length(in); i++)
		{
			if (i > 0 || !d->first)
				LLM_TRY(llm_buf_append(out, " ", 1, err));
			LLM_TRY(llm_buf_append(out, item(in, i).data, item(in, i).len, err));
		}
		return LLM_OK;
	}
	if (list_length(in) == 0)
		return LLM_OK;
	for (int k = 0; k < t->hf->decoder.n; k++)
	{
		List	   *swap = in;

		next->bytes.len = 0;
		next->ends.len = 0;
		LLM_TRY(run_step(d, &t->hf->decoder.step[k], in, next, err));
		in = next;
		next = swap;
	}
	return llm_buf_append(out, in->bytes.data ? in->bytes.data : "", in->bytes.len, err);
}

static LlmStatus
run_decoding(const LlmTokenizer *t, const int32_t *ids, size_t n, bool first, bool stream, bool with_special, LlmBuf *out, LlmError *err)
{
	Decoding	d;
	size_t		len_before = out->len;
	LlmStatus	status;

	d.scratch.allocator = (LlmAllocator) {scratch_alloc, scratch_free, &d.scratch};
	d.scratch.beyond = t->allocator;
	d.scratch.used = 0;
	d.e = (LlmEncoder) {.t = t};
	d.first = first;
	d.stream = stream;
	llm_hf_run_init(&d.run, &d.e, &d.scratch.allocator, false);
	for (int k = 0; k < 2; k++)
	{
		llm_buf_init(&d.list[k].bytes, &d.scratch.allocator);
		llm_buf_init(&d.list[k].ends, &d.scratch.allocator);
	}
	status = decode(&d, ids, n, with_special, out, err);
	for (int k = 0; k < 2; k++)
	{
		llm_buf_free(&d.list[k].bytes);
		llm_buf_free(&d.list[k].ends);
	}
	llm_hf_run_free(&d.run);
	if (status != LLM_OK)
		out->len = len_before;
	return status;
}

LlmStatus
llm_hf_decode_one(const LlmTokenizer *t, int32_t id, bool first, bool with_special, LlmBuf *out, LlmError *err)
{
	return run_decoding(t, &id, 1, first, true, with_special, out, err);
}

LlmStatus
llm_hf_decode(const LlmTokenizer *t, const int32_t *ids, size_t n, bool with_special, LlmBuf *out, LlmError *err)
{
	return run_decoding(t, ids, n, true, false, with_special, out, err);
}
