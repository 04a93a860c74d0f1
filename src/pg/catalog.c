/*
 * catalog.c: models as foreign servers: what their options may say, whose they are, and how a name finds one.
 *
 * A server is a model if its foreign data wrapper belongs to the extension; the wrapper's own name does not matter, so
 * that it can be renamed. The validator runs at CREATE and ALTER SERVER, and when a dump is restored: it checks syntax,
 * ranges and privileges, and opens no file. What a wrapper is called with is checked here alone.
 */
#include "models.h"

#include <errno.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_model_validator);

#define MAX_PATH_BYTES  (sizeof(((LlmFile *) NULL)->path) - 1)
#define MAX_CONTEXT  PG_INT32_MAX

static Oid	wrapper_oid = InvalidOid;	/* InvalidOid: to be looked up */

/* ---- the wrapper ---- */

static void
forget_wrapper(Datum arg, int cache, uint32 hash)
{
	wrapper_oid = InvalidOid;
}

void
pgllm_catalog_register(void)
{
	CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, forget_wrapper, (Datum) 0);
}

/* whether that foreign data wrapper was made by CREATE EXTENSION pg_llm */
static bool
wrapper_is_ours(Oid oid)
{
	Oid			extension;

	if (OidIsValid(wrapper_oid))
		return oid == wrapper_oid;
	extension = get_extension_oid("pg_llm", true);
	if (!OidIsValid(extension) || getExtensionOfObject(ForeignDataWrapperRelationId, oid) != extension)
		return false;
	wrapper_oid = oid;
	return true;
}

Oid
pgllm_catalog_wrapper(void)
{
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			found = InvalidOid;

	if (OidIsValid(wrapper_oid))
		return wrapper_oid;
	rel = table_open(ForeignDataWrapperRelationId, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (!OidIsValid(found) && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Oid			oid = ((Form_pg_foreign_data_wrapper) GETSTRUCT(tuple))->oid;

		if (wrapper_is_ours(oid))
			found = oid;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	if (!OidIsValid(found))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension pg_llm has no foreign data wrapper in this database"),
				 errhint("Run CREATE EXTENSION pg_llm.")));
	return found;
}

/* ---- options ---- */

/* whether a component of the path is "..": not simplified before, as a/../b is not b when a is a link */
static bool
has_parent_component(const char *path)
{
	for (const char *at = path; (at = strstr(at, "..")) != NULL; at++)
		if ((at == path || IS_DIR_SEP(at[-1])) && (at[2] == '\0' || IS_DIR_SEP(at[2])))
			return true;
	return false;
}

char *
pgllm_catalog_path(const char *path, bool check_privilege)
{
	bool		outside = is_absolute_path(path) || has_parent_component(path);
	char	   *absolute;

	if (path[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("path of a model is empty"),
				 errhint("Give the path of a model file, relative to pg_llm.model_path.")));
	if (check_privilege && outside && !has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for model path \"%s\"", path),
				 errdetail("Only roles with privileges of pg_read_server_files may use absolute paths and paths with \"..\"."),
				 errhint("Give a path relative to pg_llm.model_path.")));
	if (pgllm_model_path[0] == '\0' && !is_absolute_path(path))
		ereport(ERROR,
				(errcode(ERRCODE_CONFIG_FILE_ERROR),
				 errmsg("pg_llm.model_path is empty, and path \"%s\" is relative to it", path),
				 errhint("A superuser can set it to the folder of models, or reset it.")));
	if (is_absolute_path(path))
		absolute = pstrdup(path);
	else if (is_absolute_path(pgllm_model_path))
		absolute = psprintf("%s/%s", pgllm_model_path, path);
	else
		absolute = psprintf("%s/%s/%s", DataDir, pgllm_model_path, path);
	if (strlen(absolute) > MAX_PATH_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("path of a model is too long"),
				 errdetail("With pg_llm.model_path before it, it has %zu bytes; at most %zu are possible.",
						   strlen(absolute), MAX_PATH_BYTES),
				 errhint("Move the file, or make a link to it, where its path is shorter.")));
	return absolute;
}

