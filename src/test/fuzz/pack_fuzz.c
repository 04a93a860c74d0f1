/*
 * pack_fuzz.c: a pack with any damage that its checksums do not show: header, metadata, directory, and the tables of its tokenizer. What can be
 * opened must stay inside of it.
 *
 * The first byte of the input chooses the pack, one with a tokenizer of each kind (tokenizer_models.h) or one of a model. Twelve bytes each follow
 * for a number to be written: how many bytes it has and in which part it lies, where (3 bytes), its value.
 */
#include "mixed_model.h"
#include "tokenizer_models.h"

#include "weights/pack_layout.h"

#define N_PACKS (TOKENIZER_MODELS + 1)
#define EDIT_BYTES 12

typedef struct Base
{
	uint8_t    *bytes;
	size_t		size;
} Base;

static Base bases[N_PACKS];

/* ---- packs in order ---- */

static LlmStatus
write_memory(void *ctx, uint64_t offset, const void *data, size_t len, LlmError *err)
{
	(void) err;
	if (len > 0)
		memcpy(((Base *) ctx)->bytes + offset, data, len);
	return LLM_OK;
}

static uint8_t *
aligned_memory(size_t size)
{
	void	   *memory;

	if (posix_memalign(&memory, LLMK_ALIGN, size) != 0)
		abort();
	memset(memory, 0, size);
	return memory;
}

static void
pack_source(const char *path, Base *out)
{
	LlmPackSink sink = {.write = write_memory, .ctx = out};
	LlmPacker  *packer;
	LlmSource	source;
	LlmBuf		tables;
	LlmError	err;
	uint64_t	total;

	llm_buf_init(&tables, &llm_malloc_allocator);
	if (llm_source_open(path, &llm_malloc_allocator, NULL, &source, &err) != LLM_OK ||
		llm_tokenizer_tables(source.meta, 9, &llm_malloc_allocator, NULL, &tables, &err) != LLM_OK || tables.len == 0 ||
		llm_packer_begin_with(&source, NULL, (LlmStr) {tables.data, tables.len}, &llm_malloc_allocator, &packer, &total, &err) != LLM_OK)
		abort();
	out->bytes = aligned_memory(total);
	out->size = total;
	if (llm_packer_run(packer, &sink, NULL, &err) != LLM_OK)
		abort();
	llm_packer_free(packer);
	llm_source_close(&source);
	llm_buf_free(&tables);
}

static void
make_base(int which, Base *out)
{
	const uint64_t dims[] = {32, 4};
	GgufWriter	w;
	char		path[64];
	int			fd;

	gw_init(&w);
	if (which == TOKENIZER_MODELS)
		mixed_put_model(&w, NULL);
	else
	{
		tokenizer_put_model(&w, which);
		gw_tensor(&w, "a.weight", LLM_TYPE_F32, 2, dims, NULL, 32 * 4 * sizeof(float));
	}
	gw_finish(&w);
	fd = gw_memfd(w.file.data, w.file.len, path);
	pack_source(path, out);
	close(fd);
	gw_free(&w);
}

/* ---- damage ---- */

static void
edit(uint8_t *pack, const LlmPackHeader *header, const uint8_t *e)
{
	const uint64_t part[4][2] = {
		{0, sizeof(LlmPackHeader)}, {header->meta_off, header->meta_bytes},
		{header->dir_off, header->dir_bytes}, {header->tables_off, header->tables_bytes},
	};
	const size_t n_bytes = (size_t) 1 << (e[0] & 3);
	const uint64_t *p = part[e[0] >> 2 & 3];
	uint64_t	at = ((uint64_t) e[1] | (uint64_t) e[2] << 8 | (uint64_t) e[3] << 16) / n_bytes * n_bytes;

	if (p[1] >= n_bytes)
		memcpy(pack + p[0] + at % (p[1] - n_bytes + 1), e + 4, n_bytes);
}

