-- databases with other encodings: LATIN1 is converted, SQL_ASCII is handed over as it is
-- models with random weights (data/models/README.md): their texts mean nothing, but are the same everywhere
\getenv abs_srcdir PG_ABS_SRCDIR
\set llama3 :abs_srcdir '/sql/data/models/llama3.gguf'
\set mistral :abs_srcdir '/sql/data/models/mistral.gguf'
\set previous :DBNAME
CREATE DATABASE regress_llm_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE regress_llm_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';

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

\c regress_llm_ascii
CREATE EXTENSION pg_llm;
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');
SET pg_llm.default_model = 'llama3';
SELECT octet_length('é') AS bytes, llm_tokenize('Café Zürich: naïve');
SELECT llm_detokenize(llm_tokenize('Café Zürich: naïve')) = 'Café Zürich: naïve' AS there_and_back;
-- bytes that are no UTF-8 are data as well
SELECT llm_count_tokens(E'caf\xe9 \xff\xfe') > 0 AS tokens, llm_classify(E'\xff\xfe', '{a,b}') IN ('a', 'b') AS label,
	   length(llm_generate(E'\xe9', max_tokens => 2, options => '{"logit_bias": {"65": 1000}}')) AS generated;

\c :previous
DROP DATABASE regress_llm_latin1;
DROP DATABASE regress_llm_ascii;
