-- llm_agg, llm_summarize_agg
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', kv_type 'f32');
SET pg_llm.default_model = 'llama3';
CREATE TABLE texts AS SELECT i, i % 3 AS g, 'text number ' || i || repeat(' and more', i % 4) AS t FROM generate_series(1, 30) i;

-- texts that fit are asked about in one prompt
SELECT llm_agg(t, 'Say it.', 'llama3', 6 ORDER BY i) =
	   llm_generate(E'Say it.\n\nText 1:\ntext number 1 and more\n\nText 2:\ntext number 2 and more and more', max_tokens => 6) AS instruction,
	   llm_summarize_agg(t, 'llama3', 6 ORDER BY i) =
	   llm_generate(E'Summarize the following texts together in one short paragraph. Answer with the summary only.\n\n'
					'Text 1:\ntext number 1 and more\n\nText 2:\ntext number 2 and more and more', max_tokens => 6) AS summary
FROM texts WHERE i <= 2;

-- if they do not fit, the answers to parts of them are put together
SELECT llm_agg(t, 'Say it.', NULL, 6, '{"chunk_tokens": 64}' ORDER BY i) =
	   llm_generate(E'The texts were too many to be read at once. Below are the answers that parts of them gave to this request:\n\n'
					'Say it.\n\nCombine them into one answer to the request.\n\n'
					'Part 1:\n' || llm_generate(E'Say it.\n\nText 1:\n' || min(t), max_tokens => 6) || E'\n\n'
					'Part 2:\n' || llm_generate(E'Say it.\n\nText 1:\n' || max(t), max_tokens => 6), max_tokens => 6) AS same
FROM (VALUES (1, 'a' || repeat(' more', 14)), (2, 'b' || repeat(' more', 14))) v(i, t);

-- groups together, one by one, and in plans that sort: the same
SET enable_sort = off;
CREATE TABLE answers AS
SELECT g, llm_agg(t, 'Say it.', NULL, 5, '{"chunk_tokens": 64}') AS a, llm_summarize_agg(t, 'llama3', 5) AS s
FROM (SELECT * FROM texts ORDER BY i) o GROUP BY g;
SELECT count(*), count(DISTINCT a) AS a FROM answers;
SET pg_llm.batching = off;
SELECT bool_and(a.a = b.a AND a.s = b.s) AS one_by_one
FROM answers a JOIN (SELECT g, llm_agg(t, 'Say it.', NULL, 5, '{"chunk_tokens": 64}') AS a, llm_summarize_agg(t, 'llama3', 5) AS s
					 FROM (SELECT * FROM texts ORDER BY i) o GROUP BY g) b USING (g);
RESET pg_llm.batching;
SELECT bool_and(a.a = b.a AND a.s = b.s) AS sorted
FROM answers a JOIN (SELECT g, llm_agg(t, 'Say it.', NULL, 5, '{"chunk_tokens": 64}' ORDER BY i) AS a,
							llm_summarize_agg(t, 'llama3', 5 ORDER BY i) AS s FROM texts GROUP BY g) b USING (g);
SET pg_llm.threads = 1;
SET work_mem = '64kB';
SELECT bool_and(a.a = b.a) AS little_memory
FROM answers a JOIN (SELECT g, llm_agg(t, 'Say it.', NULL, 5, '{"chunk_tokens": 64}') AS a
					 FROM (SELECT * FROM texts ORDER BY i) o GROUP BY g) b USING (g);
RESET work_mem;
RESET pg_llm.threads;

-- a text longer than a chunk, and many levels
SELECT llm_agg(repeat('long ', 3000), 'Say it.', NULL, 5, '{"chunk_tokens": 64}') IS NOT NULL AS long;

