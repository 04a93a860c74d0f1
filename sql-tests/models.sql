-- models are foreign servers: made, changed, looked at, dropped, dumped
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup

-- both ways to make one; llm_create_model fills in the digest of the content
CREATE SERVER one FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', context '256');
SELECT llm_create_model('two', :'mistral');
SELECT llm_create_model(name => 'Three', path => :'llama3', kind => 'generate', options => '{"context": 128, "kv_type": "f32"}');
SELECT name, owner = current_user AS mine, path = :'llama3' AS llama3, kind, options - 'sha256' AS options,
	   options ->> 'sha256' = encode(sha256(pg_read_binary_file(path)), 'hex') AS digest, usable, loaded, packed_bytes
FROM llm_models ORDER BY name;

-- refused before the file is read
BEGIN READ ONLY;
SELECT * FROM fails($$SELECT llm_create_model('four', 'no such file')$$);
ROLLBACK;

-- a name is found exactly; NULL is pg_llm.default_model
SELECT llm_count_tokens('a b', 'one') AS one, llm_count_tokens('a b', 'Three') AS three;
SELECT name, loaded, packed_bytes > 100000 AS bytes FROM llm_models ORDER BY name;
SELECT * FROM fails($$SELECT llm_count_tokens('a b', 'TWO')$$);
SELECT * FROM fails($$SELECT llm_count_tokens('a b', 'three')$$);
SELECT * FROM fails($$SELECT llm_count_tokens('a b')$$);
SELECT * FROM fails($$SELECT llm_count_tokens('a b', '')$$);
SET pg_llm.default_model = 'Two';
SELECT * FROM fails($$SELECT llm_count_tokens('a b')$$);
SET pg_llm.default_model = 'two';
SELECT llm_count_tokens('a b') = llm_count_tokens('a b', 'two') AS default_model;

-- what a model is
SELECT key, value FROM jsonb_each(llm_model_info('one'))
WHERE key NOT IN ('path', 'cpu_kernels', 'packed_bytes', 'source_bytes') ORDER BY key COLLATE "C";
SELECT value ->> 'name' AS name, value ->> 'tokenizer' AS tokenizer, value ->> 'context' AS context, value ->> 'kv_type' AS kv_type,
	   value ->> 'path' = :'mistral' AS path, (value ->> 'source_bytes')::bigint = (pg_stat_file(:'mistral')).size AS source_bytes,
	   value ->> 'cpu_kernels' = (SELECT name FROM llm_supported() WHERE what = 'CPU level' AND note = 'in use') AS cpu_kernels
FROM llm_model_info() value;
SELECT value ->> 'context' AS context, value ->> 'kv_type' AS kv_type FROM llm_model_info('Three') value;

-- what this version computes with
SELECT what, name FROM llm_supported() WHERE what NOT IN ('CPU level', 'device') ORDER BY what, name COLLATE "C";
SELECT what, count(*), count(*) FILTER (WHERE note = 'in use') AS in_use FROM llm_supported() WHERE what IN ('CPU level', 'device') GROUP BY what ORDER BY what;

-- changes work from the next statement on; a context beyond what the model was trained for is that
ALTER SERVER one OPTIONS (SET context '32', ADD kv_type 'f32', ADD chat_template '{{ messages[0].content }}!');
SELECT value ->> 'context' AS context, value ->> 'kv_type' AS kv_type, value ->> 'chat_template' AS chat_template FROM llm_model_info('one') value;
SELECT finish_reason, prompt_tokens + output_tokens AS tokens FROM llm_generate_detail('x', 'one');
ALTER SERVER one OPTIONS (SET context '100000', DROP chat_template);
SELECT value ->> 'context' AS context, value ->> 'has_chat_template' AS has_chat_template FROM llm_model_info('one') value;
ALTER SERVER one OPTIONS (SET path :'mistral');
SELECT llm_tokenize('a b', 'one') = llm_tokenize('a b', 'two') AS other_file;
ALTER SERVER one RENAME TO uno;
SELECT llm_count_tokens('a b', 'uno');
SELECT * FROM fails($$SELECT llm_count_tokens('a b', 'one')$$);
BEGIN;
DROP SERVER uno;
SELECT * FROM fails($$SELECT llm_count_tokens('a b', 'uno')$$);
CREATE SERVER uno FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');
SELECT llm_tokenize('a b', 'uno') = llm_tokenize('a b', 'Three') AS new_one;
ROLLBACK;
SELECT llm_tokenize('a b', 'uno') = llm_tokenize('a b', 'two') AS old_one;

