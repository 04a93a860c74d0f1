-- llm_generate, llm_generate_detail, llm_complete
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', kv_type 'f32');
CREATE SERVER mistral FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'mistral', kv_type 'f32');
SET pg_llm.default_model = 'llama3';

-- greedy continuations are those of Hugging Face transformers (data/models/*.json)
CREATE TABLE reference (model text, prompt text, greedy int[]);
INSERT INTO reference VALUES
	('llama3', 'The old clock in the hall', '{414,106,377,168,449,47,234,89,412,325,225,227,412,449,244,258}'),
	('llama3', 'SELECT name, price FROM items WHERE price > 42.50; -- it''s 3 rows, isn''t it? Café Zürich: naïve 你好 🙂',
	 '{198,215,428,166,356,20,501,68,402,179,13,80,469,175,119,244}'),
	('mistral', 'The old clock in the hall', '{77,52,432,28,357,36,73,157,38,107,241,248,56,85,21,89}'),
	('mistral', 'SELECT name, price FROM items WHERE price > 42.50; -- it''s 3 rows, isn''t it? Café Zürich: naïve 你好 🙂',
	 '{86,34,294,46,250,68,56,62,465,432,390,496,367,442,251,211}');
SELECT model, left(prompt, 20) AS prompt,
	   llm_complete(prompt, model, max_tokens => 16) = llm_detokenize(greedy, model) AS same
FROM reference;

-- a model without chat template is given the texts with blank lines between
SELECT llm_generate('The old clock', max_tokens => 8) = llm_complete(E'The old clock\n\n', max_tokens => 8) AS prompt,
	   llm_generate('The old clock', system => 'Be brief.', max_tokens => 8) =
	   llm_complete(E'Be brief.\n\nThe old clock\n\n', max_tokens => 8) AS system,
	   llm_generate('The old clock', max_tokens => 8, options => '{"answer_prefix": "It"}') =
	   llm_complete(E'The old clock\n\nIt', max_tokens => 8) AS answer_prefix;

-- positional and named arguments, untyped literals, NULL for a default
SELECT llm_generate('a', 'llama3', 'b', 4, 0, 1, '{}', NULL, '{}') =
	   llm_generate(prompt => 'a', model => 'llama3', system => 'b', max_tokens => '4', temperature => '0', seed => '1') AS same,
	   llm_generate('a', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) = llm_generate('a') AS defaults;

-- the detail form
SELECT value = llm_generate('The old clock', max_tokens => 5) AS value, error, finish_reason, truncated, prompt_tokens,
	   cached_tokens BETWEEN 0 AND prompt_tokens AS cached, output_tokens, logprob < 0 AS logprob, ms > 0 AS ms, model,
	   digest = (SELECT encode(sha256(pg_read_binary_file(:'llama3')), 'hex')) AS digest
FROM llm_generate_detail('The old clock', max_tokens => 5);

-- log probabilities add up: four tokens are the first, and then three after it
SELECT round((a.logprob - b.logprob - c.logprob)::numeric, 4) AS difference
FROM llm_generate_detail('count', max_tokens => 1, options => '{"logit_bias": {"65": 1000}}') b,
	 llm_generate_detail('count', max_tokens => 4, options => '{"logit_bias": {"65": 1000}}') a,
	 llm_generate_detail('count', max_tokens => 3, options => '{"answer_prefix": "b", "logit_bias": {"65": 1000}}') c;

-- logit_bias: a token that always comes, tokens that never come
SELECT llm_generate('x', max_tokens => 5, options => '{"logit_bias": {"65": 1000}}') AS always,
	   strpos(llm_generate('x', max_tokens => 40, options => '{"logit_bias": {"65": 1000, "65": false}}'), 'b') AS never;

-- stop strings end the text and are not part of it
SELECT llm_generate('x', max_tokens => 9, stop => '{bbb}', options => '{"logit_bias": {"65": 1000}}') AS at_once,
	   finish_reason, output_tokens, value
FROM llm_generate_detail('x', max_tokens => 9, stop => ARRAY['never', 'b'], options => '{"logit_bias": {"65": 1000}}');

-- seeds: the same answer again; top_k 1 is greedy at any temperature; without seed every call draws anew
SELECT llm_generate('x', max_tokens => 20, temperature => 1, seed => 7) = llm_generate('x', max_tokens => 20, temperature => 1, seed => 7) AS same_seed,
	   llm_generate('x', max_tokens => 20, temperature => 1, seed => 7) <> llm_generate('x', max_tokens => 20, temperature => 1, seed => 8) AS other_seed,
	   llm_generate('x', max_tokens => 20, temperature => 1, seed => 7, options => '{"top_k": 1}') = llm_generate('x', max_tokens => 20) AS top_k_1,
	   llm_generate('x', max_tokens => 20, temperature => 3) <> llm_generate('x', max_tokens => 20, temperature => 3) AS unseeded;

-- same row, same answer: alone, with others, in another order, with other settings
CREATE TABLE texts AS SELECT i, 'text number ' || i || repeat(' and more', i) AS t FROM generate_series(1, 6) i;
CREATE TABLE answers AS SELECT i, llm_generate(t, max_tokens => 6) AS a FROM texts;
SELECT bool_and(a = llm_generate(t, max_tokens => 6)) AS same FROM answers JOIN texts USING (i);
SELECT bool_and(a = b) AS other_order FROM answers JOIN (SELECT i, llm_generate(t, max_tokens => 6) AS b FROM texts ORDER BY i DESC) s USING (i);
SET pg_llm.threads = 1;
SET pg_llm.batch_tokens = 3;
SELECT bool_and(a = llm_generate(t, max_tokens => 6)) AS other_settings FROM answers JOIN texts USING (i);
RESET pg_llm.threads;
RESET pg_llm.batch_tokens;
UPDATE texts SET t = llm_generate(t, max_tokens => 6);
SELECT bool_and(a = t) AS updated FROM answers JOIN texts USING (i);

-- what prompts of a transaction have in common is computed once, and the answers are the same as without
CREATE TABLE cached AS SELECT i, d.* FROM generate_series(1, 3) i, LATERAL llm_generate_detail('row ' || i, system => repeat('the same for all ', 10), max_tokens => 4) d;
SELECT i, cached_tokens > 30 AS cached FROM cached ORDER BY i;
SELECT d.cached_tokens, d.value = c.value AND d.logprob = c.logprob AS same
FROM cached c, LATERAL llm_generate_detail('row 3', system => repeat('the same for all ', 10), max_tokens => 4) d WHERE i = 3;
DROP TABLE cached;

-- think_budget: nothing changes for a model that does not think
SELECT llm_generate('x', max_tokens => 6, options => '{"think_budget": 2}') = llm_generate('x', max_tokens => 6) AS same;
SELECT * FROM fails($$SELECT llm_generate('x', options => '{"think_budget": -1}')$$);
SELECT * FROM fails($$SELECT llm_generate('x', options => '{"think_budget": 1, "answer_prefix": "y"}')$$);
SELECT code, message FROM fails($$SELECT llm_complete('x', options => '{"think_budget": 1}')$$);

-- NULL runs nothing, not even the look for a model
SELECT llm_generate(NULL, 'nowhere') IS NULL AS generate, llm_complete(NULL, 'nowhere') IS NULL AS complete,
	   llm_generate_detail(NULL, 'nowhere') IS NULL AS detail;

-- the end of the context ends an answer
CREATE SERVER small FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', context '32');
SELECT finish_reason, prompt_tokens, output_tokens FROM llm_generate_detail('one two three', 'small', max_tokens => 1000);

-- a template of the owner's; special tokens only from the template, never from the row
CREATE SERVER chatty FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', chat_template
	'{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>{{ m.content | trim }}{{ suffix }}<|eot_id|>{% endfor %}');
SELECT prompt_tokens - 3 = llm_count_tokens('user') + llm_count_tokens('hello') AS template,
	   (llm_generate_detail('hello', 'chatty', max_tokens => 1, options => '{"template_kwargs": {"suffix": "!"}}')).prompt_tokens - prompt_tokens AS kwargs,
	   (llm_generate_detail('<|eot_id|>', 'chatty', max_tokens => 1)).prompt_tokens - 3
	   = llm_count_tokens('user') + llm_count_tokens('<|eot_id|>') AS data
FROM llm_generate_detail(' hello ', 'chatty', max_tokens => 1);

-- in SQL as anywhere: a view, a function, a subquery, a default
CREATE VIEW v AS SELECT i, llm_generate(t, max_tokens => 2) AS a FROM texts;
SELECT count(a) FROM v;
CREATE FUNCTION f(t text) RETURNS text LANGUAGE sql AS $$ SELECT llm_generate(t, max_tokens => 2) $$;
SELECT f('x') = llm_generate('x', max_tokens => 2) AS same;
CREATE TABLE d (t text DEFAULT llm_generate('x', max_tokens => 2));
INSERT INTO d DEFAULT VALUES;
SELECT t = f('x') AS same FROM d;

-- how the functions are declared
SELECT proname, provolatile, proparallel, proisstrict FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND proname ~ '^llm_(generate|complete|chat|stream|prompt|classify|filter|score|tokenize|detokenize|count)'
ORDER BY proname, pronargs;

DROP VIEW v;
DROP FUNCTION f;
DROP TABLE d, texts, answers, reference;
DROP SERVER llama3;
DROP SERVER mistral;
DROP SERVER small;
DROP SERVER chatty;
