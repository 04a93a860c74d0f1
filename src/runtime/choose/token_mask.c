/*
 * token_mask.c: walks over the tree of tokens, and the masks that were found.
 */
#include "choose/token_mask.h"

#include <string.h>

/* where a walk left the part of the stack that is known */
typedef struct Resume
{
	int32_t		node;
	int32_t		exit;
} Resume;

typedef struct Mask
{
	int32_t		state;
	int32_t		returns;		/* of the top of the stack; -1: the stack is empty */
	uint32_t   *bits;
	Resume	   *resumes;
	int32_t		n_resumes;
} Mask;

struct LlmMasker
{
	const LlmAllocator *allocator;
	const LlmGrammar *g;
	const LlmTokenTrie *trie;
	size_t		n_words;
	size_t		limit_bytes;
	size_t		used_bytes;
	LlmBuf		masks;			/* Mask */
	int32_t    *table;			/* open addressing; 0: free, else mask + 1 */
	size_t		table_size;
	LlmGrammarRun walk;			/* stacks of walks that hold for many runs */
	LlmBuf		configs;		/* of a walk, level by level */
	LlmBuf		levels;			/* Level */
	LlmBuf		resumes;		/* Resume, of the walk */
	uint32_t   *scratch;		/* (n_words) */
};

/* ---- the walk ---- */

/* a node on the way, and what it leaves behind when the walk goes back */
typedef struct Level
{
	int32_t		node_end;
	size_t		configs_begin;	/* of the node */
	size_t		configs_end;
	size_t		places_len;
	size_t		costs_len;
} Level;

static void
set_tokens(const LlmTokenTrie *trie, int32_t first, int32_t end, uint32_t *bits)
{
	for (int32_t i = first; i < end; i++)
		bits[trie->ids[i] >> 5] |= 1u << (trie->ids[i] & 31);
}

/*
 * Set the tokens below node if that needs no walk: all are plain, and the only state there is reads plain text up to some
 * number of characters, whatever they are. (Whether it can also end must not depend on the stack.) False: walk.
 */
static bool
set_plain(const LlmMasker *k, const LlmBuf *configs, size_t begin, size_t end, int32_t node, uint32_t *bits)
{
	const LlmTrieNode *n = &k->trie->nodes[node];
	const int32_t state = ((const LlmConfig *) configs->data)[begin].state;
	const int	run = k->g->m.runs[state];
	const int32_t first = n[1].first_token;
	const int32_t last = k->trie->nodes[n->end].first_token;

	if (!k->g->m.certain || end != begin + 1 || run == 0 || n->plain == LLM_TRIE_NOT_PLAIN)
		return false;
	if (n->plain <= run)
		set_tokens(k->trie, first, last, bits);
	else if (run == LLM_RUN_MAX || !k->g->m.stops[state] || n->chars + run >= LLM_TRIE_MAX_PLAIN)
		return false;
	else
	{
		for (int32_t i = first; i < last; i++)
		{
			if (k->trie->chars[i] <= n->chars + run)
				set_tokens(k->trie, i, i + 1, bits);
		}
	}
	return true;
}

static LlmStatus
push_level(LlmMasker *k, LlmGrammarRun *run, int32_t node_end, size_t begin, size_t end, LlmError *err)
{
	Level		l = {node_end, begin, end, run->places.len, run->costs.len};

	return llm_buf_append(&k->levels, &l, sizeof(l), err);
}

/*
 * Set the bits of tokens below node `top` that configs (of k->configs, all of them) can read. Exits from an unknown stack are kept as
 * resumes. Stacks grow in run and are cut back.
 */
