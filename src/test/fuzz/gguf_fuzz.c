/*
 * gguf_fuzz.c: any bytes as a model file: directory, metadata as JSON, packing, opening of the pack.
 */
#include "weights/memory_pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_PACK_BYTES ((uint64_t) 16 << 20)	/* small files can ask for much: a row alone fills a group of eight */

static void
read_all(const LlmSource *source)
{
	LlmError	err;
	LlmBuf		buf;

	llm_buf_init(&buf, &llm_malloc_allocator);
	for (uint64_t i = 0; i < source->meta->n_entries; i++)
		if (llm_meta_entry_json(&source->meta->entries[i], 1000, &buf, &err) != LLM_OK)
			abort();
	llm_buf_free(&buf);
	for (uint64_t i = 0; i < source->n_tensors; i++)
		if (source->tensors[i].offset + source->tensors[i].n_bytes > llm_source_size_bytes(source))
			abort();
}

static void
pack_and_open(const LlmSource *source)
{
	LlmError	err;
	LlmPacker  *packer;
	LlmPack		pack;
	uint64_t	total;
	const uint8_t *base;
	size_t		size;

	if (llm_packer_begin(source, NULL, &llm_malloc_allocator, &packer, &total, &err) != LLM_OK)
		return;
	llm_packer_free(packer);
	if (total > MAX_PACK_BYTES || llm_pack_to_memory(source, &llm_malloc_allocator, NULL, &base, &size, &err) != LLM_OK)
		return;
	if (llm_pack_open(base, size, &llm_malloc_allocator, &pack, &err) != LLM_OK)
		abort();
	if (pack.n_tensors != source->n_tensors || pack.meta.n_entries != source->meta->n_entries)
		abort();
	llm_pack_close(&pack);
	llm_memory_pack_free(base, size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char		path[64];
	int			fd = memfd_create("gguf", MFD_CLOEXEC);
	LlmSource	source;
	LlmError	err;

	if (fd < 0 || write(fd, data, size) != (ssize_t) size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (llm_source_open(path, &llm_malloc_allocator, NULL, &source, &err) == LLM_OK)
	{
		read_all(&source);
		pack_and_open(&source);
		llm_source_close(&source);
	}
	close(fd);
	return 0;
}
