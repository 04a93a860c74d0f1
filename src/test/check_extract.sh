#!/usr/bin/env bash
# check_extract.sh: check_extract.py on a private server: $1 random schemas with a tiny model, and a tenth of them with the
# model file $2 if it is given. PYTHON needs the package jsonschema. Run by `make test-long`.
. src/tools/setup.sh

SERVER_FOLDER=build/test-server
check_server
build_and_install
start_server
trap stop_server EXIT

# $1 name, $2 file: a model of the database
add_model()
{
	as_server tee "$SERVER/models/$1.gguf" < "$2" > /dev/null
	$PSQL -q -d postgres -c "DROP SERVER IF EXISTS $1" -c "CREATE SERVER $1 FOREIGN DATA WRAPPER pg_llm OPTIONS (path '$1.gguf')"
}

$PSQL -q -d postgres -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION IF NOT EXISTS pg_llm'
add_model extract_tiny sql-tests/data/models/llama3.gguf
export PSQL="$PSQL -d postgres -v ON_ERROR_STOP=0"
"${PYTHON:-python3}" src/test/check_extract.py extract_tiny --values "$1"
[ -z "${2:-}" ] || {
	PSQL=${PSQL% -v ON_ERROR_STOP=0} add_model extract_real "$2"
	"${PYTHON:-python3}" src/test/check_extract.py extract_real --values $(($1 / 10))
}
