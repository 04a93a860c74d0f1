/*
 * written_keys.c: reading keys beside the machine, the way around keys that are there, and the tokens that would write one again.
 *
 * A token ends a key that is there in one of two ways: it goes on with a key that was begun (its bytes lie in the tree of tokens along that
 * key), or it holds the key's opening quote too (then it is one of the few tokens with two quotes, which are tried one by one).
 */
#include "choose/written_keys.h"

#include <string.h>

/* keys that share what was written of one: of more, it is not looked whether a token leaves no other way on */
#define MAX_LOOKED_AHEAD 32

typedef struct Level
{
	bool		object;
	size_t		n_keys;			/* of the levels around it */
	size_t		text_len;
} Level;

typedef struct Key
{
	size_t		off;
	size_t		len;
} Key;

void
llm_written_init(LlmWrittenKeys *w, const LlmAllocator *a)
{
	memset(w, 0, sizeof(*w));
	llm_buf_init(&w->levels, a);
	llm_buf_init(&w->keys, a);
	llm_buf_init(&w->text, a);
}

void
llm_written_free(LlmWrittenKeys *w)
{
	llm_buf_free(&w->levels);
	llm_buf_free(&w->keys);
	llm_buf_free(&w->text);
}

LlmStatus
llm_written_copy(const LlmWrittenKeys *from, LlmWrittenKeys *to, LlmError *err)
{
	to->levels.len = to->keys.len = to->text.len = 0;
	to->place = from->place;
	to->escaped = from->escaped;
	LLM_TRY(llm_buf_append(&to->levels, from->levels.data, from->levels.len, err));
	LLM_TRY(llm_buf_append(&to->keys, from->keys.data, from->keys.len, err));
	return llm_buf_append(&to->text, from->text.data, from->text.len, err);
}

/* ---- reading ---- */

static size_t
n_keys(const LlmWrittenKeys *w)
{
	return w->keys.len / sizeof(Key);
}

/* of no bytes there may be no address */
static bool
same_bytes(const char *a, const char *b, size_t n)
{
	return n == 0 || memcmp(a, b, n) == 0;
}

/* NULL: outside of all */
static const Level *
top(const LlmWrittenKeys *w)
{
	return w->levels.len == 0 ? NULL : (const Level *) (w->levels.data + w->levels.len) - 1;
}

/* where the key that is being read begins in text: behind those that are whole */
static size_t
key_begin(const LlmWrittenKeys *w)
{
	const Level *level = top(w);
	const Key  *last;

	if (n_keys(w) <= level->n_keys)
		return level->text_len;
	last = (const Key *) (w->keys.data + w->keys.len) - 1;
	return last->off + last->len;
}

static LlmStatus
end_key(LlmWrittenKeys *w, bool *again, LlmError *err)
{
	Key			key = {key_begin(w), 0};
	const Key  *keys = (const Key *) w->keys.data;

	key.len = w->text.len - key.off;
	for (size_t i = top(w)->n_keys; i < n_keys(w); i++)
	{
		if (keys[i].len == key.len && same_bytes(w->text.data + keys[i].off, w->text.data + key.off, key.len))
			*again = true;
	}
	w->place = LLM_PLACE_VALUE;
	return llm_buf_append(&w->keys, &key, sizeof(key), err);
}

/* a byte of a string, behind its opening quote */
static LlmStatus
read_in_string(LlmWrittenKeys *w, char byte, bool *again, LlmError *err)
{
	const bool	key = w->place == LLM_PLACE_KEY;

	if (byte == '"' && !w->escaped)
	{
		if (key)
			return end_key(w, again, err);
		w->place = LLM_PLACE_VALUE;
		return LLM_OK;
	}
	w->escaped = byte == '\\' && !w->escaped;
	return key ? llm_buf_append(&w->text, &byte, 1, err) : LLM_OK;
}

