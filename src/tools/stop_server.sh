#!/usr/bin/env bash
# stop_server.sh: before `make clean` removes build/: stop the private servers in it, and remove the folders outside that
# build/server, build/test-server, build/regress and build/test-copy are links to.
. src/tools/setup.sh

BIN=$("$PG_CONFIG" --bindir)
for SERVER in build/server build/test-server build/test-copy/build/test-server; do
	[ ! -d "$SERVER" ] || SERVER=$(cd "$SERVER" && pwd -P)
	stop_server
done
for link in build/*server build/regress build/test-copy/build/regress build/test-copy; do
	[ ! -L "$link" ] || rm -rf "$(readlink "$link")"
done
