/*
 * gguf_test.c: the GGUF reader on good files, and on files with every field, every length and random bytes damaged.
 * A damaged file must give an error or be read; it must never crash, leak, or ask for memory that its size does not justify.
 */
#include "weights/gguf.h"
#include "check.h"
#include "fail_alloc.h"
#include "gguf_writer.h"

#include <math.h>

static const LlmAllocator *const alloc = &llm_malloc_allocator;

/* a file with every kind of key and several tensors */
static void
make_sample(GgufWriter *w)
{
	static const char *const tokens[] = {"a", "", "\xC3\xA4\"\\\n", "long token text"};
	static const int32_t types[] = {1, -2, 3, 4};
	static const float scores[] = {0.5f, -1.25f, 1e-5f, INFINITY};
	const uint64_t matrix[] = {64, 3};
	const uint64_t stack[] = {32, 2, 2};
	const uint64_t vector[] = {5};
	const uint64_t block[] = {256, 1};
	float		data[192];

	for (int i = 0; i < 192; i++)
		data[i] = (float) i;
	gw_string(w, "general.architecture", "llama");
	gw_u32(w, "general.alignment", 64);
	gw_key(w, "k.u8", 0, "\xFF", 1);
	gw_key(w, "k.i8", 1, "\xFF", 1);
	gw_u16(w, "k.u16", 65535);
	gw_key(w, "k.i16", 3, "\xFE\xFF", 2);
	gw_u32(w, "k.u32", 4000000000u);
	gw_i32(w, "k.i32", -5);
	gw_u64(w, "k.u64", UINT64_MAX);
	gw_key(w, "k.i64", 11, "\xFD\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8);
	gw_f32(w, "k.f32", 1e-5f);
	gw_f64(w, "k.f64", 0.1);
	gw_f32(w, "k.nan", NAN);
	gw_bool(w, "k.true", 1);
	gw_bool(w, "k.false", 0);
	gw_strings(w, "k.tokens", tokens, 4);
	gw_i32s(w, "k.types", types, 4);
	gw_f32s(w, "k.scores", scores, 4);
	gw_array(w, "k.bools", 7, 3);
	gw_put(&w->keys, "\1\0\1", 3);
	gw_strings(w, "k.none", NULL, 0);
	gw_tensor(w, "output.weight", LLM_TYPE_F32, 2, matrix, data, 64 * 3 * 4);
	gw_tensor(w, "blk.0.attn_q.weight", LLM_TYPE_Q8_0, 2, matrix, NULL, 34 * 6);
	gw_tensor(w, "blk.0.exps", LLM_TYPE_Q4_0, 3, stack, NULL, 18 * 4);
	gw_tensor(w, "norm", LLM_TYPE_F32, 1, vector, data, 5 * 4);
	gw_tensor(w, "iq", LLM_TYPE_IQ4_XS, 2, block, NULL, 136);
	gw_finish(w);
}

/* open these bytes as a file; closes again unless keep is given */
static LlmStatus
open_bytes(const void *data, size_t len, const LlmAllocator *a, LlmGguf *keep, LlmError *err)
{
	char		path[64];
	int			fd = gw_memfd(data, len, path);
	LlmGguf		gguf;
	LlmStatus	status = llm_gguf_open(path, a, NULL, &gguf, err);

	close(fd);
	if (status == LLM_OK && keep)
		*keep = gguf;
	else if (status == LLM_OK)
		llm_gguf_close(&gguf);
	return status;
}

static bool
str_is(LlmStr s, const char *expected)
{
	return s.len == strlen(expected) && memcmp(s.data, expected, s.len) == 0;
}

static void
check_directory(const LlmGguf *g, uint32_t version)
{
	const LlmTensor *t;

	CHECK(g->version == version && g->n_tensors == 5 && g->meta.n_entries == 20);
	CHECK(str_is(g->tensors[0].name, "output.weight"));
	t = llm_gguf_find(g, "output.weight");
	CHECK(t == &g->tensors[0]);
	CHECK(t->type == LLM_TYPE_F32 && t->n_dims == 2 && t->dim[0] == 64 && t->dim[1] == 3 && t->dim[2] == 1 && t->dim[3] == 1);
	CHECK(t->n_bytes == 768 && t->offset % 64 == 0);
	t = llm_gguf_find(g, "blk.0.exps");
	CHECK(t && t->n_dims == 3 && t->dim[2] == 2 && t->n_bytes == 72 && t->type == LLM_TYPE_Q4_0);
	t = llm_gguf_find(g, "iq");
	CHECK(t && t->type == LLM_TYPE_IQ4_XS && t->offset + t->n_bytes == g->file.size_bytes);
	CHECK(llm_gguf_find(g, "nor") == NULL && llm_gguf_find(g, "norm2") == NULL && llm_gguf_find(g, "") == NULL);
	t = llm_gguf_find(g, "norm");
	CHECK(t && t->n_dims == 1 && t->n_bytes == 20);
	if (t)
	{
		float		values[5];
		LlmError	err;

		CHECK(llm_file_read(&g->file, t->offset, values, sizeof(values), NULL, &err) == LLM_OK && values[4] == 4.0f);
	}
}

static void
check_typed_reads(const LlmMeta *meta)
{
	LlmError	err;
	uint64_t	u = 77;
	double		d = 77;
	bool		b = true;
	LlmStr		s = {"x", 1};
	const LlmMetaArray *array = NULL;

	/* absent: untouched, or an error */
	CHECK(llm_meta_uint(meta, "absent", false, 10, &u, &err) == LLM_OK && u == 77);
	CHECK(llm_meta_uint(meta, "absent", true, 10, &u, &err) == LLM_E_FORMAT && strstr(err.message, "\"absent\""));
	CHECK(llm_meta_float(meta, "absent", false, &d, &err) == LLM_OK && d == 77);
	CHECK(llm_meta_string(meta, "absent", false, &s, &err) == LLM_OK && s.len == 1);
	CHECK(llm_meta_bool(meta, "absent", true, &b, &err) == LLM_E_FORMAT && b);
	CHECK(llm_meta_array(meta, "absent", false, LLM_META_STRING, &array, &err) == LLM_OK && !array);

	CHECK(llm_meta_uint(meta, "k.u8", true, UINT64_MAX, &u, &err) == LLM_OK && u == 255);
	CHECK(llm_meta_uint(meta, "k.u16", true, UINT64_MAX, &u, &err) == LLM_OK && u == 65535);
	CHECK(llm_meta_uint(meta, "k.u32", true, UINT64_MAX, &u, &err) == LLM_OK && u == 4000000000u);
	CHECK(llm_meta_uint(meta, "k.u64", true, UINT64_MAX, &u, &err) == LLM_OK && u == UINT64_MAX);
	u = 77;
	CHECK(llm_meta_uint(meta, "k.u64", true, 1000, &u, &err) == LLM_E_FORMAT && u == 77);
	CHECK(strstr(err.detail, "18446744073709551615") && strstr(err.detail, "1000"));
	CHECK(llm_meta_uint(meta, "k.u16", true, 65534, &u, &err) == LLM_E_FORMAT);
	CHECK(llm_meta_uint(meta, "k.i8", true, UINT64_MAX, &u, &err) == LLM_E_FORMAT && strstr(err.detail, "-1"));
	CHECK(llm_meta_uint(meta, "k.i16", true, UINT64_MAX, &u, &err) == LLM_E_FORMAT && strstr(err.detail, "-2"));
	CHECK(llm_meta_uint(meta, "k.i32", true, UINT64_MAX, &u, &err) == LLM_E_FORMAT && strstr(err.detail, "-5"));
	CHECK(llm_meta_uint(meta, "k.i64", true, UINT64_MAX, &u, &err) == LLM_E_FORMAT && strstr(err.detail, "-3"));
	CHECK(llm_meta_uint(meta, "k.f32", true, UINT64_MAX, &u, &err) == LLM_E_FORMAT && strstr(err.detail, "float32"));
	CHECK(llm_meta_uint(meta, "k.true", true, UINT64_MAX, &u, &err) == LLM_E_FORMAT);
	CHECK(llm_meta_uint(meta, "k.tokens", true, UINT64_MAX, &u, &err) == LLM_E_FORMAT && strstr(err.detail, "array of string"));

	CHECK(llm_meta_float(meta, "k.f32", true, &d, &err) == LLM_OK && d == (double) 1e-5f);
	CHECK(llm_meta_float(meta, "k.f64", true, &d, &err) == LLM_OK && d == 0.1);
	CHECK(llm_meta_float(meta, "k.i32", true, &d, &err) == LLM_OK && d == -5);
	CHECK(llm_meta_float(meta, "k.u64", true, &d, &err) == LLM_OK && d == 18446744073709551616.0);
	CHECK(llm_meta_float(meta, "k.nan", true, &d, &err) == LLM_E_FORMAT);
	CHECK(llm_meta_float(meta, "k.true", true, &d, &err) == LLM_E_FORMAT);

	CHECK(llm_meta_bool(meta, "k.true", true, &b, &err) == LLM_OK && b);
	CHECK(llm_meta_bool(meta, "k.false", true, &b, &err) == LLM_OK && !b);
	CHECK(llm_meta_bool(meta, "k.u8", true, &b, &err) == LLM_E_FORMAT);
	CHECK(llm_meta_string(meta, "general.architecture", true, &s, &err) == LLM_OK && str_is(s, "llama"));
	CHECK(llm_meta_string(meta, "k.u8", true, &s, &err) == LLM_E_FORMAT);

	CHECK(llm_meta_array(meta, "k.tokens", true, LLM_META_STRING, &array, &err) == LLM_OK && array->count == 4);
	CHECK(str_is(llm_meta_array_string(array, 0), "a") && str_is(llm_meta_array_string(array, 1), ""));
	CHECK(str_is(llm_meta_array_string(array, 3), "long token text"));
	CHECK(llm_meta_array(meta, "k.tokens", true, LLM_META_INT32, &array, &err) == LLM_E_FORMAT);
	CHECK(llm_meta_array(meta, "k.u8", true, LLM_META_INT32, &array, &err) == LLM_E_FORMAT);
	CHECK(llm_meta_array(meta, "k.types", true, LLM_META_INT32, &array, &err) == LLM_OK);
	CHECK(llm_meta_array_int(array, 0) == 1 && llm_meta_array_int(array, 1) == -2 && llm_meta_array_float(array, 1) == -2);
	CHECK(llm_meta_array(meta, "k.scores", true, LLM_META_FLOAT32, &array, &err) == LLM_OK);
	CHECK(llm_meta_array_float(array, 1) == -1.25);
	CHECK(llm_meta_array(meta, "k.bools", true, LLM_META_BOOL, &array, &err) == LLM_OK && llm_meta_array_int(array, 2) == 1);
	CHECK(llm_meta_array(meta, "k.none", true, LLM_META_STRING, &array, &err) == LLM_OK && array->count == 0);
}

static void
check_json(const LlmMeta *meta, const char *key, uint64_t max, const char *expected)
{
	const LlmMetaEntry *entry = llm_meta_find(meta, key);
	LlmBuf		buf;
	LlmError	err;

	llm_buf_init(&buf, alloc);
	CHECK(entry && llm_meta_entry_json(entry, max, &buf, &err) == LLM_OK);
	CHECK_MSG(buf.len == strlen(expected) && memcmp(buf.data, expected, buf.len) == 0, "%s: %.*s", key, (int) buf.len, buf.data);
	llm_buf_free(&buf);
}

static void
test_good(void)
{
	GgufWriter	w;
	LlmGguf		g;
	LlmError	err;

	for (uint32_t version = 2; version <= 3; version++)
	{
		gw_init(&w);
		w.version = version;
		make_sample(&w);
		CHECK_MSG(open_bytes(w.file.data, w.file.len, alloc, &g, &err) == LLM_OK, "%s %s", err.message, err.detail);
		check_directory(&g, version);
		check_typed_reads(&g.meta);
		check_json(&g.meta, "k.u8", 9, "255");
		check_json(&g.meta, "k.i64", 9, "-3");
		check_json(&g.meta, "k.u64", 9, "18446744073709551615");
		check_json(&g.meta, "k.f32", 9, "1e-05");
		check_json(&g.meta, "k.f64", 9, "0.1");
		check_json(&g.meta, "k.nan", 9, "null");
		check_json(&g.meta, "k.true", 9, "true");
		check_json(&g.meta, "general.architecture", 9, "\"llama\"");
		check_json(&g.meta, "k.tokens", 9, "[\"a\",\"\",\"\xC3\xA4\\\"\\\\\\n\",\"long token text\"]");
		check_json(&g.meta, "k.tokens", 1, "[\"a\"]");
		check_json(&g.meta, "k.scores", 9, "[0.5,-1.25,1e-05,null]");
		check_json(&g.meta, "k.bools", 2, "[true,false]");
		check_json(&g.meta, "k.none", 9, "[]");
		llm_gguf_close(&g);
		llm_gguf_close(&g);		/* closing twice is harmless */
		gw_free(&w);
	}
	/* metadata only, as vocabulary files are */
	gw_init(&w);
	gw_string(&w, "k", "ill-formed \xFF\xC3");
	gw_finish(&w);
	CHECK(open_bytes(w.file.data, w.file.len, alloc, &g, &err) == LLM_OK && g.n_tensors == 0);
	check_json(&g.meta, "k", 9, "\"ill-formed \xEF\xBF\xBD\xEF\xBF\xBD\"");
	llm_gguf_close(&g);
	gw_free(&w);
	gw_init(&w);
	gw_finish(&w);
	CHECK(open_bytes(w.file.data, w.file.len, alloc, NULL, &err) == LLM_OK);
	gw_free(&w);
}

static void
test_truncation(void)
{
	GgufWriter	w;
	LlmError	err;

	gw_init(&w);
	make_sample(&w);
	for (size_t len = 0; len < w.file.len; len++)
	{
		CHECK_MSG(open_bytes(w.file.data, len, alloc, NULL, &err) == LLM_E_FORMAT, "%zu bytes of %zu", len, w.file.len);
		CHECK(err.message[0] && err.detail[0]);
	}
	CHECK(open_bytes(w.file.data, w.file.len, alloc, NULL, &err) == LLM_OK);
	gw_free(&w);
}

/* every field of the directory with values at and around its limits */
static void
test_fields(void)
{
	GgufWriter	w;
	LlmError	err;
	long		n_refused = 0;
	long		n_read = 0;

	gw_init(&w);
	make_sample(&w);
	for (size_t m = 0; m < w.n_marks; m++)
	{
		uint8_t    *field = w.file.data + w.marks[m].off;
		uint64_t	good = 0;
		uint64_t	values[] = {0, 1, 2, 5, 9, 12, 13, 31, 32, 33, 255, 65535, 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
			(uint64_t) 1 << 32, (uint64_t) 1 << 40, (uint64_t) 1 << 61, (uint64_t) 1 << 62, INT64_MAX,
		(uint64_t) 1 << 63, UINT64_MAX, UINT64_MAX - 7, w.file.len, 0, 0, 0};
		size_t		n_values = sizeof(values) / sizeof(values[0]);

		memcpy(&good, field, (size_t) w.marks[m].n_bytes);
		values[n_values - 3] = good - 1;
		values[n_values - 2] = good + 1;
		values[n_values - 1] = good ^ 0x80;
		for (size_t i = 0; i < n_values; i++)
		{
			FailAlloc	fa;
			LlmStatus	status;

			fail_alloc_init(&fa, -1);
			memcpy(field, &values[i], (size_t) w.marks[m].n_bytes);
			status = open_bytes(w.file.data, w.file.len, &fa.allocator, NULL, &err);
			CHECK_MSG(status == LLM_OK || status == LLM_E_FORMAT || status == LLM_E_UNSUPPORTED || status == LLM_E_LIMIT,
					  "%s = %llu: status %d", w.marks[m].what, (unsigned long long) values[i], status);
			CHECK(fa.n_alive == 0);
			CHECK_MSG(fa.largest_bytes <= 100000, "%s = %llu: %zu bytes asked", w.marks[m].what,
					  (unsigned long long) values[i], fa.largest_bytes);
			if (status == LLM_OK)
				n_read++;
			else
				n_refused++;

			/* fields of which only the right value can be read; fewer tensors leave the rest unnamed */
			if (memcmp(field, &good, (size_t) w.marks[m].n_bytes) != 0 &&
				(strcmp(w.marks[m].what, "magic") == 0 || strcmp(w.marks[m].what, "key count") == 0 ||
				 strcmp(w.marks[m].what, "tensor count") == 0 || strcmp(w.marks[m].what, "dimension count") == 0))
				CHECK_MSG(status != LLM_OK || (strcmp(w.marks[m].what, "tensor count") == 0 && values[i] < good),
						  "%s = %llu was read", w.marks[m].what, (unsigned long long) values[i]);
		}
		memcpy(field, &good, (size_t) w.marks[m].n_bytes);
	}
	printf("%zu fields damaged: %ld refused, %ld still readable\n", w.n_marks, n_refused, n_read);
	CHECK(n_refused > 1000);
	CHECK(open_bytes(w.file.data, w.file.len, alloc, NULL, &err) == LLM_OK);
	gw_free(&w);
}

static uint32_t
next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t) (*state >> 33);
}

