-- statistics of calls, the limit of tokens, sharing of results, estimates, and rows that became NULL by reason
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE SCHEMA stats_test;
SET search_path = stats_test, public;
CREATE SERVER stats FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');
CREATE SERVER narrow FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', context '64');
CREATE SERVER vectors FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'bert');
CREATE TABLE texts AS SELECT i, 'text ' || i % 3 AS t FROM generate_series(1, 6) i;
ANALYZE texts;
SELECT llm_stat_reset();
CREATE VIEW stats AS
	SELECT function, sum(calls) AS calls, sum(rows) AS rows, sum(errors) AS errors, sum(prompt_tokens) > 0 AS prompt,
		   sum(output_tokens) AS output
	FROM llm_stat_calls WHERE model IN ('stats', 'narrow', 'vectors') GROUP BY function ORDER BY function COLLATE "C";

-- calls: runs of a model; rows: answers
SELECT count(llm_complete(t, 'stats', max_tokens => 2)) FROM texts;
SELECT count(llm_classify(t, '{a,b}', 'stats')) FROM texts;
SELECT count(*) FROM llm_stream('x', 'stats', max_tokens => 3);
SELECT count(*) FROM llm_embed_many('{a,b,a}', 'vectors');
SET pg_llm.result_cache = off;
SELECT count(llm_filter(t, 'is short', 'stats')) FROM texts;
RESET pg_llm.result_cache;
SELECT * FROM stats;
SELECT llm_stat_reset();
SELECT * FROM stats;

-- the same answers whoever shares them
SET pg_llm.batching = off;
SET pg_llm.result_cache = off;
CREATE TABLE answers AS SELECT i, llm_complete(t, 'stats', max_tokens => 4) AS a FROM texts;
RESET pg_llm.batching;
SELECT count(*) FROM answers JOIN texts USING (i) WHERE a IS DISTINCT FROM llm_complete(t, 'stats', max_tokens => 4);
RESET pg_llm.result_cache;
SELECT count(*) FROM answers JOIN texts USING (i) WHERE a IS DISTINCT FROM llm_complete(t, 'stats', max_tokens => 4);

-- the limit of tokens: over prompts and answers, and all of a statement
SET pg_llm.statement_token_limit = 20;
SELECT code, message, hint FROM fails($$SELECT llm_complete('x', 'stats', max_tokens => 30)$$);
SELECT code FROM fails($$SELECT llm_complete(repeat('word ', 40), 'stats', max_tokens => 1)$$);
SELECT code FROM fails($$SELECT llm_complete('x' || i, 'stats', max_tokens => 3) FROM generate_series(1, 20) i$$);
SELECT code FROM fails($$DO $x$ BEGIN FOR i IN 1 .. 20 LOOP PERFORM llm_complete('x' || i, 'stats', max_tokens => 3); END LOOP; END $x$ $$);
SELECT length(llm_complete('x', 'stats', max_tokens => 3)) > 0 AS answered;
SELECT length(llm_complete('x', 'stats', max_tokens => 3)) > 0 AS answered_again;
RESET pg_llm.statement_token_limit;
CREATE ROLE regress_llm_reader;
GRANT USAGE ON SCHEMA stats_test TO regress_llm_reader;
SET ROLE regress_llm_reader;
SELECT s, code FROM unnest('{SET pg_llm.statement_token_limit = 0,SELECT llm_stat_reset(),SELECT llm_clear_result_cache()}'::text[]) s, fails(s);
SELECT count(*) FROM llm_stat_calls;
SELECT count(*) FROM llm_stat_progress;
RESET ROLE;

-- one warning at the end, by reason
SET pg_llm.on_error = 'null';
SELECT count(llm_complete(t, 'narrow', max_tokens => 1)), count(*)
FROM unnest(ARRAY['a', repeat('word ', 80), repeat('word ', 90)]) t;
SELECT count(llm_complete(t, 'narrow', max_tokens => 1)) + count(llm_embed(repeat(t, 100), 'vectors')), count(*)
FROM unnest(ARRAY['a', repeat('word ', 80), repeat('word ', 90)]) t;
RESET pg_llm.on_error;

-- estimates: calls by the plan, tokens by a sample; the table is as before
CREATE FUNCTION estimate(query text) RETURNS TABLE (calls bigint, prompt bool, output bigint, seconds bool) AS
	$$SELECT calls, prompt_tokens > 0, output_tokens, seconds > 0 FROM llm_estimate(query)$$ LANGUAGE sql;
