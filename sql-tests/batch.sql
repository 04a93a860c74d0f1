-- rows go through the model together: the same results, errors and effects as one by one, and what EXPLAIN says of it
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
LOAD 'pg_llm';
CREATE SERVER mistral FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'mistral');
SET pg_llm.default_model = 'mistral';
SET max_parallel_workers_per_gather = 0;
CREATE TABLE texts AS SELECT i, 'text ' || i % 25 || ' of some length' AS t, i % 3 AS k, CASE WHEN i % 7 > 0 THEN i END AS n
	FROM generate_series(1, 60) i;
CREATE TABLE few AS SELECT i, 'few ' || i AS f FROM generate_series(1, 5) i;
CREATE INDEX ON texts (i);
ANALYZE texts, few;

-- what a statement returns, or how it fails; and what it did to a table, undone
CREATE FUNCTION outcome(statement text, looks_at text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	result text := '';
	looked text := '';
BEGIN
	BEGIN
		IF statement ~* '^\s*(select|with|values)' OR statement ~* 'returning' THEN
			FOR r IN EXECUTE statement LOOP
				result := result || r::text || E'\n';
			END LOOP;
		ELSE
			EXECUTE statement;
		END IF;
		IF looks_at IS NOT NULL THEN
			EXECUTE format('SELECT string_agg(x::text, E''\n'' ORDER BY x::text) FROM %s x', looks_at) INTO looked;
		END IF;
		RAISE EXCEPTION 'undo' USING ERRCODE = 'ZZZZZ';
	EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN
		RETURN result || coalesce(looked, 'NULL');
	WHEN OTHERS THEN
		RETURN result || SQLSTATE || ' ' || SQLERRM;
	END;
END $$;
-- whether it is the same one by one, lines of the outcome, and how many batch nodes the plan has. With another way to cut what
-- is too long (nothing is, where it matters), the second run finds none of the first one's answers in the statement's memo.
CREATE FUNCTION compare(statement text, looks_at text DEFAULT NULL, OUT same bool, OUT rows int, OUT nodes int) LANGUAGE plpgsql AS $$
DECLARE
	line text;
	off text;
	together text;
BEGIN
	SET LOCAL pg_llm.batching = off;
	IF statement !~ 'repeat' THEN
		SET LOCAL pg_llm.truncate = 'tail';
	END IF;
	off := outcome(statement, looks_at);
	SET LOCAL pg_llm.batching = eager;
	SET LOCAL pg_llm.truncate = 'error';
	together := outcome(statement, looks_at);
	SET LOCAL pg_llm.batching = on;
	same := off = together;
	IF NOT same THEN
		RAISE NOTICE 'one by one: %, together: %', off, together;
	END IF;
	rows := length(off) - length(replace(off, E'\n', ''));
	nodes := 0;
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP
		nodes := nodes + (line ~ 'LlmBatch')::int;
	END LOOP;
END $$;

-- where calls can be
SELECT * FROM compare($$SELECT i, llm_classify(t, '{a,b,c}') FROM texts$$);
SELECT * FROM compare($$SELECT i FROM texts WHERE llm_filter(t, 'x', threshold => 0.7)$$);
SELECT * FROM compare($$SELECT i, llm_generate(t, max_tokens => 3) FROM texts WHERE i > 5 AND llm_score(t, 'x') > 0.6 AND llm_score(t || 'b', 'x') > 0.6$$);
SELECT * FROM compare($$SELECT i FROM texts ORDER BY llm_score(t, 'x') DESC, i$$);
SELECT * FROM compare($$SELECT llm_classify(t, '{a,b}'), count(*) FROM texts GROUP BY 1 ORDER BY 1$$);
SELECT * FROM compare($$SELECT k, avg(llm_score(t, 'a')) FILTER (WHERE llm_filter(t, 'x', threshold => 0.7)), max(llm_complete(t, max_tokens => 2)) FROM texts GROUP BY k ORDER BY k$$);
SELECT * FROM compare($$SELECT k, llm_classify(string_agg(t, ' ' ORDER BY i), '{a,b}') FROM texts GROUP BY k HAVING llm_score(min(t), 'x') > 0 ORDER BY k$$);
SELECT * FROM compare($$SELECT i, sum(llm_score(t, 'a')) OVER (ORDER BY i), llm_classify(t || row_number() OVER (ORDER BY i), '{a,b}') FROM texts$$);
SELECT * FROM compare($$SELECT DISTINCT llm_classify(t, '{a,b}') FROM texts ORDER BY 1$$);
SELECT * FROM compare($$SELECT a.i, b.i FROM texts a JOIN few b ON a.k = b.i AND llm_filter(a.t || b.f, 'x', threshold => 0.7)$$);
SELECT * FROM compare($$SELECT a.i, b.i, llm_score(b.f, 'x') FROM texts a LEFT JOIN few b ON a.k = b.i AND llm_filter(b.f, 'x', threshold => 0.7)$$);
SELECT * FROM compare($$SELECT a.i, b.i FROM few a LEFT JOIN few b ON llm_classify(a.f, '{a,b}') = llm_classify(b.f, '{a,b}')$$);
SELECT * FROM compare($$SELECT a.i FROM texts a WHERE EXISTS (SELECT FROM few b WHERE b.i = a.k AND llm_filter(b.f, 'x'))$$);
SELECT * FROM compare($$SELECT a.i, (SELECT llm_classify(b.f || a.t, '{a,b}') FROM few b WHERE b.i = a.k) FROM texts a WHERE i < 9$$);
SELECT * FROM compare($$SELECT a.i, p.* FROM texts a, llm_classify_probs(a.t, '{a,b}') p$$);
SELECT * FROM compare($$SELECT a.i, p.* FROM texts a LEFT JOIN LATERAL llm_classify_probs(a.t || k, '{a,b}') p ON p.probability > 0.5$$);
SELECT * FROM compare($$SELECT i, llm_classify_probs(t, '{a,b}') FROM texts$$);
SELECT * FROM compare($$SELECT i, x.a FROM texts, LATERAL (SELECT llm_generate(t, max_tokens => 2) AS a) x$$);
SELECT * FROM compare($$WITH c AS MATERIALIZED (SELECT i, llm_generate(t, max_tokens => 2) AS g FROM texts) SELECT i, llm_score(g, 'x') FROM c$$);
SELECT * FROM compare($$WITH RECURSIVE c(i, g) AS (SELECT i, f FROM few UNION ALL SELECT i + 1, llm_generate(g, max_tokens => 2) FROM c WHERE i < 7) SELECT * FROM c$$);
SELECT * FROM compare($$SELECT llm_classify(t, '{a,b}') FROM texts WHERE i < 9 UNION ALL SELECT llm_classify(f, '{a,b}') FROM few$$);
SELECT * FROM compare($$VALUES (llm_score('x', 'y')), (llm_score('x', 'z'))$$);
SELECT * FROM compare($$SELECT llm_score(v, 'y') FROM (VALUES ('a'), ('b'), (NULL)) x(v)$$);
SELECT * FROM compare($$UPDATE texts SET t = llm_generate(t, max_tokens => 3), n = 1 WHERE i < 30$$, 'texts');
SELECT * FROM compare($$UPDATE texts SET t = llm_generate(f, max_tokens => 3) FROM few WHERE few.i = k RETURNING texts.i, llm_score(t, 'x'), llm_score(f, 'x')$$, 'texts');
SELECT * FROM compare($$INSERT INTO few SELECT i, llm_generate(t, max_tokens => 3) FROM texts RETURNING i, llm_classify(f, '{a,b}')$$, 'few');
SELECT * FROM compare($$DELETE FROM texts WHERE llm_filter(t, 'x', threshold => 0.7) RETURNING llm_score(t, 'x')$$, 'texts');
SELECT * FROM compare($$CREATE TABLE made AS SELECT i, llm_classify(t, '{a,b}') FROM texts$$, 'made');
SELECT * FROM compare($$MERGE INTO few USING texts ON few.i = texts.i AND llm_filter(f, 'x') WHEN MATCHED THEN UPDATE SET f = llm_generate(t, max_tokens => 2) WHEN NOT MATCHED AND texts.i < 20 THEN INSERT VALUES (texts.i, llm_classify(t, '{a,b}'))$$, 'few');

SELECT * FROM compare($$SELECT llm_classify(a::text, '{a,b}'), a, tableoid::regclass, ctid FROM texts a WHERE llm_score(ctid::text, 'x') > 0.3$$);
SELECT * FROM compare($$SELECT k, grouping(k), llm_classify(coalesce(k::text, 'all'), '{a,b}'), count(*) FROM texts GROUP BY ROLLUP (k) ORDER BY 2, 1$$);
SELECT * FROM compare($$SELECT DISTINCT ON (k) k, llm_classify(t, '{a,b}') FROM texts ORDER BY k, llm_score(t, 'x')$$);
SELECT * FROM compare($$SELECT EXISTS (SELECT FROM texts WHERE llm_filter(t, 'x')), ARRAY(SELECT llm_classify(f, '{a,b}') FROM few)$$);
SELECT * FROM compare($$SELECT i, llm_classify(t, '{a,b}') FROM texts WHERE i = ANY (ARRAY[1, 2]) ORDER BY i FOR UPDATE$$);
SELECT * FROM compare($$WITH u AS (UPDATE few SET f = llm_generate(f, max_tokens => 2) RETURNING *) SELECT i, llm_classify(f, '{a,b}') FROM u$$);
CREATE TABLE keyed (i int PRIMARY KEY, x text);
INSERT INTO keyed SELECT i, 'old' FROM few;
SELECT * FROM compare($$INSERT INTO keyed SELECT i, t FROM texts ON CONFLICT (i) DO UPDATE SET x = llm_generate(EXCLUDED.x, max_tokens => 2) || keyed.x WHERE llm_score(EXCLUDED.x, 'x') > 0.5$$, 'keyed');

-- every function
SELECT * FROM compare($$SELECT (d).value, (d).finish_reason, (d).output_tokens, (d).logprob FROM (SELECT llm_generate_detail(t, max_tokens => 3) AS d FROM texts OFFSET 0) x$$);
SELECT * FROM compare($$SELECT (llm_chat(json_build_array(json_build_object('role', 'user', 'content', t)), max_tokens => 2)).value FROM texts$$);
SELECT * FROM compare($$SELECT llm_complete(t, max_tokens => 3, temperature => 1.5, seed => i) FROM texts$$);
CREATE TYPE mood AS ENUM ('sad', 'glad', 'mad');
SELECT * FROM compare($$SELECT i, llm_classify_enum(t, NULL::mood), llm_classify_multi(t, '{a,b,c}') FROM texts$$);
SELECT * FROM compare($$SELECT i, llm_classify(t, ARRAY['a', 'b', 'c' || k], options => '{"calibrate": true}'), llm_classify(t, '{a,b}', min_confidence => k / 4.0) FROM texts$$);
SELECT * FROM compare($$SELECT llm_generate(llm_classify(t, ARRAY[llm_generate('x' || k, max_tokens => 2), 'b']), max_tokens => 2) FROM texts$$);

-- guards: what is not reached does not run, nor fail
SELECT * FROM compare($$SELECT CASE WHEN n IS NULL THEN 'none' WHEN 10 / (n - 21) > 0 THEN llm_generate(t || 100 / (n - 21), max_tokens => 2) ELSE llm_classify(t, '{a,b}') END FROM texts WHERE i <> 21$$);
SELECT * FROM compare($$SELECT CASE k WHEN 0 THEN 'zero' WHEN 1 THEN llm_generate(t || 1 / k, max_tokens => 2) END FROM texts$$);
SELECT * FROM compare($$SELECT coalesce(n::text, llm_generate(t, max_tokens => 2)), n > 20 OR llm_filter(t, 'x'), n > 20 AND llm_filter(t, 'x') FROM texts$$);
SELECT * FROM compare($$SELECT CASE WHEN llm_filter(t, 'x', threshold => 0.7) THEN llm_generate(t, max_tokens => 2) END FROM texts$$);
SELECT * FROM compare($$SELECT llm_generate(NULL::text), llm_classify(n::text, '{a,b}') FROM texts$$);

-- errors are those of the row that is returned
SELECT * FROM compare($$SELECT i, llm_generate((100 / (i - 7))::text, max_tokens => 2) FROM texts$$);
SELECT * FROM compare($$SELECT i, llm_generate((100 / (i - 7))::text, max_tokens => 2) FROM texts LIMIT 6$$);
SELECT * FROM compare($$SELECT i, llm_generate(t, CASE WHEN i > 9 THEN 'nowhere' END, max_tokens => 2) FROM texts$$);
SELECT * FROM compare($$SELECT i, llm_generate(t, CASE WHEN i > 9 THEN 'nowhere' END, max_tokens => 2) FROM texts LIMIT 9$$);
SELECT * FROM compare($$SELECT i, llm_classify(t, CASE WHEN i > 4 THEN '{a,a}' ELSE '{a,b}' END::text[]) FROM texts$$);
SELECT * FROM compare($$SELECT i, llm_generate(repeat(t, CASE WHEN i = 30 THEN 3000 ELSE 1 END), max_tokens => 2) FROM texts$$);
SELECT * FROM compare($$SELECT i, (llm_chat(CASE WHEN i = 5 THEN '{}' ELSE '[{"role": "user", "content": "x"}]' END::json, max_tokens => 2)).value FROM texts$$);
SET pg_llm.on_error = 'null';
SELECT count(llm_generate(repeat(t, CASE WHEN i IN (30, 31) THEN 3000 ELSE 1 END), max_tokens => 2)) FROM texts;
RESET pg_llm.on_error;

-- effects happen once for each row that is returned
CREATE SEQUENCE s;
SELECT * FROM compare($$SELECT llm_classify(t, '{a,b}'), nextval('s') - (SELECT last_value FROM s) AS one FROM texts LIMIT 5$$);
SELECT setval('s', 100), count(x) FROM (SELECT llm_classify(t, '{a,b}') || nextval('s') AS x FROM texts LIMIT 5) q;
SELECT last_value FROM s;
-- a volatile function below is not called for rows that nobody asks for
SELECT count(*) FROM (SELECT llm_classify(t, '{a,b}') FROM (SELECT t, nextval('s') FROM texts OFFSET 0) x LIMIT 5) q;
SELECT last_value FROM s;
-- sub-plans that fill several columns
SELECT * FROM compare($$UPDATE texts SET (t, n) = (SELECT f, few.i FROM few WHERE few.i = k), k = length(llm_classify(t, '{aa,b}'))$$, 'texts');
SELECT * FROM compare($$UPDATE texts SET (t, n) = (SELECT llm_generate(f, max_tokens => 2), few.i FROM few WHERE few.i = k)$$, 'texts');
-- a sub-plan that is the same for all rows; labels from a table
SELECT * FROM compare($$SELECT llm_classify(t, (SELECT array_agg(f) FROM few)) FROM texts$$);
SELECT * FROM compare($$SELECT CASE WHEN i > 0 THEN llm_classify(t, '{a,b}') ELSE (SELECT f FROM few) END FROM texts$$);
-- an unseeded answer is not shared: each call has its own
SELECT count(DISTINCT a) > 10 AS differ, count(*) FILTER (WHERE a = b) < 30 AS by_call
FROM (SELECT llm_generate('x', max_tokens => 8, temperature => 2) AS a, llm_generate('x', max_tokens => 8, temperature => 2) AS b FROM texts) x;
-- equal calls of a statement run once, with and without a node
SELECT bool_and((a).ms = (b).ms) AS once FROM (SELECT llm_generate_detail(f, max_tokens => 2) AS a, llm_generate_detail(f, max_tokens => 2) AS b FROM few OFFSET 0) x;
SELECT (llm_generate_detail('x', max_tokens => 2)).ms = (llm_generate_detail('x', max_tokens => 2)).ms AS once;
SET pg_llm.batching = off;
SELECT count(DISTINCT (llm_generate_detail('x', max_tokens => 2)).ms) AS runs FROM texts;
RESET pg_llm.batching;

-- LIMIT bounds what is computed
CREATE FUNCTION explain(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || statement LOOP
		RETURN NEXT regexp_replace(line, 'rows=(\d+)\.00', 'rows=\1');	-- as from 18 on
	END LOOP;
END $$;
SELECT e FROM explain($$SELECT llm_classify(t, '{a,b}') FROM texts LIMIT 7$$) e WHERE e ~ ' (Rows|Batches|Largest Batch|Calls):';
SELECT e FROM explain($$SELECT llm_classify(t, '{a,b}') FROM texts OFFSET 2 LIMIT 2 + 3$$) e WHERE e ~ ' (Rows|Batches|Largest Batch|Calls):';
SELECT e FROM explain($$SELECT i FROM texts WHERE llm_score(t, 'a') >= 0 LIMIT 7$$) e WHERE e ~ ' (Rows|Batches|Largest Batch|Calls):';
SELECT e FROM explain($$SELECT llm_generate(t, max_tokens => 2) FROM texts ORDER BY i DESC LIMIT 4$$) e WHERE e ~ '(Rows|Batches|Largest Batch|Calls|Sort Method):';
PREPARE limited(bigint) AS SELECT llm_generate(t, max_tokens => 2) FROM texts ORDER BY i DESC LIMIT $1;
SET plan_cache_mode = force_generic_plan;
SELECT e FROM explain('EXECUTE limited(4)') e WHERE e ~ '(Rows|Batches|Largest Batch|Calls|Sort Method):';
RESET plan_cache_mode;
-- each scan has a bound of its own, also one without after one with: fewer rows, more, all
SELECT * FROM compare($$SELECT m, x.* FROM (VALUES (2), (1), (5), (NULL), (3)) v(m), LATERAL (SELECT i, llm_generate(t, max_tokens => 1) FROM texts ORDER BY i DESC LIMIT m) x$$);
SELECT * FROM compare($$SELECT m, x.* FROM (VALUES (1), (4), (2)) v(m), LATERAL (SELECT i, llm_generate(t, max_tokens => 1) FROM texts WHERE k = m % 3 ORDER BY i OFFSET m LIMIT m) x$$);
-- a cached plan follows the setting
PREPARE cached(text) AS SELECT md5(string_agg(llm_classify(t, ARRAY['a', $1]), ',' ORDER BY i)) FROM texts;
SET plan_cache_mode = force_generic_plan;
CREATE TABLE answers (a text);
PREPARE into_answers AS INSERT INTO answers SELECT llm_classify(t, '{a,b}') FROM texts;
EXECUTE into_answers;
SET pg_llm.batching = off;
EXECUTE into_answers;
SELECT count(*), count(DISTINCT a) FROM answers;
SELECT e FROM explain('EXECUTE into_answers') e WHERE e ~ '(Rows|Batching|Calls):';
RESET pg_llm.batching;
SELECT e FROM explain('EXECUTE into_answers') e WHERE e ~ '(Rows|Batching|Calls):';
RESET plan_cache_mode;

-- cursors: forward, backward, over several statements
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT i, llm_classify(t, '{a,b,c}') FROM texts ORDER BY i;
FETCH 2 FROM c;
FETCH ABSOLUTE 60 FROM c;
FETCH BACKWARD 2 FROM c;
FETCH FIRST FROM c;
DECLARE d CURSOR FOR SELECT i FROM texts WHERE llm_score(t, 'x') >= 0;
FETCH 3 FROM d;
FETCH BACKWARD 2 FROM d;
MOVE FORWARD ALL IN d;
DECLARE e NO SCROLL CURSOR FOR SELECT i, llm_generate(t, max_tokens => 2) = llm_generate(t, max_tokens => 2) FROM texts;
FETCH 1 FROM e;
SAVEPOINT p;
FETCH 2 FROM e;
ROLLBACK TO p;
FETCH 2 FROM e;
DECLARE u CURSOR FOR SELECT i, llm_generate(t, max_tokens => 2) IS NOT NULL FROM texts FOR UPDATE;
FETCH 3 FROM u;
UPDATE texts SET n = n WHERE CURRENT OF u RETURNING i;
DECLARE h CURSOR WITH HOLD FOR SELECT i, llm_classify(t, '{a,b,c}') IS NOT NULL FROM texts;
FETCH 1 FROM h;
COMMIT;
FETCH 1 FROM h;
CLOSE h;

-- PL/pgSQL: assignment, loops, exceptions inside of a batch
DO $$
DECLARE
	r record;
	x text;
	n int := 0;
BEGIN
	x := llm_classify('x', '{a,b}');
	SELECT llm_classify(t, '{a,b}') INTO x FROM texts WHERE i = 1;
	FOR r IN SELECT i, llm_generate(t, max_tokens => 2) AS g FROM texts LOOP
		BEGIN
			n := n + (llm_classify(r.g, '{a,b}') IS NOT NULL)::int;
			IF r.i % 5 = 0 THEN
				RAISE EXCEPTION 'x';
			END IF;
		EXCEPTION WHEN OTHERS THEN
			n := n + 100;
		END;
	END LOOP;
	RAISE NOTICE '%', n;
END $$;
-- triggers
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.f := upper(NEW.f) || llm_classify(NEW.f, '{a,b}'); RETURN NEW; END $$;
CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON few FOR EACH ROW EXECUTE FUNCTION shout();
SELECT * FROM compare($$INSERT INTO few SELECT i, t FROM texts RETURNING llm_classify(f, '{a,b}'), f$$, 'few');
SELECT * FROM compare($$UPDATE few SET f = llm_generate(f, max_tokens => 2) RETURNING llm_classify(f, '{a,b}'), f$$, 'few');
DROP TRIGGER shout ON few;

-- partitions: one node above all
CREATE TABLE parts (t text, k int) PARTITION BY LIST (k);
CREATE TABLE parts_0 (k int, x int, t text);
ALTER TABLE parts_0 DROP COLUMN x;
ALTER TABLE parts ATTACH PARTITION parts_0 FOR VALUES IN (0);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2);
INSERT INTO parts SELECT t, k FROM texts;
SELECT * FROM compare($$SELECT k, llm_classify(t, '{a,b}') FROM parts WHERE llm_filter(t, 'x') ORDER BY t$$);
SELECT * FROM compare($$UPDATE parts SET t = llm_generate(t, max_tokens => 2), k = (k + 1) % 3$$, 'parts');
EXPLAIN (COSTS OFF, VERBOSE) SELECT llm_score(t, 'x') FROM parts WHERE llm_filter(t || k, 'y') AND k > 0;
-- whole rows; sorted ones that are merged; a UNION ALL in which not all parts are alike
SELECT * FROM compare($$SELECT p, tableoid::regclass FROM parts p WHERE llm_filter(p::text, 'x')$$);
CREATE INDEX ON parts (t);
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT k FROM parts WHERE llm_filter(t, 'x') ORDER BY t;
SELECT * FROM compare($$SELECT k, t, llm_classify(t, '{a,b}') FROM parts WHERE llm_filter(t, 'x') ORDER BY t DESC, k$$);
SELECT * FROM compare($$SELECT k, t FROM parts WHERE llm_filter(t, 'x') ORDER BY t, k LIMIT 7$$);
SELECT * FROM compare($$SELECT llm_classify(t, '{a,b}') FROM parts ORDER BY upper(t), k$$);
RESET enable_sort;
EXPLAIN (COSTS OFF) SELECT t FROM (SELECT t FROM parts UNION ALL SELECT t FROM texts UNION ALL SELECT 'a' UNION ALL SELECT f FROM few) x
	WHERE llm_filter(t, 'x');
SELECT * FROM compare($$SELECT t FROM (SELECT t FROM parts UNION ALL SELECT t FROM texts UNION ALL SELECT 'a' UNION ALL SELECT f FROM few) x
	WHERE llm_filter(t, 'x')$$);
SELECT * FROM compare($$SELECT llm_classify(t, '{a,b}') FROM parts UNION ALL SELECT llm_classify(upper(t), '{a,b}') FROM parts$$);
-- batches reach across small partitions: one row first, then all others
CREATE TABLE small (t text, k int) PARTITION BY LIST (k);
DO $$ BEGIN
	FOR i IN 1..20 LOOP
		EXECUTE format('CREATE TABLE small_%s PARTITION OF small FOR VALUES IN (%s)', i, i);
	END LOOP;
END $$;
INSERT INTO small SELECT 'small ' || i, 1 + i % 20 FROM generate_series(1, 40) i;
CREATE FUNCTION batches(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || statement LOOP
		IF line ~ 'Batches|Rows:' THEN
			RETURN NEXT trim(line);
		END IF;
	END LOOP;
END $$;
SELECT batches($$SELECT count(*) FROM small WHERE llm_filter(t, 'x')$$);
-- what is guarded stays so in each partition: rows are not looked at before they may be
ALTER TABLE small ENABLE ROW LEVEL SECURITY;
CREATE ROLE small_reader;
GRANT SELECT ON small TO small_reader;
GRANT USAGE ON FOREIGN SERVER mistral TO small_reader;
CREATE POLICY p ON small FOR SELECT TO small_reader USING (k < 3);
CREATE FUNCTION seen(t text) RETURNS text LANGUAGE plpgsql STABLE COST 1 AS $$ BEGIN RAISE NOTICE 'saw %', t; RETURN t; END $$;
SET ROLE small_reader;
SELECT count(*) FROM small WHERE llm_score(seen(t), 'x') >= 0 AND t > 'small 2';
RESET ROLE;
DROP OWNED BY small_reader;
DROP ROLE small_reader;
DROP FUNCTION batches, seen;
DROP TABLE small;

-- row security and barrier views: no row is looked at before it may be
CREATE FUNCTION leak(t text) RETURNS bool LANGUAGE plpgsql STABLE COST 1 AS $$ BEGIN RAISE NOTICE 'saw %', t; RETURN true; END $$;
CREATE VIEW safe WITH (security_barrier) AS SELECT * FROM few WHERE llm_score(f, 'public') >= 0 AND i < 3;
SELECT i FROM safe WHERE leak(f) AND llm_filter(f, 'x') IS NOT NULL;
ALTER TABLE few ENABLE ROW LEVEL SECURITY;
CREATE ROLE reader;
GRANT SELECT ON few TO reader;
GRANT USAGE ON FOREIGN SERVER mistral TO reader;
CREATE POLICY p ON few FOR SELECT TO reader USING (llm_filter(f, 'public', threshold => 0) AND i > 3);
SET ROLE reader;
SELECT i, llm_score(f, 'x') > 0 AS answer FROM few WHERE leak(f);
RESET ROLE;
ALTER TABLE few DISABLE ROW LEVEL SECURITY;

-- parallel plans: the calls are above Gather
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT nodes, same FROM compare($$SELECT count(llm_classify(t, '{a,b}')), sum(k) FROM texts WHERE i % 2 = 0$$);
SELECT * FROM compare($$SELECT llm_classify(t, '{a,b}') FROM texts WHERE i % 2 = 0 AND llm_filter(t, 'x') ORDER BY i$$);
SELECT * FROM compare($$SELECT llm_classify(substr(t, k - 1), '{a,b}') FROM texts WHERE i % 2 = 0 ORDER BY i$$);
RESET min_parallel_table_scan_size;
RESET parallel_tuple_cost;
RESET parallel_setup_cost;
SET max_parallel_workers_per_gather = 0;

-- merge join: the inner side is read again
SET enable_hashjoin = off;
SET enable_nestloop = off;
SELECT * FROM compare($$SELECT a.i, b.x FROM texts a JOIN (SELECT i, llm_classify(t, '{a,b}') AS x FROM texts OFFSET 0) b USING (i)$$);
SELECT * FROM compare($$SELECT a.k, b.x FROM (SELECT k FROM texts ORDER BY k) a JOIN (SELECT k, llm_classify(t, '{a,b}') AS x FROM texts ORDER BY k, i LIMIT 30) b USING (k)$$);
RESET enable_hashjoin;
RESET enable_nestloop;

-- spilled rows, small batches, other settings
SET work_mem = '64kB';
SELECT * FROM compare($$SELECT i, length(x), llm_classify(t, '{a,b}') FROM (SELECT i, t, repeat('x', 20000 + i) AS x FROM texts OFFSET 0) q$$);
RESET work_mem;
SET pg_llm.batch_tokens = 1;
SELECT * FROM compare($$SELECT i, llm_classify(t, '{a,b}') FROM texts$$);
RESET pg_llm.batch_tokens;
SET pg_llm.prefix_cache = off;
SELECT * FROM compare($$SELECT i, llm_classify(t, '{a,b}') FROM texts$$);
RESET pg_llm.prefix_cache;

-- EXPLAIN
EXPLAIN (COSTS OFF, VERBOSE) SELECT i, llm_classify(t, '{a,b}') FROM texts WHERE k = 1 AND llm_filter(t, 'x') AND i < 50;
EXPLAIN (COSTS OFF) SELECT llm_classify(t, '{a,b}', CASE WHEN k = 1 THEN 'mistral' END) FROM texts;
SELECT * FROM explain($$UPDATE texts SET t = llm_classify(t, '{a,b}')$$);
-- estimates: rows of a set-returning function, costs by the tokens that are allowed
CREATE FUNCTION estimate(statement text, field text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || statement INTO plan;
	RETURN plan -> 0 -> 'Plan' ->> field;
END $$;
SELECT estimate($$SELECT * FROM llm_classify_probs('x', '{a,b,c}')$$, 'Plan Rows') AS three,
	estimate($$SELECT * FROM llm_classify_probs('x', ARRAY['a', now()::text])$$, 'Plan Rows') AS two;
SELECT estimate('SELECT llm_generate(t, max_tokens => 512) FROM texts', 'Total Cost') / estimate('SELECT llm_generate(t) FROM texts', 'Total Cost')
	BETWEEN 1.9 AND 2.1 AS twice;
SELECT estimate('SELECT llm_generate(t, max_tokens => 1) FROM texts', 'Total Cost') > 1000 * estimate('SELECT t FROM texts', 'Total Cost') / 60 AS thousands;
-- actions that may not come about are computed ahead by setting
EXPLAIN (COSTS OFF) INSERT INTO keyed SELECT i, t FROM texts ON CONFLICT (i) DO UPDATE SET x = llm_generate(EXCLUDED.x);
SET pg_llm.batching = eager;
SELECT e FROM explain($$INSERT INTO keyed SELECT i, t FROM texts ON CONFLICT (i) DO UPDATE SET x = llm_generate(EXCLUDED.x, max_tokens => 2)$$) e WHERE e ~ '(Calls|Rows):';
RESET pg_llm.batching;
-- JIT by the cost without the models' calls
SET jit = on;
SET jit_above_cost = 100;
SELECT count(*) FROM explain($$SELECT llm_classify(t, '{a,b}') FROM texts$$) e WHERE e ~ 'JIT';
RESET jit_above_cost;
RESET jit;

DROP TABLE texts, few, parts, answers, keyed CASCADE;
DROP FUNCTION outcome, compare, explain, estimate, leak, shout;
DROP SEQUENCE s;
DROP TYPE mood;
DEALLOCATE ALL;
DROP OWNED BY reader;
DROP ROLE reader;
DROP SERVER mistral;
