/*
 * token_trie.c: sorting a vocabulary by its bytes, and the tree over it.
 */
#include "choose/token_trie.h"

#include <stdlib.h>
#include <string.h>

/* a token and its bytes */
typedef struct Entry
{
	const char *bytes;
	uint32_t	len;
	int32_t		id;
} Entry;

typedef struct Build
{
	LlmTokenTrie *trie;
	LlmBuf		bytes;			/* of all tokens */
	Entry	   *entries;
	int32_t		n;
	LlmBuf		nodes;			/* LlmTrieNode */
} Build;

static int
compare_entries(const void *a, const void *b)
{
	const Entry *x = a;
	const Entry *y = b;
	uint32_t	n = x->len < y->len ? x->len : y->len;
	int			order = memcmp(x->bytes, y->bytes, n);

	if (order == 0)
		order = (x->len > y->len) - (x->len < y->len);
	return order ? order : (x->id > y->id) - (x->id < y->id);
}

static LlmStatus
list_entries(Build *b, const LlmTokenizer *t, bool first, LlmError *err)
{
	LlmTokenTrie *trie = b->trie;
	void	   *p;

	LLM_TRY(llm_alloc(trie->allocator, (size_t) trie->n_vocab, sizeof(Entry), &p, err));
	b->entries = p;
	LLM_TRY(llm_alloc(trie->allocator, (size_t) trie->n_vocab, sizeof(int32_t), &p, err));
	trie->ends = p;
	for (int32_t id = 0; id < trie->n_vocab; id++)
	{
		size_t		before = b->bytes.len;

		if (llm_tokenizer_is_end(t, id))
		{
			trie->ends[trie->n_ends++] = id;
			continue;
		}
		LLM_TRY(llm_detokenize_one(t, id, first, false, &b->bytes, err));
		if (b->bytes.len == before)
			continue;			/* special, or nothing but the space that is dropped */
		b->entries[b->n++] = (Entry) {(const char *) before, (uint32_t) (b->bytes.len - before), id};
	}
	for (int32_t i = 0; i < b->n; i++)
		b->entries[i].bytes = b->bytes.data + (size_t) b->entries[i].bytes;
	qsort(b->entries, (size_t) b->n, sizeof(Entry), compare_entries);
	return LLM_OK;
}

/* nodes in order, the way from the root to the last entry kept as a stack of node numbers */
static LlmStatus
make_nodes(Build *b, LlmError *err)
{
	LlmTrieNode root = {0};
	LlmBuf		way;			/* int32_t: nodes of the bytes of the entry before */
	LlmStatus	status = llm_buf_append(&b->nodes, &root, sizeof(root), err);

	llm_buf_init(&way, b->trie->allocator);
	for (int32_t i = 0; i < b->n && status == LLM_OK; i++)
	{
		const Entry *e = &b->entries[i];
		size_t		depth = way.len / sizeof(int32_t);
		size_t		same = 0;

		while (i > 0 && same < depth && same < e->len && e->bytes[same] == e[-1].bytes[same])
			same++;
		for (; depth > same; depth--)
			((LlmTrieNode *) b->nodes.data)[((int32_t *) way.data)[depth - 1]].end = (int32_t) (b->nodes.len / sizeof(LlmTrieNode));
		way.len = same * sizeof(int32_t);
		for (size_t k = same; k < e->len && status == LLM_OK; k++)
		{
			LlmTrieNode node = {.first_token = i, .byte = (uint8_t) e->bytes[k]};
			int32_t		number = (int32_t) (b->nodes.len / sizeof(LlmTrieNode));

			status = llm_buf_append(&b->nodes, &node, sizeof(node), err);
			if (status == LLM_OK)
				status = llm_buf_append(&way, &number, sizeof(number), err);
		}
	}
	if (status == LLM_OK)
	{
		int32_t		n = (int32_t) (b->nodes.len / sizeof(LlmTrieNode));
		LlmTrieNode last = {.end = n, .first_token = b->n};
		LlmTrieNode *nodes = (LlmTrieNode *) b->nodes.data;

		for (size_t k = 0; k < way.len / sizeof(int32_t); k++)
			nodes[((int32_t *) way.data)[k]].end = n;
		nodes[0].end = n;
		b->trie->n_nodes = n;
		status = llm_buf_append(&b->nodes, &last, sizeof(last), err);
	}
	llm_buf_free(&way);
	return status;
}

