/*
 * hf_tensors.c: from weights and rules to tensors.
 *
 * Each weight finds its rule and becomes one or two pieces: a share in a tensor, with the number of an expert if it is one of a
 * stack. Pieces are sorted by tensor and expert; equal tensors are put together.
 */
#include "weights/hf/hf_tensors.h"

#include "base/str.h"
#include "weights/hf/hf_adapter.h"
#include "weights/sort_index.h"

#include <stdio.h>
#include <string.h>

#define NO_EXPERT UINT32_MAX
#define MAX_NAME_BYTES 128

/* prefixes that models of a family have or have not, the longer ones first */
static const char *const prefixes[] = {
	"model.language_model.", "language_model.model.", "language_model.", "model.text_model.", "text_model.", "model.backbone.",
	"backbone.", "model.", "bert.", "roberta.", "gpt_neox.", "transformer.",
};

typedef struct Piece
{
	LlmStr		target;
	uint32_t	expert;
	const LlmHfWeight *weight;
	const LlmHfRule *rule;
	bool		second;			/* the tensor of to2 */
	float		factor;			/* of values; 0: as they are */
} Piece;

typedef struct Builder
{
	const LlmHfParams *p;
	LlmArena   *arena;
	Piece	   *pieces;
	uint32_t	n_pieces;
	LlmHfTensors *out;
	LlmError   *err;
} Builder;

/* ---- names ---- */

static LlmStr
without_prefix(LlmStr name)
{
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
	{
		size_t		len = strlen(prefixes[i]);

		if (name.len > len && memcmp(name.data, prefixes[i], len) == 0)
			return (LlmStr) {name.data + len, name.len - len};
	}
	return name;
}

static bool
take_number(LlmStr *text, uint32_t *value)
{
	uint64_t	v = 0;
	size_t		n = 0;

	while (n < text->len && n < 9 && text->data[n] >= '0' && text->data[n] <= '9')
		v = v * 10 + (uint64_t) (text->data[n++] - '0');
	*value = (uint32_t) v;
	text->data += n;
	text->len -= n;
	return n > 0;
}

/* does the text fit the pattern? *rest is what follows it */
static bool
fits(const char *pattern, LlmStr text, uint32_t *layer, uint32_t *expert, LlmStr *rest)
{
	*layer = 0;
	*expert = NO_EXPERT;
	for (const char *at = pattern; *at; at++)
	{
		if (*at == '*' || *at == '#')
		{
			if (!take_number(&text, *at == '*' ? layer : expert))
				return false;
		}
		else if (text.len > 0 && *text.data == *at)
		{
			text.data++;
			text.len--;
		}
		else
			return false;
	}
	*rest = text;
	return true;
}

static const LlmHfRule *
find_rule(const LlmHfRule *const *rules, LlmStr name, uint32_t *layer, uint32_t *expert, LlmStr *ending)
{
	for (int i = 0; i < LLM_HF_MAX_RULES && rules[i]; i++)
		for (const LlmHfRule *rule = rules[i]; rule->from; rule++)
		{
			if (!fits(rule->from, name, layer, expert, ending))
				continue;
			if (llm_str_equals(*ending, ".gamma"))	/* older names of norms */
				*ending = (LlmStr) {".weight", 7};
			if (llm_str_equals(*ending, ".beta"))
				*ending = (LlmStr) {".bias", 5};
			if (ending->len == 0 || llm_str_equals(*ending, ".weight") || llm_str_equals(*ending, ".bias") ||
				(rule->how == LLM_HF_DROP && rule->from[strlen(rule->from) - 1] == '.'))
				return rule;
		}
	return NULL;
}

static LlmStatus
target_name(Builder *b, const char *to, uint32_t layer, LlmStr ending, LlmStr *out)
{
	const char *star = strchr(to, '*');
	char	   *name;
	void	   *ptr;
	int			len;

	LLM_TRY(llm_arena_alloc(b->arena, MAX_NAME_BYTES, 1, &ptr, b->err));
	name = ptr;
	if (star)
		len = snprintf(name, MAX_NAME_BYTES, "%.*s%u%s%.*s", (int) (star - to), to, layer, star + 1, (int) ending.len, ending.data);
	else
		len = snprintf(name, MAX_NAME_BYTES, "%s%.*s", to, (int) ending.len, ending.data);
	*out = (LlmStr) {name, (size_t) len};
	return LLM_OK;
}

