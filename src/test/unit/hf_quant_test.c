/*
 * hf_quant_test.c: quantized matrices of Hugging Face folders, one of every layout, against what their writer says they mean
 * (src/test/references/make_quantized.py); and what is wrong with them when it is.
 */
#include "weights/hf/quant.h"
#include "check.h"
#include "kernels.h"

#include <json-c/json.h>
#include <math.h>
#include <string.h>

#define DATA "sql-tests/data/hf/quantized.safetensors"
#define N_ROWS 16
#define N_COLS 64

static LlmFile file;
static LlmArena arena;
static LlmHfStored *stored;
static uint64_t n_stored;

/* what a test puts in place of a stored tensor; NULL name: none */
static LlmHfStored changed;
static const char *changed_name;
static bool removed;

static const LlmHfStored *
find(void *ctx, const char *name)
{
	(void) ctx;
	if (changed_name && strcmp(name, changed_name) == 0)
		return removed ? NULL : &changed;
	for (uint64_t i = 0; i < n_stored; i++)
		if (stored[i].name.len == strlen(name) && memcmp(stored[i].name.data, name, stored[i].name.len) == 0)
			return &stored[i];
	return NULL;
}

static const LlmHfStore store = {.find = find, .files = &file, .allocator = &llm_malloc_allocator};

static const struct Case
{
	const char *name;
	LlmHfQuantConfig config;
	LlmType		type;
	double		tolerance;		/* of the largest weight: what the type cannot hold of factors */
}			cases[] = {
	{"fp8-tensor", {.method = LLM_HF_METHOD_PLAIN, .tile_rows = 10, .tile_cols = 10}, LLM_TYPE_F16, 1e-7},
	{"fp8-channel", {.method = LLM_HF_METHOD_PLAIN, .tile_rows = 10, .tile_cols = 10}, LLM_TYPE_F16, 5e-4},
	{"fp8-tile", {.method = LLM_HF_METHOD_PLAIN, .tile_rows = 10, .tile_cols = 10}, LLM_TYPE_F16, 5e-4},
	{"nvfp4-modelopt", {.method = LLM_HF_METHOD_PLAIN}, LLM_TYPE_NVFP4, 1e-7},
	{"nvfp4-ct", {.method = LLM_HF_METHOD_PLAIN}, LLM_TYPE_NVFP4, 1e-6},
	{"gptq", {.method = LLM_HF_METHOD_GPTQ, .bits = 4, .zero_offset = 1}, LLM_TYPE_Q4_1, 5e-4},
	{"gptq-sym", {.method = LLM_HF_METHOD_GPTQ, .bits = 4, .zero_offset = 1}, LLM_TYPE_Q4_0, 1e-7},
	{"gptq-act", {.method = LLM_HF_METHOD_GPTQ, .bits = 4, .zero_offset = 1}, LLM_TYPE_F16, 5e-4},
	{"gptq-8bit", {.method = LLM_HF_METHOD_GPTQ, .bits = 8, .zero_offset = 1}, LLM_TYPE_Q8_0, 1e-7},
	{"gptq-2bit", {.method = LLM_HF_METHOD_GPTQ, .bits = 2, .zero_offset = 1}, LLM_TYPE_Q4_1, 5e-4},
	{"gptq-v2", {.method = LLM_HF_METHOD_GPTQ, .bits = 4}, LLM_TYPE_Q4_1, 5e-4},
	{"awq", {.method = LLM_HF_METHOD_AWQ, .bits = 4}, LLM_TYPE_Q4_1, 5e-4},
	{"ct-int4", {.method = LLM_HF_METHOD_PLAIN}, LLM_TYPE_Q4_0, 1e-7},
	{"ct-int4-asym", {.method = LLM_HF_METHOD_PLAIN}, LLM_TYPE_Q4_1, 5e-4},
	{"ct-int4-act", {.method = LLM_HF_METHOD_PLAIN}, LLM_TYPE_F16, 5e-4},
	{"ct-int8", {.method = LLM_HF_METHOD_PLAIN}, LLM_TYPE_Q8_0, 1e-7},
	{"ct-w8a8", {.method = LLM_HF_METHOD_PLAIN}, LLM_TYPE_Q8_0, 1e-7},
};

#define N_CASES ((int) (sizeof(cases) / sizeof(cases[0])))

