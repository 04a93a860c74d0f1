-- llm_summarize, llm_translate
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', kv_type 'f32');
SET pg_llm.default_model = 'llama3';

-- what is asked comes before the text
SELECT llm_summarize('The old clock', 12, max_tokens => 6) =
	   llm_generate(E'Summarize the following text in at most 12 words. Answer with the summary only.\n\nThe old clock', max_tokens => 6) AS summary,
	   llm_translate('The old clock', 'German', max_tokens => 6) =
	   llm_generate(E'Translate the following text to German. Answer with the translation only.\n\nThe old clock', max_tokens => 6) AS translation;

-- rows together, and one by one
CREATE TABLE texts AS SELECT i, 'text number ' || i AS t, (ARRAY['German', 'French'])[i % 2 + 1] AS language FROM generate_series(1, 5) i;
CREATE TABLE answers AS SELECT i, llm_summarize(t, max_tokens => 4) AS s, llm_translate(t, language, max_tokens => 4) AS l FROM texts;
SET pg_llm.batching = off;
SELECT bool_and(s = llm_summarize(t, max_tokens => 4) AND l = llm_translate(t, language, max_tokens => 4)) AS same
FROM answers JOIN texts USING (i);
RESET pg_llm.batching;

-- NULL runs no model; misuse
SELECT llm_summarize(NULL, model => 'nowhere') IS NULL AS input, llm_translate('a', NULL, 'nowhere') IS NULL AS language;
SELECT * FROM fails($$SELECT llm_summarize('a', 0)$$);
SELECT * FROM fails($$SELECT llm_translate('a', ' ')$$);
SELECT * FROM fails($$SELECT llm_translate('a', 'German', max_tokens => 0)$$);
SELECT * FROM fails($$SELECT llm_translate('a', 'German', options => '{"top_p": 1}')$$);
SELECT * FROM fails($$SELECT llm_translate('a', 'German', 'nowhere')$$);
CREATE ROLE regress_llm_reader;
SET ROLE regress_llm_reader;
SELECT * FROM fails($$SELECT llm_summarize('a', model => 'llama3')$$);
RESET ROLE;
DROP ROLE regress_llm_reader;
DROP TABLE texts, answers;
DROP SERVER llama3;
