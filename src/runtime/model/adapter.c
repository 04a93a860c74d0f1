/*
 * adapter.c: opening adapters and finding the places of their tensors; see adapter.h.
 */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "model/adapter.h"
#include "weights/hf/hf_adapter.h"

#define MAX_RANK 4096

static LlmStatus
check_string(const LlmPack *pack, const char *key, const char *want, LlmError *err)
{
	LlmStr		value = {"", 0};

	LLM_TRY(llm_meta_string(&pack->meta, key, false, &value, err));
	if (llm_str_equals(value, want))
		return LLM_OK;
	llm_fail(err, LLM_E_UNSUPPORTED, "adapter has \"%s\" = \"%.*s\", not \"%s\"", key, (int) (value.len > 60 ? 60 : value.len),
			 value.data, want);
	llm_error_hint(err, "Give a LoRA adapter that was made for this model's architecture.");
	return LLM_E_UNSUPPORTED;
}

/* made for the model's architecture, or from a PEFT folder, which does not say for which */
static LlmStatus
check_architecture(const LlmModel *m, LlmAdapter *adapter, LlmError *err)
{
	LlmStr		value = {"", 0};

	LLM_TRY(llm_meta_string(&adapter->pack.meta, "general.architecture", false, &value, err));
	if (!llm_str_equals(value, LLM_HF_ADAPTER_ARCH))
		return check_string(&adapter->pack, "general.architecture", m->arch->name, err);
	adapter->peft = true;
	if (llm_hf_adapter_fits(m->arch->name, &adapter->turn_heads))
		return LLM_OK;
	llm_fail(err, LLM_E_UNSUPPORTED, "PEFT adapters of architecture \"%s\" are not supported", m->arch->name);
	llm_error_hint(err, "Convert the adapter to GGUF.");
	return LLM_E_UNSUPPORTED;
}

static LlmStatus
open_adapter(LlmModel *m, const LlmAdapterPack *from, LlmAdapter *adapter, LlmError *err)
{
	double		alpha = 0;
	void	   *p;

	LLM_TRY(llm_pack_open(from->base, from->size, m->allocator, &adapter->pack, err));
	m->n_adapters++;			/* from here on it is closed with the model */
	LLM_TRY(check_string(&adapter->pack, "general.type", "adapter", err));
	LLM_TRY(check_string(&adapter->pack, "adapter.type", "lora", err));
	LLM_TRY(check_architecture(m, adapter, err));
	LLM_TRY(llm_meta_float(&adapter->pack.meta, "adapter.lora.alpha", false, &alpha, err));
	if (!(alpha >= 0 && alpha <= 1e6))
		return llm_fail(err, LLM_E_FORMAT, "adapter's \"adapter.lora.alpha\" is %g, outside 0 to 1e6", alpha);
	adapter->by_rank = alpha > 0;
	adapter->scale = from->scale * (alpha > 0 ? alpha : 1);
	LLM_TRY(llm_arena_alloc(&m->arena, adapter->pack.n_tensors + 1, sizeof(bool), &p, err));
	memset(p, 0, adapter->pack.n_tensors + 1);
	adapter->used = p;
	return LLM_OK;
}

LlmStatus
llm_adapters_open(LlmModel *m, const LlmModelOptions *options, LlmError *err)
{
	void	   *p;

	if (options->n_adapters == 0)
		return LLM_OK;
	LLM_TRY(llm_arena_alloc(&m->arena, (size_t) options->n_adapters, sizeof(LlmAdapter), &p, err));
	memset(p, 0, (size_t) options->n_adapters * sizeof(LlmAdapter));
	m->adapters = p;
	for (int i = 0; i < options->n_adapters; i++)
		LLM_TRY(open_adapter(m, &options->adapters[i], &m->adapters[i], err));
	return LLM_OK;
}

void
llm_adapters_close(LlmModel *m)
{
	for (int i = 0; i < m->n_adapters; i++)
		llm_pack_close(&m->adapters[i].pack);
}

/* ---- places ---- */

/* one side of a pair, which is used from now on; NULL: there is none */
static const LlmPackTensor *
take_tensor(LlmAdapter *adapter, const char *name, const char *side)
{
	char		full[192];
	const LlmPackTensor *t;

	snprintf(full, sizeof(full), "%s.%s", name, side);
	t = llm_pack_find(&adapter->pack, full);
	if (t)
		adapter->used[t - adapter->pack.tensors] = true;
	return t;
}

