/*
 * fn_model.c: SQL functions about models: llm_create_model, llm_drop_model, llm_model_info, llm_supported, llm_open_models.
 *
 * A model is made and dropped by CREATE SERVER and DROP SERVER, run as statements of the caller: privileges, ownership,
 * event triggers and dumps are PostgreSQL's own. What the function adds is that the file is read first.
 */
#include "models.h"
#include "state/kv_pages.h"

#include "access/xact.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "commands/defrem.h"
#include "executor/spi.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_create_model);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_store_model);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_drop_model);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_model_info);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_supported);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_open_models);

/* ---- llm_create_model ---- */

static char *
required_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s of a model must not be NULL", name),
				 errhint("For example llm_create_model('smollm2', 'SmolLM2-135M-Instruct.Q4_1.gguf').")));
	return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/* checked here too, so that a wrong option is found before the file is read */
static List *
add_option(List *options, const char *name, const char *value)
{
	pgllm_catalog_check_option(name, value);
	return lappend(options, makeDefElem(pstrdup(name), (Node *) makeString(pstrdup(value)), -1));
}

/* a jsonb scalar as the text of a server's option */
static char *
option_text(const char *name, const JsonbValue *v)
{
	switch (v->type)
	{
		case jbvString:
			return pnstrdup(v->val.string.val, v->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
		default:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" of a model must be a string or a number", name),
					 errhint("For example '{\"context\": 4096, \"kv_type\": \"f16\"}'.")));
			return NULL;
	}
}

static List *
add_options(List *options, Jsonb *given)
{
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;
	char	   *name = NULL;

	if (!JB_ROOT_IS_OBJECT(given))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options of a model must be a JSON object"),
				 errhint("For example '{\"context\": 4096, \"kv_type\": \"f16\"}'.")));
	it = JsonbIteratorInit(&given->root);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			name = pnstrdup(item.val.string.val, item.val.string.len);
			if (strcmp(name, "path") == 0 || strcmp(name, "kind") == 0 || strcmp(name, "sha256") == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("option \"%s\" is an argument of its own", name),
						 errhint("Pass it as %s => '...'.", name)));
		}
		else if (token == WJB_VALUE && name)
			options = add_option(options, name, option_text(name, &item));
	}
	return options;
}

/* the file can be opened as a model with these options; raises otherwise */
static void
check_file(const char *name, List *options)
{
	PgLlmSpec	spec;

	pgllm_catalog_spec_of(options, &spec);
	spec.name = pstrdup(name);
	pgllm_model_check(&spec);
}

static void
run_statement(const char *sql, int expected)
{
	int			result;

	SPI_connect();
	result = SPI_execute(sql, false, 0);
	if (result != expected)
		elog(ERROR, "statement returned %s: %s", SPI_result_code_string(result), sql);
	SPI_finish();
}

static void
create_server(const char *name, const ForeignDataWrapper *wrapper, List *options)
{
	StringInfoData sql;
	ListCell   *cell;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE SERVER %s FOREIGN DATA WRAPPER %s OPTIONS (", quote_identifier(name),
					 quote_identifier(wrapper->fdwname));
	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		appendStringInfo(&sql, "%s%s %s", cell == list_head(options) ? "" : ", ", quote_identifier(option->defname),
						 quote_literal_cstr(defGetString(option)));
	}
	appendStringInfoChar(&sql, ')');
	run_statement(sql.data, SPI_OK_UTILITY);
}

/* the name is free and of the right length, and the caller may create models */
static void
check_new_model(const char *name, const ForeignDataWrapper *wrapper)
{
	if (name[0] == '\0' || strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("name of a model must have 1 to %d bytes, not %zu", NAMEDATALEN - 1, strlen(name)),
				 errhint("For example llm_create_model('smollm2', 'SmolLM2-135M-Instruct.Q4_1.gguf').")));
	if (pgllm_wrapper_aclcheck(wrapper->fdwid, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to create models"),
				 errhint("A superuser can allow it: GRANT USAGE ON FOREIGN DATA WRAPPER %s TO %s;",
						 quote_identifier(wrapper->fdwname), quote_identifier(GetUserNameFromId(GetUserId(), false)))));
	if (OidIsValid(get_foreign_server_oid(name, true)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("model \"%s\" already exists", name),
				 errhint("Drop it with llm_drop_model(), or change it with ALTER SERVER.")));
}

static void
check_digest(const char *path, const char *given, const char *digest)
{
	if (given && pg_strcasecmp(given, digest) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("content of file \"%s\" does not have the given sha256", path),
				 errdetail("Its SHA-256 is %s; given was %s.", digest, given),
				 errhint("Fetch the file again, or leave sha256 out to take the file as it is.")));
}

/*
 * llm_create_model(name, path, kind, sha256, options): check name and privileges, open the file, read it for its digest, then
 * CREATE SERVER with the digest. Returns the name.
 */
