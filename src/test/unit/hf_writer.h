/*
 * hf_writer.h: small Hugging Face folders for tests, made of texts.
 */
#ifndef LLM_TEST_HF_WRITER_H
#define LLM_TEST_HF_WRITER_H

#include "check.h"

#include <dirent.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

/* the smallest llama there is: one layer, width 8 */
#define HF_CONFIG \
	"\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 8, \"intermediate_size\": 8, \"num_hidden_layers\": 1, " \
	"\"num_attention_heads\": 2, \"vocab_size\": 5, \"max_position_embeddings\": 16, \"rms_norm_eps\": 1e-6, \"hidden_act\": \"silu\""

static char hf_folder_path[64];

static inline void
hf_write(const char *name, const void *data, size_t len)
{
	char		path[256];
	FILE	   *f;

	snprintf(path, sizeof(path), "%s/%s", hf_folder_path, name);
	f = fopen(path, "w");
	CHECK(f && fwrite(data, 1, len, f) == len);
	if (f)
		fclose(f);
}

static inline void
hf_write_text(const char *name, const char *text)
{
	hf_write(name, text, strlen(text));
}

/* an empty folder of its own */
static inline void
hf_begin(void)
{
	strcpy(hf_folder_path, "/tmp/llm_hf_test_XXXXXX");
	CHECK(mkdtemp(hf_folder_path) != NULL);
}

static inline void
hf_clean(void)
{
	DIR		   *dir = opendir(hf_folder_path);
	struct dirent *entry;
	char		path[400];

	while (dir && (entry = readdir(dir)) != NULL)
	{
		snprintf(path, sizeof(path), "%s/%s", hf_folder_path, entry->d_name);
		if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2)
			unlink(path);
	}
	if (dir)
		closedir(dir);
}

static inline void
hf_end(void)
{
	hf_clean();
	rmdir(hf_folder_path);
}

/* a safetensors file: this header, and n_data bytes that count up in their own way */
static inline void
hf_write_safetensors(const char *name, const char *header, size_t n_data)
{
	const uint64_t len = strlen(header);
	uint8_t    *bytes = malloc(8 + len + n_data);

	memcpy(bytes, &len, 8);
	memcpy(bytes + 8, header, len);
	for (size_t i = 0; i < n_data; i++)
		bytes[8 + len + i] = i % 4 == 3 ? 0x3e : (uint8_t) (i * 7);
	hf_write(name, bytes, 8 + len + n_data);
	free(bytes);
}

/* a header of F32 tensors that lie one after the other */
typedef struct HfHeader
{
	char		text[8192];
	size_t		len;
	uint64_t	n_data;
} HfHeader;

static inline void
hf_add(HfHeader *h, const char *name, const char *dtype, int element_bytes, int64_t a, int64_t b)
{
	uint64_t	n = (uint64_t) a * (uint64_t) (b ? b : 1) * (uint64_t) element_bytes;
	char		shape[64];

	if (b)
		snprintf(shape, sizeof(shape), "%lld, %lld", (long long) a, (long long) b);
	else
		snprintf(shape, sizeof(shape), "%lld", (long long) a);
	h->len += (size_t) snprintf(h->text + h->len, sizeof(h->text) - h->len,
								"%s\"%s\": {\"dtype\": \"%s\", \"shape\": [%s], \"data_offsets\": [%llu, %llu]}",
								h->len > 1 ? ", " : "", name, dtype, shape, (unsigned long long) h->n_data,
								(unsigned long long) (h->n_data + n));
	h->n_data += n;
}

static inline HfHeader
hf_header(void)
{
	HfHeader	h = {.text = "{", .len = 1};

	return h;
}

static inline void
hf_finish(HfHeader *h, const char *name)
{
	h->text[h->len++] = '}';
	h->text[h->len] = '\0';
	hf_write_safetensors(name, h->text, h->n_data);
}

/* all tensors of the smallest llama but the one named */
static inline HfHeader
hf_llama(const char *without)
{
	static const struct
	{
		const char *name;
		int			rows;
		int			cols;
	}			tensors[] = {
		{"model.embed_tokens.weight", 5, 8}, {"lm_head.weight", 5, 8}, {"model.norm.weight", 8, 0},
		{"model.layers.0.input_layernorm.weight", 8, 0}, {"model.layers.0.post_attention_layernorm.weight", 8, 0},
		{"model.layers.0.self_attn.q_proj.weight", 8, 8}, {"model.layers.0.self_attn.k_proj.weight", 8, 8},
		{"model.layers.0.self_attn.v_proj.weight", 8, 8}, {"model.layers.0.self_attn.o_proj.weight", 8, 8},
		{"model.layers.0.mlp.gate_proj.weight", 8, 8}, {"model.layers.0.mlp.up_proj.weight", 8, 8},
		{"model.layers.0.mlp.down_proj.weight", 8, 8},
	};
	HfHeader	h = hf_header();

	for (size_t i = 0; i < sizeof(tensors) / sizeof(tensors[0]); i++)
		if (!without || strcmp(without, tensors[i].name) != 0)
			hf_add(&h, tensors[i].name, "F32", 4, tensors[i].rows, tensors[i].cols);
	return h;
}

#endif
