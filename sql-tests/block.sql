-- joins by llm_filter that an embedding model blocks: which pairs are verified, and that nothing else changes
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
LOAD 'pg_llm';
CREATE SERVER mistral FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'mistral');
CREATE SERVER bert FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'bert');
SET pg_llm.default_model = 'mistral';
SET pg_llm.default_embedding_model = 'bert';
SET max_parallel_workers_per_gather = 0;
CREATE TABLE a AS SELECT i, (ARRAY['a red bicycle', 'some hot tea', 'the old king', 'a loud song', 'rain'])[1 + i % 5] || repeat(' again', i % 3) AS t FROM generate_series(1, 24) i;
CREATE TABLE b AS SELECT i, (ARRAY['wheels', 'a cup', 'castles and kings', 'music', 'water from above', NULL])[1 + i % 6] || repeat(' x', i / 6) AS t FROM generate_series(1, 18) i;
ANALYZE a, b;
CREATE FUNCTION filter(options text, threshold text DEFAULT '0') RETURNS text LANGUAGE sql AS
$$ SELECT format('llm_filter(llm_prompt(''{1} and {2}'', a.t, b.t), ''it fits'', threshold => %s, options => %L)', threshold, options) $$;
-- pairs of a join, with everything that is verified found true or with a threshold
CREATE FUNCTION pairs(options text, threshold text DEFAULT '0') RETURNS TABLE(i int, k int) LANGUAGE plpgsql AS
$$ BEGIN RETURN QUERY EXECUTE 'SELECT a.i, b.i FROM a JOIN b ON ' || filter(options, threshold); END $$;
-- a plan, or what ANALYZE says of the node
CREATE FUNCTION plan(query text, options text DEFAULT 'COSTS OFF') RETURNS SETOF text LANGUAGE plpgsql AS
$$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN (' || options || ') ' || query; END $$;
CREATE TABLE cosines AS SELECT a.i, b.i AS k, a.t AS x, b.t AS y, llm_cosine(llm_embed(a.t), llm_embed(b.t)) AS c FROM a, b WHERE b.t IS NOT NULL;

SELECT plan('SELECT a.i, b.i FROM a JOIN b ON a.i <> b.i AND ' || filter('{"block_model": "bert", "block_top": 2}'));
SELECT plan('SELECT a.i, b.i FROM a, b WHERE ' || filter('{"block_model": "bert"}'));

-- what is verified is what the rule says
SELECT count(*), count(*) = (SELECT count(*) FROM cosines WHERE c >= 0.2) AS right, bool_and(c >= 0.2) AS near
FROM pairs('{"block_model": "bert", "block_similarity": 0.2}') p JOIN cosines USING (i, k);
WITH texts AS (SELECT DISTINCT x, y, c FROM cosines),
ranked AS (SELECT x, y, c, dense_rank() OVER (PARTITION BY x ORDER BY c DESC) AS r, dense_rank() OVER (PARTITION BY y ORDER BY c DESC) AS s FROM texts),
expected AS (SELECT i, k FROM cosines JOIN ranked USING (x, y) WHERE r <= 2 OR s <= 2),
found AS (SELECT * FROM pairs('{"block_model": "bert", "block_top": 2}'))
SELECT (SELECT count(*) FROM found) AS found, (SELECT count(*) FROM (TABLE expected EXCEPT ALL TABLE found) e) AS missing,
	   (SELECT count(*) FROM (TABLE found EXCEPT ALL TABLE expected) e) AS others;
SELECT count(*) = (SELECT count(*) FROM cosines) AS all_of_few FROM pairs('{"block_model": "bert", "block_top": 1000}');
SELECT count(*) = (SELECT count(*) FROM cosines) AS all FROM pairs('{"block_model": "bert", "block_similarity": -1}');
SELECT count(*) AS none FROM pairs('{"block_model": "bert", "block_similarity": 1}');

