/*
 * pack_test.c: packs hold exactly the source's values; pausing, failing sinks, lost memory, damaged packs.
 */
#include "weights/memory_pack.h"
#include "weights/pack_layout.h"
#include "check.h"
#include "fail_alloc.h"
#include "gguf_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

static const LlmAllocator *const alloc = &llm_malloc_allocator;

static const LlmType types[] = {LLM_TYPE_F32, LLM_TYPE_F16, LLM_TYPE_BF16, LLM_TYPE_Q8_0, LLM_TYPE_Q4_0, LLM_TYPE_Q4_1,
LLM_TYPE_Q5_0, LLM_TYPE_Q5_1, LLM_TYPE_Q6_K};

#define N_TYPES (sizeof(types) / sizeof(types[0]))

static const int64_t row_counts[] = {1, 7, 8, 9, 21};

#define N_ROW_COUNTS (sizeof(row_counts) / sizeof(row_counts[0]))

static uint32_t
next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t) (*state >> 33);
}

/* bytes of n elements of a type: random, but without NaN or infinity where a half or a float stands */
static size_t
random_blocks(LlmType type, int64_t n, uint8_t *out, uint64_t *random)
{
	const LlmTypeInfo *info = llmk_type_info(type);
	size_t		n_bytes = (size_t) (n / info->block_len) * (size_t) info->block_bytes;

	for (size_t i = 0; i < n_bytes; i++)
		out[i] = (uint8_t) next_random(random);
	for (size_t i = 0; i < n_bytes; i += (size_t) info->block_bytes)
	{
		uint8_t    *b = out + i;

		switch (type)
		{
			case LLM_TYPE_F32:
			case LLM_TYPE_BF16:
				b[info->block_bytes - 1] = 0x3F;
				break;
			case LLM_TYPE_F16:
				b[1] = 0x34;
				break;
			case LLM_TYPE_Q6_K:
				b[209] = 0x20;
				break;
			default:
				b[1] = 0x2A;	/* d, and m where there is one */
				b[3] = type == LLM_TYPE_Q4_1 || type == LLM_TYPE_Q5_1 ? 0x2B : b[3];
				break;
		}
	}
	return n_bytes;
}

/* all types as matrices of several row counts, stacks, and vectors */
static void
make_model(GgufWriter *w)
{
	static uint8_t buf[1 << 20];
	uint64_t	random = 3;
	char		name[64];

	gw_string(w, "general.architecture", "llama");
	gw_u32(w, "llama.block_count", 2);
	for (size_t t = 0; t < N_TYPES; t++)
	{
		const char *type_name = llmk_type_info(types[t])->name;

		for (size_t r = 0; r < N_ROW_COUNTS; r++)
		{
			uint64_t	dims[] = {512, (uint64_t) row_counts[r], 3};

			snprintf(name, sizeof(name), "matrix.%s.%d", type_name, (int) row_counts[r]);
			gw_tensor(w, name, types[t], 2, dims, buf, random_blocks(types[t], 512 * row_counts[r], buf, &random));
			snprintf(name, sizeof(name), "experts.%s.%d", type_name, (int) row_counts[r]);
			gw_tensor(w, name, types[t], 3, dims, buf, random_blocks(types[t], 3 * 512 * row_counts[r], buf, &random));
		}
		{
			uint64_t	dims[] = {768};

			snprintf(name, sizeof(name), "vector.%s", type_name);
			gw_tensor(w, name, types[t], 1, dims, buf, random_blocks(types[t], 768, buf, &random));
		}
	}
	{
		/* more than one batch: 3000 rows of 512 F16, and a vector of 150000 */
		uint64_t	dims[] = {512, 3000};
		uint64_t	long_dims[] = {150000};
		uint8_t    *big = gw_grow(NULL, 512 * 3000 * 2);

		gw_tensor(w, "large", LLM_TYPE_F16, 2, dims, big, random_blocks(LLM_TYPE_F16, 512 * 3000, big, &random));
		gw_tensor(w, "long", LLM_TYPE_BF16, 1, long_dims, big, random_blocks(LLM_TYPE_BF16, 150000, big, &random));
		free(big);
	}
	gw_finish(w);
}

