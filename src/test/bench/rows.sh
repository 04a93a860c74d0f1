#!/usr/bin/env bash
# rows.sh: what `make bench-rows` runs: a private server with the extension as it was installed, then bench.py.
# Arguments: those of bench.py.
. src/tools/setup.sh

SERVER_FOLDER=build/bench-server
PG_LLM_PORT=${BENCH_PORT:-54399}
fetch_model
start_server "${BENCH_PRELOAD-}"
trap stop_server EXIT
export PSQL="$BIN/psql -X" PG_MODEL=$MODEL_FILE
build/bench-venv/bin/python src/test/bench/bench.py --what rows "$@"
