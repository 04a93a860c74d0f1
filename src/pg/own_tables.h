/*
 * own_tables.h: the extension's own tables, and working on them as their owner.
 */
#ifndef PGLLM_OWN_TABLES_H
#define PGLLM_OWN_TABLES_H

#include "postgres.h"

typedef struct PgLlmOwnTable
{
	Oid			oid;
	Oid			owner;
	char	   *name;			/* quoted, with schema; palloc'd */
} PgLlmOwnTable;

typedef struct PgLlmFormerUser
{
	Oid			user;
	int			context;
	int			settings;		/* nesting of settings */
} PgLlmFormerUser;

/* found anew each time, as an extension can be moved to another schema; raises if there is none */
extern PgLlmOwnTable pgllm_own_table(const char *name);

/*
 * From here on as the table's owner, with nothing but pg_catalog to be searched, until pgllm_become_former. An error undoes it
 * when the transaction or subtransaction aborts.
 */
extern void pgllm_become_owner(const PgLlmOwnTable *table, PgLlmFormerUser *former);
extern void pgllm_become_former(const PgLlmFormerUser *former);

#endif
