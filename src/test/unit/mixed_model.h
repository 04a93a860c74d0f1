/*
 * mixed_model.h: a small model made in memory whose matrices have all computed tensor types, with random weights and a
 * vocabulary of byte tokens; one value of one F32 tensor can be spoiled.
 */
#ifndef LLM_TEST_MIXED_MODEL_H
#define LLM_TEST_MIXED_MODEL_H

#include "gguf_writer.h"
#include "test_model.h"

#define MIXED_N_VOCAB 300
#define MIXED_N_EMBD 256
#define MIXED_N_FF 512
#define MIXED_N_CTX 700
#define MIXED_N_LAYER 2

/* a tensor to spoil: `value` is put at its element `at`; all matrices are then F32, so that each can be spoiled */
typedef struct MixedSpoil
{
	const char *tensor;
	size_t		at;
	float		value;
} MixedSpoil;

typedef struct MixedTensor
{
	const char *name;			/* %d: the layer */
	uint64_t	n_rows;			/* 0: a vector */
	uint64_t	n_cols;
	LlmType		type[MIXED_N_LAYER];
} MixedTensor;

static const MixedTensor mixed_tensors[] = {
	{"token_embd.weight", MIXED_N_VOCAB, MIXED_N_EMBD, {LLM_TYPE_Q8_0, 0}},
	{"output.weight", MIXED_N_VOCAB, MIXED_N_EMBD, {LLM_TYPE_Q6_K, 0}},
	{"output_norm.weight", 0, MIXED_N_EMBD, {LLM_TYPE_F32, 0}},
	{"blk.%d.attn_norm.weight", 0, MIXED_N_EMBD, {LLM_TYPE_F32, LLM_TYPE_F32}},
	{"blk.%d.attn_q.weight", MIXED_N_EMBD, MIXED_N_EMBD, {LLM_TYPE_Q4_0, LLM_TYPE_F16}},
	{"blk.%d.attn_k.weight", MIXED_N_EMBD / 2, MIXED_N_EMBD, {LLM_TYPE_Q4_1, LLM_TYPE_BF16}},
	{"blk.%d.attn_v.weight", MIXED_N_EMBD / 2, MIXED_N_EMBD, {LLM_TYPE_Q5_0, LLM_TYPE_F32}},
	{"blk.%d.attn_output.weight", MIXED_N_EMBD, MIXED_N_EMBD, {LLM_TYPE_Q5_1, LLM_TYPE_Q6_K}},
	{"blk.%d.ffn_norm.weight", 0, MIXED_N_EMBD, {LLM_TYPE_F32, LLM_TYPE_F32}},
	{"blk.%d.ffn_gate.weight", MIXED_N_FF, MIXED_N_EMBD, {LLM_TYPE_Q8_0, LLM_TYPE_F16}},
	{"blk.%d.ffn_up.weight", MIXED_N_FF, MIXED_N_EMBD, {LLM_TYPE_Q6_K, LLM_TYPE_Q4_1}},
	{"blk.%d.ffn_down.weight", MIXED_N_EMBD, MIXED_N_FF, {LLM_TYPE_Q4_0, LLM_TYPE_BF16}},
};

/* a half put at b */
static inline void
mixed_half(uint8_t *b, unsigned half)
{
	b[0] = (uint8_t) half;
	b[1] = (uint8_t) (half >> 8);
}

/* one block of random bytes becomes values of at most a few tenths: scales are set, floats get a small exponent */
static inline void
mixed_tame(LlmType type, uint8_t *b)
{
	float		x;

	switch (type)
	{
		case LLM_TYPE_F32:
			x = ((float) (b[0] | b[1] << 8) / 65536.0f - 0.5f) * 0.25f;
			memcpy(b, &x, sizeof(x));
			break;
		case LLM_TYPE_F16:
			b[1] = (uint8_t) (0x2C | (b[1] & 0x80));
			break;
		case LLM_TYPE_BF16:
			b[1] = (uint8_t) (0x3D | (b[1] & 0x80));
			break;
		case LLM_TYPE_Q8_0:
			mixed_half(b, 0x1400);	/* 2^-10 */
			break;
		case LLM_TYPE_Q4_0:
			mixed_half(b, 0x2400);	/* 2^-6 */
			break;
		case LLM_TYPE_Q5_0:
			mixed_half(b, 0x2000);	/* 2^-7 */
			break;
		case LLM_TYPE_Q4_1:
			mixed_half(b, 0x2400);
			mixed_half(b + 2, 0xB000);	/* -2^-3 */
			break;
		case LLM_TYPE_Q5_1:
			mixed_half(b, 0x2000);
			mixed_half(b + 2, 0xB000);
			break;
		default:				/* Q6_K */
			mixed_half(b + sizeof(LlmBlockQ6_K) - 2, 0x0400);	/* 2^-14 */
			break;
	}
}

