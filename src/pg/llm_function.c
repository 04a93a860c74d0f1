/*
 * llm_function.c: the functions that run a model, and the way of a call through its parts.
 *
 * While a batch node evaluates arguments ahead (pgllm_ahead), a call whose answer is not there yet returns NULL
 * and says so: what was evaluated with it is of no use then.
 */
#include "llm_function.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "batch_scan/memo.h"
#include "call_stats.h"
#include "estimate.h"
#include "models.h"
#include "result_cache.h"
#include "catalog/dependency.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* every function that batches */
static const PgLlmFunction *const functions[] = {
	&pgllm_function_generate,
	&pgllm_function_generate_detail,
	&pgllm_function_complete,
	&pgllm_function_summarize,
	&pgllm_function_translate,
	&pgllm_function_chat,
	&pgllm_function_reason,
	&pgllm_function_extract,
	&pgllm_function_populate,
	&pgllm_function_to_record,
	&pgllm_function_to_recordset,
	&pgllm_function_classify,
	&pgllm_function_classify_enum,
	&pgllm_function_classify_probs,
	&pgllm_function_classify_multi,
	&pgllm_function_filter,
	&pgllm_function_score,
	&pgllm_function_embed,
	&pgllm_function_similarity,
	&pgllm_function_relevance,
};

PgLlmAhead *pgllm_ahead = NULL;

/* ---- by OID ---- */

typedef struct KnownFunction
{
	Oid			oid;
	const PgLlmFunction *function;	/* NULL: not one of ours */
} KnownFunction;

static HTAB *known = NULL;		/* functions that were asked for since pg_proc changed */

static void
forget_known(Datum arg, int cache, uint32 hash)
{
	if (known != NULL)
		hash_destroy(known);
	known = NULL;
}

static HTAB *
known_create(void)
{
	static bool registered = false;
	HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(KnownFunction), .hcxt = TopMemoryContext};

	if (!registered)
		CacheRegisterSyscacheCallback(PROCOID, forget_known, (Datum) 0);
	registered = true;
	return hash_create("pg_llm functions", 32, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* a C function that our extension made, by its symbol */
static const PgLlmFunction *
look_up(Oid funcid)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	const PgLlmFunction *result = NULL;
	Datum		symbol;
	bool		is_null;
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	symbol = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &is_null);
	name = is_null || ((Form_pg_proc) GETSTRUCT(tuple))->prolang != ClanguageId ? NULL : TextDatumGetCString(symbol);
	ReleaseSysCache(tuple);
	for (int i = 0; name != NULL && i < (int) lengthof(functions); i++)
		if (strcmp(functions[i]->symbol, name) == 0)
			result = functions[i];
	if (result != NULL)
	{
		Oid			extension = get_extension_oid("pg_llm", true);

		if (!OidIsValid(extension) || getExtensionOfObject(ProcedureRelationId, funcid) != extension)
			result = NULL;
	}
	return result;
}

