/*
 * answer.c: where the answer stands in a text, what it is, and which answer most texts agree on.
 */
#include "measure/answer.h"

#include <string.h>
#include <strings.h>

#include "measure/answer_values.h"
#include "measure/normal_form.h"

const char *const llm_answer_kind_names[LLM_ANSWER_KINDS] = {"auto", "text", "number", "date", "choice"};

/* ---- the phrase that answers ---- */

static LlmStr
part(LlmStr s, size_t begin, size_t end)
{
	return (LlmStr) {s.data + begin, end - begin};
}

/* begin of the last place of what, without case; SIZE_MAX: none */
static size_t
last_of(LlmStr text, const char *what)
{
	const size_t len = strlen(what);

	for (size_t at = text.len; at >= len; at--)
		if (strncasecmp(text.data + at - len, what, len) == 0)
			return at - len;
	return SIZE_MAX;
}

/* without white space, and marks of emphasis and ends of sentences, around it */
static LlmStr
trim(LlmStr s)
{
	static const char around[] = " \t\r\n\v\f*_`\"'";
	static const char before[] = ":=(";
	static const char behind[] = ".;)!";
	bool		again = true;

	while (s.len > 0 && (strchr(around, s.data[0]) || strchr(before, s.data[0])))
		s = part(s, 1, s.len);
	for (; again && s.len > 0;)
	{
		again = strchr(around, s.data[s.len - 1]) ||
			(strchr(behind, s.data[s.len - 1]) && !(s.data[s.len - 1] == ')' && memchr(s.data, '(', s.len)));
		s.len -= again ? 1 : 0;
	}
	return s;
}

/* the first line at or after `from` that has something, trimmed */
static LlmStr
line_after(LlmStr text, size_t from)
{
	while (from < text.len)
	{
		const char *end = memchr(text.data + from, '\n', text.len - from);
		size_t		to = end ? (size_t) (end - text.data) : text.len;
		LlmStr		line = trim(part(text, from, to));

		if (line.len > 0)
			return line;
		from = to + 1;
	}
	return part(text, text.len, text.len);
}

/* the last line that has something, trimmed */
static LlmStr
last_line(LlmStr text)
{
	LlmStr		whole = trim(text);
	size_t		begin = whole.len;

	while (begin > 0 && whole.data[begin - 1] != '\n')
		begin--;
	return trim(part(whole, begin, whole.len));
}

/* what the braces of \boxed{…} hold */
static LlmStr
boxed(LlmStr text, size_t begin)
{
	int			depth = 1;
	size_t		end = begin;

	for (; end < text.len && depth > 0; end++)
		depth += text.data[end] == '{' ? 1 : text.data[end] == '}' ? -1 : 0;
	return trim(part(text, begin, depth == 0 ? end - 1 : end));
}

/* the phrase behind the last mark; false: there is none */
static bool
marked_phrase(LlmStr text, LlmStr *phrase)
{
	static const char *const marks[] = {"the answer is", "answer:", "answer is:", "answer**:", "####", "\\boxed{"};
	const int	n_marks = sizeof marks / sizeof marks[0];
	size_t		from = 0;
	int			which = -1;

	for (int i = 0; i < n_marks; i++)
	{
		size_t		at = last_of(text, marks[i]);

		if (at != SIZE_MAX && at + strlen(marks[i]) > from)
		{
			from = at + strlen(marks[i]);
			which = i;
		}
	}
	if (which >= 0)
		*phrase = which == n_marks - 1 ? boxed(text, from) : line_after(text, from);
	return which >= 0;
}

/* ---- kinds ---- */

typedef bool (*ReadValue) (LlmStr text, size_t at, size_t *end, LlmBuf *form, LlmStatus *status, LlmError *err);

/* may a value begin at `at`: not in the middle of a word or number */
static bool
may_begin(LlmStr s, size_t at)
{
	uint8_t		before = at > 0 ? (uint8_t) s.data[at - 1] : ' ';

	if (at > 0 && s.data[at] == '-')
		return !((before | 0x20) >= 'a' && (before | 0x20) <= 'z') && !(before >= '0' && before <= '9');
	return !(before >= '0' && before <= '9') && before != '.' && !((before | 0x20) >= 'a' && (before | 0x20) <= 'z');
}

