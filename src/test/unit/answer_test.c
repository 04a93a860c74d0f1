/*
 * answer_test.c: answers found in texts, when two are the same, and votes.
 */
#include "check.h"
#include "measure/answer.h"

static const struct
{
	LlmAnswerKind kind;
	const char *text;
	const char *answer;			/* NULL: none */
	const char *key;			/* NULL: the answer */
}			cases[] = {
	/* marks, and what stands around the phrase */
	{LLM_ANSWER_AUTO, "5 and 3 make 8.\nAnswer: 8", "8", NULL},
	{LLM_ANSWER_AUTO, "First, the answer is 7? No.\nThe answer is **$1,200.50**.", "$1,200.50", "1200.5"},
	{LLM_ANSWER_AUTO, "so we have\n#### 42\n", "42", NULL},
	{LLM_ANSWER_AUTO, "hence \\boxed{\\frac{1}{2}} as said", "\\frac{1}{2}", "frac12"},
	{LLM_ANSWER_AUTO, "**Answer:**\n\n  The Eiffel Tower. \n", "The Eiffel Tower", "eiffel tower"},
	{LLM_ANSWER_AUTO, "The last line\nis Paris", "is Paris", "is paris"},
	{LLM_ANSWER_AUTO, "Answer: (5)", "5", NULL},
	{LLM_ANSWER_AUTO, "Answer: f(x)", "f(x)", "fx"},
	{LLM_ANSWER_AUTO, "Answer: 50%", "50%", NULL},
	{LLM_ANSWER_AUTO, "Answer: 1.", "1", NULL},
	{LLM_ANSWER_AUTO, "Answer: 2nd of May, 2024", "2nd of May, 2024", "2024-05-02"},
	{LLM_ANSWER_AUTO, "", NULL, NULL},
	{LLM_ANSWER_AUTO, " \n ** \n", NULL, NULL},
	{LLM_ANSWER_TEXT, "Answer: 08", "08", "8.0"},
	/* thinking that is not a part of its own */
	{LLM_ANSWER_AUTO, "<think>Answer: 3</think>\nIt is\n4", "4", NULL},
	{LLM_ANSWER_AUTO, "<think>Answer: 3", NULL, NULL},
	{LLM_ANSWER_AUTO, "<think>Hm</think>\n<response>It is\nAnswer: 4.</response>", "4", NULL},
	{LLM_ANSWER_AUTO, "<response>It is\nblue</response>\n", "blue", NULL},
	{LLM_ANSWER_AUTO, "<response>It is 5", "It is 5", "it is 5.0"},
	{LLM_ANSWER_AUTO, "It is <response>", "It is <response>", "it is response"},
	/* numbers */
	{LLM_ANSWER_NUMBER, "There are 12 apples, then 7.", "7", NULL},
	{LLM_ANSWER_NUMBER, "The answer is 12 apples, not 7.", "12", NULL},
	{LLM_ANSWER_NUMBER, "Answer: 5 + 3 = 8", "8", NULL},
	{LLM_ANSWER_NUMBER, "Answer: -$1,234,567.890", "-1234567.89", NULL},
	{LLM_ANSWER_NUMBER, "Answer: \xE2\x88\x92" "0.50", "-0.5", NULL},
	{LLM_ANSWER_NUMBER, "Answer: -0.0", "0", NULL},
	{LLM_ANSWER_NUMBER, "Answer: 007", "7", NULL},
	{LLM_ANSWER_NUMBER, "Answer: .5", "0.5", NULL},
	{LLM_ANSWER_NUMBER, "Answer: 3/04", "3/4", NULL},
	{LLM_ANSWER_NUMBER, "about 1,2,3", "3", NULL},
	{LLM_ANSWER_NUMBER, "Apollo11 had no other", NULL, NULL},
	{LLM_ANSWER_NUMBER, "no number", NULL, NULL},
	{LLM_ANSWER_NUMBER, "Answer: many", NULL, NULL},
	/* dates */
	{LLM_ANSWER_DATE, "It began on May 2, 2024 and ended on 2024-06-30.", "2024-06-30", NULL},
	{LLM_ANSWER_DATE, "Answer: 3 Sept. 1999", "1999-09-03", NULL},
	{LLM_ANSWER_DATE, "Answer: 25/12/2023", "2023-12-25", NULL},
	{LLM_ANSWER_DATE, "Answer: 12/25/2023", "2023-12-25", NULL},
	{LLM_ANSWER_DATE, "Answer: 24.12.2023", "2023-12-24", NULL},
	{LLM_ANSWER_DATE, "Answer: 5/6/2023", NULL, NULL},
	{LLM_ANSWER_DATE, "Answer: 2023-02-29", NULL, NULL},
	{LLM_ANSWER_DATE, "Answer: 2024-02-29", "2024-02-29", NULL},
	/* choices: red, dark red, B */
	{LLM_ANSWER_CHOICE, "I thought of red. Answer: Dark Red!", "dark red", NULL},
	{LLM_ANSWER_CHOICE, "It could be dark red, but it is red", "red", NULL},
	{LLM_ANSWER_CHOICE, "Answer: (B)", "B", NULL},
	{LLM_ANSWER_CHOICE, "Answer: b", NULL, NULL},
	{LLM_ANSWER_CHOICE, "redder", NULL, NULL},
	{LLM_ANSWER_CHOICE, "", NULL, NULL},
};