/* the matrices of one side; quantized ones, which are few and small, become floats where they can */
static LlmStatus
take_side(LlmLoader *ld, const LlmPackTensor *t, int64_t depth, LlmExpertLinear *out)
{
	out->w = (LlmkMatrix) {.type = t->type, .n_rows = t->n_rows, .n_cols = t->n_cols, .data = t->data};
	out->stride = t->n_bytes / (size_t) depth;
	if (!llmk_type_info(t->type)->quantized)
		return LLM_OK;
	if (depth == 1)
	{
		const LlmkMatrix quantized = out->w;

		return llm_copy_rows(ld, &quantized, 0, 0, &out->w);
	}
	return llm_fail(ld->err, LLM_E_UNSUPPORTED, "adapter's tensor \"%.*s\" is quantized and of several experts",
					(int) (t->name.len > 100 ? 100 : t->name.len), t->name.data);
}

static LlmStatus
bad_shape(LlmLoader *ld, const LlmPackTensor *a, const LlmPackTensor *b, const char *name, int64_t n_rows, int64_t n_cols,
		  int64_t depth)
{
	llm_fail(ld->err, LLM_E_FORMAT, "adapter's tensors \"%s.lora_a\" and \"%s.lora_b\" do not fit the model", name, name);
	llm_error_detail(ld->err, "They are %lld x %lld and %lld x %lld, %lld and %lld deep; the model's is %lld x %lld, %lld deep. Ranks are 1 to %d.",
					 (long long) a->n_rows, (long long) a->n_cols, (long long) b->n_rows, (long long) b->n_cols,
					 (long long) a->n_stack, (long long) b->n_stack, (long long) n_rows, (long long) n_cols, (long long) depth,
					 MAX_RANK);
	llm_error_hint(ld->err, "Give an adapter that was made for this model.");
	return LLM_E_FORMAT;
}

/* scratch of the pass must hold what is added */
static void
note_size(LlmModel *m, const char *name, int64_t rank, int64_t n_rows, int64_t depth, bool embedding)
{
	LlmLoraSizes *s = &m->lora;

	s->rank = rank > s->rank ? rank : s->rank;
	if (depth > 1)
		s->expert_width = n_rows > s->expert_width ? n_rows : s->expert_width;
	else if (strcmp(name, "output.weight") == 0)
		s->output = true;
	else if (embedding)
		s->width = m->hp.n_embd > s->width ? m->hp.n_embd : s->width;
	else
		s->width = n_rows > s->width ? n_rows : s->width;
}

/* B of queries and keys as the model's own rows are */
static LlmStatus
turn_heads(LlmLoader *ld, const char *name, LlmExpertLinear *b)
{
	const LlmkMatrix all = b->w;

	if (!strstr(name, ".attn_q.weight") && !strstr(name, ".attn_k.weight"))
		return LLM_OK;
	return llm_copy_rows(ld, &all, 0, ld->model->hp.head_dim_k, &b->w);
}

/* value heads of a delta net may lie in either of two orders, in the model and in the adapter */
static LlmStatus
check_head_order(LlmLoader *ld, const LlmAdapter *adapter, const char *name)
{
	static const char *const by_head[] = {".attn_qkv.", ".attn_gate.", ".ssm_alpha.", ".ssm_beta.", ".ssm_out."};
	const LlmModel *m = ld->model;
	const bool	tiled = (m->arch->traits & LLM_TRAIT_TILED_HEADS) && !adapter->peft;

	if (!(m->arch->traits & LLM_TRAIT_TILED_HEADS) || tiled == m->hp.recurrent.tiled || m->hp.recurrent.n_head == m->hp.recurrent.n_group)
		return LLM_OK;
	for (size_t i = 0; i < sizeof(by_head) / sizeof(by_head[0]); i++)
		if (strstr(name, by_head[i]))
		{
			llm_fail(ld->err, LLM_E_UNSUPPORTED, "adapter's tensor \"%s\" has value heads in another order than the model", name);
			llm_error_hint(ld->err, "Give a PEFT adapter for a model from a Hugging Face folder, and a GGUF adapter for one from a GGUF file.");
			return LLM_E_UNSUPPORTED;
		}
	return LLM_OK;
}

