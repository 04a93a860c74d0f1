/*
 * tool_options.c: the words of the command line. Each option knows which subcommands take it; anywhere else it is refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool.h"
#include "serve/embed.h"

typedef enum OptionKind
{
	OPTION_FLAG,
	OPTION_INT,
	OPTION_TEXT,
	OPTION_KV,
	OPTION_NUMBER,
	OPTION_ROPE,				/* a name of rope_options.h, with dashes */
	OPTION_POOLING,
	OPTION_MEASURE,
	OPTION_TIME
} OptionKind;

typedef struct Option
{
	const char *name;
	OptionKind	kind;
	unsigned	commands;		/* ToolCommand bits */
	size_t		field;			/* offset in ToolOptions */
	int64_t		min;			/* OPTION_INT */
	int64_t		max;
} Option;

#define FIELD(name) offsetof(ToolOptions, name)
#define MAX_POSITIONS (1 << 24)

static const Option option_table[] = {
	{"--json", OPTION_FLAG, TOOL_INSPECT | TOOL_BENCH, FIELD(json), 0, 0},
	{"--bos", OPTION_FLAG, TOOL_TOKENIZE, FIELD(bos), 0, 0},
	{"--special", OPTION_FLAG, TOOL_TOKENIZE | TOOL_LOGITS | TOOL_GENERATE, FIELD(special), 0, 0},
	{"--template", OPTION_TEXT, TOOL_RENDER, FIELD(template_file), 0, 0},
	{"--now", OPTION_TIME, TOOL_RENDER | TOOL_SCORE, FIELD(now), 0, 0},
	{"-n", OPTION_INT, TOOL_GENERATE, FIELD(n), 1, MAX_POSITIONS},
	{"--ignore-eos", OPTION_FLAG, TOOL_GENERATE, FIELD(ignore_eos), 0, 0},
	{"--ctx", OPTION_INT, TOOL_COMPUTING, FIELD(ctx), 1, MAX_POSITIONS},
	{"--kv", OPTION_KV, TOOL_COMPUTING, FIELD(kv_type), 0, 0},
	{"--threads", OPTION_INT, TOOL_COMPUTING, FIELD(threads), 1, 1024},
	{"--kernels", OPTION_TEXT, TOOL_COMPUTING, FIELD(kernels), 0, 0},
	{"--rope-scaling", OPTION_ROPE, TOOL_COMPUTING, FIELD(rope), 0, 0},
	{"--rope-freq-base", OPTION_ROPE, TOOL_COMPUTING, FIELD(rope), 0, 0},
	{"--rope-freq-scale", OPTION_ROPE, TOOL_COMPUTING, FIELD(rope), 0, 0},
	{"--yarn-orig-ctx", OPTION_ROPE, TOOL_COMPUTING, FIELD(rope), 0, 0},
	{"--yarn-ext-factor", OPTION_ROPE, TOOL_COMPUTING, FIELD(rope), 0, 0},
	{"--yarn-attn-factor", OPTION_ROPE, TOOL_COMPUTING, FIELD(rope), 0, 0},
	{"--yarn-beta-fast", OPTION_ROPE, TOOL_COMPUTING, FIELD(rope), 0, 0},
	{"--yarn-beta-slow", OPTION_ROPE, TOOL_COMPUTING, FIELD(rope), 0, 0},
	{"--lora", OPTION_TEXT, TOOL_COMPUTING, FIELD(lora), 0, 0},
	{"--lora-scale", OPTION_NUMBER, TOOL_COMPUTING, FIELD(lora_scale), 0, 0},
	{"--task", OPTION_TEXT, TOOL_EMBED, FIELD(task), 0, 0},
	{"--dimensions", OPTION_INT, TOOL_EMBED, FIELD(dimensions), 1, MAX_POSITIONS},
	{"--raw", OPTION_FLAG, TOOL_EMBED, FIELD(raw), 0, 0},
	{"--truncate", OPTION_FLAG, TOOL_EMBED | TOOL_RERANK, FIELD(truncate), 0, 0},
	{"--pooling", OPTION_POOLING, TOOL_EMBED | TOOL_RERANK, FIELD(pooling), 0, 0},
	{"--from", OPTION_INT, TOOL_PERPLEXITY, FIELD(from), 1, MAX_POSITIONS},
	{"--prompt", OPTION_INT, TOOL_BENCH, FIELD(prompt), 1, MAX_POSITIONS},
	{"--generate", OPTION_INT, TOOL_BENCH, FIELD(generate), 1, MAX_POSITIONS},
	{"--sequences", OPTION_INT, TOOL_BENCH, FIELD(sequences), 1, 4096},
	{"--repeat", OPTION_INT, TOOL_BENCH, FIELD(repeat), 1, 1000},
	{"--depth", OPTION_INT, TOOL_BENCH, FIELD(depth), 0, MAX_POSITIONS},
	{"--only", OPTION_MEASURE, TOOL_BENCH, FIELD(only), 0, 0},
};