typedef struct Source
{
	GgufWriter	writer;
	LlmSource	weights;
	int			fd;
} Source;

static void
open_source(Source *s)
{
	char		path[64];
	LlmError	err;

	s->fd = gw_memfd(s->writer.file.data, s->writer.file.len, path);
	CHECK_MSG(llm_source_open(path, alloc, NULL, &s->weights, &err) == LLM_OK, "%s %s", err.message, err.detail);
}

static void
close_source(Source *s)
{
	llm_source_close(&s->weights);
	close(s->fd);
	gw_free(&s->writer);
}

/* every value of every tensor, read back through the generic kernels, equals the file's */
static void
check_values(const Source *s, const LlmPack *pack)
{
	const LlmKernels *generic = llmk_level(0);
	float	   *expected = gw_grow(NULL, 3000 * 512 * sizeof(float));
	float		got[512];
	LlmError	err;

	CHECK(pack->n_tensors == s->weights.n_tensors);
	for (uint64_t i = 0; i < s->weights.n_tensors; i++)
	{
		const LlmTensor *t = &s->weights.tensors[i];
		int64_t		n = t->dim[0] * t->dim[1] * t->dim[2];
		char		name[80];

		snprintf(name, sizeof(name), "%.*s", (int) t->name.len, t->name.data);
		llmk_dequantize(t->type, s->writer.file.data + t->offset, n, expected);
		if (t->n_dims == 1)
		{
			const float *vector = NULL;

			CHECK(llm_pack_vector(pack, name, n, true, &vector, &err) == LLM_OK);
			CHECK((uintptr_t) vector % LLMK_ALIGN == 0);
			CHECK_MSG(vector && memcmp(vector, expected, (size_t) n * sizeof(float)) == 0, "%s", name);
			continue;
		}
		for (int64_t m = 0; m < t->dim[2]; m++)
		{
			LlmkMatrix	matrix;

			CHECK_MSG(llm_pack_matrix(pack, name, t->dim[1], t->dim[0], m, &matrix, &err) == LLM_OK, "%s", err.message);
			CHECK(matrix.type == t->type && matrix.n_rows == t->dim[1] && matrix.n_cols == t->dim[0]);
			CHECK((uintptr_t) matrix.data % LLMK_ALIGN == 0);
			for (int64_t row = 0; row < t->dim[1]; row++)
			{
				generic->get_row[t->type] (&matrix, row, got);
				CHECK_MSG(memcmp(got, expected + (m * t->dim[1] + row) * 512, sizeof(got)) == 0, "%s matrix %d row %d", name,
						  (int) m, (int) row);
			}
		}
	}
	free(expected);
}

static void
check_lookups(const LlmPack *pack)
{
	LlmError	err;
	LlmkMatrix	matrix = {.n_rows = -1};
	const float *vector = NULL;

	CHECK(llm_pack_find(pack, "large") != NULL && llm_pack_find(pack, "larg") == NULL && llm_pack_find(pack, "") == NULL);
	CHECK(llm_pack_find(pack, "vector.F16")->type == LLM_TYPE_F32);
	CHECK(llm_pack_find(pack, "vector.F16")->source_type == LLM_TYPE_F16);
	CHECK(llm_pack_matrix(pack, "absent", 1, 1, 0, &matrix, &err) == LLM_E_FORMAT && strstr(err.message, "\"absent\""));
	CHECK(llm_pack_matrix(pack, "large", 3001, 512, 0, &matrix, &err) == LLM_E_FORMAT);
	CHECK(strstr(err.message, "\"large\"") && strstr(err.detail, "3000") && strstr(err.detail, "3001"));
	CHECK(llm_pack_matrix(pack, "large", 3000, 511, 0, &matrix, &err) == LLM_E_FORMAT);
	CHECK(llm_pack_matrix(pack, "large", 3000, 512, 1, &matrix, &err) == LLM_E_FORMAT);
	CHECK(llm_pack_matrix(pack, "large", 3000, 512, -1, &matrix, &err) == LLM_E_FORMAT);
	CHECK(llm_pack_matrix(pack, "long", 1, 150000, 0, &matrix, &err) == LLM_E_FORMAT);
	CHECK(matrix.n_rows == -1);
	CHECK(llm_pack_vector(pack, "absent", 1, false, &vector, &err) == LLM_OK && vector == NULL);
	CHECK(llm_pack_vector(pack, "absent", 1, true, &vector, &err) == LLM_E_FORMAT);
	CHECK(llm_pack_vector(pack, "long", 149999, false, &vector, &err) == LLM_E_FORMAT);
	CHECK(llm_pack_vector(pack, "matrix.F32.1", 512, true, &vector, &err) == LLM_E_FORMAT);
}

