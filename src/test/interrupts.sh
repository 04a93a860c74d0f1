#!/usr/bin/env bash
# interrupts.sh: sql-tests/t/014_interrupted.pl with $1 interrupts for each phase. Run by `make test-long`.
. src/tools/setup.sh

SERVER_FOLDER=build/test-server
check_server
build_and_install
start_server
stop_server
work=$SERVER/tap
rm -rf "$work"
as_server mkdir -p "$work"
pgxs=$(dirname "$("$PG_CONFIG" --pgxs)")
as_server env PATH="$BIN:$PATH" TESTDIR="$work" TESTDATADIR="$work/tmp_check" TESTLOGDIR="$work/tmp_check/log" \
	PG_REGRESS="$pgxs/../../src/test/regress/pg_regress" PG_LLM_INTERRUPTS="$1" \
	bash -c "cd '$work' && prove -I '$pgxs/../test/perl' '$TOP/sql-tests/t/014_interrupted.pl'"
