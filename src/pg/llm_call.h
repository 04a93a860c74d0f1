/*
 * llm_call.h: one call on a model, from SQL arguments to an answer, in steps: parse, begin, wait, finish.
 *
 * Parse: constant arguments (options, stop strings, examples, …) are read once per call site and kept as long as their
 * bytes stay the same (PgLlmSite). Begin: the row's prompt is built, cut to the context if the user allowed it, and added
 * to the model's scheduler. Wait: the scheduler works until this request is done. Finish: the caller reads the result and
 * frees the call. Begin and wait are apart so that many calls can be begun before the first is waited for.
 *
 * Misuse raises at once. Trouble with the row's own data is kept in the call (PgLlmCall.error) for the caller to report:
 * plain functions by pgllm_row_error, detail functions in their row.
 */
#ifndef PGLLM_LLM_CALL_H
#define PGLLM_LLM_CALL_H

#include "pg_llm.h"
#include "lib/ilist.h"
#include "portability/instr_time.h"
#include "utils/array.h"

/* ---- constant arguments of a call site (call_site.c) ---- */

#define PGLLM_SITE_ARGS 12

typedef struct PgLlmSite
{
	MemoryContext context;		/* holds keys and what was parsed from them; reset when they change */
	bool		keep;			/* … but left until the expression ends: work begun before still needs it */
	uint32		args;			/* bit i: argument i is one of the constants */
	int			n_args;
	Oid			type[PGLLM_SITE_ARGS];
	bool		by_value[PGLLM_SITE_ARGS];
	bool		is_null[PGLLM_SITE_ARGS];
	Datum		value[PGLLM_SITE_ARGS];
	int			truncate;		/* setting that options take their default from */
	uint8		digest[32];		/* of types, constants and settings; valid if parsed */
	void	   *parsed;			/* NULL: to be made by the caller, in context */
} PgLlmSite;

/*
 * The site of this call, in fn_extra. args: bit i set if argument i is one of the constants. If they are as at the last
 * call, site->parsed is what the caller left there.
 */
extern PgLlmSite *pgllm_site(FunctionCallInfo fcinfo, uint32 args);

/* digest of a call at this site: its constants, its other arguments but for model_arg, and some bytes of the caller's */
extern void pgllm_site_digest(FunctionCallInfo fcinfo, const PgLlmSite *site, int model_arg, const void *bytes, size_t n_bytes, uint8 *digest);

/* ---- fitting a prompt into the context (prompt_fit.c) ---- */

/* build the prompt with this much of the row's text, UTF-8; its length in tokens. May raise. */
typedef size_t (*PgLlmBuildFn) (void *source, LlmStr data);

typedef struct PgLlmFit
{
	PgLlmBuildFn build;
	void	   *source;
	size_t		n_max;			/* tokens that a prompt may have */
	size_t		n_cut;			/* tokens to cut to if it has more; leaves room for an answer */
	PgLlmTruncate truncate;
	const char *model_name;		/* UTF-8 */
} PgLlmFit;

/*
 * Build with the whole of data, or with as much as fits; the last prompt built is the one to use. False if none fits or
 * cutting is not allowed: then err says so. *truncated: data was cut.
 */
extern bool pgllm_fit_prompt(const PgLlmFit *fit, LlmStr data, bool *truncated, LlmError *err);

/* ---- calls ---- */

typedef struct PgLlmCall
{
	MemoryContext context;		/* all memory of the call, a child of the context it was begun in */
	const LlmAllocator *allocator;
	PgLlmModel *model;
	LlmRequest *request;		/* NULL: error says why the row could not run */
	LlmError	error;			/* trouble of the row; status LLM_OK: none */
	bool		not_the_rows;	/* error is about more than the row: misuse, a limit of the session */
	bool		truncated;
	size_t		n_prompt;
	uint32_t	max_output;		/* tokens that may be generated */
	instr_time	begun;
	bool		reads_calls;	/* an answer that calls tools becomes a message (fn_chat.c) */
	struct						/* call_stats.c */
	{
		bool		live;		/* in the list of calls with a request */
		bool		counted;
		dlist_node	node;
		MemoryContextCallback callback;
		const char *function;	/* that it is made for */
		uint64		us;			/* that the model computed while it was waited for */
	}			stats;
} PgLlmCall;

extern PgLlmCall *pgllm_call_create(PgLlmModel *model);

/* the request is the call's from now on */
extern void pgllm_call_set_request(PgLlmCall *call, LlmRequest *request);

/* one step of the scheduler; false if the request is done (then error is filled if it failed) */
extern bool pgllm_call_step(PgLlmCall *call);

/* until the request is done */
extern void pgllm_call_wait(PgLlmCall *call);

/* the same, but the error that the request ended with is only kept, also if it is not the row's own */
extern void pgllm_call_settle(PgLlmCall *call);

/* ends the request too if it is still running */
extern void pgllm_call_free(PgLlmCall *call);

/* tokens of prompts and answers of all calls that this session has made */
extern uint64 pgllm_tokens_spent(void);

/* true if the call failed and the row becomes NULL; raises by pg_llm.on_error */
extern bool pgllm_call_failed(const PgLlmCall *call);

/* a text argument, or NULL */
#define PGLLM_ARG_TEXT_OR_NULL(n)  (PG_ARGISNULL(n) ? NULL : PG_GETARG_TEXT_PP(n))

/* copy s into the current memory context */
extern LlmStr pgllm_str_copy(LlmStr s);

/* the texts of a one-dimensional array as UTF-8; NULLs have no data; others may lie in the array. what: its name in messages */
extern LlmStr *pgllm_nullable_texts(ArrayType *array, const char *what, int *n);

/* the same, copied into the current memory context; raises if there are NULLs */
extern LlmStr *pgllm_text_array(ArrayType *array, const char *what, int *n);

/* add the time since *since to *sum, and begin anew */
static inline void
pgllm_add_time(instr_time *sum, instr_time *since)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_ACCUM_DIFF(*sum, now, *since);
	*since = now;
}

#endif