Datum
pgllm_fn_llm_create_model(PG_FUNCTION_ARGS)
{
	char	   *name = required_argument(fcinfo, 0, "name");
	char	   *path = required_argument(fcinfo, 1, "path");
	char	   *kind = PG_ARGISNULL(2) ? pstrdup("auto") : text_to_cstring(PG_GETARG_TEXT_PP(2));
	char	   *sha256 = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));
	ForeignDataWrapper *wrapper = GetForeignDataWrapper(pgllm_catalog_wrapper());
	char		digest[PGLLM_DIGEST_HEX + 1];
	char	   *absolute;
	List	   *options;

	PreventCommandIfReadOnly("llm_create_model()");
	check_new_model(name, wrapper);
	absolute = pgllm_catalog_path(path, true);
	options = add_option(NIL, "path", path);
	if (strcmp(kind, "auto") != 0)
		options = add_option(options, "kind", kind);
	if (!PG_ARGISNULL(4))
		options = add_options(options, PG_GETARG_JSONB_P(4));
	if (sha256)
		pgllm_catalog_check_option("sha256", sha256);
	check_file(name, options);
	pgllm_pack_digest(absolute, digest);
	check_digest(path, sha256, digest);
	create_server(name, wrapper, add_option(options, "sha256", digest));
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/*
 * llm_store_model(name, path, sha256, options): copy the file at path into llm_model_data, or check what is there under
 * sha256, then CREATE SERVER of it. Returns the name.
 */
Datum
pgllm_fn_llm_store_model(PG_FUNCTION_ARGS)
{
	char	   *name = required_argument(fcinfo, 0, "name");
	char	   *path = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *sha256 = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	ForeignDataWrapper *wrapper = GetForeignDataWrapper(pgllm_catalog_wrapper());
	char	   *digest;
	List	   *options = NIL;

	PreventCommandIfReadOnly("llm_store_model()");
	check_new_model(name, wrapper);
	if (!path && !sha256)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a stored model needs a path or a sha256"),
				 errhint("Give the path of a file of the server, or the sha256 under which its chunks are in llm_model_data.")));
	if (sha256)
		pgllm_catalog_check_option("sha256", sha256);
	if (!PG_ARGISNULL(3))
		options = add_options(options, PG_GETARG_JSONB_P(3));
	if (path)
	{
		(void) pgllm_catalog_path(path, true);
		check_file(name, add_option(list_copy(options), "path", path));
	}
	if (path)
		digest = TextDatumGetCString(DirectFunctionCall1(pgllm_fn_llm_store_file, CStringGetTextDatum(path)));
	else
		digest = TextDatumGetCString(DirectFunctionCall1(pgllm_fn_llm_stored_digest, CStringGetTextDatum(sha256)));
	check_digest(path ? path : "", sha256, digest);
	options = add_option(add_option(options, "stored", "true"), "sha256", digest);
	create_server(name, wrapper, options);
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/* llm_drop_model(model): DROP SERVER, for servers that are models */
Datum
pgllm_fn_llm_drop_model(PG_FUNCTION_ARGS)
{
	const text *name = PG_GETARG_TEXT_PP(0);
	ForeignServer *server = GetForeignServerByName(text_to_cstring(name), true);
	PgLlmSpec	spec;

	if (server == NULL)
		(void) pgllm_catalog_find(name);	/* raises, with its hint */
	else
	{
		pgllm_catalog_spec(server->serverid, &spec);
		run_statement(psprintf("DROP SERVER %s", quote_identifier(server->servername)), SPI_OK_UTILITY);
	}
	PG_RETURN_VOID();
}

/* ---- llm_model_info ---- */

static void
append_key(StringInfo json, const char *key)
{
	if (json->len > 1)
		appendStringInfoChar(json, ',');
	escape_json(json, key);
	appendStringInfoChar(json, ':');
}

static void
append_text(StringInfo json, const char *key, const char *value)
{
	append_key(json, key);
	if (value)
		escape_json(json, value);
	else
		appendStringInfoString(json, "null");
}

static void
append_number(StringInfo json, const char *key, uint64 value)
{
	append_key(json, key);
	appendStringInfo(json, UINT64_FORMAT, value);
}

static void
append_bool(StringInfo json, const char *key, bool value)
{
	append_key(json, key);
	appendStringInfoString(json, value ? "true" : "false");
}

/* a metadata string as text in server encoding; NULL if the model has none */
static char *
meta_text(const LlmModel *model, const char *key)
{
	LlmStr		value = {0};
	LlmError	err;

	if (llm_meta_string(&model->pack.meta, key, false, &value, &err) != LLM_OK || value.data == NULL)
		return NULL;
	return text_to_cstring(pgllm_from_utf8(value.data, value.len));
}

