-- llm_eval, llm_compare
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', context '64');
CREATE SERVER wide FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', context '256');
CREATE SERVER bert FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'bert');
SET pg_llm.default_model = 'llama3';
CREATE TABLE cases (id int, input text, answer text);
INSERT INTO cases SELECT i, 'note ' || i FROM generate_series(1, 12) i;
UPDATE cases SET answer = llm_classify(input, '{a,b,c}');
CREATE VIEW wrong AS SELECT input, CASE WHEN id % 3 = 0 THEN 'd' ELSE answer END AS expected FROM cases ORDER BY id;

-- classify: what the model itself says is right; labels from the expected values, from options, from a column
SELECT model, length(digest), task, rows, answered, errors, accuracy, balanced_accuracy, drop_f1, calibration_error BETWEEN 0 AND 1 AS calibrated,
	   prompt_tokens > 0 AS prompts, output_tokens, seconds >= 0 AS timed
FROM llm_eval('SELECT input, answer AS expected FROM cases', 'classify', options => '{"labels": ["a", "b", "c"]}');
SELECT accuracy, (SELECT sum(n::int) FROM jsonb_each(confusion) e, jsonb_each_text(e.value) c (k, n)) AS cells
FROM llm_eval('SELECT * FROM wrong', 'classify', options => '{"labels": ["a", "b", "c"], "instruction": "Classify each text as one of: a, b, c."}');
SELECT e.accuracy = r.accuracy AS accuracy, e.balanced_accuracy = r.balanced AS balanced
FROM llm_eval($$SELECT input, expected, '{a,b,c}'::text[] AS labels FROM wrong$$, 'classify') e,
	 (SELECT avg(accuracy) AS balanced, sum(accuracy * n) / sum(n) AS accuracy
	  FROM (SELECT count(*) AS n, count(*) FILTER (WHERE expected = llm_classify(input, '{a,b,c}'))::float8 / count(*) AS accuracy FROM wrong
			GROUP BY expected) c) r;
SELECT rows, answered FROM llm_eval('SELECT * FROM wrong', 'classify');
SELECT model, rows, answered FROM llm_compare('SELECT * FROM wrong', '{llama3,bert,NULL}', 'classify', '{"labels": ["a", "b", "c", "d"]}');

-- batching changes nothing
CREATE FUNCTION figures(query text, task text, options json) RETURNS jsonb LANGUAGE sql AS
	$$SELECT to_jsonb(e) - 'seconds' FROM llm_eval(query, task, options => options) e$$;
SELECT figures('SELECT * FROM wrong', 'classify', NULL) AS on \gset
SET pg_llm.batching = off;
SELECT figures('SELECT * FROM wrong', 'classify', NULL) = :'on' AS same;
RESET pg_llm.batching;

-- filter, generate by rule, extract
SELECT accuracy, confusion IS NOT NULL AS confusion, calibration_error
FROM llm_eval($$SELECT input, llm_filter(input, 'x') AS expected FROM cases$$, 'filter', options => '{"condition": "x"}');
SELECT rows, answered, accuracy, macro_f1, drop_f1, confusion, output_tokens > 0 AS tokens
FROM llm_eval($$SELECT input, llm_generate(input, max_tokens => 4) AS expected FROM cases$$, 'generate', options => '{"max_tokens": 4}');
SELECT accuracy FROM llm_eval($$SELECT 'one' AS input, '7' AS expected UNION ALL SELECT 'two', '#### 8'$$, 'generate',
							  options => '{"rule": "gsm8k_flexible", "choice": ["so 7", "7"]}');
SELECT accuracy, drop_f1 FROM llm_eval($$SELECT 'one' AS input, '{"spans": ["red fox"]}'::jsonb AS expected$$, 'generate',
									   options => '{"rule": "drop", "choice": ["the fox", "the  fox"]}');
SELECT accuracy FROM llm_eval($$SELECT 'one' AS input, '{"a": "x", "b": "z"}'::jsonb AS expected$$, 'extract', 'wide',
							  options => '{"schema": {"type": "object", "properties": {"a": {"const": "x"}, "b": {"const": "y"}}, "required": ["a", "b"]}}');

SELECT accuracy FROM llm_eval($$SELECT 'one' AS input, '["x"]'::jsonb AS expected$$, 'extract', 'wide',
							  options => '{"schema": {"type": "array", "prefixItems": [{"const": "x"}], "minItems": 1, "items": false}}');

