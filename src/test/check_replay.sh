#!/usr/bin/env bash
# check_replay.sh: check_replay.py on a private server: 100 trails of small models, and of the model file $1 if it is given, are run
# again in other processes; 100 single changes are found. Run by `make test-long`.
. src/tools/setup.sh

SERVER_FOLDER=build/test-server
check_server
build_and_install
start_server
trap stop_server EXIT

$PSQL -q -d postgres -c 'SET client_min_messages = warning' -c 'DROP DATABASE IF EXISTS replay' -c 'CREATE DATABASE replay'
PSQL="$PSQL -d replay"
$PSQL -q -c 'CREATE EXTENSION pg_llm'
models="llama3 mistral nemotron_h"
for model in $models; do
	add_model "$model" "sql-tests/data/models/$model.gguf" "context '2048'"
done
[ -z "${1:-}" ] || { add_model real "$1" "context '2048'"; models="$models real"; }
PSQL=$PSQL "${PYTHON:-python3}" src/test/check_replay.py $models