/* a sink into memory that can fail, pause, and notes what it is given */
typedef struct MemorySink
{
	uint8_t    *base;
	size_t		size;
	long		n_writes;
	long		fail_at;
	LlmStatus	fail_status;
	size_t		largest_bytes;
	uint64_t	last_off;
	bool		out_of_order;
} MemorySink;

static LlmStatus
memory_sink_write(void *ctx, uint64_t offset, const void *data, size_t len, LlmError *err)
{
	MemorySink *sink = ctx;

	if (sink->n_writes++ == sink->fail_at)
		return sink->fail_status == LLM_E_IO ? llm_fail_errno(err, ENOSPC, "could not write") : sink->fail_status;
	CHECK(offset <= sink->size && len <= sink->size - offset);
	if (offset < sink->last_off && offset != 0)
		sink->out_of_order = true;
	sink->last_off = offset;
	if (len > sink->largest_bytes)
		sink->largest_bytes = len;
	memcpy(sink->base + offset, data, len);
	return LLM_OK;
}

static bool
always(void *opaque)
{
	(void) opaque;
	return true;
}

/* with a pause after every step, and with every write failing once: the same bytes */
static void
test_pauses(const Source *s, const uint8_t *expected, size_t size)
{
	uint8_t    *base = aligned_alloc(LLMK_ALIGN, size);
	LlmStop		stop = {always, NULL};
	long		n_writes = 0;

	for (int mode = 0; mode < 3; mode++)
	{
		MemorySink	memory = {.base = base, .size = size, .fail_at = mode == 0 ? -1 : 0,
		.fail_status = mode == 1 ? LLM_E_IO : LLM_PAUSED};
		LlmPackSink sink = {.write = memory_sink_write, .ctx = &memory};
		LlmPacker  *packer;
		LlmError	err;
		LlmStatus	status;
		uint64_t	total = 0;
		long		n_calls = 0;

		memset(base, 0, size);
		CHECK(llm_packer_begin(&s->weights, NULL, alloc, &packer, &total, &err) == LLM_OK && total == size);
		do
		{
			if (mode > 0)
				memory.fail_at = memory.n_writes + (n_calls % 2 == 0 ? 0 : -1);
			status = llm_packer_run(packer, &sink, &stop, &err);
			if (mode > 0 && n_calls % 2 == 0)
				CHECK(status == memory.fail_status || status == LLM_OK || status == LLM_PAUSED);
			n_calls++;
		}
		while ((status == LLM_PAUSED || status == LLM_E_IO) && n_calls < 100000);
		CHECK(status == LLM_OK);
		CHECK(llm_packer_run(packer, &sink, &stop, &err) == LLM_OK);	/* finished: nothing to do */
		CHECK(memcmp(base, expected, size) == 0);
		CHECK(!memory.out_of_order && memory.largest_bytes <= ((size_t) 8 << 20));
		if (mode == 0)
			n_writes = memory.n_writes;
		llm_packer_free(packer);
	}
	CHECK(n_writes > (long) s->weights.n_tensors);
	free(base);
}

/* ---- packed by threads ---- */

typedef struct SharedSink
{
	uint8_t    *base;
	size_t		size;
	atomic_long	n_writes;
	uint64_t	fail_off[2];	/* writes that hold these offsets fail; 0: none */
} SharedSink;