static LlmStatus
unknown_weight(const Builder *b, const LlmHfWeight *w)
{
	return llm_fail(b->err, LLM_E_UNSUPPORTED, "tensor \"%.*s\" is not known for model class \"%s\"",
					(int) (w->name.len < 100 ? w->name.len : 100), w->name.data, b->p->config.architecture);
}

/* the rule of an adapted module, whichever family it is of: they do not give one name to different matrices */
static const LlmHfRule *
find_module(LlmStr name, uint32_t *layer, uint32_t *expert)
{
	const LlmHfFamily *family;
	LlmStr		ending;

	for (size_t i = 0; (family = llm_hf_family_at(i)) != NULL; i++)
	{
		const LlmHfRule *rule = find_rule(family->rules, name, layer, expert, &ending);

		if (rule && ending.len == 0 && (rule->how == LLM_HF_KEEP || rule->how == LLM_HF_ROPE_Q || rule->how == LLM_HF_ROPE_K))
			return rule;
	}
	return NULL;
}

/* one side of an adapter's pair. Rows of heads stay as they are: only who has the model's architecture can turn them. */
static LlmStatus
add_side(Builder *b, const LlmHfWeight *w)
{
	static const LlmHfRule as_is = {"", "", LLM_HF_KEEP, NULL};
	static const LlmHfRule columns = {"", "", LLM_HF_COLUMNS, NULL};
	Piece	   *piece = &b->pieces[b->n_pieces++];
	LlmHfSide	side;
	uint32_t	layer;
	const LlmHfRule *rule;

	LLM_TRY(llm_hf_adapter_side(b->p, w, &side));
	*piece = (Piece) {.weight = w, .rule = side.columns ? &columns : &as_is, .factor = side.factor};
	rule = find_module(without_prefix(side.module), &layer, &piece->expert);
	if (!rule)
		return llm_hf_adapter_unknown(b->p, w);
	return target_name(b, rule->to, layer, side.ending, &piece->target);
}

static LlmStatus
add_pieces(Builder *b, const LlmHfWeight *w)
{
	LlmStr		name = without_prefix(w->name);
	LlmStr		ending;
	uint32_t	layer;
	uint32_t	expert;
	const LlmHfRule *rule;

	if ((b->p->family->has & LLM_HF_HAS_NEXT) && fits("layers.*.", name, &layer, &expert, &ending) && layer >= b->p->n_layer)
		return LLM_OK;
	rule = find_rule(b->p->rules, name, &layer, &expert, &ending);
	if (!rule)
		return unknown_weight(b, w);
	if (rule->how == LLM_HF_DROP || (b->p->tied && strcmp(rule->to, "output") == 0 && !llm_str_equals(ending, ".bias")))
		return LLM_OK;
	for (int i = 0; i < (rule->to2 ? 2 : 1); i++)
	{
		Piece	   *piece = &b->pieces[b->n_pieces++];

		*piece = (Piece) {.expert = expert, .weight = w, .rule = rule, .second = i == 1};
		LLM_TRY(target_name(b, i == 1 ? rule->to2 : rule->to, layer, ending, &piece->target));
	}
	return LLM_OK;
}

/* ---- shapes ---- */

static LlmStatus
wrong_shape(const Builder *b, const LlmHfWeight *w, const char *expected)
{
	llm_fail(b->err, LLM_E_FORMAT, "tensor \"%.*s\" has an impossible shape", (int) (w->name.len < 100 ? w->name.len : 100), w->name.data);
	llm_error_detail(b->err, "It has %d dimensions (%lld, %lld, %lld, %lld); %s.", w->n_dims, (long long) w->dim[0],
					 (long long) w->dim[1], (long long) w->dim[2], (long long) w->dim[3], expected);
	return LLM_E_FORMAT;
}

