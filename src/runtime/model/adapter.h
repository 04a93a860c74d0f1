/*
 * adapter.h: low-rank adapters (LoRA) of a model, inside this folder: found while the model's weights are loaded, added to its
 * products while it runs.
 *
 * An adapter is a pack whose metadata says general.type = adapter and adapter.type = lora, and whose tensors are NAME.lora_a
 * (rank, n_cols) and NAME.lora_b (n_rows, rank) for tensors NAME of the model; of token_embd.weight A is (n_vocab, rank) and
 * B (n_embd, rank). Its general.architecture is that of the model, or peft: then it comes from a PEFT folder (hf_adapter.h),
 * fits whatever architecture has these tensors, and rows of B are in the order of Hugging Face's model. A product W x becomes W x + scale * B (A x), with scale that of the owner times adapter.lora.alpha / rank.
 * The packed weights stay as they are. Source: Hu et al. 2021, arXiv 2106.09685.
 */
#ifndef LLM_ADAPTER_H
#define LLM_ADAPTER_H

#include "model/loader.h"

/* an opened adapter */
typedef struct LlmAdapter
{
	LlmPack		pack;
	bool	   *used;			/* by index of pack.tensors: it has found its place */
	double		scale;			/* the owner's times alpha; that of the owner alone if alpha is 0 */
	bool		by_rank;		/* scale is to be divided by the rank */
	bool		peft;			/* rows and columns are in the order of Hugging Face's model */
	bool		turn_heads;		/* rows of a head of queries or keys, halves one after the other, are to come in turn */
} LlmAdapter;

/* adapter.c: open those that options name; LLM_E_UNSUPPORTED, LLM_E_FORMAT naming what is wrong with one */
extern LlmStatus llm_adapters_open(LlmModel *m, const LlmModelOptions *options, LlmError *err);
extern void llm_adapters_close(LlmModel *m);

/*
 * What adapters add to the product of `depth` matrices NAME (n_rows, n_cols); *out NULL: nothing. embedding: A and B as of
 * token_embd.weight. LLM_E_FORMAT naming tensor and shapes.
 */
extern LlmStatus llm_adapters_find(LlmLoader *ld, const char *name, int64_t n_rows, int64_t n_cols, int64_t depth,
								   bool embedding, const LlmLora **out);

/* rows [first, first + n_rows) of what is added to joined matrices; copy is used where they begin inside of a group */
extern LlmStatus llm_adapters_part(LlmLoader *ld, const LlmLora *all, int64_t first, int64_t n_rows, const LlmLora **out);

/* LLM_E_UNSUPPORTED naming a tensor that found no place */
extern LlmStatus llm_adapters_check_used(const LlmModel *m, LlmError *err);

#endif