/* the first or last value of a text, appended to form */
static LlmStatus
find_value(LlmStr text, ReadValue read, bool last, LlmBuf *form, LlmError *err)
{
	const size_t begin = form->len;
	LlmStatus	status = LLM_OK;

	for (size_t at = 0; at < text.len && status == LLM_OK;)
	{
		const size_t len = form->len;
		size_t		end = at + 1;

		if (may_begin(text, at) && read(text, at, &end, form, &status, err) && status == LLM_OK)
		{
			memmove(form->data + begin, form->data + len, form->len - len);
			form->len -= len - begin;
			if (!last)
				break;
		}
		at = end;
	}
	return status;
}

/* is the phrase one value, with nothing but a percent sign behind it? */
static LlmStatus
whole_value(LlmStr phrase, ReadValue read, LlmBuf *key, LlmError *err)
{
	const size_t begin = key->len;
	size_t		end = 0;
	LlmStatus	status;

	if (!read(phrase, 0, &end, key, &status, err))
		return LLM_OK;
	LLM_TRY(status);
	if (end + 1 == phrase.len && phrase.data[end] == '%')
		return llm_buf_append(key, "%", 1, err);
	if (end < phrase.len)
		key->len = begin;
	return LLM_OK;
}

static LlmStatus
find_text(LlmAnswerKind kind, LlmStr phrase, LlmBuf *answer, LlmBuf *key, LlmError *err)
{
	LLM_TRY(llm_buf_append(answer, phrase.data, phrase.len, err));
	if (kind == LLM_ANSWER_AUTO)
	{
		LLM_TRY(whole_value(phrase, llm_answer_date, key, err));
		if (key->len == 0)
			LLM_TRY(whole_value(phrase, llm_answer_number, key, err));
	}
	if (key->len == 0)
		LLM_TRY(llm_normal_span(phrase, key, err));
	if (key->len == 0)			/* nothing but punctuation or articles */
		LLM_TRY(llm_buf_append(key, phrase.data, phrase.len, err));
	return LLM_OK;
}

/* where choice stands in text as whole words, the first or last time; SIZE_MAX: nowhere. words, wanted: buffers to work in. */
static LlmStatus
find_choice(LlmStr text, LlmStr choice, bool last, LlmBuf *words, LlmBuf *wanted, size_t *at, LlmError *err)
{
	bool		lower = choice.len > 1; /* a letter must be written as it is: "a" is an article */

	*at = SIZE_MAX;
	words->len = wanted->len = 0;
	LLM_TRY(llm_normal_words(text, lower, words, err));
	LLM_TRY(llm_normal_words(choice, lower, wanted, err));
	if (wanted->len <= 1 || (!lower && last && words->len != wanted->len))
		return LLM_OK;
	for (size_t i = 0; i + wanted->len <= words->len && (last || *at == SIZE_MAX); i++)
		if (memcmp(words->data + i, wanted->data, wanted->len) == 0)
			*at = i;
	return LLM_OK;
}

/* the choice that a phrase names first, or a text last; of several at one place the longest */
static LlmStatus
best_choice(const LlmAnswerForm *form, LlmStr text, bool last, int *best, LlmError *err, const LlmAllocator *a)
{
	LlmBuf		words;
	LlmBuf		wanted;
	LlmStatus	status = LLM_OK;
	size_t		best_at = 0;

	*best = -1;
	llm_buf_init(&words, a);
	llm_buf_init(&wanted, a);
	for (int i = 0; i < form->n_choices && status == LLM_OK; i++)
	{
		size_t		at;

		status = find_choice(text, form->choices[i], last, &words, &wanted, &at, err);
		if (status != LLM_OK || at == SIZE_MAX)
			continue;
		if (*best < 0 || (last ? at > best_at : at < best_at) || (at == best_at && form->choices[i].len > form->choices[*best].len))
		{
			*best = i;
			best_at = at;
		}
	}
	llm_buf_free(&words);
	llm_buf_free(&wanted);
	return status;
}

