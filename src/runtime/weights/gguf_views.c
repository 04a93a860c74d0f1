/*
 * gguf_views.c: older layouts found by their names, and what their tensors become.
 */
#include "weights/gguf_views.h"

#include "weights/sort_index.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_STORED_NAME 64		/* gguf.c checked it */
#define MAX_NAME 96
#define MAX_HEADS 65536
#define MAX_HEAD_ROWS 65536
#define MAX_MATRIX_BYTES ((uint64_t) 1 << 30)	/* of a matrix that is transposed in memory */

typedef char Name[MAX_NAME];

typedef struct Builder
{
	LlmGguf    *gguf;
	LlmTensor  *tensors;
	LlmGgufView *views;
	uint64_t	n;
	LlmError   *err;
} Builder;

/* ---- names ---- */

typedef struct ExpertName
{
	unsigned	layer;
	char		role[8];
	unsigned	expert;
} ExpertName;

static void
copy_name(LlmStr name, Name out)
{
	const size_t len = name.len < MAX_STORED_NAME ? name.len : MAX_STORED_NAME;

	memcpy(out, name.data, len);
	out[len] = '\0';
}

static void
write_expert(const ExpertName *x, unsigned expert, Name out)
{
	snprintf(out, sizeof(Name), "blk.%u.ffn_%s.%u.weight", x->layer, x->role, expert);
}

/* numbers can be written in many ways; only the name that we would write is taken */
static bool
is_expert(LlmStr name, ExpertName *x)
{
	Name		given;
	Name		written;

	copy_name(name, given);
	if (sscanf(given, "blk.%6u.ffn_%4[a-z].%6u.weight", &x->layer, x->role, &x->expert) != 3)
		return false;
	write_expert(x, x->expert, written);
	return strcmp(given, written) == 0 &&
		(strcmp(x->role, "gate") == 0 || strcmp(x->role, "up") == 0 || strcmp(x->role, "down") == 0);
}

static bool
has_tensor(const Builder *b, unsigned layer, const char *role)
{
	Name		name;

	snprintf(name, sizeof(name), "blk.%u.%s.weight", layer, role);
	return llm_gguf_find(b->gguf, name) != NULL;
}

/* files that have the newer tensors too keep what they have */
static bool
is_joined_latent(const Builder *b, LlmStr name, unsigned *layer)
{
	Name		given;
	Name		written;

	copy_name(name, given);
	if (sscanf(given, "blk.%6u.attn_kv_b.weight", layer) != 1)
		return false;
	snprintf(written, sizeof(written), "blk.%u.attn_kv_b.weight", *layer);
	return strcmp(given, written) == 0 && !has_tensor(b, *layer, "attn_k_b") && !has_tensor(b, *layer, "attn_v_b");
}

/* ---- tensors ---- */

uint64_t
llm_gguf_row_bytes(const LlmTensor *stored)
{
	const LlmTypeInfo *info = llmk_type_info(stored->type);

	return (uint64_t) (stored->dim[0] / info->block_len) * (uint64_t) info->block_bytes;
}

/* the next tensor, a stack of matrices, under a new name */
static LlmStatus
add_stack(Builder *b, unsigned layer, const char *role, LlmType type, int64_t n_cols, int64_t n_rows, int64_t n_stack,
		  const LlmGgufView *view)
{
	const LlmTypeInfo *info = llmk_type_info(type);
	LlmTensor  *t = &b->tensors[b->n];
	int64_t		n;
	void	   *ptr;
	int			len;

	LLM_TRY(llm_arena_alloc(&b->gguf->arena, sizeof(Name), 1, &ptr, b->err));
	len = snprintf(ptr, sizeof(Name), "blk.%u.%s.weight", layer, role);
	if (__builtin_mul_overflow(n_cols, n_rows, &n) || __builtin_mul_overflow(n, n_stack, &n) ||
		n / info->block_len > INT64_MAX / info->block_bytes)
	{
		llm_fail(b->err, LLM_E_LIMIT, "tensor \"%s\" is too large", (const char *) ptr);
		llm_error_detail(b->err, "It would have %" PRId64 " x %" PRId64 " x %" PRId64 " elements.", n_cols, n_rows, n_stack);
		return LLM_E_LIMIT;
	}
	*t = (LlmTensor) {.name = {ptr, (size_t) len}, .type = type, .n_dims = 3, .dim = {n_cols, n_rows, n_stack, 1},
	.n_bytes = (uint64_t) (n / info->block_len) * (uint64_t) info->block_bytes, .offset = view->stored->offset,
	.part = view->stored->part};
	b->views[b->n++] = *view;
	return LLM_OK;
}

