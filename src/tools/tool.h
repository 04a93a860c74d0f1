/*
 * tool.h: the parts of build/llm, a command-line tool over the runtime for looking at a model and for measuring without a
 * server.
 *
 * A subcommand is a function that gets the parsed options, works, prints to stdout and returns a status; main alone prints
 * errors and sets the exit status. Input is one JSON value per line of stdin, output one per line of stdout. JSON is read
 * and written by json-c; bytes that are not UTF-8 are repaired on the way out, so the output is always valid.
 */
#ifndef LLM_TOOL_H
#define LLM_TOOL_H

#include <stdio.h>
#include <json-c/json.h>

#include "model/rope_options.h"
#include "state/kv_pages.h"
#include "serve/prompt.h"
#include "serve/scheduler.h"

/* ---- options (tool_options.c) ---- */

typedef enum ToolCommand
{
	TOOL_INSPECT = 1 << 0,
	TOOL_TOKENIZE = 1 << 1,
	TOOL_RENDER = 1 << 2,
	TOOL_LOGITS = 1 << 3,
	TOOL_GENERATE = 1 << 4,
	TOOL_SCORE = 1 << 5,
	TOOL_PERPLEXITY = 1 << 6,
	TOOL_BENCH = 1 << 7,
	TOOL_EMBED = 1 << 8,
	TOOL_RERANK = 1 << 9,
	TOOL_SCHEMA = 1 << 10
} ToolCommand;

/* commands that run the model, and so take --ctx, --kv, --threads and --kernels */
#define TOOL_COMPUTING (TOOL_LOGITS | TOOL_GENERATE | TOOL_SCORE | TOOL_PERPLEXITY | TOOL_BENCH | TOOL_EMBED | TOOL_RERANK)

/* what bench measures */
typedef enum ToolMeasure
{
	TOOL_PREFILL = 1,
	TOOL_DECODE,
	TOOL_BATCH,
	TOOL_COPY
} ToolMeasure;

typedef struct ToolOptions
{
	ToolCommand command;
	const char *model;			/* first word that is no option; NULL: none */
	const char *file;			/* second */
	bool		json;
	bool		bos;
	bool		special;
	bool		ignore_eos;
	const char *template_file;	/* NULL: the model's own */
	int64_t		now;			/* seconds since 1970 that templates see */
	int64_t		n;				/* tokens to generate */
	int64_t		ctx;			/* 0: the model's own */
	int64_t		from;			/* first position of a window that counts */
	LlmKvType	kv_type;
	LlmRopeOptions rope;
	const char *lora;			/* NULL: none */
	double		lora_scale;
	int64_t		threads;		/* 0: CPUs of this process */
	const char *kernels;		/* NULL: best */
	int64_t		prompt;
	int64_t		generate;
	int64_t		sequences;
	int64_t		repeat;
	int64_t		depth;			/* tokens of a sequence before the decoding that is measured */
	ToolMeasure only;			/* 0: all */
	const char *task;			/* of texts to embed; NULL: none */
	int64_t		dimensions;		/* of embeddings; 0: all */
	bool		raw;			/* embeddings as the model makes them, not of unit length */
	bool		truncate;
	LlmPooling	pooling;		/* UNSPECIFIED: the model's own */
} ToolOptions;

/* fill options from the words after the program's name; LLM_E_ARGUMENT naming the word */
extern LlmStatus tool_options_parse(int n_words, char **words, ToolOptions *options, LlmError *err);
extern void tool_usage(FILE *to);

/* ---- JSON (tool_json.c) ---- */

/* lines of stdin that are not blank */
typedef struct ToolLines
{
	char	   *line;
	size_t		capacity;
	long		number;			/* of the current line, from 1 */
} ToolLines;

/* the next line as JSON; *value NULL at the end. The caller puts *value back with json_object_put. */
extern LlmStatus tool_lines_next(ToolLines *lines, struct json_object **value, LlmError *err);
/* the next line as it is; *line NULL at the end */
extern LlmStatus tool_lines_next_text(ToolLines *lines, const char **line, size_t *len, LlmError *err);
extern void tool_lines_free(ToolLines *lines);
/* put "line N: " before the message of an error; returns its status */
extern LlmStatus tool_lines_error(const ToolLines *lines, LlmStatus status, LlmError *err);

/* a value, NULL when out of memory; bytes are repaired, and numbers that are not finite become null (JSON has none) */
extern LlmStatus tool_json_text(const char *bytes, size_t len, struct json_object **out, LlmError *err);
extern LlmStatus tool_json_ids(const int32_t *ids, size_t n, struct json_object **out, LlmError *err);
extern LlmStatus tool_json_floats(const float *values, size_t n, struct json_object **out, LlmError *err);
extern LlmStatus tool_json_doubles(const double *values, size_t n, struct json_object **out, LlmError *err);
extern LlmStatus tool_json_number(double value, struct json_object **out, LlmError *err);

/* object[key] = value, which the object takes over */
extern LlmStatus tool_json_set(struct json_object *object, const char *key, struct json_object *value, LlmError *err);
extern LlmStatus tool_json_set_text(struct json_object *object, const char *key, const char *text, LlmError *err);
extern LlmStatus tool_json_set_int(struct json_object *object, const char *key, int64_t value, LlmError *err);
extern LlmStatus tool_json_set_number(struct json_object *object, const char *key, double value, LlmError *err);
extern LlmStatus tool_json_set_bool(struct json_object *object, const char *key, bool value, LlmError *err);

/* print as one line and give the value back to json-c; LLM_E_IO when stdout fails */
extern LlmStatus tool_json_print(struct json_object *value, LlmError *err);

/* ---- a model that computes (tool_model.c) ---- */

typedef struct ToolModel
{
	const uint8_t *base;		/* the pack, in memory of our own */
	size_t		size;
	LlmAdapterPack adapter;		/* base NULL: none */
	LlmModel   *model;
	LlmPool    *pool;
	LlmScheduler *scheduler;
} ToolModel;

extern LlmStatus tool_model_open(const ToolOptions *options, ToolModel *m, LlmError *err);
extern void tool_model_close(ToolModel *m);

/*
 * Token ids of {"token_ids": […]} or {"text": "…"} (with what the metadata adds; special tokens parsed if special).
 * Keys for which known is false are refused.
 */
extern LlmStatus tool_read_tokens(const LlmModel *model, struct json_object *value, bool special,
								  bool (*known) (const char *key), LlmTokens *out, LlmError *err);

/* run the scheduler until the request is done; its own error is returned as ours */
extern LlmStatus tool_run_request(ToolModel *m, const LlmRequest *request, LlmError *err);

/* ---- subcommands ---- */

extern LlmStatus tool_inspect(const ToolOptions *options, LlmError *err);
extern LlmStatus tool_tokenize(const ToolOptions *options, LlmError *err);
extern LlmStatus tool_render(const ToolOptions *options, LlmError *err);
extern LlmStatus tool_logits(const ToolOptions *options, LlmError *err);
extern LlmStatus tool_generate(const ToolOptions *options, LlmError *err);
extern LlmStatus tool_score(const ToolOptions *options, LlmError *err);
extern LlmStatus tool_schema(const ToolOptions *options, LlmError *err);
extern LlmStatus tool_perplexity(const ToolOptions *options, LlmError *err);
extern LlmStatus tool_embed(const ToolOptions *options, LlmError *err);
extern LlmStatus tool_rerank(const ToolOptions *options, LlmError *err);
extern LlmStatus tool_bench(const ToolOptions *options, LlmError *err);

#endif
