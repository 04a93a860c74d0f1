/*
 * special_tokens.c: which tokens are special, which of them end generation, and where they stand in a text.
 *
 * Control and unknown tokens are recognised only if asked for, and only where every byte came from the template. Tokens
 * that are user-defined are part of ordinary text and recognised everywhere, as the tokenizers library and llama.cpp do;
 * but one that looks like a mark of the template (<|…|>), or that the metadata names as a special token, counts as a
 * control token, so that data cannot make it. Of several tokens at a place the longest is taken, of several places the
 * first. Source of the names: llama.cpp, src/llama-vocab.cpp.
 */
#include "base/str.h"
#include "text/tokenizer_impl.h"
#include "weights/sort_index.h"

#include <string.h>

#define MAX_SPECIAL_BYTES 512	/* bounds the time to search at one place */

typedef enum NameRole
{
	ROLE_TURN_END = 1,			/* may be the end of a turn; the first in the table goes first */
	ROLE_END = 2,				/* ends generation */
	ROLE_IF_CONTROL = 4			/* only where its type already is control: some vocabularies have it as a word */
} NameRole;

static const struct
{
	const char *name;
	int			role;
}			known_names[] = {
	{"<|eot_id|>", ROLE_TURN_END | ROLE_END},
	{"<|im_end|>", ROLE_TURN_END | ROLE_END},
	{"<end_of_turn>", ROLE_TURN_END | ROLE_END},
	{"<|end|>", ROLE_TURN_END | ROLE_END},
	{"<end_of_utterance>", ROLE_TURN_END | ROLE_END},
	{"<EOT>", ROLE_TURN_END | ROLE_END},
	{"_<EOT>", ROLE_TURN_END | ROLE_END},
	{"[EOT]", ROLE_TURN_END | ROLE_END},
	{"<|end_of_text|>", ROLE_TURN_END | ROLE_END},
	{"<|endoftext|>", ROLE_TURN_END | ROLE_END},
	{"<\xEF\xBD\x9C" "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>", ROLE_TURN_END | ROLE_END},
	{"<|return|>", ROLE_END},
	{"<|call|>", ROLE_END},
	{"<|calls|>", ROLE_END},
	{"<|flush|>", ROLE_END},
	{"<|eom_id|>", ROLE_END},
	{"[EOS]", ROLE_END},
	{"<turn|>", ROLE_END},
	{"<|tool_response>", ROLE_END},
	{"[e~[", ROLE_END},
	{"</s>", ROLE_END | ROLE_IF_CONTROL},
	{"<eos>", ROLE_END | ROLE_IF_CONTROL},
	/* marks of fill-in-the-middle: padding, repository, file */
	{"<|fim_pad|>", ROLE_END},
	{"<fim-pad>", ROLE_END},
	{"<fim_pad>", ROLE_END},
	{"<|fim_repo|>", ROLE_END},
	{"<|repo_name|>", ROLE_END},
	{"<fim-repo>", ROLE_END},
	{"<reponame>", ROLE_END},
	{"<|file_sep|>", ROLE_END},
};

#define N_KNOWN_NAMES ((int) (sizeof(known_names) / sizeof(known_names[0])))

static bool
starts_with(LlmStr s, const char *text)
{
	return s.len >= strlen(text) && memcmp(s.data, text, strlen(text)) == 0;
}

static bool
ends_with(LlmStr s, const char *text)
{
	size_t		len = strlen(text);

	return s.len >= len && memcmp(s.data + s.len - len, text, len) == 0;
}

/* like the marks of chat templates, as llama.cpp's converter decides it */
static bool
looks_special(LlmStr s)
{
	return (starts_with(s, "<|") && ends_with(s, "|>")) ||
		(starts_with(s, "<\xEF\xBD\x9C") && ends_with(s, "\xEF\xBD\x9C>")) ||
		(starts_with(s, "<unused") && ends_with(s, ">")) ||
		llm_str_equals(s, "<start_of_turn>") || llm_str_equals(s, "<pad>") || llm_str_equals(s, "<mask>");
}