-- by recall, from a sample: a part of the whole join's result, and the same each time
CREATE TABLE whole AS SELECT i, k FROM pairs('{}', '0.31');
CREATE TABLE blocked AS SELECT i, k FROM pairs('{"block_model": "bert", "block_recall": 0.5, "block_sample": 40}', '0.31');
SELECT (SELECT count(*) FROM whole) AS whole, (SELECT count(*) FROM blocked) < (SELECT count(*) FROM whole) AS fewer, (SELECT count(*) > 0 FROM blocked) AS some,
	   (SELECT count(*) FROM (TABLE blocked EXCEPT ALL TABLE whole) x) AS others;
SELECT e FROM plan('SELECT a.i, b.i FROM a JOIN b ON ' || filter('{"block_model": "bert", "block_recall": 0.5, "block_sample": 40}', '0.31'),
	'ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF') e WHERE e ~ '(Rows|Calls|Block|Pairs|Texts|Matches|Candidate).*: ';
-- the model is asked once about a pair that was in the sample; one that all pairs are in asks about all
SELECT (SELECT count(*) FROM pairs('{"block_model": "bert"}', '0.31')) = (SELECT count(*) FROM whole) AS all_sampled;
-- a sample without matches says nothing: all are verified
SELECT e FROM plan('SELECT a.i, b.i FROM a JOIN b ON ' || filter('{"block_model": "bert", "block_sample": 16}', '1'),
	'ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF') e WHERE e ~ '(Sampled|Estimate|Least|Candidate).*: ';

-- the same one by one, with little memory, on other kernels, and whatever the order of rows
CREATE FUNCTION same_as(query text) RETURNS bool LANGUAGE plpgsql AS
$$ DECLARE result bool; BEGIN
EXECUTE 'WITH q AS (' || query || ') SELECT NOT EXISTS (TABLE q EXCEPT ALL TABLE blocked) AND NOT EXISTS (TABLE blocked EXCEPT ALL TABLE q)' INTO result;
RETURN result; END $$;
\set query 'SELECT i, k FROM pairs(\'{"block_model": "bert", "block_recall": 0.5, "block_sample": 40}\', \'0.31\')'
SET pg_llm.batching = off;
SELECT same_as(:'query') AS one_by_one;
RESET pg_llm.batching;
SET work_mem = '64kB';
SELECT same_as(:'query') AS little_memory;
RESET work_mem;
SELECT same_as(replace(replace('SELECT a.i, b.i FROM (SELECT * FROM a ORDER BY t DESC, i) a JOIN (SELECT * FROM b ORDER BY i DESC) b ON ' ||
	filter('{"block_model": "bert", "block_recall": 0.5, "block_sample": 40}', '0.31'), '$', ''), '  ', ' ')) AS other_order;
-- rows are spilled, bits of pairs come in several blocks
CREATE TABLE many AS SELECT i, 'text ' || i || repeat('.', 200) AS t FROM generate_series(1, 700) i;
ANALYZE many;
SET work_mem = '64kB';
SELECT count(*), count(DISTINCT x.i) AS x, count(DISTINCT y.i) AS y FROM many x JOIN many y
ON llm_filter(llm_prompt('{1}{2}', left(x.t, 9), left(y.t, 9)), 'same', threshold => 0, options => '{"block_model": "bert", "block_similarity": 0.99999}') WHERE x.i <= 300;
RESET work_mem;
DROP TABLE many;
-- work_mem that grows between the rows of a cursor
CREATE TABLE many AS SELECT i, 'text ' || i AS t FROM generate_series(1, 1000) i;
ANALYZE many;
SET work_mem = '64kB';
BEGIN;
DECLARE c CURSOR FOR SELECT x.i, y.i FROM many x JOIN many y ON abs(x.i - y.i) < 1 AND (x.i + y.i) % 200 = 2 AND
	llm_filter(x.t || y.t, 'same', threshold => 0, options => '{"block_model": "bert", "block_similarity": 0.99999}') WHERE y.i <= 700;
FETCH 1 FROM c;
SET LOCAL work_mem = '64MB';
FETCH ALL FROM c;
ROLLBACK;
RESET work_mem;
DROP TABLE many;

