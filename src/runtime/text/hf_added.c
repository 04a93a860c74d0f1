/*
 * hf_added.c: added tokens: their ids, and where they stand in a text.
 *
 * An added token that the model's vocabulary has keeps the id there; others are numbered behind it, whatever the file says,
 * as the library does. Special ones count as control tokens, which data cannot make (special_tokens.c); where one may not
 * be taken, the text is looked at as if it did not exist.
 */
#include "text/hf.h"
#include "text/json_parse.h"

#include <json-c/json.h>
#include <string.h>

#define MAX_ADDED (1 << 20)
#define MAX_ADDED_BYTES 4096	/* bounds the time at one place */

static bool
flag(struct json_object *o, const char *key)
{
	struct json_object *value = NULL;

	return json_object_object_get_ex(o, key, &value) && json_object_get_boolean(value);
}

static LlmStatus
read_one(LlmHf *hf, struct json_object *o, LlmHfAdded *added, LlmError *err)
{
	struct json_object *content = NULL;

	if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, "content", &content) ||
		!json_object_is_type(content, json_type_string))
		return llm_fail(err, LLM_E_FORMAT, "an added token of tokenizer.json has no content");
	if (json_object_get_string_len(content) > MAX_ADDED_BYTES)
		return llm_fail(err, LLM_E_LIMIT, "an added token of tokenizer.json has %d bytes, at most %d are allowed",
						json_object_get_string_len(content), MAX_ADDED_BYTES);
	LLM_TRY(llm_hf_copy(hf, json_object_get_string(content), (size_t) json_object_get_string_len(content), &added->content, err));
	added->pattern = added->content;
	added->special = flag(o, "special");
	added->normalized = flag(o, "normalized");
	added->single_word = flag(o, "single_word");
	added->lstrip = flag(o, "lstrip");
	added->rstrip = flag(o, "rstrip");
	return LLM_OK;
}

/* give the token its id; names holds the contents seen, by index in added */
static LlmStatus
number_one(LlmTokenizer *t, LlmVocab *names, LlmHfAdded *added, int32_t *next_id, int32_t *n_ids, LlmError *err)
{
	LlmHf	   *hf = t->hf;
	int32_t		id = llm_vocab_find(&t->vocab, added->content.data, added->content.len);
	int32_t		name;

	LLM_TRY(llm_vocab_intern(names, added->content.data, added->content.len, &name, err));
	if (id < 0 && (size_t) name < hf->n_added)
		id = hf->added[name].id;
	if (id < 0)
		id = (*next_id)++;
	added->id = id;
	if (id >= *n_ids)
		*n_ids = id + 1;
	if ((size_t) name < hf->n_added)
		hf->added[name] = *added;
	else
		hf->added[hf->n_added++] = *added;
	hf->added_of[id] = name;
	return LLM_OK;
}

static LlmStatus
number_all(LlmTokenizer *t, struct json_object *list, int32_t n_ids, int32_t next_id, LlmVocab *names, LlmError *err)
{
	size_t		n = list ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < n; i++)
	{
		LlmHfAdded	added = {.id = -1};

		LLM_TRY(read_one(t->hf, json_object_array_get_idx(list, i), &added, err));
		if (added.content.len > 0)
			LLM_TRY(number_one(t, names, &added, &next_id, &n_ids, err));
	}
	t->n_vocab = n_ids;
	if (n_ids == 0)
		return llm_fail(err, LLM_E_FORMAT, "the vocabulary of tokenizer.json is empty");
	while (t->vocab.n_symbols < n_ids)
	{
		LLM_TRY(llm_vocab_add(&t->vocab, "", 0, err));
		LLM_TRY(llm_vocab_add(&t->hf->words, "", 0, err));
	}
	return LLM_OK;
}