static void
append_model(StringInfo json, const PgLlmModel *use, const char *own_template)
{
	const LlmModel *model = use->model;

	append_text(json, "kind", pgllm_kind_name(use->kind));
	append_text(json, "architecture", model->arch->name);
	append_text(json, "title", meta_text(model, "general.name"));
	append_text(json, "license", meta_text(model, "general.license"));
	append_number(json, "parameters", llm_model_parameters(model));
	append_text(json, "quantization", llm_model_quantization(model));
	append_number(json, "layers", model->hp.n_layer);
	append_number(json, "embedding_length", model->hp.n_embd);
	append_number(json, "heads", model->hp.n_head);
	append_number(json, "key_value_heads", model->hp.n_head_kv);
	append_number(json, "vocabulary", model->hp.n_vocab);
	append_text(json, "tokenizer", llm_tokenizer_kind(model->tokenizer));
	append_number(json, "context_trained", model->hp.n_ctx_train);
	append_number(json, "context", model->n_ctx);
	append_text(json, "kv_type", llm_kv_type_name(model->kv_type));
	append_bool(json, "has_chat_template", model->chat_template != NULL);
	append_text(json, "chat_template", own_template ? own_template : meta_text(model, "tokenizer.chat_template"));
	append_text(json, "digest", use->digest);
	append_number(json, "source_bytes", model->pack.source_bytes);
	append_number(json, "packed_bytes", model->pack.size);
	append_text(json, "cpu_kernels", model->kernels->name);
	append_bool(json, "supported", true);
}

/*
 * What opening the model says; false with the error if this version cannot compute it. Other errors are raised.
 * own_template: the option chat_template, or NULL.
 */
static bool
open_or_reason(const text *name, const char *own_template, StringInfo json, ErrorData **reason)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool opened = false;

	/* a subtransaction, so that what an error leaves behind is released */
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		append_model(json, pgllm_model_open(name), own_template);
		ReleaseCurrentSubTransaction();
		opened = true;
	}
	PG_CATCH();
	{
		*reason = pgllm_end_failed_subtransaction(context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (!opened && (*reason)->sqlerrcode != ERRCODE_FEATURE_NOT_SUPPORTED)
		ReThrowError(*reason);
	return opened;
}

/*
 * llm_model_info(model): opens it. A model that this version cannot compute is answered with supported: false and the
 * reason; a file that is missing or damaged raises as in every other function.
 */
Datum
pgllm_fn_llm_model_info(PG_FUNCTION_ARGS)
{
	const text *name = PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0);
	PgLlmSpec	spec;
	StringInfoData json;
	ErrorData  *reason = NULL;
	char	   *own_template = NULL;

	pgllm_catalog_spec(pgllm_catalog_find(name), &spec);
	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	append_text(&json, "name", spec.name);
	append_text(&json, "path", spec.path);
	if (spec.chat_template)
		own_template = text_to_cstring(pgllm_from_utf8(spec.chat_template, strlen(spec.chat_template)));
	if (!open_or_reason(name, own_template, &json, &reason))
	{
		append_bool(&json, "supported", false);
		append_text(&json, "reason", reason->message);
		append_text(&json, "reason_detail", reason->detail);
	}
	appendStringInfoChar(&json, '}');
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data)));
}

/* ---- llm_supported ---- */

static void
put_supported(ReturnSetInfo *rsinfo, const char *what, const char *name, const char *note)
{
	Datum		values[3] = {CStringGetTextDatum(what), CStringGetTextDatum(name), CStringGetTextDatum(note)};
	bool		nulls[3] = {false, false, false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

Datum
pgllm_fn_llm_supported(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	uint32_t	features = llmk_cpu_features();
	const LlmKernels *active = llmk_select(pgllm_cpu_kernels, features);
	int			n_tokenizers;
	const LlmTokenizerKindInfo *tokenizers = llm_tokenizer_kinds(&n_tokenizers);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < llm_arch_count(); i++)
		put_supported(rsinfo, "architecture", llm_arch_get(i)->name, llm_arch_get(i)->note);
	for (uint32_t type = 0; type < LLM_TYPE_COUNT; type++)
	{
		const LlmTypeInfo *info = llmk_type_info(type);

		if (info && info->decoded)
			put_supported(rsinfo, "tensor type", info->name,
						  info->quantized ? "multiplied as 8-bit integers" : "multiplied as 32-bit floats");
	}
	for (int i = 0; i < n_tokenizers; i++)
		put_supported(rsinfo, "tokenizer", tokenizers[i].name, tokenizers[i].note);
	for (int i = 0; i < llmk_level_count(); i++)
	{
		const LlmKernels *level = llmk_level(i);

		put_supported(rsinfo, "CPU level", level->name,
					  level == active ? "in use" :
					  (level->required & ~features) == 0 ? "possible here" : "not possible on this processor");
	}
	put_supported(rsinfo, "device", "cpu", pgllm_thread_count() == 1 ? "1 thread" : psprintf("%d threads", pgllm_thread_count()));
	return (Datum) 0;
}

/* ---- llm_open_models ---- */

Datum
pgllm_fn_llm_open_models(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	PgLlmOpenModelInfo *infos;
	int			n = pgllm_models_open(&infos);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < n; i++)
	{
		Datum		values[3] = {ObjectIdGetDatum(infos[i].server_oid), CStringGetTextDatum(infos[i].digest),
		Int64GetDatum((int64) infos[i].packed_bytes)};
		bool		nulls[3] = {false, false, false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