/* checksums as if whoever wrote the damage had made them */
static void
sign(uint8_t *pack, size_t size)
{
	LlmPackHeader header;

	memcpy(&header, pack, sizeof(header));
	if (header.meta_off <= size && header.meta_bytes <= size - header.meta_off && header.dir_off <= size &&
		header.dir_bytes <= size - header.dir_off && header.tables_off <= size && header.tables_bytes <= size - header.tables_off)
		header.body_checksum = llm_pack_body_checksum(pack, &header);
	header.header_checksum = llm_pack_checksum(0, &header, offsetof(LlmPackHeader, header_checksum));
	memcpy(pack, &header, sizeof(header));
}

/* ---- use ---- */

static bool
stop_late(void *opaque)
{
	return ++*(unsigned *) opaque > 200;
}

static void
use_tokenizer(const LlmTokenizer *t)
{
	const char	bytes[] = "<s>The natiónal 東京 [MASK] it's  12\n\t\xff end</s><|eot|>";
	LlmText		text = {bytes, NULL, sizeof(bytes) - 1};
	LlmTokens	ids;
	LlmBuf		back;
	LlmError	err;
	unsigned	polls = 0;
	LlmStop		stop = {stop_late, &polls};

	llm_tokens_init(&ids, &llm_malloc_allocator);
	llm_buf_init(&back, &llm_malloc_allocator);
	(void) llm_tokenize(t, text, LLM_TOKENIZE_ADD_SPECIAL | LLM_TOKENIZE_PARSE_SPECIAL, &stop, &ids, &err);
	for (size_t i = 0; i < ids.n; i++)
		if (ids.ids[i] < 0 || ids.ids[i] >= llm_tokenizer_vocab_size(t))
			abort();
	(void) llm_detokenize(t, ids.ids, ids.n, true, &back, &err);
	for (int32_t id = 0; id < llm_tokenizer_vocab_size(t) && id < 500; id++)
	{
		(void) llm_detokenize_one(t, id, id % 2 == 0, true, &back, &err);
		(void) llm_tokenizer_token_text(t, id);
		(void) llm_tokenizer_is_end(t, id);
	}
	llm_buf_free(&back);
	llm_tokens_free(&ids);
}

static void
use_model(const uint8_t *pack, size_t size)
{
	const LlmModelOptions options = {.kv_type = LLM_KV_F16};
	static const int32_t tokens[] = {1, 65, 270, 99, 299};
	LlmSchedulerOptions schedule = {.batch_tokens = 8, .memory_limit_bytes = (size_t) 64 << 20};
	LlmModel   *m;
	LlmPool    *pool;
	LlmScheduler *s;
	LlmRequest *request;
	LlmError	err;

	if (llm_model_open(pack, size, &options, llmk_select(NULL, llmk_cpu_features()), &llm_malloc_allocator, &m, &err) != LLM_OK)
		return;
	if (llm_pool_create(&llm_malloc_allocator, 1, &pool, &err) != LLM_OK)
		abort();
	if (llm_scheduler_create(m, pool, &schedule, &llm_malloc_allocator, &s, &err) == LLM_OK)
	{
		(void) llm_request_logits(s, tokens, 5, &request, &err);
		(void) llm_scheduler_run(s, NULL, &err);
		llm_scheduler_free(s);
	}
	llm_pool_free(pool);
	llm_model_close(m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	LlmPackHeader header;
	LlmPack		pack;
	LlmTokenizer *t;
	LlmError	err;
	uint8_t    *copy;
	int			which;

	if (size < 1)
		return 0;
	which = data[0] % N_PACKS;
	if (!bases[which].bytes)
		make_base(which, &bases[which]);
	copy = aligned_memory(bases[which].size);
	memcpy(copy, bases[which].bytes, bases[which].size);
	memcpy(&header, copy, sizeof(header));
	for (size_t i = 1; i + EDIT_BYTES <= size; i += EDIT_BYTES)
		edit(copy, &header, data + i);
	sign(copy, bases[which].size);
	if (llm_pack_open(copy, bases[which].size, &llm_malloc_allocator, &pack, &err) == LLM_OK)
	{
		if (llm_tokenizer_open(&pack.meta, pack.tables, pack.tables_bytes, &llm_malloc_allocator, NULL, &t, &err) == LLM_OK)
		{
			use_tokenizer(t);
			llm_tokenizer_free(t);
		}
		llm_pack_close(&pack);
		if (which == TOKENIZER_MODELS)
			use_model(copy, bases[which].size);
	}
	free(copy);
	return 0;
}
