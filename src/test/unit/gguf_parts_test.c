/*
 * gguf_parts_test.c: a model in three files reads and packs like the same in one; parts that are missing, mixed up, changed or
 * misnamed are refused, and each allocation that fails leaves nothing behind.
 */
#include "check.h"
#include "fail_alloc.h"
#include "gguf_writer.h"
#include "weights/gguf.h"
#include "weights/memory_pack.h"

#include <dirent.h>

#define N_PARTS 3
#define N_TENSORS 5

static char folder[] = "/tmp/gguf_parts_XXXXXX";

typedef struct Tensor
{
	const char *name;
	int			part;
	uint64_t	n_cols;
	uint64_t	n_rows;			/* 0: a vector */
} Tensor;

static const Tensor tensors[N_TENSORS] = {
	{"token_embd.weight", 0, 64, 11}, {"output_norm.weight", 1, 64, 0}, {"blk.0.ffn_up.weight", 1, 64, 24},
	{"blk.0.attn_q.weight", 2, 32, 9}, {"blk.0.attn_norm.weight", 2, 40, 0},
};

/* what one file says; the same in all files unless a test wants otherwise */
typedef struct Split
{
	int			no;				/* negative: no keys of parts */
	int			count;
	int			n_tensors;
} Split;

/* valid until the fourth call after */
static const char *
part_path(const char *name, int no, int count)
{
	static char path[4][256];
	static int	turn;
	char	   *p = path[turn++ % 4];

	snprintf(p, 256, "%s/%s-%05d-of-%05d.gguf", folder, name, no + 1, count);
	return p;
}

static void
add_tensor(GgufWriter *w, const Tensor *t)
{
	const uint64_t dims[] = {t->n_cols, t->n_rows};
	const size_t n = (size_t) (t->n_cols * (t->n_rows ? t->n_rows : 1));
	float	   *data = gw_grow(NULL, n * sizeof(float));

	for (size_t i = 0; i < n; i++)
		data[i] = (float) i + (float) (t - tensors) / 8;
	gw_tensor(w, t->name, LLM_TYPE_F32, t->n_rows ? 2 : 1, dims, data, n * sizeof(float));
	free(data);
}

/* the file of one part, or of all tensors (part < 0) */
static void
write_file(const char *path, int part, const Split *split)
{
	GgufWriter	w;
	FILE	   *f = fopen(path, "wb");

	gw_init(&w);
	if (part <= 0)
		gw_string(&w, "general.architecture", "llama");
	if (split->no >= 0)
	{
		gw_u16(&w, "split.no", (uint16_t) split->no);
		gw_u16(&w, "split.count", (uint16_t) split->count);
		gw_i32(&w, "split.tensors.count", split->n_tensors);
	}
	for (int i = 0; i < N_TENSORS; i++)
	{
		if (part < 0 || tensors[i].part == part)
			add_tensor(&w, &tensors[i]);
	}
	gw_finish(&w);
	CHECK(f && fwrite(w.file.data, 1, w.file.len, f) == w.file.len);
	if (f)
		CHECK(fclose(f) == 0);
	gw_free(&w);
}

static void
write_good(const char *name)
{
	for (int i = 0; i < N_PARTS; i++)
		write_file(part_path(name, i, N_PARTS), i, &(Split) {i, N_PARTS, N_TENSORS});
}

static void
clean_folder(void)
{
	DIR		   *dir = opendir(folder);
	struct dirent *entry;
	char		path[600];

	while (dir && (entry = readdir(dir)) != NULL)
	{
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		if (entry->d_name[0] != '.')
			CHECK(unlink(path) == 0);
	}
	if (dir)
		closedir(dir);
}

/* the number of the next descriptor: grows if one is left open */
static int
next_descriptor(void)
{
	int			fd = dup(0);

	close(fd);
	return fd;
}

