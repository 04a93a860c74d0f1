/*
 * vocab.c: hash tables with open addressing over symbols and over pairs of symbols.
 */
#include "text/vocab.h"

#include <string.h>

static uint64_t
load8(const char *p)
{
	uint64_t	v;

	memcpy(&v, p, 8);
	return v;
}

/* up to 8 bytes as a number; together with n it tells them apart */
static uint64_t
load_tail(const char *p, size_t n)
{
	uint32_t	low;
	uint32_t	high;

	if (n >= 4)
	{
		memcpy(&low, p, 4);
		memcpy(&high, p + n - 4, 4);
		return (uint64_t) high << 32 | low;
	}
	if (n == 0)
		return 0;
	return (uint64_t) (uint8_t) p[0] << 16 | (uint64_t) (uint8_t) p[n / 2] << 8 | (uint8_t) p[n - 1];
}

/* after wyhash (public domain): 8 bytes a step, folded by a 64 by 64 bit product */
static uint32_t
hash_bytes(uint64_t seed, const char *bytes, size_t len)
{
	uint64_t	h = seed ^ len;

	for (; len > 8; len -= 8, bytes += 8)
		h = llm_hash_mix(h ^ load8(bytes), UINT64_C(0xA0761D6478BD642F));
	h = llm_hash_mix(h ^ load_tail(bytes, len), UINT64_C(0xE7037ED1A0B428DB));
	return (uint32_t) (h ^ h >> 32);
}

static LlmStatus
make_slots(LlmVocab *v, size_t n_slots, LlmError *err)
{
	void	   *slots;

	LLM_TRY(llm_alloc(v->allocator, n_slots, sizeof(LlmVocabSlot), &slots, err));
	v->slots = slots;
	v->n_slots = n_slots;
	for (size_t i = 0; i < n_slots; i++)
		v->slots[i] = (LlmVocabSlot) {0, -1};
	return LLM_OK;
}

LlmStatus
llm_vocab_init(LlmVocab *v, size_t n_expected, uint64_t seed, const LlmAllocator *a, LlmError *err)
{
	memset(v, 0, sizeof(*v));
	v->allocator = a;
	v->seed = llm_hash_seed(seed, v);
	llm_buf_init(&v->bytes, a);
	llm_buf_init(&v->ends, a);
	LLM_TRY(llm_buf_reserve(&v->bytes, 8 * n_expected + 1, err));
	LLM_TRY(llm_buf_reserve(&v->ends, sizeof(uint32_t) * (n_expected + 1), err));
	return make_slots(v, LLM_SLOTS_FOR(n_expected), err);
}

void
llm_vocab_free(LlmVocab *v)
{
	if (!v->allocator)
		return;
	llm_buf_free(&v->bytes);
	llm_buf_free(&v->ends);
	llm_free(v->allocator, v->slots);
	v->slots = NULL;
}

LlmStatus
llm_vocab_add(LlmVocab *v, const char *bytes, size_t len, LlmError *err)
{
	uint32_t	end;

	if (v->n_symbols == INT32_MAX || len > UINT32_MAX - v->bytes.len)
		return llm_fail(err, LLM_E_LIMIT, "vocabulary is too large: %d strings of %zu bytes, %zu more bytes wanted",
						(int) v->n_symbols, v->bytes.len, len);
	LLM_TRY(llm_buf_reserve(&v->ends, sizeof(end), err));
	LLM_TRY(llm_buf_append(&v->bytes, bytes, len, err));
	end = (uint32_t) v->bytes.len;
	LLM_TRY(llm_buf_append(&v->ends, &end, sizeof(end), err));
	v->n_symbols++;
	return LLM_OK;
}

/* where a search for a tag begins */
static size_t
first_slot(const LlmVocab *v, uint32_t tag)
{
	return llm_slot_first((uint64_t) tag << 32, v->n_slots);
}

/* the slot that holds these bytes, or the free one where they belong */
static LlmVocabSlot *
find_slot(const LlmVocab *v, uint32_t tag, const char *bytes, size_t len)
{
	for (size_t i = first_slot(v, tag);; i = llm_slot_next(i, v->n_slots))
	{
		LlmVocabSlot *slot = &v->slots[i];

		if (slot->symbol < 0)
			return slot;
		if (slot->tag == tag)
		{
			LlmStr		s = llm_vocab_bytes(v, slot->symbol);

			if (s.len == len && memcmp(s.data, bytes, len) == 0)
				return slot;
		}
	}
}

