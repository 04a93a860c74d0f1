/*
 * packer.h: the inside of a packer, shared by packer.c (layout, life cycle) and pack_batches.c (moving tensors).
 */
#ifndef LLM_PACKER_H
#define LLM_PACKER_H

#include "weights/pack_layout.h"

#define LLM_PACK_VECTOR_BATCH ((int64_t) 65536)	/* elements; a multiple of every block length */

typedef enum LlmPackerPhase
{
	PACK_METADATA,
	PACK_DIRECTORY,
	PACK_TABLES,
	PACK_TENSORS,
	PACK_HEADER,
	PACK_DONE
} LlmPackerPhase;

/* where packing is */
typedef struct LlmPackPlace
{
	uint64_t	tensor;			/* of the source, */
	int64_t		matrix;			/* matrix of its stack, */
	int64_t		done;			/* groups of the matrix, or elements of the vector, before it */
} LlmPackPlace;

struct LlmPacker
{
	const LlmSource *source;
	const LlmAllocator *allocator;
	bool		outline;
	LlmStr		tables;
	LlmPackHeader header;
	LlmPackEntry *entries;		/* start of the directory's bytes, which are header.dir_bytes long */
	uint32_t   *rank;			/* by tensor of the source: its entry */
	uint8_t    *rows;			/* (max_jobs) batches as the file holds them */
	uint8_t    *groups;			/* (max_jobs) batches as the pack holds them */
	size_t		rows_capacity;	/* of each */
	size_t		groups_capacity;
	LlmPool    *pool;			/* NULL: the caller works alone */
	int			max_jobs;

	LlmPackerPhase phase;
	LlmPackPlace place;			/* all before it is written */
};

/* what one batch of a tensor is */
typedef struct LlmPackBatch
{
	int64_t		count;			/* groups, or elements of a vector */
	size_t		rows_bytes;		/* at most, in the file */
	size_t		groups_bytes;	/* at most, in the pack */
} LlmPackBatch;

extern LlmPackBatch llm_pack_batch(const LlmTensor *tensor);

/* room for so many batches at once, in place of what there is */
extern LlmStatus llm_packer_make_buffers(LlmPacker *packer, int max_jobs, LlmError *err);

/* whether the data of a tensor gets a place of its own, and is written */
static inline bool
llm_packer_writes(const LlmPacker *packer, const LlmTensor *tensor)
{
	return !packer->outline || (tensor->n_dims == 1 && tensor->dim[0] <= LLM_PACK_VECTOR_BATCH);
}

/*
 * One batch, or with a pool as many as there are until a pause. *more: there may be others. LLM_PAUSED: some were written, call again.
 */
extern LlmStatus llm_packer_run_tensors(LlmPacker *packer, const LlmPackSink *sink, const LlmStop *stop, bool *more, LlmError *err);

#endif