LlmStatus
llm_hf_read_added(LlmTokenizer *t, LlmStr json, int32_t n_ids, size_t n_words, LlmError *err)
{
	LlmHf	   *hf = t->hf;
	struct json_object *list = NULL;
	LlmVocab	names;
	void	   *memory;
	size_t		n;
	size_t		n_room;
	LlmStatus	status;

	n_ids = n_ids > hf->n_rows ? n_ids : hf->n_rows;
	if (json.data)
		LLM_TRY(llm_json_parse(json.data, json.len, hf->allocator, &list, err));
	n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	if (n > MAX_ADDED || (list && !json_object_is_type(list, json_type_array)))
	{
		json_object_put(list);
		return llm_fail(err, n > MAX_ADDED ? LLM_E_LIMIT : LLM_E_FORMAT, "added_tokens of tokenizer.json is no list of at most %d tokens", MAX_ADDED);
	}
	/* new ids count from the number of words, which is above all ids if words or ids are there twice */
	n_room = ((size_t) n_ids > n_words ? (size_t) n_ids : n_words) + n + 1;
	status = llm_arena_alloc(&hf->arena, n, sizeof(LlmHfAdded), &memory, err);
	if (status == LLM_OK)
	{
		hf->added = memory;
		status = llm_arena_alloc(&hf->arena, n_room, sizeof(int32_t), &memory, err);
	}
	if (status == LLM_OK)
	{
		hf->added_of = memory;
		memset(hf->added_of, 0xFF, n_room * sizeof(int32_t));
		status = llm_vocab_init(&names, n, 0, hf->allocator, err);
		if (status == LLM_OK)
			status = number_all(t, list, n_ids, (int32_t) n_words, &names, err);
		llm_vocab_free(&names);
	}
	json_object_put(list);
	return status;
}

/* what a normalized token matches: what the normalizer makes of it */
static LlmStatus
normalize_pattern(LlmTokenizer *t, LlmHfAdded *added, LlmError *err)
{
	LlmEncoder	e = {.t = t};
	LlmHfRun   *run;
	void	   *memory;
	const LlmHfText *text;
	LlmStatus	status;

	LLM_TRY(llm_alloc_zero(t->allocator, 1, sizeof(LlmHfRun), &memory, err));
	run = memory;
	llm_hf_run_init(run, &e, t->allocator, false);
	status = llm_regex_match_create(t->allocator, &run->match, err);
	if (status == LLM_OK)
		status = llm_hf_normalize(run, (LlmText) {added->content.data, NULL, added->content.len}, true, false, &text, err);
	if (status == LLM_OK)
		status = llm_hf_copy(t->hf, text->bytes.data ? text->bytes.data : "", text->bytes.len, &added->pattern, err);
	llm_hf_run_free(run);
	llm_free(t->allocator, memory);
	return status;
}

LlmStatus
llm_hf_index_added(LlmTokenizer *t, LlmError *err)
{
	LlmHf	   *hf = t->hf;

	LLM_TRY(llm_trie_init(&hf->raw_added, t->seed, hf->allocator, err));
	LLM_TRY(llm_trie_init(&hf->normal_added, t->seed, hf->allocator, err));
	for (size_t i = 0; i < hf->n_added; i++)
	{
		LlmHfAdded *added = &hf->added[i];
		int32_t		before = -1;

		if (hf->added_of[added->id] != (int32_t) i)
			continue;
		if (added->normalized && hf->normalizer.n > 0)
			LLM_TRY(normalize_pattern(t, added, err));
		if (added->pattern.len == 0)
			return llm_fail(err, LLM_E_FORMAT, "added token \"%.*s\" of tokenizer.json is empty when normalized",
							(int) (added->content.len < 64 ? added->content.len : 64), added->content.data);
		LLM_TRY(llm_trie_add(added->normalized ? &hf->normal_added : &hf->raw_added, added->pattern.data, added->pattern.len, (int32_t) i,
							 &before, err));
		if (before >= 0)
			return llm_fail(err, LLM_E_FORMAT, "added tokens %d and %d of tokenizer.json match the same text",
							(int) hf->added[before].id, (int) added->id);
		hf->has_raw = hf->has_raw || !added->normalized;
		hf->has_normal = hf->has_normal || added->normalized;
	}
	return LLM_OK;
}

