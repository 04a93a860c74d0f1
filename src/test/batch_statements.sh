#!/usr/bin/env bash
# batch_statements.sh: $1 generated statements on a private server, with pg_llm.batching on and off. Run by `make test-long`.
. src/tools/setup.sh

SERVER_FOLDER=build/test-server
check_server
build_and_install
start_server
for model in models/mistral encoders/bert; do
	as_server tee "$SERVER/models/${model#*/}.gguf" < "sql-tests/data/$model.gguf" > /dev/null
done
$PSQL -q -d postgres -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION IF NOT EXISTS pg_llm'
python3 src/test/batch_statements.py --count "$1" --model "$SERVER/models/mistral.gguf" --encoder "$SERVER/models/bert.gguf" \
	"$BIN/psql" -d postgres
stop_server