static void
check_good(const LlmGguf *g)
{
	float		values[40];
	LlmError	err;
	uint64_t	size = 0;

	CHECK(g->n_parts == N_PARTS && g->n_tensors == N_TENSORS && llm_meta_find(&g->meta, "general.architecture"));
	for (uint32_t i = 0; i < N_PARTS; i++)
	{
		CHECK(strcmp(llm_gguf_file(g, i)->path, part_path("good", (int) i, N_PARTS)) == 0);
		size += llm_gguf_file(g, i)->size_bytes;
	}
	CHECK(llm_gguf_size_bytes(g) == size);
	for (int i = 0; i < N_TENSORS; i++)
	{
		const LlmTensor *t = llm_gguf_find(g, tensors[i].name);

		CHECK(t && (int) t->part == tensors[i].part && t == &g->tensors[i]);
		if (t && llm_file_read(llm_gguf_file(g, t->part), t->offset, values, sizeof values, NULL, &err) == LLM_OK)
			CHECK(values[7] == 7 + (float) i / 8);
		else
			CHECK(false);
	}
}

static void
open_pack(const char *path, const uint8_t **base, LlmPack *pack)
{
	LlmSource	source;
	LlmError	err;
	size_t		size;

	CHECK(llm_source_open(path, &llm_malloc_allocator, NULL, &source, &err) == LLM_OK);
	CHECK(llm_pack_to_memory(&source, &llm_malloc_allocator, NULL, base, &size, &err) == LLM_OK);
	llm_source_close(&source);
	CHECK(llm_pack_open(*base, size, &llm_malloc_allocator, pack, &err) == LLM_OK);
}

static void
test_same_as_one_file(void)
{
	char		whole[256];
	const uint8_t *base[2];
	LlmPack		pack[2];
	LlmGguf		g[2];
	LlmError	err;
	int			descriptor = next_descriptor();

	snprintf(whole, sizeof whole, "%s/whole.gguf", folder);
	write_file(whole, -1, &(Split) {-1, 0, 0});
	write_good("good");
	CHECK_MSG(llm_gguf_open(part_path("good", 0, N_PARTS), &llm_malloc_allocator, NULL, &g[0], &err) == LLM_OK, "%s", err.message);
	CHECK(llm_gguf_open(whole, &llm_malloc_allocator, NULL, &g[1], &err) == LLM_OK && g[1].n_parts == 1);
	check_good(&g[0]);
	for (int i = 0; i < 2; i++)
		open_pack(g[i].file.path, &base[i], &pack[i]);
	CHECK(pack[0].n_tensors == N_TENSORS && pack[1].n_tensors == N_TENSORS && pack[0].source_bytes == llm_gguf_size_bytes(&g[0]));
	for (int i = 0; i < N_TENSORS; i++)
	{
		const LlmPackTensor *a = &pack[0].tensors[i];
		const LlmPackTensor *b = &pack[1].tensors[i];

		CHECK(a->n_bytes == b->n_bytes && a->n_rows == b->n_rows && memcmp(a->data, b->data, a->n_bytes) == 0);
	}
	for (int i = 0; i < 2; i++)
	{
		size_t		size = pack[i].size;

		llm_pack_close(&pack[i]);
		llm_memory_pack_free(base[i], size);
		llm_gguf_close(&g[i]);
	}
	CHECK(next_descriptor() == descriptor);
	clean_folder();
}

/* bytes that are not a file of their own: read through a function, with pauses, in the file's stead */
typedef struct Kept
{
	uint8_t	   *bytes;
	uint64_t	size;
	int			n_pauses;
} Kept;

static LlmStatus
give_bytes(void *ctx, uint64_t offset, void *buf, size_t len, const LlmStop *stop, LlmError *err)
{
	Kept	   *kept = ctx;

	(void) err;
	CHECK(offset + len <= kept->size);
	if (llm_should_stop(stop) && kept->n_pauses-- > 0)
		return LLM_PAUSED;
	memcpy(buf, kept->bytes + offset, len);
	return LLM_OK;
}

static bool
stop_always(void *opaque)
{
	(void) opaque;
	return true;
}

static Kept
keep_file(const char *path)
{
	Kept		kept = {.n_pauses = 1};
	LlmFile		file;
	LlmError	err;

	CHECK(llm_file_open(path, &file, &err) == LLM_OK);
	kept.size = file.size_bytes;
	kept.bytes = malloc(kept.size);
	CHECK(kept.bytes && llm_file_read(&file, 0, kept.bytes, kept.size, NULL, &err) == LLM_OK);
	llm_file_close(&file);
	return kept;
}

