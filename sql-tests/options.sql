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
