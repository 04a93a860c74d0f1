-- what the owner of a model sets: rope, a context beyond the trained one, types of the key/value cache
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup

SELECT llm_create_model('plain', :'llama3');
SELECT llm_create_model('scaled', :'llama3', options => '{"rope_scaling": "yarn", "rope_freq_scale": 0.25, "yarn_orig_ctx": 64, "yarn_beta_fast": 16}');
SELECT name, options - 'sha256' AS options FROM llm_models ORDER BY name;
-- another rope is another answer; the context is the original one times the factor, or what is said
CREATE FUNCTION answer(model text) RETURNS text LANGUAGE sql AS $$SELECT llm_complete('one two three four five', model, max_tokens => 12)$$;
SELECT answer('plain') = answer('scaled') AS same;
SELECT name, llm_model_info(name) ->> 'context' AS context FROM llm_models ORDER BY name;
ALTER SERVER scaled OPTIONS (ADD context '2048');
SELECT llm_model_info('scaled') ->> 'context' AS context;
-- a change holds from the next statement on, in a transaction too; without the options the answer is the plain one again
BEGIN;
SELECT answer('scaled') = answer('plain') AS same;
ALTER SERVER scaled OPTIONS (SET rope_scaling 'none', DROP rope_freq_scale, DROP yarn_orig_ctx, DROP yarn_beta_fast);
SELECT answer('scaled') = answer('plain') AS same;
ALTER SERVER scaled OPTIONS (ADD rope_freq_base '5000');
SELECT answer('scaled') = answer('plain') AS same;
ROLLBACK;
ALTER SERVER scaled OPTIONS (DROP rope_scaling, DROP rope_freq_scale, DROP yarn_orig_ctx, DROP yarn_beta_fast, DROP context);
SELECT answer('scaled') = answer('plain') AS same;

-- syntax and ranges
SELECT i, f.* FROM (VALUES (1, $$rope_scaling 'dynamic'$$), (2, $$rope_freq_base '0'$$), (3, $$rope_freq_scale 'a'$$),
	(4, $$yarn_orig_ctx '0.5'$$), (5, $$yarn_ext_factor '2'$$), (6, $$yarn_attn_factor '-1'$$), (7, $$yarn_beta_fast 'inf'$$),
	(8, $$yarn_beta_slow ''$$)) AS v(i, option),
	LATERAL fails(format($$CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'a.gguf', %s)$$, option)) AS f ORDER BY i;
-- the file has no factors
ALTER SERVER scaled OPTIONS (ADD rope_scaling 'longrope', SET path :'mistral', DROP sha256);
SELECT * FROM fails($$SELECT llm_count_tokens('a', 'scaled')$$);
-- nor has this one rope
ALTER SERVER scaled OPTIONS (DROP rope_scaling, ADD rope_freq_base '5000', SET path :'bert');
SELECT * FROM fails($$SELECT llm_count_tokens('a', 'scaled')$$);

-- keys and values in 8 bits: near to, but not the same as those in half precision; equal for a row alone and among others
ALTER SERVER plain OPTIONS (ADD kv_type 'q8');
SELECT llm_model_info('plain') ->> 'kv_type' AS kv_type;
CREATE TABLE texts AS SELECT i, repeat('word ' || i || ' ', 10 * i) AS body FROM generate_series(1, 8) i;
CREATE TABLE scores AS SELECT i, p.label, p.probability FROM texts, llm_classify_probs(body, '{yes,no,maybe}', 'plain') p;
SELECT count(*) FILTER (WHERE s.probability = p.probability) AS same, count(*) AS of
FROM texts t JOIN scores s USING (i), LATERAL llm_classify_probs(t.body, '{yes,no,maybe}', 'plain') p
WHERE p.label = s.label AND t.i = 5;
ALTER SERVER plain OPTIONS (SET kv_type 'f32');
SELECT max(abs(p.probability - s.probability)) < 0.05 AS near, max(abs(p.probability - s.probability)) > 0 AS other
FROM texts t JOIN scores s USING (i), LATERAL llm_classify_probs(t.body, '{yes,no,maybe}', 'plain') p WHERE p.label = s.label;

