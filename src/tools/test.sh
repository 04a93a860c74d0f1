#!/usr/bin/env bash
# test.sh: proves that the project works: unit tests (as released, and under sanitizers), pg_regress with and without
# preloading, TAP tests, and the examples of the README on a real model. Run by `make test`.
. src/tools/setup.sh

# not that of quickstart, which goes on as it is
SERVER_FOLDER=build/test-server
# nothing goes on by itself: autovacuum would change plans and take locks at moments of its own
SERVER_SETTINGS='autovacuum = off
fsync = off'

passed=0
failed=0
failures=""
step()
{
	local name=$1
	shift
	say "$name"
	if "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		failures="$failures
    $name"
	fi
}

install_packages libsimde-dev libipc-run-perl perl
fetch_model

# the server's user must reach the tests' files: where it cannot (a checkout in /root), work on a copy; what earlier
# runs built in it stays
if ! as_server test -r "$TOP/Makefile"; then
	[ -d build/test-copy ] || outside_folder build/test-copy
	copy=$(cd build/test-copy && pwd -P)
	say "This folder is closed to user $(server_user): testing a copy in $copy"
	find "$copy" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
	tar -C "$TOP" --exclude=./.git --exclude='./build/*server' --exclude=./build/regress --exclude=./build/test-copy \
		--mode=a+rX -cf - . | tar -C "$copy" -xf -
	cd "$copy"
	exec bash src/tools/test.sh
fi

build_and_install

jobs=$(nproc)
export PG_LLM_TEST_MODEL=$TOP/build/models/$MODEL_FILE

unit_build() { with_progress "build/$1-build.log" make -j"$jobs" PG_CONFIG="$PG_CONFIG" "$1-programs"; }
step "Building the unit tests" unit_build unit
step "Unit tests" make -s PG_CONFIG="$PG_CONFIG" unit
step "Building the unit tests with AddressSanitizer and UndefinedBehaviorSanitizer" unit_build unit-asan
step "Unit tests under sanitizers" make -s PG_CONFIG="$PG_CONFIG" unit-asan

regress()
{
	make -s PG_CONFIG="$PG_CONFIG" installcheck TAP_TESTS= ||
		{ cat build/regress/regression.diffs 2> /dev/null; return 1; }
}
# a server made anew: what an earlier run that was broken off left in it (roles, databases) says nothing
prepare_server_folder
stop_server
as_server rm -rf "$SERVER/data" "$SERVER"/.s.PGSQL.*
start_server
step "SQL tests (library preloaded)" regress
start_server ''
step "SQL tests (library not preloaded)" regress
start_server

tap()
{
	local work=$SERVER/tap
	rm -rf "$work"
	as_server mkdir -p "$work"
	as_server env PATH="$BIN:$PATH" TOP="$TOP" TESTDIR="$work" TESTDATADIR="$work/tmp_check" TESTLOGDIR="$work/tmp_check/log" \
		PG_REGRESS="$(dirname "$("$PG_CONFIG" --pgxs)")/../../src/test/regress/pg_regress" \
		PG_LLM_TEST_MODEL="$SERVER/models/$MODEL_FILE" LC_ALL=C.UTF-8 \
		PGCTLTIMEOUT=600 PG_TEST_TIMEOUT_DEFAULT=600 bash -c "cd '$work' && prove -I '$(dirname "$("$PG_CONFIG" --pgxs)")/../test/perl' '$TOP'/sql-tests/t/*.pl"
}
step "TAP tests (restarts, cancel, damaged files, concurrency)" tap

# Small models stand in for those that the examples of embeddings name: what they find means nothing, and is not compared.
stand_in() { as_server tee "$SERVER/models/$2" < "sql-tests/data/models/$1" > /dev/null; }

readme()
{
	stand_in bert.gguf all-MiniLM-L6-v2
	stand_in qwen3-reranker.gguf Qwen3-Reranker-0.6B.gguf
	for file in README.md docs/functions.md; do
		PSQL="$PSQL" MODEL_FILE="$MODEL_FILE" python3 src/test/readme_examples.py "$file" || return 1
	done
}
step "Examples of README.md and docs/functions.md on the real model" readme
stop_server

[ -z "$failures" ] || printf '\nFailed:%s\n' "$failures"
echo
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