SELECT * FROM estimate(NULL);
SELECT * FROM estimate($$SELECT 1$$);
SELECT * FROM estimate($$SELECT llm_classify(t, '{a,b}', 'stats') FROM texts$$);
SELECT calls FROM estimate($$SELECT llm_classify(t, '{a,b}', 'stats') FROM texts LIMIT 2$$);
SELECT calls FROM estimate($$SELECT CASE WHEN i > 4 THEN llm_classify(t, '{a,b}', 'stats') END FROM texts$$);
SELECT calls FROM estimate($$SELECT count(*) FILTER (WHERE llm_filter(t, 'is short', 'stats')) FROM texts$$);
SELECT calls, prompt FROM estimate($$UPDATE texts SET t = llm_complete(t, 'stats', max_tokens => 2) WHERE i > 0$$);
SELECT calls, prompt FROM estimate($$DELETE FROM texts WHERE llm_filter(t, 'is short', 'stats')$$);
CREATE SEQUENCE numbers;
SELECT calls, prompt FROM estimate($$INSERT INTO texts SELECT nextval('numbers'), llm_complete(t, 'stats', max_tokens => 2) FROM texts$$);
SELECT calls FROM estimate($$SELECT t FROM texts WHERE llm_classify(t, '{a,b}', 'stats') = 'a' FOR UPDATE$$);
SELECT calls FROM estimate($$SELECT x.a FROM texts, llm_to_record(t, 'stats') AS x(a int)$$);
SELECT calls FROM estimate($$SELECT x.a FROM texts, llm_to_record('same', 'stats') AS x(a int)$$);
-- all samples of a reasoning, also those that the first ones may make needless
SELECT five.calls, five.prompt_tokens / one.prompt_tokens AS prompts FROM
	llm_estimate($$SELECT llm_reason(t, 'stats', samples => 5, max_tokens => 2) FROM texts$$) five,
	llm_estimate($$SELECT llm_reason(t, 'stats', samples => 1, max_tokens => 2) FROM texts$$) one;
-- actions that may be taken are counted, but no sample is taken of them
SELECT calls, prompt, seconds FROM estimate($$MERGE INTO texts a USING texts b ON a.i = b.i
	WHEN MATCHED THEN UPDATE SET t = llm_complete(b.t, 'stats') WHEN NOT MATCHED THEN INSERT VALUES (b.i, llm_complete(b.t, 'stats'))$$);
CREATE UNIQUE INDEX ON answers (i);
SELECT calls, prompt, seconds FROM estimate($$INSERT INTO answers SELECT i, t FROM texts ON CONFLICT (i) DO UPDATE SET a = llm_complete(excluded.a, 'stats')$$);
SELECT count(*), sum(i) FROM texts;
SELECT nextval('numbers');
SELECT code, message, hint FROM unnest(ARRAY['', 'SELECT 1; SELECT 2', 'CREATE TABLE x ()', 'SELECT llm_stream(''x'', ''stats'')',
	'WITH d AS (DELETE FROM texts RETURNING 1) SELECT 1', 'SELECT * FROM nowhere', 'SELECT llm_generate(''x'', ''nowhere'')',
	'SELECT * FROM llm_estimate(''SELECT 1'')', 'SELECT count(*) FROM llm_embed_many(''{a}'', ''vectors'')']) q, LATERAL fails(format('SELECT * FROM llm_estimate(%L)', q));
-- a call of what a volatile function returns would count for nothing
CREATE FUNCTION cleaned(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'touched'; END $$;
SELECT code, message, hint FROM fails($$SELECT * FROM llm_estimate('SELECT llm_classify(upper(cleaned(t)), ''{a,b}'', ''stats'') FROM texts')$$);
SELECT code FROM fails($$SELECT * FROM llm_estimate('SELECT llm_classify(labels => ''{a,b}'', input => cleaned(t)) FROM texts')$$);
SELECT calls FROM estimate($$SELECT llm_classify(coalesce(cleaned(t), t), '{a,b}', 'stats') FROM texts$$);
SELECT calls FROM estimate($$SELECT llm_complete(t, 'stats', max_tokens => 2, seed => nextval('numbers')) FROM texts$$);
SELECT calls FROM estimate($$SELECT llm_classify(NULL, '{a,b}', 'stats') FROM texts$$);
-- operators can have effects too; a row whose columns only a function knows
CREATE FUNCTION touch(int, int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'touched'; END $$;
CREATE OPERATOR ##+ (LEFTARG = int, RIGHTARG = int, FUNCTION = touch);
CREATE FUNCTION touch_row(OUT a int, OUT b text) LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'touched'; END $$;
CREATE FUNCTION touch_rows() RETURNS SETOF record LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'touched'; END $$;
SELECT count(*) FROM llm_estimate('SELECT 1 ##+ i, i ##+ 1 = ANY (ARRAY[i ##+ 2]) FROM texts');
SELECT count(*) FROM llm_estimate('SELECT * FROM touch_rows() AS x(a int, b text)');
SELECT * FROM fails($$SELECT * FROM llm_estimate('SELECT * FROM touch_row()')$$);
GRANT SELECT ON texts TO regress_llm_reader;
SET ROLE regress_llm_reader;
SELECT code FROM fails($$SELECT * FROM llm_estimate('SELECT * FROM answers')$$);
SELECT code FROM fails($$SELECT * FROM llm_estimate('UPDATE texts SET i = 1')$$);
SELECT code FROM fails($$SELECT * FROM llm_estimate('SELECT llm_complete(t, ''stats'') FROM texts')$$);
RESET ROLE;
\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA stats_test CASCADE;
DROP SERVER stats;
DROP SERVER narrow;
DROP SERVER vectors;
DROP ROLE regress_llm_reader;