static LlmStatus
shared_sink_write(void *ctx, uint64_t offset, const void *data, size_t len, LlmError *err)
{
	SharedSink *sink = ctx;

	atomic_fetch_add(&sink->n_writes, 1);
	for (int i = 0; i < 2; i++)
		if (sink->fail_off[i] && offset <= sink->fail_off[i] && sink->fail_off[i] - offset < len)
			return llm_fail_errno(err, ENOSPC, "could not write %d", i);
	if (offset > sink->size || len > sink->size - offset)
		return llm_fail(err, LLM_E_LIMIT, "outside");
	memcpy(sink->base + offset, data, len);
	return LLM_OK;
}

/* any number of threads, pauses at any place, failing writes: the same bytes, and the error of the lowest place */
static void
test_threads(const Source *s, const uint8_t *expected, size_t size)
{
	uint8_t    *base = aligned_alloc(LLMK_ALIGN, size);

	for (int n_threads = 1; n_threads <= 20; n_threads = n_threads * 2 + 1)
	{
		LlmPool    *pool;
		LlmError	err;

		CHECK(llm_pool_create(alloc, n_threads, &pool, &err) == LLM_OK);
		for (int mode = 0; mode < 3; mode++)
		{
			SharedSink	memory = {.base = base, .size = size};
			LlmPackSink sink = {.write = shared_sink_write, .ctx = &memory};
			LlmStop		stop = {mode == 1 ? always : NULL, NULL};
			LlmPacker  *packer;
			LlmStatus	status;
			uint64_t	total = 0;
			long		n_calls = 0;

			memset(base, 0, size);
			CHECK(llm_packer_begin(&s->weights, NULL, alloc, &packer, &total, &err) == LLM_OK && total == size);
			CHECK(llm_packer_share(packer, pool, &err) == LLM_OK);
			if (mode == 2)
			{
				memory.fail_off[0] = size / 3;
				memory.fail_off[1] = size / 3 + 4096;
				CHECK(llm_packer_run(packer, &sink, NULL, &err) == LLM_E_IO && err.sys_errno == ENOSPC && strstr(err.message, "write 0"));
				memset(memory.fail_off, 0, sizeof(memory.fail_off));
			}
			while ((status = llm_packer_run(packer, &sink, &stop, &err)) == LLM_PAUSED && n_calls < 100000)
				n_calls++;
			CHECK(status == LLM_OK && (mode == 1) == (n_calls > 0));
			CHECK(memcmp(base, expected, size) == 0);
			llm_packer_free(packer);
		}
		llm_pool_free(pool);
	}
	free(base);
}

/* a pack that was not finished cannot be opened */
static void
test_unfinished(const Source *s, size_t size)
{
	uint8_t    *base = aligned_alloc(LLMK_ALIGN, size);
	LlmPack		pack;
	LlmError	err;

	for (long fail_at = 0; fail_at < 10; fail_at++)
	{
		MemorySink	memory = {.base = base, .size = size, .fail_at = fail_at, .fail_status = LLM_E_IO};
		LlmPackSink sink = {.write = memory_sink_write, .ctx = &memory};
		LlmPacker  *packer;
		uint64_t	total;

		memset(base, 0, size);
		CHECK(llm_packer_begin(&s->weights, NULL, alloc, &packer, &total, &err) == LLM_OK);
		CHECK(llm_packer_run(packer, &sink, NULL, &err) == LLM_E_IO && err.sys_errno == ENOSPC);
		llm_packer_free(packer);
		CHECK(llm_pack_open(base, size, alloc, &pack, &err) == LLM_E_FORMAT);
	}
	free(base);
}

static void
test_no_memory(const Source *s)
{
	for (long k = 0;; k++)
	{
		FailAlloc	fa;
		const uint8_t *base = NULL;
		size_t		size = 0;
		LlmPack		pack;
		LlmError	err;
		LlmStatus	status;

		fail_alloc_init(&fa, k);
		status = llm_pack_to_memory(&s->weights, &fa.allocator, NULL, &base, &size, &err);
		if (status == LLM_OK)
		{
			status = llm_pack_open(base, size, &fa.allocator, &pack, &err);
			if (status == LLM_OK)
				llm_pack_close(&pack);
			llm_memory_pack_free(base, size);
		}
		CHECK(status == (fa.refused ? LLM_E_NOMEM : LLM_OK));
		CHECK(fa.n_alive == 0);
		if (!fa.refused)
		{
			CHECK(fa.largest_bytes <= ((size_t) 8 << 20));
			break;
		}
	}
}