static LlmStatus
read_outside(LlmWrittenKeys *w, char byte, LlmError *err)
{
	Level		level = {byte == '{', n_keys(w), w->text.len};

	switch (byte)
	{
		case '"':
			w->place = w->place == LLM_PLACE_BEFORE_KEY ? LLM_PLACE_KEY : LLM_PLACE_STRING;
			return LLM_OK;
		case '{':
		case '[':
			w->place = level.object ? LLM_PLACE_BEFORE_KEY : LLM_PLACE_VALUE;
			return llm_buf_append(&w->levels, &level, sizeof(level), err);
		case '}':
		case ']':
			w->place = LLM_PLACE_VALUE;
			if (!top(w))
				return LLM_OK;
			w->keys.len = top(w)->n_keys * sizeof(Key);
			w->text.len = top(w)->text_len;
			w->levels.len -= sizeof(Level);
			return LLM_OK;
		case ',':
			w->place = top(w) && top(w)->object ? LLM_PLACE_BEFORE_KEY : LLM_PLACE_VALUE;
			return LLM_OK;
		default:
			return LLM_OK;
	}
}

LlmStatus
llm_written_read(LlmWrittenKeys *w, const char *bytes, size_t n, bool *again, LlmError *err)
{
	*again = false;
	for (size_t i = 0; i < n; i++)
	{
		if (w->place == LLM_PLACE_KEY || w->place == LLM_PLACE_STRING)
			LLM_TRY(read_in_string(w, bytes[i], again, err));
		else
			LLM_TRY(read_outside(w, bytes[i], err));
	}
	return LLM_OK;
}

/* ---- keys that begin as the one that is being read ---- */

/* does key i of the open object begin with the key so far, and n bytes more? */
static bool
begins_alike(const LlmWrittenKeys *w, size_t i, const char *more, size_t n)
{
	const Key  *key = (const Key *) w->keys.data + i;
	const size_t begin = key_begin(w);
	const size_t len = w->text.len - begin;
	const char *bytes = w->text.data + key->off;

	return key->len >= len + n && same_bytes(bytes, w->text.data + begin, len) && same_bytes(bytes + len, more, n);
}

/* the bytes by which the key so far and n more bytes go on as a key that is there, its closing quote included; false: there is none */
static bool
taken_bytes(const LlmWrittenKeys *w, const char *more, size_t n, uint32_t taken[8])
{
	const size_t at = w->text.len - key_begin(w) + n;
	bool		any = false;

	memset(taken, 0, 8 * sizeof(uint32_t));
	for (size_t i = top(w)->n_keys; i < n_keys(w); i++)
	{
		const Key  *key = (const Key *) w->keys.data + i;
		uint8_t		byte;

		if (!begins_alike(w, i, more, n))
			continue;
		byte = key->len == at ? (uint8_t) '"' : (uint8_t) w->text.data[key->off + at];
		taken[byte >> 5] |= 1u << (byte & 31);
		any = true;
	}
	return any;
}

/*
 * In a key that so far (with n more bytes, which run has read) is the beginning of one that is there: append the bytes that lead away from
 * all those, the fewest along any of them that there are. *found false: there is no way. used: of the object's keys, the one that led away from
 * an empty key last; those before it did not, and are tried last. NULL: not known.
 */
static LlmStatus
lead_away(const LlmWrittenKeys *w, const LlmGrammarRun *run, const char *more, size_t n, size_t *used, LlmBuf *out, bool *found, LlmError *err)
{
	const size_t len = w->text.len - key_begin(w);
	const size_t n_own = n_keys(w) - top(w)->n_keys;
	size_t	   *start = len + n == 0 ? used : NULL;
	uint32_t	taken[8];
	int			byte;

	(void) taken_bytes(w, more, n, taken);
	*found = llm_run_cheapest(run, taken, &byte) != LLM_COST_NONE;
	if (*found)
		return llm_buf_append(out, &(char) {(char) byte}, 1, err);
	for (size_t tried = 0, first = start ? *start : 0; tried < n_own && !*found; tried++)
	{
		const size_t own = (first + tried) % n_own;
		const size_t i = top(w)->n_keys + own;
		const Key  *key = (const Key *) w->keys.data + i;
		const char *rest = w->text.data + key->off + len;
		LlmGrammarRun ahead;
		LlmStatus	status = LLM_OK;
		bool		alive = true;

		if (!begins_alike(w, i, more, n))
			continue;
		LLM_TRY(llm_run_copy(run, &ahead, err));
		for (size_t k = n; k < key->len - len && status == LLM_OK && alive && !*found; k++)
		{
			status = llm_run_bytes(&ahead, rest + k, 1, &alive, err);
			(void) taken_bytes(w, rest, k + 1, taken);
			*found = alive && llm_run_cheapest(&ahead, taken, &byte) != LLM_COST_NONE;
			if (status == LLM_OK && *found)
				status = llm_buf_append(out, rest + n, k + 1 - n, err);
		}
		if (status == LLM_OK && *found)
			status = llm_buf_append(out, &(char) {(char) byte}, 1, err);
		if (start && *found)
			*start = own;
		llm_run_free(&ahead);
		LLM_TRY(status);
	}
	return LLM_OK;
}