static LlmStatus
wrong_shape(const Builder *b, const LlmTensor *t, const char *expected)
{
	llm_fail(b->err, LLM_E_FORMAT, "tensor \"%.*s\" has an impossible shape", (int) t->name.len, t->name.data);
	llm_error_detail(b->err, "It has %d dimensions (%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64 "); %s.", t->n_dims, t->dim[0],
					 t->dim[1], t->dim[2], t->dim[3], expected);
	return LLM_E_FORMAT;
}

/* ---- experts ---- */

static LlmStatus
check_expert(const Builder *b, const LlmTensor *first, const LlmTensor *t)
{
	if (t->n_dims != 2 || memcmp(t->dim, first->dim, sizeof(t->dim)) != 0)
		return wrong_shape(b, t, "an expert's is a matrix, of the shape that expert 0 has");
	if (t->type == first->type)
		return LLM_OK;
	llm_fail(b->err, LLM_E_UNSUPPORTED, "tensor \"%.*s\" has another type than that of expert 0", (int) t->name.len, t->name.data);
	llm_error_detail(b->err, "They are %s and %s.", llmk_type_info(t->type)->name, llmk_type_info(first->type)->name);
	llm_error_hint(b->err, "Convert the model again, so that a layer's experts are one tensor.");
	return LLM_E_UNSUPPORTED;
}

static const LlmTensor *
find_expert(const Builder *b, const ExpertName *x, unsigned expert)
{
	Name		name;

	write_expert(x, expert, name);
	return llm_gguf_find(b->gguf, name);
}

/* the tensor of expert 0 stands for all; that of another needs the one before it, so none is left out */
static LlmStatus
add_experts(Builder *b, const LlmTensor *t, const ExpertName *x)
{
	LlmGgufView view = {.stored = t};
	uint32_t	n = 1;
	char		role[24];
	Name		missing;
	void	   *ptr;

	if (x->expert > 0)
	{
		if (find_expert(b, x, x->expert - 1))
			return LLM_OK;
		write_expert(x, x->expert - 1, missing);
		return llm_fail(b->err, LLM_E_FORMAT, "tensor \"%s\" is missing, but there is one of expert %u", missing, x->expert);
	}
	while (find_expert(b, x, n))
		n++;
	LLM_TRY(llm_arena_alloc(&b->gguf->arena, n, sizeof(LlmTensor *), &ptr, b->err));
	view.experts = ptr;
	for (uint32_t i = 0; i < n; i++)
	{
		view.experts[i] = find_expert(b, x, i);
		LLM_TRY(check_expert(b, t, view.experts[i]));
	}
	snprintf(role, sizeof(role), "ffn_%s_exps", x->role);
	return add_stack(b, x->layer, role, t->type, t->dim[0], t->dim[1], n, &view);
}

/* ---- latent attention ---- */

/* A.NEWER, or where it is missing A.OLDER */
static LlmStatus
read_size(const Builder *b, const char *newer, const char *older, uint64_t max, int64_t *out)
{
	const LlmMeta *meta = &b->gguf->meta;
	LlmStr		arch;
	uint64_t	value = 0;
	char		key[256];

	LLM_TRY(llm_meta_string(meta, "general.architecture", true, &arch, b->err));
	snprintf(key, sizeof(key), "%.*s.%s", (int) (arch.len < 100 ? arch.len : 100), arch.data, newer);
	if (!llm_meta_find(meta, key))
		snprintf(key, sizeof(key), "%.*s.%s", (int) (arch.len < 100 ? arch.len : 100), arch.data, older);
	LLM_TRY(llm_meta_uint(meta, key, true, max, &value, b->err));
	*out = (int64_t) value;
	return LLM_OK;
}