/* header and body sums after a change that a test made on purpose */
static void
repair_checksums(uint8_t *base, size_t size)
{
	LlmPackHeader header;

	memcpy(&header, base, sizeof(header));
	if (header.meta_off <= size && header.meta_bytes <= size - header.meta_off && header.dir_off <= size &&
		header.dir_bytes <= size - header.dir_off && header.tables_off <= size && header.tables_bytes <= size - header.tables_off)
		header.body_checksum = llm_pack_body_checksum(base, &header);
	header.header_checksum = llm_pack_checksum(0, &header, offsetof(LlmPackHeader, header_checksum));
	memcpy(base, &header, sizeof(header));
}

/* open a damaged pack; if that succeeds, all of it must be inside */
static LlmStatus
try_open(const uint8_t *base, size_t size)
{
	FailAlloc	fa;
	LlmPack		pack;
	LlmError	err;
	LlmStatus	status;

	fail_alloc_init(&fa, -1);
	status = llm_pack_open(base, size, &fa.allocator, &pack, &err);
	if (status == LLM_OK)
	{
		for (uint64_t i = 0; i < pack.n_tensors; i++)
		{
			const LlmPackTensor *t = &pack.tensors[i];

			CHECK(t->data >= base && t->n_bytes <= size && (size_t) (t->data - base) <= size - t->n_bytes);
			CHECK(pack.tables >= base && pack.tables_bytes <= size - (size_t) (pack.tables - base));
			CHECK((const uint8_t *) t->name.data >= base && t->name.len <= size);
			CHECK(i == 0 || t->name.len > 0 || pack.tensors[i - 1].name.len == 0);
			if (!t->is_vector)
				CHECK(t->n_bytes >= (uint64_t) t->n_stack * (uint64_t) ((t->n_rows + 7) / 8) * llmk_group_bytes(t->type, t->n_cols));
		}
		llm_pack_close(&pack);
	}
	else
		CHECK_MSG(err.message[0] && (status == LLM_E_FORMAT || status == LLM_E_UNSUPPORTED || status == LLM_E_LIMIT),
				  "status %d", status);
	CHECK(fa.n_alive == 0);
	return status;
}

static void
test_damage(const uint8_t *good, size_t size)
{
	uint8_t    *base = aligned_alloc(LLMK_ALIGN, size + LLMK_ALIGN);
	uint64_t	random = 11;
	LlmPackHeader header;
	LlmError	err;
	LlmPack		pack;
	long		n_open = 0;

	memcpy(base, good, size);
	memcpy(&header, good, sizeof(header));
	CHECK(try_open(base, size) == LLM_OK);

	/* a changed byte anywhere before the data is noticed */
	for (size_t i = 0; i < header.data_off; i++)
	{
		bool		padding = (i >= offsetof(LlmPackHeader, pad) && i < sizeof(header)) ||
			(i >= header.meta_off + header.meta_bytes && i < header.dir_off) ||
			(i >= header.dir_off + header.dir_bytes && i < header.tables_off) || i >= header.tables_off + header.tables_bytes;

		base[i] ^= (uint8_t) (1u << next_random(&random) % 8);
		CHECK_MSG(try_open(base, size) == (padding ? LLM_OK : LLM_E_FORMAT), "byte %zu", i);
		base[i] = good[i];
	}

	/* other sizes */
	for (size_t cut = 0; cut < 300; cut++)
		CHECK(try_open(base, cut) == LLM_E_FORMAT);
	for (size_t cut = 1; cut < size; cut = cut * 3 + 1)
		CHECK(try_open(base, size - cut) == LLM_E_FORMAT);
	CHECK(try_open(base, size + 1) == LLM_E_FORMAT);
	memmove(base + 8, base, size);
	CHECK(llm_pack_open(base + 8, size, alloc, &pack, &err) == LLM_E_ARGUMENT);
	memcpy(base, good, size);

	/* damage with right checksums: the checks behind them hold alone */
	for (int i = 0; i < 20000; i++)
	{
		size_t		at = next_random(&random) % 3 == 0 ? next_random(&random) % sizeof(header) :
			header.meta_off + next_random(&random) % (header.data_off - header.meta_off);
		uint64_t	value = next_random(&random) % 2 ? next_random(&random) % 4 : (uint64_t) 0 - next_random(&random) % 3;
		size_t		n_bytes = (size_t) 1 << next_random(&random) % 4;

		at &= ~(n_bytes - 1);
		memcpy(base + at, &value, n_bytes);
		repair_checksums(base, size);
		n_open += try_open(base, size) == LLM_OK;
		memcpy(base, good, header.data_off);
	}
	printf("20000 damaged packs with right checksums: %ld could be opened\n", n_open);
	free(base);
}