const PgLlmFunction *
pgllm_function_of(Oid funcid)
{
	KnownFunction *entry;
	const PgLlmFunction *function;

	if (funcid < FirstNormalObjectId)
		return NULL;			/* the server's own */
	entry = known == NULL ? NULL : hash_search(known, &funcid, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->function;
	function = look_up(funcid); /* may make known anew */
	if (known == NULL)
		known = known_create();
	entry = hash_search(known, &funcid, HASH_ENTER, NULL);
	entry->function = function;
	return function;
}

int
pgllm_function_kinds(const PgLlmFunction *function)
{
	return function->kinds != 0 ? function->kinds : PGLLM_KIND_GENERATE;
}

/* ---- answers ---- */

PgLlmAnswer *
pgllm_answer_create(Size data_bytes, const LlmError *error)
{
	bool		failed = error != NULL && error->status != LLM_OK;
	Size		error_off = MAXALIGN(offsetof(PgLlmAnswer, data) + data_bytes);
	Size		size = failed ? error_off + sizeof(LlmError) : error_off;
	PgLlmAnswer *answer = palloc0(size);

	answer->size_bytes = size;
	if (failed)
	{
		answer->error_off = error_off;
		memcpy((char *) answer + error_off, error, sizeof(LlmError));
	}
	return answer;
}

PgLlmAnswer *
pgllm_answer_copy(MemoryContext context, const PgLlmAnswer *answer)
{
	return memcpy(MemoryContextAlloc(context, answer->size_bytes), answer, answer->size_bytes);
}

const LlmError *
pgllm_answer_error(const PgLlmAnswer *answer)
{
	return answer->error_off == 0 ? NULL : (const LlmError *) ((const char *) answer + answer->error_off);
}

bool
pgllm_answer_failed(const PgLlmAnswer *answer)
{
	const LlmError *error = pgllm_answer_error(answer);

	return error != NULL && pgllm_row_error(error);
}

/* ---- work ---- */

void
pgllm_work_add(PgLlmWork *work, PgLlmCall *call)
{
	if (work->calls == NULL)
		work->calls = palloc(sizeof(PgLlmCall *));
	else
		work->calls = repalloc(work->calls, sizeof(PgLlmCall *) * (work->n_calls + 1));
	work->calls[work->n_calls++] = call;
}

PgLlmWork *
pgllm_function_begin(FunctionCallInfo fcinfo, const PgLlmFunction *function, const PgLlmPrepared *prepared)
{
	PgLlmWork  *work = palloc0(sizeof(PgLlmWork));

	work->parsed = prepared->parsed;
	work->model = prepared->model;
	pgllm_stats_function(PGLLM_SYMBOL_NAME(function->symbol));
	function->begin(fcinfo, work);
	return work;
}

void
pgllm_work_free(PgLlmWork *work)
{
	for (int i = 0; i < work->n_calls; i++)
		pgllm_call_free(work->calls[i]);
	if (work->calls != NULL)
		pfree(work->calls);
	pfree(work);
}

/* ---- calls ---- */

bool
pgllm_function_prepare(FunctionCallInfo fcinfo, const PgLlmFunction *function, PgLlmPrepared *prepared)
{
	struct
	{
		char		function[NAMEDATALEN];
		uint8		model[sizeof(prepared->model->identity)];
		int64		time;
		PgLlmKey	shape;
	}			identity = {0};
	PgLlmSite  *site;

	for (int i = 0; i < PG_NARGS(); i++)
		if ((function->required_args & (1u << i)) && PG_ARGISNULL(i))
			return false;
	site = pgllm_site(fcinfo, function->constant_args);
	if (site->parsed == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(site->context);

		site->parsed = function->parse(fcinfo);
		MemoryContextSwitchTo(old);
	}
	prepared->parsed = site->parsed;
	prepared->model = pgllm_model_use(PGLLM_ARG_TEXT_OR_NULL(function->model_arg), pgllm_function_kinds(function));
	prepared->drawn = function->drawn != NULL && function->drawn(site->parsed);
	prepared->drawn = prepared->drawn || pgllm_result_cache == PGLLM_RESULTS_OFF;
	prepared->shared = function->shareable && !prepared->drawn && pgllm_result_cache == PGLLM_RESULTS_SHARED;
	strlcpy(identity.function, function->symbol, sizeof identity.function);
	memcpy(identity.model, prepared->model->identity, sizeof identity.model);
	identity.time = pgllm_model_time(prepared->model);
	if (function->shape != NULL)
		identity.shape = *function->shape(site->parsed);
	pgllm_site_digest(fcinfo, site, function->model_arg, &identity, sizeof identity, prepared->key.digest);
	return true;
}

const PgLlmAnswer *
pgllm_function_known(const PgLlmFunction *function, const PgLlmPrepared *prepared, bool *from_shared)
{
	const PgLlmAnswer *answer = pgllm_memo_find(&prepared->key);

	*from_shared = false;
	if (answer != NULL || !prepared->shared)
		return answer;
	answer = pgllm_result_cache_find(&prepared->key);
	if (answer == NULL)
		return NULL;
	*from_shared = true;
	pgllm_stats_function(PGLLM_SYMBOL_NAME(function->symbol));
	pgllm_stats_cache_hit(prepared->model);
	/* so that equal calls of this statement need not ask again */
	pgllm_memo_store(&prepared->key, answer);
	return answer;
}

void
pgllm_function_keep(const PgLlmPrepared *prepared, const PgLlmAnswer *answer)
{
	pgllm_memo_store(&prepared->key, answer);
	if (prepared->shared)
		pgllm_result_cache_store(&prepared->key, answer);
}

bool
pgllm_function_more(const PgLlmFunction *function, PgLlmWork *work)
{
	if (function->more == NULL)
		return false;
	pgllm_stats_function(PGLLM_SYMBOL_NAME(function->symbol));
	return function->more(work);
}

PgLlmAnswer *
pgllm_function_answer(const PgLlmFunction *function, PgLlmWork *work)
{
	/* may make calls of its own, as for a calibration */
	pgllm_stats_function(PGLLM_SYMBOL_NAME(function->symbol));
	return function->answer(work);
}

/* from the model, alone */
static const PgLlmAnswer *
run(FunctionCallInfo fcinfo, const PgLlmFunction *function, const PgLlmPrepared *prepared)
{
	PgLlmWork  *work = pgllm_function_begin(fcinfo, function, prepared);
	PgLlmAnswer *answer;

	do
		for (int i = 0; i < work->n_calls; i++)
			pgllm_call_wait(work->calls[i]);
	while (pgllm_function_more(function, work));
	answer = pgllm_function_answer(function, work);
	pgllm_work_free(work);
	if (!prepared->drawn)
		pgllm_function_keep(prepared, answer);
	return answer;
}

Datum
pgllm_function_call(FunctionCallInfo fcinfo, const PgLlmFunction *function)
{
	PgLlmPrepared prepared;
	const PgLlmAnswer *answer;
	bool		from_shared;

	if ((function->stable && pgllm_planner_evaluates()) || !pgllm_function_prepare(fcinfo, function, &prepared))
		PG_RETURN_NULL();
	if (pgllm_estimating())
		return pgllm_estimate_call(fcinfo, function, &prepared);
	if (pgllm_ahead != NULL && prepared.drawn)
		answer = NULL;			/* belongs to the call that is made for the row */
	else
		answer = prepared.drawn ? pgllm_memo_take(&prepared.key) : pgllm_function_known(function, &prepared, &from_shared);
	if (answer == NULL && pgllm_ahead != NULL)
	{
		pgllm_ahead->missing = true;
		PG_RETURN_NULL();
	}
	if (answer == NULL)
		answer = run(fcinfo, function, &prepared);
	if (pgllm_ahead == NULL)
	{
		pgllm_stats_function(PGLLM_SYMBOL_NAME(function->symbol));
		pgllm_stats_rows(prepared.model, 1);
	}
	return function->finish(fcinfo, &prepared, answer);
}
