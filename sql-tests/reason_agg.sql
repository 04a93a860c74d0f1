-- llm_reason_agg: an answer that is reasoned out from all rows of a group
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', kv_type 'f32');
SET pg_llm.default_model = 'llama3';
CREATE TABLE texts AS SELECT i, i % 3 AS g, 'text number ' || i || repeat(' and more', i % 4) AS t FROM generate_series(1, 30) i;

-- rows that fit are the context of llm_reason
SELECT r.answer = l.answer AS answer, r.votes = l.votes AS votes, r.samples = l.samples AS samples, r.confidence = l.confidence AS confidence,
	   r.trail - '{texts,seal,options,settings}'::text[] = l.trail - '{seal,options,settings}'::text[] AS run,
	   r.trail -> 'settings' = l.trail -> 'settings' AS settings, r.trail #> '{texts,rows}' AS rows, r.trail #> '{texts,parts}' AS parts
FROM (SELECT (llm_reason_agg(t, 'Which?', 'llama3', 3, 9, '{"seed": 5}' ORDER BY i)).* FROM texts WHERE i <= 2) r,
	 llm_reason('Which?', context => E'Text 1:\ntext number 1 and more\n\nText 2:\ntext number 2 and more and more', samples => 3, max_tokens => 9, seed => 5) l;
SELECT (a).trail #> '{settings,temperature}' AS temperature, (a).trail #> '{settings,think_budget}' AS budget, (a).trail #> '{settings,max_tokens}' AS tokens
FROM (SELECT llm_reason_agg(t, 'Which?', 'llama3', 1, 5, '{"temperature": 0.5, "seed": -3, "think_budget": 4}') AS a FROM texts WHERE i < 3
	  UNION ALL SELECT llm_reason_agg(t, 'Which?', 'llama3', 1, 5) FROM texts WHERE i < 3) q;

-- if they do not fit, the model notes what matters of each chunk, and reasons over the notes
SELECT (a).trail #>> '{samples,0,text}' =
	   (llm_reason('Which?', context => E'These notes were taken from many texts.\n\n'
		'Part 1:\n' || llm_generate(n || E'Text 1:\n' || x, max_tokens => 6) || E'\n\n'
		'Part 2:\n' || llm_generate(n || E'Text 1:\n' || y, max_tokens => 6), max_tokens => 6)).trail #>> '{samples,0,text}' AS same,
	   (a).trail #> '{texts,rows}' AS rows, (a).trail #> '{texts,parts}' AS parts
FROM (SELECT llm_reason_agg(t, 'Which?', NULL, NULL, 6, '{"chunk_tokens": 64}' ORDER BY i) AS a, min(t) AS x, max(t) AS y,
			 E'Question: Which?\n\nNote in a few words what in the following texts helps to answer it, with numbers and names. Do not answer it yet.\n\n' AS n
	  FROM (VALUES (1, 'a' || repeat(' more', 14)), (2, 'b' || repeat(' more', 14))) v(i, t)) q;