/* an id from the metadata; 2^32 - 1 stands for none in some files */
static LlmStatus
read_id(const LlmTokenizer *t, const LlmMeta *meta, const char *key, int32_t *id, LlmError *err)
{
	uint64_t	value = UINT32_MAX;

	*id = -1;
	LLM_TRY(llm_meta_uint(meta, key, false, UINT32_MAX, &value, err));
	if (value == UINT32_MAX)
		return LLM_OK;
	if (value >= (uint64_t) t->n_vocab)
		return llm_fail(err, LLM_E_FORMAT, "%s is %llu, but the vocabulary has %d tokens", key,
						(unsigned long long) value, (int) t->n_vocab);
	*id = (int32_t) value;
	return LLM_OK;
}

/* a special token by metadata: never made from data if it is not a word of the text, see above */
static void
mark_control(LlmTokenizer *t, int32_t id)
{
	if (id >= 0 && t->info[id].type == LLM_TOKEN_USER_DEFINED)
		t->info[id].type = LLM_TOKEN_CONTROL;
}

static void
mark_end(LlmTokenizer *t, int32_t id)
{
	if (id >= 0)
		t->info[id].is_end = true;
}

/* find the known names: their types, which end generation, and the end of turn (its id, or -1) */
static int32_t
apply_names(LlmTokenizer *t)
{
	int32_t		found[N_KNOWN_NAMES];
	int32_t		harmony_end = -1;
	bool		has_call = false;
	bool		has_return = false;

	for (int k = 0; k < N_KNOWN_NAMES; k++)
		found[k] = -1;
	for (int32_t id = 0; id < t->n_vocab; id++)
	{
		LlmStr		s = llm_token_string(t, id);
		LlmTokenInfo *info = &t->info[id];

		if (s.len < 4 || s.len > 32 || (s.data[0] != '<' && s.data[0] != '[' && s.data[0] != '_'))
			continue;
		if (info->type == LLM_TOKEN_USER_DEFINED && looks_special(s))
			info->type = LLM_TOKEN_CONTROL;
		for (int k = 0; k < N_KNOWN_NAMES; k++)
		{
			if (found[k] >= 0 || !llm_str_equals(s, known_names[k].name))
				continue;
			if ((known_names[k].role & ROLE_IF_CONTROL) && info->type != LLM_TOKEN_CONTROL)
				continue;
			found[k] = id;
			info->type = LLM_TOKEN_CONTROL;
			info->is_end = true;
			break;
		}
	}

	/* where a call or a return ends the answer, <|end|> only ends one message of it */
	for (int k = 0; k < N_KNOWN_NAMES; k++)
	{
		const char *name = known_names[k].name;

		if (found[k] < 0)
			continue;
		has_call = has_call || strcmp(name, "<|call|>") == 0 || strcmp(name, "<|calls|>") == 0;
		has_return = has_return || strcmp(name, "<|return|>") == 0 || strcmp(name, "<|flush|>") == 0;
		if (strcmp(name, "<|end|>") == 0)
			harmony_end = found[k];
	}
	if (harmony_end >= 0 && has_call && has_return)
		t->info[harmony_end].is_end = false;
	for (int k = 0; k < N_KNOWN_NAMES; k++)
		if ((known_names[k].role & ROLE_TURN_END) && found[k] >= 0 && t->info[found[k]].is_end)
			return found[k];
	return -1;
}