-- what fails for pairs that other conditions drop ends nothing: in what is read of a side, and in a sampled call; it raises where it is reached
SELECT count(*) = (SELECT count(*) FROM a JOIN b ON a.i > 1 OR b.i > 1000 WHERE a.t IS NOT NULL AND b.t IS NOT NULL) AS kept FROM a JOIN b ON (a.i > 1 OR b.i > 1000) AND
	llm_filter(a.t || (12 / (a.i - 1)) || b.t, 'x', threshold => 0, options => '{"block_model": "bert", "block_similarity": -1}');
SELECT count(*) AS none FROM a JOIN (SELECT * FROM b WHERE t = '') b ON llm_filter((12 / (a.i - 1)) || b.t, 'x', options => '{"block_model": "bert", "block_top": 1}');
SELECT * FROM fails($$SELECT count(*) FROM a JOIN b ON llm_filter((12 / (a.i - 1)) || b.t, 'x', options => '{"block_model": "bert", "block_top": 1}')$$);
SELECT * FROM fails($$SELECT count(*) FROM a JOIN b ON llm_filter(b.t || (12 / (a.i - 1)), 'x', options => '{"block_model": "bert", "block_sample": 16}')$$);
SELECT count(*) > 0 AS some FROM a JOIN b ON a.i <> b.i AND
	llm_filter(a.t || b.t || (12 / (a.i - b.i)), 'x', threshold => 0, options => '{"block_model": "bert", "block_sample": 300}');
SELECT * FROM fails($$SELECT count(*) FROM a JOIN b ON llm_filter(a.t || b.t || (12 / (a.i - b.i)), 'x', threshold => 0, options => '{"block_model": "bert", "block_sample": 40}')$$);
SELECT count(*) > 0 AS some FROM a JOIN b ON a.i <> b.i AND
	llm_filter(a.t || b.t || repeat('long ', (a.i = b.i)::int * 9000), 'x', threshold => 0, options => '{"block_model": "bert", "block_sample": 300}');

-- the order of the outer side is kept, as a nested loop keeps it
CREATE INDEX ON a (i);
SET enable_sort = off;
SET enable_seqscan = off;
SELECT plan('SELECT a.i FROM a JOIN b ON ' || filter('{"block_model": "bert", "block_top": 2}') || ' WHERE a.i > 0 ORDER BY a.i');
CREATE FUNCTION ordered(query text) RETURNS bool LANGUAGE plpgsql AS
$$ DECLARE last int := 0; r record; BEGIN FOR r IN EXECUTE query LOOP IF r.i < last THEN RETURN false; END IF; last := r.i; END LOOP; RETURN true; END $$;
SELECT ordered('SELECT a.i FROM a JOIN b ON ' || filter('{"block_model": "bert", "block_top": 2}') || ' WHERE a.i > 0 ORDER BY a.i') AS ordered;
RESET enable_sort;
RESET enable_seqscan;

-- what is read of each side: functions, operators, conditions, other types, other calls; nothing out of a CASE over both
SELECT plan($$SELECT 1 FROM a JOIN b ON llm_filter(upper(a.t) || ' ' || b.t || a.i, 'it is about ' || b.i, threshold => 0, options => '{"block_model": "bert", "block_top": 1}')$$);
SELECT count(*) > 0 AS condition FROM a JOIN b ON llm_filter(a.t, 'it is about ' || b.t, threshold => 0, options => '{"block_model": "bert", "block_top": 1}');
SELECT plan($$SELECT 1 FROM a JOIN b ON llm_filter(format('%s %s', llm_classify(a.t, '{x,y}'), b.t), 'it fits', options => '{"block_model": "bert", "block_top": 1}')$$);
SELECT count(*) AS blocked FROM plan($$SELECT 1 FROM a JOIN b ON llm_filter(CASE WHEN a.t < b.t THEN a.t || b.t ELSE a.t END, 'it fits', options => '{"block_model": "bert", "block_top": 1}')$$) p WHERE p ~ 'LlmBlock';
SELECT count(*) AS blocked FROM plan($$SELECT 1 FROM a JOIN b ON llm_filter(a.t || random() || b.t, 'it fits', options => '{"block_model": "bert", "block_top": 1}')$$) p WHERE p ~ 'LlmBlock';
SELECT count(*) AS blocked FROM plan($$SELECT 1 FROM a JOIN b ON llm_filter(a.t || b.t, 'it fits', model => a.t, options => '{"block_model": "bert", "block_top": 1}')$$) p WHERE p ~ 'LlmBlock';

