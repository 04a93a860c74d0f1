/*
 * gguf_writer.h: GGUF files made in memory, for tests and fuzzers.
 *
 * Call gw_init, then keys (gw_u32 …), then tensors (gw_tensor), then gw_finish; gw_open gives a path to the bytes without
 * a folder to clean up. Every length, count, type, dimension and offset written is remembered as a mark, so that a test
 * can damage one field after the other. Running out of memory ends the test.
 */
#ifndef LLM_TEST_GGUF_WRITER_H
#define LLM_TEST_GGUF_WRITER_H

#include "block_formats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct GwBytes
{
	uint8_t    *data;
	size_t		len;
	size_t		capacity;
} GwBytes;

typedef struct GwMark
{
	size_t		off;			/* in the finished file */
	int			n_bytes;		/* 4 or 8 */
	const char *what;
} GwMark;

typedef struct GgufWriter
{
	uint32_t	version;
	uint32_t	alignment;
	uint64_t	n_keys;
	uint64_t	n_tensors;
	GwBytes		keys;
	GwBytes		list;			/* tensor entries */
	GwBytes		data;
	GwBytes		file;			/* after gw_finish */
	GwMark	   *marks;			/* until gw_finish those of the list count from its start and have off >= GW_IN_LIST */
	size_t		n_marks;
	size_t		marks_capacity;
} GgufWriter;

#define GW_IN_LIST ((size_t) 1 << 48)

static inline void *
gw_grow(void *ptr, size_t size)
{
	void	   *grown = realloc(ptr, size);

	if (!grown)
	{
		fprintf(stderr, "test is out of memory\n");
		exit(2);
	}
	return grown;
}

static inline void
gw_put(GwBytes *b, const void *data, size_t len)
{
	if (b->len + len > b->capacity)
	{
		b->capacity = 2 * (b->len + len) + 64;
		b->data = gw_grow(b->data, b->capacity);
	}
	if (len > 0 && data)
		memcpy(b->data + b->len, data, len);
	else if (len > 0)
		memset(b->data + b->len, 0, len);
	b->len += len;
}

static inline void
gw_mark(GgufWriter *w, size_t off, int n_bytes, const char *what)
{
	if (w->n_marks == w->marks_capacity)
	{
		w->marks_capacity = 2 * w->marks_capacity + 64;
		w->marks = gw_grow(w->marks, w->marks_capacity * sizeof(GwMark));
	}
	w->marks[w->n_marks++] = (GwMark) {off, n_bytes, what};
}

/* numbers that are marked; b is w->keys or w->list */
static inline void
gw_number(GgufWriter *w, GwBytes *b, uint64_t value, int n_bytes, const char *what)
{
	gw_mark(w, b->len + (b == &w->list ? GW_IN_LIST : 24), n_bytes, what);
	gw_put(b, &value, (size_t) n_bytes);
}

static inline void
gw_text(GgufWriter *w, GwBytes *b, const char *text, size_t len, const char *what)
{
	gw_number(w, b, len, 8, what);
	gw_put(b, text, len);
}

static inline void
gw_init(GgufWriter *w)
{
	memset(w, 0, sizeof(*w));
	w->version = 3;
	w->alignment = 32;
	gw_mark(w, 0, 4, "magic");
	gw_mark(w, 4, 4, "version");
	gw_mark(w, 8, 8, "tensor count");
	gw_mark(w, 16, 8, "key count");
}

static inline void
gw_free(GgufWriter *w)
{
	free(w->keys.data);
	free(w->list.data);
	free(w->data.data);
	free(w->file.data);
	free(w->marks);
	memset(w, 0, sizeof(*w));
}

/* a key of any type with value bytes as given */
static inline void
gw_key(GgufWriter *w, const char *key, uint32_t type, const void *value, size_t len)
{
	gw_text(w, &w->keys, key, strlen(key), "key length");
	gw_number(w, &w->keys, type, 4, "value type");
	gw_put(&w->keys, value, len);
	w->n_keys++;
}

static inline void
gw_u16(GgufWriter *w, const char *key, uint16_t value)
{
	gw_key(w, key, 2, &value, sizeof(value));
}

static inline void
gw_u32(GgufWriter *w, const char *key, uint32_t value)
{
	if (strcmp(key, "general.alignment") == 0)
		w->alignment = value;
	gw_key(w, key, 4, &value, sizeof(value));
}

