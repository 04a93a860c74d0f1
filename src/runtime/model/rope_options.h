/*
 * rope_options.h: rope_scaling, rope_freq_base, rope_freq_scale, yarn_orig_ctx, yarn_ext_factor, yarn_attn_factor,
 * yarn_beta_fast and yarn_beta_slow as texts.
 */
#ifndef LLM_ROPE_OPTIONS_H
#define LLM_ROPE_OPTIONS_H

#include "model/arch.h"

extern bool llm_rope_option_known(const char *name);

/* Errors: LLM_E_ARGUMENT with a hint that says what is valid. name must be known. */
extern LlmStatus llm_rope_option_set(LlmRopeOptions *options, const char *name, const char *value, LlmError *err);

#endif