-- FILTER, DISTINCT, ROLLUP, an instruction for each group
SELECT llm_agg(t, 'Say it.', 'llama3', 5 ORDER BY i) FILTER (WHERE i <= 2) = llm_agg(t, 'Say it.', 'llama3', 5 ORDER BY i) FILTER (WHERE i IN (1, 2)) AS filter
FROM texts;
SELECT llm_agg(DISTINCT t, 'Say it.', 'llama3', 5) = (SELECT llm_agg(t, 'Say it.', 'llama3', 5 ORDER BY t) FROM texts WHERE i <= 2) AS "distinct"
FROM (SELECT t FROM texts WHERE i <= 2 UNION ALL SELECT t FROM texts WHERE i <= 2) d;
SELECT g, count(*), llm_agg(t, 'Say it.', 'llama3', 5) IS NOT NULL AS answer FROM texts GROUP BY ROLLUP (g) ORDER BY g;
SELECT bool_and(a = (SELECT llm_agg(t, 'Say ' || b.g, 'llama3', 5 ORDER BY i) FROM texts WHERE g = b.g)) AS instruction
FROM (SELECT g, llm_agg(t, 'Say ' || g, 'llama3', 5) AS a FROM (SELECT * FROM texts ORDER BY i) o GROUP BY g) b;

RESET enable_sort;

-- a plan that reads the groups again
SET enable_material = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT x, count(a), count(DISTINCT a) FROM (VALUES (1), (2)) v(x)
LEFT JOIN (SELECT g, llm_agg(t, 'Say it.', 'llama3', 5) AS a FROM texts GROUP BY g) s ON g < x GROUP BY x ORDER BY x;
RESET enable_material;
RESET enable_hashjoin;
RESET enable_mergejoin;

-- NULLs are skipped; nothing gives NULL, and looks for no model
SELECT llm_agg(n, 'Say it.', 'llama3', 5) = llm_agg(t, 'Say it.', 'llama3', 5) AS skipped FROM (VALUES ('a', 'a'), (NULL, NULL), ('b', 'b')) v(n, t);
SELECT llm_agg(t, 'Say it.', 'nowhere') IS NULL AS no_rows, llm_summarize_agg(NULL, 'nowhere') IS NULL AS none FROM texts WHERE false;
SELECT llm_agg(t, NULL, 'nowhere') IS NULL AS instruction, llm_summarize_agg(NULL, 'nowhere') IS NULL AS nulls FROM texts;

-- trouble of a group
CREATE SERVER small FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', context '256');
SELECT * FROM fails($$SELECT llm_agg(t, repeat('Say it. ', 300), 'small') FROM texts$$);
SET pg_llm.on_error = 'null';
SELECT g, llm_agg(t, CASE g WHEN 1 THEN repeat('Say it. ', 300) ELSE 'Say it.' END, 'small', 4) IS NULL AS failed FROM texts GROUP BY g ORDER BY g;
RESET pg_llm.on_error;

-- misuse
SELECT * FROM fails($$SELECT llm_agg(t, ' ') FROM texts$$);
SELECT * FROM fails($$SELECT llm_agg(t, 'Say it.', NULL, 0) FROM texts$$);
SELECT * FROM fails($$SELECT llm_agg(t, 'Say it.', 'nowhere') FROM texts$$);
SELECT * FROM fails($$SELECT llm_agg(t, 'Say it.', NULL, 5, '{"truncate": "tail"}') FROM texts$$);
SELECT * FROM fails($$SELECT llm_agg(t, 'Say it.', NULL, 5, '{"chunk_tokens": 8}') FROM texts$$);
SELECT * FROM fails($$SELECT llm_summarize_agg(t) OVER (ORDER BY i) FROM texts$$);
SET pg_llm.statement_token_limit = 100;
SELECT * FROM fails($$SELECT llm_summarize_agg(t) FROM texts$$);
RESET pg_llm.statement_token_limit;
SELECT * FROM fails($$SELECT * FROM llm_estimate('SELECT llm_summarize_agg(t) FROM texts')$$);
EXPLAIN (COSTS off) SELECT llm_summarize_agg(t) FROM texts;
CREATE ROLE regress_llm_reader;
GRANT SELECT ON texts TO regress_llm_reader;
SET ROLE regress_llm_reader;
SELECT * FROM fails($$SELECT llm_summarize_agg(t, 'llama3') FROM texts$$);
RESET ROLE;

DROP TABLE texts, answers;
DROP ROLE regress_llm_reader;
DROP SERVER llama3;
DROP SERVER small;
