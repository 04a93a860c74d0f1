/*
 * hf_params.h: from config.json to the metadata that GGUF files of the same model have, by family.
 *
 * A family is a row of a table: the class name in "architectures", the architecture it is here, its tensor names (hf_rules.h),
 * the defaults of its class, and what it has beyond the keys that all share.
 */
#ifndef LLM_HF_PARAMS_H
#define LLM_HF_PARAMS_H

#include "weights/hf/hf_config.h"
#include "weights/hf/hf_rules.h"
#include "weights/hf/quant.h"
#include "weights/meta_writer.h"

#define LLM_HF_MAX_RULES 6
#define LLM_HF_MAX_GIVEN 2
#define LLM_HF_MAX_FACTORS 8

/* a tensor that is not in the folder, as the configuration gives its values */
typedef struct LlmHfGiven
{
	const char *name;
	float	   *values;
	uint32_t	n;
} LlmHfGiven;

/* what values of a tensor of every layer are multiplied by, as the configuration says */
typedef struct LlmHfFactor
{
	const char *role;			/* "ffn_down" */
	double		weight;
	double		bias;
	const float *rows;			/* and each row by; NULL: nothing */
	uint64_t	n_rows;
} LlmHfFactor;

typedef struct LlmHfFamily LlmHfFamily;

/* of an adapter (hf_adapter.h) */
typedef struct LlmHfLora
{
	uint64_t	rank;			/* of all pairs; 0: each has its own */
	double		alpha;
	struct json_object *alphas; /* of modules with another alpha, by pattern of their names; NULL: none */
	bool		by_root;		/* alpha is divided by the root of the rank */
} LlmHfLora;

/* what reading the configuration gives */
typedef struct LlmHfParams
{
	LlmHfFolder *folder;
	LlmHfConfig config;
	const LlmHfFamily *family;
	const LlmHfRule *const *rules;	/* of the family, unless the configuration asks for others; ends as they do */
	const char *arch;			/* as GGUF names it */
	LlmMetaWriter *meta;
	LlmError   *err;
	uint64_t	n_layer;
	uint64_t	n_embd;
	uint64_t	n_head;			/* 0: no attention */
	uint64_t	n_head_kv;
	uint64_t	head_dim;
	uint64_t	n_rot;			/* dimensions of a head that turn, where the family says it; 0: by the share of them */
	const bool *kv_layers;		/* layers that attend; NULL: all */
	uint64_t	n_ctx;
	uint64_t	n_vocab;
	uint64_t	n_group;		/* of a state space; key heads of a delta net */
	uint64_t	group_keys;		/* rows of a key head, and of the values that share it */
	uint64_t	group_values;
	uint64_t	kv_b_keys;		/* rows of a head in kv_b that are keys, and values */
	uint64_t	kv_b_values;
	uint64_t	first_position; /* rows of position embeddings that are none */
	LlmHfQuantConfig quantization;
	bool		tied;			/* the output matrix is that of the embeddings */
	LlmHfGiven	given[LLM_HF_MAX_GIVEN];
	int			n_given;
	LlmHfFactor factors[LLM_HF_MAX_FACTORS];
	int			n_factors;
	bool		is_adapter;		/* then family is NULL, and only lora counts */
	LlmHfLora	lora;
} LlmHfParams;

enum
{
	LLM_HF_HAS_ROPE = 1,
	LLM_HF_HAS_WINDOWS = 2,
	LLM_HF_IS_ENCODER = 4,
	LLM_HF_HAS_CLASSIFIER = 8,
	LLM_HF_HAS_NEXT = 16,		/* layers after the last predict further tokens; they are not used */
	LLM_HF_OFFSET_POSITIONS = 32
};

struct LlmHfFamily
{
	const char *architecture;	/* class in config.json */
	const char *arch;
	const LlmHfRule *rules[LLM_HF_MAX_RULES];	/* the first that fits is taken */
	const char *activation;		/* what hidden_act must be; NULL: read by special */
	uint32_t	has;
	const char *defaults;		/* JSON */
	LlmStatus	(*special) (LlmHfParams *p);
};

/* reads the configuration and writes the architecture's keys; *p's folder, meta and err are set by the caller */
extern LlmStatus llm_hf_params_read(LlmHfParams *p, const LlmStop *stop);
extern void llm_hf_params_close(LlmHfParams *p);

/* hf_families.c */
extern const LlmHfFamily *llm_hf_family(const char *architecture);
extern const LlmHfFamily *llm_hf_family_at(size_t i);	/* all, one after the other; NULL: no more */

/* a key of the architecture, "block_count" */
extern LlmStatus llm_hf_put_uint(LlmHfParams *p, const char *suffix, uint64_t value);
extern LlmStatus llm_hf_put_float(LlmHfParams *p, const char *suffix, double value);
extern LlmStatus llm_hf_put_bool(LlmHfParams *p, const char *suffix, bool value);
extern LlmStatus llm_hf_put_string(LlmHfParams *p, const char *suffix, const char *value);
extern LlmStatus llm_hf_put_uints(LlmHfParams *p, const char *suffix, const uint32_t *values, uint64_t n);
extern LlmStatus llm_hf_put_bools(LlmHfParams *p, const char *suffix, const bool *values, uint64_t n);

/* for each layer: the value where it is of the kind, else 0 */
extern LlmStatus llm_hf_put_by_layer(LlmHfParams *p, const char *suffix, const bool *is, uint64_t value);

/* the same from a key of the configuration, if it is there */
extern LlmStatus llm_hf_copy_uint(LlmHfParams *p, const char *keys, const char *suffix);
extern LlmStatus llm_hf_copy_float(LlmHfParams *p, const char *keys, const char *suffix);
extern LlmStatus llm_hf_copy_bool(LlmHfParams *p, const char *keys, const char *suffix);

/* for each layer, whether an array of words (layer_types) has this one; *is NULL if there is no such key */
extern LlmStatus llm_hf_layer_words(LlmHfParams *p, const char *key, const char *words, bool **is);

/* a number, also one written for each layer (all alike, else refused) */
extern LlmStatus llm_hf_layer_uint(LlmHfParams *p, const char *keys, bool *found, uint64_t *value);

/* for each layer, whether it has a window; *local NULL if there is no list, and a list with words for other layers is refused */
extern LlmStatus llm_hf_layer_windows(LlmHfParams *p, bool **local);

/* hf_windows.c: windows of all layers */
extern LlmStatus llm_hf_windows(LlmHfParams *p);

/* hf_rope.c: all about positions */
extern LlmStatus llm_hf_rope(LlmHfParams *p);

#endif