static const struct
{
	const char *name;
	ToolCommand command;
	const char *words;			/* of the command line, for messages */
	int			n_words;		/* words that are no options */
}			command_table[] = {
	{"inspect", TOOL_INSPECT, "MODEL", 1},
	{"tokenize", TOOL_TOKENIZE, "MODEL", 1},
	{"render", TOOL_RENDER, "MODEL, or --template FILE", 1},
	{"logits", TOOL_LOGITS, "MODEL", 1},
	{"generate", TOOL_GENERATE, "MODEL", 1},
	{"score", TOOL_SCORE, "MODEL", 1},
	{"schema", TOOL_SCHEMA, "", 0},
	{"perplexity", TOOL_PERPLEXITY, "MODEL FILE", 2},
	{"embed", TOOL_EMBED, "MODEL", 1},
	{"rerank", TOOL_RERANK, "MODEL", 1},
	{"bench", TOOL_BENCH, "MODEL", 1},
};

#define N_COMMANDS ((int) (sizeof command_table / sizeof command_table[0]))

void
tool_usage(FILE *to)
{
	fputs("llm: look at a model and measure it, without a server\n"
		  "\n"
		  "usage: llm COMMAND MODEL [option…]\n"
		  "MODEL is a GGUF file, the first of its parts, or a Hugging Face folder.\n"
		  "Commands that read standard input take one JSON value per line and answer each by one line of JSON.\n"
		  "\n"
		  "  inspect MODEL [--json]\n"
		  "        what the file holds, and whether it can be run here\n"
		  "  tokenize MODEL [--bos] [--special]\n"
		  "        \"text\" or [\"two\", \"texts\"] -> [id, …], and [id, …] -> \"text\"; --bos adds what the\n"
		  "        metadata adds, --special parses special tokens and shows them\n"
		  "  render MODEL | --template FILE [--now TIME]\n"
		  "        {\"messages\": […], \"add_generation_prompt\": true, …} -> \"text\"; TIME (seconds since 1970 or\n"
		  "        ISO 8601, local time unless it names a zone) is the clock that templates see\n"
		  "  logits MODEL [--special]\n"
		  "        {\"token_ids\": […]} or {\"text\": \"…\"} -> {\"logits\": […]} of the last position\n"
		  "  generate MODEL -n N [--ignore-eos] [--special]\n"
		  "        the same, with temperature, seed, top_k, top_p, min_p, typical_p, repeat_penalty,\n"
		  "        presence_penalty, frequency_penalty; schema, regex, grammar (GBNF) or choice (list) -> {\"token_ids\": […],\n"
		  "        \"text\": \"…\"} of the new tokens\n"
		  "  score MODEL [--now TIME]\n"
		  "        {\"input\": \"…\", \"labels\": [\"…\", …], \"instruction\": \"…\", \"examples\": [[\"input\", \"label\"], …],\n"
		  "        \"form\": \"auto|chat|plain\", \"answer_prefix\": \"…\", \"calibration\": [number, …]}\n"
		  "        -> {\"scores\": […], \"probabilities\": […]}; scores are natural logarithms\n"
		  "  schema\n"
		  "        {\"schema\": …, \"instance\": …} -> {\"accepted\": true or false} or {\"refused\": \"reason\"}\n"
		  "  embed MODEL [--task NAME] [--dimensions N] [--raw] [--truncate] [--pooling P]\n"
		  "        \"text\", {\"text\": \"…\"} or {\"token_ids\": […]} -> {\"embedding\": […]} of unit length (--raw: as it is)\n"
		  "  rerank MODEL [--truncate] [--pooling P]\n"
		  "        {\"query\": \"…\", \"documents\": [\"…\", …], \"instruction\": \"…\"} or {\"token_ids\": […], \"n_query\": n}\n"
		  "        -> {\"scores\": […] (0 to 1), \"outputs\": [[…], …] (of the classifier)}\n"
		  "  perplexity MODEL FILE --ctx N [--from I]\n"
		  "        FILE's tokens in windows of N, each by itself; positions I (1) and later of a window count\n"
		  "  bench MODEL [--prompt P] [--generate N] [--sequences S] [--depth D] [--repeat R]\n"
		  "        [--only prefill|decode|batch|copy] [--json]\n"
		  "        tokens per second: a prompt of P (512), N (128) new tokens of one sequence, the same of S (8)\n"
		  "        sequences at once, each after D (0) other tokens; medians of R (3) runs. copy: N tokens after a\n"
		  "        prompt of P whose halves are alike, with guesses from the prompt and without\n"
		  "\n"
		  "Commands that run the model also take:\n"
		  "  --ctx N            positions of a sequence at most (default: the model's own)\n"
		  "  --kv f32|f16|q8    type of cached keys and values (default: f16)\n"
		  "  --rope-scaling none|linear|yarn|longrope, --rope-freq-base F, --rope-freq-scale F, --yarn-orig-ctx N,\n"
		  "  --yarn-ext-factor F, --yarn-attn-factor F, --yarn-beta-fast F, --yarn-beta-slow F\n"
		  "                     rope other than the model's; --ctx may then be more than it was trained for\n"
		  "  --lora ADAPTER     a low-rank adapter (GGUF or PEFT folder) added to the model, times --lora-scale F (1)\n"
		  "  --pooling P        none, mean, cls, last or rank (default: the model's own; embed and rerank)\n"
		  "  --threads T        threads (default: the CPUs of this process)\n"
		  "  --kernels LEVEL    generic, avx2, avxvnni, avx512 or avx512vnni (default: the best here)\n",
		  to);
}