static void
bad_value(const char *option, const char *value, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", option, value),
			 errhint("%s", expected)));
}

static void
read_path(const char *value, PgLlmSpec *spec)
{
	spec->path = pgllm_catalog_path(value, false);
}

static void
read_kind(const char *value, PgLlmSpec *spec)
{
	if (strcmp(value, "auto") != 0 && strcmp(value, "generate") != 0)
		bad_value("kind", value, "Valid kinds are auto and generate.");
	spec->kind = PGLLM_KIND_GENERATE;
}

static void
read_context(const char *value, PgLlmSpec *spec)
{
	char	   *end;
	long		n;

	errno = 0;
	n = strtol(value, &end, 10);
	if (errno != 0 || end == value || *end != '\0' || n < 1 || n > MAX_CONTEXT)
		bad_value("context", value, "Give the largest number of tokens of a sequence, from 1 to 2147483647.");
	spec->context = (uint32_t) n;
}

static void
read_kv_type(const char *value, PgLlmSpec *spec)
{
	if (strcmp(value, "f16") == 0)
		spec->kv_type = LLM_KV_F16;
	else if (strcmp(value, "f32") == 0)
		spec->kv_type = LLM_KV_F32;
	else
		bad_value("kv_type", value, "Valid types of the key/value cache are f16 and f32.");
}

static void
read_sha256(const char *value, PgLlmSpec *spec)
{
	if (strlen(value) != PGLLM_DIGEST_HEX || strspn(value, "0123456789abcdefABCDEF") != PGLLM_DIGEST_HEX)
		bad_value("sha256", value, "Give the SHA-256 of the file's content as 64 hexadecimal digits.");
	for (int i = 0; i <= PGLLM_DIGEST_HEX; i++)
		spec->sha256[i] = pg_ascii_tolower((unsigned char) value[i]);
}

/* syntax is checked here, as a template that fails would fail in every call */
static void
read_chat_template(const char *value, PgLlmSpec *spec)
{
	LlmStr		utf8 = pgllm_cstring_to_utf8(value);
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "pg_llm template", ALLOCSET_DEFAULT_SIZES);
	LlmTemplate *compiled;
	LlmStatus	status;
	LlmError	err;

	if (utf8.len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"chat_template\" must not be empty"),
				 errhint("Leave the option out to use the model's own template.")));
	status = llm_template_compile(utf8.data, utf8.len, pgllm_allocator(work), &compiled, &err);
	if (status == LLM_E_FORMAT || status == LLM_E_UNSUPPORTED)
	{
		/* the file has nothing to do with it */
		err.status = LLM_E_ARGUMENT;
		llm_error_hint(&err, "Correct the option \"chat_template\", or leave it out to use the model's own template.");
	}
	if (status != LLM_OK)
		pgllm_raise(&err);
	llm_template_free(compiled);
	MemoryContextDelete(work);
	spec->chat_template = pnstrdup(utf8.data, utf8.len);
}

/* options of a server; read checks a value and puts it into the spec */
static const struct
{
	const char *name;
	void		(*read) (const char *value, PgLlmSpec *spec);
}			server_options[] =
{
	{"path", read_path},
	{"kind", read_kind},
	{"context", read_context},
	{"kv_type", read_kv_type},
	{"sha256", read_sha256},
	{"chat_template", read_chat_template},
};

static void
read_option(const char *name, const char *value, PgLlmSpec *spec)
{
	for (int i = 0; i < (int) lengthof(server_options); i++)
		if (strcmp(server_options[i].name, name) == 0)
		{
			server_options[i].read(value, spec);
			return;
		}
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 errhint("Options of a model are path, kind, context, kv_type, sha256 and chat_template.")));
}

