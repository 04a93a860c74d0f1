/*
 * enrich_target.c: the table that an enrichment writes to, by what its rows are known, and statements over it.
 *
 * Rows are known by the primary key, else by a unique index over columns that are NOT NULL, and taken in its order. A place
 * (ctid) is no substitute: a row that is written moves, to where it would be met again or never, and a job could not be
 * resumed. All names and operators in statements are qualified, so that a search_path cannot change what the range of a chunk
 * means; only the caller's own texts are read by it.
 */
#include "enrich/enrich.h"

#include "access/genam.h"
#include "access/nbtree.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "rewrite/prs2lock.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* ---- what can be enriched ---- */

static void
refuse(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("%s", message),
			 errhint("%s", hint)));
}

static void
check_partitions(Relation rel)
{
	List	   *oids = find_all_inheritors(RelationGetRelid(rel), NoLock, NULL);
	ListCell   *cell;

	foreach(cell, oids)
		if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_FOREIGN_TABLE)
			refuse(psprintf("partition \"%s\" of table \"%s\" is a foreign table", get_rel_name(lfirst_oid(cell)), RelationGetRelationName(rel)),
				   "Enrich each partition that is not foreign, and the others on their own server.");
}

static void
check_relation(Relation rel)
{
	const char *name = RelationGetRelationName(rel);

	switch (rel->rd_rel->relkind)
	{
		case RELKIND_RELATION:
			if (rel->rd_rel->relhassubclass && find_inheritance_children(RelationGetRelid(rel), NoLock) != NIL)
				refuse(psprintf("table \"%s\" has tables that inherit from it", name), "Enrich each of these tables by itself.");
			break;
		case RELKIND_PARTITIONED_TABLE:
			check_partitions(rel);
			break;
		case RELKIND_VIEW:
		case RELKIND_MATVIEW:
			refuse(psprintf("\"%s\" is a view", name), "Enrich the table that it shows.");
			break;
		case RELKIND_FOREIGN_TABLE:
			refuse(psprintf("\"%s\" is a foreign table", name), "Enrich the table on its own server, or a local copy.");
			break;
		default:
			refuse(psprintf("\"%s\" is not a table", name), "Name a table.");
	}
	if (rel->rd_rules != NULL)
		refuse(psprintf("table \"%s\" has rules", name), "Replace the rules by triggers.");
	if (RELATION_IS_OTHER_TEMP(rel))
		refuse(psprintf("\"%s\" is a temporary table of another session", name), "Enrich it there.");
}

static AttrNumber
find_column(Relation rel, const char *column)
{
	AttrNumber	attnum = get_attnum(RelationGetRelid(rel), column);

	if (attnum == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table \"%s\" does not exist", column, RelationGetRelationName(rel)),
				 errhint("Add it: ALTER TABLE %s ADD COLUMN %s text.", quote_identifier(RelationGetRelationName(rel)), quote_identifier(column))));
	if (attnum < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("cannot write to system column \"%s\"", column),
				 errhint("Name a column of the table.")));
	if (TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attgenerated != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("column \"%s\" is a generated column", column),
				 errhint("Name a column that can be written to.")));
	return attnum;
}

/* ---- the key ---- */

/* the operator of the default ordering of a type, if equal values there are equal in this index */
static bool
key_operators(Oid opfamily, Oid opcintype, Oid type, Oid *namespace)
{
	const TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);
	static const struct
	{
		StrategyNumber strategy;
		const char *name;
	}			wanted[] = {{BTGreaterStrategyNumber, ">"}, {BTLessEqualStrategyNumber, "<="}, {BTEqualStrategyNumber, "="}};

	if (cache->btree_opf != opfamily)
		return false;
	for (int i = 0; i < (int) lengthof(wanted); i++)
	{
		Oid			operator = get_opfamily_member(opfamily, opcintype, opcintype, wanted[i].strategy);
		HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
		bool		fits;

		if (!HeapTupleIsValid(tuple))
			return false;
		fits = strcmp(NameStr(((Form_pg_operator) GETSTRUCT(tuple))->oprname), wanted[i].name) == 0 &&
			(*namespace == InvalidOid || *namespace == ((Form_pg_operator) GETSTRUCT(tuple))->oprnamespace);
		*namespace = ((Form_pg_operator) GETSTRUCT(tuple))->oprnamespace;
		ReleaseSysCache(tuple);
		if (!fits)
			return false;
	}
	return true;
}