/* which special tokens take white space beside them along: the metadata does not say, so it is known by model */
static LlmStatus
apply_strip_rules(LlmTokenizer *t, const LlmMeta *meta, LlmError *err)
{
	LlmStr		name = {NULL, 0};
	LlmStr		pre = {NULL, 0};
	char		lower[256];
	size_t		len;
	bool		phi3;
	bool		mask;

	LLM_TRY(llm_meta_string(meta, "general.name", false, &name, err));
	LLM_TRY(llm_meta_string(meta, "tokenizer.ggml.pre", false, &pre, err));
	len = name.len < sizeof(lower) - 1 ? name.len : sizeof(lower) - 1;
	for (size_t i = 0; i < len; i++)
		lower[i] = (char) (name.data[i] >= 'A' && name.data[i] <= 'Z' ? name.data[i] + 32 : name.data[i]);
	lower[len] = '\0';
	phi3 = strstr(lower, "phi-3") || strstr(lower, "phi3");
	mask = strstr(lower, "modern-bert") || llm_str_equals(pre, "jina-v2-de") || llm_str_equals(pre, "jina-v2-es") ||
		llm_str_equals(pre, "jina-v2-code");
	for (int32_t id = 0; (phi3 || mask) && id < t->n_vocab; id++)
	{
		LlmStr		s = llm_token_string(t, id);
		LlmTokenType type = t->info[id].type;
		bool		special = type == LLM_TOKEN_CONTROL || type == LLM_TOKEN_USER_DEFINED || type == LLM_TOKEN_UNKNOWN;

		if (phi3)
			t->info[id].rstrip = special && !llm_str_equals(s, "<unk>") && !llm_str_equals(s, "<s>") && !llm_str_equals(s, "<|endoftext|>");
		else
			t->info[id].lstrip = special && (llm_str_equals(s, "[MASK]") || llm_str_equals(s, "<mask>"));
	}
	return LLM_OK;
}

typedef struct SpecialList
{
	const LlmTokenizer *t;
	const int32_t *ids;
} SpecialList;

static int
compare_special(const void *ctx, uint32_t a, uint32_t b)
{
	const SpecialList *list = ctx;

	return llm_str_compare(llm_token_string(list->t, list->ids[a]), llm_token_string(list->t, list->ids[b]));
}

/* fill t->special from ids (n) in bytewise order; index (n) is scratch */
static LlmStatus
sort_special(LlmTokenizer *t, const int32_t *ids, uint32_t *index, uint32_t n, LlmError *err)
{
	SpecialList list = {t, ids};

	llm_sort_index(index, n, compare_special, &list);
	for (uint32_t i = 0; i < n; i++)
		t->special[i] = ids[index[i]];
	return llm_special_tokens_index(t, n, err);
}

LlmStatus
llm_special_tokens_index(LlmTokenizer *t, uint32_t n, LlmError *err)
{
	uint32_t	k = 0;

	for (uint32_t i = 0; i < n; i++)
	{
		LlmStr		s = llm_token_string(t, t->special[i]);
		int			order = i > 0 ? llm_str_compare(llm_token_string(t, t->special[i - 1]), s) : -1;

		if (order == 0)
			return llm_fail(err, LLM_E_FORMAT, "special tokens %d and %d of the vocabulary have the same text",
							(int) t->special[i - 1], (int) t->special[i]);
		if (order > 0 || s.len == 0)
			return llm_tables_damaged("order of special tokens", err);
	}
	for (int b = 0; b < 257; b++)
	{
		while (k < n && (uint8_t) llm_token_string(t, t->special[k]).data[0] < b)
			k++;
		t->special_first[b] = (int32_t) k;
	}
	return LLM_OK;
}

static LlmStatus
list_special(LlmTokenizer *t, LlmError *err)
{
	void	   *special;
	void	   *ids;
	void	   *index;
	uint32_t	n = 0;
	LlmStatus	status;

	/* no text is looked through for them, and sorting would take seconds where a configuration says that there are millions */
	if (t->kind == LLM_KIND_NONE)
		return LLM_OK;
	LLM_TRY(llm_alloc(t->allocator, (size_t) t->n_vocab, sizeof(int32_t), &ids, err));
	for (int32_t id = 0; id < t->n_vocab; id++)
	{
		LlmTokenType type = t->info[id].type;
		size_t		len = llm_token_string(t, id).len;

		if (len == 0 || (type != LLM_TOKEN_CONTROL && type != LLM_TOKEN_USER_DEFINED && type != LLM_TOKEN_UNKNOWN))
			continue;
		if (len > MAX_SPECIAL_BYTES)
		{
			llm_free(t->allocator, ids);
			return llm_fail(err, LLM_E_LIMIT, "special token %d has %zu bytes, at most %d are allowed", (int) id, len,
							MAX_SPECIAL_BYTES);
		}
		t->has_user_defined = t->has_user_defined || type == LLM_TOKEN_USER_DEFINED;
		((int32_t *) ids)[n++] = id;
	}
	status = llm_alloc(t->allocator, n, sizeof(int32_t), &special, err);
	if (status == LLM_OK)
	{
		t->special = special;
		status = llm_alloc(t->allocator, n, sizeof(uint32_t), &index, err);
	}
	if (status == LLM_OK)
	{
		status = sort_special(t, ids, index, n, err);
		llm_free(t->allocator, index);
	}
	llm_free(t->allocator, ids);
	return status;
}