/* as it is: dimensions in the other order */
static void
keep_shape(const LlmHfWeight *w, LlmTensor *t, LlmHfView *v)
{
	t->n_dims = w->n_dims > 0 ? w->n_dims : 1;
	for (int i = 0; i < LLM_MAX_DIMS; i++)
		t->dim[i] = i < w->n_dims ? w->dim[w->n_dims - 1 - i] : 1;
	v->row_step = 1;
	v->col_step = 1;
	v->n_rows = w->n_dims > 1 ? w->dim[w->n_dims - 2] : w->n_rows;
	v->matrix_rows = v->n_rows;
}

static void
squeeze(const LlmHfWeight *w, LlmTensor *t, LlmHfView *v)
{
	int			n = 0;

	for (int i = w->n_dims - 1; i >= 0; i--)
		if (w->dim[i] > 1)
			t->dim[n++] = w->dim[i];
	t->n_dims = n > 0 ? n : 1;
	while (n < LLM_MAX_DIMS)
		t->dim[n++] = 1;
	v->n_rows = w->n_rows;
	v->matrix_rows = w->n_rows;
}

static LlmStatus
turn_heads(const Builder *b, const LlmHfWeight *w, uint64_t n_head, LlmHfView *v)
{
	v->turn_rows = n_head > 0 ? v->n_rows / (int64_t) n_head : 0;
	if (w->n_dims <= 2 && n_head > 0 && v->n_rows % (int64_t) n_head == 0 && v->turn_rows % 2 == 0)
		return LLM_OK;
	return wrong_shape(b, w, "its rows are those of all heads, an even number in each");
}

static LlmStatus
split_rows(const Builder *b, const Piece *piece, LlmTensor *t, LlmHfView *v)
{
	const LlmHfWeight *w = piece->weight;

	if (w->n_dims < 2 || v->n_rows % 2 != 0 || w->n_cols != (int64_t) b->p->n_embd)
		return wrong_shape(b, w, "it has gate and up one after the other as rows, over hidden_size columns");
	v->n_rows /= 2;
	v->row_off = piece->second ? v->n_rows : 0;
	t->dim[1] = v->n_rows;
	return LLM_OK;
}

/* groups are key heads, each with its queries, keys, and the values and gates of the value heads that share them */
static LlmStatus
split_qkvz(const Builder *b, const Piece *piece, LlmTensor *t, LlmHfView *v)
{
	const LlmHfWeight *w = piece->weight;
	const int64_t n_groups = (int64_t) b->p->n_group;
	const int64_t keys = (int64_t) b->p->group_keys;
	const int64_t values = (int64_t) b->p->group_values;

	v->group_rows = 2 * (keys + values);
	if (w->n_dims != 2 || n_groups < 1 || w->n_rows != n_groups * v->group_rows)
		return wrong_shape(b, w, "its rows are two keys and two times the values of each of linear_num_key_heads");
	if (piece->second)
		v->spans[0] = (LlmHfSpan) {values, 2 * keys + values};
	else
	{
		v->spans[0] = (LlmHfSpan) {keys, 0};
		v->spans[1] = (LlmHfSpan) {keys, keys};
		v->spans[2] = (LlmHfSpan) {values, 2 * keys};
	}
	v->n_rows = n_groups * (piece->second ? values : 2 * keys + values);
	t->dim[1] = v->n_rows;
	return LLM_OK;
}

/* are its rows those of n groups, so many in each? by division, as products of a configuration's numbers could be too large */
static bool
has_groups(const LlmHfWeight *w, uint64_t n, uint64_t rows)
{
	return n > 0 && (uint64_t) w->n_rows % n == 0 && (uint64_t) w->n_rows / n == rows;
}