-- whole joins: outer ones, those that another condition joins, and behind row security
SELECT count(*) AS blocked FROM plan('SELECT 1 FROM a LEFT JOIN b ON ' || filter('{"block_model": "bert", "block_top": 1}')) p WHERE p ~ 'LlmBlock';
SELECT count(*) AS blocked FROM plan('SELECT 1 FROM a JOIN b ON a.i = b.i AND ' || filter('{"block_model": "bert", "block_top": 1}')) p WHERE p ~ 'LlmBlock';
SELECT count(*) = (SELECT count(*) FROM a JOIN b ON a.i = b.i WHERE b.t IS NOT NULL) AS whole FROM pairs('{"block_model": "bert", "block_similarity": 1}') p RIGHT JOIN
	(SELECT a.i FROM a JOIN b ON a.i = b.i AND llm_filter(a.t || b.t, 'x', threshold => 0, options => '{"block_model": "bert", "block_similarity": 1}')) q USING (i);
-- semi and outer joins by a blocked inner one
SELECT count(*) AS blocked FROM plan('SELECT 1 FROM a WHERE EXISTS (SELECT FROM b WHERE ' || filter('{"block_model": "bert", "block_top": 1}') || ')') p WHERE p ~ 'LlmBlock';
SELECT count(*) AS blocked FROM plan('SELECT 1 FROM a WHERE i IN (SELECT a.i FROM a JOIN b ON ' || filter('{"block_model": "bert", "block_top": 1}') || ')') p WHERE p ~ 'LlmBlock';
SELECT count(*) AS blocked FROM plan('SELECT 1 FROM a LEFT JOIN (SELECT a.i, b.t FROM a JOIN b ON ' || filter('{"block_model": "bert", "block_top": 1}') || ') m ON m.i = a.i') p WHERE p ~ 'LlmBlock';
CREATE VIEW safe WITH (security_barrier) AS SELECT * FROM b WHERE i > 3;
SELECT count(*) AS blocked FROM plan('SELECT 1 FROM a JOIN safe b ON ' || filter('{"block_model": "bert", "block_top": 1}')) p WHERE p ~ 'LlmBlock';
DROP VIEW safe;
-- a filter of one side stays below the join: what it drops is not compared
CREATE TABLE one AS SELECT 'wheels'::text AS t;
ANALYZE one;
SELECT plan($$SELECT 1 FROM a JOIN one ON llm_filter(a.t || one.t, 'x', options => '{"block_model": "bert", "block_top": 1}') WHERE llm_filter(a.t, 'y')$$);
DROP TABLE one;

-- LIMIT, cursors, plans that read the join again, three tables, UPDATE, row locks, prepared statements, UNION ALL, a self join
SELECT count(*) FROM (SELECT FROM a JOIN b ON llm_filter(a.t || b.t, 'x', threshold => 0, options => '{"block_model": "bert", "block_top": 2}') LIMIT 5) l;
SELECT x, (SELECT count(*) FROM a JOIN b ON llm_filter(a.t || b.t, 'x', threshold => 0, options => '{"block_model": "bert", "block_top": 1}') WHERE a.i % 2 = x) > 0 AS some
FROM (VALUES (0), (1)) v(x);
SET enable_material = off;
SELECT x, count(*) = (SELECT count(*) FROM pairs('{"block_model": "bert", "block_top": 1}')) AS again FROM (VALUES (1), (2)) v(x) LEFT JOIN
	(SELECT a.i FROM a JOIN b ON llm_filter(llm_prompt('{1} and {2}', a.t, b.t), 'it fits', threshold => 0, options => '{"block_model": "bert", "block_top": 1}') OFFSET 0) q ON q.i < x + 1000 GROUP BY x ORDER BY x;
