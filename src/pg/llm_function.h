/*
 * llm_function.h: an SQL function that runs a model, in parts, so that one call and a batch of rows take the same way.
 *
 *   parse    what is constant for a call site, once per site (call_site.c)
 *   begin    a row's arguments become requests of the model's scheduler (PgLlmWork)
 *   more     requests that follow from what the finished ones say, again and again (few functions need it)
 *   answer   what the finished requests say, as flat bytes that can be kept (PgLlmAnswer)
 *   finish   an answer becomes the function's result
 *
 * A single call runs through all of them (pgllm_function_call). The batch node begins the work of many rows, waits, and
 * keeps the answers in the memo (batch_scan/), where the call finds its own. A call is known by its key: function, argument
 * bytes, settings and model. Equal keys have equal answers, unless the answer is drawn: sampled without a seed.
 *
 * A function joins batching by an entry in the table of llm_function.c.
 */
#ifndef PGLLM_LLM_FUNCTION_H
#define PGLLM_LLM_FUNCTION_H

#include "llm_call.h"

/* a call's key: a SHA-256 digest */
typedef struct PgLlmKey
{
	uint8		digest[32];
} PgLlmKey;

/* what a call's requests said: header, data of the function, and the row's error if it has one */
typedef struct PgLlmAnswer
{
	Size		size_bytes;		/* with everything */
	Size		error_off;		/* of an LlmError; 0: none */
	char		data[FLEXIBLE_ARRAY_MEMBER];	/* aligned as palloc does */
} PgLlmAnswer;

/* an answer in the current memory context with room for data; error NULL or OK: none */
extern PgLlmAnswer *pgllm_answer_create(Size data_bytes, const LlmError *error);
extern PgLlmAnswer *pgllm_answer_copy(MemoryContext context, const PgLlmAnswer *answer);
extern const LlmError *pgllm_answer_error(const PgLlmAnswer *answer);	/* NULL: none */

/* true if the row becomes NULL; raises by pg_llm.on_error */
extern bool pgllm_answer_failed(const PgLlmAnswer *answer);

/* a call that is about to be made: what can be said of it before its requests */
typedef struct PgLlmPrepared
{
	void	   *parsed;
	PgLlmModel *model;
	bool		drawn;			/* its answer is of this call only */
	bool		shared;			/* its answer may come from the shared result cache */
	PgLlmKey	key;
} PgLlmPrepared;

/* requests that a row's answer needs, in the order in which they were begun */
typedef struct PgLlmWork
{
	void	   *parsed;			/* of the call site; lives as long as the expression */
	PgLlmModel *model;
	int			n_calls;
	PgLlmCall **calls;			/* (n_calls) in the context that was current at begin */
	void	   *state;			/* of the function, between begin, more and answer */
} PgLlmWork;

typedef struct PgLlmFunction
{
	const char *symbol;			/* its C name, by which the catalog's entry is recognised */
	int			model_arg;
	int			kinds;			/* PGLLM_KIND_* of models that it runs; 0: generate */
	uint32		constant_args;	/* bit i: argument i is parsed once per call site */
	uint32		required_args;	/* NULL in one of them: the result is NULL, and no model runs */
	bool		stable;			/* the planner may call it, and gets NULL */
	bool		shareable;		/* an answer depends on model, arguments and settings alone, not on what the catalog holds */
	int			max_tokens_arg; /* bounds the tokens of its answer; 0: it generates none */
	int			rows_arg;		/* array with an element for each row that it returns; 0: it returns no set */
	void	   *(*parse) (FunctionCallInfo fcinfo); /* into the current memory context */
	const PgLlmKey *(*shape) (const void *parsed);	/* what the answer depends on beside arguments; NULL: nothing */
	bool		(*drawn) (const void *parsed);	/* NULL: never */
	void		(*begin) (FunctionCallInfo fcinfo, PgLlmWork *work);	/* fills calls */
	bool		(*more) (PgLlmWork *work);	/* all calls are done: begin others, false if the answer needs none; NULL: never */
	int			(*most_calls) (const PgLlmWork *work);	/* with those that more begins; NULL: those that are begun */
	PgLlmAnswer *(*answer) (PgLlmWork *work);	/* all calls are done; some may have failed */
	Datum		(*finish) (FunctionCallInfo fcinfo, const PgLlmPrepared *prepared, const PgLlmAnswer *answer);
} PgLlmFunction;

extern const PgLlmFunction pgllm_function_generate;
extern const PgLlmFunction pgllm_function_generate_detail;
extern const PgLlmFunction pgllm_function_complete;
extern const PgLlmFunction pgllm_function_summarize;
extern const PgLlmFunction pgllm_function_translate;
extern const PgLlmFunction pgllm_function_chat;
extern const PgLlmFunction pgllm_function_reason;
extern const PgLlmFunction pgllm_function_extract;
extern const PgLlmFunction pgllm_function_populate;
extern const PgLlmFunction pgllm_function_to_record;
extern const PgLlmFunction pgllm_function_to_recordset;
extern const PgLlmFunction pgllm_function_classify;
extern const PgLlmFunction pgllm_function_classify_enum;
extern const PgLlmFunction pgllm_function_classify_probs;
extern const PgLlmFunction pgllm_function_classify_multi;
extern const PgLlmFunction pgllm_function_filter;
extern const PgLlmFunction pgllm_function_score;
extern const PgLlmFunction pgllm_function_embed;
extern const PgLlmFunction pgllm_function_similarity;
extern const PgLlmFunction pgllm_function_relevance;

/* PGLLM_KIND_* of models that a function runs */
extern int	pgllm_function_kinds(const PgLlmFunction *function);

/* the function that an OID is of, NULL: none of ours that runs a model */
extern const PgLlmFunction *pgllm_function_of(Oid funcid);

/* while a batch node evaluates arguments ahead: calls run no model */
typedef struct PgLlmAhead
{
	bool		missing;		/* a call had no answer and returned NULL */
} PgLlmAhead;

extern PgLlmAhead *pgllm_ahead; /* NULL: not now */

/* the whole of a call: its answer from the memo, or from the model */
extern Datum pgllm_function_call(FunctionCallInfo fcinfo, const PgLlmFunction *function);

/* false if the result is NULL without a model */
extern bool pgllm_function_prepare(FunctionCallInfo fcinfo, const PgLlmFunction *function, PgLlmPrepared *prepared);

/* begin the requests of a prepared call, in the current memory context */
extern PgLlmWork *pgllm_function_begin(FunctionCallInfo fcinfo, const PgLlmFunction *function, const PgLlmPrepared *prepared);
extern void pgllm_work_free(PgLlmWork *work);

/* an answer of an equal call, kept by the statement or shared by all; NULL: none. Borrowed until the next call of memo.h's. */
extern const PgLlmAnswer *pgllm_function_known(const PgLlmFunction *function, const PgLlmPrepared *prepared, bool *from_shared);

/* keep the answer of a call that is not drawn */
extern void pgllm_function_keep(const PgLlmPrepared *prepared, const PgLlmAnswer *answer);

/* all calls are done: begin those that follow; false if there are none */
extern bool pgllm_function_more(const PgLlmFunction *function, PgLlmWork *work);

/* the answer of work whose calls are done */
extern PgLlmAnswer *pgllm_function_answer(const PgLlmFunction *function, PgLlmWork *work);

/* for begin: the work needs this call too */
extern void pgllm_work_add(PgLlmWork *work, PgLlmCall *call);

#endif
