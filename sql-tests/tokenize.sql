-- llm_tokenize, llm_detokenize, llm_count_tokens
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');
CREATE SERVER mistral FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'mistral');

-- as the reference tokenizers have it (data/models/*.json), without and with what the model adds
SELECT llm_tokenize('The old clock in the hall', 'llama3');
SELECT llm_tokenize('The old clock in the hall', 'llama3', add_special => true);
SELECT llm_tokenize('The old clock in the hall', 'mistral', add_special => true);
SELECT llm_count_tokens('The old clock in the hall', 'llama3') AS plain,
	   llm_count_tokens('The old clock in the hall', 'llama3', true) AS with_special;

-- text that looks like a special token is plain characters, unless one asks
SELECT llm_count_tokens('<|eot_id|>', 'llama3') > 1 AS plain,
	   llm_tokenize('a<|eot_id|>', 'llama3', parse_special => true) AS parsed;
SELECT llm_detokenize('{511}', 'llama3') AS hidden, llm_detokenize(ids => '{511}', model => 'llama3', with_special => true) AS shown;

-- there and back
SET pg_llm.default_model = 'llama3';
SELECT t, llm_detokenize(llm_tokenize(t)) = t AS llama3, llm_detokenize(llm_tokenize(t, 'mistral'), 'mistral') = t AS mistral
FROM (VALUES ('plain words'), ('  spaces   and	tab '), (E'lines\n\n\nof text\r\n'), ('Zürich 你好 🙂 naïve'), ('it''s 42.50 <s></s>'), ('')) v(t);
SELECT count(*) AS texts, bool_and(llm_detokenize(llm_tokenize(t)) = t) AS llama3,
	   bool_and(llm_detokenize(llm_tokenize(t, 'mistral'), 'mistral') = t) AS mistral
FROM (SELECT string_agg(chr(CASE WHEN (i * 7919 + k * 104729) % 3 = 0 THEN 33 + (i * 31 + k * 17) % 90
								  ELSE 161 + (i * 977 + k * 613) % 40000 END), '' ORDER BY k) AS t
	  FROM generate_series(1, 200) i, generate_series(1, 12) k GROUP BY i) s;

-- bytes that are no character become U+FFFD: 163 is one byte of a longer character
SELECT llm_detokenize('{}') AS empty, ascii(llm_detokenize('{163}')) AS replaced;
SELECT llm_tokenize('') AS none, llm_count_tokens('') AS zero;

-- NULL takes the default; by name
SELECT llm_tokenize('x', NULL, NULL, NULL) = llm_tokenize(input => 'x', model => 'llama3', add_special => false, parse_special => false) AS tokenize,
	   llm_count_tokens('x', NULL, NULL, NULL) = llm_count_tokens(input => 'x', model => 'llama3', add_special => false, parse_special => false) AS count_tokens,
	   llm_detokenize('{64}', NULL, NULL) = llm_detokenize(ids => '{64}', model => 'llama3', with_special => false) AS detokenize;

-- NULL, also without any such model
SELECT llm_tokenize(NULL, 'nowhere') IS NULL AS tokenize, llm_detokenize(NULL, 'nowhere') IS NULL AS detokenize,
	   llm_count_tokens(NULL, 'nowhere') IS NULL AS count_tokens;

-- EXPLAIN folds nothing and needs no model
EXPLAIN (COSTS OFF) SELECT llm_count_tokens('x', 'nowhere');

-- errors
SELECT llm_tokenize('x', 'nowhere');
SELECT llm_detokenize('{512}');
SELECT llm_detokenize('{-1}');
SELECT llm_detokenize('{1,NULL}');
SELECT llm_detokenize('{{1,2},{3,4}}');
RESET pg_llm.default_model;
SELECT llm_tokenize('x');

DROP SERVER llama3;
DROP SERVER mistral;
