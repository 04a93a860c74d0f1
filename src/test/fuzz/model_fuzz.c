/*
 * model_fuzz.c: any shape of a model: metadata and a list of tensors, of any architecture. It is packed, opened, over an outline of its weights too,
 * and, if it is small, computed.
 *
 * The input is a text, so that what is mutated are names, numbers and types, not bytes of weights. The first line is the architecture. Then
 * "TYPE KEY VALUE…" is a key, whose name gets the architecture before it if it begins with a dot: u and f are numbers, b a boolean, s a string,
 * and U, F, B lists of them; "t TYPE NAME DIMENSION…" is a tensor. Weights are made up here, the vocabulary too.
 */
#include "mixed_model.h"

#include "serve/embed.h"

#define MAX_FILE_BYTES ((uint64_t) 3 << 20)
#define MAX_OPEN_BYTES ((size_t) 64 << 20)	/* that opening such a file may take */
#define MEMORY_LIMIT ((size_t) 64 << 20)
#define MAX_VALUES 64

/* counts what is alive */
typedef struct Counter
{
	LlmAllocator allocator;
	size_t		alive_bytes;
	size_t		most_bytes;
} Counter;

static void *
count_alloc(void *ctx, size_t size)
{
	Counter    *c = ctx;
	uint64_t   *memory = size > MAX_OPEN_BYTES * 4 ? NULL : malloc(size + 16);

	if (!memory)
		return NULL;
	memory[0] = size;
	c->alive_bytes += size;
	if (c->alive_bytes > c->most_bytes)
		c->most_bytes = c->alive_bytes;
	return memory + 2;
}

static void
count_free(void *ctx, void *ptr)
{
	if (!ptr)
		return;
	((Counter *) ctx)->alive_bytes -= ((uint64_t *) ptr)[-2];
	free((uint64_t *) ptr - 2);
}

/* ---- the file ---- */

/* a number as metadata has it: whole ones in the smallest form that holds them */
static void
put_number(GgufWriter *w, const char *key, const char *text)
{
	long long	v = strtoll(text, NULL, 10);

	if (v < INT32_MIN || v > UINT32_MAX)
		gw_u64(w, key, (uint64_t) v);
	else if (v < 0)
		gw_i32(w, key, (int32_t) v);
	else
		gw_u32(w, key, (uint32_t) v);
}

static void
put_list(GgufWriter *w, char kind, const char *key, char *const *value, int n)
{
	int32_t		whole[MAX_VALUES];
	float		real[MAX_VALUES];

	for (int i = 0; i < n; i++)
	{
		whole[i] = (int32_t) strtoll(value[i], NULL, 10);
		real[i] = strtof(value[i], NULL);
	}
	if (kind == 'U')
		gw_i32s(w, key, whole, (uint64_t) n);
	else if (kind == 'F')
		gw_f32s(w, key, real, (uint64_t) n);
	else
	{
		gw_array(w, key, LLM_META_BOOL, (uint64_t) n);
		for (int i = 0; i < n; i++)
			gw_put(&w->keys, &(uint8_t) {whole[i] != 0}, 1);
	}
}

static void
put_key(GgufWriter *w, const char *arch, char kind, const char *suffix, char *const *value, int n)
{
	char		key[256];

	snprintf(key, sizeof(key), "%s%s", suffix[0] == '.' ? arch : "", suffix);
	if (kind == 'u' && n == 1)
		put_number(w, key, value[0]);
	else if (kind == 'f' && n == 1)
		gw_f32(w, key, strtof(value[0], NULL));
	else if (kind == 'b' && n == 1)
		gw_bool(w, key, value[0][0] == '1');
	else if (kind == 's' && n == 1)
		gw_string(w, key, value[0]);
	else if (kind == 'U' || kind == 'F' || kind == 'B')
		put_list(w, kind, key, value, n);
}

/* values are small, so that most models compute numbers and not infinities */
static void
fill(uint8_t *data, uint64_t n_bytes, LlmType type, uint32_t n_dims, uint32_t random)
{
	const uint64_t block_bytes = (uint64_t) llmk_type_info(type)->block_bytes;

	for (uint64_t i = 0; i < n_bytes; i++)
	{
		random = random * 1664525u + 1013904223u;
		data[i] = (uint8_t) (random >> 24);
	}
	for (uint64_t i = 0; i + block_bytes <= n_bytes; i += block_bytes)
	{
		if (type <= LLM_TYPE_Q8_0 || type == LLM_TYPE_BF16 || type == LLM_TYPE_Q6_K)
			mixed_tame(type, data + i);
		if (type == LLM_TYPE_F32 && n_dims == 1)
			*(float *) (data + i) += 1;
	}
}

/* false if the file would be too large */
static bool
put_tensor(GgufWriter *w, const char *name, uint32_t type, char *const *value, int n)
{
	const LlmTypeInfo *info = llmk_type_info(type);
	uint64_t	dims[LLM_MAX_DIMS] = {0};
	uint64_t	n_bytes = info ? (uint64_t) info->block_bytes : 4;
	uint8_t    *data;

	for (int i = 0; i < n && i < LLM_MAX_DIMS; i++)
	{
		dims[i] = strtoull(value[i], NULL, 10);
		if (__builtin_mul_overflow(n_bytes, dims[i], &n_bytes) || n_bytes > MAX_FILE_BYTES * 64)
			return false;
	}
	n_bytes /= info ? (uint64_t) info->block_len : 1;
	if (w->data.len + n_bytes > MAX_FILE_BYTES)
		return false;
	data = gw_grow(NULL, n_bytes + 1);
	if (info)
		fill(data, n_bytes, (LlmType) type, (uint32_t) n, (uint32_t) w->n_tensors);
	else
		memset(data, 0, n_bytes);
	gw_tensor(w, name, type, (uint32_t) (n < LLM_MAX_DIMS ? n : LLM_MAX_DIMS), dims, data, n_bytes);
	free(data);
	return true;
}

