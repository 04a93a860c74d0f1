/*
 * hf_classes_test.c: every class of models as a Hugging Face folder, against the results of transformers.
 *
 * The folders are not kept: sql-tests/data/hf/classes.json has each one's config.json, names and shapes of its tensors, and
 * results. Values of the tensors follow from name and place, here and in src/test/references/hf_folders.py (`record`), which
 * had transformers compute with them.
 */
#include "hf_reference.h"
#include "hf_writer.h"

#define CLASSES "sql-tests/data/hf/classes.json"

/* FNV-1a */
static uint32_t
name_hash(const char *name)
{
	uint32_t	h = 2166136261u;

	for (const char *c = name; *c; c++)
		h = (h ^ (uint8_t) *c) * 16777619u;
	return h;
}

/* element i of a tensor: a multiple of 1/128 from -1 to 1 (without 1) */
static float
noise(uint32_t hash, uint32_t i)
{
	uint32_t	x = hash + i * 2654435761u;

	x = (x ^ (x >> 16)) * 0x7feb352du;
	x = (x ^ (x >> 15)) * 0x846ca68bu;
	x ^= x >> 16;
	return (float) ((int32_t) (x >> 24) - 128) / 128.0f;
}

/* a matrix of n_cols: a power of two near the root of 4 / n_cols, so that products stay near 1 */
static float
matrix_scale(int64_t n_cols)
{
	float		scale = 1;

	while (n_cols > 4)
	{
		scale /= 2;
		n_cols = (n_cols + 3) / 4;
	}
	return scale;
}

static void
fill(const char *name, int64_t n_cols, int n_dims, int64_t n, float *out)
{
	const uint32_t hash = name_hash(name);
	const size_t len = strlen(name);
	const bool	is_norm = n_dims == 1 && len > 7 && strcmp(name + len - 7, ".weight") == 0;
	const float scale = n_dims == 1 ? 0.25f : matrix_scale(n_cols);

	for (int64_t i = 0; i < n; i++)
		out[i] = (is_norm ? 1.0f : 0.0f) + scale * noise(hash, (uint32_t) i);
}

/* one file of F32 tensors in the order of the list */
static void
write_weights(struct json_object *tensors)
{
	struct json_object *header = json_object_new_object();
	float	   *data = NULL;
	const char *text;
	uint8_t    *bytes;
	size_t		n_data = 0;
	uint64_t	len;

	json_object_object_foreach(tensors, name, shape)
	{
		struct json_object *entry = json_object_new_object();
		struct json_object *offsets = json_object_new_array();
		int			n_dims = (int) json_object_array_length(shape);
		int64_t		n_cols = 1;		/* the last dimension */
		int64_t		n = 1;

		for (int i = 0; i < n_dims; i++)
			n *= n_cols = json_object_get_int64(json_object_array_get_idx(shape, (size_t) i));
		data = realloc(data, (n_data + (size_t) n) * sizeof(float));
		fill(name, n_cols, n_dims, n, data + n_data);
		json_object_array_add(offsets, json_object_new_int64((int64_t) (n_data * sizeof(float))));
		n_data += (size_t) n;
		json_object_array_add(offsets, json_object_new_int64((int64_t) (n_data * sizeof(float))));
		json_object_object_add(entry, "dtype", json_object_new_string("F32"));
		json_object_object_add(entry, "shape", json_object_get(shape));
		json_object_object_add(entry, "data_offsets", offsets);
		json_object_object_add(header, name, entry);
	}
	text = json_object_to_json_string_ext(header, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	len = strlen(text);
	bytes = malloc(8 + len + n_data * sizeof(float));
	memcpy(bytes, &len, 8);
	memcpy(bytes + 8, text, len);
	memcpy(bytes + 8 + len, data, n_data * sizeof(float));
	hf_write("model.safetensors", bytes, 8 + len + n_data * sizeof(float));
	free(bytes);
	free(data);
	json_object_put(header);
}

static void
test_class(const char *name, struct json_object *model)
{
	hf_begin();
	hf_write_text("config.json", json_object_to_json_string(json_object_object_get(model, "config")));
	write_weights(json_object_object_get(model, "tensors"));
	hf_check_reference(hf_folder_path, name, model);
	hf_end();
}

static void
add_tensor(struct json_object *tensors, const char *name, int rows, int cols)
{
	struct json_object *shape = json_object_new_array();

	json_object_array_add(shape, json_object_new_int(rows));
	if (cols > 0)
		json_object_array_add(shape, json_object_new_int(cols));
	json_object_object_add(tensors, name, shape);
}

/* layers after the last, which predict further tokens, change nothing */
static void
test_further_layers(struct json_object *models)
{
	static const char *const next[] = {"glm4moe-groups", "glm4moelite", "deepseek_v3"};
	struct json_object *ernie = json_object_object_get(models, "ernie4_5moe");

	for (size_t i = 0; i < sizeof(next) / sizeof(next[0]); i++)
	{
		struct json_object *model = json_object_object_get(models, next[i]);
		struct json_object *tensors = json_object_object_get(model, "tensors");

		add_tensor(tensors, "model.layers.2.eh_proj.weight", 32, 64);
		add_tensor(tensors, "model.layers.2.enorm.weight", 32, 0);
		add_tensor(tensors, "model.layers.2.shared_head.norm.weight", 32, 0);
		add_tensor(tensors, "model.layers.2.embed_tokens.weight", 40, 32);
		add_tensor(tensors, "model.layers.2.input_layernorm.weight", 32, 0);
		test_class(next[i], model);
	}
	add_tensor(json_object_object_get(ernie, "tensors"), "model.mtp_block.0.self_attn.q_proj.weight", 32, 32);
	add_tensor(json_object_object_get(ernie, "tensors"), "model.mtp_emb_norm.0.weight", 32, 0);
	add_tensor(json_object_object_get(ernie, "tensors"), "model.mtp_hidden_norm.0.weight", 32, 0);
	add_tensor(json_object_object_get(ernie, "tensors"), "model.mtp_linear_proj.0.weight", 32, 64);
	test_class("ernie4_5moe", ernie);
}

int
main(void)
{
	struct json_object *root = hf_read_json(CLASSES);
	struct json_object *models = json_object_object_get(root, "models");
	int			n = 0;

	json_object_object_foreach(models, name, model)
	{
		test_class(name, model);
		n++;
	}
	CHECK_MSG(n >= 110, "%d models", n);
	test_further_layers(models);
	json_object_put(root);
	CHECK_DONE();
}