static void
test_bytes(void)
{
	char		whole[256];
	LlmStop		stop = {stop_always, NULL};
	LlmSource	file;
	LlmSource	source;
	LlmError	err;
	Kept		kept;

	snprintf(whole, sizeof whole, "%s/whole.gguf", folder);
	write_file(whole, -1, &(Split) {-1, 0, 0});
	write_good("good");
	kept = keep_file(whole);
	CHECK(llm_source_open(whole, &llm_malloc_allocator, NULL, &file, &err) == LLM_OK);
	CHECK(llm_source_open_bytes("table", kept.size, give_bytes, &kept, &llm_malloc_allocator, &stop, &source, &err) == LLM_PAUSED);
	CHECK(llm_source_open_bytes("table", kept.size, give_bytes, &kept, &llm_malloc_allocator, &stop, &source, &err) == LLM_OK);
	CHECK(strcmp(source.path, "table") == 0 && source.n_tensors == file.n_tensors && llm_source_size_bytes(&source) == kept.size);
	CHECK(llm_source_check_unchanged(&source, &err) == LLM_OK);
	for (uint64_t i = 0; i < source.n_tensors; i++)
	{
		float		a[40];
		float		b[40];

		CHECK(llm_source_read(&source, &source.tensors[i], 0, 40, a, NULL, &err) == LLM_OK);
		CHECK(llm_source_read(&file, &file.tensors[i], 0, 40, b, NULL, &err) == LLM_OK && memcmp(a, b, sizeof a) == 0);
	}
	llm_source_close(&source);
	llm_source_close(&file);
	CHECK(llm_source_open_bytes("table", kept.size - 1, give_bytes, &kept, &llm_malloc_allocator, NULL, &source, &err) == LLM_E_FORMAT);
	free(kept.bytes);

	kept = keep_file(part_path("good", 0, N_PARTS));
	CHECK(llm_source_open_bytes("table", kept.size, give_bytes, &kept, &llm_malloc_allocator, NULL, &source, &err) == LLM_E_UNSUPPORTED &&
		  strstr(err.message, "one of 3 parts"));
	free(kept.bytes);
	clean_folder();
}

/* a part that is changed after opening is noticed */
static void
test_changed_part(void)
{
	LlmGguf		g;
	LlmError	err;

	write_good("good");
	CHECK(llm_gguf_open(part_path("good", 0, N_PARTS), &llm_malloc_allocator, NULL, &g, &err) == LLM_OK);
	CHECK(llm_gguf_check_unchanged(&g, &err) == LLM_OK);
	CHECK(truncate(part_path("good", 2, N_PARTS), 40) == 0);
	CHECK(llm_gguf_check_unchanged(&g, &err) == LLM_E_FORMAT && strstr(err.message, "-00003-of-00003"));
	llm_gguf_close(&g);
	clean_folder();
}

static void
check_refused(const char *path, LlmStatus want, const char *says)
{
	LlmGguf		g;
	LlmError	err;
	int			descriptor = next_descriptor();
	LlmStatus	status = llm_gguf_open(path, &llm_malloc_allocator, NULL, &g, &err);

	CHECK_MSG(status == want, "%s: status %d", says, (int) status);
	if (status == LLM_OK)
		llm_gguf_close(&g);
	else
		CHECK_MSG(strstr(err.message, says) || strstr(err.detail, says), "%s not in %s | %s", says, err.message, err.detail);
	CHECK(next_descriptor() == descriptor);
}