/* ---- plain characters below ---- */

/* where a text stands: 0 between characters, else continuation bytes that are missing, and the range of the first of them */
typedef struct Utf8State
{
	uint8_t		missing;
	uint8_t		first;
	uint8_t		last;
} Utf8State;

/* false: not plain */
static bool
utf8_step(Utf8State *s, uint8_t c)
{
	if (s->missing > 0)
	{
		bool		ok = c >= s->first && c <= s->last;

		*s = (Utf8State) {(uint8_t) (s->missing - 1), 0x80, 0xBF};
		return ok;
	}
	if (c < 0x80)
		return c >= 0x20 && c <= 0x7E && c != '"' && c != '\\';
	if (c < 0xC2 || c > 0xF4)
		return false;
	*s = (Utf8State) {(uint8_t) (c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3), (uint8_t) (c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80),
		(uint8_t) (c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF)};
	return true;
}

/*
 * plain of each node, children before parents: so the last node first. A node needs the state of UTF-8 at it, which comes from its
 * parent: a first walk forwards writes it down.
 */
static LlmStatus
find_plain(LlmTokenTrie *trie, LlmError *err)
{
	LlmTrieNode *nodes = trie->nodes;
	Utf8State  *state;
	uint8_t    *begins;			/* the node's byte begins a character */
	void	   *p;

	LLM_TRY(llm_alloc_zero(trie->allocator, (size_t) trie->n_nodes, sizeof(Utf8State) + 1, &p, err));
	state = p;
	begins = (uint8_t *) (state + trie->n_nodes);
	for (int32_t i = 0; i < trie->n_nodes; i++)
	{
		for (int32_t child = i + 1; child < nodes[i].end; child = nodes[child].end)
		{
			bool		inside = (nodes[child].byte & 0xC0) == 0x80;

			nodes[child].chars = (uint8_t) (nodes[i].chars + (!inside && nodes[i].chars < LLM_TRIE_MAX_PLAIN));
			state[child] = state[i];
			begins[child] = state[i].missing == 0;

			/* what is not plain is marked, and read on between characters */
			if (!utf8_step(&state[child], nodes[child].byte))
			{
				state[child].missing = 0;
				begins[child] |= 2;
			}
		}
	}
	for (int32_t i = trie->n_nodes - 1; i >= 0; i--)
	{
		int			most = 0;

		for (int32_t child = i + 1; child < nodes[i].end; child = nodes[child].end)
		{
			int			own = nodes[child].plain + (begins[child] & 1);

			own = own < LLM_TRIE_MAX_PLAIN ? own : LLM_TRIE_MAX_PLAIN;
			if (begins[child] & 2 || nodes[child].plain == LLM_TRIE_NOT_PLAIN)
				own = LLM_TRIE_NOT_PLAIN;
			most = own > most ? own : most;
		}
		nodes[i].plain = (uint8_t) most;
	}
	for (int32_t i = 0; i < trie->n_nodes; i++)
	{
		if (state[i].missing > 0)
			nodes[i].plain = LLM_TRIE_NOT_PLAIN;	/* only states between characters have runs */
	}
	llm_free(trie->allocator, p);
	return LLM_OK;
}

static uint8_t
chars_in(const Entry *e)
{
	uint32_t	n = 0;

	for (uint32_t i = 0; i < e->len; i++)
		n += (e->bytes[i] & 0xC0) != 0x80;
	return (uint8_t) (n < LLM_TRIE_MAX_PLAIN ? n : LLM_TRIE_MAX_PLAIN);
}

static bool
is_quoting(const Entry *e)
{
	int			n = 0;

	for (uint32_t i = 0; i < e->len; i++)
		n += e->bytes[i] == '"';
	return n > 1;
}