void
pgllm_catalog_check_option(const char *name, const char *value)
{
	PgLlmSpec	ignored = {0};

	read_option(name, value, &ignored);
}

static void
read_options(List *options, PgLlmSpec *spec)
{
	ListCell   *cell;

	spec->kind = PGLLM_KIND_GENERATE;
	spec->kv_type = LLM_KV_F16;
	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		read_option(option->defname, defGetString(option), spec);
	}
	if (spec->path == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"path\" is required for a model"),
				 errhint("Give the path of a model file, relative to pg_llm.model_path.")));
}

/*
 * llm_model_validator(options text[], catalog oid): called for everything that is made of our wrapper. A server is a
 * model; there is nothing to be found in a foreign table, and no login that a user mapping could hold.
 */
Datum
pgllm_fn_llm_model_validator(PG_FUNCTION_ARGS)
{
	List	   *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);
	PgLlmSpec	spec = {0};
	ListCell   *cell;

	if (catalog == ForeignTableRelationId)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a model cannot have foreign tables"),
				 errhint("Models are used by functions, for example llm_generate(prompt, 'model').")));
	if (catalog == UserMappingRelationId)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a model cannot have user mappings"),
				 errhint("Allow a role to use a model with GRANT USAGE ON FOREIGN SERVER.")));
	if (catalog == ForeignServerRelationId)
	{
		read_options(options, &spec);
		foreach(cell, options)
		{
			DefElem    *option = lfirst_node(DefElem, cell);

			if (strcmp(option->defname, "path") == 0)
				(void) pgllm_catalog_path(defGetString(option), true);
		}
	}
	else if (options != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", linitial_node(DefElem, options)->defname),
				 errhint("Only servers of this wrapper, which are models, have options.")));
	PG_RETURN_VOID();
}

/* ---- from name to model ---- */

static void
raise_not_found(const char *name)
{
	char	   *lower = str_tolower(name, strlen(name), DEFAULT_COLLATION_OID);
	ForeignServer *server = strcmp(lower, name) == 0 ? NULL : GetForeignServerByName(lower, true);
	bool		meant = server != NULL && wrapper_is_ours(server->fdwid);

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("model \"%s\" does not exist", name),
			 meant ? errhint("There is a model \"%s\"; names are exact.", lower)
			 : errhint("The view llm_models lists the models of this database; llm_create_model() makes one.")));
}

Oid
pgllm_catalog_find(const text *name)
{
	char	   *c_name = name ? text_to_cstring(name) : pgllm_default_model;
	Oid			oid;

	if (c_name[0] == '\0' && !name)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("no model is named, and pg_llm.default_model is not set"),
				 errhint("Name a model in the call, or SET pg_llm.default_model.")));
	oid = get_foreign_server_oid(c_name, true);
	if (!OidIsValid(oid))
		raise_not_found(c_name);
	if (pgllm_server_aclcheck(oid, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for model \"%s\"", c_name),
				 errhint("Its owner can allow it: GRANT USAGE ON FOREIGN SERVER %s TO %s;",
						 quote_identifier(c_name), quote_identifier(GetUserNameFromId(GetUserId(), false)))));
	return oid;
}

void
pgllm_catalog_spec(Oid server_oid, PgLlmSpec *spec)
{
	ForeignServer *server = GetForeignServer(server_oid);

	if (!wrapper_is_ours(server->fdwid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("foreign server \"%s\" is not a model", server->servername),
				 errhint("The view llm_models lists the models of this database.")));
	memset(spec, 0, sizeof(*spec));
	spec->server_oid = server_oid;
	spec->name = server->servername;
	read_options(server->options, spec);
}

void
pgllm_catalog_check_owner(const PgLlmSpec *spec)
{
	if (!pgllm_server_ownercheck(spec->server_oid, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of model \"%s\"", spec->name),
				 errhint("Its owner or a superuser can do that.")));
}
