/*
 * own_tables.c: the extension's own tables, and working on them as their owner.
 *
 * Roles may use what lies in these tables without a right to read them, so statements on them run as their owner, mostly a
 * superuser. Whoever calls us chooses the search_path. So nothing is looked up by it: tables are found in the catalogs, by
 * membership of the extension, and while a statement runs as the owner only pg_catalog is searched. An operator or a
 * function of the caller could otherwise be run with the owner's rights.
 */
#include "own_tables.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* the schema of an extension; InvalidOid: there is no such extension */
static Oid
schema_of(Oid extension)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			schema = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(extension));
	scan = systable_beginscan(rel, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		schema = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return schema;
}

static Oid
owner_of(Oid table)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "could not find table %u", table);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

PgLlmOwnTable
pgllm_own_table(const char *name)
{
	Oid			extension = get_extension_oid("pg_llm", true);
	Oid			schema = OidIsValid(extension) ? schema_of(extension) : InvalidOid;
	Oid			table = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;

	if (!OidIsValid(table) || getExtensionOfObject(RelationRelationId, table) != extension)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s of extension pg_llm does not exist", name),
				 errhint("Run CREATE EXTENSION pg_llm, or ALTER EXTENSION pg_llm UPDATE.")));
	return (PgLlmOwnTable) {
		.oid = table,
		.owner = owner_of(table),
		.name = quote_qualified_identifier(get_namespace_name(schema), name),
	};
}

void
pgllm_become_owner(const PgLlmOwnTable *table, PgLlmFormerUser *former)
{
	GetUserIdAndSecContext(&former->user, &former->context);
	former->settings = NewGUCNestLevel();
	SetUserIdAndSecContext(table->owner, former->context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

void
pgllm_become_former(const PgLlmFormerUser *former)
{
	AtEOXact_GUC(true, former->settings);
	SetUserIdAndSecContext(former->user, former->context);
}
