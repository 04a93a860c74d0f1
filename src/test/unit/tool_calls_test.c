/*
 * tool_calls_test.c: calls of tools in answers: one or more examples of each way to write them, and what must stay text.
 */
#include "check.h"
#include "text/tool_calls.h"

/* arguments are JSON in a string, so quotes are escaped twice here */
#define CALL(n, name, args) "{\"id\":\"call0000" #n "\",\"type\":\"function\",\"function\":{\"name\":\"" name "\",\"arguments\":\"" args "\"}}"
#define MESSAGE(content, calls) "{\"role\":\"assistant\",\"content\":" content ",\"tool_calls\":[" calls "]}"
#define PARIS "{\\\"city\\\":\\\"Paris\\\"}"

static const struct
{
	const char *text;
	const char *want;			/* NULL: stays text */
}			cases[] = {
	/* Hermes, Qwen */
	{"<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>", MESSAGE("null", CALL(0, "weather", PARIS))},
	{"Let me see.\n<tool_call>\n{\"name\": \"a\", \"arguments\": {}}\n</tool_call>\n<tool_call>{\"name\": \"b\", \"arguments\": {\"x\": [1, {\"y\": \"}\"}]}}</tool_call> Done.",
		MESSAGE("\"Let me see.Done.\"", CALL(0, "a", "{}") "," CALL(1, "b", "{\\\"x\\\":[1,{\\\"y\\\":\\\"}\\\"}]}"))},
	{"<think>\nThe user wants rain.\n</think>\n\n<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Zürich ☔\"}}</tool_call>",
		"{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"The user wants rain.\",\"tool_calls\":["
		CALL(0, "weather", "{\\\"city\\\":\\\"Zürich ☔\\\"}") "]}"},
	{"<tool_call>{\"name\": \"weather\", \"arguments\": \"{\\\"city\\\": \\\"Paris\\\"}\"}</tool_call>", MESSAGE("null", CALL(0, "weather", PARIS))},
	{"<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\"}</tool_call>", NULL},
	{"<tool_call>{\"name\": \"weather\"}</tool_call>", NULL},
	{"<tool_call>{\"name\": 3, \"arguments\": {}}</tool_call>", NULL},
	{"<tool_call>{\"name\": \"weather\", \"arguments\": [1]}</tool_call>", NULL},
	{"<tool_call>{\"name\": \"a\", \"arguments\": {}}</tool_call><tool_call>oops</tool_call>", NULL},
	{"<tool_call>", NULL},
	{"<think>I could <tool_call>{\"name\": \"a\", \"arguments\": {}}</tool_call>", NULL},
	/* Qwen3-Coder */
	{"<tool_call>\n<function=weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>\n3\n</parameter>\n<parameter=note>\ntwo\nlines\n</parameter>\n</function>\n</tool_call>",
		MESSAGE("null", CALL(0, "weather", "{\\\"city\\\":\\\"Paris\\\",\\\"days\\\":3,\\\"note\\\":\\\"two\\\\nlines\\\"}"))},
	{"<tool_call><function=now></function></tool_call>", MESSAGE("null", CALL(0, "now", "{}"))},
	{"<tool_call><function=weather><parameter=city>Paris</function></tool_call>", NULL},
	/* Mistral */
	{"[TOOL_CALLS][{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\"}}, {\"name\": \"b\", \"arguments\": {}}]",
		MESSAGE("null", CALL(0, "weather", PARIS) "," CALL(1, "b", "{}"))},
	{"[TOOL_CALLS] [{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\"}, \"id\": \"abcdefghi\"}]",
		MESSAGE("null", "{\"id\":\"abcdefghi\",\"type\":\"function\",\"function\":{\"name\":\"weather\",\"arguments\":\"" PARIS "\"}}")},
	{"[TOOL_CALLS]weather[ARGS]{\"city\": \"Paris\"}[TOOL_CALLS]b[CALL_ID]123456789[ARGS]{}",
		MESSAGE("null", CALL(0, "weather", PARIS) "," CALL(1, "b", "{}"))},
	{"[TOOL_CALLS][{\"name\": \"weather\"", NULL},
	{"[TOOL_CALLS][] and more", NULL},
	{"[TOOL_CALLS]weather", NULL},
	/* Llama 3 */
	{"{\"name\": \"weather\", \"parameters\": {\"city\": \"Paris\"}}", MESSAGE("null", CALL(0, "weather", PARIS))},
	{"<|python_tag|>{\"name\": \"weather\", \"parameters\": {\"city\": \"Paris\"}}; {\"name\": \"b\", \"parameters\": {}}",
		MESSAGE("null", CALL(0, "weather", PARIS) "," CALL(1, "b", "{}"))},
	{"<|python_tag|>print(1)", NULL},
	{"{\"name\": \"weather\", \"parameters\": {\"city\": \"Paris\"}} is what I would call", NULL},
	{"{\"city\": \"Paris\"}", NULL},
	/* Harmony */
	{"<|channel|>analysis<|message|>Need the weather.<|end|><|start|>assistant<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{\"city\":\"Paris\"}<|call|>",
		"{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"Need the weather.\",\"tool_calls\":[" CALL(0, "weather", PARIS) "]}"},
	{"<|start|>assistant to=functions.weather<|channel|>commentary json<|message|>{\"city\":\"Paris\"}", MESSAGE("null", CALL(0, "weather", PARIS))},
	{"<|channel|>commentary to=functions.weather<|message|>{\"city\":", NULL},
	{"<|channel|>final<|message|>Hello", NULL},
	/* DeepSeek V3 and R1, V3.1 */
	{"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{\"city\": \"Paris\"}\n```<｜tool▁call▁end｜>\n"
		"<｜tool▁call▁begin｜>function<｜tool▁sep｜>b\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
		MESSAGE("null", CALL(0, "weather", PARIS) "," CALL(1, "b", "{}"))},
	{"Yes.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{\"city\": \"Paris\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
		MESSAGE("\"Yes.\"", CALL(0, "weather", PARIS))},
	{"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{\"city\": \"Paris\"<｜tool▁call▁end｜>", NULL},
	{"<｜tool▁calls▁begin｜>", NULL},
	/* no call */
	{"", NULL},
	{"The weather in Paris is fine.", NULL},
	{"{", NULL},
	{"[1, 2]", NULL},
};

