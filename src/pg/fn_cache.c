/*
 * fn_cache.c: SQL functions about models in memory: llm_load, llm_unload, llm_pin, and what is in the shared cache.
 *
 * They are for the owner of a model, as all sessions feel what they do. Without a shared cache, loading makes the pack file,
 * which every session then maps, and unloading has nothing to do: the system keeps in memory what is read.
 */
#include "shared_cache.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_load);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_unload);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_pin);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_cached_models);

/* the model of that name, which the current user must own */
static void
owned_model(FunctionCallInfo fcinfo, PgLlmSpec *spec)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("name of a model must not be NULL"),
				 errhint("The view llm_models lists the models of this database.")));
	pgllm_catalog_spec(pgllm_catalog_find(PG_GETARG_TEXT_PP(0)), spec);
	pgllm_catalog_check_owner(spec);
}

/* one after the other, the digests of what a model is made of: its file, then its adapters; false: there are no more */
static bool
next_digest(const PgLlmSpec *spec, int i, char *digest)
{
	if (i > spec->n_lora)
		return false;
	pgllm_pack_digest(i == 0 ? spec->path : spec->lora_path[i - 1], digest);
	return true;
}

Datum
pgllm_fn_llm_load(PG_FUNCTION_ARGS)
{
	PgLlmSpec	spec;

	owned_model(fcinfo, &spec);
	(void) pgllm_model_open(PG_GETARG_TEXT_PP(0));
	PG_RETURN_VOID();
}

Datum
pgllm_fn_llm_unload(PG_FUNCTION_ARGS)
{
	PgLlmSpec	spec;
	char		digest[PGLLM_DIGEST_HEX + 1];
	uint32		n_users;

	owned_model(fcinfo, &spec);
	if (pgllm_shared_cache_bytes() == 0)
		PG_RETURN_VOID();
	for (int i = 0; next_digest(&spec, i, digest); i++)
		if (!pgllm_shared_cache_remove(digest, &n_users))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("model \"%s\" is in use", spec.name),
					 errdetail_plural("%u session uses it in a transaction now.", "%u sessions use it in a transaction now.",
									  n_users, n_users),
					 errhint("Try again when their transactions have ended; llm_stat_cache shows the number.")));
	PG_RETURN_VOID();
}

Datum
pgllm_fn_llm_pin(PG_FUNCTION_ARGS)
{
	const bool	pin = PG_ARGISNULL(1) || PG_GETARG_BOOL(1);
	PgLlmSpec	spec;
	char		digest[PGLLM_DIGEST_HEX + 1];

	owned_model(fcinfo, &spec);
	if (pgllm_shared_cache_bytes() == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no shared cache to pin model \"%s\" in", spec.name),
				 errhint("Put pg_llm into shared_preload_libraries, set pg_llm.cache_size, and restart the server.")));
	if (pin)
		(void) pgllm_model_open(PG_GETARG_TEXT_PP(0));
	for (int i = 0; next_digest(&spec, i, digest); i++)
		if (!pgllm_shared_cache_pin(digest, pin) && pin)
			ereport(ERROR,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("model \"%s\" does not fit into the shared cache", spec.name),
					 errdetail("The cache has %zu MB; what is pinned or in use cannot make room.",
							   pgllm_shared_cache_bytes() / (1024 * 1024)),
					 errhint("Unpin or unload other models, or set pg_llm.cache_size higher and restart the server.")));
	PG_RETURN_VOID();
}

/* names of models of other databases are for those who may read all statistics */
static bool
may_see_name(const PgLlmCachedModel *model)
{
	return model->database == MyDatabaseId || has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
}

Datum
pgllm_fn_llm_cached_models(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	PgLlmCachedModel *models;
	int			n = pgllm_shared_cache_list(&models);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < n; i++)
	{
		const PgLlmCachedModel *m = &models[i];
		const char *database = get_database_name(m->database);
		Datum		values[10];
		bool		nulls[10] = {false};

		nulls[0] = !may_see_name(m) || database == NULL;
		values[0] = nulls[0] ? (Datum) 0 : DirectFunctionCall1(namein, CStringGetDatum(database));
		nulls[1] = !may_see_name(m);
		values[1] = DirectFunctionCall1(namein, CStringGetDatum(m->name));
		values[2] = CStringGetTextDatum(m->digest);
		values[3] = Int64GetDatum((int64) m->bytes);
		values[4] = CStringGetTextDatum(m->loading ? "loading" : "ready");
		values[5] = Int32GetDatum((int32) m->n_users);
		values[6] = BoolGetDatum(m->pinned);
		values[7] = Int64GetDatum((int64) m->hits);
		values[8] = TimestampTzGetDatum(m->loaded);
		nulls[8] = m->loading;
		values[9] = TimestampTzGetDatum(m->last_used);
		nulls[9] = m->loading;
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
