/*
 * gguf.h: the directory of a GGUF file (v2, v3). Only header, metadata and tensor list are held; data is read on demand.
 *
 * A model in parts (NAME-00001-of-00003.gguf and so on) is opened by its first part, whose metadata it has; the tensors are
 * those of all parts, in order.
 *
 * Every length, count, offset and type is checked against the file size before use: the file is untrusted.
 */
#ifndef LLM_GGUF_H
#define LLM_GGUF_H

#include "base/file_io.h"
#include "weights/gguf_meta.h"
#include "weights/tensor.h"

#define LLM_GGUF_MAX_PARTS 256	/* each keeps a descriptor open */

typedef struct LlmGguf
{
	LlmFile		file;
	uint32_t	version;
	uint64_t	n_tensors;
	LlmTensor  *tensors;		/* in file order */
	uint32_t   *by_name;		/* numbers of the tensors, sorted by name */
	LlmMeta		meta;
	uint8_t    *directory;		/* the bytes that names and metadata point into */
	size_t		meta_off;		/* where the key/value bytes start in directory, and their length */
	size_t		meta_len;
	struct LlmGguf *others;		/* the parts after the first, for their files and names; NULL: there are none */
	uint32_t	n_parts;
	LlmArena	arena;			/* tensors and by_name */
} LlmGguf;

/*
 * Errors: LLM_E_IO, LLM_E_ARGUMENT (no regular file), LLM_E_FORMAT (with field and offset), LLM_E_UNSUPPORTED (version,
 * byte order, unknown tensor type), LLM_E_LIMIT, LLM_PAUSED (call again from the start). Of parts: LLM_E_ARGUMENT if path is
 * not that of the first, LLM_E_FORMAT if they do not belong together.
 */
extern LlmStatus llm_gguf_open(const char *path, const LlmAllocator *a, const LlmStop *stop, LlmGguf *gguf, LlmError *err);
/* as llm_gguf_open, of one that is not a file of its own (llm_file_of_bytes); a model in parts is LLM_E_UNSUPPORTED */
extern LlmStatus llm_gguf_open_bytes(const LlmFile *bytes, const LlmAllocator *a, const LlmStop *stop, LlmGguf *gguf, LlmError *err);
extern void llm_gguf_close(LlmGguf *gguf);
extern const LlmTensor *llm_gguf_find(const LlmGguf *gguf, const char *name);

/* parts that a model has by the name of its first, 1 if that is no such name; and the name of part no (from 0) then */
extern uint32_t llm_gguf_parts_named(const char *path);
extern void llm_gguf_part_path(const char *path, uint32_t no, char *out, size_t out_size);

/* the file of a part, all their bytes, and whether none of them was changed */
extern const LlmFile *llm_gguf_file(const LlmGguf *gguf, uint32_t part);
extern uint64_t llm_gguf_size_bytes(const LlmGguf *gguf);
extern LlmStatus llm_gguf_check_unchanged(const LlmGguf *gguf, LlmError *err);

#endif