/* a number written in decimal, within [min, max] */
static LlmStatus
parse_int(const char *name, const char *word, int64_t min, int64_t max, int64_t *out, LlmError *err)
{
	char	   *end;
	long long	value;

	errno = 0;
	value = strtoll(word, &end, 10);
	if (end == word || *end != '\0' || errno != 0 || value < min || value > max)
		return llm_fail(err, LLM_E_ARGUMENT, "%s must be a whole number from %lld to %lld, is \"%s\"", name,
						(long long) min, (long long) max, word);
	*out = value;
	return LLM_OK;
}

/* up to n digits at *p, which moves on */
static bool
digits(const char **p, int n, int *out)
{
	int			value = 0;

	for (int i = 0; i < n; i++, (*p)++)
	{
		if (**p < '0' || **p > '9')
			return false;
		value = value * 10 + (**p - '0');
	}
	*out = value;
	return true;
}

/* Z, +HH:MM, +HHMM or +HH at *p: seconds east of Greenwich */
static bool
parse_zone(const char **p, int64_t *offset)
{
	int			hours;
	int			minutes = 0;
	int			sign = **p == '-' ? -1 : 1;

	if (**p == 'Z' || **p == 'z')
	{
		(*p)++;
		*offset = 0;
		return true;
	}
	if (**p != '+' && **p != '-')
		return false;
	(*p)++;
	if (!digits(p, 2, &hours))
		return false;
	if (**p == ':')
		(*p)++;
	if (**p != '\0' && !digits(p, 2, &minutes))
		return false;
	*offset = sign * (hours * 3600 + minutes * 60);
	return hours < 24 && minutes < 60;
}