-- rows without input or answer count as wrong
SELECT rows, answered, errors, accuracy, balanced_accuracy FROM llm_eval($$SELECT input, 'a' AS expected FROM (VALUES (NULL), (repeat('word ', 100))) v (input)$$,
													  'classify', options => '{"labels": ["a", "b"]}');
SELECT rows, accuracy, confusion, calibration_error FROM llm_eval('SELECT input, answer AS expected FROM cases WHERE false', 'classify',
																  options => '{"labels": ["a", "b"]}');
SELECT llm_eval(NULL, 'classify') IS NULL AS one, (SELECT count(*) FROM llm_compare(NULL, '{llama3}', 'classify')) AS several;

-- misuse
SELECT q, f.* FROM unnest(ARRAY['SELECT 1; SELECT 2', 'DELETE FROM cases', 'SELECT 1) r; DROP TABLE cases; --', 'EXPLAIN SELECT 1',
	'WITH d AS (DELETE FROM cases RETURNING *) SELECT input, answer AS expected FROM d', 'SELECT input, answer AS expected FROM cases FOR UPDATE',
	'SELECT input, answer AS expected INTO copy FROM cases', 'SELECT 1 AS input', 'SELECT 1 AS expected', '', 'SELECT $1 AS input, 1 AS expected',
	'SELECT input, input, answer AS expected FROM cases', 'SELECT input, answer AS expected, id FROM cases', 'SELECT input, NULL AS expected FROM cases',
	'SELECT input, answer AS expected, id AS labels FROM cases']) q, LATERAL fails(format('SELECT llm_eval(%L, ''classify'', options => ''{"labels": ["a", "b"]}'')', q)) f;
SELECT o, f.* FROM unnest(ARRAY['[]', '{"rule": "best"}', '{"max_tokens": 1.5}', '{"max_tokens": "many"}', '{"stop": "x"}', '{"system": 3}', '{"colour": 1}',
	'{"seed": 99999999999999999999}']) o,
	 LATERAL fails(format('SELECT llm_eval(''SELECT input, answer AS expected FROM cases'', ''generate'', options => %L)', o)) f;
SELECT * FROM fails($$SELECT llm_eval('SELECT 1', 'guess')$$);
SELECT * FROM fails($$SELECT llm_eval('SELECT 1', NULL)$$);
SELECT * FROM fails($$SELECT llm_eval('SELECT input, id AS expected FROM cases', 'filter', options => '{"condition": "x"}')$$);
SELECT * FROM fails($$SELECT llm_eval('SELECT input, true AS expected FROM cases', 'filter')$$);
SELECT * FROM fails($$SELECT llm_eval('SELECT input, answer AS expected FROM cases', 'classify', 'nobody', '{"labels": ["a", "b"]}')$$);
SELECT * FROM fails($$SELECT llm_eval('SELECT input, answer AS expected FROM cases', 'generate', options => '{"rule": "drop"}')$$);
SELECT * FROM fails($$SELECT llm_eval('SELECT input, ''a'' AS expected FROM cases', 'classify')$$);
SELECT * FROM fails($$SELECT llm_eval('SELECT input, NULL::text AS expected FROM cases', 'classify')$$);
SELECT * FROM fails($$SELECT llm_compare('SELECT input, answer AS expected FROM cases', '{}', 'classify')$$);
CREATE FUNCTION writes(t text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN DELETE FROM cases; RETURN t; END $$;
SELECT * FROM fails($$SELECT llm_eval('SELECT writes(input) AS input, answer AS expected FROM cases', 'classify')$$);
DELETE FROM cases WHERE id = 12;
SELECT count(*) FROM cases;

-- the caller's rights
CREATE ROLE eval_reader;
GRANT SELECT ON wrong TO eval_reader;
SET ROLE eval_reader;
SELECT code FROM fails($$SELECT llm_eval('SELECT input, answer AS expected FROM cases', 'classify')$$);
SELECT code FROM fails($$SELECT llm_eval('SELECT * FROM wrong', 'classify')$$);
RESET ROLE;
DROP OWNED BY eval_reader;
DROP ROLE eval_reader;
DROP VIEW wrong;
DROP TABLE cases;
DROP FUNCTION figures, writes;
DROP SERVER llama3;
DROP SERVER wide;
DROP SERVER bert;