static inline void
gw_u64(GgufWriter *w, const char *key, uint64_t value)
{
	gw_key(w, key, 10, &value, sizeof(value));
}

static inline void
gw_i32(GgufWriter *w, const char *key, int32_t value)
{
	gw_key(w, key, 5, &value, sizeof(value));
}

static inline void
gw_f32(GgufWriter *w, const char *key, float value)
{
	gw_key(w, key, 6, &value, sizeof(value));
}

static inline void
gw_f64(GgufWriter *w, const char *key, double value)
{
	gw_key(w, key, 12, &value, sizeof(value));
}

static inline void
gw_bool(GgufWriter *w, const char *key, int value)
{
	uint8_t		byte = (uint8_t) value;

	gw_key(w, key, 7, &byte, 1);
}

static inline void
gw_string(GgufWriter *w, const char *key, const char *value)
{
	gw_key(w, key, 8, NULL, 0);
	gw_text(w, &w->keys, value, strlen(value), "string length");
}

/* head of an array; the caller puts the elements into w->keys */
static inline void
gw_array(GgufWriter *w, const char *key, uint32_t type, uint64_t count)
{
	gw_key(w, key, 9, NULL, 0);
	gw_number(w, &w->keys, type, 4, "element type");
	gw_number(w, &w->keys, count, 8, "element count");
}

static inline void
gw_strings(GgufWriter *w, const char *key, const char *const *values, uint64_t n)
{
	gw_array(w, key, 8, n);
	for (uint64_t i = 0; i < n; i++)
		gw_text(w, &w->keys, values[i], strlen(values[i]), "element length");
}

static inline void
gw_i32s(GgufWriter *w, const char *key, const int32_t *values, uint64_t n)
{
	gw_array(w, key, 5, n);
	gw_put(&w->keys, values, n * sizeof(*values));
}

static inline void
gw_f32s(GgufWriter *w, const char *key, const float *values, uint64_t n)
{
	gw_array(w, key, 6, n);
	gw_put(&w->keys, values, n * sizeof(*values));
}

/* a tensor whose n_bytes of data are at the next aligned place; data NULL: zeros */
static inline void
gw_tensor(GgufWriter *w, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *dims, const void *data,
		  size_t n_bytes)
{
	size_t		gap = (w->alignment - w->data.len % w->alignment) % w->alignment;

	gw_put(&w->data, NULL, gap);
	gw_text(w, &w->list, name, strlen(name), "name length");
	gw_number(w, &w->list, n_dims, 4, "dimension count");
	for (uint32_t i = 0; i < n_dims; i++)
		gw_number(w, &w->list, dims[i], 8, "dimension");
	gw_number(w, &w->list, type, 4, "tensor type");
	gw_number(w, &w->list, w->data.len, 8, "tensor offset");
	gw_put(&w->data, data, n_bytes);
	w->n_tensors++;
}

/* put the parts together into w->file, and the marks at their places in it */
static inline void
gw_finish(GgufWriter *w)
{
	size_t		list_off = 24 + w->keys.len;

	w->file.len = 0;
	gw_put(&w->file, "GGUF", 4);
	gw_put(&w->file, &w->version, 4);
	gw_put(&w->file, &w->n_tensors, 8);
	gw_put(&w->file, &w->n_keys, 8);
	gw_put(&w->file, w->keys.data, w->keys.len);
	gw_put(&w->file, w->list.data, w->list.len);
	if (w->n_tensors > 0)
		gw_put(&w->file, NULL, (w->alignment - w->file.len % w->alignment) % w->alignment);
	gw_put(&w->file, w->data.data, w->data.len);
	for (size_t i = 0; i < w->n_marks; i++)
		if (w->marks[i].off >= GW_IN_LIST)
			w->marks[i].off += list_off - GW_IN_LIST;
}

/* an unnamed file of these bytes; path is that of the open descriptor, which the caller closes */
static inline int
gw_memfd(const void *data, size_t len, char path[64])
{
	int			fd = memfd_create("gguf", MFD_CLOEXEC);
	size_t		done = 0;

	while (fd >= 0 && done < len)
	{
		ssize_t		put = write(fd, (const char *) data + done, len - done);

		if (put <= 0)
			break;
		done += (size_t) put;
	}
	if (fd < 0 || done < len)
	{
		fprintf(stderr, "test could not write a file in memory\n");
		exit(2);
	}
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

#endif
