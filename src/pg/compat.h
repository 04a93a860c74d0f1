/*
 * compat.h: differences between PostgreSQL versions; the only place for PG_VERSION_NUM.
 */
#ifndef PGLLM_COMPAT_H
#define PGLLM_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "pg_llm needs PostgreSQL 15 or later"
#endif

/* the module hides its symbols by default; before 16 the server's headers do not mark entry points as visible */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

#endif