static LlmStatus
walk(LlmMasker *k, LlmGrammarRun *run, int32_t top, uint32_t *bits, LlmError *err)
{
	const LlmTokenTrie *trie = k->trie;
	const LlmTrieNode *nodes = trie->nodes;
	size_t		n = k->configs.len / sizeof(LlmConfig);

	k->levels.len = 0;
	if (set_plain(k, &k->configs, 0, n, top, bits))
		return LLM_OK;
	LLM_TRY(push_level(k, run, nodes[top].end, 0, n, err));
	for (int32_t i = top + 1; i < nodes[top].end;)
	{
		Level	   *l = (Level *) (k->levels.data + k->levels.len) - 1;
		size_t		end;

		while (i >= l->node_end)
		{
			k->levels.len -= sizeof(Level);
			l--;
		}
		run->places.len = l->places_len;
		run->costs.len = l->costs_len;
		k->configs.len = l->configs_end * sizeof(LlmConfig);
		run->popped.len = 0;
		LLM_TRY(llm_run_step(run, &k->configs, l->configs_begin, l->configs_end, nodes[i].byte, err));
		for (size_t x = 0; x < run->popped.len / sizeof(int32_t); x++)
		{
			Resume		r = {i, ((int32_t *) run->popped.data)[x]};

			LLM_TRY(llm_buf_append(&k->resumes, &r, sizeof(r), err));
		}
		end = k->configs.len / sizeof(LlmConfig);
		if (end == l->configs_end)
		{
			i = nodes[i].end;
			continue;
		}
		set_tokens(trie, nodes[i].first_token, nodes[i + 1].first_token, bits);
		if (set_plain(k, &k->configs, l->configs_end, end, i, bits))
		{
			i = nodes[i].end;
			continue;
		}
		if (nodes[i].end > i + 1)
			LLM_TRY(push_level(k, run, nodes[i].end, l->configs_end, end, err));
		i++;
	}
	return LLM_OK;
}

/* a walk from one config of run, with its real stack */
static LlmStatus
walk_from(LlmMasker *k, LlmGrammarRun *run, int32_t node, uint32_t *bits, LlmError *err)
{
	const size_t places_len = run->places.len;
	const size_t costs_len = run->costs.len;
	LlmStatus	status = walk(k, run, node, bits, err);

	run->places.len = places_len;
	run->costs.len = costs_len;
	return status;
}

/* ---- masks that were found ---- */

static size_t
hash(int32_t state, int32_t returns, size_t size)
{
	uint64_t	h = ((uint64_t) (uint32_t) state << 32 | (uint32_t) returns) * 0x9E3779B97F4A7C15u;

	return (size_t) (h >> 32) & (size - 1);
}

static void
forget_masks(LlmMasker *k)
{
	Mask	   *masks = (Mask *) k->masks.data;

	for (size_t i = 0; i < k->masks.len / sizeof(Mask); i++)
	{
		llm_free(k->allocator, masks[i].bits);
		llm_free(k->allocator, masks[i].resumes);
	}
	k->masks.len = 0;
	k->used_bytes = 0;
	if (k->table)
		memset(k->table, 0, k->table_size * sizeof(int32_t));
}

static LlmStatus
grow_table(LlmMasker *k, LlmError *err)
{
	size_t		size = k->table_size ? k->table_size * 2 : 256;
	const Mask *masks = (Mask *) k->masks.data;
	int32_t    *table;
	void	   *p;

	LLM_TRY(llm_alloc_zero(k->allocator, size, sizeof(int32_t), &p, err));
	table = p;
	for (size_t i = 0; i < k->masks.len / sizeof(Mask); i++)
	{
		size_t		at = hash(masks[i].state, masks[i].returns, size);

		while (table[at])
			at = (at + 1) & (size - 1);
		table[at] = (int32_t) i + 1;
	}
	llm_free(k->allocator, k->table);
	k->table = table;
	k->table_size = size;
	return LLM_OK;
}

