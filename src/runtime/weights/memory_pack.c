/*
 * memory_pack.c: a pack, or the outline of one, in anonymous memory.
 */
#include "weights/memory_pack.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static LlmStatus
no_memory(uint64_t n_bytes, LlmError *err)
{
	llm_fail(err, LLM_E_NOMEM, "out of memory");
	llm_error_detail(err, "The packed model needs %llu bytes.", (unsigned long long) n_bytes);
	return LLM_E_NOMEM;
}

static LlmStatus
write_memory(void *ctx, uint64_t offset, const void *data, size_t len, LlmError *err)
{
	(void) err;
	if (len > 0)
		memcpy((uint8_t *) ctx + offset, data, len);
	return LLM_OK;
}

/* into a new block of memory; the packer is freed */
static LlmStatus
run_packer(LlmPacker *packer, uint64_t total_bytes, int protection, LlmPackSink *sink, void **base, const LlmStop *stop,
		   LlmError *err)
{
	void	   *memory = mmap(NULL, total_bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	LlmStatus	status;

	if (memory == MAP_FAILED)
	{
		llm_packer_free(packer);
		return no_memory(total_bytes, err);
	}
	*base = memory;
	(void) madvise(memory, total_bytes, protection & PROT_WRITE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	status = llm_packer_run(packer, sink, stop, err);
	llm_packer_free(packer);
	if (status != LLM_OK)
		munmap(memory, total_bytes);
	return status;
}

LlmStatus
llm_pack_to_memory_with(const LlmSource *source, LlmPool *pool, const LlmAllocator *a, const LlmStop *stop,
						const uint8_t **base, size_t *size, LlmError *err)
{
	LlmPacker  *packer;
	LlmPackSink sink = {.write = write_memory};
	uint64_t	total_bytes;
	LlmStatus	status;

	LLM_TRY(llm_packer_begin(source, NULL, a, &packer, &total_bytes, err));
	status = pool ? llm_packer_share(packer, pool, err) : LLM_OK;
	if (status != LLM_OK)
	{
		llm_packer_free(packer);
		return status;
	}
	LLM_TRY(run_packer(packer, total_bytes, PROT_READ | PROT_WRITE, &sink, &sink.ctx, stop, err));
	*base = sink.ctx;
	*size = total_bytes;
	return LLM_OK;
}

LlmStatus
llm_pack_to_memory(const LlmSource *source, const LlmAllocator *a, const LlmStop *stop,
				   const uint8_t **base, size_t *size, LlmError *err)
{
	return llm_pack_to_memory_with(source, NULL, a, stop, base, size, err);
}

/* memory that can be read, of which the front can be written: only that much is counted against the system's memory */
typedef struct Outline
{
	void	   *base;
	uint64_t	n_writable;
} Outline;

static LlmStatus
write_outline(void *ctx, uint64_t offset, const void *data, size_t len, LlmError *err)
{
	Outline    *outline = ctx;
	const uint64_t page = (uint64_t) sysconf(_SC_PAGESIZE);
	const uint64_t end = (offset + len + page - 1) / page * page;

	if (end > outline->n_writable)
	{
		if (mprotect(outline->base, end, PROT_READ | PROT_WRITE) != 0)
			return no_memory(end, err);
		outline->n_writable = end;
	}
	return write_memory(outline->base, offset, data, len, err);
}

LlmStatus
llm_pack_outline(const LlmSource *source, const LlmAllocator *a, const LlmStop *stop,
				 const uint8_t **base, size_t *size, LlmError *err)
{
	LlmPacker  *packer;
	Outline		outline = {0};
	LlmPackSink sink = {.write = write_outline, .ctx = &outline};
	uint64_t	total_bytes;

	LLM_TRY(llm_packer_begin_outline(source, a, &packer, &total_bytes, err));
	LLM_TRY(run_packer(packer, total_bytes, PROT_READ, &sink, &outline.base, stop, err));
	*base = outline.base;
	*size = total_bytes;
	return LLM_OK;
}

void
llm_memory_pack_free(const uint8_t *base, size_t size)
{
	if (base)
		munmap((void *) base, size);
}
