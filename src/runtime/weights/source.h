/*
 * source.h: where a model's weights come from: one interface over a GGUF file (one or more parts), a Hugging Face folder,
 * and a GGUF whose bytes someone else keeps.
 *
 * A source gives metadata (keys as in GGUF) and named tensors (names, types and shapes as in GGUF), whose elements are read in
 * pieces. Whatever has to be done to stored weights to come to that form is done by the source while it reads.
 */
#ifndef LLM_SOURCE_H
#define LLM_SOURCE_H

#include "base/file_io.h"
#include "weights/gguf_meta.h"
#include "weights/tensor.h"

typedef struct LlmSource LlmSource;

/* what a kind of source does; impl is its own */
typedef struct LlmSourceKind
{
	const char *format;			/* "GGUF", for people */
	LlmStatus	(*read) (const LlmSource *source, const LlmTensor *tensor, int64_t first, int64_t n, void *out,
						 const LlmStop *stop, LlmError *err);
	uint32_t	(*n_files) (const LlmSource *source);
	const LlmFile *(*file) (const LlmSource *source, uint32_t i);
	void		(*close) (LlmSource *source);
} LlmSourceKind;

struct LlmSource
{
	const LlmSourceKind *kind;
	const LlmAllocator *allocator;
	const char *path;			/* of the file or folder, for messages */
	uint32_t	version;		/* of the format; 0: it has none */
	const LlmMeta *meta;
	uint64_t	n_tensors;
	const LlmTensor *tensors;	/* in the order in which they are best read */
	const uint32_t *by_name;	/* their numbers, sorted by name */
	void	   *impl;
};

/*
 * A folder is a Hugging Face folder, anything else GGUF. Errors: those of llm_gguf_open and llm_hf_open; LLM_PAUSED: nothing is
 * kept, call again.
 */
extern LlmStatus llm_source_open(const char *path, const LlmAllocator *a, const LlmStop *stop, LlmSource *source, LlmError *err);

/* a GGUF of size_bytes that read gives piece by piece; name is for messages, ctx must outlive the source */
extern LlmStatus llm_source_open_bytes(const char *name, uint64_t size_bytes, LlmReadBytes read, void *ctx, const LlmAllocator *a,
									   const LlmStop *stop, LlmSource *source, LlmError *err);
extern void llm_source_close(LlmSource *source);

extern const LlmTensor *llm_source_find(const LlmSource *source, const char *name);

/*
 * n elements of a tensor from element `first` on, as its type lays them out: whole rows of one with two or more dimensions, else
 * whole blocks. LLM_PAUSED: call again with the same arguments; LLM_E_FORMAT if a file ends before.
 */
extern LlmStatus llm_source_read(const LlmSource *source, const LlmTensor *tensor, int64_t first, int64_t n, void *out,
								 const LlmStop *stop, LlmError *err);

/* the open files, in the order of llm_source_list; all their bytes; LLM_E_FORMAT if one was changed since it was opened */
extern uint32_t llm_source_n_files(const LlmSource *source);
extern const LlmFile *llm_source_file(const LlmSource *source, uint32_t i);
extern uint64_t llm_source_size_bytes(const LlmSource *source);
extern LlmStatus llm_source_check_unchanged(const LlmSource *source, LlmError *err);

/* ---- what a model is made of, before it is opened ---- */

#define LLM_SOURCE_MAX_FILES 4096

/*
 * The files whose content makes the model, in order. The digest of a GGUF is SHA-256 of their bytes, one after the other; that
 * of a folder is SHA-256 of lines "HEX  NAME\n", HEX being the SHA-256 of the file and NAME its name within the folder: what
 * `sha256sum NAME... | sha256sum` says there.
 */
typedef struct LlmSourceList
{
	bool		is_folder;
	uint32_t	n_files;
	const char **paths;
	const char **names;			/* within the folder */
	LlmArena	arena;
} LlmSourceList;

/* Errors: those of opening the files that list others; files of a GGUF need not exist */
extern LlmStatus llm_source_list(const char *path, const LlmAllocator *a, LlmSourceList *list, LlmError *err);
extern void llm_source_list_free(LlmSourceList *list);

#endif