static void
test_mutations(void)
{
	GgufWriter	w;
	uint64_t	random = 7;
	uint8_t    *bytes;
	size_t		directory;
	long		n_read = 0;

	gw_init(&w);
	make_sample(&w);
	directory = 24 + w.keys.len + w.list.len;
	bytes = gw_grow(NULL, w.file.len + 16);
	for (int i = 0; i < 2000; i++)
	{
		LlmError	err;
		FailAlloc	fa;
		size_t		len = w.file.len;
		LlmStatus	status;

		memcpy(bytes, w.file.data, len);
		for (uint32_t n = next_random(&random) % 4 + 1; n > 0; n--)
		{
			size_t		at = next_random(&random) % directory;
			uint32_t	kind = next_random(&random) % 8;

			if (kind < 5)
				bytes[at] = (uint8_t) next_random(&random);
			else if (kind == 5)
				bytes[at] ^= (uint8_t) (1u << next_random(&random) % 8);
			else if (kind == 6 && len > directory)
				memmove(bytes + at, bytes + at + 1, --len - at);
			else if (len < w.file.len + 16)
				memmove(bytes + at + 1, bytes + at, len++ - at);
		}
		fail_alloc_init(&fa, -1);
		status = open_bytes(bytes, len, &fa.allocator, NULL, &err);
		CHECK(status == LLM_OK || status == LLM_E_FORMAT || status == LLM_E_UNSUPPORTED || status == LLM_E_LIMIT);
		CHECK(fa.n_alive == 0 && fa.largest_bytes <= 100000);
		n_read += status == LLM_OK;
	}
	printf("2000 mutations: %ld readable\n", n_read);
	free(bytes);
	gw_free(&w);
}

