/*
 * tokenizer_fuzz.c: any vocabulary and any text. The input is a byte of flags, then strings that end with a NUL: the
 * tokens, an empty one, for BPE the merges, an empty one, for unigram a byte and so many bytes of the character map, and
 * the text. What a tokenizer makes must lie in its vocabulary,
 * must not depend on pauses, and data must not make control tokens. BPE with a token for every byte must give the text
 * back.
 */
#include "gguf_writer.h"

#include "text/tokenizer.h"
#include "weights/gguf.h"

#define MAX_STRINGS 300

enum
{
	KIND_LOW = 1, HAS_ALL_BYTES = 2, ADD_SPECIAL = 4, PARSE_SPECIAL = 8, FROM_DATA = 16, SPACE_PREFIX = 32, ODD_TYPES = 64,
	KIND_HIGH = 128
};

typedef enum Kind
{
	BPE, SPM, WORDPIECE, UNIGRAM
} Kind;

static const char *const kind_names[] = {"gpt2", "llama", "bert", "t5"};

static Kind
kind_of(int flags)
{
	return (Kind) ((flags & KIND_LOW ? 1 : 0) + (flags & KIND_HIGH ? 2 : 0));
}

static const char *const pre_names[] = {"default", "smollm", "llama-bpe", "gpt-2", "qwen2"};

typedef struct Input
{
	const char *data;
	size_t		len;
} Input;

/* strings up to an empty one; strings must end before the input does */
static uint64_t
read_strings(Input *in, const char *strings[MAX_STRINGS])
{
	uint64_t	n = 0;

	while (n < MAX_STRINGS)
	{
		const char *end = memchr(in->data, 0, in->len);
		const char *s = in->data;

		if (!end)
			break;
		in->len -= (size_t) (end - in->data) + 1;
		in->data = end + 1;
		if (end == s)
			break;
		strings[n++] = s;
	}
	return n;
}

/*
 * The map's bytes as they are, or, so that most get past the first checks, with a length before them that says that three
 * quarters are units, and a NUL at the end.
 */
static void
write_char_map(GgufWriter *w, Input *in, bool raw)
{
	size_t		n = in->len > 0 ? (uint8_t) in->data[0] : 0;
	uint32_t	units_bytes;

	if (n == 0 || n > in->len - 1)
		return;
	units_bytes = (uint32_t) (n * 3 / 4) & ~3u;
	gw_array(w, "tokenizer.ggml.precompiled_charsmap", LLM_META_UINT8, raw ? n : n + 5);
	if (!raw)
		gw_put(&w->keys, &units_bytes, 4);
	gw_put(&w->keys, in->data + 1, n);
	if (!raw)
		gw_put(&w->keys, NULL, 1);
	in->data += n + 1;
	in->len -= n + 1;
}

/* the alphabet of GPT-2, or "<0x41>" */
static void
add_byte_tokens(GgufWriter *w, bool by_number)
{
	int			next = 256;

	for (int b = 0; b < 256; b++)
	{
		char		text[8];
		int			c = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174 ? b : next++;
		int			len;

		if (by_number)
			len = snprintf(text, sizeof(text), "<0x%02X>", b);
		else if (c < 0x80)
			len = snprintf(text, sizeof(text), "%c", c);
		else
			len = snprintf(text, sizeof(text), "%c%c", 0xC0 | c >> 6, 0x80 | (c & 0x3F));
		gw_text(w, &w->keys, text, (size_t) len, "token");
	}
}

