/*
 * memory_pack.c: a pack in anonymous memory.
 */
#include "weights/memory_pack.h"

#include <string.h>
#include <sys/mman.h>

static LlmStatus
write_memory(void *ctx, uint64_t offset, const void *data, size_t len, LlmError *err)
{
	(void) err;
	if (len > 0)
		memcpy((uint8_t *) ctx + offset, data, len);
	return LLM_OK;
}

LlmStatus
llm_pack_to_memory(const LlmSource *source, const LlmAllocator *a, const LlmStop *stop,
				   const uint8_t **base, size_t *size, LlmError *err)
{
	LlmPacker  *packer;
	LlmPackSink sink = {.write = write_memory};
	uint64_t	total_bytes;
	LlmStatus	status;

	LLM_TRY(llm_packer_begin(source, NULL, a, &packer, &total_bytes, err));
	sink.ctx = mmap(NULL, total_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sink.ctx == MAP_FAILED)
	{
		llm_packer_free(packer);
		llm_fail(err, LLM_E_NOMEM, "out of memory");
		llm_error_detail(err, "The packed model needs %llu bytes.", (unsigned long long) total_bytes);
		return LLM_E_NOMEM;
	}
	(void) madvise(sink.ctx, total_bytes, MADV_HUGEPAGE);
	status = llm_packer_run(packer, &sink, stop, err);
	llm_packer_free(packer);
	if (status != LLM_OK)
	{
		munmap(sink.ctx, total_bytes);
		return status;
	}
	*base = sink.ctx;
	*size = total_bytes;
	return LLM_OK;
}

void
llm_memory_pack_free(const uint8_t *base, size_t size)
{
	if (base)
		munmap((void *) base, size);
}
