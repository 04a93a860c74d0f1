#!/usr/bin/env bash
# quickstart.sh: from a fresh Debian to the answers of a real language model inside PostgreSQL. Run by `make quickstart`.
. src/tools/setup.sh

install_packages
build_and_install
fetch_model
start_server

say "Creating the extension, the model and the table reviews (100 sentences from product reviews)"
$PSQL -q -d postgres -c "SELECT 1 FROM pg_database WHERE datname = 'demo'" -At | grep -q 1 || $PSQL -q -d postgres -c 'CREATE DATABASE demo'
$PSQL -q -d demo <<SQL
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_llm;
ALTER EXTENSION pg_llm UPDATE;
SELECT llm_drop_model(name) FROM llm_models WHERE name = 'smollm2' \g /dev/null
SELECT llm_create_model('smollm2', '$MODEL_FILE') \g /dev/null
ALTER DATABASE demo SET pg_llm.default_model = 'smollm2';
DROP TABLE IF EXISTS reviews;
CREATE TABLE reviews (id text PRIMARY KEY, body text, label text, mood text);
\copy reviews (id, body, label) FROM 'sql-tests/data/reviews.csv' (FORMAT csv, HEADER)
SQL

say "A first answer (the model is read and packed before it)"
$PSQL -d demo --echo-queries -c "SELECT llm_generate('What is the capital of France? Answer in one short sentence.', max_tokens => 32)"

say "Classifying all 100 rows of reviews"
cat sql-tests/data/classify_reviews.sql
started=$(date +%s.%N)
with_progress build/classify.log $PSQL -d demo -f sql-tests/data/classify_reviews.sql ||
	fail "the rows could not be classified" "the server's log is build/server/log."
seconds=$(echo "$(date +%s.%N) $started" | awk '{print $1 - $2}')
$PSQL -d demo -At -c "SELECT count(mood) FROM reviews" | awk -v s="$seconds" '{printf "%d rows in %.1f s: %.1f rows per second\n", $1, s, $1 / s}'

say "What the model thinks of the reviews, beside what people said"
$PSQL -d demo --echo-queries -c "SELECT mood, count(*), count(*) FILTER (WHERE mood = label) AS agrees_with_people FROM reviews GROUP BY mood ORDER BY mood"

say "The server goes on running. Connect (as $(id -un): there is no password, but the socket is closed to others) with:"
printf '    %s/psql -h %q -p %s -U postgres demo\n' "$BIN" "$SERVER" "$PG_LLM_PORT"
echo "and stop it with:"
[ "$(id -u)" != 0 ] || as_user="runuser -u $(server_user) -- "
printf '    %s%s/pg_ctl -D %q stop\n' "${as_user:-}" "$BIN" "$SERVER/data"