static inline void
mixed_add_tensor(GgufWriter *w, const MixedTensor *t, int layer, const MixedSpoil *spoil, uint32_t *random)
{
	static uint8_t data[MIXED_N_VOCAB * MIXED_N_FF * 4];
	const LlmType type = spoil ? LLM_TYPE_F32 : t->type[layer];
	const LlmTypeInfo *info = llmk_type_info(type);
	const uint64_t dims[2] = {t->n_cols, t->n_rows};
	size_t		n_bytes = (size_t) ((t->n_rows ? t->n_rows : 1) * t->n_cols) / (size_t) info->block_len * (size_t) info->block_bytes;
	char		name[64];

	snprintf(name, sizeof(name), t->name, layer);
	for (size_t i = 0; i < n_bytes; i++)
	{
		*random = *random * 1664525u + 1013904223u;
		data[i] = (uint8_t) (*random >> 24);
	}
	for (size_t i = 0; i < n_bytes; i += (size_t) info->block_bytes)
		mixed_tame(type, data + i);
	if (t->n_rows == 0)			/* norms are around 1 */
		for (size_t i = 0; i < t->n_cols; i++)
			((float *) data)[i] += 1.0f;
	if (spoil && strcmp(spoil->tensor, name) == 0)
		((float *) data)[spoil->at] = spoil->value;
	gw_tensor(w, name, type, t->n_rows ? 2 : 1, dims, data, n_bytes);
}

/* "<unk>", "<s>", "</s>", 256 byte tokens, then words */
static inline void
mixed_add_vocabulary(GgufWriter *w)
{
	static char text[MIXED_N_VOCAB][16];
	const char *tokens[MIXED_N_VOCAB];
	float		scores[MIXED_N_VOCAB] = {0};
	int32_t		types[MIXED_N_VOCAB];

	for (int i = 0; i < MIXED_N_VOCAB; i++)
	{
		types[i] = i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1;
		if (i < 3)
			snprintf(text[i], sizeof(text[i]), "%s", i == 0 ? "<unk>" : i == 1 ? "<s>" : "</s>");
		else if (i < 259)
			snprintf(text[i], sizeof(text[i]), "<0x%02X>", (unsigned) (i - 3));
		else
			snprintf(text[i], sizeof(text[i]), "w%d", i);
		scores[i] = (float) -i;
		tokens[i] = text[i];
	}
	gw_string(w, "tokenizer.ggml.model", "llama");
	gw_strings(w, "tokenizer.ggml.tokens", tokens, MIXED_N_VOCAB);
	gw_f32s(w, "tokenizer.ggml.scores", scores, MIXED_N_VOCAB);
	gw_i32s(w, "tokenizer.ggml.token_type", types, MIXED_N_VOCAB);
	gw_u32(w, "tokenizer.ggml.bos_token_id", 1);
	gw_u32(w, "tokenizer.ggml.eos_token_id", 2);
}

/* all of the model, not finished */
static inline void
mixed_put_model(GgufWriter *w, const MixedSpoil *spoil)
{
	uint32_t	random = 7;

	gw_string(w, "general.architecture", "llama");
	gw_u32(w, "llama.block_count", MIXED_N_LAYER);
	gw_u32(w, "llama.context_length", MIXED_N_CTX);
	gw_u32(w, "llama.embedding_length", MIXED_N_EMBD);
	gw_u32(w, "llama.feed_forward_length", MIXED_N_FF);
	gw_u32(w, "llama.attention.head_count", 4);
	gw_u32(w, "llama.attention.head_count_kv", 2);
	gw_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	mixed_add_vocabulary(w);
	for (size_t i = 0; i < sizeof(mixed_tensors) / sizeof(mixed_tensors[0]); i++)
		for (int layer = 0; layer < (strchr(mixed_tensors[i].name, '%') ? MIXED_N_LAYER : 1); layer++)
			mixed_add_tensor(w, &mixed_tensors[i], layer, spoil, &random);
}

static inline TestModel
mixed_model_open(const LlmModelOptions *options, const LlmKernels *kernels, const MixedSpoil *spoil)
{
	GgufWriter	w;
	TestModel	t;
	char		path[64];
	int			fd;

	gw_init(&w);
	mixed_put_model(&w, spoil);
	gw_finish(&w);
	fd = gw_memfd(w.file.data, w.file.len, path);
	t = test_model_open(path, options, kernels);
	close(fd);
	gw_free(&w);
	return t;
}

#endif