static void
test_refusals(void)
{
	const uint64_t dims[] = {256, 2};
	const uint64_t wide[] = {(1 << 20) + 32, 1};
	const uint64_t vector[] = {256};
	LlmError	err;
	LlmPacker  *packer = NULL;
	uint64_t	total = 1;
	Source		s;

	gw_init(&s.writer);
	gw_tensor(&s.writer, "fine", LLM_TYPE_F32, 2, dims, NULL, 2048);
	gw_tensor(&s.writer, "blk.3.ffn_up", LLM_TYPE_Q8_K, 2, dims, NULL, 584);
	gw_finish(&s.writer);
	open_source(&s);
	CHECK(llm_packer_begin(&s.weights, NULL, alloc, &packer, &total, &err) == LLM_E_UNSUPPORTED);
	CHECK(strstr(err.message, "\"blk.3.ffn_up\"") && strstr(err.message, "Q8_K") && err.hint[0]);
	CHECK(packer == NULL && total == 1);
	close_source(&s);

	gw_init(&s.writer);
	gw_tensor(&s.writer, "positions", LLM_TYPE_I32, 1, vector, NULL, 1024);
	gw_finish(&s.writer);
	open_source(&s);
	CHECK(llm_packer_begin(&s.weights, NULL, alloc, &packer, &total, &err) == LLM_E_UNSUPPORTED && strstr(err.message, "I32"));
	close_source(&s);

	gw_init(&s.writer);
	gw_tensor(&s.writer, "wide", LLM_TYPE_Q8_0, 2, wide, NULL, (((1 << 20) + 32) / 32) * 34);
	gw_finish(&s.writer);
	open_source(&s);
	CHECK(llm_packer_begin(&s.weights, NULL, alloc, &packer, &total, &err) == LLM_E_LIMIT && strstr(err.detail, "1048608"));
	close_source(&s);
}

/* cut, or written to, while it is packed */
static void
test_changing_source(void)
{
	for (int cut = 0; cut < 2; cut++)
	{
		const uint64_t dims[] = {1024, 1024};
		const uint8_t *base;
		size_t		size;
		LlmError	err;
		Source		s;

		gw_init(&s.writer);
		gw_tensor(&s.writer, "large", LLM_TYPE_F32, 2, dims, NULL, 4 << 20);
		gw_finish(&s.writer);
		open_source(&s);
		if (cut)
			CHECK(ftruncate(s.fd, 2 << 20) == 0);
		else
		{
			struct timespec past[2] = {{1000, 0}, {1000, 0}};

			CHECK(futimens(s.fd, past) == 0);
		}
		CHECK(llm_pack_to_memory(&s.weights, alloc, NULL, &base, &size, &err) == LLM_E_FORMAT);
		CHECK(strstr(err.message, cut ? "ends too early" : "was changed"));
		close_source(&s);
	}
}