static void
test_no_memory(void)
{
	GgufWriter	w;
	LlmError	err;

	gw_init(&w);
	make_sample(&w);
	for (long k = 0;; k++)
	{
		FailAlloc	fa;
		LlmStatus	status;

		fail_alloc_init(&fa, k);
		status = open_bytes(w.file.data, w.file.len, &fa.allocator, NULL, &err);
		CHECK(status == (fa.refused ? LLM_E_NOMEM : LLM_OK));
		CHECK(fa.n_alive == 0);
		if (!fa.refused)
		{
			CHECK(k >= 4);
			break;
		}
	}
	gw_free(&w);
}

/* one refused file; part must be in the message or detail */
static void
check_refused(GgufWriter *w, LlmStatus expected, const char *part)
{
	LlmError	err;
	LlmStatus	status;

	gw_finish(w);
	status = open_bytes(w->file.data, w->file.len, alloc, NULL, &err);
	CHECK_MSG(status == expected, "\"%s\": status %d", part, status);
	if (status != LLM_OK)
		CHECK_MSG(strstr(err.message, part) || strstr(err.detail, part), "\"%s\" not in: %s | %s", part, err.message, err.detail);
	gw_free(w);
	gw_init(w);
}

static void
test_refusals(void)
{
	static const uint32_t alignments[] = {0, 1, 4, 7, 24, 48, 131072, 0x80000000};
	const uint64_t dims[] = {32, 2, 1, 1, 1};
	const uint64_t no_dims[] = {32, 0};
	const uint64_t huge[] = {(uint64_t) 1 << 40, (uint64_t) 1 << 40};
	const uint64_t negative[] = {(uint64_t) 1 << 63};
	const uint64_t odd[] = {33, 2};
	char		longname[80];
	GgufWriter	w;

	gw_init(&w);
	w.version = 1;
	check_refused(&w, LLM_E_UNSUPPORTED, "version 1");
	w.version = 4;
	check_refused(&w, LLM_E_UNSUPPORTED, "version 4");
	w.version = 0x03000000;
	check_refused(&w, LLM_E_UNSUPPORTED, "big-endian");
	w.version = 0;
	check_refused(&w, LLM_E_FORMAT, "version 0");

	gw_u16(&w, "split.count", 3);
	check_refused(&w, LLM_E_FORMAT, "split.no");
	gw_u16(&w, "split.count", 1);
	check_refused(&w, LLM_OK, "");
	gw_u32(&w, "k", 1);
	gw_string(&w, "k", "again");
	check_refused(&w, LLM_E_FORMAT, "metadata key \"k\" appears more than once");
	gw_array(&w, "nested", 9, 1);
	gw_put(&w.keys, NULL, 100);
	check_refused(&w, LLM_E_UNSUPPORTED, "\"nested\" is an array of arrays");
	gw_array(&w, "array", 13, 1);
	gw_put(&w.keys, NULL, 100);
	check_refused(&w, LLM_E_FORMAT, "unknown element type 13");
	gw_key(&w, "typed", 13, "x", 1);
	gw_put(&w.keys, NULL, 100);
	check_refused(&w, LLM_E_FORMAT, "unknown type 13");
	gw_bool(&w, "bool", 2);
	check_refused(&w, LLM_E_FORMAT, "\"bool\"");
	gw_u32(&w, "", 1);
	check_refused(&w, LLM_E_FORMAT, "metadata key");
	gw_key(&w, "x", 9, "\x08\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x1F", 12);
	gw_put(&w.keys, NULL, 100);
	check_refused(&w, LLM_E_FORMAT, "reaches past the end");

	for (size_t i = 0; i < sizeof(alignments) / sizeof(alignments[0]); i++)
	{
		gw_u32(&w, "general.alignment", alignments[i]);
		w.alignment = 32;
		check_refused(&w, LLM_E_FORMAT, "general.alignment");
	}
	gw_string(&w, "general.alignment", "32");
	check_refused(&w, LLM_E_FORMAT, "general.alignment");

	gw_tensor(&w, "t", 99, 2, dims, NULL, 256);
	check_refused(&w, LLM_E_UNSUPPORTED, "tensor \"t\"");
	gw_tensor(&w, "t", 99, 2, dims, NULL, 256);
	check_refused(&w, LLM_E_UNSUPPORTED, "unknown type 99");
	gw_tensor(&w, "t", 4, 2, dims, NULL, 256);	/* Q4_2, removed from the format */
	check_refused(&w, LLM_E_UNSUPPORTED, "unknown type 4");
	gw_tensor(&w, "t", 0xFFFFFFFF, 2, dims, NULL, 256);
	check_refused(&w, LLM_E_UNSUPPORTED, "4294967295");
	gw_tensor(&w, "t", LLM_TYPE_F32, 0, dims, NULL, 256);
	check_refused(&w, LLM_E_FORMAT, "0 dimensions");
	gw_tensor(&w, "t", LLM_TYPE_F32, 5, dims, NULL, 256);
	check_refused(&w, LLM_E_FORMAT, "5 dimensions");
	gw_tensor(&w, "t", LLM_TYPE_F32, 2, no_dims, NULL, 256);
	check_refused(&w, LLM_E_FORMAT, "Dimension 1 is 0");
	gw_tensor(&w, "t", LLM_TYPE_F32, 2, huge, NULL, 256);
	check_refused(&w, LLM_E_FORMAT, "their product below 2^63");
	gw_tensor(&w, "t", LLM_TYPE_F32, 1, negative, NULL, 256);
	check_refused(&w, LLM_E_FORMAT, "Dimension 0");
	gw_tensor(&w, "t", LLM_TYPE_Q8_0, 2, odd, NULL, 256);
	check_refused(&w, LLM_E_FORMAT, "multiple of 32");
	gw_tensor(&w, "t", LLM_TYPE_F32, 1, huge, NULL, 256);
	check_refused(&w, LLM_E_FORMAT, "reaches past the end");
	gw_tensor(&w, "t", LLM_TYPE_F32, 2, dims, NULL, 255);
	check_refused(&w, LLM_E_FORMAT, "reaches past the end");
	gw_tensor(&w, "", LLM_TYPE_F32, 2, dims, NULL, 256);
	check_refused(&w, LLM_E_FORMAT, "name has 0 bytes");
	memset(longname, 'n', 65);
	longname[65] = '\0';
	gw_tensor(&w, longname, LLM_TYPE_F32, 2, dims, NULL, 256);
	check_refused(&w, LLM_E_FORMAT, "name has 65 bytes");
	longname[64] = '\0';
	gw_tensor(&w, longname, LLM_TYPE_F32, 2, dims, NULL, 256);
	check_refused(&w, LLM_OK, "");
	gw_tensor(&w, "same", LLM_TYPE_F32, 2, dims, NULL, 256);
	gw_tensor(&w, "same", LLM_TYPE_F32, 2, dims, NULL, 256);
	check_refused(&w, LLM_E_FORMAT, "tensor \"same\" appears more than once");
	gw_tensor(&w, "one", LLM_TYPE_F32, 2, dims, NULL, 256);
	w.alignment = 1;			/* overlap: the second begins within the first */
	w.data.len = 128;
	gw_tensor(&w, "two", LLM_TYPE_F32, 2, dims, NULL, 256);
	w.alignment = 32;
	check_refused(&w, LLM_E_FORMAT, "overlaps tensor \"one\"");
	gw_put(&w.data, NULL, 5);
	w.alignment = 1;			/* misaligned */
	gw_tensor(&w, "one", LLM_TYPE_F32, 2, dims, NULL, 256);
	w.alignment = 32;
	check_refused(&w, LLM_E_FORMAT, "offset 5 is not a multiple of the alignment 32");
	gw_free(&w);
}