/* the rest of a text behind a thinking part whose tags are plain text; empty if it is not closed */
static LlmStr
behind_thinking(LlmStr text)
{
	static const char open[] = "<think>";
	static const char close[] = "</think>";
	size_t		at = last_of(text, close);

	if (at != SIZE_MAX)
		return part(text, at + strlen(close), text.len);
	text = trim(text);
	return text.len >= strlen(open) && memcmp(text.data, open, strlen(open)) == 0 ? part(text, text.len, text.len) : text;
}

/* what Granite 3.3 writes behind it: the answer between tags of its own, of which the second may be cut off */
static LlmStr
within_response(LlmStr text)
{
	static const char open[] = "<response>";
	static const char close[] = "</response>";
	LlmStr		trimmed = trim(text);
	size_t		at;

	if (trimmed.len < strlen(open) || memcmp(trimmed.data, open, strlen(open)) != 0)
		return text;
	trimmed = part(trimmed, strlen(open), trimmed.len);
	at = last_of(trimmed, close);
	return at == SIZE_MAX ? trimmed : part(trimmed, 0, at);
}

LlmStatus
llm_answer_find(const LlmAnswerForm *form, LlmStr text, LlmBuf *answer, LlmBuf *key, LlmError *err)
{
	LlmStr		whole = within_response(behind_thinking(text.data ? text : (LlmStr) {"", 0}));
	LlmStr		phrase = {"", 0};
	bool		marked = marked_phrase(whole, &phrase);
	int			choice;

	if (form->kind == LLM_ANSWER_CHOICE)
	{
		LLM_TRY(best_choice(form, marked ? phrase : whole, !marked, &choice, err, answer->allocator));
		if (choice < 0)
			return LLM_OK;
		LLM_TRY(llm_buf_append(answer, form->choices[choice].data, form->choices[choice].len, err));
		return llm_buf_append(key, form->choices[choice].data, form->choices[choice].len, err);
	}
	if (form->kind == LLM_ANSWER_NUMBER || form->kind == LLM_ANSWER_DATE)
	{
		const char *equals = marked ? memrchr(phrase.data, '=', phrase.len) : NULL;

		/* "5 + 3 = 8" answers 8 */
		if (equals && form->kind == LLM_ANSWER_NUMBER)
			phrase = part(phrase, (size_t) (equals - phrase.data) + 1, phrase.len);
		LLM_TRY(find_value(marked ? phrase : whole, form->kind == LLM_ANSWER_DATE ? llm_answer_date : llm_answer_number, !marked, key,
						   err));
		return key->len > 0 ? llm_buf_append(answer, key->data, key->len, err) : LLM_OK;
	}
	if (!marked)
		phrase = last_line(whole);
	return phrase.len > 0 ? find_text(form->kind, phrase, answer, key, err) : LLM_OK;
}

/* ---- votes ---- */

LlmVote
llm_answer_vote(const LlmStr *keys, int n_keys, int n_total)
{
	LlmVote		vote = {.winner = -1};
	int			second = 0;

	for (int i = 0; i < n_keys; i++)
	{
		bool		seen = keys[i].len == 0;
		int			votes = 0;

		for (int j = 0; j < n_keys && !seen; j++)
		{
			bool		same = keys[j].len == keys[i].len && memcmp(keys[j].data, keys[i].data, keys[i].len) == 0;

			seen = same && j < i;
			votes += same;
		}
		if (seen)
			continue;
		if (votes > vote.votes)
		{
			second = vote.votes;
			vote.votes = votes;
			vote.winner = i;
		}
		else if (votes > second)
			second = votes;
	}
	vote.decided = n_keys >= n_total || vote.votes > second + (n_total - n_keys);
	if (!vote.decided)
		vote.needed = (second + (n_total - n_keys) - vote.votes) / 2 + 1;
	return vote;
}
