#!/usr/bin/env bash
# check_extract.sh: check_extract.py on a private server: $1 random schemas with a tiny model, and a tenth of them with the
# model file $2 if it is given. PYTHON needs the package jsonschema. Run by `make test-long`.
. src/tools/setup.sh

SERVER_FOLDER=build/test-server
check_server
build_and_install
start_server
trap stop_server EXIT

$PSQL -q -d postgres -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION IF NOT EXISTS pg_llm'
PSQL="$PSQL -d postgres"
add_model extract_tiny sql-tests/data/models/llama3.gguf
export PSQL="$PSQL -v ON_ERROR_STOP=0"
"${PYTHON:-python3}" src/test/check_extract.py extract_tiny --values "$1"
[ -z "${2:-}" ] || {
	PSQL=${PSQL% -v ON_ERROR_STOP=0} add_model extract_real "$2"
	"${PYTHON:-python3}" src/test/check_extract.py extract_real --values $(($1 / 10))
}