/* groups are key/value heads, each with the queries of the heads that share it; a bias has the same order */
static LlmStatus
qkv_by_head(const Builder *b, const LlmHfWeight *w, LlmHfView *v)
{
	const uint64_t n = b->p->head_dim;
	const uint64_t n_kv = b->p->n_head_kv;
	const uint64_t queries = n_kv > 0 ? b->p->n_head / n_kv * n : 0;

	if (w->n_dims > 2 || n_kv < 1 || b->p->n_head % n_kv != 0 || !has_groups(w, n_kv, queries + 2 * n))
		return wrong_shape(b, w, "its rows are queries, keys and values of each key/value head");
	v->group_rows = (int64_t) (queries + 2 * n);
	v->spans[0] = (LlmHfSpan) {(int64_t) queries, 0};
	v->spans[1] = (LlmHfSpan) {(int64_t) n, (int64_t) queries};
	v->spans[2] = (LlmHfSpan) {(int64_t) n, (int64_t) (queries + n)};
	return LLM_OK;
}

static LlmStatus
split_kv_b(const Builder *b, const Piece *piece, LlmTensor *t, LlmHfView *v)
{
	const LlmHfWeight *w = piece->weight;
	const int64_t keys = (int64_t) b->p->kv_b_keys;
	const int64_t values = (int64_t) b->p->kv_b_values;
	const int64_t n_head = (int64_t) b->p->n_head;

	if (w->n_dims != 2 || !has_groups(w, b->p->n_head, b->p->kv_b_keys + b->p->kv_b_values) || keys < 1 || values < 1)
		return wrong_shape(b, w, "its rows are qk_nope_head_dim and v_head_dim for each head");
	v->matrix_rows = keys + values;
	v->transposed = !piece->second;
	v->n_in = keys;
	v->row_off = piece->second ? keys : 0;
	v->n_rows = piece->second ? values : w->n_cols;
	t->n_dims = 3;
	t->dim[0] = piece->second ? w->n_cols : keys;
	t->dim[1] = v->n_rows;
	t->dim[2] = n_head;
	return LLM_OK;
}

/* of a stack that is transposed, gate or up: the first or the second half of each matrix's outputs */
static LlmStatus
halve_outputs(const Builder *b, const Piece *piece, LlmTensor *t, LlmHfView *v)
{
	const LlmHfWeight *w = piece->weight;
	const int64_t first = piece->second ? 1 : 0;

	if (v->n_rows % 2 != 0)
		return wrong_shape(b, w, "it has gate and up one after the other as outputs");
	v->n_rows /= 2;
	t->dim[1] = v->n_rows;
	v->row_off = w->out_first ? first * v->n_rows : 0;
	v->col_off = w->out_first ? 0 : first * v->n_rows;
	return LLM_OK;
}

/* a stack of matrices with inputs as rows; of outputs all (step 1), or every other */
static LlmStatus
transpose_stack(const Builder *b, const Piece *piece, int step, LlmTensor *t, LlmHfView *v)
{
	const LlmHfWeight *w = piece->weight;
	const bool	halves = piece->rule->how == LLM_HF_TRANSPOSE && piece->rule->to2;
	const int64_t n_in = w->out_first ? w->dim[2] : w->dim[1];
	const int64_t n_out = w->out_first ? w->dim[1] : w->dim[2];

	if (w->n_dims != 3 || n_out % step != 0)
		return wrong_shape(b, w, "it has experts, inputs and outputs");
	t->dim[0] = n_in;
	t->dim[1] = n_out / step;
	v->n_rows = n_out / step;
	v->matrix_rows = w->dim[1];
	v->transposed = !w->out_first;
	v->n_in = n_in;
	v->row_step = w->out_first ? step : 1;
	v->col_step = w->out_first ? 1 : step;
	v->row_off = w->out_first && piece->second ? 1 : 0;
	v->col_off = !w->out_first && piece->second ? 1 : 0;
	return halves ? halve_outputs(b, piece, t, v) : LLM_OK;
}

/* a stack whose inputs are rows or columns, as hidden_size tells; gate and up in one, or down. Where both fit, inputs are columns. */
static LlmStatus
either_stack(const Builder *b, const Piece *piece, LlmTensor *t, LlmHfView *v)
{
	const LlmHfWeight *w = piece->weight;
	const bool	halves = piece->rule->to2 != NULL;

	if (w->n_dims == 3 && w->dim[halves ? 2 : 1] == (int64_t) b->p->n_embd)
		return halves ? split_rows(b, piece, t, v) : LLM_OK;
	LLM_TRY(transpose_stack(b, piece, 1, t, v));
	return halves ? halve_outputs(b, piece, t, v) : LLM_OK;
}