/* as a file that is mapped */
static void
test_mapped(const Source *s, const uint8_t *expected, size_t size)
{
	char		path[] = "/tmp/llm-pack-XXXXXX";
	int			fd = mkstemp(path);
	const uint8_t *base;
	size_t		mapped;
	LlmPack		pack;
	LlmError	err;

	CHECK(fd >= 0 && write(fd, expected, size) == (ssize_t) size);
	close(fd);
	CHECK_MSG(llm_map_open(path, &base, &mapped, &err) == LLM_OK && mapped == size, "%s", err.message);
	CHECK(llm_pack_open(base, mapped, alloc, &pack, &err) == LLM_OK);
	check_values(s, &pack);
	llm_pack_close(&pack);
	llm_pack_close(&pack);
	llm_map_close(base, mapped);
	unlink(path);
}

/* directory and short vectors are those of the whole; what is not read costs no room of its own */
static void
test_outline(const Source *s, const uint8_t *whole, size_t whole_size)
{
	LlmPack		pack;
	LlmPack		full;
	const uint8_t *base;
	size_t		size;
	size_t		n_read = 0;
	size_t		largest = 0;	/* of what is not read */
	LlmError	err;

	CHECK_MSG(llm_pack_outline(&s->weights, alloc, NULL, &base, &size, &err) == LLM_OK, "%s", err.message);
	CHECK_MSG(llm_pack_open(base, size, alloc, &pack, &err) == LLM_OK, "%s %s", err.message, err.detail);
	CHECK(llm_pack_open(whole, whole_size, alloc, &full, &err) == LLM_OK);
	CHECK(pack.n_tensors == full.n_tensors && pack.meta.n_entries == full.meta.n_entries);
	for (uint64_t i = 0; i < pack.n_tensors; i++)
	{
		const LlmPackTensor *a = &pack.tensors[i];
		const LlmPackTensor *b = &full.tensors[i];
		bool		is_read = b->is_vector && b->n_cols <= 65536;
		size_t		n_zeros = 0;

		CHECK(a->type == b->type && a->source_type == b->source_type && a->is_vector == b->is_vector && a->n_bytes == b->n_bytes);
		CHECK(a->n_cols == b->n_cols && a->n_rows == b->n_rows && a->n_stack == b->n_stack);
		n_read += is_read ? a->n_bytes : 0;
		largest = !is_read && a->n_bytes > largest ? a->n_bytes : largest;
		CHECK(!is_read || memcmp(a->data, b->data, a->n_bytes) == 0);
		while (!is_read && n_zeros < a->n_bytes && a->data[n_zeros] == 0)
			n_zeros++;
		CHECK(is_read || n_zeros == a->n_bytes);
	}
	CHECK_MSG(size <= n_read + largest + 64 * 1024, "%zu bytes: %zu read, at most %zu not", size, n_read, largest);
	llm_pack_close(&full);
	llm_pack_close(&pack);
	llm_memory_pack_free(base, size);
}

/* a stop keeps nothing, and neither does a refused allocation */
static void
test_outline_fails(const Source *s)
{
	const LlmStop stop = {always, NULL};
	const uint8_t *base = NULL;
	size_t		size = 0;
	LlmError	err;

	CHECK(llm_pack_outline(&s->weights, alloc, &stop, &base, &size, &err) == LLM_PAUSED && base == NULL && size == 0);
	for (long k = 0;; k++)
	{
		FailAlloc	fa;
		LlmStatus	status;

		fail_alloc_init(&fa, k);
		status = llm_pack_outline(&s->weights, &fa.allocator, NULL, &base, &size, &err);
		if (status == LLM_OK)
			llm_memory_pack_free(base, size);
		CHECK(status == (fa.refused ? LLM_E_NOMEM : LLM_OK));
		CHECK(fa.n_alive == 0);
		if (!fa.refused)
			break;
	}
}

