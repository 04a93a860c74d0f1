-- llm_enrich: a column set to an expression, in chunks; failing rows; tables that are refused
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
LOAD 'pg_llm';
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', context '64');
SET pg_llm.default_model = 'llama3';
CREATE TABLE notes (id int PRIMARY KEY, body text, mood text, n int, big text GENERATED ALWAYS AS (upper(body)) STORED, few varchar(3));
INSERT INTO notes SELECT i, 'note ' || i FROM generate_series(1, 40) i;
INSERT INTO notes VALUES (41, NULL), (42, repeat('word ', 100));

-- all rows; a NULL answer is an answer; what fails is noted, and can be tried again
CALL llm_enrich('notes', 'mood', $$llm_classify(body, '{good,bad}')$$, batch_rows => 10);
SELECT count(mood), count(*) FILTER (WHERE mood = llm_classify(CASE WHEN id < 42 THEN body END, '{good,bad}')) AS same FROM notes;
SELECT target, set_column, where_clause, state, sessions, rows_written, rows_failed, rows_skipped FROM llm_jobs;
SELECT target, key, code, message, hint FROM llm_job_errors;
SELECT job FROM llm_jobs \gset
CALL llm_retry(:job);
UPDATE notes SET body = 'short' WHERE id = 42;
CALL llm_retry(:job);
SELECT count(*) FROM llm_job_errors;
SELECT id, mood IS NOT NULL AS answered FROM notes WHERE id > 40 ORDER BY id;

-- on_error
UPDATE notes SET n = 0;
CALL llm_enrich('notes', 'n', '100 / (id % 20)', 'id <= 40', on_error => 'error', batch_rows => 7);
SELECT count(*) FROM notes WHERE n > 0;
CALL llm_enrich('notes', 'n', '100 / (id % 20)', 'id <= 40', on_error => 'null', batch_rows => 7);
SELECT count(*) FILTER (WHERE n > 0) AS written, array_agg(id ORDER BY id) FILTER (WHERE n IS NULL) AS nulls FROM notes;

-- what an assignment refuses, and what triggers and constraints do
CALL llm_enrich('notes', 'few', 'body', 'id IN (1, 41)');
ALTER TABLE notes ADD CHECK (n <> 3);
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN CASE WHEN new.id = 5 THEN NULL ELSE new END; END $$;
CREATE TRIGGER keep BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION keep();
CALL llm_enrich('notes', 'n', 'id', 'id <= 6');
SELECT key, code, message FROM llm_job_errors ORDER BY job, key::text;
DROP TRIGGER keep ON notes;
SELECT count(llm_drop_job(job)) FROM llm_jobs;
SELECT count(*) FROM llm_job_errors;

-- failed rows that are gone when they are tried again, or that where_clause does not want any more, are skipped
CALL llm_enrich('notes', 'n', '100 / (id % 10)', 'n IS NULL');
SELECT job FROM llm_jobs \gset
BEGIN;
DELETE FROM notes WHERE id = 20;
UPDATE notes SET n = 7 WHERE id = 40;
COMMIT;
CALL llm_retry(:job);
SELECT rows_failed, rows_skipped FROM llm_jobs;
INSERT INTO notes SELECT 20, 'note 20';
SELECT count(llm_drop_job(job)) FROM llm_jobs;

-- a key of several columns, of types that settings print differently; partitions; a WHERE that calls a model
CREATE TABLE parted (day date, name text COLLATE "C", body text, mood text, PRIMARY KEY (day, name)) PARTITION BY RANGE (day);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE parted_2 PARTITION OF parted DEFAULT;
INSERT INTO parted SELECT '2026-01-20'::date + i / 3, 'N ' || i % 3, 'note ' || i FROM generate_series(1, 60) i;
SET datestyle = 'SQL, DMY';
CALL llm_enrich('parted', 'mood', $$llm_classify(body, '{good,bad}')$$, token_limit => 1200);
SET datestyle = 'ISO, MDY';
CALL llm_enrich('parted', 'mood', $$llm_classify(body, '{good,bad}')$$, batch_rows => 13);
SELECT count(*) FILTER (WHERE mood = llm_classify(body, '{good,bad}')) FROM parted;
CALL llm_enrich('parted', 'mood', $$'wet'$$, $$llm_filter(body, 'water', threshold => 0.5) OR name = 'N 1' AND 1 / (extract(day FROM day)::int % 40) = 0$$);
SELECT count(*) FROM parted WHERE mood = 'wet' AND NOT (llm_filter(body, 'water', threshold => 0.5) OR name = 'N 1');
CALL llm_enrich('parted', 'mood', $$CASE WHEN name = 'N 2' THEN (1 / 0 * length(body))::text ELSE body END$$, $$day = '2026-01-21'$$);
CALL llm_enrich('parted', 'mood', $$CASE WHEN name = 'N 2' THEN (1 / (length(name) - 3))::text ELSE body END$$, $$day = '2026-01-21'$$);
SELECT job FROM llm_jobs WHERE rows_failed > 0 \gset
SELECT key FROM llm_job_errors;
UPDATE parted SET day = day WHERE false;
CALL llm_retry(:job, batch_rows => 1);