/* a bias beside it stays as it is */
static void
transpose_matrix(const LlmHfWeight *w, LlmTensor *t, LlmHfView *v)
{
	if (w->n_dims != 2)
		return;
	t->dim[0] = w->n_rows;
	t->dim[1] = w->n_cols;
	v->n_rows = w->n_cols;
	v->matrix_rows = w->n_rows;
	v->transposed = true;
	v->n_in = w->n_rows;
}

static LlmStatus
even_odd_bias(const Builder *b, const Piece *piece, LlmTensor *t, LlmHfView *v)
{
	const LlmHfWeight *w = piece->weight;

	if (w->n_dims != 2 || w->n_cols % 2 != 0)
		return wrong_shape(b, w, "it has experts and outputs");
	t->dim[0] = w->n_cols / 2;
	v->col_step = 2;
	v->col_off = piece->second ? 1 : 0;
	return LLM_OK;
}

static LlmStatus
shape_of(const Builder *b, const Piece *piece, LlmTensor *t, LlmHfView *v)
{
	const LlmHfWeight *w = piece->weight;

	if (w->n_dims > LLM_MAX_DIMS)
		return llm_fail(b->err, LLM_E_UNSUPPORTED, "tensor \"%.*s\" has %d dimensions, more than %d",
						(int) (w->name.len < 100 ? w->name.len : 100), w->name.data, w->n_dims, LLM_MAX_DIMS);
	keep_shape(w, t, v);
	switch (piece->rule->how)
	{
		case LLM_HF_KEEP:
		case LLM_HF_DROP:
			return LLM_OK;
		case LLM_HF_ROPE_Q:
			return turn_heads(b, w, b->p->n_head, v);
		case LLM_HF_ROPE_K:
			return turn_heads(b, w, b->p->n_head_kv, v);
		case LLM_HF_PLUS_ONE:
			if (piece->target.len > 7 && memcmp(piece->target.data + piece->target.len - 7, ".weight", 7) == 0)
				v->value = LLM_HF_VALUE_PLUS_ONE;
			return LLM_OK;
		case LLM_HF_NEG_EXP:
			v->value = LLM_HF_VALUE_NEG_EXP;
			return LLM_OK;
		case LLM_HF_SQUEEZE:
			squeeze(w, t, v);
			return LLM_OK;
		case LLM_HF_GROUPS:
			if (w->n_dims != 1 || b->p->n_group < 1 || w->n_rows % (int64_t) b->p->n_group != 0)
				return wrong_shape(b, w, "it is a vector over n_groups groups");
			if (b->p->n_group == 1)
				return LLM_OK;
			t->n_dims = 2;
			t->dim[0] = w->n_rows / (int64_t) b->p->n_group;
			t->dim[1] = (int64_t) b->p->n_group;
			return LLM_OK;
		case LLM_HF_SPLIT_ROWS:
			return split_rows(b, piece, t, v);
		case LLM_HF_SPLIT_QKVZ:
			return split_qkvz(b, piece, t, v);
		case LLM_HF_QKV_BY_HEAD:
			return qkv_by_head(b, w, v);
		case LLM_HF_SPLIT_KV_B:
			return split_kv_b(b, piece, t, v);
		case LLM_HF_EVEN_ODD:
			return transpose_stack(b, piece, 2, t, v);
		case LLM_HF_EVEN_ODD_BIAS:
			return even_odd_bias(b, piece, t, v);
		case LLM_HF_TRANSPOSE:
			return transpose_stack(b, piece, 1, t, v);
		case LLM_HF_EITHER:
			return either_stack(b, piece, t, v);
		case LLM_HF_COLUMNS:
			transpose_matrix(w, t, v);
			return LLM_OK;
		case LLM_HF_POSITIONS:
			if (w->n_dims != 2 || w->n_rows <= (int64_t) b->p->first_position)
				return wrong_shape(b, w, "its rows are positions, of which the first are left out");
			v->row_off = (int64_t) b->p->first_position;
			v->n_rows = w->n_rows - v->row_off;
			t->dim[1] = v->n_rows;
			return LLM_OK;
	}
	return LLM_OK;
}