/* rows of each head: those of its keys that are not rotated, then those of its values */
static LlmStatus
add_latent(Builder *b, const LlmTensor *t, unsigned layer)
{
	const LlmTypeInfo *info = llmk_type_info(t->type);
	int64_t		n_head;
	int64_t		n_key;
	int64_t		n_rot;
	int64_t		n_value;
	LlmGgufView view = {.stored = t};

	LLM_TRY(read_size(b, "attention.head_count", "attention.head_count", MAX_HEADS, &n_head));
	LLM_TRY(read_size(b, "attention.key_length_mla", "attention.key_length", MAX_HEAD_ROWS, &n_key));
	LLM_TRY(read_size(b, "attention.value_length_mla", "attention.value_length", MAX_HEAD_ROWS, &n_value));
	LLM_TRY(read_size(b, "rope.dimension_count", "rope.dimension_count", MAX_HEAD_ROWS, &n_rot));
	n_key -= n_rot;
	view.matrix_rows = n_key + n_value;
	if (t->n_dims != 2 || n_head < 1 || n_key < 1 || n_value < 1 || t->dim[1] != n_head * view.matrix_rows)
		return wrong_shape(b, t, "its rows are the keys without rotation and the values of each head");
	if ((uint64_t) t->dim[0] > MAX_MATRIX_BYTES / sizeof(float) / (uint64_t) n_key)
	{
		llm_fail(b->err, LLM_E_LIMIT, "tensor \"%.*s\" has matrices that are too large to transpose", (int) t->name.len, t->name.data);
		llm_error_detail(b->err, "They have %" PRId64 " x %" PRId64 " elements; the limit is %" PRIu64 " bytes.", t->dim[0], n_key,
						 MAX_MATRIX_BYTES);
		return LLM_E_LIMIT;
	}
	view.transposed = true;
	view.n_in = n_key;
	LLM_TRY(add_stack(b, layer, "attn_k_b", info->block_len > 1 ? LLM_TYPE_F16 : t->type, n_key, t->dim[0], n_head, &view));
	view.transposed = false;
	view.row_off = n_key;
	return add_stack(b, layer, "attn_v_b", t->type, t->dim[0], n_value, n_head, &view);
}

/* ---- all ---- */

static bool
has_older(const Builder *b)
{
	ExpertName	x;
	unsigned	layer;

	for (uint64_t i = 0; i < b->gguf->n_tensors; i++)
	{
		const LlmStr name = b->gguf->tensors[i].name;

		if (is_expert(name, &x) || is_joined_latent(b, name, &layer))
			return true;
	}
	return false;
}

static LlmStatus
add_tensor(Builder *b, const LlmTensor *t)
{
	ExpertName	x;
	unsigned	layer;

	if (is_expert(t->name, &x))
		return add_experts(b, t, &x);
	/* a type that cannot be decoded is refused by its own name */
	if (llmk_type_info(t->type)->decoded && is_joined_latent(b, t->name, &layer))
		return add_latent(b, t, layer);
	b->views[b->n] = (LlmGgufView) {0};
	b->tensors[b->n++] = *t;
	return LLM_OK;
}

static int
compare_names(const void *ctx, uint32_t a, uint32_t b)
{
	const LlmTensor *t = ctx;

	return llm_str_compare(t[a].name, t[b].name);
}

static LlmStatus
index_names(Builder *b, LlmGgufViews *out)
{
	const uint32_t n = (uint32_t) b->n;
	uint32_t   *index;
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(&b->gguf->arena, n, sizeof(uint32_t), &ptr, b->err));
	index = ptr;
	llm_sort_index(index, n, compare_names, b->tensors);
	for (uint32_t i = 1; i < n; i++)
		if (compare_names(b->tensors, index[i - 1], index[i]) == 0)
			return llm_fail(b->err, LLM_E_FORMAT, "tensor \"%.*s\" is there in an older and in the newer form",
							(int) b->tensors[index[i]].name.len, b->tensors[index[i]].name.data);
	*out = (LlmGgufViews) {n, b->tensors, index, b->views};
	return LLM_OK;
}

LlmStatus
llm_gguf_views(LlmGguf *gguf, LlmGgufViews *views, LlmError *err)
{
	Builder		b = {.gguf = gguf, .err = err};
	const size_t most = 2 * (size_t) gguf->n_tensors;	/* a tensor becomes two at most */
	void	   *ptr;

	if (!has_older(&b))
	{
		*views = (LlmGgufViews) {gguf->n_tensors, gguf->tensors, gguf->by_name, NULL};
		return LLM_OK;
	}
	LLM_TRY(llm_arena_alloc(&gguf->arena, most, sizeof(LlmTensor), &ptr, err));
	b.tensors = ptr;
	LLM_TRY(llm_arena_alloc(&gguf->arena, most, sizeof(LlmGgufView), &ptr, err));
	b.views = ptr;
	for (uint64_t i = 0; i < gguf->n_tensors; i++)
		LLM_TRY(add_tensor(&b, &gguf->tensors[i]));
	return index_names(&b, views);
}
