/*
 * catalog_content.c: finding a model by what it is rather than what it is called.
 *
 * A stored value must not change because somebody renames a model or alters its options. llm_embed_pinned therefore names
 * the digest of the content; any server whose option sha256 holds it will do, as only the content is used.
 */
#include "models.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/rel.h"

/* whether a server's options hold that digest */
static bool
has_sha256(Datum options, const char *sha256)
{
	ListCell   *cell;

	foreach(cell, untransformRelOptions(options))
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "sha256") == 0)
			return pg_strcasecmp(defGetString(option), sha256) == 0;
	}
	return false;
}

/* the first by name that the current user may use; *denied: there is one that they may not */
static Oid
look_up(const char *sha256, bool *denied)
{
	Oid			wrapper = pgllm_catalog_wrapper();
	Relation	rel = table_open(ForeignServerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	NameData	first = {0};
	Oid			found = InvalidOid;

	*denied = false;
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_server form = (Form_pg_foreign_server) GETSTRUCT(tuple);
		bool		is_null;
		Datum		options = heap_getattr(tuple, Anum_pg_foreign_server_srvoptions, RelationGetDescr(rel), &is_null);

		if (form->srvfdw != wrapper || is_null || !has_sha256(options, sha256))
			continue;
		if (pgllm_server_aclcheck(form->oid, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
			*denied = true;
		else if (!OidIsValid(found) || strcmp(NameStr(form->srvname), NameStr(first)) < 0)
		{
			found = form->oid;
			first = form->srvname;
		}
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

bool
pgllm_catalog_has_content(const char *sha256)
{
	bool		denied;

	return OidIsValid(look_up(sha256, &denied)) || denied;
}

Oid
pgllm_catalog_find_content(const char *sha256)
{
	bool		denied;
	Oid			found = look_up(sha256, &denied);

	if (!OidIsValid(found))
		ereport(ERROR,
				(errcode(denied ? ERRCODE_INSUFFICIENT_PRIVILEGE : ERRCODE_UNDEFINED_OBJECT),
				 denied ? errmsg("permission denied for the model with sha256 %s", sha256)
				 : errmsg("no model has sha256 %s", sha256),
				 denied ? errhint("Its owner can allow it with GRANT USAGE ON FOREIGN SERVER.")
				 : errhint("llm_create_model() makes a model from a file and keeps its digest in the option sha256.")));
	return found;
}