/* ---- putting together ---- */

static int
compare_pieces(const void *ctx, uint32_t a, uint32_t b)
{
	const Piece *pieces = ctx;
	int			c = llm_str_compare(pieces[a].target, pieces[b].target);

	if (c != 0)
		return c;
	return (pieces[a].expert > pieces[b].expert) - (pieces[a].expert < pieces[b].expert);
}

/* columns out of order need elements that can be taken one by one */
static LlmStatus
check_type(const Builder *b, const LlmHfWeight *w, const LlmHfView *v)
{
	const bool	by_element = v->transposed || v->col_step != 1 || v->value != LLM_HF_VALUE_AS_IS || w->n_cols == 1;

	if (!by_element || llmk_type_info(w->type)->block_len == 1)
		return LLM_OK;
	return llm_fail(b->err, LLM_E_UNSUPPORTED, "tensor \"%.*s\" of type %s would have to be taken apart",
					(int) (w->name.len < 100 ? w->name.len : 100), w->name.data, llmk_type_info(w->type)->name);
}

static void
finish_tensor(const LlmHfView *v, LlmType type, LlmTensor *t)
{
	const LlmTypeInfo *info;
	int64_t		n = 1;

	t->type = v->value == LLM_HF_VALUE_AS_IS ? type : LLM_TYPE_F32;
	info = llmk_type_info(t->type);
	for (int i = 0; i < LLM_MAX_DIMS; i++)
		n *= t->dim[i];
	t->n_bytes = (uint64_t) (n / info->block_len) * (uint64_t) info->block_bytes;
}

/* factors of quantized weights, beside their tensor: NAME.scale for NAME.weight */
static LlmStatus
add_factors(Builder *b, const LlmTensor *of, const LlmHfView *v)
{
	LlmTensor  *t = &b->out->tensors[b->out->n];
	LlmStr		base = llm_hf_base_name(of->name);
	bool		needed = false;
	float	   *factors;
	char	   *name;
	void	   *ptr;

	for (uint32_t i = 0; i < v->n_weights; i++)
		needed = needed || (v->weights[i]->matrix && !v->weights[i]->matrix->as_half && v->weights[i]->matrix->factor != 1);
	if (!needed)
		return LLM_OK;
	LLM_TRY(llm_arena_alloc(b->arena, v->n_weights, sizeof(float), &ptr, b->err));
	factors = ptr;
	for (uint32_t i = 0; i < v->n_weights; i++)
		factors[i] = v->weights[i]->matrix->factor;
	LLM_TRY(llm_arena_alloc(b->arena, base.len + sizeof(".scale"), 1, &ptr, b->err));
	name = ptr;
	memcpy(name, base.data, base.len);
	memcpy(name + base.len, ".scale", sizeof(".scale"));
	*t = (LlmTensor) {.name = {name, base.len + strlen(".scale")}, .type = LLM_TYPE_F32, .n_dims = 1, .dim = {v->n_weights, 1, 1, 1},
	.n_bytes = (uint64_t) v->n_weights * sizeof(float)};
	b->out->views[b->out->n++] = (LlmHfView) {.given = factors};
	return LLM_OK;
}

/* a weight as a tensor takes it: where elements are taken one by one, or a matrix falls apart, blocks are undone; single elements may have a factor beside */
static LlmStatus
taken_weight(Builder *b, const Piece *piece, const LlmHfView *v, const LlmHfWeight **out)
{
	const bool	by_element = v->transposed || v->col_step != 1 || piece->rule->how == LLM_HF_SPLIT_KV_B;

	*out = piece->weight;
	return by_element && llmk_type_info(piece->weight->type)->block_len > 1 ? llm_hf_weight_halves(b->p->folder, piece->weight, out, b->err) : LLM_OK;
}