static LlmStatus
list_quoting(Build *b, LlmError *err)
{
	LlmTokenTrie *trie = b->trie;
	size_t		bytes = 0;
	int32_t		n = 0;
	void	   *p;

	for (int32_t i = 0; i < b->n; i++)
	{
		n += is_quoting(&b->entries[i]);
		bytes += is_quoting(&b->entries[i]) ? b->entries[i].len : 0;
	}
	LLM_TRY(llm_alloc(trie->allocator, (size_t) n, sizeof(LlmQuoting), &p, err));
	trie->quoting = p;
	LLM_TRY(llm_alloc(trie->allocator, bytes, 1, &p, err));
	trie->quoting_bytes = p;
	bytes = 0;
	for (int32_t i = 0; i < b->n; i++)
	{
		const Entry *e = &b->entries[i];

		if (!is_quoting(e))
			continue;
		trie->quoting[trie->n_quoting++] = (LlmQuoting) {e->id, (uint32_t) bytes, e->len};
		memcpy(trie->quoting_bytes + bytes, e->bytes, e->len);
		bytes += e->len;
	}
	return LLM_OK;
}

static LlmStatus
fill(Build *b, const LlmTokenizer *t, bool first, LlmError *err)
{
	LlmTokenTrie *trie = b->trie;
	void	   *p;

	LLM_TRY(list_entries(b, t, first, err));
	LLM_TRY(make_nodes(b, err));
	LLM_TRY(llm_alloc(trie->allocator, (size_t) b->n, sizeof(int32_t), &p, err));
	trie->ids = p;
	trie->n_ids = b->n;
	LLM_TRY(llm_alloc(trie->allocator, (size_t) b->n, 1, &p, err));
	trie->chars = p;
	for (int32_t i = 0; i < b->n; i++)
	{
		trie->ids[i] = b->entries[i].id;
		trie->chars[i] = chars_in(&b->entries[i]);
	}
	LLM_TRY(list_quoting(b, err));
	trie->nodes = (LlmTrieNode *) b->nodes.data;
	b->nodes.data = NULL;
	return find_plain(trie, err);
}

LlmStatus
llm_token_trie_create(const LlmTokenizer *t, int32_t n_vocab, bool first, const LlmAllocator *a, LlmTokenTrie **out, LlmError *err)
{
	Build		b = {0};
	void	   *p;
	LlmStatus	status;

	LLM_TRY(llm_alloc_zero(a, 1, sizeof(LlmTokenTrie), &p, err));
	b.trie = p;
	b.trie->allocator = a;
	b.trie->n_vocab = llm_tokenizer_vocab_size(t) < n_vocab ? llm_tokenizer_vocab_size(t) : n_vocab;
	llm_buf_init(&b.bytes, a);
	llm_buf_init(&b.nodes, a);
	status = fill(&b, t, first, err);
	llm_buf_free(&b.bytes);
	llm_buf_free(&b.nodes);
	llm_free(a, b.entries);
	if (status != LLM_OK)
	{
		llm_token_trie_free(b.trie);
		return status;
	}
	*out = b.trie;
	return LLM_OK;
}

void
llm_token_trie_free(LlmTokenTrie *trie)
{
	if (!trie)
		return;
	llm_free(trie->allocator, trie->nodes);
	llm_free(trie->allocator, trie->ids);
	llm_free(trie->allocator, trie->chars);
	llm_free(trie->allocator, trie->ends);
	llm_free(trie->allocator, trie->quoting);
	llm_free(trie->allocator, trie->quoting_bytes);
	llm_free(trie->allocator, trie);
}

LlmStatus
llm_token_trie_greedy(const LlmTokenTrie *trie, const char *bytes, size_t n, size_t max_tokens, LlmTokens *out,
					  size_t *taken, LlmError *err)
{
	const LlmTrieNode *nodes = trie->nodes;

	for (*taken = 0; *taken < n && max_tokens > 0; max_tokens--)
	{
		int32_t		node = 0;
		int32_t		best = -1;
		size_t		len = 0;

		for (size_t k = *taken; k < n; k++)
		{
			int32_t		child = node + 1;

			while (child < nodes[node].end && nodes[child].byte != (uint8_t) bytes[k])
				child = nodes[child].end;
			if (child >= nodes[node].end)
				break;
			node = child;
			if (nodes[node].first_token < nodes[node + 1].first_token)
			{
				best = trie->ids[nodes[node].first_token];
				len = k + 1 - *taken;
			}
		}
		if (best < 0)
			return LLM_OK;
		LLM_TRY(llm_tokens_append(out, best, err));
		*taken += len;
	}
	return LLM_OK;
}
