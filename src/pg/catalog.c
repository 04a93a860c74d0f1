/*
 * catalog.c: models as foreign servers: what their options may say, whose they are, and how a name finds one.
 *
 * A server is a model if its foreign data wrapper belongs to the extension; the wrapper's own name does not matter, so
 * that it can be renamed. The validator runs at CREATE and ALTER SERVER, and when a dump is restored: it checks syntax,
 * ranges and privileges, and opens no file. What a wrapper is called with is checked here alone.
 */
#include "models.h"
#include "model/rope_options.h"
#include "state/kv_pages.h"

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
#include "utils/varlena.h"

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

static const struct
{
	const char *name;
	PgLlmKind	kind;
}			kinds[] =
{
	{"auto", PGLLM_KIND_AUTO},
	{"generate", PGLLM_KIND_GENERATE},
	{"embed", PGLLM_KIND_EMBED},
	{"rerank", PGLLM_KIND_RERANK},
};

const char *
pgllm_kind_name(PgLlmKind kind)
{
	int			i = 0;

	while (kinds[i].kind != kind)
		i++;
	return kinds[i].name;
}

static void
read_path(const char *value, PgLlmSpec *spec)
{
	spec->path = pgllm_catalog_path(value, false);
}

static void
read_stored(const char *value, PgLlmSpec *spec)
{
	if (!parse_bool(value, &spec->stored))
		bad_value("stored", value, "Give true for a model in the table llm_model_data, or leave the option out.");
}

static void
read_kind(const char *value, PgLlmSpec *spec)
{
	for (int i = 0; i < (int) lengthof(kinds); i++)
		if (strcmp(value, kinds[i].name) == 0)
		{
			spec->kind = kinds[i].kind;
			return;
		}
	bad_value("kind", value, "Valid kinds are auto, generate, embed and rerank.");
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
	if (!llm_kv_type_find(value, &spec->kv_type))
		bad_value("kv_type", value, "Valid types of the key/value cache are f32, f16 and q8.");
}

/* entries of a list separated by commas; one that holds a comma is in double quotes */
static List *
list_of(const char *option, const char *value)
{
	List	   *entries;

	if (!SplitDirectoriesString(pstrdup(value), ',', &entries) || entries == NIL || list_length(entries) > PGLLM_MAX_LORA)
		bad_value(option, value, "Give 1 to 8 entries separated by commas.");
	return entries;
}

static void
read_lora(const char *value, PgLlmSpec *spec)
{
	List	   *paths = list_of("lora", value);
	ListCell   *cell;

	foreach(cell, paths)
		spec->lora_path[spec->n_lora++] = pgllm_catalog_path(lfirst(cell), false);
}

static void
read_lora_scale(const char *value, PgLlmSpec *spec)
{
	List	   *numbers = list_of("lora_scale", value);
	ListCell   *cell;

	foreach(cell, numbers)
	{
		char	   *end;
		double		d = strtod(lfirst(cell), &end);

		if (end == (char *) lfirst(cell) || *end != '\0' || !(d >= -1000 && d <= 1000))
			bad_value("lora_scale", value, "Give a number from -1000 to 1000, or one for each adapter, separated by commas.");
		spec->lora_scale[spec->n_lora_scale++] = d;
	}
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

/* an empty one says that there is none */
static void
read_query_prefix(const char *value, PgLlmSpec *spec)
{
	LlmStr		utf8 = pgllm_cstring_to_utf8(value);

	spec->query_prefix = pnstrdup(utf8.data, utf8.len);
}

static void
read_document_prefix(const char *value, PgLlmSpec *spec)
{
	LlmStr		utf8 = pgllm_cstring_to_utf8(value);

	spec->document_prefix = pnstrdup(utf8.data, utf8.len);
}

/* options of a server; read checks a value and puts it into the spec */
static const struct
{
	const char *name;
	void		(*read) (const char *value, PgLlmSpec *spec);
	bool		of_content;		/* says where the content is, or which */
}			server_options[] =
{
	{"path", read_path, true},
	{"stored", read_stored, true},
	{"kind", read_kind},
	{"context", read_context},
	{"kv_type", read_kv_type},
	{"sha256", read_sha256, true},
	{"chat_template", read_chat_template},
	{"lora", read_lora},
	{"lora_scale", read_lora_scale},
	{"query_prefix", read_query_prefix},
	{"document_prefix", read_document_prefix},
};

static void
read_option(const char *name, const char *value, bool by_content, PgLlmSpec *spec)
{
	for (int i = 0; i < (int) lengthof(server_options); i++)
		if (strcmp(server_options[i].name, name) == 0)
		{
			if (server_options[i].of_content || !by_content)
				server_options[i].read(value, spec);
			return;
		}
	if (llm_rope_option_known(name))
	{
		LlmError	err;

		if (by_content)
			return;
		if (llm_rope_option_set(&spec->rope, name, value, &err) != LLM_OK)
			bad_value(name, value, err.hint);
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 errhint("Options of a model are path, stored, kind, context, kv_type, sha256, chat_template, query_prefix, document_prefix, lora, "
					 "lora_scale, rope_scaling, rope_freq_base, rope_freq_scale, yarn_orig_ctx, yarn_ext_factor, yarn_attn_factor, "
					 "yarn_beta_fast and yarn_beta_slow.")));
}