/* the family's factor of a tensor, where it has one: of "blk.N.role.weight" or ".bias" */
static LlmStatus
apply_factor(const Builder *b, const Piece *piece, LlmHfView *v)
{
	for (int i = 0; i < b->p->n_factors; i++)
	{
		const LlmHfFactor *f = &b->p->factors[i];
		char		pattern[64];
		uint32_t	layer;
		uint32_t	expert;
		LlmStr		ending;
		double		factor;

		snprintf(pattern, sizeof(pattern), "blk.*.%s.", f->role);
		if (!fits(pattern, piece->target, &layer, &expert, &ending))
			continue;
		factor = llm_str_equals(ending, "weight") ? f->weight : f->bias;
		if (factor == 1 && !f->rows)
			return LLM_OK;
		if (f->rows && (piece->weight->n_dims > 2 || v->n_rows != (int64_t) f->n_rows))
			return wrong_shape(b, piece->weight, "its rows have factors, as many as the configuration's sizes say");
		v->value = LLM_HF_VALUE_TIMES;
		v->factor = (float) factor;
		v->row_factors = f->rows;
	}
	return LLM_OK;
}

/* pieces order[0 .. n-1] are one tensor */
static LlmStatus
make_tensor(Builder *b, const uint32_t *order, uint32_t n)
{
	const Piece *first = &b->pieces[order[0]];
	LlmTensor  *t = &b->out->tensors[b->out->n];
	LlmHfView  *v = &b->out->views[b->out->n];
	void	   *ptr;

	*t = (LlmTensor) {.name = first->target, .dim = {1, 1, 1, 1}};
	*v = (LlmHfView) {.n_weights = n};
	LLM_TRY(llm_arena_alloc(b->arena, n, sizeof(LlmHfWeight *), &ptr, b->err));
	v->weights = ptr;
	LLM_TRY(shape_of(b, first, t, v));
	LLM_TRY(apply_factor(b, first, v));
	if (first->factor != 0)
	{
		v->value = LLM_HF_VALUE_TIMES;
		v->factor = first->factor;
	}
	for (uint32_t i = 0; i < n; i++)
	{
		const Piece *piece = &b->pieces[order[i]];
		const LlmHfWeight *w = piece->weight;

		LLM_TRY(taken_weight(b, piece, v, &v->weights[i]));
		if (piece->expert != (first->expert == NO_EXPERT ? NO_EXPERT : i) || (n > 1 && first->expert == NO_EXPERT))
			return llm_fail(b->err, LLM_E_FORMAT, "tensor \"%.*s\" is there twice, or an expert before it is missing",
							(int) (w->name.len < 100 ? w->name.len : 100), w->name.data);
		if (w->type != first->weight->type || w->n_dims != first->weight->n_dims ||
			memcmp(w->dim, first->weight->dim, sizeof(w->dim)) != 0 || piece->factor != first->factor)
			return llm_fail(b->err, LLM_E_FORMAT, "tensor \"%.*s\" has another shape or type or scale than that of expert 0",
							(int) (w->name.len < 100 ? w->name.len : 100), w->name.data);
	}
	LLM_TRY(check_type(b, v->weights[0], v));
	if (first->expert != NO_EXPERT)
	{
		if (t->n_dims > 2)
			return wrong_shape(b, first->weight, "an expert's is a matrix or a vector");
		t->n_dims++;
		t->dim[t->n_dims - 1] = n;
	}
	finish_tensor(v, v->weights[0]->type, t);
	b->out->n++;
	return add_factors(b, t, v);
}

static LlmStatus
make_tensors(Builder *b)
{
	uint32_t   *order;
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(b->arena, b->n_pieces + 1, sizeof(uint32_t), &ptr, b->err));
	order = ptr;
	llm_sort_index(order, b->n_pieces, compare_pieces, b->pieces);
	for (uint32_t i = 0, n; i < b->n_pieces; i += n)
	{
		n = 1;
		while (i + n < b->n_pieces && llm_str_compare(b->pieces[order[i]].target, b->pieces[order[i + n]].target) == 0)
			n++;
		LLM_TRY(make_tensor(b, order + i, n));
	}
	return LLM_OK;
}