-- groups together, one by one, in plans that sort, with little memory, on other kernels: the same trails
SET enable_sort = off;
CREATE TABLE answers AS
SELECT g, (llm_reason_agg(t, 'Say ' || g, 'llama3', 4, 5, '{"chunk_tokens": 64, "seed": 1}')).* FROM (SELECT * FROM texts ORDER BY i) o GROUP BY g;
SELECT g, samples, (trail #> '{texts,parts}')::int > 1 AS parts, trail #> '{texts,rows}' AS rows FROM answers ORDER BY g;
SET pg_llm.batching = off;
SELECT bool_and(a.trail = b.trail AND a.answer IS NOT DISTINCT FROM b.answer) AS one_by_one
FROM answers a JOIN (SELECT g, (llm_reason_agg(t, 'Say ' || g, 'llama3', 4, 5, '{"chunk_tokens": 64, "seed": 1}')).*
					 FROM (SELECT * FROM texts ORDER BY i) o GROUP BY g) b USING (g);
RESET pg_llm.batching;
RESET enable_sort;
SET pg_llm.threads = 1;
SET work_mem = '64kB';
SELECT bool_and(a.trail = b.trail) AS sorted
FROM answers a JOIN (SELECT g, (llm_reason_agg(t, 'Say ' || g, 'llama3', 4, 5, '{"chunk_tokens": 64, "seed": 1}' ORDER BY i)).* FROM texts GROUP BY g) b USING (g);
RESET work_mem;
RESET pg_llm.threads;
\c -
SET pg_llm.cpu_kernels = 'generic';
SELECT step, bool_and(matches) AS matches, string_agg(DISTINCT note, '; ' ORDER BY note) FILTER (WHERE note NOT LIKE 'texts:%') AS notes,
	   count(*) FILTER (WHERE note LIKE 'texts: 10 were read in % parts, which are not run again') AS texts
FROM answers, llm_replay(trail) GROUP BY step ORDER BY step;
SET pg_llm.default_model = 'llama3';
-- other texts or another order have another digest
SELECT count(DISTINCT (a).trail #> '{texts,digest}') AS digests
FROM (SELECT llm_reason_agg(t, 'q', NULL, 1, 2 ORDER BY i) AS a FROM texts WHERE i < 4 UNION ALL SELECT llm_reason_agg(t, 'q', NULL, 1, 2 ORDER BY i DESC) FROM texts WHERE i < 4
	  UNION ALL SELECT llm_reason_agg(t, 'other', NULL, 2, 2 ORDER BY i) FROM texts WHERE i < 4 UNION ALL SELECT llm_reason_agg(t || '.', 'q', NULL, 1, 2 ORDER BY i) FROM texts WHERE i < 4) q;
-- a change is found, also of what is not run again
SELECT c.path, r.step, r.note FROM answers, (VALUES ('{texts,rows}', '9'), ('{texts,digest}', '"00"'), ('{samples,0,text}', '"y"'), ('{options,seed}', '2')) c(path, value),
	   llm_replay(jsonb_set(trail, c.path::text[], c.value::jsonb)) r
WHERE g = 1 AND NOT r.matches AND r.note NOT LIKE 'texts:%' ORDER BY 1, 2, 3;
SELECT regexp_replace(llm_trail_text(trail), E'.*\n(texts: [^\n]*)\n.*', '\1') LIKE 'texts: 10 were read in % parts%' AS text FROM answers WHERE g = 1;
SELECT code, message FROM answers, fails(format('SELECT llm_replay(%L)', jsonb_set(trail, '{texts}', '7'))) WHERE g = 1;
SELECT code, message FROM answers, fails(format('SELECT llm_replay(%L)', jsonb_set(trail, '{texts,rows}', '0'))) WHERE g = 1;

-- rows of any type; FILTER, DISTINCT, ROLLUP, choices
SELECT (a).trail #>> '{prompt,text}' LIKE E'%Text 1:\n{"i":1,"t":"text number 1 and more"}\n\nText 2:\n{"i":2,%' AS record,
	   (b).trail #>> '{prompt,text}' LIKE E'%Text 1:\n1\n\nText 2:\n2\n\nQuestion: q%' AS numbers,
	   (c).trail #>> '{prompt,text}' LIKE E'%Text 1:\n{"a": 1}\n\nText 2:\n{"a": 2}\n%' AS json
FROM (SELECT llm_reason_agg(r, 'q', NULL, 1, 3 ORDER BY i) AS a, llm_reason_agg(i, 'q', NULL, 1, 3 ORDER BY i) AS b,
			 llm_reason_agg(jsonb_build_object('a', i), 'q', NULL, 1, 3 ORDER BY i) AS c FROM (SELECT i, t FROM texts WHERE i < 3) r) q;
SELECT llm_reason_agg(t, 'q', NULL, 1, 3 ORDER BY i) FILTER (WHERE i < 3) = llm_reason_agg(t, 'q', NULL, 1, 3 ORDER BY i) FILTER (WHERE i IN (1, 2)) AS filter,
	   (llm_reason_agg(DISTINCT 'x'::text, 'q', NULL, 1, 3)).trail #> '{texts,rows}' AS "distinct" FROM texts;
SELECT g, ((llm_reason_agg(t, 'q', NULL, 3, 3, '{"choices": ["bbb", "ccc"], "seed": 2, "logit_bias": {"65": 1000}}')).votes) AS votes FROM texts GROUP BY ROLLUP (g) ORDER BY g;

-- NULLs are skipped; nothing gives NULL, and looks for no model
SELECT llm_reason_agg(n, 'q', NULL, 1, 3) = llm_reason_agg(t, 'q', NULL, 1, 3) AS skipped FROM (VALUES ('a', 'a'), (NULL, NULL), ('b', 'b')) v(n, t);
SELECT llm_reason_agg(t, 'q', 'nowhere') IS NULL AS no_rows FROM texts WHERE false;
SELECT llm_reason_agg(t, NULL, 'nowhere') IS NULL AS question, llm_reason_agg(NULL::text, 'q', 'nowhere') IS NULL AS nulls FROM texts;

-- trouble of a group, misuse, privileges
CREATE SERVER small FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', context '256');
SELECT * FROM fails($$SELECT llm_reason_agg(t, repeat('Say it. ', 300), 'small') FROM texts$$);
SET pg_llm.on_error = 'null';
SELECT g, llm_reason_agg(t, CASE g WHEN 1 THEN repeat('Say it. ', 300) ELSE 'Say it.' END, 'small', 2, 4) IS NULL AS failed FROM texts GROUP BY g ORDER BY g;
RESET pg_llm.on_error;
SELECT * FROM fails($$SELECT llm_reason_agg(t, ' ') FROM texts$$);
SELECT * FROM fails($$SELECT llm_reason_agg(t, 'q', NULL, 0) FROM texts$$);
SELECT * FROM fails($$SELECT llm_reason_agg(t, 'q', NULL, 1, 0) FROM texts$$);
SELECT * FROM fails($$SELECT llm_reason_agg(t, 'q', 'nowhere') FROM texts$$);
SELECT * FROM fails($$SELECT llm_reason_agg(t, 'q', NULL, 1, 5, '{"truncate": "tail"}') FROM texts$$);
SELECT * FROM fails($$SELECT llm_reason_agg(t, 'q', NULL, 1, 5, '{"think_budget": -1}') FROM texts$$);
SELECT * FROM fails($$SELECT llm_reason('q', options => '{"seed": 1}')$$);
SELECT * FROM fails($$SELECT llm_reason_agg(t, 'q') OVER (ORDER BY i) FROM texts$$);
CREATE ROLE regress_llm_reader;
GRANT SELECT ON texts TO regress_llm_reader;
SET ROLE regress_llm_reader;
SELECT * FROM fails($$SELECT llm_reason_agg(t, 'q', 'llama3') FROM texts$$);
RESET ROLE;

DROP TABLE texts, answers;
DROP ROLE regress_llm_reader;
DROP SERVER llama3;
DROP SERVER small;
