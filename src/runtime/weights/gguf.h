/*
 * gguf.h: the directory of a GGUF file (v2, v3). Only header, metadata and tensor list are held; data is read on demand.
 *
 * Every length, count, offset and type is checked against the file size before use: the file is untrusted.
 */
#ifndef LLM_GGUF_H
#define LLM_GGUF_H

#include "base/file_io.h"
#include "weights/gguf_meta.h"
#include "block_formats.h"

#define LLM_MAX_DIMS 4

typedef struct LlmTensor
{
	LlmStr		name;
	LlmType		type;
	int			n_dims;
	int64_t		dim[LLM_MAX_DIMS];	/* dim[0] runs fastest (columns); unused are 1 */
	uint64_t	offset;				/* of its data in the file */
	uint64_t	n_bytes;
} LlmTensor;

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
	LlmArena	arena;			/* tensors and by_name */
} LlmGguf;

/*
 * Errors: LLM_E_IO, LLM_E_ARGUMENT (no regular file), LLM_E_FORMAT (with field and offset), LLM_E_UNSUPPORTED (version,
 * byte order, unknown tensor type, parts), LLM_E_LIMIT, LLM_PAUSED (call again from the start).
 */
extern LlmStatus llm_gguf_open(const char *path, const LlmAllocator *a, const LlmStop *stop, LlmGguf *gguf, LlmError *err);
extern void llm_gguf_close(LlmGguf *gguf);
extern const LlmTensor *llm_gguf_find(const LlmGguf *gguf, const char *name);

#endif