static void
check_case(const char *text, size_t len, const char *want)
{
	LlmBuf		message;
	LlmError	err;
	int			n_calls = -1;

	llm_buf_init(&message, &llm_malloc_allocator);
	CHECK(llm_tool_calls_parse(text, len, &message, &n_calls, &err) == LLM_OK);
	CHECK_MSG(want ? n_calls > 0 && message.len == strlen(want) && memcmp(message.data, want, message.len) == 0 :
			  n_calls == 0 && message.len == 0, "%.*s\n  gives %.*s\n  wanted %s", (int) len, text, (int) message.len,
			  message.data ? message.data : "", want ? want : "text");
	llm_buf_free(&message);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
	{
		const size_t len = strlen(cases[i].text);

		check_case(cases[i].text, len, cases[i].want);
		/* cut anywhere, it is text or calls, and nothing is read beyond its end */
		for (size_t n = 0; n < len; n++)
		{
			char	   *copy = malloc(n + 1);
			LlmBuf		message;
			LlmError	err;
			int			n_calls;

			memcpy(copy, cases[i].text, n);
			copy = realloc(copy, n ? n : 1);
			llm_buf_init(&message, &llm_malloc_allocator);
			CHECK(llm_tool_calls_parse(copy, n, &message, &n_calls, &err) == LLM_OK);
			CHECK((n_calls > 0) == (message.len > 0));
			llm_buf_free(&message);
			free(copy);
		}
	}
	CHECK_DONE();
}
