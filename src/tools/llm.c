/*
 * llm.c: main of build/llm; picks the subcommand, and prints errors the way the server would: message, detail, hint.
 */
#include <string.h>

#include "tool.h"

static const struct
{
	ToolCommand command;
	LlmStatus	(*run) (const ToolOptions *options, LlmError *err);
}			commands[] = {
	{TOOL_INSPECT, tool_inspect},
	{TOOL_TOKENIZE, tool_tokenize},
	{TOOL_RENDER, tool_render},
	{TOOL_LOGITS, tool_logits},
	{TOOL_GENERATE, tool_generate},
	{TOOL_SCORE, tool_score},
	{TOOL_SCHEMA, tool_schema},
	{TOOL_PERPLEXITY, tool_perplexity},
	{TOOL_EMBED, tool_embed},
	{TOOL_RERANK, tool_rerank},
	{TOOL_BENCH, tool_bench},
};

static void
print_error(const LlmError *err)
{
	fprintf(stderr, "llm: error: %s\n", err->message);
	if (err->detail[0])
		fprintf(stderr, "detail: %s\n", err->detail);
	if (err->hint[0])
		fprintf(stderr, "hint: %s\n", err->hint);
}

static bool
wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0 || (i == 1 && strcmp(argv[i], "help") == 0))
			return true;
	return false;
}

int
main(int argc, char **argv)
{
	LlmError	err;
	ToolOptions options;
	LlmStatus	status;

	memset(&err, 0, sizeof err);
	if (wants_help(argc, argv))
	{
		tool_usage(stdout);
		return 0;
	}
	status = tool_options_parse(argc - 1, argv + 1, &options, &err);
	for (size_t i = 0; status == LLM_OK && i < sizeof commands / sizeof commands[0]; i++)
	{
		if (commands[i].command == options.command)
		{
			status = commands[i].run(&options, &err);
			break;
		}
	}
	if (status == LLM_OK && fflush(stdout) != 0)
		status = llm_fail(&err, LLM_E_IO, "could not write to standard output");
	if (status == LLM_OK)
		return 0;
	fflush(stdout);
	print_error(&err);
	return 1;
}
