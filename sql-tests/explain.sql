-- planning runs no model: EXPLAIN needs none, whatever the planner wants to know, and what is executed is right all the same
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');
CREATE TABLE texts AS SELECT i, 'text ' || i AS t, (ARRAY['red', 'green'])[i % 2 + 1] AS colour FROM generate_series(1, 6) i;
CREATE TABLE parts (t text, colour text) PARTITION BY LIST (colour);
CREATE TABLE parts_red PARTITION OF parts FOR VALUES IN ('red');
CREATE TABLE parts_green PARTITION OF parts FOR VALUES IN ('green');
INSERT INTO parts SELECT t, colour FROM texts;
ANALYZE texts, parts;
CREATE TABLE answer AS SELECT llm_classify('x', '{red,green}', 'llama3') AS colour, llm_count_tokens('a b', 'llama3') AS n;

-- whether EXPLAIN of a statement works; a model that is run raises, as there is none of that name. A session of its own for
-- each: without preloading the library is loaded while its first statement is planned
CREATE FUNCTION explains(statement text) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'EXPLAIN ' || statement;
	RETURN true;
END $$;
\c -
EXPLAIN (COSTS OFF) SELECT llm_classify('x', '{red,green}', 'nowhere');
\c -
EXPLAIN (COSTS OFF) SELECT * FROM texts WHERE colour = llm_classify('x', '{red,green}', 'nowhere');
\c -
EXPLAIN (COSTS OFF) SELECT * FROM texts WHERE i < llm_count_tokens('x', 'nowhere') LIMIT llm_count_tokens('x', 'nowhere');
\c -
EXPLAIN (COSTS OFF) SELECT * FROM parts WHERE colour = llm_classify('x', '{red,green}', 'nowhere');
\c -
-- plans with a batch node differ from those of a session's first statement: only that there is one
SELECT explains($$SELECT * FROM texts WHERE llm_filter(t, 'is short', 'nowhere') ORDER BY llm_score(t, 'is short', 'nowhere')$$);
\c -
EXPLAIN (COSTS OFF) SELECT * FROM llm_classify_probs('x', '{red,green}', 'nowhere');
\c -
EXPLAIN (COSTS OFF) SELECT llm_generate('x', 'nowhere'), llm_stream('x', 'nowhere');
\c -
PREPARE p(text) AS SELECT count(*) FROM texts WHERE colour = llm_classify($1, '{red,green}', 'nowhere');
EXPLAIN (COSTS OFF) EXECUTE p('x');
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE p('x');
\c -
SELECT explains($$UPDATE texts SET colour = llm_classify(t, '{red,green}', 'nowhere')$$);
\c -
SELECT s, explains(s) FROM unnest(ARRAY[$$SELECT llm_classify_multi('x', '{a,b}', 'nowhere')$$,
	$$SELECT llm_tokenize('x', 'nowhere'), llm_detokenize('{1}', 'nowhere')$$,
	$$SELECT * FROM texts WHERE i BETWEEN llm_count_tokens('x', 'nowhere') AND llm_count_tokens('y', 'nowhere')$$,
	$$SELECT * FROM texts WHERE i IN (1, llm_count_tokens('x', 'nowhere'))$$,
	$$SELECT * FROM texts a JOIN texts b ON a.i = b.i + llm_count_tokens('x', 'nowhere')$$,
	$$DELETE FROM texts WHERE colour = (SELECT llm_classify('x', '{red,green}', 'nowhere'))$$,
	$$INSERT INTO texts VALUES (1, llm_generate('x', 'nowhere'), llm_classify('x', '{a,b}', 'nowhere'))$$,
	$$SELECT * FROM generate_series(1, llm_count_tokens('x', 'nowhere'))$$]) s;

-- the first statement of a session answers rightly, also where the planner asked before
\c -
SELECT count(*) = 3 AS rows FROM texts WHERE colour = llm_classify('x', '{red,green}', 'llama3');
\c -
SELECT llm_classify('x', '{red,green}', 'llama3') = colour AS same FROM answer;
\c -
SELECT count(*) = 3 AS rows, min(colour) = (SELECT colour FROM answer) AS pruned FROM parts WHERE colour = llm_classify('x', '{red,green}', 'llama3');
\c -
SELECT count(*) = n AS rows FROM answer, generate_series(1, llm_count_tokens('a b', 'llama3')) GROUP BY n;
\c -
SELECT i FROM texts ORDER BY i LIMIT llm_count_tokens('a b', 'llama3');
\c -
DO $$
DECLARE
	n int := llm_count_tokens('a b', 'llama3');
BEGIN
	RAISE NOTICE '%', n = (SELECT a.n FROM answer a);
	n := llm_count_tokens('a b', 'llama3') + 1;
	RAISE NOTICE '%', n = (SELECT a.n + 1 FROM answer a);
	IF llm_count_tokens('a b', 'llama3') IS NULL THEN
		RAISE NOTICE 'no answer';
	END IF;
END $$;
\c -
PREPARE p(text) AS SELECT count(*) FROM parts WHERE colour = llm_classify($1, '{red,green}', 'llama3');
EXECUTE p('x');
SET plan_cache_mode = force_generic_plan;
EXECUTE p('x');
\c -
BEGIN;
DECLARE c CURSOR FOR SELECT count(*) FROM texts WHERE colour = llm_classify('x', '{red,green}', 'llama3');
FETCH c;
COMMIT;

-- what another function computes is computed, even if the planner folds that function
CREATE FUNCTION always(t text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN llm_count_tokens(t, 'llama3'); END $$;
CREATE FUNCTION always_sql(t text) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT llm_count_tokens(t, 'llama3') $$;
CREATE FUNCTION inlined(t text) RETURNS int LANGUAGE sql STABLE AS $$ SELECT llm_count_tokens(t, 'llama3') $$;
\c -
SELECT always('a b') = n AS plpgsql, always_sql('a b') = n AS sql, inlined('a b') = n AS inlined FROM answer;
\c -
EXPLAIN (COSTS OFF, VERBOSE) SELECT always('a b'), always_sql('a b');
\c -
SELECT count(*) FROM texts WHERE i = inlined('a b') OR i = always('a b') + 1;

-- expressions that are prepared outside of queries
\c -
CREATE TABLE checked (t text CHECK (llm_count_tokens(t, 'llama3') <= 2), n int DEFAULT llm_count_tokens('a b', 'llama3'));
INSERT INTO checked (t) VALUES ('a b');
INSERT INTO checked (t) VALUES ('a b c d e f');
\c -
ALTER TABLE checked ADD COLUMN m int DEFAULT llm_count_tokens('a b', 'llama3');
\c -
COPY checked (t) FROM stdin WHERE m = llm_count_tokens('a b', 'llama3');
c d
\.
SELECT t, n, m FROM checked;
-- STABLE and VOLATILE functions are refused where results must not change
CREATE INDEX ON texts (llm_classify(t, '{red,green}', 'llama3'));
ALTER TABLE texts ADD COLUMN g text GENERATED ALWAYS AS (llm_generate(t, 'llama3')) STORED;

DROP FUNCTION explains, always, always_sql, inlined;
DROP TABLE checked, texts, parts, answer;
DROP SERVER llama3;