static void
test_refusals(void)
{
	static const struct
	{
		Split		split;
		const char *says;
	}			wrong[] = {
		{{2, N_PARTS, N_TENSORS}, "says part 3 of 3"}, {{0, N_PARTS, N_TENSORS}, "says part 1 of 3"},
		{{1, 2, N_TENSORS}, "says part 2 of 2"}, {{1, N_PARTS, 4}, "with 4 tensors in all"}, {{-1, 0, 0}, "says part 1 of 1"},
	};
	char		first[256];
	char		other[256];

	snprintf(first, sizeof first, "%s", part_path("good", 0, N_PARTS));
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
	{
		write_good("good");
		write_file(part_path("good", 1, N_PARTS), 1, &wrong[i].split);
		check_refused(first, LLM_E_FORMAT, wrong[i].says);
	}
	write_good("good");
	check_refused(part_path("good", 1, N_PARTS), LLM_E_ARGUMENT, "is part 2 of 3");
	write_file(part_path("good", 2, N_PARTS), 1, &(Split) {2, N_PARTS, N_TENSORS});
	check_refused(first, LLM_E_FORMAT, "appears more than once");
	write_file(part_path("good", 2, N_PARTS), 5, &(Split) {2, N_PARTS, N_TENSORS});
	check_refused(first, LLM_E_FORMAT, "They have 3 tensors");
	CHECK(truncate(part_path("good", 2, N_PARTS), 20) == 0);
	check_refused(first, LLM_E_FORMAT, "-00003-of-00003.gguf");
	CHECK(unlink(part_path("good", 2, N_PARTS)) == 0);
	check_refused(first, LLM_E_IO, "-00003-of-00003.gguf");

	snprintf(other, sizeof other, "%s/other.gguf", folder);
	CHECK(rename(first, other) == 0);
	check_refused(other, LLM_E_ARGUMENT, "-00001-of-00003.gguf");
	CHECK(rename(other, part_path("good", 0, 4)) == 0);
	check_refused(part_path("good", 0, 4), LLM_E_ARGUMENT, "-00001-of-00003.gguf");
	write_file(first, -1, &(Split) {-1, 0, 0});
	check_refused(first, LLM_E_FORMAT, "split.count");
	write_file(part_path("many", 0, 300), 0, &(Split) {0, 300, N_TENSORS});
	check_refused(part_path("many", 0, 300), LLM_E_LIMIT, "300");
	clean_folder();
}

static void
test_names(void)
{
	static const struct
	{
		const char *path;
		uint32_t	n;
	}			names[] = {
		{"", 1}, {".gguf", 1}, {"model.gguf", 1}, {"a-00001-of-00002.gguf", 2}, {"-00001-of-00003.gguf", 3},
		{"a-00002-of-00003.gguf", 1}, {"a-00001-of-00001.gguf", 1}, {"a-00001-of-00000.gguf", 1}, {"a-00001-of-00003.ggu", 1},
		{"a-00001-of-000030.gguf", 1}, {"a-0001-of-00003.gguf", 1}, {"a-00001-of-0000x.gguf", 1}, {"a-00001-of-99999.gguf", 99999},
	};
	char		path[64];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		CHECK_MSG(llm_gguf_parts_named(names[i].path) == names[i].n, "%s", names[i].path);
	llm_gguf_part_path("dir/a-00001-of-00012.gguf", 11, path, sizeof path);
	CHECK(strcmp(path, "dir/a-00012-of-00012.gguf") == 0);
	llm_gguf_part_path("dir/a.gguf", 0, path, sizeof path);
	CHECK(strcmp(path, "dir/a.gguf") == 0);
}

static void
test_failing_allocations(void)
{
	int			descriptor = next_descriptor();
	long		n_failed = 0;

	write_good("good");
	for (long at = 0;; at++)
	{
		FailAlloc	fa;
		LlmGguf		g;
		LlmError	err;
		LlmStatus	status;

		fail_alloc_init(&fa, at);
		status = llm_gguf_open(part_path("good", 0, N_PARTS), &fa.allocator, NULL, &g, &err);
		CHECK(status == (fa.refused ? LLM_E_NOMEM : LLM_OK));
		if (status == LLM_OK)
			llm_gguf_close(&g);
		CHECK(fa.n_alive == 0 && next_descriptor() == descriptor);
		if (!fa.refused)
			break;
		n_failed++;
	}
	CHECK_MSG(n_failed > 10, "%ld failed", n_failed);
	clean_folder();
}

int
main(void)
{
	if (!mkdtemp(folder))
		return 1;
	test_names();
	test_same_as_one_file();
	test_changed_part();
	test_bytes();
	test_refusals();
	test_failing_allocations();
	CHECK(rmdir(folder) == 0);
	CHECK_DONE();
}