/* fills the target's key from an index if it is one that rows can be known and ordered by */
static bool
key_from_index(Relation rel, Relation index, PgLlmEnrichTarget *target)
{
	const Form_pg_index form = index->rd_index;
	Oid			namespace = InvalidOid;

	if (!form->indisunique || !form->indimmediate || !form->indisvalid || index->rd_rel->relam != BTREE_AM_OID ||
		form->indnkeyatts > PGLLM_ENRICH_KEYS || RelationGetIndexPredicate(index) != NIL)
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		AttrNumber	attnum = form->indkey.values[i];
		Form_pg_attribute att;
		PgLlmEnrichKey *key = &target->keys[i];

		if (attnum <= 0)
			return false;		/* an expression */
		att = TupleDescAttr(RelationGetDescr(rel), attnum - 1);
		if (!att->attnotnull || index->rd_indcollation[i] != att->attcollation ||
			!key_operators(index->rd_opfamily[i], index->rd_opcintype[i], att->atttypid, &namespace) ||
			!OidIsValid(get_array_type(att->atttypid)))
			return false;
		key->column = pstrdup(NameStr(att->attname));
		key->type = att->atttypid;
		key->len = att->attlen;
		key->by_value = att->attbyval;
		key->align = att->attalign;
	}
	target->n_keys = form->indnkeyatts;
	target->operators = pstrdup(quote_identifier(get_namespace_name(namespace)));
	return true;
}

static bool
try_index(Relation rel, Oid oid, PgLlmEnrichTarget *target)
{
	Relation	index = index_open(oid, AccessShareLock);
	bool		fits = key_from_index(rel, index, target);

	index_close(index, AccessShareLock);
	return fits;
}

static void
find_key(Relation rel, PgLlmEnrichTarget *target)
{
	List	   *indexes = RelationGetIndexList(rel);	/* finds the primary key too */
	Oid			constraint;
	ListCell   *cell;

	if (OidIsValid(rel->rd_pkindex) && try_index(rel, rel->rd_pkindex, target))
		return;
	foreach(cell, indexes)
		if (try_index(rel, lfirst_oid(cell), target))
			return;
	if (get_primary_key_attnos(RelationGetRelid(rel), true, &constraint) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of table \"%s\" cannot be taken by its primary key", RelationGetRelationName(rel)),
				 errdetail("A key that can be used has at most %d columns, none of an array type or with another collation than the column's, and is not deferrable.",
						   PGLLM_ENRICH_KEYS),
				 errhint("Give the table another key: ALTER TABLE %s ADD COLUMN row_id bigint GENERATED ALWAYS AS IDENTITY UNIQUE.",
						 quote_identifier(RelationGetRelationName(rel)))));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" has no primary key", RelationGetRelationName(rel)),
			 errdetail("Rows are known by a primary key, or by a unique index over columns that are NOT NULL; so that none is left out or computed twice."),
			 errhint("Give it one: ALTER TABLE %s ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY.",
					 quote_identifier(RelationGetRelationName(rel)))));
}

static void
write_key_list(PgLlmEnrichTarget *target)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < target->n_keys; i++)
		appendStringInfo(&list, "%s%s.%s", i ? ", " : "", target->qualifier, quote_identifier(target->keys[i].column));
	target->key_list = list.data;
}

