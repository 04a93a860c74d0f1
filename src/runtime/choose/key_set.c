/*
 * key_set.c: a hash table of keys.
 */
#include "choose/key_set.h"

#include <string.h>

static uint32_t
hash_key(const int32_t *key, int n)
{
	uint64_t	h = 0x9E3779B97F4A7C15u;

	for (int i = 0; i < n; i++)
		h = (h ^ (uint32_t) key[i]) * 0xD6E8FEB86659FD93u, h ^= h >> 32;
	return (uint32_t) (h ^ h >> 29);
}

static LlmStatus
grow(LlmCompile *cx, LlmKeySet *s)
{
	size_t		size = s->table_size ? s->table_size * 4 : 64;
	int32_t    *table;

	LLM_TRY(llm_compile_alloc(cx, size, sizeof(int32_t), &table));
	for (size_t i = 0; i < s->keys.n; i++)
	{
		size_t		at = hash_key(llm_key_set_get(s, i), s->n_key) & (size - 1);

		while (table[at])
			at = (at + 1) & (size - 1);
		table[at] = (int32_t) i + 1;
	}
	s->table = table;
	s->table_size = size;
	return LLM_OK;
}

LlmStatus
llm_key_set_find(LlmCompile *cx, LlmKeySet *s, const int32_t *key, int32_t *number)
{
	size_t		at;

	if (s->keys.n * 2 >= s->table_size)
		LLM_TRY(grow(cx, s));
	at = hash_key(key, s->n_key) & (s->table_size - 1);
	for (; s->table[at]; at = (at + 1) & (s->table_size - 1))
	{
		*number = s->table[at] - 1;
		if (memcmp(llm_key_set_get(s, (size_t) *number), key, s->n_key * sizeof(int32_t)) == 0)
			return LLM_OK;
	}
	*number = (int32_t) s->keys.n;
	LLM_TRY(llm_compile_states(cx, s->keys.n + 1));
	LLM_TRY(llm_vec_push(cx, &s->keys, key, s->n_key * sizeof(int32_t)));
	s->table[at] = *number + 1;
	return LLM_OK;
}