static LlmStatus
find_in(LlmLoader *ld, LlmAdapter *adapter, const char *name, int64_t n_rows, int64_t n_cols, int64_t depth, bool embedding,
		LlmLora **out)
{
	const LlmPackTensor *a = take_tensor(adapter, name, "lora_a");
	const LlmPackTensor *b = take_tensor(adapter, name, "lora_b");
	LlmLora    *lora;
	int64_t		rank;
	bool		fits;
	void	   *p;

	*out = NULL;
	if (!a && !b)
		return LLM_OK;
	if (!a || !b)
		return llm_fail(ld->err, LLM_E_FORMAT, "adapter has tensor \"%s.%s\" but not \"%s.%s\"", name, a ? "lora_a" : "lora_b",
						name, a ? "lora_b" : "lora_a");
	LLM_TRY(check_head_order(ld, adapter, name));
	rank = b->n_cols;
	fits = embedding ? a->n_rows == n_rows && a->n_cols == rank && b->n_rows == n_cols
		: a->n_rows == rank && a->n_cols == n_cols && b->n_rows == n_rows;
	if (!fits || a->is_vector || b->is_vector || a->n_stack != depth || b->n_stack != depth || rank > MAX_RANK)
		return bad_shape(ld, a, b, name, n_rows, n_cols, depth);
	LLM_TRY(llm_arena_alloc(&ld->model->arena, 1, sizeof(LlmLora), &p, ld->err));
	lora = p;
	memset(lora, 0, sizeof(*lora));
	lora->scale = (float) (adapter->by_rank ? adapter->scale / (double) rank : adapter->scale);
	LLM_TRY(take_side(ld, a, depth, &lora->a));
	LLM_TRY(take_side(ld, b, depth, &lora->b));
	if (adapter->turn_heads)
		LLM_TRY(turn_heads(ld, name, &lora->b));
	note_size(ld->model, name, rank, n_rows, depth, embedding);
	*out = lora;
	return LLM_OK;
}

LlmStatus
llm_adapters_find(LlmLoader *ld, const char *name, int64_t n_rows, int64_t n_cols, int64_t depth, bool embedding,
				  const LlmLora **out)
{
	*out = NULL;
	for (int i = ld->model->n_adapters - 1; i >= 0; i--)
	{
		LlmLora    *lora;

		LLM_TRY(find_in(ld, &ld->model->adapters[i], name, n_rows, n_cols, depth, embedding, &lora));
		if (!lora)
			continue;
		lora->next = *out;
		*out = lora;
	}
	return LLM_OK;
}

LlmStatus
llm_adapters_part(LlmLoader *ld, const LlmLora *all, int64_t first, int64_t n_rows, const LlmLora **out)
{
	LlmLora    *part;
	void	   *p;

	*out = NULL;
	if (!all)
		return LLM_OK;
	LLM_TRY(llm_arena_alloc(&ld->model->arena, 1, sizeof(LlmLora), &p, ld->err));
	part = p;
	*part = *all;
	part->b.w.n_rows = n_rows;
	if (first % LLMK_ROWS == 0)
		part->b.w.data += (size_t) (first / LLMK_ROWS) * llmk_group_bytes(all->b.w.type, all->b.w.n_cols);
	else
		LLM_TRY(llm_copy_rows(ld, &all->b.w, first, 0, &part->b.w));
	LLM_TRY(llm_adapters_part(ld, all->next, first, n_rows, &part->next));
	*out = part;
	return LLM_OK;
}

LlmStatus
llm_adapters_check_used(const LlmModel *m, LlmError *err)
{
	for (int i = 0; i < m->n_adapters; i++)
	{
		const LlmAdapter *adapter = &m->adapters[i];

		for (uint64_t t = 0; t < adapter->pack.n_tensors; t++)
		{
			LlmStr		name = adapter->pack.tensors[t].name;

			if (adapter->used[t])
				continue;
			llm_fail(err, LLM_E_UNSUPPORTED, "adapter's tensor \"%.*s\" belongs to no product of architecture \"%s\"",
					 (int) (name.len > 100 ? 100 : name.len), name.data, m->arch->name);
			llm_error_hint(err, "Give an adapter that was made for this model; adapters of norms, biases and latent keys and values are not computed.");
			return LLM_E_UNSUPPORTED;
		}
	}
	return LLM_OK;
}
