-- llm_chunk: a text in pieces of tokens; llm_rrf and llm_cosine: ranks and vectors
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');
SET pg_llm.default_model = 'llama3';

-- ends of paragraphs, lines, sentences and words are preferred
SELECT no, start, stop, to_json(piece) AS piece
FROM llm_chunk(E'One cat. Two cats sat.\n\nThree cats sat on the mat. They slept.\nFour cats ran.', 18);
SELECT no, start, stop, piece FROM llm_chunk('The old clock in the hall stopped at noon.', 5);
SELECT no, start, stop, piece FROM llm_chunk('The old clock in the hall stopped at noon.', 9, overlap => 4);
-- characters are whole, and counted, not bytes
SELECT no, start, stop, piece FROM llm_chunk('Zürich, 你好。再见🙂🙂 naïve', 4);
SELECT no, start, stop, piece FROM llm_chunk('🙂你ü', 1);

-- whatever the text: pieces are its parts, have no more tokens than asked for, and together are the text
CREATE TABLE long_texts AS
	SELECT i, (SELECT string_agg(CASE (i * 31 + k * 17) % 11 WHEN 0 THEN E'\n\n' WHEN 1 THEN E'\n' WHEN 2 THEN '. ' WHEN 3 THEN '  '
									ELSE repeat(chr(97 + (i * k) % 26), (i + k) % 9) || CASE k % 3 WHEN 0 THEN ' ' WHEN 1 THEN 'é' ELSE '' END END,
								 '' ORDER BY k) FROM generate_series(1, 150) k) AS t
	FROM generate_series(1, 20) i;
SELECT max_tokens, overlap, count(*) > 100 AS many, bool_and(piece = substr(t, start, stop - start + 1)) AS exact,
	   bool_and(llm_count_tokens(piece) <= max_tokens OR length(piece) = 1) AS fits, bool_and(piece <> '') AS not_empty
FROM long_texts, (VALUES (1, 0), (7, 0), (30, 0), (30, 10), (7, 6)) v(max_tokens, overlap), llm_chunk(t, max_tokens, overlap)
GROUP BY 1, 2 ORDER BY 1, 2;
SELECT bool_and(t = (SELECT string_agg(piece, '' ORDER BY no) FROM llm_chunk(t, 20))) AS together FROM long_texts;
-- an overlap begins inside the piece before, and the next piece goes on after it
SELECT bool_and(start > last_start AND start <= last_stop + 1 AND stop > last_stop) AS go_on,
	   bool_and(llm_count_tokens(substr(t, start, last_stop - start + 1)) <= 10) AS overlap_fits, bool_or(start <= last_stop) AS overlap_there
FROM (SELECT t, start, stop, lag(start) OVER w AS last_start, lag(stop) OVER w AS last_stop FROM long_texts, llm_chunk(t, 30, 10)
	  WINDOW w AS (PARTITION BY i ORDER BY no)) s WHERE last_stop IS NOT NULL;

-- short, empty, NULL
SELECT * FROM llm_chunk('short', 2147483647);
SELECT * FROM llm_chunk('', 10);
SELECT * FROM llm_chunk(NULL, 10, model => 'nowhere');
EXPLAIN (COSTS OFF) SELECT * FROM llm_chunk('x', 10, model => 'nowhere');

-- errors
SELECT f.* FROM (VALUES
	(1, $$SELECT * FROM llm_chunk('x', 0)$$),
	(2, $$SELECT * FROM llm_chunk('x', NULL)$$),
	(3, $$SELECT * FROM llm_chunk('x', 10, -1)$$),
	(4, $$SELECT * FROM llm_chunk('x', 10, 10)$$),
	(5, $$SELECT * FROM llm_chunk('x', 10, model => 'nowhere')$$),
	(6, $$SET LOCAL pg_llm.default_model = ''; SELECT * FROM llm_chunk('x', 10)$$),
	(7, $$SET LOCAL pg_llm.default_embedding_model = 'nowhere'; SELECT * FROM llm_chunk('x', 10)$$)) v(i, s), fails(s) f ORDER BY i;

-- reciprocal rank fusion: what two lists say together; a document that one of them does not have has no rank there
WITH words AS (SELECT id, rank() OVER (ORDER BY score DESC) FROM (VALUES ('a', 9.0), ('b', 7.5), ('c', 7.5)) w(id, score)),
	 vectors AS (SELECT id, rank() OVER (ORDER BY distance) FROM (VALUES ('b', 0.1), ('d', 0.2), ('a', 0.9)) v(id, distance))
SELECT id, round(llm_rrf(ARRAY[w.rank, v.rank])::numeric, 6) AS score FROM words w FULL JOIN vectors v USING (id) ORDER BY score DESC, id;
SELECT llm_rrf('{1,1}', 1) AS one, llm_rrf('{}') AS none, llm_rrf('{NULL,4}', k => 0) AS quarter, llm_rrf(NULL) AS null;
SELECT f.* FROM (VALUES (1, $$SELECT llm_rrf('{1,0}')$$), (2, $$SELECT llm_rrf('{1}', -1)$$)) v(i, s), fails(s) f ORDER BY i;

SELECT llm_cosine('{1,0}', '{2,0}') AS same, llm_cosine('{1,0}', '{0,3}') AS right_angle, llm_cosine('{1,2}', '{-2,-4}') AS opposite,
	   round(llm_cosine('{1,0}', '{1,1}')::numeric, 6) AS half, llm_cosine('{0,0}', '{1,1}') AS no_length, llm_cosine(NULL, '{1}') AS null;
SELECT f.* FROM (VALUES
	(1, $$SELECT llm_cosine('{1,2}', '{1,2,3}')$$),
	(2, $$SELECT llm_cosine('{1,NULL}', '{1,2}')$$),
	(3, $$SELECT llm_cosine('{1,2}', '{{1,2}}')$$)) v(i, s), fails(s) f ORDER BY i;

DROP TABLE long_texts;
DROP SERVER llama3;
