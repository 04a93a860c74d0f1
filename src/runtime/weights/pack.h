/*
 * pack.h: a model in the form that is computed with: metadata, a directory, tables, and tensors re-laid for the kernels.
 *
 * A pack is one run of bytes with offsets only, so it can be memory, or a file mapped by many processes. Matrices (two or
 * more dimensions) are packed in groups of LLMK_ROWS rows, each matrix of a stack (experts) by itself; vectors become F32.
 * All CPU levels share one layout. Layout: LlmPackHeader, metadata (GGUF encoding), directory, tables, data, each 64-byte aligned. Tables
 * are bytes of whoever makes the pack, kept beside the weights: what a tokenizer looks up (llm_tokenizer_tables).
 *
 * Packs are written only by us, but a file can be damaged: llm_pack_open checks the header, every directory entry and
 * offset. Identity: content digest of the source plus LLMK_PACK_VERSION and the format of the pack (llm_pack_format).
 */
#ifndef LLM_PACK_H
#define LLM_PACK_H

#include "base/threads.h"
#include "weights/source.h"
#include "kernels.h"

#define LLM_DIGEST_BYTES 32		/* SHA-256 */

typedef struct LlmPackTensor
{
	LlmStr		name;
	LlmType		type;			/* F32 for vectors */
	LlmType		source_type;	/* as in the source file */
	bool		is_vector;		/* one dimension: n_cols F32 as they are, not groups of rows */
	int64_t		n_cols;			/* dim[0] */
	int64_t		n_rows;			/* dim[1]; 1 for vectors */
	int64_t		n_stack;		/* dim[2] * dim[3] */
	const uint8_t *data;
	size_t		n_bytes;
} LlmPackTensor;

typedef struct LlmPack
{
	const uint8_t *base;
	size_t		size;
	uint8_t		digest[LLM_DIGEST_BYTES];	/* of the source; zeros if it was not computed */
	uint64_t	source_bytes;
	LlmMeta		meta;
	const uint8_t *tables;
	size_t		tables_bytes;	/* 0: none */
	uint64_t	n_tensors;
	LlmPackTensor *tensors;		/* sorted by name */
	LlmArena	arena;
} LlmPack;

/*
 * Where a pack is written. Offsets ascend, but for the header, which comes last; they may leave gaps, which read as zeros. Where a packer
 * is shared by threads (llm_packer_share), all of them call write, and offsets ascend roughly. taken (may be NULL) is called now and
 * then by the caller of llm_packer_run alone, while nothing is being written.
 */
typedef struct LlmPackSink
{
	LlmStatus	(*write) (void *ctx, uint64_t offset, const void *data, size_t len, LlmError *err);
	void	   *ctx;
	void		(*taken) (void *ctx);
} LlmPackSink;

/*
 * Work of packing, resumable: begin computes the layout (total_bytes, so that the caller can check limits and make room),
 * run writes all and may return LLM_PAUSED, after which it is called again. source must outlive the packer; digest
 * (LLM_DIGEST_BYTES) may be NULL. Every call of run does a piece of work, also if should_stop is always true. The header
 * is written last, so an unfinished pack cannot be opened.
 * Errors of begin: LLM_E_UNSUPPORTED naming tensor and type that cannot be computed with, LLM_E_LIMIT. Of run:
 * LLM_E_IO, LLM_E_FORMAT if the source was cut or changed meanwhile, and what the sink returns.
 */
typedef struct LlmPacker LlmPacker;

extern LlmStatus llm_packer_begin(const LlmSource *source, const uint8_t *digest, const LlmAllocator *a,
								  LlmPacker **out, uint64_t *total_bytes, LlmError *err);
/* the same with tables, which must outlive the packer */
extern LlmStatus llm_packer_begin_with(const LlmSource *source, const uint8_t *digest, LlmStr tables, const LlmAllocator *a,
									   LlmPacker **out, uint64_t *total_bytes, LlmError *err);
/* before run: let the threads of pool pack and write too, with the same result. Errors: LLM_E_NOMEM. */
extern LlmStatus llm_packer_share(LlmPacker *packer, LlmPool *pool, LlmError *err);
extern LlmStatus llm_packer_run(LlmPacker *packer, const LlmPackSink *sink, const LlmStop *stop, LlmError *err);
extern void llm_packer_free(LlmPacker *packer);

/*
 * The same for an outline: a pack whose matrices are not read. Vectors of up to 65536 elements, as their values may be checked
 * when a model is opened, are there; all else lies over one range at the end, which is never written. So a model that is
 * opened over it says whether the source's can be opened, and computes nothing that means anything.
 */
extern LlmStatus llm_packer_begin_outline(const LlmSource *source, const LlmAllocator *a, LlmPacker **out,
										  uint64_t *total_bytes, LlmError *err);

/* base must be 64-byte aligned and outlive the pack */
extern LlmStatus llm_pack_open(const uint8_t *base, size_t size, const LlmAllocator *a, LlmPack *pack, LlmError *err);
extern void llm_pack_close(LlmPack *pack);

/* whether base is a whole pack without damage, and of which digest: all that llm_pack_open does before it reads */
extern LlmStatus llm_pack_check(const uint8_t *base, size_t size, uint8_t *digest, LlmError *err);

/* a number that changes whenever packs of other versions of this program could not be used, for their names */
extern int	llm_pack_format(void);

extern const LlmPackTensor *llm_pack_find(const LlmPack *pack, const char *name);

/* matrix `index` of a stack, with its shape checked: LLM_E_FORMAT naming tensor, shape and what was expected */
extern LlmStatus llm_pack_matrix(const LlmPack *pack, const char *name, int64_t n_rows, int64_t n_cols, int64_t index,
								 LlmkMatrix *out, LlmError *err);
/* a vector of n F32; *out NULL if absent and not required */
extern LlmStatus llm_pack_vector(const LlmPack *pack, const char *name, int64_t n, bool required, const float **out, LlmError *err);

#endif