-- adapters: the answer is another, as is the digest; a scale of 0 adds nothing; two adapters add up
SELECT llm_create_model('base', :'llama3');
SELECT llm_create_model('adapted', :'llama3', options => json_build_object('lora', :'lora')::jsonb);
SELECT answer('adapted') = answer('base') AS same, llm_model_info('adapted') ->> 'digest' = llm_model_info('base') ->> 'digest' AS same_digest,
	   m.options ->> 'sha256' = llm_model_info('base') ->> 'digest' AS same_file FROM llm_models m WHERE name = 'adapted';
CREATE TABLE once AS SELECT answer('adapted') AS said;
ALTER SERVER adapted OPTIONS (ADD lora_scale '0');
SELECT answer('adapted') = answer('base') AS same;
\set twice :lora ', ' :lora
ALTER SERVER adapted OPTIONS (SET lora_scale '0.75, 0.25', SET lora :'twice');
SELECT answer('adapted') = said AS same FROM once;
-- the same adapter as PEFT stores it, by itself and beside the other; it is no model
-- an adapter that is not there, is none, or is of another model
SELECT i, f.code, f.message FROM (VALUES (1, :'llama3', '/nowhere.gguf'), (2, :'llama3', :'llama3'), (3, :'mistral', :'lora')) AS v(i, path, lora),
	fails(format('SELECT llm_create_model(%L, %L, options => %L)', 'unfit', path, json_build_object('lora', lora))) f ORDER BY i;
SELECT count(*) FROM llm_models WHERE name = 'unfit';
SELECT llm_create_model('peft', :'llama3', options => json_build_object('lora', :'peft')::jsonb);
SELECT answer('peft') = said AS same, llm_model_info('peft') ->> 'digest' = llm_model_info('adapted') ->> 'digest' AS same_digest FROM once;
\set both :peft ', ' :lora
ALTER SERVER peft OPTIONS (ADD lora_scale '0.75, 0.25', SET lora :'both');
SELECT answer('peft') = said AS same FROM once;
CREATE SERVER peft_alone FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'peft');
SELECT * FROM fails($$SELECT answer('peft_alone')$$);
-- what is refused
SELECT i, f.* FROM (VALUES (1, $$lora ''$$), (3, $$lora 'a', lora_scale 'b'$$), (4, $$lora 'a', lora_scale '1,2'$$),
	(5, $$lora_scale '1'$$), (6, $$lora 'a,b,c,d,e,f,g,h,i'$$), (7, $$lora 'a', lora_scale 'nan'$$)) AS v(i, option),
	LATERAL fails(format($$CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'a.gguf', %s)$$, option)) AS f ORDER BY i;
CREATE ROLE regress_lora;
DO $$ BEGIN EXECUTE format('GRANT USAGE ON FOREIGN DATA WRAPPER pg_llm TO regress_lora; GRANT CREATE ON DATABASE %I TO regress_lora', current_database()); END $$;
SET ROLE regress_lora;
SELECT i, f.* FROM (VALUES (1, 'a, ../b'), (2, '/a')) AS v(i, paths),
	LATERAL fails(format($$CREATE SERVER bad FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'a.gguf', lora %L)$$, paths)) AS f ORDER BY i;
RESET ROLE;
DROP OWNED BY regress_lora;
DROP ROLE regress_lora;
CREATE SERVER no_file FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', lora 'no such file');
SELECT * FROM fails($$SELECT answer('no_file')$$);
CREATE SERVER no_adapter FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', lora :'llama3');
SELECT * FROM fails($$SELECT answer('no_adapter')$$);
CREATE SERVER other_model FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'nemotron_h', lora :'lora');
SELECT * FROM fails($$SELECT answer('other_model')$$);
CREATE SERVER no_model FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'lora');
SELECT * FROM fails($$SELECT answer('no_model')$$);
SELECT * FROM fails($$SELECT llm_generate('a', 'base', options => '{"lora": "a"}')$$);

SELECT count(llm_drop_model(name)::text) FROM llm_models;
DROP TABLE texts, scores, once;
DROP FUNCTION answer;