/* YYYY-MM-DD[(T| )HH:MM[:SS[.fraction]][zone]] */
static bool
parse_iso_time(const char *word, int64_t *out)
{
	const char *p = word;
	struct tm	tm;
	int64_t		offset = 0;
	bool		has_zone = false;
	time_t		seconds;

	memset(&tm, 0, sizeof tm);
	if (!digits(&p, 4, &tm.tm_year) || *p++ != '-' || !digits(&p, 2, &tm.tm_mon) || *p++ != '-' ||
		!digits(&p, 2, &tm.tm_mday))
		return false;
	if (*p == 'T' || *p == 't' || *p == ' ')
	{
		p++;
		if (!digits(&p, 2, &tm.tm_hour) || *p++ != ':' || !digits(&p, 2, &tm.tm_min))
			return false;
		if (*p == ':' && (p++, !digits(&p, 2, &tm.tm_sec)))
			return false;
		if (*p == '.')
			p += 1 + strspn(p + 1, "0123456789");
		if (*p != '\0' && !(has_zone = parse_zone(&p, &offset)))
			return false;
	}
	if (*p != '\0' || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
		tm.tm_min > 59 || tm.tm_sec > 60)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	tm.tm_isdst = -1;
	seconds = has_zone ? timegm(&tm) : mktime(&tm);
	*out = (int64_t) seconds - offset;
	return true;
}

/* seconds since 1970 or ISO 8601 */
static LlmStatus
parse_time(const char *name, const char *word, int64_t *out, LlmError *err)
{
	char	   *end;
	double		seconds;

	if (parse_iso_time(word, out))
		return LLM_OK;
	seconds = strtod(word, &end);
	/* the years that four digits can name */
	if (end == word || *end != '\0' || !(seconds >= -62135596800.0 && seconds <= 253402300799.0))
	{
		llm_fail(err, LLM_E_ARGUMENT, "%s must be a time, is \"%s\"", name, word);
		llm_error_hint(err, "Write seconds since 1970, or ISO 8601 such as 2026-01-31T12:00:00Z.");
		return LLM_E_ARGUMENT;
	}
	*out = (int64_t) seconds;
	return LLM_OK;
}

static LlmStatus
parse_number(const char *name, const char *word, double *out, LlmError *err)
{
	char	   *end;
	double		value = strtod(word, &end);

	if (end == word || *end != '\0' || !(value >= -1e6 && value <= 1e6))
		return llm_fail(err, LLM_E_ARGUMENT, "%s must be a number from -1e6 to 1e6, is \"%s\"", name, word);
	*out = value;
	return LLM_OK;
}

static LlmStatus
set_rope(const char *flag, const char *word, LlmRopeOptions *rope, LlmError *err)
{
	char		name[32];
	size_t		n = 0;

	for (const char *p = flag + 2; *p && n < sizeof(name) - 1; p++)
		name[n++] = *p == '-' ? '_' : *p;
	name[n] = '\0';
	return llm_rope_option_set(rope, name, word, err);
}

static LlmStatus
parse_pooling(const char *name, const char *word, LlmPooling *out, LlmError *err)
{
	for (int pooling = LLM_POOLING_NONE; pooling <= LLM_POOLING_RANK; pooling++)
	{
		if (strcmp(word, llm_pooling_name((LlmPooling) pooling)) == 0)
		{
			*out = (LlmPooling) pooling;
			return LLM_OK;
		}
	}
	return llm_fail(err, LLM_E_ARGUMENT, "%s must be none, mean, cls, last or rank, is \"%s\"", name, word);
}

static LlmStatus
parse_measure(const char *name, const char *word, ToolMeasure *out, LlmError *err)
{
	static const char *const words[] = {[TOOL_PREFILL] = "prefill", [TOOL_DECODE] = "decode", [TOOL_BATCH] = "batch", [TOOL_COPY] = "copy"};

	for (int measure = TOOL_PREFILL; measure <= TOOL_COPY; measure++)
	{
		if (strcmp(word, words[measure]) == 0)
		{
			*out = (ToolMeasure) measure;
			return LLM_OK;
		}
	}
	return llm_fail(err, LLM_E_ARGUMENT, "%s must be prefill, decode, batch or copy, is \"%s\"", name, word);
}

static LlmStatus
set_option(const Option *option, const char *word, ToolOptions *options, LlmError *err)
{
	void	   *field = (char *) options + option->field;

	switch (option->kind)
	{
		case OPTION_FLAG:
			*(bool *) field = true;
			return LLM_OK;
		case OPTION_INT:
			return parse_int(option->name, word, option->min, option->max, field, err);
		case OPTION_TIME:
			return parse_time(option->name, word, field, err);
		case OPTION_TEXT:
			*(const char **) field = word;
			return LLM_OK;
		case OPTION_NUMBER:
			return parse_number(option->name, word, field, err);
		case OPTION_ROPE:
			return set_rope(option->name, word, field, err);
		case OPTION_POOLING:
			return parse_pooling(option->name, word, field, err);
		case OPTION_MEASURE:
			return parse_measure(option->name, word, field, err);
		case OPTION_KV:
			if (!llm_kv_type_find(word, field))
				return llm_fail(err, LLM_E_ARGUMENT, "%s must be f32, f16 or q8, is \"%s\"", option->name, word);
			return LLM_OK;
	}
	return LLM_OK;
}