static LlmStatus
grow_index(LlmVocab *v, LlmError *err)
{
	LlmVocabSlot *old = v->slots;
	size_t		n_old = v->n_slots;

	LLM_TRY(make_slots(v, n_old * 2, err));
	for (size_t k = 0; k < n_old; k++)
	{
		size_t		i;

		if (old[k].symbol < 0)
			continue;
		for (i = first_slot(v, old[k].tag); v->slots[i].symbol >= 0; i = llm_slot_next(i, v->n_slots))
			;
		v->slots[i] = old[k];
	}
	llm_free(v->allocator, old);
	return LLM_OK;
}

/* the slot of a symbol's bytes; it is free, or holds the symbol that was first */
static LlmStatus
slot_of_symbol(LlmVocab *v, int32_t symbol, LlmVocabSlot **slot, LlmError *err)
{
	LlmStr		s = llm_vocab_bytes(v, symbol);
	uint32_t	tag = hash_bytes(v->seed, s.data, s.len);

	if (LLM_SLOTS_FOR(v->n_indexed) > v->n_slots + v->n_slots / 8)
		LLM_TRY(grow_index(v, err));
	*slot = find_slot(v, tag, s.data, s.len);
	if ((*slot)->symbol < 0)
	{
		**slot = (LlmVocabSlot) {tag, symbol};
		v->n_indexed++;
	}
	return LLM_OK;
}

LlmStatus
llm_vocab_index(LlmVocab *v, int32_t symbol, int32_t *same, LlmError *err)
{
	LlmVocabSlot *slot;

	LLM_TRY(slot_of_symbol(v, symbol, &slot, err));
	*same = slot->symbol;
	return LLM_OK;
}

LlmStatus
llm_vocab_index_last(LlmVocab *v, int32_t symbol, int32_t *before, LlmError *err)
{
	LlmVocabSlot *slot;

	LLM_TRY(slot_of_symbol(v, symbol, &slot, err));
	*before = slot->symbol;
	slot->symbol = symbol;
	return LLM_OK;
}

int32_t
llm_vocab_find(const LlmVocab *v, const char *bytes, size_t len)
{
	return find_slot(v, hash_bytes(v->seed, bytes, len), bytes, len)->symbol;
}

LlmStatus
llm_vocab_intern(LlmVocab *v, const char *bytes, size_t len, int32_t *symbol, LlmError *err)
{
	int32_t		found = llm_vocab_find(v, bytes, len);

	if (found < 0)
	{
		LLM_TRY(llm_vocab_add(v, bytes, len, err));
		LLM_TRY(llm_vocab_index(v, v->n_symbols - 1, &found, err));
	}
	*symbol = found;
	return LLM_OK;
}

LlmStatus
llm_vocab_put(const LlmVocab *v, LlmBuf *out, LlmError *err)
{
	const uint64_t head[] = {v->seed, v->n_indexed};

	LLM_TRY(llm_tables_put(out, head, 2, sizeof(uint64_t), err));
	LLM_TRY(llm_tables_put(out, v->bytes.data, v->bytes.len, 1, err));
	LLM_TRY(llm_tables_put(out, v->ends.data, (size_t) v->n_symbols, sizeof(uint32_t), err));
	return llm_tables_put(out, v->slots, v->n_slots, sizeof(LlmVocabSlot), err);
}

/* a search ends at a free slot, so there must be one */
static bool
slots_ok(const LlmVocabSlot *slots, size_t n_slots, int32_t n_symbols)
{
	bool		good = true;
	bool		any_free = false;

	for (size_t i = 0; i < n_slots; i++)
	{
		good &= slots[i].symbol >= -1 && slots[i].symbol < n_symbols;
		any_free |= slots[i].symbol == -1;
	}
	return good && any_free;
}

static bool
ends_ok(const uint32_t *ends, size_t n, size_t n_bytes)
{
	bool		good = n == 0 ? n_bytes == 0 : ends[n - 1] == n_bytes;

	for (size_t i = 1; i < n; i++)
		good &= ends[i - 1] <= ends[i];
	return good;
}

