/*
 * old_layout_test.c: files of older converters (an expert's matrices as tensors of their own, keys and values of latent attention
 * joined) against the same weights in the form of today: the same bytes of logits. And such files damaged.
 */
#include "fail_alloc.h"
#include "rewritten_model.h"

#define N_EXPERT 5
#define KV_RANK 64
#define N_KEY 24				/* of a head, without rotation */
#define N_VALUE 32
#define N_ROT 8
#define LATENT_ROWS (NAIVE_HEAD * (N_KEY + N_VALUE))
#define KEY(name, number) {.suffix = name, .value = number}

/* opening and packing, with an allocator that may fail */
static LlmStatus
pack_status(const GgufWriter *w, const LlmAllocator *a, LlmError *err)
{
	LlmSource	source;
	const uint8_t *base;
	size_t		size;
	LlmStatus	status;
	char		path[64];
	int			fd = gw_memfd(w->file.data, w->file.len, path);

	status = llm_source_open(path, a, NULL, &source, err);
	close(fd);
	if (status != LLM_OK)
		return status;
	status = llm_pack_to_memory(&source, a, NULL, &base, &size, err);
	if (status == LLM_OK)
		llm_memory_pack_free(base, size);
	llm_source_close(&source);
	return status;
}

static void
check_allocations(const GgufWriter *w)
{
	for (long k = 0;; k++)
	{
		FailAlloc	fa;
		LlmError	err;
		LlmStatus	status;

		fail_alloc_init(&fa, k);
		status = pack_status(w, &fa.allocator, &err);
		CHECK_MSG(fa.n_alive == 0, "request %ld: %ld pieces are left", k, fa.n_alive);
		CHECK(status == (fa.refused ? LLM_E_NOMEM : LLM_OK));
		if (!fa.refused)
			break;
	}
}

/* ---- experts ---- */

static const NaiveModel experts = {.arch = "llama", .n_layer = 2, .n_head_kv = 2, .n_rot = 16, .n_ff = 96, .rope_base = 10000,
.norm_before = true, .n_expert = N_EXPERT, .n_used = 2, .router = 1, .renorm = true};
static const TinyKey expert_keys[] = {KEY("expert_count", N_EXPERT), KEY("expert_used_count", 2), {0}};

/* a stack as tensors of their own, the last one first */
static bool
part_experts(GgufWriter *w, const LlmTensor *t, const char *name, const uint8_t *data)
{
	const char *end = strstr(name, "_exps.weight");
	const uint64_t dims[2] = {(uint64_t) t->dim[0], (uint64_t) t->dim[1]};
	const size_t n_bytes = t->n_bytes / (size_t) t->dim[2];
	char		part[128];

	if (!end)
		return false;
	for (int e = (int) t->dim[2] - 1; e >= 0; e--)
	{
		snprintf(part, sizeof part, "%.*s.%d.weight", (int) (end - name), name, e);
		gw_tensor(w, part, t->type, 2, dims, data + (size_t) e * n_bytes, n_bytes);
	}
	return true;
}

static void
test_experts(void)
{
	NaiveModel	d = experts;

	for (int quantized = 0; quantized < 2; quantized++)
	{
		GgufWriter	older;
		GgufWriter	newer;

		d.quantized = quantized;
		make_rewritten(&d, expert_keys, part_experts, &older);
		make_rewritten(&d, expert_keys, NULL, &newer);
		CHECK(older.n_tensors == newer.n_tensors + 2 * 3 * (N_EXPERT - 1));
		if (quantized)
			check_allocations(&older);
		check_same_logits(&older, &newer, quantized ? "quantized experts" : "experts");
	}
}

/* without expert `gone` of one matrix, or with another shape or type of it */
static enum {LACKS_FIRST, LACKS_ONE, OTHER_SHAPE, OTHER_TYPE, BOTH_FORMS, BOTH_NAMES, N_DAMAGES} damage;

static bool
damage_experts(GgufWriter *w, const LlmTensor *t, const char *name, const uint8_t *data)
{
	const uint64_t dims[2] = {(uint64_t) t->dim[0], (uint64_t) t->dim[1]};
	const uint64_t fewer[2] = {dims[0], dims[1] - 1};
	const size_t n_bytes = dims[0] * dims[1] * sizeof(float);

	if (strcmp(name, "blk.1.ffn_up_exps.weight") != 0)
		return part_experts(w, t, name, data);
	for (int e = 0; e < N_EXPERT; e++)
	{
		char		part[64];

		snprintf(part, sizeof part, damage == BOTH_NAMES && e == 2 ? "blk.1.ffn_up.0%d.weight" : "blk.1.ffn_up.%d.weight", e);
		if (e == (damage == LACKS_FIRST ? 0 : 2) && damage <= LACKS_ONE)
			continue;
		if (e == 2 && damage == OTHER_SHAPE)
			gw_tensor(w, part, LLM_TYPE_F32, 2, fewer, data, n_bytes);
		else if (e == 2 && damage == OTHER_TYPE)
			gw_tensor(w, part, LLM_TYPE_F16, 2, dims, data, n_bytes / 2);
		else
			gw_tensor(w, part, LLM_TYPE_F32, 2, dims, data, n_bytes);
	}
	return damage != BOTH_FORMS;
}