/* SentencePiece's own ids, where the metadata has none */
static int32_t
default_id(const LlmTokenizer *t, int32_t id, LlmTokenType type)
{
	return t->kind == LLM_KIND_SPM && id < t->n_vocab && t->info[id].type == type ? id : -1;
}

/* BERT's names for the first and the last token of a text; and any word may be unknown, whatever the type of that token */
static LlmStatus
read_bert_ids(LlmTokenizer *t, const LlmMeta *meta, LlmError *err)
{
	if (t->bos < 0)
		LLM_TRY(read_id(t, meta, "tokenizer.ggml.cls_token_id", &t->bos, err));
	if (t->eos < 0)
		LLM_TRY(read_id(t, meta, "tokenizer.ggml.seperator_token_id", &t->eos, err));
	if (t->unknown >= 0)
		t->info[t->unknown].type = LLM_TOKEN_UNKNOWN;
	return LLM_OK;
}

/* of several that end an answer all do */
static LlmStatus
read_ends(LlmTokenizer *t, const LlmMeta *meta, LlmError *err)
{
	static const char key[] = "tokenizer.ggml.eos_token_ids";
	const LlmMetaArray *ids = NULL;

	LLM_TRY(llm_meta_array(meta, key, false, LLM_META_UINT32, &ids, err));
	for (uint64_t i = 0; ids && i < ids->count; i++)
	{
		int64_t		id = llm_meta_array_int(ids, i);

		if (id < 0 || id >= t->n_vocab)
			return llm_fail(err, LLM_E_FORMAT, "%s has %lld, but the vocabulary has %d tokens", key, (long long) id, (int) t->n_vocab);
		mark_control(t, (int32_t) id);
		mark_end(t, (int32_t) id);
	}
	return LLM_OK;
}

LlmStatus
llm_special_tokens_load(LlmTokenizer *t, const LlmMeta *meta, LlmError *err)
{
	static const char *const other_keys[] = {
		"tokenizer.ggml.eom_token_id", "tokenizer.ggml.fim_pad_token_id", "tokenizer.ggml.fim_rep_token_id",
		"tokenizer.ggml.fim_sep_token_id", "tokenizer.ggml.padding_token_id", "tokenizer.ggml.seperator_token_id",
		"tokenizer.ggml.mask_token_id"
	};
	const int	n_ending = 4;	/* the first of them end generation */
	int32_t		named;

	LLM_TRY(read_id(t, meta, "tokenizer.ggml.bos_token_id", &t->bos, err));
	LLM_TRY(read_id(t, meta, "tokenizer.ggml.eos_token_id", &t->eos, err));
	LLM_TRY(read_id(t, meta, "tokenizer.ggml.eot_token_id", &t->eot, err));
	LLM_TRY(read_id(t, meta, "tokenizer.ggml.unknown_token_id", &t->unknown, err));
	for (int k = 0; k < (int) (sizeof(other_keys) / sizeof(other_keys[0])); k++)
	{
		int32_t		id;

		LLM_TRY(read_id(t, meta, other_keys[k], &id, err));
		mark_control(t, id);
		if (k < n_ending)
			mark_end(t, id);
	}
	if (t->bos < 0)
		t->bos = default_id(t, 1, LLM_TOKEN_CONTROL);
	if (t->eos < 0)
		t->eos = default_id(t, 2, LLM_TOKEN_CONTROL);
	if (t->kind == LLM_KIND_WORDPIECE)
		LLM_TRY(read_bert_ids(t, meta, err));
	mark_control(t, t->bos);
	mark_control(t, t->eos);
	mark_control(t, t->eot);
	named = apply_names(t);
	if (t->eot < 0)
		t->eot = named >= 0 ? named : t->eos;
	mark_end(t, t->eos);
	mark_end(t, t->eot);
	LLM_TRY(read_ends(t, meta, err));

	/* what stands for unknown text must be made for that, or data could make a control token */
	if (t->unknown >= 0 && t->info[t->unknown].type != LLM_TOKEN_UNKNOWN)
		t->unknown = -1;
	for (int32_t id = 0; id < t->n_vocab && t->unknown < 0; id++)
		if (t->info[id].type == LLM_TOKEN_UNKNOWN)
			t->unknown = id;
	if (t->kind == LLM_KIND_HF)
		return LLM_OK;			/* the file says how added tokens match (hf_added.c) */
	LLM_TRY(apply_strip_rules(t, meta, err));
	return list_special(t, err);
}