-- sha256: the content is what its owner meant
ALTER SERVER uno OPTIONS (ADD sha256 '0000000000000000000000000000000000000000000000000000000000000000');
SELECT * FROM fails($$SELECT llm_generate('x', 'uno')$$);
SELECT * FROM fails($$SELECT llm_model_info('uno')$$);
DO $$
BEGIN
	EXECUTE format('ALTER SERVER uno OPTIONS (SET sha256 %L)', (SELECT upper(options ->> 'sha256') FROM llm_models WHERE name = 'two'));
END $$;
SELECT llm_generate('x', 'uno', max_tokens => 3) = llm_generate('x', 'two', max_tokens => 3) AS right_content;
SELECT * FROM fails(format($$SELECT llm_create_model('four', %L, sha256 => %L)$$, :'llama3', repeat('0', 64)));
SELECT llm_create_model('four', :'llama3', sha256 => encode(sha256(pg_read_binary_file(:'llama3')), 'hex'));

-- the validator: syntax and ranges; no file is opened
SELECT i, f.* FROM (VALUES (1, $$CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm$$),
	(2, $$CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm OPTIONS (path '')$$),
	(3, $$CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm OPTIONS (file 'a.gguf')$$),
	(4, $$CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'a.gguf', kind 'poet')$$),
	(5, $$CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'a.gguf', context '0')$$),
	(6, $$CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'a.gguf', context '-1')$$),
	(7, $$CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'a.gguf', context '4k')$$),
	(8, $$CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'a.gguf', context '99999999999999999999')$$),
	(9, $$CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'a.gguf', context '')$$),
	(10, $$CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'a.gguf', kv_type 'q4')$$),
	(11, $$CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'a.gguf', sha256 'abc')$$),
	(12, $$CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'a.gguf', chat_template '{% if %}')$$),
	(13, $$CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'a.gguf', chat_template '')$$),
	(14, format($$CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm OPTIONS (path %L)$$, repeat('a', 2000))),
	(15, $$ALTER SERVER uno OPTIONS (DROP path)$$),
	(16, $$CREATE FOREIGN TABLE bad (a int) SERVER uno$$),
	(17, $$CREATE USER MAPPING FOR CURRENT_USER SERVER uno$$),
	(18, $$ALTER FOREIGN DATA WRAPPER pg_llm OPTIONS (ADD path 'a')$$)) v(i, s), fails(s) f
ORDER BY i;
CREATE SERVER nofile FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'no_such_file.gguf');
SELECT name, loaded FROM llm_models WHERE name = 'nofile';

-- files that are no models
SELECT * FROM fails($$SELECT llm_generate('x', 'nofile')$$);
SELECT * FROM fails($$SELECT llm_model_info('nofile')$$);
SELECT path, f.* FROM unnest('{/sql/data/reviews.csv,/sql/data/models,/sql/data/models/llama3.gguf/x}'::text[]) path,
	fails(format('SELECT llm_create_model(%L, %L)', 'bad', :'abs_srcdir' || path)) f;

-- files that cannot be opened, whose metadata is all right: a tensor is missing, is left over, has another shape
CREATE FUNCTION write_changed(from_text bytea, to_text bytea, OUT path text) AS $$
DECLARE
	model bytea := pg_read_binary_file((SELECT m.path FROM llm_models m WHERE name = 'Three'));
	lo oid := lo_from_bytea(0, overlay(model PLACING to_text FROM position(from_text IN model)));
BEGIN
	path := current_setting('data_directory') || '/regress_llm_changed.gguf';
	PERFORM lo_export(lo, path), lo_unlink(lo);
END
$$ LANGUAGE plpgsql;
SELECT f.* FROM write_changed('blk.1.ffn_norm.weight', 'blk.1.ffn_nerm.weight') path, fails(format('SELECT llm_create_model(%L, %L)', 'bad', path)) f;
SELECT f.* FROM write_changed('rope_freqs.weight', 'rope_freks.weight') path, fails(format('SELECT llm_store_model(%L, %L)', 'bad', path)) f;
SELECT f.* FROM write_changed('blk.0.attn_k.weight'::bytea || '\x02000000' || '\x4000000000000000' || '\x2000000000000000',
							  'blk.0.attn_k.weight'::bytea || '\x02000000' || '\x2000000000000000' || '\x4000000000000000') path,
	fails(format('SELECT llm_create_model(%L, %L)', 'bad', path)) f;
