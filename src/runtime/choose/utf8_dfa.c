/*
 * utf8_dfa.c: from an automaton over classes of characters to one over UTF-8.
 *
 * Which class a character is in, read off its bytes, is a small tree shared by all states (equal subtrees are one node). A state of the
 * result is a state of the automaton over characters, or one in the middle of a character: (state, node of the tree).
 */
#include <string.h>

#include "choose/symbol_dfa.h"

/* a node has 64 children, one for each continuation byte: leaves (class, or -1) at level 1, else nodes of the level below (-1: none) */
typedef struct Tree
{
	LlmCompile *cx;
	const LlmClassRange *ranges;
	size_t		n_ranges;
	LlmVec		nodes;			/* int32_t[64] */
	LlmVec		levels;			/* int8_t */
	LlmVec		uniform;		/* int32_t: class of all characters below, -2: several */
	int32_t		ascii[128];
	int32_t		lead[256];		/* node, for lead bytes from 0xC2 */
} Tree;

/* range in which c lies */
static const LlmClassRange *
range_of(const Tree *t, uint32_t c)
{
	size_t		low = 0;
	size_t		high = t->n_ranges;

	while (low < high)
	{
		size_t		mid = (low + high) / 2;

		if (t->ranges[mid].last < c)
			low = mid + 1;
		else
			high = mid;
	}
	return low < t->n_ranges && t->ranges[low].first <= c ? &t->ranges[low] : NULL;
}

static LlmStatus
find_node(Tree *t, const int32_t child[64], int8_t level, int32_t uniform, int32_t *node)
{
	const int32_t *nodes = t->nodes.data;
	const int8_t *levels = t->levels.data;

	LLM_TRY(llm_compile_steps(t->cx, t->nodes.n / 8 + 8));
	for (size_t i = t->nodes.n; i-- > 0;)
	{
		if (levels[i] == level && memcmp(nodes + 64 * i, child, 64 * sizeof(int32_t)) == 0)
		{
			*node = (int32_t) i;
			return LLM_OK;
		}
	}
	*node = (int32_t) t->nodes.n;
	LLM_TRY(llm_vec_push(t->cx, &t->nodes, child, 64 * sizeof(int32_t)));
	LLM_TRY(llm_vec_push(t->cx, &t->levels, &level, sizeof(level)));
	return llm_vec_push(t->cx, &t->uniform, &uniform, sizeof(uniform));
}

/* characters base .. base + 64^level - 1; those below least are not written with this many bytes; *node -1 if none has a class */
static LlmStatus
make_node(Tree *t, uint32_t base, int level, uint32_t least, int32_t *node)
{
	const uint32_t step = 1u << (6 * (level - 1));
	int32_t		child[64];
	int32_t		uniform = -3;	/* nothing seen */
	bool		any = false;

	for (uint32_t i = 0; i < 64; i++)
	{
		uint32_t	c = base + i * step;
		const LlmClassRange *first = c + step - 1 >= least && c <= LLM_MAX_CHAR ? range_of(t, c) : NULL;
		int32_t		cls = -1;

		child[i] = -1;
		if (level == 1)
			child[i] = cls = first ? first->cls : -1;
		else if (i > 0 && child[i - 1] >= 0 && first && first->last >= c + step - 1 && first->first <= c - step && c - step >= least)
		{
			child[i] = child[i - 1];	/* the same class as all before */
			cls = first->cls;
		}
		else if (c + step - 1 >= least && c <= LLM_MAX_CHAR)
		{
			LLM_TRY(make_node(t, c, level - 1, least, &child[i]));
			cls = child[i] >= 0 ? ((int32_t *) t->uniform.data)[child[i]] : -1;
		}
		any |= child[i] >= 0;
		uniform = uniform == -3 || uniform == cls ? cls : -2;
	}
	*node = -1;
	return any ? find_node(t, child, (int8_t) level, uniform, node) : LLM_OK;
}

static LlmStatus
make_tree(Tree *t)
{
	memset(t->lead, -1, sizeof(t->lead));
	for (uint32_t c = 0; c < 128; c++)
	{
		const LlmClassRange *r = range_of(t, c);

		t->ascii[c] = r ? r->cls : -1;
	}
	for (uint32_t b = 0xC2; b <= 0xDF; b++)
		LLM_TRY(make_node(t, (b & 0x1F) << 6, 1, 0x80, &t->lead[b]));
	for (uint32_t b = 0xE0; b <= 0xEF; b++)
		LLM_TRY(make_node(t, (b & 0x0F) << 12, 2, 0x800, &t->lead[b]));
	for (uint32_t b = 0xF0; b <= 0xF4; b++)
		LLM_TRY(make_node(t, (b & 0x07) << 18, 3, 0x10000, &t->lead[b]));
	return LLM_OK;
}

