/*
 * compat.h: differences between PostgreSQL versions; the only place for PG_VERSION_NUM.
 */
#ifndef PGLLM_COMPAT_H
#define PGLLM_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "pg_llm needs PostgreSQL 15 or later"
#endif

/* the module hides its symbols by default; before 16 the server's headers do not mark SQL functions as visible */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#undef PG_FUNCTION_INFO_V1
#define PG_FUNCTION_INFO_V1(funcname) \
	extern PGDLLEXPORT Datum funcname(PG_FUNCTION_ARGS); \
	extern PGDLLEXPORT const Pg_finfo_record *CppConcat(pg_finfo_,funcname) (void); \
	const Pg_finfo_record * \
	CppConcat(pg_finfo_,funcname) (void) \
	{ \
		static const Pg_finfo_record my_finfo = {1}; \
		return &my_finfo; \
	} \
	extern int no_such_variable
#endif

/* privilege checks of foreign wrappers and servers became one function in 16 */
#if PG_VERSION_NUM < 160000
#define pgllm_server_aclcheck(oid, role, mode)  pg_foreign_server_aclcheck(oid, role, mode)
#define pgllm_wrapper_aclcheck(oid, role, mode)  pg_foreign_data_wrapper_aclcheck(oid, role, mode)
#define pgllm_server_ownercheck(oid, role)  pg_foreign_server_ownercheck(oid, role)
#else
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#define pgllm_server_aclcheck(oid, role, mode)  object_aclcheck(ForeignServerRelationId, oid, role, mode)
#define pgllm_wrapper_aclcheck(oid, role, mode)  object_aclcheck(ForeignDataWrapperRelationId, oid, role, mode)
#define pgllm_server_ownercheck(oid, role)  object_ownercheck(ForeignServerRelationId, oid, role)
#endif

/* ExecutorRun lost its last parameter in 18 */
#if PG_VERSION_NUM < 180000
#define PGLLM_EXECUTOR_RUN_PARAMS  QueryDesc *query_desc, ScanDirection direction, uint64 count, bool execute_once
#define PGLLM_EXECUTOR_RUN_ARGS  query_desc, direction, count, execute_once
#define pgllm_executor_run(query_desc)  ExecutorRun(query_desc, ForwardScanDirection, 0, true)
#else
#define PGLLM_EXECUTOR_RUN_PARAMS  QueryDesc *query_desc, ScanDirection direction, uint64 count
#define PGLLM_EXECUTOR_RUN_ARGS  query_desc, direction, count
#define pgllm_executor_run(query_desc)  ExecutorRun(query_desc, ForwardScanDirection, 0)
#endif

/* random() with bounds came in 17, and the constant of the one without changed its name */
#if PG_VERSION_NUM < 170000
#define PGLLM_F_RANDOM  F_RANDOM
#else
#define PGLLM_F_RANDOM  F_RANDOM_
#endif

/* whether internal subtransactions are refused now: in parallel mode, before 17 */
#if PG_VERSION_NUM < 170000
#define PGLLM_NO_SUBTRANSACTIONS  IsInParallelMode()
#else
#define PGLLM_NO_SUBTRANSACTIONS  IsParallelWorker()
#endif

/* extensions name their wait events since 17 */
#if PG_VERSION_NUM < 170000
#define PGLLM_WAIT_EVENT(name)  PG_WAIT_EXTENSION
#else
#define PGLLM_WAIT_EVENT(name)  WaitEventExtensionNew(name)
#endif

/* what is pruned when a plan runs is in a list of the statement since 18 */
#if PG_VERSION_NUM < 180000
#define PGLLM_APPEND_PRUNES(append)  ((append)->part_prune_info != NULL)
#else
#define PGLLM_APPEND_PRUNES(append)  ((append)->part_prune_index >= 0)
#endif

/* EXPLAIN's functions moved to files of their own in 18 */
#if PG_VERSION_NUM < 180000
#define PGLLM_EXPLAIN_HEADER  "commands/explain.h"
#define PGLLM_EXPLAIN_STATE_HEADER  "commands/explain.h"
#else
#define PGLLM_EXPLAIN_HEADER  "commands/explain_format.h"
#define PGLLM_EXPLAIN_STATE_HEADER  "commands/explain_state.h"
#endif

/* a function that does not return is marked in front of its declaration since 18 */
#if PG_VERSION_NUM < 180000
#define pg_noreturn  pg_attribute_noreturn()
#endif

/* RETURNING can name the old row since 18 */
#if PG_VERSION_NUM < 180000
#define PGLLM_VAR_IS_OLD(var)  false
#else
#define PGLLM_VAR_IS_OLD(var)  ((var)->varreturningtype == VAR_RETURNING_OLD)
#endif

#endif
