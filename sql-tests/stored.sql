-- models whose content lies in the table llm_model_data
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup

SELECT llm_create_model('file', :'llama3');
SELECT llm_store_model('stored', :'llama3', options => '{"context": 128}');
SELECT name, regexp_replace(path, '.*/', '') AS path, options - 'sha256' AS options FROM llm_models ORDER BY name;
SELECT count(*) AS chunks, sum(length(bytes)) = (pg_stat_file(:'llama3')).size AS whole,
	   min(digest) = encode(sha256(pg_read_binary_file(:'llama3')), 'hex') AS digest FROM llm_model_data;
SELECT attstorage FROM pg_attribute WHERE attrelid = 'llm_model_data'::regclass AND attname = 'bytes';
SELECT llm_complete('one two', 'stored', max_tokens => 8) = llm_complete('one two', 'file', max_tokens => 8) AS same;
SELECT value ->> 'digest' = llm_model_info('file') ->> 'digest' AS digest, value ->> 'path' = 'stored:' || (value ->> 'digest') AS path
FROM llm_model_info('stored') value;

-- another model over the same content stores nothing twice
SELECT llm_store_model('again', :'llama3');
SELECT count(DISTINCT digest) AS models FROM llm_model_data;

-- a client puts the chunks there by itself, of any size; they are checked
SELECT encode(sha256(pg_read_binary_file(:'mistral')), 'hex') AS digest \gset
SELECT * FROM fails(format($$SELECT llm_store_model('client', sha256 => %L)$$, :'digest'));
INSERT INTO llm_model_data SELECT :'digest', i, pg_read_binary_file(:'mistral', i * 300000, 300000) FROM generate_series(0, 2) i;
SELECT llm_store_model('client', sha256 => upper(:'digest'));
SELECT llm_tokenize('a b c', 'client') <> llm_tokenize('a b c', 'stored') AS other;

-- USAGE is enough to use one, and does not let read the table
CREATE ROLE regress_reader;
GRANT USAGE ON FOREIGN SERVER client TO regress_reader;
SET ROLE regress_reader;
SELECT length(llm_complete('one two', 'client', max_tokens => 4)) > 0 AS answers;
SELECT * FROM fails($$SELECT count(*) FROM llm_model_data$$);
SELECT * FROM fails($$SELECT llm_complete('one two', 'stored')$$);
SELECT * FROM fails(format($$SELECT llm_store_model('mine', %L)$$, 'a.gguf'));
RESET ROLE;

-- chunks that were changed, lost, or never there, are found when the content is needed; what is packed already goes on
UPDATE llm_model_data SET bytes = set_byte(bytes, 1000, 255 - get_byte(bytes, 1000)) WHERE digest = :'digest' AND no = 1;
SELECT length(llm_complete('one two', 'client', max_tokens => 4)) > 0 AS packed;
SELECT regexp_replace(message, '[0-9a-f]{64}', '…') AS message, hint FROM fails(format($$SELECT llm_stored_digest(%L)$$, :'digest'));
INSERT INTO llm_model_data SELECT repeat('a', 64), no, bytes FROM llm_model_data WHERE digest = :'digest';
CREATE SERVER changed FOREIGN DATA WRAPPER pg_llm OPTIONS (stored 'true', sha256 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa');
SELECT regexp_replace(message, '[0-9a-f]{64}', '…') AS message, hint FROM fails($$SELECT llm_complete('one two', 'changed')$$);
DELETE FROM llm_model_data WHERE digest = repeat('a', 64) AND no = 1;
SELECT regexp_replace(message, '[0-9a-f]{64}', '…') AS message, hint FROM fails($$SELECT llm_complete('one two', 'changed')$$);
DELETE FROM llm_model_data WHERE digest = repeat('a', 64);
SELECT regexp_replace(message, '[0-9a-f]{64}', '…') AS message, hint FROM fails($$SELECT llm_complete('one two', 'changed')$$);

-- syntax
SELECT i, f.* FROM (VALUES (1, $$stored 'maybe'$$), (2, $$stored 'true'$$), (3, $$stored 'true', path 'a', sha256 '$$ || repeat('a', 64) || $$'$$),
	(4, $$stored 'false'$$)) AS v(i, options),
	LATERAL fails(format($$CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm OPTIONS (%s)$$, options)) AS f ORDER BY i;
SELECT * FROM fails($$SELECT llm_store_model('bad')$$);
SELECT * FROM fails($$SELECT llm_store_model('stored', 'a.gguf')$$);
SELECT * FROM fails($$SELECT llm_store_model('bad', 'no such file')$$);

DROP OWNED BY regress_reader;
DROP ROLE regress_reader;
SELECT count(llm_drop_model(name)::text) FROM llm_models;
DELETE FROM llm_model_data;