static bool
put_line(GgufWriter *w, const char *arch, char *line)
{
	char	   *value[MAX_VALUES];
	char	   *rest = NULL;
	char	   *kind = strtok_r(line, " ", &rest);
	char	   *first = strtok_r(NULL, " ", &rest);
	char	   *name = first && kind[0] == 't' ? strtok_r(NULL, " ", &rest) : first;
	int			n = 0;

	while (name && n < MAX_VALUES && (value[n] = strtok_r(NULL, " ", &rest)))
		n++;
	if (!name)
		return true;
	if (kind[0] == 't')
		return put_tensor(w, name, (uint32_t) strtoul(first, NULL, 10), value, n);
	put_key(w, arch, kind[0], name, value, n);
	return true;
}

static bool
write_model(GgufWriter *w, char *text)
{
	char	   *rest = NULL;
	char	   *arch = strtok_r(text, "\n", &rest);
	char	   *line;

	gw_init(w);
	if (!arch)
		return false;
	gw_string(w, "general.architecture", arch);
	mixed_add_vocabulary(w);
	while ((line = strtok_r(NULL, "\n", &rest)))
		if (!put_line(w, arch, line))
			return false;
	gw_finish(w);
	return true;
}

/* ---- the model ---- */

static bool
stop_late(void *opaque)
{
	return ++*(unsigned *) opaque > 3000;
}

static void
compute(const LlmModel *m, const LlmAllocator *a)
{
	static const int32_t tokens[] = {1, 65, 270, 99, 299, 3, 104, 105, 106, 260, 261};
	LlmSchedulerOptions options = {.batch_tokens = 4, .memory_limit_bytes = MEMORY_LIMIT};
	LlmGenerateParams params = {.max_tokens = 3, .ignore_end = true};
	LlmScheduler *s;
	LlmRequest *request;
	LlmPool    *pool;
	LlmError	err;
	unsigned	polls = 0;
	LlmStop		stop = {stop_late, &polls};

	if (llm_pool_create(a, 1, &pool, &err) != LLM_OK)
		return;
	if (llm_scheduler_create(m, pool, &options, a, &s, &err) == LLM_OK)
	{
		(void) llm_request_embed(s, tokens, 11, &request, &err);
		(void) llm_request_rank(s, tokens, 11, 4, &request, &err);
		(void) llm_request_logits(s, tokens, 11, &request, &err);
		(void) llm_request_generate(s, tokens, 7, &params, &request, &err);
		(void) llm_scheduler_run(s, &stop, &err);
		llm_scheduler_free(s);
	}
	llm_pool_free(pool);
}

/* over an outline of its weights a model opens, or does not, as over the whole */
static void
open_outline(const LlmSource *source, LlmKvType kv_type, LlmStatus expected)
{
	const LlmModelOptions options = {.kv_type = kv_type};
	const uint8_t *base;
	size_t		size;
	LlmModel   *m = NULL;
	LlmError	err;

	if (llm_pack_outline(source, &llm_malloc_allocator, NULL, &base, &size, &err) != LLM_OK ||
		llm_model_open(base, size, &options, llmk_select(NULL, llmk_cpu_features()), &llm_malloc_allocator, &m, &err) != expected)
		abort();
	llm_model_close(m);
	llm_memory_pack_free(base, size);
}

static LlmStatus
open_model(const uint8_t *base, size_t size, LlmKvType kv_type)
{
	const LlmModelOptions options = {.kv_type = kv_type};
	Counter		counter = {.allocator = {count_alloc, count_free, NULL}};
	LlmModel   *m;
	LlmError	err;
	LlmStatus	status;

	counter.allocator.ctx = &counter;
	status = llm_model_open(base, size, &options, llmk_select(NULL, llmk_cpu_features()), &counter.allocator, &m, &err);
	if (counter.most_bytes > MAX_OPEN_BYTES || (status != LLM_OK && (counter.alive_bytes != 0 || status == LLM_E_NOMEM)))
		abort();
	if (status != LLM_OK)
		return status;
	compute(m, &counter.allocator);
	if (counter.most_bytes > MAX_OPEN_BYTES + MEMORY_LIMIT * 2)
		abort();
	llm_model_close(m);
	if (counter.alive_bytes != 0)
		abort();
	return LLM_OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = strndup((const char *) data, size);
	const uint8_t *base;
	size_t		packed_bytes;
	char		path[64];
	GgufWriter	w;
	LlmSource	source;
	LlmError	err;
	int			fd;

	if (write_model(&w, text))
	{
		fd = gw_memfd(w.file.data, w.file.len, path);
		if (llm_source_open(path, &llm_malloc_allocator, NULL, &source, &err) == LLM_OK)
		{
			if (llm_pack_to_memory(&source, &llm_malloc_allocator, NULL, &base, &packed_bytes, &err) == LLM_OK)
			{
				open_outline(&source, (LlmKvType) (size % 3), open_model(base, packed_bytes, (LlmKvType) (size % 3)));
				llm_memory_pack_free(base, packed_bytes);
			}
			llm_source_close(&source);
		}
		close(fd);
	}
	gw_free(&w);
	free(text);
	return 0;
}