-- literals and rows are fitted to the column as UPDATE does it
CREATE TYPE pair AS (a int, b text);
CREATE TABLE kinds (id int PRIMARY KEY, n int, list int[], doc jsonb, pair pair);
INSERT INTO kinds SELECT i, 0 FROM generate_series(1, 2) i;
CALL llm_enrich('kinds', 'n', 'NULL');
CALL llm_enrich('kinds', 'list', $$'{1,2}'$$);
CALL llm_enrich('kinds', 'doc', $$'{"a": 1}'$$);
CALL llm_enrich('kinds', 'pair', $$ROW(id, 'x')$$);
TABLE kinds ORDER BY id;
DROP TABLE kinds;
DROP TYPE pair;

-- what a chunk takes is given back with it
CREATE TABLE many (id int PRIMARY KEY, bytes bigint);
INSERT INTO many SELECT i FROM generate_series(1, 120) i;
CALL llm_enrich('many', 'bytes', '(SELECT sum(total_bytes) FROM pg_backend_memory_contexts)::bigint', batch_rows => 1);
SELECT max(bytes) FILTER (WHERE id > 110) - max(bytes) FILTER (WHERE id < 40) < 2000000 AS flat FROM many;
DROP TABLE many;

-- row security: only rows that the caller sees
CREATE ROLE regress_llm_writer;
GRANT SELECT, UPDATE ON notes TO regress_llm_writer;
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY low ON notes USING (id <= 3);
SET ROLE regress_llm_writer;
CALL llm_enrich('notes', 'mood', $$'seen'$$);
RESET ROLE;
-- nobody's expression runs with the rights of another role
SELECT job AS others FROM llm_jobs WHERE owner = 'regress_llm_writer' \gset
CALL llm_retry(:others);
SELECT array_agg(id ORDER BY id) FROM notes WHERE mood = 'seen';
SELECT owner, rows_written FROM llm_jobs WHERE owner <> current_user;

-- misuse
CREATE TABLE no_key (body text, mood text);
CREATE VIEW seen AS SELECT * FROM notes;
CREATE TABLE parent (id int PRIMARY KEY, mood text);
CREATE TABLE child () INHERITS (parent);
CALL llm_enrich('no_key', 'mood', 'body');
ALTER TABLE no_key ADD UNIQUE (body);
CALL llm_enrich('no_key', 'mood', 'body');
ALTER TABLE no_key ALTER body SET NOT NULL;
CALL llm_enrich('no_key', 'mood', 'body');
CREATE TABLE by_list (id int[] PRIMARY KEY, body text, mood text);
CALL llm_enrich('by_list', 'mood', 'body');
DROP TABLE by_list;
CALL llm_enrich('seen', 'mood', 'body');
CALL llm_enrich('parent', 'mood', $$'x'$$);
CALL llm_enrich('notes', 'big', 'body');
CALL llm_enrich('notes', 'id', '1');
CALL llm_enrich('notes', 'ctid', '1');
CALL llm_enrich('notes', 'nowhere', '1');
CALL llm_enrich('notes', 'n', 'body');
CALL llm_enrich('notes', 'n', '1) + (1');
CALL llm_enrich('notes', 'n', '1; DROP TABLE notes');
CALL llm_enrich('notes', 'n', '1 FROM notes');
CALL llm_enrich('notes', 'n', '1, 2');
CALL llm_enrich('notes', 'n', '1 /*');
CALL llm_enrich('notes', 'n', '1 -- one', 'id = 1');
CALL llm_enrich('notes', 'n', '1', 'true) OR (true');
CALL llm_enrich('notes', 'n', '$1');
CALL llm_enrich('notes', 'n', 'count(*)');
CALL llm_enrich('notes', 'n', 'generate_series(1, 2)');
CALL llm_enrich('notes', 'n', '1', '1');
CALL llm_enrich('notes', 'mood', $$llm_classify(body, '{a,b}', 'nosuch')$$);
CALL llm_enrich('notes', 'n', '1', batch_rows => 0);
CALL llm_enrich('notes', 'n', '1', token_limit => 0);
CALL llm_enrich('notes', 'n', '1', on_error => 'ignore');
CALL llm_enrich(NULL, 'n', '1');
CALL llm_enrich('notes', NULL, '1');
CALL llm_enrich('notes', 'n', NULL);
CALL llm_retry(0);
CALL llm_retry(NULL);
SELECT llm_drop_job(0);
SELECT llm_drop_job(NULL);
BEGIN;
CALL llm_enrich('notes', 'n', '1');
ROLLBACK;
DO $$ BEGIN CALL llm_enrich('notes', 'n', '7', 'id = 7'); END $$;
SELECT n FROM notes WHERE id = 7;

SELECT count(llm_drop_job(job)) FROM llm_jobs;
DROP TABLE notes, parted, no_key, parent CASCADE;
DROP FUNCTION keep;
DROP ROLE regress_llm_writer;
DROP SERVER llama3;