static void
test_other_files(void)
{
	static const char lfs[] = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n";
	LlmError	err;

	CHECK(open_bytes("", 0, alloc, NULL, &err) == LLM_E_FORMAT);
	CHECK(open_bytes("GGUF", 4, alloc, NULL, &err) == LLM_E_FORMAT);
	CHECK(open_bytes(lfs, sizeof(lfs), alloc, NULL, &err) == LLM_E_FORMAT && strstr(err.hint, "git lfs pull"));
	CHECK(open_bytes("<html><body>Not found</body></html>", 35, alloc, NULL, &err) == LLM_E_FORMAT &&
		  strstr(err.message, "is not a GGUF file"));
}

static bool
stop_after(void *opaque)
{
	return --*(int *) opaque < 0;
}

/* a file with n tensors, in no order of their names */
static void
many_tensors(GgufWriter *w, int n)
{
	const uint64_t dims[] = {8};
	char		name[32];

	gw_init(w);
	gw_strings(w, "none", NULL, 0);
	for (int i = 0; i < n; i++)
	{
		snprintf(name, sizeof(name), "tensor.%d", (int) ((int64_t) i * 7919 % n));
		gw_tensor(w, name, LLM_TYPE_F32, 1, dims, NULL, 32);
	}
	gw_finish(w);
}