/* fill bits and resumes of m by a walk; stack: what is known of it */
static LlmStatus
make_mask(LlmMasker *k, Mask *m, int32_t proc, LlmError *err)
{
	LlmConfig	c = {m->state, LLM_STACK_END};
	void	   *p;

	k->walk.places.len = k->walk.costs.len = 0;
	if (m->returns >= 0)
		LLM_TRY(llm_run_push(&k->walk, LLM_STACK_UNKNOWN, m->returns, proc, &c.stack, err));
	k->configs.len = 0;
	k->resumes.len = 0;
	LLM_TRY(llm_buf_append(&k->configs, &c, sizeof(c), err));
	LLM_TRY(llm_alloc_zero(k->allocator, k->n_words, sizeof(uint32_t), &p, err));
	m->bits = p;
	LLM_TRY(walk(k, &k->walk, 0, m->bits, err));
	if (k->resumes.len == 0)
		return LLM_OK;
	LLM_TRY(llm_alloc(k->allocator, k->resumes.len, 1, &p, err));
	m->resumes = p;
	memcpy(p, k->resumes.data, k->resumes.len);
	m->n_resumes = (int32_t) (k->resumes.len / sizeof(Resume));
	return LLM_OK;
}

/* the mask for a config of run */
static LlmStatus
find_mask(LlmMasker *k, const LlmGrammarRun *run, LlmConfig c, int32_t *index, LlmError *err)
{
	const LlmStackPlace *top = c.stack >= 0 ? &LLM_RUN_PLACES(run)[c.stack] : NULL;
	const size_t mask_bytes = k->n_words * sizeof(uint32_t) + sizeof(Mask);
	Mask		m = {.state = c.state, .returns = top ? top->returns : -1};
	size_t		at;
	LlmStatus	status;

	if (k->masks.len / sizeof(Mask) * 2 >= k->table_size)
		LLM_TRY(grow_table(k, err));
	for (at = hash(m.state, m.returns, k->table_size); k->table[at]; at = (at + 1) & (k->table_size - 1))
	{
		const Mask *old = (Mask *) k->masks.data + k->table[at] - 1;

		if (old->state == m.state && old->returns == m.returns)
		{
			*index = k->table[at] - 1;
			return LLM_OK;
		}
	}
	status = make_mask(k, &m, top ? top->proc : 0, err);
	if (status == LLM_OK)
	{
		*index = (int32_t) (k->masks.len / sizeof(Mask));
		status = llm_buf_append(&k->masks, &m, sizeof(m), err);
	}
	if (status != LLM_OK)
	{
		llm_free(k->allocator, m.bits);
		llm_free(k->allocator, m.resumes);
		return status;
	}
	k->table[at] = *index + 1;
	k->used_bytes += mask_bytes + (size_t) m.n_resumes * sizeof(Resume);
	return LLM_OK;
}

/* go on below the known part of the stack */
static LlmStatus
resume(LlmMasker *k, LlmGrammarRun *run, const Mask *m, LlmConfig c, uint32_t *bits, LlmError *err)
{
	int32_t		below;

	if (m->n_resumes == 0)
		return LLM_OK;			/* also where the stack is empty */
	below = LLM_RUN_PLACES(run)[c.stack].below;
	for (int32_t i = 0; i < m->n_resumes && below != LLM_STACK_END; i++)
	{
		const size_t places_len = run->places.len;
		const size_t costs_len = run->costs.len;
		const LlmStackPlace place = LLM_RUN_PLACES(run)[below];
		int32_t		to = run->g->m.returns[place.returns + m->resumes[i].exit];
		LlmStatus	status;

		if (to < 0 || k->trie->nodes[m->resumes[i].node].end == m->resumes[i].node + 1)
			continue;
		k->configs.len = 0;
		status = llm_run_add(run, &k->configs, 0, to, place.below, err);
		if (status == LLM_OK && k->configs.len > 0)
			status = walk(k, run, m->resumes[i].node, bits, err);
		run->places.len = places_len;
		run->costs.len = costs_len;
		LLM_TRY(status);
	}
	return LLM_OK;
}

