/*
 * gguf_parts.c: a model that lies in several files beside each other.
 *
 * Every part has the keys split.no (from 0), split.count and split.tensors.count (of all parts together), and a name that
 * ends with -00001-of-00003.gguf, counted from 1. Metadata of the first part is that of the model; in the others only those
 * keys and the alignment are read. Source: llama.cpp, tools/gguf-split.
 */
#include "weights/gguf_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ENDING_BYTES 48

typedef struct Split
{
	uint64_t	no;
	uint64_t	count;			/* 1: the model is one file */
	uint64_t	n_tensors;		/* of all parts */
} Split;

static LlmStatus
read_split(const LlmGguf *gguf, Split *split, LlmError *err)
{
	*split = (Split) {.count = 1};
	LLM_TRY(llm_meta_uint(&gguf->meta, "split.count", false, UINT16_MAX, &split->count, err));
	if (split->count <= 1)
		return LLM_OK;
	LLM_TRY(llm_meta_uint(&gguf->meta, "split.no", true, UINT16_MAX, &split->no, err));
	return llm_meta_uint(&gguf->meta, "split.tensors.count", true, UINT32_MAX, &split->n_tensors, err);
}

/* the name of part no (from 0) ends with this */
static void
part_ending(uint32_t no, uint32_t count, char ending[ENDING_BYTES])
{
	snprintf(ending, ENDING_BYTES, "-%05u-of-%05u.gguf", no + 1, count);
}

uint32_t
llm_gguf_parts_named(const char *path)
{
	const size_t len = strlen(path);
	char		ending[ENDING_BYTES];
	uint32_t	count = 0;

	part_ending(0, 0, ending);
	if (len < strlen(ending))
		return 1;
	for (size_t i = len - strlen("00000.gguf"); i < len && path[i] >= '0' && path[i] <= '9'; i++)
		count = count * 10 + (uint32_t) (path[i] - '0');
	part_ending(0, count, ending);
	return count > 1 && strcmp(path + len - strlen(ending), ending) == 0 ? count : 1;
}

void
llm_gguf_part_path(const char *path, uint32_t no, char *out, size_t out_size)
{
	const uint32_t count = llm_gguf_parts_named(path);
	char		ending[ENDING_BYTES] = "";

	if (count > 1)
		part_ending(no, count, ending);
	snprintf(out, out_size, "%.*s%s", (int) (strlen(path) - strlen(ending)), path, ending);
}

/* is this the first part, and is it named so? */
static LlmStatus
check_first(const LlmGguf *gguf, const Split *split, LlmError *err)
{
	const char *path = gguf->file.path;
	char		ending[ENDING_BYTES];

	part_ending(0, (uint32_t) split->count, ending);
	if (split->no != 0)
	{
		llm_fail(err, LLM_E_ARGUMENT, "model file \"%s\" is part %" PRIu64 " of %" PRIu64, path, split->no + 1, split->count);
		llm_error_hint(err, "Give the first part, whose name ends with \"%s\".", ending);
		return LLM_E_ARGUMENT;
	}
	if (split->count > LLM_GGUF_MAX_PARTS)
	{
		llm_fail(err, LLM_E_LIMIT, "model file \"%s\" has too many parts", path);
		llm_error_detail(err, "Metadata key \"split.count\" is %" PRIu64 "; the limit is %d.", split->count, LLM_GGUF_MAX_PARTS);
		return LLM_E_LIMIT;
	}
	if (llm_gguf_parts_named(path) != split->count)
	{
		llm_fail(err, LLM_E_ARGUMENT, "model file \"%s\" is one of %" PRIu64 " parts, but not named so", path, split->count);
		llm_error_detail(err, "Metadata key \"split.count\" is %" PRIu64 "; the name of the first part ends with \"%s\".",
						 split->count, ending);
		llm_error_hint(err, "Give the parts their names back, or merge them into one file.");
		return LLM_E_ARGUMENT;
	}
	return LLM_OK;
}

static LlmStatus
open_other(const LlmGguf *first, const Split *split, uint32_t no, const LlmStop *stop, LlmGguf *out, LlmError *err)
{
	char		path[sizeof(first->file.path)];
	Split		own;

	llm_gguf_part_path(first->file.path, no, path, sizeof(path));
	LLM_TRY(llm_gguf_open_file(path, first->arena.allocator, stop, out, err));
	LLM_TRY(read_split(out, &own, err));
	if (own.no == no && own.count == split->count && own.n_tensors == split->n_tensors)
		return LLM_OK;
	llm_fail(err, LLM_E_FORMAT, "model file \"%s\" is not a part of the same model", path);
	llm_error_detail(err, "It says part %" PRIu64 " of %" PRIu64 ", with %" PRIu64 " tensors in all; part %u of %" PRIu64
					 " with %" PRIu64 " is wanted.", own.no + 1, own.count, own.n_tensors, no + 1, split->count, split->n_tensors);
	llm_error_hint(err, "The parts may come from different downloads; fetch them again.");
	return LLM_E_FORMAT;
}