static void
test_damaged_experts(void)
{
	static const char *const says[] = {"blk.1.ffn_up.0.weight", "blk.1.ffn_up.2.weight", "blk.1.ffn_up.2.weight", "blk.1.ffn_up.2.weight",
	"blk.1.ffn_up_exps.weight", "blk.1.ffn_up.2.weight"};

	for (damage = 0; damage < N_DAMAGES; damage++)
	{
		GgufWriter	w;
		LlmError	err;
		LlmStatus	status;

		make_rewritten(&experts, expert_keys, damage_experts, &w);
		status = pack_status(&w, &llm_malloc_allocator, &err);
		CHECK_MSG(status == (damage == OTHER_TYPE ? LLM_E_UNSUPPORTED : LLM_E_FORMAT) && strstr(err.message, says[damage]),
				  "damage %d: status %d, %s", (int) damage, (int) status, status == LLM_OK ? "no message" : err.message);
		gw_free(&w);
	}
}

/* ---- latent attention ---- */

static const NaiveModel latent = {.arch = "deepseek2", .n_layer = 2, .n_head_kv = NAIVE_HEAD, .n_rot = N_ROT, .n_ff = 96,
.rope_base = 10000, .norm_before = true, .kv_rank = KV_RANK, .q_rank = 32, .latent_k = N_KEY + N_ROT, .latent_v = N_VALUE};
static const TinyKey newer_keys[] = {KEY("attention.key_length_mla", N_KEY + N_ROT), KEY("attention.value_length_mla", N_VALUE),
KEY("attention.kv_lora_rank", KV_RANK), KEY("attention.q_lora_rank", 32), {0}};
static const TinyKey older_keys[] = {KEY("attention.key_length", N_KEY + N_ROT), KEY("attention.value_length", N_VALUE),
KEY("attention.kv_lora_rank", KV_RANK), KEY("attention.q_lora_rank", 32), {0}};

/* the joined matrix of the layer at hand: rows of each head's keys, then values */
static struct
{
	float		rows[LATENT_ROWS][KV_RANK];
	uint8_t		blocks[LATENT_ROWS][KV_RANK / 32][34];
	bool		quantized;
	bool		older;
}			joined;

/* to blocks of Q8_0 and back */
static void
quantize_joined(void)
{
	for (int r = 0; r < LATENT_ROWS; r++)
	{
		for (int b = 0; b < KV_RANK / 32; b++)
		{
			float	   *row = &joined.rows[r][b * 32];
			uint8_t    *block = joined.blocks[r][b];
			float		scale = 0;

			for (int i = 0; i < 32; i++)
				scale = fmaxf(scale, fabsf(row[i]) / 127);
			mixed_half(block, llmk_float_to_half(scale));
			scale = llmk_half_to_float(llmk_float_to_half(scale));
			for (int i = 0; i < 32; i++)
				block[2 + i] = (uint8_t) (int8_t) fmaxf(-127, fminf(127, rintf(row[i] / scale)));
		}
		llmk_dequantize(LLM_TYPE_Q8_0, joined.blocks[r], KV_RANK, joined.rows[r]);
	}
}

/* as older files have it; in the newer form keys that were quantized are halves */
static void
write_joined(GgufWriter *w, const char *name)
{
	const uint64_t dims[2] = {KV_RANK, LATENT_ROWS};
	const char *role = strstr(name, "attn_v_b");
	char		other[96];

	snprintf(other, sizeof other, "%.*sattn_kv_b.weight", (int) (role - name), name);
	if (joined.quantized)
		gw_tensor(w, other, LLM_TYPE_Q8_0, 2, dims, joined.blocks, sizeof joined.blocks);
	else
		gw_tensor(w, other, LLM_TYPE_F32, 2, dims, joined.rows, sizeof joined.rows);
}