/* all rows, in two pieces; status of the first call that failed */
static LlmStatus
decode(const struct Case *c, LlmHfMatrix *m, float *out, LlmError *err)
{
	static uint8_t rows[N_ROWS * N_COLS * 4];
	LlmHfReader reader = {.store = &store};
	bool		found;
	LlmStatus	status = llm_hf_matrix_find(&store, &c->config, c->name, m, &found, NULL, err);

	if (status != LLM_OK)
		return status;
	CHECK_MSG(found && m->n_rows == N_ROWS && m->n_cols == N_COLS, "%s: shape", c->name);
	if (!found || m->n_rows != N_ROWS || m->n_cols != N_COLS)
		return LLM_E_FORMAT;
	for (int64_t first = 0; first < N_ROWS && status == LLM_OK; first += 5)
	{
		int64_t		n = N_ROWS - first < 5 ? N_ROWS - first : 5;

		status = llm_hf_matrix_rows(&reader, m, first, n, rows, NULL, err);
		if (status == LLM_OK)
			llmk_dequantize(m->type, rows, n * N_COLS, out + first * N_COLS);
	}
	llm_hf_reader_free(&reader);
	return status;
}

static void
test_values(void)
{
	static float got[N_ROWS * N_COLS];
	static float want[N_ROWS * N_COLS];

	for (int i = 0; i < N_CASES; i++)
	{
		const struct Case *c = &cases[i];
		LlmHfMatrix m;
		LlmError	err;
		char		name[64];
		const LlmHfStored *plain;
		double		most = 0;
		double		worst = 0;

		snprintf(name, sizeof(name), "%s.plain", c->name);
		plain = find(NULL, name);
		CHECK_MSG(plain != NULL && plain->n_bytes == sizeof(want), "%s", name);
		if (plain == NULL || plain->n_bytes != sizeof(want))
			continue;
		CHECK(llm_file_read(&file, plain->offset, want, sizeof(want), NULL, &err) == LLM_OK);
		CHECK_MSG(decode(c, &m, got, &err) == LLM_OK, "%s: %s (%s)", c->name, err.message, err.detail);
		CHECK_MSG(m.type == c->type, "%s: type %d", c->name, (int) m.type);
		for (int k = 0; k < N_ROWS * N_COLS; k++)
		{
			double		d = fabs((double) got[k] * m.factor - want[k]);

			most = fabs(want[k]) > most ? fabs(want[k]) : most;
			worst = d > worst || isnan(d) ? d : worst;
		}
		CHECK_MSG(worst <= c->tolerance * most, "%s: differs by %g of %g", c->name, worst, most);
	}
}

/* every stored tensor of every case with another dtype, another shape, or gone: an error, or still the same matrix */
static void
test_wrong_tensors(void)
{
	static float out[N_ROWS * N_COLS];
	static const char *const parts[] = {"weight", "weight_packed", "weight_scale", "weight_scale_inv", "weight_scale_2",
		"weight_global_scale", "weight_shape", "weight_zero_point", "weight_g_idx", "qweight", "qzeros", "scales", "g_idx"};
	int			n_refused = 0;

	for (int i = 0; i < N_CASES; i++)
		for (size_t p = 0; p < sizeof(parts) / sizeof(parts[0]); p++)
			for (int how = 0; how < 8; how++)
			{
				char		name[80];
				const LlmHfStored *t;
				LlmHfMatrix m;
				LlmError	err;
				LlmHfReader reader = {.store = &store};
				bool		found;
				LlmStatus	status;

				snprintf(name, sizeof(name), "%s.%s", cases[i].name, parts[p]);
				t = find(NULL, name);
				if (t == NULL)
					continue;
				changed = *t;
				changed_name = name;
				removed = how == 0;
				if (how == 1)
					changed.dtype = LLM_HF_BOOL;
				else if (how == 2)
					changed.n_dims = 0;
				else if (how == 3)
					changed.dim[0] = 1;
				else if (how == 4)
					changed.dim[changed.n_dims > 1] = 1;
				else if (how == 5)
					changed.n_dims++;
				else if (how == 6)
					changed.dim[0] += 1;
				else if (how == 7)
					changed.dtype = LLM_HF_F32;
				changed.n_bytes = (uint64_t) llm_hf_dtype_bytes(changed.dtype);
				for (int d = 0; d < changed.n_dims; d++)
					changed.n_bytes *= (uint64_t) changed.dim[d];
				status = llm_hf_matrix_find(&store, &cases[i].config, cases[i].name, &m, &found, NULL, &err);
				if (status != LLM_OK)
				{
					CHECK_MSG(status == LLM_E_FORMAT && err.message[0] != '\0', "%s %d: %d %s", name, how, status, err.message);
					n_refused++;
				}
				else if (found && m.n_rows == N_ROWS && m.n_cols == N_COLS)
				{
					static uint8_t rows[N_ROWS * N_COLS * 4];

					status = llm_hf_matrix_rows(&reader, &m, 0, N_ROWS, rows, NULL, &err);
					if (status == LLM_OK)
						llmk_dequantize(m.type, rows, N_ROWS * N_COLS, out);
				}
				llm_hf_reader_free(&reader);
				changed_name = NULL;
			}
	CHECK_MSG(n_refused > 100, "%d were refused", n_refused);
}