void
pgllm_catalog_check_option(const char *name, const char *value)
{
	PgLlmSpec	ignored = {0};

	read_option(name, value, false, &ignored);
}

static void
read_options(List *options, bool by_content, PgLlmSpec *spec)
{
	ListCell   *cell;

	spec->kind = PGLLM_KIND_AUTO;
	spec->kv_type = LLM_KV_F16;
	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		read_option(option->defname, defGetString(option), by_content, spec);
	}
	if (spec->n_lora_scale > 1 && spec->n_lora_scale != spec->n_lora)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"lora_scale\" has %d numbers for %d adapters", spec->n_lora_scale, spec->n_lora),
				 errhint("Give one number for all, or one for each path of the option lora.")));
	if (spec->n_lora_scale > 0 && spec->n_lora == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"lora_scale\" needs the option \"lora\""),
				 errhint("Give the path of an adapter, or leave lora_scale out.")));
	for (int i = 0; i < spec->n_lora; i++)
		spec->lora_scale[i] = spec->n_lora_scale == 0 ? 1 : spec->lora_scale[spec->n_lora_scale == 1 ? 0 : i];
	if (spec->stored && (spec->path != NULL || spec->sha256[0] == '\0'))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg(spec->path ? "a stored model cannot have the option \"path\"" : "a stored model needs the option \"sha256\""),
				 errhint("The option sha256 names its content in the table llm_model_data; llm_store_model() sets it.")));
	if (spec->stored)
		spec->path = pgllm_stored_path(spec->sha256);
	if (spec->path == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"path\" is required for a model"),
				 errhint("Give the path of a model file, relative to pg_llm.model_path.")));
}

void
pgllm_catalog_spec_of(List *options, PgLlmSpec *spec)
{
	memset(spec, 0, sizeof(*spec));
	read_options(options, false, spec);
}

static void
check_paths(const List *paths)
{
	const ListCell *cell;

	foreach(cell, paths)
		(void) pgllm_catalog_path(lfirst(cell), true);
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
		read_options(options, false, &spec);
		foreach(cell, options)
		{
			DefElem    *option = lfirst_node(DefElem, cell);

			if (strcmp(option->defname, "path") == 0)
				(void) pgllm_catalog_path(defGetString(option), true);
			if (strcmp(option->defname, "lora") == 0)
				check_paths(list_of("lora", defGetString(option)));
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

const char *
pgllm_catalog_default(int allowed, const char **setting)
{
	if ((allowed & PGLLM_KIND_GENERATE) && (allowed != PGLLM_KIND_ANY || pgllm_default_embedding_model[0] == '\0'))
	{
		*setting = "pg_llm.default_model";
		return pgllm_default_model;
	}
	if (allowed & PGLLM_KIND_EMBED)
	{
		*setting = "pg_llm.default_embedding_model";
		return pgllm_default_embedding_model;
	}
	*setting = "pg_llm.default_rerank_model";
	return pgllm_default_rerank_model;
}

Oid
pgllm_catalog_find(const text *name)
{
	return pgllm_catalog_find_kind(name, PGLLM_KIND_GENERATE);
}

Oid
pgllm_catalog_find_kind(const text *name, int allowed)
{
	const char *setting;
	const char *c_name = name ? text_to_cstring(name) : pgllm_catalog_default(allowed, &setting);
	Oid			oid;

	if (c_name[0] == '\0' && !name)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("no model is named, and %s is not set", setting),
				 errhint("Name a model in the call, or SET %s.", setting)));
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

static void
read_server(Oid server_oid, bool by_content, PgLlmSpec *spec)
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
	read_options(server->options, by_content, spec);
}

void
pgllm_catalog_spec(Oid server_oid, PgLlmSpec *spec)
{
	read_server(server_oid, false, spec);
}

void
pgllm_catalog_spec_content(Oid server_oid, PgLlmSpec *spec)
{
	read_server(server_oid, true, spec);
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