static void
write_vocabulary(GgufWriter *w, Input *in, int flags)
{
	const char *strings[MAX_STRINGS];
	Kind		kind = kind_of(flags);
	bool		spm = kind == SPM || kind == UNIGRAM;
	bool		bytes = flags & HAS_ALL_BYTES;
	uint64_t	n = read_strings(in, strings);
	uint64_t	n_tokens = n + (bytes ? 256 : 0);

	gw_string(w, "tokenizer.ggml.model", kind_names[kind]);
	gw_string(w, "tokenizer.ggml.pre", pre_names[n % 5]);
	gw_bool(w, "tokenizer.ggml.add_space_prefix", (flags & SPACE_PREFIX) != 0);
	gw_array(w, "tokenizer.ggml.tokens", LLM_META_STRING, n_tokens);
	if (bytes)
		add_byte_tokens(w, spm);
	for (uint64_t i = 0; i < n; i++)
		gw_text(w, &w->keys, strings[i], strlen(strings[i]), "token");
	gw_array(w, "tokenizer.ggml.token_type", LLM_META_INT32, n_tokens);
	for (uint64_t i = 0; i < n_tokens; i++)
	{
		bool		is_byte = bytes && i < 256;
		uint64_t	type = is_byte ? (spm ? 6 : 1) : flags & ODD_TYPES ? (uint64_t) strings[i - (bytes ? 256 : 0)][0] % 7 : 1;

		gw_number(w, &w->keys, type, 4, "type");
	}
	gw_array(w, "tokenizer.ggml.scores", LLM_META_FLOAT32, n_tokens);
	for (uint64_t i = 0; i < n_tokens; i++)
	{
		float		score = (float) (i % 7) - (kind == UNIGRAM ? 5 : 0);

		gw_put(&w->keys, &score, sizeof(score));
	}
	gw_bool(w, "tokenizer.ggml.remove_extra_whitespaces", n % 2 == 0);
	if (kind == UNIGRAM)
		write_char_map(w, in, (flags & ODD_TYPES) != 0);
	else if (kind == WORDPIECE)
		gw_bool(w, "tokenizer.ggml.normalizer.lowercase", (flags & SPACE_PREFIX) != 0);
	else if (kind == BPE)
		gw_strings(w, "tokenizer.ggml.merges", strings, read_strings(in, strings));
}

static bool
stop_sometimes(void *opaque)
{
	return (*(unsigned *) opaque)++ % 3 != 0;
}

static void
check_text(const LlmTokenizer *t, LlmText text, int flags)
{
	LlmError	err;
	LlmTokens	ids;
	LlmTokens	again;
	LlmBuf		back;
	unsigned	polls = 0;
	LlmStop		stop = {stop_sometimes, &polls};
	int			how = (flags & ADD_SPECIAL ? LLM_TOKENIZE_ADD_SPECIAL : 0) | (flags & PARSE_SPECIAL ? LLM_TOKENIZE_PARSE_SPECIAL : 0);
	LlmStatus	status;

	llm_tokens_init(&ids, &llm_malloc_allocator);
	llm_tokens_init(&again, &llm_malloc_allocator);
	llm_buf_init(&back, &llm_malloc_allocator);
	if (llm_tokenize(t, text, how, NULL, &ids, &err) != LLM_OK)
		abort();
	for (size_t i = 0; i < ids.n; i++)
		if (ids.ids[i] < 0 || ids.ids[i] >= llm_tokenizer_vocab_size(t))
			abort();
	while ((status = llm_tokenize(t, text, how, &stop, &again, &err)) == LLM_PAUSED && polls < 20)
		if (again.n != 0)
			abort();
	if (status == LLM_OK && (again.n != ids.n || (ids.n && memcmp(again.ids, ids.ids, ids.n * sizeof(int32_t)) != 0)))
		abort();
	if (llm_detokenize(t, ids.ids, ids.n, false, &back, &err) != LLM_OK)
		abort();
	if (kind_of(flags) == BPE && (flags & HAS_ALL_BYTES) && !(flags & (ADD_SPECIAL | PARSE_SPECIAL | ODD_TYPES)) &&
		(back.len != text.len || (text.len && memcmp(back.data, text.bytes, text.len) != 0)))
		abort();
	llm_tokens_free(&ids);
	llm_tokens_free(&again);
	llm_buf_free(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		in = {(const char *) data + 1, size - 1};
	int			flags;
	GgufWriter	w;
	char		path[64];
	int			fd;
	LlmGguf		gguf;
	LlmTokenizer *t;
	LlmError	err;

	if (size < 1)
		return 0;
	flags = data[0];
	gw_init(&w);
	write_vocabulary(&w, &in, flags);
	gw_finish(&w);
	fd = gw_memfd(w.file.data, w.file.len, path);
	if (llm_gguf_open(path, &llm_malloc_allocator, NULL, &gguf, &err) != LLM_OK)
		abort();
	if (llm_tokenizer_create(&gguf.meta, &llm_malloc_allocator, &t, &err) == LLM_OK)
	{
		uint8_t    *origin = malloc(in.len + 1);

		memset(origin, 1, in.len + 1);
		check_text(t, (LlmText) {in.data, flags & FROM_DATA ? origin : NULL, in.len}, flags);
		free(origin);
		llm_tokenizer_free(t);
	}
	llm_gguf_close(&gguf);
	close(fd);
	gw_free(&w);
	return 0;
}
