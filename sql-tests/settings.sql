-- the settings: what they are, who sets them, what they do
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');

-- all of them but those of the server start, which exist when preloaded (the default of model_path is a folder of the installation)
SELECT substr(name, 8) AS name, context, vartype, unit, CASE WHEN name <> 'pg_llm.model_path' THEN boot_val END AS default, min_val, max_val, enumvals
FROM pg_settings WHERE name LIKE 'pg\_llm.%' AND context <> 'postmaster' ORDER BY name COLLATE "C";
SELECT boot_val LIKE '/%/pg_llm' AS model_path FROM pg_settings WHERE name = 'pg_llm.model_path';

-- values that are none (hints of cpu_kernels name what this processor can do)
SELECT s, f.code, regexp_replace(f.message, ' \(.*\)', '') AS message FROM unnest('{default_models = x,threads = -1,threads = 2000,max_threads = -1,memory_limit = -1,batch_tokens = 0,
	batch_tokens = 100000,on_error = ignore,truncate = head,cpu_kernels = avx9000,"cpu_kernels = ''''",threads = many}'::text[]) s,
	fails('SET pg_llm.' || s) f;

-- who may set them
CREATE ROLE regress_llm_user;
SET ROLE regress_llm_user;
SELECT s, f.code, f.message FROM unnest('{default_model = llama3,threads = 1,batch_tokens = 8,on_error = ''null'',truncate = tail,
	model_path = x,cache_path = x,max_threads = 1,memory_limit = 1,cpu_kernels = generic}'::text[]) s, fails('SET LOCAL pg_llm.' || trim(s)) f;
RESET ROLE;
GRANT SET ON PARAMETER pg_llm.memory_limit TO regress_llm_user;
SET ROLE regress_llm_user;
SET pg_llm.memory_limit = '1GB';
RESET pg_llm.memory_limit;
RESET ROLE;
REVOKE SET ON PARAMETER pg_llm.memory_limit FROM regress_llm_user;
DROP ROLE regress_llm_user;

-- before the library is loaded a value waits for it
\c -
SET pg_llm.default_model = 'llama3';
SET pg_llm.on_error = 'null';
SELECT llm_count_tokens('a b');
SHOW pg_llm.on_error;
RESET pg_llm.on_error;
SHOW pg_llm.on_error;

-- threads and max_threads
SET pg_llm.threads = 1;
SELECT note FROM llm_supported() WHERE what = 'device';
SET pg_llm.threads = 1000;
SET pg_llm.max_threads = 3;
SELECT note FROM llm_supported() WHERE what = 'device';
RESET pg_llm.threads;
SET pg_llm.max_threads = 1;
SELECT note FROM llm_supported() WHERE what = 'device';
RESET pg_llm.max_threads;

-- answers are the same bytes under all of these settings, the level of the CPU included
CREATE TABLE answers AS
	SELECT i, d.value, d.logprob, llm_score(t, 'it is short') AS score
	FROM generate_series(1, 4) i, LATERAL (SELECT 'text ' || i || repeat(' and more', i * 5) AS t) s,
		 LATERAL llm_generate_detail(t, max_tokens => 12) d;
CREATE VIEW again AS
	SELECT count(*) AS rows, bool_and(a.value = d.value AND a.logprob = d.logprob AND a.score = llm_score(t, 'it is short')) AS same
	FROM answers a, LATERAL (SELECT 'text ' || i || repeat(' and more', i * 5) AS t) s, LATERAL llm_generate_detail(t, max_tokens => 12) d;
SELECT * FROM again;
SET pg_llm.threads = 2;
SET pg_llm.max_threads = 2;
SELECT * FROM again;
SET pg_llm.threads = 1;
SET pg_llm.batch_tokens = 1;
SELECT * FROM again;
SET pg_llm.batch_tokens = 65536;
SELECT * FROM again;
RESET pg_llm.batch_tokens;
RESET pg_llm.threads;
RESET pg_llm.max_threads;
SET pg_llm.cpu_kernels = 'generic';
SELECT * FROM again;
SELECT note FROM llm_supported() WHERE what = 'CPU level' AND name = 'generic';
CREATE FUNCTION again_with(level text) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('pg_llm.cpu_kernels', level, false);
	RETURN (SELECT same FROM again);
END $$;
SELECT bool_and(again_with(name)) AS every_level FROM llm_supported() WHERE what = 'CPU level' AND note <> 'not possible on this processor';
RESET pg_llm.cpu_kernels;

-- memory_limit: what does not fit is an error with numbers, and the session goes on
SET pg_llm.memory_limit = '100kB';
SELECT code, regexp_replace(message, '\d+', 'N', 'g') AS message, hint FROM fails($$SELECT llm_generate('x')$$);
SET pg_llm.memory_limit = 0;
SELECT llm_generate('x', max_tokens => 3) IS NOT NULL AS no_limit;
SET pg_llm.memory_limit = '64MB';
SELECT llm_generate('x', max_tokens => 3) IS NOT NULL AS enough;
RESET pg_llm.memory_limit;

-- cache_path: packs are looked for there; a model that is open needs none
SET pg_llm.cache_path = '';
SELECT llm_generate('x', max_tokens => 3) IS NOT NULL AS open;
CREATE SERVER another FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');
SELECT * FROM fails($$SELECT llm_generate('x', 'another')$$);
SET pg_llm.cache_path = '/no/such/folder';
SELECT * FROM fails($$SELECT llm_generate('x', 'another')$$);
SET pg_llm.cache_path = 'postgresql.auto.conf';
SELECT * FROM fails($$SELECT llm_generate('x', 'another')$$);
RESET pg_llm.cache_path;
SELECT llm_generate('x', 'another', max_tokens => 3) = llm_generate('x', max_tokens => 3) AS again;

-- model_path: relative paths start there
SET pg_llm.model_path = :'models';
SELECT llm_create_model('relative', 'mistral.gguf');
SELECT llm_count_tokens('a b', 'relative');
SET pg_llm.model_path = '/no/such/folder';
SELECT * FROM fails($$SELECT llm_create_model('lost', 'mistral.gguf')$$);
SET pg_llm.model_path = '';
SELECT * FROM fails($$SELECT llm_create_model('lost', 'mistral.gguf')$$);
SELECT llm_create_model('absolute', :'mistral');
RESET pg_llm.model_path;

DROP FUNCTION again_with;
DROP VIEW again;
DROP TABLE answers;
DROP SERVER llama3;
DROP SERVER another;
DROP SERVER relative;
DROP SERVER absolute;