RESET enable_material;
SELECT count(*) > 0 AND count(*) = (SELECT count(*) FROM pairs('{"block_model": "bert", "block_similarity": 0.2}') p JOIN b c ON c.i = p.k WHERE c.t LIKE 'w%') AS three
FROM a JOIN b ON llm_filter(llm_prompt('{1} and {2}', a.t, b.t), 'it fits', threshold => 0, options => '{"block_model": "bert", "block_similarity": 0.2}') JOIN b c ON c.i = b.i AND c.t LIKE 'w%';
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT a.i, b.i FROM a JOIN b ON llm_filter(a.t || b.t, 'x', threshold => 0, options => '{"block_model": "bert", "block_top": 1}');
MOVE 3 IN c;
FETCH BACKWARD 1 FROM c;
MOVE FORWARD ALL IN c;
SELECT count(*) > 0 AS locked FROM (SELECT a.i FROM a JOIN b ON llm_filter(a.t || b.t, 'x', threshold => 0, options => '{"block_model": "bert", "block_top": 1}') FOR UPDATE OF a) l;
UPDATE a SET t = a.t || b.i FROM b WHERE llm_filter(a.t || b.t, 'x', threshold => 0, options => '{"block_model": "bert", "block_top": 1}') AND a.i < 5;
ROLLBACK;
PREPARE p AS SELECT count(*) > 0 AS some FROM a JOIN b ON llm_filter(a.t || b.t, 'x', threshold => 0, options => '{"block_model": "bert", "block_top": 1}');
SET plan_cache_mode = force_generic_plan;
EXECUTE p;
EXECUTE p;
RESET plan_cache_mode;
SELECT count(*) AS nodes FROM plan($$SELECT a.i FROM a JOIN b ON llm_filter(a.t || b.t, 'x', options => '{"block_model": "bert", "block_top": 1}')
	UNION ALL SELECT a.i FROM a JOIN b ON llm_filter(a.t || b.t, 'x', options => '{"block_model": "bert", "block_top": 1}')$$) p WHERE p ~ 'LlmBlock';
SELECT e FROM plan($$SELECT 1 FROM a x JOIN a y ON x.i < y.i AND llm_filter(x.t || y.t, 'same', options => '{"block_model": "bert", "block_top": 1}')$$, 'ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF') e
WHERE e ~ '(Pairs|Embedded|Block Rule|Filter).*: ';
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT count(*) AS blocked FROM plan('SELECT 1 FROM a JOIN b ON a.i = b.i AND ' || filter('{"block_model": "bert", "block_top": 1}')) p WHERE p ~ 'LlmBlock';
RESET enable_hashjoin;
RESET enable_mergejoin;
SELECT count(*) FROM a JOIN b ON llm_filter(a.t || b.t, 'x', options => '{"block_model": "nowhere", "block_top": 1}') AND a.i < 0 AND b.i < 0;

