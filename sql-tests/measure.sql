-- llm_exact_match, llm_drop_score
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup

-- the rules of GSM8K: strict, flexible, chain of thought
SELECT output, gold, llm_exact_match(output, gold) AS exact, llm_exact_match(output, gold, 'gsm8k_strict') AS strict,
	   llm_exact_match(output, gold, 'gsm8k_flexible') AS flexible, llm_exact_match(output, gold, 'gsm8k_cot') AS cot
FROM (VALUES ('#### 72', '#### 72'), ('so it is 1,234', '#### 1234'), ('#### $18.50', '18.50'), ('The answer is 18.', '#### 18'),
			 ('The answer is 18', '#### 18'), ('#### 18.00', '18'), ('10-5', '-5'), ('none', '#### 1'), ('', '')) AS c (output, gold);

-- the rules of DROP: numbers, spans, dates; of several gold answers the best
SELECT prediction, em, f1
FROM (VALUES (ARRAY['12'], '{"number": "12", "spans": []}'::jsonb), (ARRAY['1,200'], '{"number": 1200}'),
			 (ARRAY['$4.5 million'], '{"number": "", "spans": ["4.5 million"]}'), (ARRAY['the Harbour Master'], '{"spans": ["Harbour  master"]}'),
			 (ARRAY['43-yard'], '{"spans": ["43 yard"]}'), (ARRAY['b', 'a b'], '{"spans": ["b", "c d"]}'),
			 (ARRAY['2 May 1999'], '{"number": "", "spans": [], "date": {"day": "2", "month": "May", "year": "1999"}}'),
			 (ARRAY['cat'], '[{"spans": ["dog"]}, {"spans": ["cat"]}, {"spans": [" "]}]'), ('{}', '{"spans": ["x"]}')) AS c (prediction, gold),
	 LATERAL llm_drop_score(prediction, gold);

-- NULL, and misuse
SELECT llm_exact_match(NULL, 'a') IS NULL AS exact, llm_drop_score(NULL, '{}') IS NULL AS drop;
SELECT * FROM fails($$SELECT llm_exact_match('a', 'a', 'best')$$);
SELECT * FROM fails($$SELECT llm_drop_score('{a}', '3')$$);
SELECT * FROM fails($$SELECT llm_drop_score('{a}', '{"spans": []}')$$);
SELECT * FROM fails($$SELECT llm_drop_score('{a}', '[[]]')$$);
SELECT * FROM fails($$SELECT llm_drop_score(array_fill('a'::text, '{300}'), '{"spans": ["a"]}')$$);
