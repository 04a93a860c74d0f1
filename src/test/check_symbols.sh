#!/usr/bin/env bash
# The server loads modules with global symbols, so only entry points may be visible, and all of ours carry our prefixes.
# The two of preload.c are too: the postmaster starts a background worker by the name of its function.
set -euo pipefail
bad=$(nm -D --defined-only pg_llm.so | awk '$2 ~ /^[A-Z]$/ {print $3}' |
	grep -vE '^(pgllm_fn_[a-z0-9_]+|pg_finfo_pgllm_fn_[a-z0-9_]+|pgllm_preload_(launcher|main)|Pg_magic_func|_PG_init|_PG_fini|_init|_fini)$' || true)
if [ -n "$bad" ]; then
	printf 'pg_llm.so exports symbols that are no entry points:\n%s\n' "$bad" >&2
	exit 1
fi
bad=$(nm --defined-only src/runtime/*/*.o src/runtime/*/*/*.o kernels/cpu/*.o src/pg/*.o src/pg/*/*.o | awk '$2 ~ /^[TDBRVW]$/ {print $3}' |
	grep -vE '^(llm_|llmk_|pgllm_|pg_finfo_pgllm_|Pg_magic_func|_PG_init|_PG_fini)' | sort -u || true)
if [ -n "$bad" ]; then
	printf 'symbols without our prefix:\n%s\n' "$bad" >&2
	exit 1
fi
echo "exported symbols: entry points only; all others carry our prefixes"
