/*
 * hf_fuzz.c: any tokenizer.json and any text. The input is the JSON, a NUL, and the text. What comes out must lie in the vocabulary, decode
 * without harm, and data must not make control tokens.
 */
#include "gguf_writer.h"

#include "text/tokenizer.h"
#include "weights/gguf.h"

static bool
stop_late(void *opaque)
{
	return ++*(unsigned *) opaque > 200;
}

static void
check_text(const LlmTokenizer *t, LlmText text, int flags)
{
	LlmError	err;
	LlmTokens	ids;
	LlmBuf		back;
	unsigned	polls = 0;
	LlmStop		stop = {stop_late, &polls};

	llm_tokens_init(&ids, &llm_malloc_allocator);
	llm_buf_init(&back, &llm_malloc_allocator);
	if (llm_tokenize(t, text, flags, &stop, &ids, &err) != LLM_OK && ids.n != 0)
		abort();
	for (size_t i = 0; i < ids.n; i++)
		if (ids.ids[i] < 0 || ids.ids[i] >= llm_tokenizer_vocab_size(t))
			abort();
	if (llm_detokenize(t, ids.ids, ids.n, flags != 0, &back, &err) != LLM_OK && back.len != 0)
		abort();
	for (size_t i = 0; i < ids.n && i < 16; i++)
		llm_detokenize_one(t, ids.ids[i], i == 0, true, &back, &err);
	llm_tokenize_pair(t, text, text, flags, &stop, &ids, &back, &err);
	llm_tokens_free(&ids);
	llm_buf_free(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, 0, size) : NULL;
	char	   *json;
	GgufWriter	w;
	char		path[64];
	int			fd;
	LlmGguf		gguf;
	LlmTokenizer *t;
	LlmError	err;

	if (!end)
		return 0;
	json = strdup((const char *) data);
	gw_init(&w);
	gw_string(&w, "tokenizer.ggml.model", "huggingface");
	gw_string(&w, "tokenizer.huggingface.json", json);
	gw_finish(&w);
	fd = gw_memfd(w.file.data, w.file.len, path);
	if (llm_gguf_open(path, &llm_malloc_allocator, NULL, &gguf, &err) != LLM_OK)
		abort();
	if (llm_tokenizer_create(&gguf.meta, &llm_malloc_allocator, &t, &err) == LLM_OK)
	{
		LlmText		text = {(const char *) end + 1, NULL, (size_t) (data + size - end - 1)};
		uint8_t    *origin = malloc(text.len + 1);

		memset(origin, 1, text.len + 1);
		check_text(t, text, LLM_TOKENIZE_PARSE_SPECIAL | LLM_TOKENIZE_ADD_SPECIAL);
		text.from_data = origin;
		check_text(t, text, LLM_TOKENIZE_PARSE_SPECIAL);
		free(origin);
		llm_tokenizer_free(t);
	}
	llm_gguf_close(&gguf);
	close(fd);
	gw_free(&w);
	free(json);
	return 0;
}