/* ---- closing ---- */

/*
 * The bytes along the machine's cheapest way, as far as it leads away from all keys that are there; *found false: it writes one of them. Where
 * keys are not counted it is never one of them, so that an end is as short as the machine knows.
 */
static LlmStatus
along_cheapest(const LlmWrittenKeys *w, const LlmGrammarRun *run, LlmBuf *out, bool *found, LlmError *err)
{
	static const uint32_t none[8];
	const size_t begin = out->len;
	LlmGrammarRun ahead;
	LlmStatus	status;
	int			byte;
	bool		alive = true;

	*found = false;
	LLM_TRY(llm_run_copy(run, &ahead, err));
	status = LLM_OK;
	while (status == LLM_OK && alive && llm_run_cheapest(&ahead, none, &byte) != LLM_COST_NONE)
	{
		const char	next = (char) byte;
		uint32_t	taken[8];

		(void) taken_bytes(w, out->len > begin ? out->data + begin : NULL, out->len - begin, taken);
		*found = !(taken[byte >> 5] >> (byte & 31) & 1);
		if (!*found && byte == '"')
			break;
		status = llm_buf_append(out, &next, 1, err);
		if (*found || status != LLM_OK)
			break;
		status = llm_run_bytes(&ahead, &next, 1, &alive, err);
		if (status == LLM_OK)
			status = llm_run_settle(&ahead, err);
	}
	llm_run_free(&ahead);
	if (!*found)
		out->len = begin;
	return status;
}

/* the next bytes of a short end; used: as in lead_away */
static LlmStatus
next_bytes(const LlmWrittenKeys *w, const LlmGrammarRun *run, size_t *used, LlmBuf *out, bool *found, LlmError *err)
{
	static const uint32_t none[8];
	uint32_t	taken[8];
	int			byte;

	if (w->place == LLM_PLACE_KEY && taken_bytes(w, NULL, 0, taken))
	{
		LLM_TRY(along_cheapest(w, run, out, found, err));
		if (*found)
			return LLM_OK;
		return lead_away(w, run, NULL, 0, used, out, found, err);
	}
	*found = llm_run_cheapest(run, none, &byte) != LLM_COST_NONE;
	return *found ? llm_buf_append(out, &(char) {(char) byte}, 1, err) : LLM_OK;
}

static LlmStatus
walk_to_end(LlmWrittenKeys *w, LlmGrammarRun *run, size_t limit, LlmBuf *out, bool *found, LlmError *err)
{
	const size_t begin = out->len;
	size_t		levels = w->levels.len;
	size_t		used = 0;

	while (!llm_run_complete(run))
	{
		const size_t at = out->len;
		bool		alive;
		bool		again;

		if (w->levels.len != levels)
			used = 0;
		levels = w->levels.len;
		LLM_TRY(next_bytes(w, run, &used, out, found, err));
		if (!*found)
			return LLM_OK;
		LLM_TRY(llm_run_bytes(run, out->data + at, out->len - at, &alive, err));
		LLM_TRY(llm_run_settle(run, err));
		LLM_TRY(llm_written_read(w, out->data + at, out->len - at, &again, err));
		*found = alive && !again && out->len - begin <= limit;
		if (!*found)
			return LLM_OK;
	}
	return LLM_OK;
}

LlmStatus
llm_written_shortest(const LlmWrittenKeys *w, const LlmGrammarRun *run, size_t limit, LlmBuf *out, bool *found, LlmError *err)
{
	LlmGrammarRun way;
	LlmWrittenKeys ahead;
	LlmStatus	status;

	*found = true;
	LLM_TRY(llm_run_copy(run, &way, err));
	llm_written_init(&ahead, run->allocator);
	status = llm_written_copy(w, &ahead, err);
	if (status == LLM_OK)
		status = walk_to_end(&ahead, &way, limit, out, found, err);
	llm_run_free(&way);
	llm_written_free(&ahead);
	return status;
}

