/*
 * source.c: which kind of source a path is, and what all kinds have in common.
 */
#include "weights/source.h"

#include "weights/gguf_source.h"
#include "weights/hf/hf_folder.h"
#include "weights/hf/hf_source.h"
#include "weights/sort_index.h"

#include <string.h>
#include <sys/stat.h>

/* ---- opening ---- */

LlmStatus
llm_source_open_bytes(const char *name, uint64_t size_bytes, LlmReadBytes read, void *ctx, const LlmAllocator *a,
					  const LlmStop *stop, LlmSource *source, LlmError *err)
{
	LlmFile		bytes;
	LlmGguf		gguf;

	llm_file_of_bytes(name, size_bytes, read, ctx, &bytes);
	LLM_TRY(llm_gguf_open_bytes(&bytes, a, stop, &gguf, err));
	return llm_gguf_source(&gguf, a, source, err);
}

static bool
is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

LlmStatus
llm_source_open(const char *path, const LlmAllocator *a, const LlmStop *stop, LlmSource *source, LlmError *err)
{
	LlmGguf		gguf;

	if (is_folder(path))
		return llm_hf_open(path, a, stop, source, err);
	LLM_TRY(llm_gguf_open(path, a, stop, &gguf, err));
	return llm_gguf_source(&gguf, a, source, err);
}

/* ---- of all kinds ---- */

void
llm_source_close(LlmSource *source)
{
	if (source->kind)
		source->kind->close(source);
	memset(source, 0, sizeof(*source));
}

const LlmTensor *
llm_tensor_find(const LlmTensor *tensors, const uint32_t *by_name, uint64_t n, const char *name)
{
	LlmStr		wanted = {name, strlen(name)};
	uint64_t	low = 0;
	uint64_t	high = n;

	while (low < high)
	{
		uint64_t	middle = low + (high - low) / 2;
		const LlmTensor *tensor = &tensors[by_name[middle]];
		int			order = llm_str_compare(wanted, tensor->name);

		if (order == 0)
			return tensor;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const LlmTensor *
llm_source_find(const LlmSource *source, const char *name)
{
	return llm_tensor_find(source->tensors, source->by_name, source->n_tensors, name);
}

LlmStatus
llm_source_read(const LlmSource *source, const LlmTensor *tensor, int64_t first, int64_t n, void *out, const LlmStop *stop,
				LlmError *err)
{
	return source->kind->read(source, tensor, first, n, out, stop, err);
}

uint32_t
llm_source_n_files(const LlmSource *source)
{
	return source->kind->n_files(source);
}

const LlmFile *
llm_source_file(const LlmSource *source, uint32_t i)
{
	return source->kind->file(source, i);
}

uint64_t
llm_source_size_bytes(const LlmSource *source)
{
	uint64_t	n = 0;

	for (uint32_t i = 0; i < llm_source_n_files(source); i++)
		n += llm_source_file(source, i)->size_bytes;
	return n;
}

LlmStatus
llm_source_check_unchanged(const LlmSource *source, LlmError *err)
{
	for (uint32_t i = 0; i < llm_source_n_files(source); i++)
		LLM_TRY(llm_file_check_unchanged(llm_source_file(source, i), err));
	return LLM_OK;
}

/* ---- lists of files ---- */

static LlmStatus
list_parts(const char *path, LlmSourceList *list, LlmError *err)
{
	const size_t room = strlen(path) + 1;
	void	   *ptr;

	list->n_files = llm_gguf_parts_named(path);
	if (list->n_files > LLM_GGUF_MAX_PARTS)
	{
		llm_fail(err, LLM_E_LIMIT, "model file \"%s\" has too many parts", path);
		llm_error_detail(err, "Its name says %u; the limit is %d.", list->n_files, LLM_GGUF_MAX_PARTS);
		return LLM_E_LIMIT;
	}
	LLM_TRY(llm_arena_alloc(&list->arena, list->n_files, sizeof(char *), &ptr, err));
	list->paths = ptr;
	list->names = ptr;
	for (uint32_t i = 0; i < list->n_files; i++)
	{
		LLM_TRY(llm_arena_alloc(&list->arena, room, 1, &ptr, err));
		llm_gguf_part_path(path, i, ptr, room);
		list->paths[i] = ptr;
	}
	return LLM_OK;
}

LlmStatus
llm_source_list(const char *path, const LlmAllocator *a, LlmSourceList *list, LlmError *err)
{
	LlmStatus	status;

	memset(list, 0, sizeof(*list));
	llm_arena_init(&list->arena, a, 0);
	status = is_folder(path) ? llm_hf_list(path, list, err) : list_parts(path, list, err);
	if (status != LLM_OK)
		llm_source_list_free(list);
	return status;
}

void
llm_source_list_free(LlmSourceList *list)
{
	llm_arena_free(&list->arena);
	list->n_files = 0;
}