/* the tensors of all parts in one list */
static LlmStatus
join_tensors(LlmGguf *gguf, const Split *split, LlmError *err)
{
	LlmTensor  *tensors;
	uint64_t	n = gguf->n_tensors;
	uint64_t	at = 0;
	void	   *ptr;

	for (uint32_t i = 1; i < gguf->n_parts; i++)
		n += gguf->others[i - 1].n_tensors;
	if (n != split->n_tensors)
	{
		llm_fail(err, LLM_E_FORMAT, "parts of model file \"%s\" are not complete", gguf->file.path);
		llm_error_detail(err, "They have %" PRIu64 " tensors; metadata key \"split.tensors.count\" is %" PRIu64 ".", n,
						 split->n_tensors);
		return LLM_E_FORMAT;
	}
	LLM_TRY(llm_arena_alloc(&gguf->arena, n, sizeof(LlmTensor), &ptr, err));
	tensors = ptr;
	LLM_TRY(llm_arena_alloc(&gguf->arena, n, sizeof(uint32_t), &ptr, err));
	for (uint32_t i = 0; i < gguf->n_parts; i++)
	{
		const LlmGguf *part = i == 0 ? gguf : &gguf->others[i - 1];

		for (uint64_t k = 0; k < part->n_tensors; k++, at++)
		{
			tensors[at] = part->tensors[k];
			tensors[at].part = i;
		}
	}
	gguf->tensors = tensors;
	gguf->n_tensors = n;
	return llm_gguf_index_names(gguf, ptr, err);
}

/* whoever goes by names (a digest does) must come to the same files */
static LlmStatus
check_only(const LlmGguf *gguf, LlmError *err)
{
	if (llm_gguf_parts_named(gguf->file.path) == 1)
		return LLM_OK;
	llm_fail(err, LLM_E_FORMAT, "model file \"%s\" is named like one of several parts, but is not", gguf->file.path);
	llm_error_detail(err, "It has no metadata key \"split.count\" that says so.");
	llm_error_hint(err, "Give the file another name.");
	return LLM_E_FORMAT;
}

static LlmStatus
open_others(LlmGguf *gguf, const LlmStop *stop, LlmError *err)
{
	Split		split;
	void	   *ptr;

	LLM_TRY(read_split(gguf, &split, err));
	if (split.count <= 1)
		return check_only(gguf, err);
	LLM_TRY(check_first(gguf, &split, err));
	LLM_TRY(llm_alloc_zero(gguf->arena.allocator, split.count - 1, sizeof(LlmGguf), &ptr, err));
	gguf->others = ptr;
	gguf->n_parts = (uint32_t) split.count;
	for (uint32_t i = 1; i < gguf->n_parts; i++)
		LLM_TRY(open_other(gguf, &split, i, stop, &gguf->others[i - 1], err));
	return join_tensors(gguf, &split, err);
}

LlmStatus
llm_gguf_open(const char *path, const LlmAllocator *a, const LlmStop *stop, LlmGguf *gguf, LlmError *err)
{
	LlmGguf		fresh;
	LlmStatus	status;

	LLM_TRY(llm_gguf_open_file(path, a, stop, &fresh, err));
	status = open_others(&fresh, stop, err);
	if (status != LLM_OK)
	{
		llm_gguf_close(&fresh);
		return status;
	}
	*gguf = fresh;
	return LLM_OK;
}

LlmStatus
llm_gguf_open_bytes(const LlmFile *bytes, const LlmAllocator *a, const LlmStop *stop, LlmGguf *gguf, LlmError *err)
{
	LlmGguf		fresh;
	Split		split;
	LlmStatus	status;

	LLM_TRY(llm_gguf_read_file(bytes, a, stop, &fresh, err));
	status = read_split(&fresh, &split, err);
	if (status == LLM_OK && split.count > 1)
	{
		status = llm_fail(err, LLM_E_UNSUPPORTED, "\"%s\" is one of %" PRIu64 " parts of a model", bytes->path, split.count);
		llm_error_hint(err, "Merge the parts into one file first (llama-gguf-split --merge).");
	}
	if (status != LLM_OK)
	{
		llm_gguf_close(&fresh);
		return status;
	}
	*gguf = fresh;
	return LLM_OK;
}

const LlmFile *
llm_gguf_file(const LlmGguf *gguf, uint32_t part)
{
	return part == 0 ? &gguf->file : &gguf->others[part - 1].file;
}

uint64_t
llm_gguf_size_bytes(const LlmGguf *gguf)
{
	uint64_t	n = 0;

	for (uint32_t i = 0; i < gguf->n_parts; i++)
		n += llm_gguf_file(gguf, i)->size_bytes;
	return n;
}

LlmStatus
llm_gguf_check_unchanged(const LlmGguf *gguf, LlmError *err)
{
	for (uint32_t i = 0; i < gguf->n_parts; i++)
		LLM_TRY(llm_file_check_unchanged(llm_gguf_file(gguf, i), err));
	return LLM_OK;
}
