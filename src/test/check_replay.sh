#!/usr/bin/env bash
# check_replay.sh: check_replay.py on a private server: 100 trails of small models, and of the model file $1 if it is given, are run
# again in other processes; 100 single changes are found. Run by `make test-long`.
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
	$PSQL -q -d replay -c "CREATE SERVER $1 FOREIGN DATA WRAPPER pg_llm OPTIONS (path '$1.gguf', context '2048')"
}

$PSQL -q -d postgres -c 'SET client_min_messages = warning' -c 'DROP DATABASE IF EXISTS replay' -c 'CREATE DATABASE replay'
$PSQL -q -d replay -c 'CREATE EXTENSION pg_llm'
models="llama3 mistral nemotron_h"
for model in $models; do
	add_model "$model" "sql-tests/data/models/$model.gguf"
done
[ -z "${1:-}" ] || { add_model real "$1"; models="$models real"; }
PSQL="$PSQL -d replay" "${PYTHON:-python3}" src/test/check_replay.py $models
