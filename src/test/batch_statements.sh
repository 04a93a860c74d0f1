#!/usr/bin/env bash
# batch_statements.sh: $1 generated statements on a private server, with pg_llm.batching on and off. Run by `make test-long`.
. src/tools/setup.sh

SERVER_FOLDER=build/test-server
check_server
build_and_install
start_server
as_server tee "$SERVER/models/mistral.gguf" < sql-tests/data/models/mistral.gguf > /dev/null
$PSQL -q -d postgres -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION IF NOT EXISTS pg_llm'
python3 src/test/batch_statements.py --count "$1" --model "$SERVER/models/mistral.gguf" "$BIN/psql" -d postgres
stop_server