PgLlmEnrichTarget *
pgllm_enrich_target_open(const PgLlmEnrich *call)
{
	PgLlmEnrichTarget *target = palloc0(sizeof(PgLlmEnrichTarget));
	Relation	rel = try_relation_open(call->relid, AccessShareLock);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table with OID %u does not exist", call->relid),
				 errhint("It was dropped; llm_drop_job() removes the job.")));
	check_relation(rel);
	target->column_type = TupleDescAttr(RelationGetDescr(rel), find_column(rel, call->column) - 1)->atttypid;
	find_key(rel, target);
	for (int i = 0; i < target->n_keys; i++)
		if (strcmp(target->keys[i].column, call->column) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("column \"%s\" is part of the key that rows are known by", call->column),
					 errhint("Write to another column.")));
	target->qualifier = pstrdup(quote_identifier(RelationGetRelationName(rel)));
	target->table = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)), RelationGetRelationName(rel));
	target->column = pstrdup(quote_identifier(call->column));
	write_key_list(target);
	relation_close(rel, NoLock);
	return target;
}

/* EXPLAIN checks names, types and privileges, and runs neither models nor triggers */
void
pgllm_enrich_target_check(const PgLlmEnrich *call, const PgLlmEnrichTarget *target)
{
	MemoryContext context = CurrentMemoryContext;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "EXPLAIN (COSTS OFF) UPDATE %s SET %s = (\n%s\n)", target->table, target->column, call->expression);
	if (call->where != NULL)
		appendStringInfo(&sql, " WHERE (\n%s\n)", call->where);
	if (SPI_execute(sql.data, false, 0) < 0)
		elog(ERROR, "could not explain \"%s\"", sql.data);
	MemoryContextSwitchTo(context);
	pfree(sql.data);
}

/* ---- keys as text ---- */

ArrayType *
pgllm_enrich_key_columns(const PgLlmEnrichTarget *target)
{
	Datum		names[PGLLM_ENRICH_KEYS];

	for (int i = 0; i < target->n_keys; i++)
		names[i] = CStringGetTextDatum(target->keys[i].column);
	return construct_array(names, target->n_keys, TEXTOID, -1, false, TYPALIGN_INT);
}

