-- llm_rerank, llm_relevance: documents by their relevance to a query
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE SERVER reranker FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'qwen3_reranker', kv_type 'f32');
CREATE SERVER bert FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'bert');
SET pg_llm.default_rerank_model = 'reranker';

-- as the reference has them
\set reranker_json :models '/qwen3-reranker.json'
CREATE TABLE reference AS
	SELECT no, p ->> 'query' AS query, p ->> 'document' AS document, (p ->> 'score_yes')::float8 AS score
	FROM jsonb_array_elements(pg_read_file(:'reranker_json')::jsonb -> 'prompts') WITH ORDINALITY j(p, no);
SELECT no, round(llm_relevance(query, document)::numeric, 3) AS relevance, abs(llm_relevance(query, document) - score) < 1e-4 AS same
FROM reference ORDER BY no;

-- the most relevant first; together as each alone; NULL last
CREATE TABLE documents AS SELECT ARRAY['rows in pages', 'Bees went up into the pear tree.', NULL, 'rows in pages', '', 'a header'] AS d;
SELECT idx, r.document IS NOT DISTINCT FROM d[idx] AS document, score = llm_relevance('what stores rows?', r.document) AS same,
	   score <= lag(score) OVER () IS NOT FALSE AS in_order
FROM documents, llm_rerank('what stores rows?', d) r;
SELECT (SELECT array_agg(idx) FROM llm_rerank('what stores rows?', d, 2)) = (SELECT array_agg(idx) FROM llm_rerank('what stores rows?', d))[1:2] AS best_two
FROM documents;
SELECT count(*) FROM documents, llm_rerank('what stores rows?', d, top_k => 100);
SELECT count(*), bool_and(score = llm_relevance('q', 'text ' || idx % 50)) AS same
FROM llm_rerank('q', (SELECT array_agg('text ' || i % 50 ORDER BY i) FROM generate_series(1, 120) i));

-- with another instruction; text that looks like the template's is data
SELECT llm_relevance('cats', 'A cat', options => '{"instruction": "Find texts about dogs"}') <> llm_relevance('cats', 'A cat') AS instruction,
	   llm_relevance('cats', 'A cat<|im_end|>') <> llm_relevance('cats', 'A cat') AS plain;

-- cross-encoders, which read the two as a pair: the sigmoid of their one number, or the probability of LABEL_1 of several
SELECT llm_create_model(m, :'abs_srcdir' || '/sql/data/encoders/' || m || '.gguf') FROM unnest('{bert-cross,modern-bert-cross,xlm-roberta-cross}'::text[]) m;
WITH pairs AS (
	SELECT name, p ->> 'query' AS query, p ->> 'document' AS document, ARRAY(SELECT jsonb_array_elements_text(p -> 'values')::float8) AS o
	FROM llm_models, jsonb_array_elements(pg_read_file(:'abs_srcdir' || '/sql/data/encoders/' || name || '.json')::jsonb -> 'pairs') p
	WHERE name LIKE '%-cross')
SELECT name, cardinality(o) AS outputs, count(*),
	   bool_and(abs(llm_relevance(query, document, name)
					- CASE cardinality(o) WHEN 1 THEN 1 / (1 + exp(-o[1])) ELSE exp(o[2]) / (SELECT sum(exp(x)) FROM unnest(o) x) END) < 1e-4) AS same
FROM pairs GROUP BY name, cardinality(o) ORDER BY name;
SELECT f.* FROM fails($$SELECT llm_relevance('q', 'a', 'bert-cross', '{"instruction": "Find texts about dogs"}')$$) f;
SELECT llm_drop_model(m) FROM unnest('{bert-cross,modern-bert-cross,xlm-roberta-cross}'::text[]) m;

-- nothing, NULL, EXPLAIN
SELECT * FROM llm_rerank('q', '{}');
SELECT idx, document IS NULL AS null, score FROM llm_rerank('q', '{NULL}');
SELECT * FROM llm_rerank(NULL, '{a}', model => 'nowhere');
SELECT * FROM llm_rerank('q', NULL, model => 'nowhere');
SELECT llm_relevance(NULL, 'x', 'nowhere') IS NULL AS query, llm_relevance('x', NULL, 'nowhere') IS NULL AS document;
EXPLAIN (COSTS OFF) SELECT llm_relevance('x', 'y', 'nowhere');

-- longer than the context: the document's trouble; only it is cut
ALTER SERVER reranker OPTIONS (ADD context '256');
SET pg_llm.on_error = 'null';
SELECT idx, score IS NULL AS null FROM llm_rerank('q', ARRAY[repeat('too long ', 200), 'short']);
SELECT llm_relevance('q', repeat('too long ', 200));
RESET pg_llm.on_error;
SELECT llm_relevance('q', repeat('too long ', 200), options => '{"truncate": "tail"}') BETWEEN 0 AND 1 AS tail,
	   llm_relevance('q', repeat('too long ', 200), options => '{"truncate": "middle"}') BETWEEN 0 AND 1 AS middle;

-- errors
SELECT i, f.* FROM (VALUES
	(1, $$SELECT * FROM llm_rerank('q', '{a}', model => 'bert')$$),
	(2, $$SELECT llm_relevance('q', 'a', 'bert')$$),
	(3, $$SELECT * FROM llm_rerank('q', '{a}', 0)$$),
	(4, $$SELECT * FROM llm_rerank('q', '{{a,b},{c,d}}')$$),
	(5, $$SELECT * FROM llm_rerank('q', '{a}', options => '{"prefix": "x"}')$$),
	(6, $$SET LOCAL pg_llm.default_rerank_model = ''; SELECT llm_relevance('q', 'a')$$),
	(7, $$SELECT llm_relevance('q', repeat('too long ', 200))$$),
	(8, $$SELECT llm_relevance(repeat('too long ', 200), 'a', options => '{"truncate": "tail"}')$$),
	(9, $$SELECT llm_generate('x', 'reranker')$$)) v(i, s), fails(s) f ORDER BY i;

DROP TABLE reference;
DROP TABLE documents;
DROP SERVER reranker;
DROP SERVER bert;
