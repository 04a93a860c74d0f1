#!/usr/bin/env bash
# test.sh: proves that the project works: unit tests (as released, and under sanitizers), pg_regress with and without
# preloading, TAP tests, and the examples of the README on a real model. Run by `make test`.
. src/tools/setup.sh

# user postgres must reach the tests' files: where it cannot (a checkout in /root), work on a copy
if [ "$(id -u)" = 0 ] && id postgres > /dev/null 2>&1 && ! runuser -u postgres -- test -r "$TOP/Makefile"; then
	copy=/var/tmp/pg_llm-test-$(printf '%s' "$TOP" | cksum | cut -d' ' -f1)
	say "This folder is closed to user postgres: testing a copy in $copy"
	mkdir -p "$copy"
	tar -C "$TOP" --exclude=./build/server -cf - . | tar -C "$copy" -xf -
	cd "$copy"
	exec bash src/tools/test.sh
fi

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
build_and_install
fetch_model

jobs=$(nproc)
export PG_LLM_TEST_MODEL=$TOP/build/models/$MODEL_FILE

unit_build() { with_progress "build/$1-build.log" make -j"$jobs" PG_CONFIG="$PG_CONFIG" "$1-programs"; }
step "Building the unit tests" unit_build unit
step "Unit tests" make -s PG_CONFIG="$PG_CONFIG" unit
step "Building the unit tests with AddressSanitizer and UndefinedBehaviorSanitizer" unit_build unit-asan
step "Unit tests under sanitizers" make -s PG_CONFIG="$PG_CONFIG" unit-asan

regress()
{
	PGHOST=$SOCKET PGPORT=$PG_LLM_PORT PGUSER=postgres make -s PG_CONFIG="$PG_CONFIG" installcheck TAP_TESTS= ||
		{ cat build/regress/regression.diffs 2> /dev/null; return 1; }
}
start_server
step "SQL tests (library preloaded)" regress
stop_server
as_server sed -i 's/^shared_preload_libraries/#&/' "$SERVER/data/postgresql.conf"
start_server
step "SQL tests (library not preloaded)" regress
stop_server
as_server sed -i 's/^#\(shared_preload_libraries\)/\1/' "$SERVER/data/postgresql.conf"
start_server

tap()
{
	local work=$SERVER/tap
	rm -rf "$work"
	as_server mkdir -p "$work"
	as_server env PATH="$BIN:$PATH" TOP="$TOP" TESTDIR="$work" TESTDATADIR="$work/tmp_check" TESTLOGDIR="$work/tmp_check/log" \
		PG_REGRESS="$(dirname "$("$PG_CONFIG" --pgxs)")/../../src/test/regress/pg_regress" \
		PG_LLM_TEST_MODEL="$SERVER/models/$MODEL_FILE" LC_ALL=C.UTF-8 \
		bash -c "cd '$work' && prove -I '$(dirname "$("$PG_CONFIG" --pgxs)")/../test/perl' '$TOP'/sql-tests/t/*.pl"
}
step "TAP tests (restarts, cancel, damaged files, concurrency)" tap

readme()
{
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