static void
test_answers(void)
{
	const LlmStr choices[] = {{"red", 3}, {"dark red", 8}, {"B", 1}};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
	{
		LlmAnswerForm form = {cases[i].kind, choices, 3};
		const char *want = cases[i].answer ? cases[i].answer : "";
		const char *want_key = cases[i].key ? cases[i].key : want;
		LlmBuf		answer;
		LlmBuf		key;
		LlmError	err;

		llm_buf_init(&answer, &llm_malloc_allocator);
		llm_buf_init(&key, &llm_malloc_allocator);
		CHECK(llm_answer_find(&form, (LlmStr) {cases[i].text, strlen(cases[i].text)}, &answer, &key, &err) == LLM_OK);
		CHECK_MSG(answer.len == strlen(want) && memcmp(want, answer.len ? answer.data : "", answer.len) == 0, "%s: answer %.*s", cases[i].text,
				  (int) answer.len, answer.len ? answer.data : "");
		CHECK_MSG(key.len == strlen(want_key) && memcmp(want_key, key.len ? key.data : "", key.len) == 0, "%s: key %.*s", cases[i].text,
				  (int) key.len, key.len ? key.data : "");
		llm_buf_free(&answer);
		llm_buf_free(&key);
	}
}

/* keys as letters, '-' for none; of n */
static LlmVote
vote(const char *keys, int n)
{
	LlmStr		list[16];
	int			n_keys = (int) strlen(keys);

	for (int i = 0; i < n_keys; i++)
		list[i] = (LlmStr) {keys + i, keys[i] == '-' ? 0 : 1};
	return llm_answer_vote(list, n_keys, n);
}

static void
check_vote(const char *keys, int n, int winner, int votes, int needed)
{
	LlmVote		v = vote(keys, n);

	CHECK_MSG(v.winner == winner && v.votes == votes && v.needed == needed && v.decided == (needed == 0),
			  "%s of %d: winner %d, votes %d, needed %d", keys, n, v.winner, v.votes, v.needed);
}

static void
test_votes(void)
{
	check_vote("a", 1, 0, 1, 0);
	check_vote("-", 1, -1, 0, 0);
	check_vote("ab", 2, 0, 1, 0);	/* the first of equals */
	check_vote("ba-ab", 5, 0, 2, 0);
	check_vote("-aab", 4, 1, 2, 0);
	check_vote("aaaaa", 8, 0, 5, 0);
	check_vote("aaaab", 8, 0, 4, 1);
	check_vote("aabb-", 8, 0, 2, 2);
	check_vote("-----", 8, -1, 0, 2);
	check_vote("abbba", 8, 1, 3, 2);
	/* however the rest falls, a decided vote stays */
	for (int rest = 0; rest < 27; rest++)
	{
		char		keys[] = "aaaab???";
		int			r = rest;

		for (int i = 5; i < 8; i++, r /= 3)
			keys[i] = "ab-"[r % 3];
		for (int n = 5; n <= 8; n++)
		{
			char		some[9] = {0};

			memcpy(some, keys, (size_t) n);
			CHECK(!vote(some, 8).decided || vote(keys, 8).winner == vote(some, 8).winner);
		}
	}
}

int
main(void)
{
	test_answers();
	test_votes();
	CHECK_DONE();
}