/* many tensors and a directory of several megabytes: reading in pieces, pauses, counts beyond the limit */
static void
test_large(void)
{
	const uint64_t dims[] = {8};
	const int	n = 100000;
	GgufWriter	w;
	LlmGguf		g;
	LlmError	err;
	FailAlloc	fa;
	char		name[32];
	char		path[64];
	int			fd;
	int			n_pauses = 0;

	many_tensors(&w, n);
	fail_alloc_init(&fa, -1);
	CHECK(open_bytes(w.file.data, w.file.len, &fa.allocator, &g, &err) == LLM_OK && g.n_tensors == (uint64_t) n);
	for (int i = 0; i < n; i += 997)
	{
		const LlmTensor *t;

		snprintf(name, sizeof(name), "tensor.%d", i);
		t = llm_gguf_find(&g, name);
		CHECK(t && str_is(t->name, name));
	}
	llm_gguf_close(&g);
	CHECK(fa.n_alive == 0);

	/* stopped after more and more questions, in the end it gets through */
	fd = gw_memfd(w.file.data, w.file.len, path);
	for (int budget = 0;; budget++)
	{
		int			left = budget;
		LlmStop		stop = {stop_after, &left};
		LlmStatus	status = llm_gguf_open(path, alloc, &stop, &g, &err);

		if (status == LLM_OK)
			break;
		CHECK(status == LLM_PAUSED);
		n_pauses++;
	}
	CHECK(n_pauses >= 2);
	llm_gguf_close(&g);
	close(fd);

	/* one more of a name that is far away */
	gw_tensor(&w, "tensor.77", LLM_TYPE_F32, 1, dims, NULL, 32);
	check_refused(&w, LLM_E_FORMAT, "tensor \"tensor.77\" appears more than once");
	gw_free(&w);

	/* more keys or tensors than any model has, in a file that could hold them */
	gw_init(&w);
	gw_put(&w.data, NULL, (size_t) 40 << 20);
	w.n_keys = 65537;
	check_refused(&w, LLM_E_LIMIT, "65537 keys");
	gw_put(&w.data, NULL, (size_t) 40 << 20);
	w.n_tensors = 1000000;
	check_refused(&w, LLM_E_LIMIT, "1000000 tensors");
	gw_put(&w.data, NULL, (size_t) 1 << 20);
	w.n_tensors = 1000000;
	check_refused(&w, LLM_E_FORMAT, "1000000 tensors");
	gw_free(&w);
}

/* a directory that claims more than its limit, in a file of that size (all hole) */
static void
test_directory_limit(void)
{
	GgufWriter	w;
	LlmGguf		g;
	LlmError	err;
	FailAlloc	fa;
	char		path[64];
	int			fd;

	gw_init(&w);
	gw_key(&w, "k", 9, NULL, 0);
	gw_number(&w, &w.keys, 0, 4, "element type");
	gw_number(&w, &w.keys, (uint64_t) 1 << 34, 8, "element count");
	gw_finish(&w);
	fd = gw_memfd(w.file.data, w.file.len, path);
	CHECK(ftruncate(fd, ((off_t) 1 << 34) + 1000) == 0);
	fail_alloc_init(&fa, -1);
	CHECK(llm_gguf_open(path, &fa.allocator, NULL, &g, &err) == LLM_E_LIMIT);
	CHECK(strstr(err.detail, "268435456") && fa.n_alive == 0 && fa.largest_bytes <= ((size_t) 1 << 20));
	close(fd);
	gw_free(&w);
}

int
main(void)
{
	test_good();
	test_truncation();
	test_fields();
	test_mutations();
	test_no_memory();
	test_refusals();
	test_other_files();
	test_large();
	test_directory_limit();
	CHECK_DONE();
}