-- a server may be made over any file; what it is, is said when it is looked at
SELECT write_changed('rope_freqs.weight', 'rope_freks.weight') AS changed \gset
CREATE SERVER changed FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'changed');
SELECT value ->> 'supported' AS supported, value ->> 'reason' AS reason FROM llm_model_info('changed') value;
SELECT llm_drop_model('changed');
COPY (SELECT) TO PROGRAM 'cat > /dev/null; rm regress_llm_changed.gguf';
DROP FUNCTION write_changed;
-- a model is of the kind that its file is
SELECT * FROM fails(format('SELECT llm_create_model(%L, %L, %L)', 'bad', :'llama3', 'embed'));
-- options count: this file has no factors of rope
SELECT * FROM fails(format($$SELECT llm_create_model('bad', %L, options => '{"rope_scaling": "longrope"}')$$, :'mistral'));

-- arguments of llm_create_model and llm_drop_model
SELECT i, f.* FROM (VALUES (1, $$SELECT llm_create_model(NULL, 'a')$$),
	(2, $$SELECT llm_create_model('bad', NULL)$$),
	(3, $$SELECT llm_create_model('', 'a')$$),
	(4, $$SELECT llm_create_model(repeat('n', 64), 'a')$$),
	(5, $$SELECT llm_create_model('bad', '')$$),
	(6, $$SELECT llm_create_model('bad', 'no_such_file.gguf')$$),
	(7, $$SELECT llm_create_model('uno', 'no_such_file.gguf')$$),
	(8, $$SELECT llm_create_model('bad', 'a', 'head')$$),
	(9, $$SELECT llm_create_model('bad', 'a', sha256 => 'abc')$$),
	(10, $$SELECT llm_create_model('bad', 'a', options => '[1]')$$),
	(11, $$SELECT llm_create_model('bad', 'a', options => '{"context": true}')$$),
	(12, $$SELECT llm_create_model('bad', 'a', options => '{"context": 1.5}')$$),
	(13, $$SELECT llm_create_model('bad', 'a', options => '{"path": "b"}')$$),
	(14, $$SELECT llm_create_model('bad', 'a', options => '{"no_such": 1}')$$),
	(15, $$SELECT llm_drop_model('nowhere')$$),
	(16, $$SELECT llm_drop_model('THREE')$$),
	(17, $$SELECT llm_model_info('nowhere')$$)) v(i, s), fails(s) f
ORDER BY i;
SELECT llm_drop_model(NULL);

-- servers of others are no models; ours is ours by its wrapper, whatever that is called
CREATE FOREIGN DATA WRAPPER regress_llm_other;
CREATE SERVER other FOREIGN DATA WRAPPER regress_llm_other;
SELECT count(*) FROM llm_models WHERE name = 'other';
SELECT s, f.* FROM unnest(ARRAY[$$SELECT llm_generate('x', 'other')$$, $$SELECT llm_drop_model('other')$$,
	$$SELECT llm_create_model('other', 'a')$$, $$SELECT llm_model_info('OTHER')$$]) s, fails(s) f;
DROP FOREIGN DATA WRAPPER regress_llm_other CASCADE;
ALTER FOREIGN DATA WRAPPER pg_llm RENAME TO regress_llm_renamed;
SELECT llm_create_model('five', :'llama3');
SELECT count(*) FROM llm_models;
SELECT llm_count_tokens('a b', 'five');
SELECT llm_drop_model('five');
ALTER FOREIGN DATA WRAPPER regress_llm_renamed RENAME TO pg_llm;

-- a dump holds models, and restores them: they are no members of the extension, and their options say all
SELECT count(*) AS members FROM pg_depend WHERE classid = 'pg_foreign_server'::regclass AND refclassid = 'pg_extension'::regclass;
CREATE TABLE dump AS
	SELECT s.srvname, format('CREATE SERVER %I FOREIGN DATA WRAPPER %I OPTIONS (%s)', s.srvname, w.fdwname,
							 (SELECT string_agg(format('%I %L', option_name, option_value), ', ') FROM pg_options_to_table(s.srvoptions))) AS statement,
		   llm_complete('The old clock', s.srvname, max_tokens => 5) AS answer
	FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw WHERE s.srvname <> 'nofile';
SELECT llm_drop_model(srvname) FROM dump;
SELECT name FROM llm_models;
DO $$
DECLARE
	s text;
BEGIN
	FOR s IN SELECT statement FROM dump LOOP
		EXECUTE s;
	END LOOP;
END $$;
SELECT srvname, answer = llm_complete('The old clock', srvname, max_tokens => 5) AS same FROM dump ORDER BY srvname;
DROP TABLE dump;

-- the extension cannot go while there are models
\set VERBOSITY terse
DROP EXTENSION pg_llm;
\set VERBOSITY default

RESET pg_llm.default_model;
SELECT llm_drop_model(name) FROM llm_models;
SELECT count(*) FROM llm_models;