static void
write_split(GgufWriter *w, const char *name)
{
	static float keys[NAIVE_HEAD][KV_RANK][N_KEY];
	static uint16_t halves[NAIVE_HEAD][KV_RANK][N_KEY];
	static float values[NAIVE_HEAD][N_VALUE][KV_RANK];
	static uint8_t blocks[NAIVE_HEAD][N_VALUE][KV_RANK / 32][34];
	const uint64_t k_dims[3] = {N_KEY, KV_RANK, NAIVE_HEAD};
	const uint64_t v_dims[3] = {KV_RANK, N_VALUE, NAIVE_HEAD};
	const char *role = strstr(name, "attn_v_b");
	char		other[96];

	for (int h = 0; h < NAIVE_HEAD; h++)
	{
		const int	first = h * (N_KEY + N_VALUE);

		for (int r = 0; r < N_KEY; r++)
			for (int c = 0; c < KV_RANK; c++)
			{
				keys[h][c][r] = joined.rows[first + r][c];
				halves[h][c][r] = llmk_float_to_half(keys[h][c][r]);
			}
		memcpy(values[h], joined.rows[first + N_KEY], sizeof values[h]);
		memcpy(blocks[h], joined.blocks[first + N_KEY], sizeof blocks[h]);
	}
	snprintf(other, sizeof other, "%.*sattn_k_b.weight", (int) (role - name), name);
	if (joined.quantized)
		gw_tensor(w, other, LLM_TYPE_F16, 3, k_dims, halves, sizeof halves);
	else
		gw_tensor(w, other, LLM_TYPE_F32, 3, k_dims, keys, sizeof keys);
	if (joined.quantized)
		gw_tensor(w, name, LLM_TYPE_Q8_0, 3, v_dims, blocks, sizeof blocks);
	else
		gw_tensor(w, name, LLM_TYPE_F32, 3, v_dims, values, sizeof values);
}

/* attn_k_b comes before attn_v_b; both have floats here */
static bool
join_latent(GgufWriter *w, const LlmTensor *t, const char *name, const uint8_t *data)
{
	const bool	is_key = strstr(name, "attn_k_b") != NULL;
	const float *values = (const float *) data;

	if (!is_key && !strstr(name, "attn_v_b"))
		return false;
	CHECK(t->type == LLM_TYPE_F32);
	for (int h = 0; h < NAIVE_HEAD; h++)
		for (int r = 0; r < (is_key ? N_KEY : N_VALUE); r++)
			for (int c = 0; c < KV_RANK; c++)
				joined.rows[h * (N_KEY + N_VALUE) + (is_key ? r : N_KEY + r)][c] =
					is_key ? values[(h * KV_RANK + c) * N_KEY + r] : values[(h * N_VALUE + r) * KV_RANK + c];
	if (is_key)
		return true;
	if (joined.quantized)
		quantize_joined();
	if (joined.older)
		write_joined(w, name);
	else
		write_split(w, name);
	return true;
}

static void
test_latent(void)
{
	for (int quantized = 0; quantized < 2; quantized++)
	{
		GgufWriter	older;
		GgufWriter	newer;
		GgufWriter	given;

		joined.quantized = quantized;
		joined.older = true;
		make_rewritten(&latent, older_keys, join_latent, &older);
		joined.older = false;
		make_rewritten(&latent, newer_keys, join_latent, &newer);
		if (!quantized)
		{
			make_rewritten(&latent, newer_keys, NULL, &given);
			CHECK(given.data.len == newer.data.len && memcmp(given.data.data, newer.data.data, newer.data.len) == 0);
			gw_free(&given);
		}
		else
			check_allocations(&older);
		check_same_logits(&older, &newer, quantized ? "quantized latent attention" : "latent attention");
	}
}

/* keys that are missing, or that do not fit the matrix */
static void
test_damaged_latent(void)
{
	joined.quantized = false;
	joined.older = true;
	for (int i = 0; i < 4; i++)
	{
		TinyKey		keys[5];
		GgufWriter	w;
		LlmError	err;
		LlmStatus	status;

		memcpy(keys, older_keys, sizeof keys);
		keys[i / 2].value = i % 2 ? 0 : 40;
		make_rewritten(&latent, keys, join_latent, &w);
		status = pack_status(&w, &llm_malloc_allocator, &err);
		CHECK_MSG(status == LLM_E_FORMAT && strstr(err.message, "blk.0.attn_kv_b.weight"), "key %d: status %d, %s", i, (int) status,
				  status == LLM_OK ? "no message" : err.message);
		gw_free(&w);
	}
	for (int i = 0; i < 2; i++)
	{
		GgufWriter	w;
		LlmError	err;
		TinyKey		keys[5];

		memcpy(keys, older_keys, sizeof keys);
		keys[i].suffix = "unknown";
		make_rewritten(&latent, keys, join_latent, &w);
		CHECK(pack_status(&w, &llm_malloc_allocator, &err) == LLM_E_FORMAT && strstr(err.message, older_keys[i].suffix));
		gw_free(&w);
	}
}

int
main(void)
{
	workload_make_prompts(TINY_VOCAB);
	test_experts();
	test_damaged_experts();
	test_latent();
	test_damaged_latent();
	CHECK_DONE();
}
