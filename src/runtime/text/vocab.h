/*
 * vocab.h: the strings that tokens are made of, by number and by content, and merges by pair.
 *
 * A symbol is a token (its number is its id) or a string that merges pass through without its being a token (numbers from
 * n_tokens on). Every symbol has bytes; only those that were indexed are found by content. Hashes are seeded with an
 * address, or with what nobody can choose, so a file cannot be made whose strings collide; nothing depends on their order. Finished ones can be kept (tables.h) and
 * used where they lie: then there is no allocator, and nothing may be added.
 */
#ifndef LLM_VOCAB_H
#define LLM_VOCAB_H

#include "text/tables.h"

typedef struct LlmVocabSlot
{
	uint32_t	tag;			/* hash of the bytes */
	int32_t		symbol;			/* -1: free */
} LlmVocabSlot;

typedef struct LlmVocab
{
	const LlmAllocator *allocator;	/* NULL: borrowed */
	uint64_t	seed;
	LlmBuf		bytes;			/* of all symbols, one after the other */
	LlmBuf		ends;			/* uint32_t each: where the bytes of a symbol end */
	int32_t		n_symbols;
	LlmVocabSlot *slots;
	size_t		n_slots;
	size_t		n_indexed;
} LlmVocab;

/* n_expected: of symbols, to size the index once; seed 0: by address */
extern LlmStatus llm_vocab_init(LlmVocab *v, size_t n_expected, uint64_t seed, const LlmAllocator *a, LlmError *err);
extern void llm_vocab_free(LlmVocab *v);

/* append a symbol without indexing it; its number is n_symbols before the call */
extern LlmStatus llm_vocab_add(LlmVocab *v, const char *bytes, size_t len, LlmError *err);

/* make a symbol findable; *same is the number under which its bytes are found, another one if they already were */
extern LlmStatus llm_vocab_index(LlmVocab *v, int32_t symbol, int32_t *same, LlmError *err);

/* the same, but the symbol takes the place of an earlier one with its bytes; *before is that one, or symbol itself */
extern LlmStatus llm_vocab_index_last(LlmVocab *v, int32_t symbol, int32_t *before, LlmError *err);

/* number of the symbol with these bytes, -1 if there is none */
extern int32_t llm_vocab_find(const LlmVocab *v, const char *bytes, size_t len);

/* find, else add and index */
extern LlmStatus llm_vocab_intern(LlmVocab *v, const char *bytes, size_t len, int32_t *symbol, LlmError *err);

/* into tables, and from there; v is untouched on an error */
extern LlmStatus llm_vocab_put(const LlmVocab *v, LlmBuf *out, LlmError *err);
extern LlmStatus llm_vocab_get(LlmVocab *v, LlmTables *tables, LlmError *err);

static inline LlmStr
llm_vocab_bytes(const LlmVocab *v, int32_t symbol)
{
	const uint32_t *ends = (const uint32_t *) v->ends.data;
	uint32_t	begin = symbol ? ends[symbol - 1] : 0;

	return (LlmStr) {v->bytes.data + begin, ends[symbol] - begin};
}

/* merges of byte-level BPE: (left, right) to the symbol they become; the lowest rank is merged first */
typedef struct LlmMerge
{
	uint64_t	pair;			/* left << 32 | right */
	uint32_t	rank;
	int32_t		merged;			/* -1: free slot */
} LlmMerge;

/*
 * Tables have 7 slots for 4 entries, not a power of 2, as they are kept with models: one of 49152 tokens and as many merges, 95 MB
 * large, has 2.1 MB of them.
 */
#define LLM_SLOTS_FOR(n) ((n) + (n) / 2 + (n) / 4 + 16)

/* where a search begins (hash: of 64 bits), and where it goes on */
static inline size_t
llm_slot_first(uint64_t hash, size_t n_slots)
{
	return (size_t) ((unsigned __int128) hash * n_slots >> 64);
}

static inline size_t
llm_slot_next(size_t i, size_t n_slots)
{
	return i + 1 < n_slots ? i + 1 : 0;
}

typedef struct LlmMergeTable
{
	const LlmAllocator *allocator;	/* NULL: borrowed */
	uint64_t	seed;
	LlmMerge   *slots;
	size_t		n_slots;
} LlmMergeTable;

extern LlmStatus llm_merges_init(LlmMergeTable *m, size_t n_merges, uint64_t seed, const LlmAllocator *a, LlmError *err);
extern void llm_merges_free(LlmMergeTable *m);

/* at most n_merges of them; the first of equal pairs stays, or (_set) the last */
extern void llm_merges_add(LlmMergeTable *m, int32_t left, int32_t right, uint32_t rank, int32_t merged);
extern void llm_merges_set(LlmMergeTable *m, int32_t left, int32_t right, uint32_t rank, int32_t merged);

/* into tables, and from there; all that merges make must be below n_symbols */
extern LlmStatus llm_merges_put(const LlmMergeTable *m, LlmBuf *out, LlmError *err);
extern LlmStatus llm_merges_get(LlmMergeTable *m, LlmTables *tables, int32_t n_symbols, LlmError *err);

static inline uint64_t
llm_hash_mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128) a * b;

	return (uint64_t) product ^ (uint64_t) (product >> 64);
}

/* a seed for a table: given, or 0 and then made from its address */
static inline uint64_t
llm_hash_seed(uint64_t given, const void *table)
{
	return llm_hash_mix((given ? given : (uint64_t) (uintptr_t) table) ^ UINT64_C(0x8EBC6AF09C88C6E3), UINT64_C(0x589965CC75374CC3));
}

/* the merge of a pair, NULL if it has none */
static inline const LlmMerge *
llm_merges_find(const LlmMergeTable *m, int32_t left, int32_t right)
{
	uint64_t	pair = (uint64_t) (uint32_t) left << 32 | (uint32_t) right;
	size_t		i = llm_slot_first(llm_hash_mix(pair ^ m->seed, UINT64_C(0x9E3779B97F4A7C15)), m->n_slots);

	for (;; i = llm_slot_next(i, m->n_slots))
	{
		if (m->slots[i].merged < 0)
			return NULL;
		if (m->slots[i].pair == pair)
			return &m->slots[i];
	}
}

#endif