LlmStatus
llm_vocab_get(LlmVocab *v, LlmTables *tables, LlmError *err)
{
	LlmVocab	got = {0};
	const void *head;
	const void *bytes;
	const void *ends;
	const void *slots;
	size_t		n_symbols;

	LLM_TRY(llm_tables_get_n(tables, sizeof(uint64_t), 2, &head, err));
	LLM_TRY(llm_tables_get(tables, 1, &got.bytes.len, &bytes, err));
	LLM_TRY(llm_tables_get(tables, sizeof(uint32_t), &n_symbols, &ends, err));
	LLM_TRY(llm_tables_get(tables, sizeof(LlmVocabSlot), &got.n_slots, &slots, err));
	if (n_symbols > INT32_MAX || !ends_ok(ends, n_symbols, got.bytes.len) || !slots_ok(slots, got.n_slots, (int32_t) n_symbols))
		return llm_tables_damaged("vocabulary", err);
	got.seed = ((const uint64_t *) head)[0];
	got.n_indexed = ((const uint64_t *) head)[1];
	got.bytes.data = (char *) bytes;
	got.ends.data = (char *) ends;
	got.ends.len = n_symbols * sizeof(uint32_t);
	got.n_symbols = (int32_t) n_symbols;
	got.slots = (LlmVocabSlot *) slots;
	*v = got;
	return LLM_OK;
}

LlmStatus
llm_merges_init(LlmMergeTable *m, size_t n_merges, uint64_t seed, const LlmAllocator *a, LlmError *err)
{
	const size_t n_slots = LLM_SLOTS_FOR(n_merges);
	void	   *slots;

	memset(m, 0, sizeof(*m));
	m->allocator = a;
	m->seed = llm_hash_seed(seed, m);
	LLM_TRY(llm_alloc(a, n_slots, sizeof(LlmMerge), &slots, err));
	m->slots = slots;
	m->n_slots = n_slots;
	for (size_t i = 0; i < n_slots; i++)
		m->slots[i] = (LlmMerge) {0, 0, -1};
	return LLM_OK;
}

void
llm_merges_free(LlmMergeTable *m)
{
	if (m->allocator)
		llm_free(m->allocator, m->slots);
	m->slots = NULL;
}

static void
put_merge(LlmMergeTable *m, LlmMerge merge, bool replace)
{
	size_t		i = llm_slot_first(llm_hash_mix(merge.pair ^ m->seed, UINT64_C(0x9E3779B97F4A7C15)), m->n_slots);

	for (; m->slots[i].merged >= 0 && m->slots[i].pair != merge.pair; i = llm_slot_next(i, m->n_slots))
		;
	if (m->slots[i].merged < 0 || replace)
		m->slots[i] = merge;
}

void
llm_merges_add(LlmMergeTable *m, int32_t left, int32_t right, uint32_t rank, int32_t merged)
{
	put_merge(m, (LlmMerge) {(uint64_t) (uint32_t) left << 32 | (uint32_t) right, rank, merged}, false);
}

void
llm_merges_set(LlmMergeTable *m, int32_t left, int32_t right, uint32_t rank, int32_t merged)
{
	put_merge(m, (LlmMerge) {(uint64_t) (uint32_t) left << 32 | (uint32_t) right, rank, merged}, true);
}

LlmStatus
llm_merges_put(const LlmMergeTable *m, LlmBuf *out, LlmError *err)
{
	LLM_TRY(llm_tables_put(out, &m->seed, 1, sizeof(m->seed), err));
	return llm_tables_put(out, m->slots, m->n_slots, sizeof(LlmMerge), err);
}

LlmStatus
llm_merges_get(LlmMergeTable *m, LlmTables *tables, int32_t n_symbols, LlmError *err)
{
	const LlmMerge *merges;
	const void *seed;
	const void *slots;
	size_t		n_slots;
	bool		good = true;
	bool		any_free = false;

	LLM_TRY(llm_tables_get_n(tables, sizeof(uint64_t), 1, &seed, err));
	LLM_TRY(llm_tables_get(tables, sizeof(LlmMerge), &n_slots, &slots, err));
	merges = slots;
	for (size_t i = 0; i < n_slots; i++)
	{
		good &= merges[i].merged >= -1 && merges[i].merged < n_symbols;
		any_free |= merges[i].merged == -1;
	}
	if (!good || !any_free)
		return llm_tables_damaged("table of merges", err);
	*m = (LlmMergeTable) {.seed = *(const uint64_t *) seed, .slots = (LlmMerge *) slots, .n_slots = n_slots};
	return LLM_OK;
}