static void
add_given(Builder *b)
{
	for (int i = 0; i < b->p->n_given; i++)
	{
		const LlmHfGiven *g = &b->p->given[i];
		LlmTensor  *t = &b->out->tensors[b->out->n];

		*t = (LlmTensor) {.name = {g->name, strlen(g->name)}, .type = LLM_TYPE_F32, .n_dims = 1, .dim = {g->n, 1, 1, 1},
		.n_bytes = (uint64_t) g->n * sizeof(float)};
		b->out->views[b->out->n++] = (LlmHfView) {.given = g->values};
	}
}

static int
compare_places(const void *ctx, uint32_t a, uint32_t b)
{
	const LlmHfTensors *t = ctx;
	const LlmHfView *va = &t->views[a];
	const LlmHfView *vb = &t->views[b];
	const LlmHfWeight *wa = va->given ? NULL : va->weights[0];
	const LlmHfWeight *wb = vb->given ? NULL : vb->weights[0];

	if (wa != wb)
		return !wa || (wb && wa < wb) ? -1 : 1; /* weights lie in the order of the data */
	return llm_str_compare(t->tensors[a].name, t->tensors[b].name);
}

static int
compare_names(const void *ctx, uint32_t a, uint32_t b)
{
	const LlmTensor *t = ctx;

	return llm_str_compare(t[a].name, t[b].name);
}

/* tensors were made in the order of names; data is read best in its own order */
static LlmStatus
order_by_data(Builder *b)
{
	LlmHfTensors sorted = {.n = b->out->n};
	uint32_t   *order;
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(b->arena, sorted.n + 1, sizeof(uint32_t), &ptr, b->err));
	order = ptr;
	llm_sort_index(order, sorted.n, compare_places, b->out);
	LLM_TRY(llm_arena_alloc(b->arena, sorted.n + 1, sizeof(LlmTensor), &ptr, b->err));
	sorted.tensors = ptr;
	LLM_TRY(llm_arena_alloc(b->arena, sorted.n + 1, sizeof(LlmHfView), &ptr, b->err));
	sorted.views = ptr;
	for (uint32_t i = 0; i < sorted.n; i++)
	{
		sorted.tensors[i] = b->out->tensors[order[i]];
		sorted.views[i] = b->out->views[order[i]];
	}
	LLM_TRY(llm_arena_alloc(b->arena, sorted.n + 1, sizeof(uint32_t), &ptr, b->err));
	sorted.by_name = ptr;
	llm_sort_index(sorted.by_name, sorted.n, compare_names, sorted.tensors);
	for (uint32_t i = 1; i < sorted.n; i++)
		if (compare_names(sorted.tensors, sorted.by_name[i - 1], sorted.by_name[i]) == 0)
			return llm_fail(b->err, LLM_E_FORMAT, "tensor \"%.*s\" would come from two places",
							(int) sorted.tensors[sorted.by_name[i]].name.len, sorted.tensors[sorted.by_name[i]].name.data);
	*b->out = sorted;
	return LLM_OK;
}

LlmStatus
llm_hf_tensors(const LlmHfParams *params, const LlmHfWeights *weights, LlmHfTensors *tensors, LlmError *err)
{
	Builder		b = {.p = params, .arena = &params->folder->arena, .out = tensors, .err = err};
	const size_t most = 4 * (size_t) weights->n + LLM_HF_MAX_GIVEN + 1; /* a weight has two pieces at most, each with a factor */
	void	   *ptr;

	*tensors = (LlmHfTensors) {0};
	LLM_TRY(llm_arena_alloc(b.arena, most, sizeof(Piece), &ptr, err));
	b.pieces = ptr;
	LLM_TRY(llm_arena_alloc(b.arena, most, sizeof(LlmTensor), &ptr, err));
	tensors->tensors = ptr;
	LLM_TRY(llm_arena_alloc(b.arena, most, sizeof(LlmHfView), &ptr, err));
	tensors->views = ptr;
	for (uint32_t i = 0; i < weights->n; i++)
		LLM_TRY(params->is_adapter ? add_side(&b, &weights->weights[i]) : add_pieces(&b, &weights->weights[i]));
	LLM_TRY(make_tensors(&b));
	add_given(&b);
	return order_by_data(&b);
}