/* quantization_config: what is understood, and what is refused by its name */
static void
test_config(void)
{
	static const struct
	{
		const char *text;
		const char *refused;	/* NULL: understood */
	}			configs[] = {
		{"{\"quant_method\":\"fp8\",\"weight_block_size\":[128,64]}", NULL},
		{"{\"quant_method\":\"fp8\",\"weight_block_size\":null}", NULL},
		{"{\"quant_method\":\"fp8\",\"weight_block_size\":[0,64]}", "weight_block_size"},
		{"{\"quant_method\":\"gptq\",\"bits\":4,\"desc_act\":true}", NULL},
		{"{\"quant_method\":\"gptq\",\"bits\":3}", "bits"},
		{"{\"quant_method\":\"gptq\",\"bits\":4,\"dynamic\":{\"a\":{\"bits\":8}}}", "dynamic"},
		{"{\"quant_method\":\"gptq\",\"bits\":4,\"checkpoint_format\":\"marlin\"}", "checkpoint_format"},
		{"{\"quant_method\":\"awq\",\"bits\":4,\"version\":\"GEMM\"}", NULL},
		{"{\"quant_method\":\"awq\",\"bits\":4,\"version\":\"gemv\"}", "version"},
		{"{\"quant_method\":\"compressed-tensors\",\"quantization_status\":\"compressed\",\"config_groups\":{}}", NULL},
		{"{\"quant_method\":\"compressed-tensors\",\"sparsity_config\":{\"format\":\"sparse-24-bitmask\"}}", "sparsity_config"},
		{"{\"quant_method\":\"modelopt\",\"quant_algo\":\"NVFP4\"}", NULL},
		{"{\"quant_method\":\"mxfp4\"}", NULL},
		{"{\"quant_method\":\"fbgemm_fp8\",\"activation_scale_ub\":1200.0}", NULL},
		{"{\"quant_method\":\"bitsandbytes\"}", "quant_method"},
		{"{\"quant_method\":7}", "quant_method"},
		{"{}", "quant_method"},
	};

	for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++)
	{
		struct json_object *json = json_tokener_parse(configs[i].text);
		LlmHfQuantConfig config;
		LlmError	err;
		LlmStatus	status = llm_hf_quant_config(json, &config, &err);

		if (configs[i].refused)
			CHECK_MSG(status == LLM_E_UNSUPPORTED && strstr(err.message, configs[i].refused), "%s: %s", configs[i].text, err.message);
		else
			CHECK_MSG(status == LLM_OK, "%s: %s", configs[i].text, err.message);
		json_object_put(json);
	}
}

/* all 8-bit floats, by their meaning */
static void
test_f8(void)
{
	static const struct
	{
		LlmHfDtype	dtype;
		uint8_t		bits;
		double		value;
	}			numbers[] = {
		{LLM_HF_F8_E4M3, 0x7E, 448}, {LLM_HF_F8_E4M3, 0x01, 0.001953125}, {LLM_HF_F8_E4M3, 0x38, 1}, {LLM_HF_F8_E4M3, 0xB8, -1},
		{LLM_HF_F8_E5M2, 0x7B, 57344}, {LLM_HF_F8_E5M2, 0x01, 1.52587890625e-05}, {LLM_HF_F8_E5M2, 0x3C, 1},
		{LLM_HF_F8_E8M0, 127, 1}, {LLM_HF_F8_E8M0, 0, 5.877471754111438e-39},
	};
	uint8_t		nan = 0x7F;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		CHECK(llm_hf_number(numbers[i].dtype, &numbers[i].bits) == (float) numbers[i].value);
	CHECK(isnan(llm_hf_number(LLM_HF_F8_E4M3, &nan)));
	CHECK(isnan(llm_hf_number(LLM_HF_F8_E5M2, &nan)));
}

int
main(void)
{
	LlmError	err;

	llm_arena_init(&arena, &llm_malloc_allocator, 0);
	CHECK_MSG(llm_file_open(DATA, &file, &err) == LLM_OK, "%s", err.message);
	CHECK_MSG(llm_safetensors_read(&file, 0, &arena, NULL, &stored, &n_stored, &err) == LLM_OK, "%s", err.message);
	test_f8();
	test_config();
	test_values();
	test_wrong_tensors();
	llm_file_close(&file);
	llm_arena_free(&arena);
	CHECK_DONE();
}