/* settings under which text means the same for everybody, as pg_dump and postgres_fdw use them; AtEOXact_GUC ends them */
static int
plain_settings(void)
{
	int			level = NewGUCNestLevel();
	static const char *const settings[][2] = {
		{"datestyle", "ISO"}, {"intervalstyle", "postgres"}, {"extra_float_digits", "3"}, {"bytea_output", "hex"},
	{"lc_monetary", "C"}, {"search_path", "pg_catalog"}};

	for (int i = 0; i < (int) lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return level;
}

ArrayType *
pgllm_enrich_key_out(const PgLlmEnrichTarget *target, const Datum *key)
{
	int			level = plain_settings();
	Datum		texts[PGLLM_ENRICH_KEYS];

	for (int i = 0; i < target->n_keys; i++)
	{
		Oid			function;
		bool		is_varlena;

		getTypeOutputInfo(target->keys[i].type, &function, &is_varlena);
		texts[i] = CStringGetTextDatum(OidOutputFunctionCall(function, key[i]));
	}
	AtEOXact_GUC(true, level);
	return construct_array(texts, target->n_keys, TEXTOID, -1, false, TYPALIGN_INT);
}

Datum *
pgllm_enrich_key_in(const PgLlmEnrichTarget *target, ArrayType *key_text)
{
	int			level = plain_settings();
	Datum	   *key = palloc(sizeof(Datum) * PGLLM_ENRICH_KEYS);
	Datum	   *texts;
	int			n;

	deconstruct_array(key_text, TEXTOID, -1, false, TYPALIGN_INT, &texts, NULL, &n);
	if (n != target->n_keys)
		elog(ERROR, "key of a job has %d columns, that of its table %d", n, target->n_keys);
	for (int i = 0; i < n; i++)
	{
		Oid			function;
		Oid			io_param;

		getTypeInputInfo(target->keys[i].type, &function, &io_param);
		key[i] = OidInputFunctionCall(function, TextDatumGetCString(texts[i]), io_param, -1);
	}
	AtEOXact_GUC(true, level);
	return key;
}

Datum *
pgllm_enrich_key_copy(const PgLlmEnrichTarget *target, const Datum *key)
{
	Datum	   *copy = palloc(sizeof(Datum) * PGLLM_ENRICH_KEYS);

	for (int i = 0; i < target->n_keys; i++)
	{
		if (target->keys[i].len == -1)
			copy[i] = PointerGetDatum(PG_DETOAST_DATUM_COPY(key[i]));
		else
			copy[i] = datumCopy(key[i], target->keys[i].by_value, target->keys[i].len);
	}
	return copy;
}

/* ---- statements ---- */

void
pgllm_statement_init(PgLlmStatement *s)
{
	initStringInfo(&s->sql);
	s->n = 0;
}

void
pgllm_statement_add(PgLlmStatement *s, const char *format,...)
{
	for (;;)
	{
		va_list		args;
		int			more;

		va_start(args, format);
		more = appendStringInfoVA(&s->sql, format, args);
		va_end(args);
		if (more == 0)
			return;
		enlargeStringInfo(&s->sql, more);
	}
}

void
pgllm_statement_param(PgLlmStatement *s, Oid type, Datum value)
{
	if (s->n == (int) lengthof(s->types))
		elog(ERROR, "too many parameters");
	s->types[s->n] = type;
	s->values[s->n++] = value;
	appendStringInfo(&s->sql, "$%d", s->n);
}

ParamListInfo
pgllm_statement_params(const PgLlmStatement *s)
{
	ParamListInfo params = makeParamList(s->n);

	for (int i = 0; i < s->n; i++)
	{
		params->params[i].value = s->values[i];
		params->params[i].isnull = false;
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = s->types[i];
	}
	return params;
}

/* the row's key, as a row if it has several columns, and the operator */
static void
add_key_and_operator(PgLlmStatement *s, const PgLlmEnrichTarget *target, const char *op)
{
	pgllm_statement_add(s, target->n_keys == 1 ? "%s OPERATOR(%s.%s) " : "ROW(%s) OPERATOR(%s.%s) ", target->key_list,
						target->operators, op);
}

void
pgllm_statement_compare(PgLlmStatement *s, const PgLlmEnrichTarget *target, const char *op, const Datum *key)
{
	add_key_and_operator(s, target, op);
	pgllm_statement_add(s, target->n_keys == 1 ? "" : "ROW(");
	for (int i = 0; i < target->n_keys; i++)
	{
		pgllm_statement_add(s, i ? ", " : "");
		pgllm_statement_param(s, target->keys[i].type, key[i]);
	}
	pgllm_statement_add(s, target->n_keys == 1 ? "" : ")");
}

/* column i of keys as an array */
static Datum
key_array(const PgLlmEnrichTarget *target, List *keys, int i)
{
	const PgLlmEnrichKey *key = &target->keys[i];
	Datum	   *values = palloc(sizeof(Datum) * list_length(keys));
	ListCell   *cell;
	int			n = 0;

	foreach(cell, keys)
		values[n++] = ((Datum *) lfirst(cell))[i];
	return PointerGetDatum(construct_array(values, n, key->type, key->len, key->by_value, key->align));
}

void
pgllm_statement_one_of(PgLlmStatement *s, const PgLlmEnrichTarget *target, List *keys)
{
	add_key_and_operator(s, target, "=");
	pgllm_statement_add(s, target->n_keys == 1 ? "ANY (" : "ANY (SELECT * FROM ROWS FROM (");
	for (int i = 0; i < target->n_keys; i++)
	{
		pgllm_statement_add(s, target->n_keys == 1 ? "" : "%spg_catalog.unnest(", i ? ", " : "");
		pgllm_statement_param(s, get_array_type(target->keys[i].type), key_array(target, keys, i));
		pgllm_statement_add(s, target->n_keys == 1 ? "" : ")");
	}
	pgllm_statement_add(s, target->n_keys == 1 ? ")" : "))");
}