/* states in the middle of a character, found by (what the characters below lead to, node) */
typedef struct Middle
{
	int32_t		state;			/* of the automaton over characters, or where all lead: ~target */
	int32_t		node;
	int32_t		number;
} Middle;

typedef struct Expansion
{
	LlmCompile *cx;
	const LlmSymbolDfa *from;
	Tree	   *tree;
	LlmVec		middles;		/* Middle, in order of their numbers */
	int32_t    *table;
	size_t		table_size;
} Expansion;

static uint32_t
hash_middle(int32_t state, int32_t node)
{
	uint64_t	h = ((uint64_t) (uint32_t) state << 32 | (uint32_t) node) * 0x9E3779B97F4A7C15u;

	return (uint32_t) (h >> 29);
}

static LlmStatus
find_middle(Expansion *x, int32_t state, int32_t node, int32_t *number)
{
	Middle		m;
	size_t		at;

	if (x->middles.n * 2 >= x->table_size)
	{
		const Middle *all = x->middles.data;

		x->table_size = x->table_size ? x->table_size * 4 : 256;
		LLM_TRY(llm_compile_alloc(x->cx, x->table_size, sizeof(int32_t), &x->table));
		for (size_t i = 0; i < x->middles.n; i++)
		{
			at = hash_middle(all[i].state, all[i].node) & (x->table_size - 1);
			while (x->table[at])
				at = (at + 1) & (x->table_size - 1);
			x->table[at] = (int32_t) i + 1;
		}
	}
	for (at = hash_middle(state, node) & (x->table_size - 1); x->table[at]; at = (at + 1) & (x->table_size - 1))
	{
		const Middle *old = (Middle *) x->middles.data + x->table[at] - 1;

		if (old->state == state && old->node == node)
		{
			*number = old->number;
			return LLM_OK;
		}
	}
	m = (Middle) {state, node, x->from->n_states + (int32_t) x->middles.n};
	LLM_TRY(llm_compile_states(x->cx, (size_t) m.number + 1));
	LLM_TRY(llm_vec_push(x->cx, &x->middles, &m, sizeof(m)));
	x->table[at] = (int32_t) x->middles.n;
	*number = m.number;
	return LLM_OK;
}

/* the state in which `node` of a character begun in `state` is read; -1 if it leads nowhere */
static LlmStatus
enter_node(Expansion *x, int32_t state, int32_t node, int32_t *number)
{
	const int32_t uniform = ((int32_t *) x->tree->uniform.data)[node];

	if (uniform >= 0)
	{
		int32_t		target = x->from->next[(size_t) state * x->from->n_symbols + uniform];

		*number = -1;
		return target < 0 ? LLM_OK : find_middle(x, ~target, node, number);
	}
	return find_middle(x, state, node, number);
}

static int32_t
target_of(const Expansion *x, int32_t state, int32_t cls)
{
	if (cls < 0)
		return -1;
	return state < 0 ? ~state : x->from->next[(size_t) state * x->from->n_symbols + cls];
}

/* next state of a state in the middle of a character */
static LlmStatus
step_middle(Expansion *x, size_t i, int byte, int32_t *next)
{
	const Middle m = ((Middle *) x->middles.data)[i];
	const int32_t child = byte < 0x80 || byte > 0xBF ? -1 : ((int32_t *) x->tree->nodes.data)[64 * (size_t) m.node + byte - 0x80];

	*next = -1;
	if (child < 0)
		return LLM_OK;
	if (((int8_t *) x->tree->levels.data)[m.node] == 1)
		*next = target_of(x, m.state, child);
	else
		return m.state < 0 ? find_middle(x, m.state, child, next) : enter_node(x, m.state, child, next);
	return LLM_OK;
}

/* next state of a state between characters */
static LlmStatus
step_state(Expansion *x, int32_t state, int byte, int32_t *next)
{
	*next = -1;
	if (byte < 0x80)
		*next = target_of(x, state, x->tree->ascii[byte]);
	else if (x->tree->lead[byte] >= 0)
		return enter_node(x, state, x->tree->lead[byte], next);
	return LLM_OK;
}