int
main(void)
{
	uint8_t		digest[LLM_DIGEST_BYTES];
	LlmPacker  *packer;
	LlmError	err;
	LlmPack		pack;
	const uint8_t *base;
	size_t		size;
	uint64_t	total = 0;
	Source		s;

	gw_init(&s.writer);
	make_model(&s.writer);
	open_source(&s);
	CHECK_MSG(llm_pack_to_memory(&s.weights, alloc, NULL, &base, &size, &err) == LLM_OK, "%s", err.message);
	CHECK((uintptr_t) base % LLMK_ALIGN == 0);
	CHECK_MSG(llm_pack_open(base, size, alloc, &pack, &err) == LLM_OK, "%s %s", err.message, err.detail);
	CHECK(pack.source_bytes == s.writer.file.len && pack.meta.n_entries == 2);
	check_values(&s, &pack);
	check_lookups(&pack);
	llm_pack_close(&pack);
	test_pauses(&s, base, size);
	test_threads(&s, base, size);
	test_unfinished(&s, size);
	test_no_memory(&s);
	test_mapped(&s, base, size);
	test_outline(&s, base, size);
	test_outline_fails(&s);
	llm_memory_pack_free(base, size);

	/* a digest and tables are kept */
	for (int i = 0; i < LLM_DIGEST_BYTES; i++)
		digest[i] = (uint8_t) (i + 1);
	CHECK(llm_packer_begin_with(&s.weights, digest, (LlmStr) {"some tables", 11}, alloc, &packer, &total, &err) == LLM_OK &&
		  total == size + LLMK_ALIGN);
	size = total;
	{
		MemorySink	memory = {.base = aligned_alloc(LLMK_ALIGN, size), .size = size, .fail_at = -1};
		LlmPackSink sink = {.write = memory_sink_write, .ctx = &memory};
		uint8_t		found[LLM_DIGEST_BYTES];

		memset(memory.base, 0, size);
		CHECK(llm_packer_run(packer, &sink, NULL, &err) == LLM_OK);
		CHECK(llm_pack_open(memory.base, size, alloc, &pack, &err) == LLM_OK);
		CHECK(memcmp(pack.digest, digest, LLM_DIGEST_BYTES) == 0);
		CHECK(pack.tables_bytes == 11 && memcmp(pack.tables, "some tables", 11) == 0 && (uintptr_t) pack.tables % LLMK_ALIGN == 0);
		check_values(&s, &pack);
		CHECK(llm_pack_check(memory.base, size, found, &err) == LLM_OK && memcmp(found, digest, LLM_DIGEST_BYTES) == 0);
		memory.base[pack.tables - memory.base] ^= 1;
		CHECK(llm_pack_check(memory.base, size, found, &err) == LLM_E_FORMAT);
		llm_pack_close(&pack);
		CHECK(llm_pack_open(memory.base, size, alloc, &pack, &err) == LLM_E_FORMAT);
		free(memory.base);
	}
	llm_packer_free(packer);
	close_source(&s);

	/* damage: a small model, so that every byte can be tried */
	gw_init(&s.writer);
	{
		const uint64_t dims[] = {64, 9};
		const uint64_t vector[] = {64};

		gw_string(&s.writer, "general.architecture", "llama");
		gw_tensor(&s.writer, "b.weight", LLM_TYPE_Q4_0, 2, dims, NULL, 9 * 36);
		gw_tensor(&s.writer, "a.weight", LLM_TYPE_F32, 2, dims, NULL, 9 * 256);
		gw_tensor(&s.writer, "a.norm", LLM_TYPE_F32, 1, vector, NULL, 256);
		gw_finish(&s.writer);
	}
	open_source(&s);
	CHECK(llm_packer_begin_with(&s.weights, NULL, (LlmStr) {"tables of a tokenizer", 21}, alloc, &packer, &total, &err) == LLM_OK);
	size = total;
	{
		MemorySink	memory = {.base = aligned_alloc(LLMK_ALIGN, size), .size = size, .fail_at = -1};
		LlmPackSink sink = {.write = memory_sink_write, .ctx = &memory};

		memset(memory.base, 0, size);
		CHECK(llm_packer_run(packer, &sink, NULL, &err) == LLM_OK);
		test_damage(memory.base, size);
		free(memory.base);
	}
	llm_packer_free(packer);
	close_source(&s);

	test_refusals();
	test_changing_source();
	CHECK_DONE();
}
