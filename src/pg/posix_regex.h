/*
 * posix_regex.h: PostgreSQL's patterns as JSON Schema has them.
 */
#ifndef PGLLM_POSIX_REGEX_H
#define PGLLM_POSIX_REGEX_H

#include "postgres.h"

/* a regular expression of ECMA-262 that matches nothing else than PostgreSQL's; NULL: not known. Server's encoding. */
extern char *pgllm_posix_to_ecma(const char *pattern);

/* the same for LIKE */
extern char *pgllm_like_to_ecma(const char *pattern);

#endif
