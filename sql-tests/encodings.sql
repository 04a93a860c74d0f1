-- databases with other encodings: LATIN1 is converted, SQL_ASCII is handed over as it is
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
\set previous :DBNAME
CREATE DATABASE regress_llm_latin1 TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE regress_llm_latin2 TEMPLATE template0 ENCODING 'LATIN2' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE regress_llm_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C';

-- for what a database of another encoding lacks
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');
SELECT llm_tokenize('a你b', 'llama3') AS chinese \gset
DROP SERVER llama3;

\c regress_llm_latin1
SET client_encoding = 'UTF8';
CREATE EXTENSION pg_llm;
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');
SET pg_llm.default_model = 'llama3';
-- two bytes in UTF-8, one here
SELECT octet_length('é') AS bytes, llm_tokenize('Café Zürich: naïve');
SELECT llm_detokenize(llm_tokenize('Café Zürich: naïve')) AS there_and_back;
SELECT llm_classify('Café', '{süß,bitter}') IN ('süß', 'bitter') AS label,
	   llm_classify('Café', '{süß,bitter}', examples => '[{"input": "Zürich", "label": "süß"}]', descriptions => '{"süß": "wie Käse"}') IS NOT NULL AS json;
SELECT llm_prompt('Grüße an {1}', 'Zoë');
SELECT (llm_chat('[{"role": "user", "content": "é"}]', max_tokens => 1, options => '{"logit_bias": {"65": 1000}}')).value;
SELECT llm_generate('é', max_tokens => 3, stop => '{ü}', options => '{"logit_bias": {"65": 1000}, "answer_prefix": "ö"}');
SELECT string_agg(p, '') FROM llm_stream('é', max_tokens => 3, options => '{"logit_bias": {"65": 1000}}') p;
-- a name, an error and a template beyond ASCII
CREATE SERVER "modèle" FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', context '32', chat_template 'très {{ messages[0].content }}');
SELECT prompt_tokens = llm_count_tokens('très é') AS template, model FROM llm_generate_detail('é', 'modèle', max_tokens => 1);
SELECT llm_model_info('modèle') ->> 'chat_template' AS chat_template;
SELECT llm_generate(repeat('é', 100), 'modèle');
SELECT error FROM llm_generate_detail(repeat('é', 100), 'modèle');
-- what is ill-formed becomes ?; what the encoding lacks is an error that says so
SELECT llm_detokenize('{64,163,65}'), llm_generate('x', max_tokens => 2, options => '{"logit_bias": {"163": 1000}}');
SELECT llm_detokenize(:'chinese');
DROP SERVER "modèle";

-- in the answer of a model it is trouble of that row: LATIN2 has no è
\c regress_llm_latin2
SET client_encoding = 'UTF8';
CREATE EXTENSION pg_llm;
CREATE SERVER mistral FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'mistral');
SET pg_llm.default_model = 'mistral';
SELECT llm_generate('č', max_tokens => 2, options => '{"logit_bias": {"511": 1000}}');
SELECT value, error, finish_reason, prompt_tokens > 0 AS prompt_tokens, output_tokens
FROM llm_generate_detail('č', max_tokens => 2, options => '{"logit_bias": {"511": 1000}}');
SELECT llm_stream('č', max_tokens => 2, options => '{"logit_bias": {"511": 1000}}');
SET pg_llm.on_error = 'null';
SELECT i, llm_generate('č', max_tokens => 2, options => jsonb_build_object('logit_bias', jsonb_build_object(i::text, 1000))) IS NULL AS none
FROM generate_series(510, 511) i;

\c regress_llm_ascii
CREATE EXTENSION pg_llm;
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');
SET pg_llm.default_model = 'llama3';
SELECT octet_length('é') AS bytes, llm_tokenize('Café Zürich: naïve');
SELECT llm_detokenize(llm_tokenize('Café Zürich: naïve')) = 'Café Zürich: naïve' AS there_and_back;
-- bytes that are no UTF-8 are data as well
SELECT llm_count_tokens(E'caf\xe9 \xff\xfe') > 0 AS tokens, llm_classify(E'\xff\xfe', '{a,b}') IN ('a', 'b') AS label,
	   length(llm_generate(E'\xe9', max_tokens => 2, options => '{"logit_bias": {"65": 1000}}')) AS generated;
SELECT llm_detokenize(llm_tokenize(E'caf\xe9 \xff\xfe')) = E'caf\xe9 \xff\xfe' AS there_and_back,
	   llm_classify('x', ARRAY[E'\xff', E'\xfe']) IN (E'\xff', E'\xfe') AS label,
	   octet_length(llm_detokenize('{64,163,65}')) AS bytes;

\c :previous
DROP DATABASE regress_llm_latin1 WITH (FORCE);
DROP DATABASE regress_llm_latin2 WITH (FORCE);
DROP DATABASE regress_llm_ascii WITH (FORCE);