/* ---- tokens ---- */

static LlmStatus
forbid(const LlmTokenTrie *trie, int32_t first, int32_t end, LlmTokens *out, LlmError *err)
{
	for (int32_t i = first; i < end; i++)
		LLM_TRY(llm_tokens_append(out, trie->ids[i], err));
	return LLM_OK;
}

/* tokens along the rest of a key that is there; look: also those that only lead to such keys */
static LlmStatus
forbid_along(const LlmWrittenKeys *w, const LlmGrammarRun *run, const Key *key, bool look, const LlmTokenTrie *trie, LlmTokens *out, LlmError *err)
{
	const LlmTrieNode *nodes = trie->nodes;
	const size_t len = w->text.len - key_begin(w);
	const char *rest = w->text.data + key->off + len;
	LlmGrammarRun ahead;
	LlmBuf		way;
	LlmStatus	status = LLM_OK;
	int32_t		node = 0;
	bool		alive = true;

	LLM_TRY(llm_run_copy(run, &ahead, err));
	llm_buf_init(&way, run->allocator);
	for (size_t k = 0; k <= key->len - len && status == LLM_OK && alive; k++)
	{
		const uint8_t byte = k == key->len - len ? (uint8_t) '"' : (uint8_t) rest[k];
		int32_t		child = node + 1;

		while (child < nodes[node].end && nodes[child].byte != byte)
			child = nodes[child].end;
		if (child >= nodes[node].end)
			break;
		node = child;
		if (k == key->len - len)
			status = forbid(trie, nodes[node].first_token, nodes[nodes[node].end].first_token, out, err);
		else if (look)
		{
			bool		found = true;

			way.len = 0;
			status = llm_run_bytes(&ahead, (const char *) &byte, 1, &alive, err);
			if (status == LLM_OK && alive && nodes[node].first_token < nodes[node + 1].first_token)
				status = lead_away(w, &ahead, rest, k + 1, NULL, &way, &found, err);
			if (status == LLM_OK && !found)
				status = forbid(trie, nodes[node].first_token, nodes[node + 1].first_token, out, err);
		}
	}
	llm_run_free(&ahead);
	llm_buf_free(&way);
	return status;
}

/* of the tokens with two quotes, those that write a key again */
static LlmStatus
forbid_whole_keys(const LlmWrittenKeys *w, const LlmTokenTrie *trie, const uint32_t *bits, LlmTokens *out, LlmError *err)
{
	LlmWrittenKeys ahead;
	LlmStatus	status = LLM_OK;

	llm_written_init(&ahead, out->allocator);
	for (int32_t i = 0; i < trie->n_quoting && status == LLM_OK; i++)
	{
		const LlmQuoting *q = &trie->quoting[i];
		bool		again = false;

		if (!(bits[q->id >> 5] >> (q->id & 31) & 1))
			continue;
		status = llm_written_copy(w, &ahead, err);
		if (status == LLM_OK)
			status = llm_written_read(&ahead, trie->quoting_bytes + q->off, q->len, &again, err);
		if (status == LLM_OK && again)
			status = llm_tokens_append(out, q->id, err);
	}
	llm_written_free(&ahead);
	return status;
}

LlmStatus
llm_written_forbidden(const LlmWrittenKeys *w, const LlmGrammarRun *run, const LlmTokenTrie *trie, const uint32_t *bits, LlmTokens *out,
					  LlmError *err)
{
	size_t		n_alike = 0;

	LLM_TRY(forbid_whole_keys(w, trie, bits, out, err));
	if (w->place != LLM_PLACE_KEY)
		return LLM_OK;
	for (size_t i = top(w)->n_keys; i < n_keys(w); i++)
		n_alike += begins_alike(w, i, NULL, 0);
	for (size_t i = top(w)->n_keys; i < n_keys(w); i++)
	{
		if (begins_alike(w, i, NULL, 0))
			LLM_TRY(forbid_along(w, run, (const Key *) w->keys.data + i, n_alike <= MAX_LOOKED_AHEAD, trie, out, err));
	}
	return LLM_OK;
}