/* whether a special token may be taken at [at, at + len) */
static bool
may_take(const LlmTokenizer *t, int32_t id, LlmText text, size_t at, size_t len, bool parse_special)
{
	if (t->info[id].type == LLM_TOKEN_USER_DEFINED)
		return true;
	if (!parse_special)
		return false;
	for (size_t i = at; text.from_data && i < at + len; i++)
		if (text.from_data[i])
			return false;
	return true;
}

/* first of special[low, high) whose byte at depth is at least c; all are longer than depth */
static int32_t
lower_bound(const LlmTokenizer *t, int32_t low, int32_t high, size_t depth, int c)
{
	while (low < high)
	{
		int32_t		middle = low + (high - low) / 2;

		if ((uint8_t) llm_token_string(t, t->special[middle]).data[depth] < c)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* the longest special token at a place, or -1; *depth: bytes looked at */
static int32_t
longest_at(const LlmTokenizer *t, LlmText text, size_t at, bool parse_special, size_t *depth)
{
	int			c = (uint8_t) text.bytes[at];
	int32_t		low = t->special_first[c];
	int32_t		high = t->special_first[c + 1];
	int32_t		best = -1;
	size_t		n = 1;

	/* special[low, high) are those that begin with the n bytes at this place; the one of just n bytes is the first */
	while (low < high)
	{
		if (llm_token_string(t, t->special[low]).len == n)
		{
			if (may_take(t, t->special[low], text, at, n, parse_special))
				best = t->special[low];
			low++;
		}
		if (at + n == text.len)
			break;
		c = (uint8_t) text.bytes[at + n];
		low = lower_bound(t, low, high, n, c);
		high = lower_bound(t, low, high, n, c + 1);
		n++;
	}
	*depth = n;
	return best;
}

LlmStatus
llm_special_tokens_find(LlmEncoder *e, LlmText text, size_t from, bool parse_special, size_t *at, int32_t *id)
{
	const LlmTokenizer *t = e->t;
	size_t		worked = from;

	*id = -1;
	*at = text.len;
	if (!parse_special && !t->has_user_defined)
		return LLM_OK;
	for (size_t i = from; i < text.len; i++)
	{
		int			c = (uint8_t) text.bytes[i];
		size_t		depth = 0;

		if (t->special_first[c] < t->special_first[c + 1])
			*id = longest_at(t, text, i, parse_special, &depth);
		if (*id >= 0)
		{
			*at = i;
			return LLM_OK;
		}
		if (depth > 8 || i - worked >= 4096)
		{
			LLM_TRY(llm_encoder_worked(e, depth + (i - worked)));
			worked = i;
		}
	}
	return LLM_OK;
}