static const Option *
find_option(const char *word)
{
	for (size_t i = 0; i < sizeof option_table / sizeof option_table[0]; i++)
		if (strcmp(option_table[i].name, word) == 0)
			return &option_table[i];
	return NULL;
}

/* one word and, if it is an option with a value, the next; *i moves on */
static LlmStatus
take_word(int n_words, char **words, int *i, int command, ToolOptions *options, LlmError *err)
{
	const char *word = words[(*i)++];
	const Option *option;
	const char *value = NULL;

	if (word[0] != '-' || word[1] == '\0')
	{
		if (!options->model)
			options->model = word;
		else if (!options->file && command_table[command].n_words > 1)
			options->file = word;
		else
			return llm_fail(err, LLM_E_ARGUMENT, "unexpected word \"%s\"", word);
		return LLM_OK;
	}
	option = find_option(word);
	if (!option || !(option->commands & (unsigned) options->command))
	{
		llm_fail(err, LLM_E_ARGUMENT, "%s has no option \"%s\"", command_table[command].name, word);
		llm_error_hint(err, "Run llm --help for the options of each command.");
		return LLM_E_ARGUMENT;
	}
	if (option->kind != OPTION_FLAG)
	{
		if (*i >= n_words)
			return llm_fail(err, LLM_E_ARGUMENT, "option %s needs a value", word);
		value = words[(*i)++];
	}
	return set_option(option, value, options, err);
}

/* what a command cannot do without */
static LlmStatus
check_required(const ToolOptions *options, int command, LlmError *err)
{
	bool		from_template = options->command == TOOL_RENDER && options->template_file;

	if (from_template || command_table[command].n_words == 0 ? options->model != NULL : !options->model)
		return llm_fail(err, LLM_E_ARGUMENT, "%s takes %s", command_table[command].name, command_table[command].words);
	if (command_table[command].n_words > 1 && !options->file)
		return llm_fail(err, LLM_E_ARGUMENT, "%s takes %s", command_table[command].name, command_table[command].words);
	if (options->command == TOOL_GENERATE && options->n == 0)
		return llm_fail(err, LLM_E_ARGUMENT, "generate needs -n, the number of new tokens");
	if (options->command == TOOL_PERPLEXITY && options->ctx < 2)
		return llm_fail(err, LLM_E_ARGUMENT, "perplexity needs --ctx, the tokens of a window (2 or more)");
	if (options->command == TOOL_PERPLEXITY && options->from >= options->ctx)
		return llm_fail(err, LLM_E_ARGUMENT, "--from must be below --ctx (%lld), is %lld", (long long) options->ctx,
						(long long) options->from);
	return LLM_OK;
}

LlmStatus
tool_options_parse(int n_words, char **words, ToolOptions *options, LlmError *err)
{
	int			command = 0;
	int			i = 1;

	memset(options, 0, sizeof *options);
	options->now = (int64_t) time(NULL);
	options->from = 1;
	options->kv_type = LLM_KV_F16;
	options->lora_scale = 1;
	options->prompt = 512;
	options->generate = 128;
	options->sequences = 8;
	options->repeat = 3;
	options->pooling = LLM_POOLING_UNSPECIFIED;
	while (n_words > 0 && command < N_COMMANDS && strcmp(command_table[command].name, words[0]) != 0)
		command++;
	if (n_words < 1 || command == N_COMMANDS)
	{
		if (n_words < 1)
			llm_fail(err, LLM_E_ARGUMENT, "no command given");
		else
			llm_fail(err, LLM_E_ARGUMENT, "unknown command \"%s\"", words[0]);
		llm_error_hint(err, "Run llm --help for the commands.");
		return LLM_E_ARGUMENT;
	}
	options->command = command_table[command].command;
	while (i < n_words)
		LLM_TRY(take_word(n_words, words, &i, command, options, err));
	return check_required(options, command, err);
}
