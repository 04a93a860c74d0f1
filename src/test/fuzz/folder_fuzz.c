/*
 * folder_fuzz.c: any bytes as a Hugging Face folder: configuration, index, safetensors header; then the shape is read, and every tensor is
 * read and packed.
 *
 * The input is texts parted by a zero byte: config.json, model.safetensors.index.json (empty: one file), then the file itself.
 */
#include "model/arch.h"
#include "weights/memory_pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_PACK_BYTES ((uint64_t) 16 << 20)

static char folder[64];

static void
write_file(const char *name, const uint8_t *data, size_t size)
{
	char		path[128];
	FILE	   *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0)
		abort();
}

static void
remove_file(const char *name)
{
	char		path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	unlink(path);
}

static void
remove_folder(void)
{
	remove_file("config.json");
	remove_file("model.safetensors");
	remove_file("model.safetensors.index.json");
	remove_file("part.safetensors");
	rmdir(folder);
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
	if (llm_pack_open(base, size, &llm_malloc_allocator, &pack, &err) != LLM_OK || pack.n_tensors != source->n_tensors)
		abort();
	llm_pack_close(&pack);
	llm_memory_pack_free(base, size);
}

/* the next text, and *rest behind its zero byte */
static size_t
next_text(const uint8_t *data, size_t size, const uint8_t **rest, size_t *rest_size)
{
	const uint8_t *end = size > 0 ? memchr(data, 0, size) : NULL;
	size_t		len = end ? (size_t) (end - data) : size;

	*rest = data + len + (end ? 1 : 0);
	*rest_size = size - len - (end ? 1 : 0);
	return len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *index;
	const uint8_t *file;
	size_t		index_size;
	size_t		file_size;
	size_t		config_len;
	size_t		index_len;
	LlmSource	source;
	const LlmArch *arch;
	LlmHparams	hp;
	LlmError	err;

	if (folder[0] == '\0')
	{
		snprintf(folder, sizeof(folder), "/dev/shm/folder_fuzz_XXXXXX");
		if (!mkdtemp(folder))
			abort();
		atexit(remove_folder);
	}
	config_len = next_text(data, size, &index, &index_size);
	index_len = next_text(index, index_size, &file, &file_size);
	write_file("config.json", data, config_len);
	remove_file("model.safetensors");
	remove_file("model.safetensors.index.json");
	if (index_len > 0)
		write_file("model.safetensors.index.json", index, index_len);
	write_file(index_len > 0 ? "part.safetensors" : "model.safetensors", file, file_size);
	if (llm_source_open(folder, &llm_malloc_allocator, NULL, &source, &err) == LLM_OK)
	{
		(void) llm_hparams_read(source.meta, &arch, &hp, &err);
		pack_and_open(&source);
		llm_source_close(&source);
	}
	return 0;
}
