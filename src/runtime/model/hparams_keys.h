/*
 * hparams_keys.h: what the files that read a model's shape share, inside this folder: bounds, keys, and the parts that hparams.c puts together.
 */
#ifndef LLM_HPARAMS_KEYS_H
#define LLM_HPARAMS_KEYS_H

#include "model/arch.h"

/* upper bounds that keep every later product of two of them within 64 bits; far above any known model */
#define LLM_MAX_WIDTH	(1u << 20)
#define LLM_MAX_LAYERS	4096
#define LLM_MAX_HEADS	4096
#define LLM_MAX_HEAD	4096
#define LLM_MAX_EXPERTS 4096
#define LLM_MAX_TAPS	256

typedef struct LlmKeyReader
{
	const LlmMeta *meta;
	const LlmArch *arch;
	LlmError   *err;
} LlmKeyReader;

typedef char LlmKeyName[128];

static inline bool
llm_key_has_trait(const LlmKeyReader *r, LlmTrait trait)
{
	return (r->arch->traits & (uint32_t) trait) != 0;
}

/* ---- keys, by their names after the architecture's; a value stays as it is where the key is absent and not required ---- */

extern const char *llm_key_name(const LlmKeyReader *r, const char *suffix, LlmKeyName name);
extern LlmStatus llm_key_uint(const LlmKeyReader *r, const char *suffix, bool required, uint32_t min, uint32_t max, uint32_t *value);
extern LlmStatus llm_key_double(const LlmKeyReader *r, const char *suffix, bool required, double min, double max, double *value);
/* an optional float; 0 in the file means that it is not set */
extern LlmStatus llm_key_factor(const LlmKeyReader *r, const char *suffix, float *value);
/* a number, or one for each layer: then *value is the largest, and *by_layer the list */
extern LlmStatus llm_key_by_layer(const LlmKeyReader *r, const char *suffix, bool required, uint32_t max, uint32_t n_layer, uint32_t *value,
								  const LlmMetaArray **by_layer);
/* a feature that changes results and is not computed: present and not neutral, or present at all, is refused by name */
extern LlmStatus llm_key_refuse_unless(const LlmKeyReader *r, const char *suffix, double neutral);
extern LlmStatus llm_key_refuse_present(const LlmKeyReader *r, const char *suffix);

/* ---- parts, in the order in which they are read ---- */

/* hparams_layers.c */
extern LlmStatus llm_hparams_read_sizes(const LlmKeyReader *r, LlmHparams *hp);
extern LlmStatus llm_hparams_read_recurrent(const LlmKeyReader *r, LlmHparams *hp);
/* hparams_rope.c; options NULL: nothing is set */
extern LlmStatus llm_hparams_read_rope(const LlmKeyReader *r, const LlmRopeOptions *options, LlmHparams *hp);
extern LlmStatus llm_hparams_read_windows(const LlmKeyReader *r, LlmHparams *hp);
/* hparams_ffn.c */
extern LlmStatus llm_hparams_read_experts(const LlmKeyReader *r, LlmHparams *hp);
extern LlmStatus llm_hparams_read_activation(const LlmKeyReader *r, LlmHparams *hp);
extern LlmStatus llm_hparams_read_xielu(const LlmKeyReader *r, LlmHparams *hp);

#endif