/* add the tokens of one config to scratch; *shared: bits that are all there is to it, or NULL */
static LlmStatus
add_config(LlmMasker *k, LlmGrammarRun *run, LlmConfig c, bool alone, const uint32_t **shared, LlmError *err)
{
	int32_t		index = 0;
	const Mask *m;

	*shared = NULL;
	if (!k->g->m.certain)
	{
		k->configs.len = 0;
		LLM_TRY(llm_buf_append(&k->configs, &c, sizeof(c), err));
		return walk_from(k, run, 0, k->scratch, err);
	}
	LLM_TRY(find_mask(k, run, c, &index, err));
	m = (Mask *) k->masks.data + index;
	if (alone && m->n_resumes == 0)
	{
		*shared = m->bits;
		return LLM_OK;
	}
	for (size_t w = 0; w < k->n_words; w++)
		k->scratch[w] |= m->bits[w];
	return resume(k, run, m, c, k->scratch, err);
}

static LlmStatus
mask_now(LlmMasker *k, LlmGrammarRun *run, const uint32_t **bits, bool *any, LlmError *err)
{
	const bool	complete = llm_run_complete(run);
	const size_t n = LLM_RUN_N_CONFIGS(run);
	size_t		n_reading = 0;

	if (k->used_bytes > k->limit_bytes)
		forget_masks(k);
	for (size_t i = 0; i < n; i++)
		n_reading += k->g->m.states[LLM_RUN_CONFIGS(run)[i].state].n_edges > 0;
	memset(k->scratch, 0, k->n_words * sizeof(uint32_t));
	*bits = k->scratch;
	for (size_t i = 0; i < n; i++)
	{
		LlmConfig	c = LLM_RUN_CONFIGS(run)[i];
		const uint32_t *shared;

		if (k->g->m.states[c.state].n_edges == 0)
			continue;
		LLM_TRY(add_config(k, run, c, n_reading == 1 && !complete, &shared, err));
		if (shared)
			*bits = shared;
	}
	for (int32_t i = 0; i < k->trie->n_ends && complete; i++)
		k->scratch[k->trie->ends[i] >> 5] |= 1u << (k->trie->ends[i] & 31);
	*any = false;
	for (size_t w = 0; w < k->n_words && !*any; w++)
		*any = (*bits)[w] != 0;
	return LLM_OK;
}

LlmStatus
llm_masker_mask(LlmMasker *k, LlmGrammarRun *run, const uint32_t **bits, bool *any, LlmError *err)
{
	LlmStatus	status = mask_now(k, run, bits, any, err);

	/* what was kept makes room */
	if (status == LLM_E_NOMEM && k->masks.len > 0)
	{
		forget_masks(k);
		status = mask_now(k, run, bits, any, err);
	}
	return status;
}

LlmStatus
llm_masker_create(const LlmGrammar *g, const LlmTokenTrie *trie, size_t limit_bytes, const LlmAllocator *a, LlmMasker **out,
				  LlmError *err)
{
	LlmMasker  *k;
	void	   *p;
	LlmStatus	status;

	LLM_TRY(llm_alloc_zero(a, 1, sizeof(*k), &p, err));
	k = p;
	k->allocator = a;
	k->g = g;
	k->trie = trie;
	k->n_words = ((size_t) trie->n_vocab + 31) / 32;
	k->limit_bytes = limit_bytes;
	llm_buf_init(&k->masks, a);
	llm_buf_init(&k->configs, a);
	llm_buf_init(&k->levels, a);
	llm_buf_init(&k->resumes, a);
	status = llm_run_init(&k->walk, g, a, err);
	if (status == LLM_OK)
		status = llm_alloc(a, k->n_words, sizeof(uint32_t), &p, err);
	if (status != LLM_OK)
	{
		llm_masker_free(k);
		return status;
	}
	k->scratch = p;
	*out = k;
	return LLM_OK;
}

void
llm_masker_free(LlmMasker *k)
{
	if (!k)
		return;
	forget_masks(k);
	llm_run_free(&k->walk);
	llm_buf_free(&k->masks);
	llm_buf_free(&k->configs);
	llm_buf_free(&k->levels);
	llm_buf_free(&k->resumes);
	llm_free(k->allocator, k->table);
	llm_free(k->allocator, k->scratch);
	llm_free(k->allocator, k);
}