-- trouble: a text too long is cut for the choice only; little memory; misuse; privileges
SELECT count(*) AS long FROM (VALUES (repeat('long ', 2000))) a(t) JOIN (VALUES ('x'), ('y')) b(t) ON llm_filter(left(a.t, 50) || b.t, length(a.t)::text, threshold => 0, options => '{"block_model": "bert", "block_top": 1}');
SET pg_llm.memory_limit = '1MB';
SELECT code FROM fails($$SELECT * FROM generate_series(1, 200000) a(i) JOIN generate_series(1, 2) b(i) ON llm_filter('x' || a.i % 7 || b.i, 'x', options => '{"block_model": "bert", "block_top": 1}')$$);
RESET pg_llm.memory_limit;
SELECT * FROM fails($$SELECT llm_filter('a', 'b', options => '{"block_top": 1}')$$);
SELECT * FROM fails($$SELECT llm_filter('a', 'b', options => '{"block_model": "bert", "block_top": 1, "block_recall": 0.5}')$$);
SELECT * FROM fails($$SELECT llm_filter('a', 'b', options => '{"block_model": "bert", "block_top": 0}')$$);
SELECT * FROM fails($$SELECT llm_filter('a', 'b', options => '{"block_model": ""}')$$);
SELECT * FROM fails($$SELECT llm_filter('a', 'b', options => '{"block_model": "bert", "block_similarity": 2}')$$);
SELECT * FROM fails($$SELECT llm_filter('a', 'b', options => '{"block_model": "bert", "block_sample": 2}')$$);
SELECT * FROM fails($$SELECT llm_score('a', 'b', options => '{"block_model": "bert"}')$$);
SELECT * FROM fails($$SELECT 1 FROM a JOIN b ON llm_filter(a.t || b.t, 'x', options => '{"block_model": "bert", "block_recall": 7}')$$);
SELECT * FROM fails($$SELECT 1 FROM a JOIN b ON llm_filter(a.t || b.t, 'x', options => '{"block_model": "nowhere"}')$$);
SELECT * FROM fails($$SELECT 1 FROM a JOIN b ON llm_filter(a.t || b.t, 'x', options => '{"block_model": "mistral"}')$$);
SELECT code, message FROM fails($$SELECT llm_estimate($q$SELECT 1 FROM a JOIN b ON llm_filter(a.t || b.t, 'x', options => '{"block_model": "bert"}')$q$)$$);
-- a model that is altered after the texts of one side are embedded
SELECT set_config('test.folder', :'abs_srcdir' || '/sql/data', false) IS NOT NULL AS folder;
CREATE SERVER changing FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'bert');
CREATE FUNCTION change() RETURNS text LANGUAGE plpgsql AS
$$ BEGIN
EXECUTE format('ALTER SERVER changing OPTIONS (SET path %L)', current_setting('test.folder') || (SELECT CASE WHEN array_to_string(srvoptions, ' ') LIKE '%modern%'
	THEN '/models/bert.gguf' ELSE '/encoders/modern-bert.gguf' END FROM pg_foreign_server WHERE srvname = 'changing'));
RETURN 'x';
END $$;
SELECT * FROM fails($$SELECT 1 FROM (SELECT x || i AS t FROM (SELECT change() AS x ORDER BY 1 OFFSET 0) s, generate_series(1, 1100) i OFFSET 0) a JOIN
	(SELECT x || -i AS t FROM (SELECT change() AS x ORDER BY 1 OFFSET 0) s, generate_series(1, 1100) i OFFSET 0) b
	ON llm_filter(a.t || b.t, 'x', options => '{"block_model": "changing", "block_top": 1}')$$);
DROP FUNCTION change;
DROP SERVER changing;
CREATE ROLE regress_llm_reader;
GRANT SELECT ON a, b TO regress_llm_reader;
GRANT USAGE ON FOREIGN SERVER mistral TO regress_llm_reader;
SET ROLE regress_llm_reader;
SELECT * FROM fails($$SELECT 1 FROM a JOIN b ON llm_filter(a.t || b.t, 'x', options => '{"block_model": "bert"}')$$);
RESET ROLE;
DROP OWNED BY regress_llm_reader;
DROP ROLE regress_llm_reader;

-- ORDER BY llm_score … LIMIT: rows that a filter drops are not scored, each other one once
SELECT e FROM plan($$SELECT i, llm_score(t, 'x') FROM a WHERE i % 4 = 0 AND t LIKE 'a%' ORDER BY llm_score(t, 'x') DESC, i LIMIT 2$$, 'ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF') e
WHERE e !~ '(Tokens|Memory|Batch|Batches):';
SELECT e FROM plan($$SELECT i FROM b WHERE llm_filter(t, 'y', threshold => 1) ORDER BY llm_score(t, 'x') LIMIT 2$$, 'ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF') e
WHERE e ~ '(Functions|Calls|Distinct Inputs): ';
CREATE TABLE top AS SELECT i, llm_score(t, 'x') AS s FROM a ORDER BY llm_score(t, 'x') DESC, i LIMIT 3;
SET pg_llm.batching = off;
SELECT count(*) = 3 AS same FROM (SELECT i, llm_score(t, 'x') AS s FROM a) q JOIN top USING (i, s) WHERE (SELECT count(*) FROM (SELECT llm_score(t, 'x') AS s FROM a) r WHERE r.s > q.s) < 3;
RESET pg_llm.batching;

DROP TABLE a, b, cosines, whole, blocked, top;
DROP FUNCTION filter, pairs, plan, same_as, ordered;
DROP SERVER mistral;
DROP SERVER bert;