/* bytes that value tells apart, 8 bits at a time */
static void
split_by(LlmByteClasses *classes, const int32_t value[256])
{
	uint8_t		split[256];

	for (int shift = 0; shift < 32; shift += 8)
	{
		for (int b = 0; b < 256; b++)
			split[b] = (uint8_t) ((uint32_t) value[b] >> shift);
		llm_byte_classes_split(classes, split);
	}
}

static LlmStatus
classify_bytes(const Tree *tree, LlmByteClasses *classes)
{
	int32_t		value[256];

	llm_byte_classes_init(classes);
	llm_byte_classes_range(classes, 0x00, 0x7F);
	llm_byte_classes_range(classes, 0x80, 0xBF);
	for (int b = 0; b < 256; b++)
		value[b] = b < 128 ? tree->ascii[b] : tree->lead[b];
	split_by(classes, value);
	for (size_t i = 0; i < tree->nodes.n; i++)
	{
		memset(value, 0, sizeof(value));
		memcpy(value + 0x80, (int32_t *) tree->nodes.data + 64 * i, 64 * sizeof(int32_t));
		LLM_TRY(llm_compile_poll(tree->cx, 1024 * (uint64_t) classes->n));
		split_by(classes, value);
	}
	return LLM_OK;
}

LlmStatus
llm_symbol_dfa_bytes(LlmCompile *cx, const LlmSymbolDfa *from, LlmDfa **out)
{
	Tree		tree = {.cx = cx, .ranges = from->ranges, .n_ranges = from->n_ranges};
	Expansion	x = {.cx = cx, .from = from, .tree = &tree};
	LlmByteClasses classes;
	LlmVec		rows = {0};
	LlmVec		labels = {0};
	uint8_t		byte_of[256];
	LlmDfa	   *d;

	LLM_TRY(make_tree(&tree));
	LLM_TRY(classify_bytes(&tree, &classes));
	for (int b = 255; b >= 0; b--)
		byte_of[classes.class_of[b]] = (uint8_t) b;
	for (size_t s = 0; s < (size_t) from->n_states + x.middles.n; s++)
	{
		int32_t		row[256];
		int32_t		label = s < (size_t) from->n_states ? from->label[s] : -1;

		LLM_TRY(llm_compile_steps(cx, (uint64_t) classes.n));
		for (int k = 0; k < classes.n; k++)
			LLM_TRY(s < (size_t) from->n_states ? step_state(&x, (int32_t) s, byte_of[k], &row[k]) :
					step_middle(&x, s - from->n_states, byte_of[k], &row[k]));
		LLM_TRY(llm_vec_push(cx, &rows, row, classes.n * sizeof(int32_t)));
		LLM_TRY(llm_vec_push(cx, &labels, &label, sizeof(label)));
	}
	LLM_TRY(llm_compile_alloc(cx, 1, sizeof(*d), &d));
	d->n_states = (int32_t) rows.n;
	d->n_classes = classes.n;
	memcpy(d->class_of, classes.class_of, sizeof(d->class_of));
	d->next = rows.data;
	d->label = labels.data;
	*out = d;
	return LLM_OK;
}

LlmStatus
llm_dfa_length(LlmCompile *cx, uint32_t min, uint32_t max, LlmDfa **out)
{
	LlmClassRange ranges[2] = {{0, 0xD7FF, 0}, {0xE000, LLM_MAX_CHAR, 0}};
	const bool	open = max == UINT32_MAX;
	const uint32_t n = (open ? min : max) + 1;
	LlmSymbolDfa d = {.n_classes = 1, .n_symbols = 1, .ranges = ranges, .n_ranges = 2};

	if ((open ? min : max) >= LLM_GRAMMAR_MAX_STATES)
		return llm_compile_states(cx, (size_t) LLM_GRAMMAR_MAX_STATES + 1);
	d.n_states = (int32_t) n;
	LLM_TRY(llm_compile_alloc(cx, n, sizeof(int32_t), &d.next));
	LLM_TRY(llm_compile_alloc(cx, n, sizeof(int32_t), &d.label));
	for (uint32_t i = 0; i < n; i++)
	{
		d.next[i] = i + 1 < n ? (int32_t) i + 1 : open ? (int32_t) i : -1;
		d.label[i] = i >= min ? 0 : -1;
	}
	LLM_TRY(llm_symbol_dfa_bytes(cx, &d, out));
	return llm_dfa_minimize(cx, *out);
}
