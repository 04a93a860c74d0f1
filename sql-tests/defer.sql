-- filters that run a model move above joins that leave fewer rows, and change no result
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');
SELECT llm_count_tokens('a', 'llama3') > 0 AS loaded;
CREATE TABLE mails (i int PRIMARY KEY, person int, body text);
INSERT INTO mails SELECT i, i % 100, 'mail ' || i FROM generate_series(1, 300) i;
CREATE TABLE persons (i int PRIMARY KEY, city text);
INSERT INTO persons SELECT i, 'city ' || i % 50 FROM generate_series(0, 99) i;
ANALYZE mails, persons;
SET pg_llm.default_model = 'llama3';
SET enable_mergejoin = off;

-- the plan of a statement without estimates, and its answers with the setting on and off
CREATE FUNCTION plan(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || statement;
END $$;
CREATE FUNCTION same(statement text, OUT n_rows int, OUT same bool) LANGUAGE plpgsql AS $$
DECLARE
	here text[];
	there text[];
	made text := format('SELECT array_agg(x::text ORDER BY x::text) FROM (%s) x', statement);
BEGIN
	SET LOCAL pg_llm.defer_filters = on;
	EXECUTE made INTO here;
	SET LOCAL pg_llm.defer_filters = off;
	EXECUTE made INTO there;
	n_rows := coalesce(cardinality(here), 0);
	same := here IS NOT DISTINCT FROM there;
	RESET pg_llm.defer_filters;
END $$;

SET enable_nestloop = off;
SELECT plan($$SELECT m.i FROM mails m JOIN persons p ON p.i = m.person WHERE p.city = 'city 7' AND llm_filter(m.body, 'is short', threshold => 1.1e-6)$$);
SET pg_llm.defer_filters = off;
SELECT plan($$SELECT m.i FROM mails m JOIN persons p ON p.i = m.person WHERE p.city = 'city 7' AND llm_filter(m.body, 'is short', threshold => 1.1e-6)$$);
RESET pg_llm.defer_filters;
-- how many inputs the model ran for
CREATE FUNCTION inputs(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || statement LOOP
		IF line LIKE '%Distinct Inputs%' THEN
			RETURN trim(line);
		END IF;
	END LOOP;
END $$;
SELECT inputs($$SELECT m.i FROM mails m JOIN persons p ON p.i = m.person WHERE p.city = 'city 7' AND llm_filter(m.body, 'is short', threshold => 1.1e-6)$$);
-- an outer join passes filters of the side that it keeps, and none of the other
SELECT plan($$SELECT m.i FROM mails m LEFT JOIN persons p ON p.i = m.person JOIN (VALUES (3), (5)) v (i) ON v.i = m.i
	WHERE llm_filter(m.body, 'is short', threshold => 1.1e-6)$$);
-- a semi and an anti join
SELECT plan($$SELECT m.i FROM mails m WHERE EXISTS (SELECT 1 FROM persons p WHERE p.i = m.person AND p.city = 'city 7')
	AND llm_filter(m.body, 'is short', threshold => 1.1e-6)$$);
-- a join that leaves no fewer rows is passed by none
SELECT plan($$SELECT m.i FROM mails m JOIN persons p ON p.i = m.person WHERE llm_filter(p.city, 'is large', threshold => 1.1e-6)$$);
-- a looked-up side is computed in batches above the loop
RESET enable_nestloop;
SET enable_hashjoin = off;
SELECT plan($$SELECT v.i FROM (VALUES (3), (5), (7)) v (i) JOIN mails m ON m.i = v.i WHERE llm_filter(m.body, 'is short', threshold => 1.1e-6)$$);
RESET enable_hashjoin;

SELECT (same(s)).*, s FROM unnest(ARRAY[
	$$SELECT m.i FROM mails m JOIN persons p ON p.i = m.person WHERE p.city = 'city 7' AND llm_filter(m.body, 'is short', threshold => 1.1e-6)$$,
	$$SELECT m.*, p.* FROM mails m JOIN persons p ON p.i = m.person WHERE p.city = 'city 7' AND llm_score(m.body, 'is short') > 1.1e-6$$,
	$$SELECT p.city FROM mails m LEFT JOIN persons p ON p.i = m.person + 50 JOIN (VALUES (3), (5), (80)) v (i) ON v.i = m.i WHERE llm_filter(m.body, 'is short', threshold => 1.1e-6)$$,
	$$SELECT m.i FROM mails m WHERE EXISTS (SELECT 1 FROM persons p WHERE p.i = m.person AND p.city = 'city 7') AND llm_filter(m.body, 'is short', threshold => 1.1e-6)$$,
	$$SELECT m.i FROM mails m WHERE NOT EXISTS (SELECT 1 FROM persons p WHERE p.i = m.person AND p.city > 'city 2') AND llm_filter(m.body, 'is short', threshold => 1.1e-6)$$,
	$$SELECT a.i, b.i FROM mails a JOIN mails b ON a.person = b.i AND llm_filter(a.body || b.body, 'is short', threshold => 1.1e-6) JOIN persons p ON p.i = b.person WHERE p.city = 'city 7'$$,
	$$SELECT v.i FROM (VALUES (3), (5), (7)) v (i) JOIN mails m ON m.i = v.i WHERE llm_filter(m.body, 'is short', threshold => 1.1e-6)$$]) s;

-- of a partitioned table, whose partitions all have the filter
CREATE TABLE letters (i int, person int, body text) PARTITION BY HASH (i);
CREATE TABLE letters_0 PARTITION OF letters FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE letters_1 (body text, gone int, person int, i int);
ALTER TABLE letters_1 DROP COLUMN gone;
ALTER TABLE letters ATTACH PARTITION letters_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO letters SELECT * FROM mails;
CREATE INDEX ON letters (i);
ANALYZE letters;
SELECT line AS plan FROM plan($$SELECT m.i FROM letters m JOIN persons p ON p.i = m.person
	WHERE p.city = 'city 7' AND llm_filter(m.body, 'is short', threshold => 1.1e-6)$$) line WHERE line NOT LIKE '%Join Filter%';
SET enable_hashjoin = off;
SELECT plan($$SELECT v.i FROM (VALUES (3), (5), (7)) v (i) JOIN letters m ON m.i = v.i WHERE llm_filter(m.body, 'is short', threshold => 1.1e-6)$$);
RESET enable_hashjoin;
SELECT (same(s)).*, s FROM unnest(ARRAY[
	$$SELECT m.i FROM letters m JOIN persons p ON p.i = m.person WHERE p.city = 'city 7' AND llm_filter(m.body, 'is short', threshold => 1e-9)$$,
	$$SELECT m, p.city FROM letters m JOIN persons p ON p.i = m.person WHERE p.city = 'city 7' AND m.i > 9 AND llm_score(m.body || m.i, 'is short') > 1e-9$$,
	$$SELECT m.i FROM letters m JOIN persons p ON p.i = m.person WHERE p.city = 'city 7' AND llm_filter(m::text, 'is short', threshold => 1e-9)$$,
	$$SELECT p.city FROM letters m LEFT JOIN persons p ON p.i = m.person + 50 JOIN (VALUES (3), (5), (80)) v (i) ON v.i = m.i WHERE llm_filter(m.body, 'is short', threshold => 1e-9)$$,
	$$SELECT m.b FROM (SELECT i, body AS b FROM letters UNION ALL SELECT i, body || person FROM mails) m JOIN persons p ON p.i = m.i WHERE p.city = 'city 7' AND llm_filter(m.b, 'is short', threshold => 1e-9)$$,
	$$SELECT v.i FROM (VALUES (3), (5), (7)) v (i) JOIN letters m ON m.i = v.i WHERE llm_filter(m.body, 'is short', threshold => 1e-9)$$]) s;

-- never where a filter may be a barrier
CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM mails WHERE i < 250;
SELECT count(*) AS filters_moved FROM plan($$SELECT m.i FROM barrier m JOIN persons p ON p.i = m.person
	WHERE p.city = 'city 7' AND llm_filter(m.body, 'is short', threshold => 1.1e-6)$$) line WHERE line LIKE '%Deferred%';
ALTER TABLE persons ENABLE ROW LEVEL SECURITY;
ALTER TABLE persons FORCE ROW LEVEL SECURITY;
CREATE ROLE defer_reader;
GRANT SELECT ON mails, persons TO defer_reader;
GRANT USAGE ON FOREIGN SERVER llama3 TO defer_reader;
CREATE POLICY p ON persons USING (i < 50);
SET ROLE defer_reader;
SELECT count(*) AS filters_moved FROM plan($$SELECT m.i FROM mails m JOIN persons p ON p.i = m.person
	WHERE p.city = 'city 7' AND llm_filter(m.body, 'is short', threshold => 1.1e-6)$$) line WHERE line LIKE '%Deferred%';
RESET ROLE;
DROP OWNED BY defer_reader;
DROP ROLE defer_reader;
DROP VIEW barrier;
DROP TABLE mails, persons, letters;
DROP FUNCTION plan, same, inputs;
DROP SERVER llama3;