static bool
may_take(const LlmHfRun *run, const LlmHfAdded *added, LlmText text, size_t at)
{
	if (run->e->t->info[added->id].type != LLM_TOKEN_CONTROL)
		return true;
	return run->parse_special && (!text.from_data || memchr(text.from_data + at, 1, added->pattern.len) == NULL);
}

/* the longest added token that begins at a place, NULL if there is none */
static const LlmHfAdded *
longest_at(const LlmHfRun *run, const LlmTrie *trie, LlmText text, size_t at, size_t *depth)
{
	const LlmHfAdded *best = NULL;
	uint32_t	node = 0;
	size_t		i = at;

	for (; i < text.len; i++)
	{
		const LlmTrieEdge *edge = llm_trie_step(trie, node, (uint8_t) text.bytes[i]);

		if (!edge)
			break;
		node = edge->child;
		if (edge->value >= 0 && may_take(run, &run->hf->added[edge->value], text, at))
			best = &run->hf->added[edge->value];
	}
	*depth = i - at;
	return best;
}

static bool
is_single_word(LlmText text, size_t begin, size_t end)
{
	uint32_t	c;
	size_t		last = begin;

	if (end < text.len)
	{
		llm_hf_char(text.bytes + end, text.len - end, &c);
		if (llm_hf_is_word(c))
			return false;
	}
	if (begin == 0)
		return true;
	do
		last--;
	while (last > 0 && begin - last < 4 && ((uint8_t) text.bytes[last] & 0xC0) == 0x80);
	llm_hf_char(text.bytes + last, begin - last, &c);
	return !llm_hf_is_word(c);
}

static size_t
space_before(LlmText text, size_t begin)
{
	while (begin > 0)
	{
		size_t		last = begin;
		uint32_t	c;

		do
			last--;
		while (last > 0 && begin - last < 4 && ((uint8_t) text.bytes[last] & 0xC0) == 0x80);
		if (llm_hf_char(text.bytes + last, begin - last, &c) != begin - last || !llm_hf_is_space(c))
			break;
		begin = last;
	}
	return begin;
}

static size_t
space_after(LlmText text, size_t end)
{
	while (end < text.len)
	{
		uint32_t	c;
		size_t		n = llm_hf_char(text.bytes + end, text.len - end, &c);

		if (!llm_hf_is_space(c))
			break;
		end += n;
	}
	return end;
}

static LlmStatus
take_part(LlmHfRun *run, LlmText text, size_t begin, size_t end, bool at_start, bool normalized, LlmError *err)
{
	LlmText		part = {text.bytes + begin, text.from_data ? text.from_data + begin : NULL, end - begin};

	at_start = at_start && begin == 0;
	if (normalized)
		return llm_hf_pre_tokenize(run, part.bytes, part.len, at_start, err);
	return llm_hf_normalize_part(run, part, at_start, err);
}

LlmStatus
llm_hf_cut_added(LlmHfRun *run, LlmText text, bool at_start, bool normalized, LlmError *err)
{
	const LlmTrie *trie = normalized ? &run->hf->normal_added : &run->hf->raw_added;
	size_t		done = 0;
	bool		any = normalized ? run->hf->has_normal : run->hf->has_raw;

	for (size_t pos = 0; any && pos < text.len;)
	{
		size_t		depth;
		const LlmHfAdded *added = longest_at(run, trie, text, pos, &depth);
		size_t		begin = pos;
		size_t		end;

		LLM_TRY(llm_encoder_worked(run->e, depth + 1));
		pos += added ? added->pattern.len : 1;
		if (!added || (added->single_word && !is_single_word(text, begin, pos)))
			continue;
		end = added->rstrip ? space_after(text, pos) : pos;
		if (added->lstrip)
			begin = space_before(text, begin);
		if (begin < done)
			begin = added->lstrip ? done : begin;
		if (done < begin)
			LLM_TRY(take_part(run, text, done, begin, at_start, normalized, err));
		/* nothing is left of one that consists of white space if the token before it took that */
		if (begin < end)
			LLM_TRY(llm_tokens_append(run->e->out, added->id, err));
		done = end;
	}
	return done < text.len ? take_part(run, text, done, text.len, at_start, normalized, err) : LLM_OK;
}
