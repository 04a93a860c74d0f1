-- llm_reason, llm_replay, llm_trail_text. The tiny models' texts mean nothing, but are the same everywhere.
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', kv_type 'f32');
SET pg_llm.default_model = 'llama3';

-- one sample is greedy: what llm_generate says to the same prompt
SELECT samples, trail #>> '{samples,0,text}' =
	   llm_generate(E'How many?\n\nThink step by step. End with a line that has "Answer: " and the answer.', max_tokens => 9) AS generated,
	   trail #> '{settings,temperature}' AS temperature, jsonb_array_length(trail #> '{samples,0,tokens}') AS tokens
FROM llm_reason('How many?', max_tokens => 9);
SELECT trail #>> '{samples,0,text}' =
	   llm_generate(E'Three.\n\nQuestion: How many?\n\nCount.', system => 'Be brief.', max_tokens => 9) AS with_context
FROM llm_reason('How many?', context => 'Three.', system => 'Be brief.', max_tokens => 9, options => '{"instruction": "Count."}');

-- a biased model always says the same: the vote is decided early, at the least number of samples that can
SELECT answer, votes, samples, confidence
FROM generate_series(1, 8) n, llm_reason('x', samples => n, max_tokens => 3, seed => 1, options => '{"logit_bias": {"65": 1000}}')
ORDER BY n;
-- several samples differ, and each is what its seed draws
SELECT trail #> '{settings,temperature}' AS temperature, samples, votes,
	   (SELECT count(DISTINCT s -> 'tokens') > 1 FROM jsonb_array_elements(trail -> 'samples') s) AS differ,
	   (SELECT bool_and((s ->> 'text') = llm_generate(E'x\n\nGo.', max_tokens => 6, temperature => 0.7, seed => (s ->> 'seed')::bigint))
		FROM jsonb_array_elements(trail -> 'samples') s) AS drawn
FROM llm_reason('x', samples => 3, max_tokens => 6, seed => 9, options => '{"instruction": "Go."}');
-- without a seed each call draws its own, and the trail has it
SELECT count(DISTINCT (llm_reason('x', samples => 2, max_tokens => 3)).trail #> '{settings,seed}') AS seeds FROM generate_series(1, 3);
-- no answer of that kind
SELECT answer IS NULL AS none, votes, confidence FROM llm_reason('x', max_tokens => 3, options => '{"answer": "date"}');
SELECT answer, votes FROM llm_reason('x', max_tokens => 3, options => '{"choices": ["bbb", "c"], "logit_bias": {"65": 1000}}');

-- rows together and one by one, with any threads and kernels, give the same trails
CREATE TABLE trails AS
SELECT i, (r).* FROM (SELECT i, llm_reason('question ' || i, samples => 1 + i % 4, max_tokens => 5 + i, seed => i) AS r FROM generate_series(1, 10) i) q;
SET pg_llm.batching = off;
SET pg_llm.threads = 1;
SELECT bool_and(r.trail = t.trail) AS same
FROM trails t, LATERAL (SELECT (llm_reason('question ' || i, samples => 1 + i % 4, max_tokens => 5 + i, seed => i)).trail) r;
SELECT bool_and(matches) AS replayed, count(*) = sum(DISTINCT n) AS steps
FROM trails, LATERAL (SELECT sum(7 + samples) AS n FROM trails) c, llm_replay(trail);
RESET pg_llm.batching;
RESET pg_llm.threads;
\c -
SET pg_llm.cpu_kernels = 'generic';
SELECT step, bool_and(matches) AS matches, string_agg(DISTINCT note, ', ' ORDER BY note) AS notes FROM trails, llm_replay(trail) GROUP BY step ORDER BY step;
\c -
SET pg_llm.default_model = 'llama3';

-- every single change is found
CREATE TABLE changes (path text[], value jsonb);
INSERT INTO changes VALUES
	('{version}', '2'), ('{model,digest}', '"00"'), ('{model,identity}', '"00"'), ('{model,numeric_version}', '1'), ('{model,name}', '"other"'),
	('{settings,samples}', '4'), ('{settings,max_tokens}', '4'), ('{settings,temperature}', '1.5'), ('{settings,seed}', '77'),
	('{settings,think_budget}', '3'), ('{options,top_k}', '1'), ('{prompt,tokens,0}', '9'), ('{prompt,tokens,1}', '999999'), ('{prompt,text}', '"y"'),
	('{samples,0,tokens,2}', '9'), ('{samples,1,text}', '"y"'), ('{samples,0,logprobs,1}', '-0.5'), ('{samples,1,answer}', '"y"'),
	('{samples,0,key}', '"y"'), ('{samples,0,seed}', '3'), ('{samples,1,finish_reason}', '"stopped"'), ('{samples,0,more}', '1'),
	('{result,answer}', '"y"'), ('{result,votes}', '9'), ('{result,confidence}', '0.25'), ('{seal}', '"00"'), ('{more}', '1');
CREATE TABLE changed AS
SELECT c.path, jsonb_set(trail, c.path, c.value) AS trail FROM trails t, changes c WHERE i = 2;
SELECT count(*) AS changes, count(*) FILTER (WHERE found) AS found
FROM (SELECT path, bool_or(NOT matches) AS found FROM changed, llm_replay(trail) GROUP BY path) q;
-- also with a new seal, but for what a run does not depend on
CREATE FUNCTION seal(trail jsonb) RETURNS jsonb LANGUAGE sql AS
$$ SELECT trail || jsonb_build_object('seal', encode(sha256(convert_to((trail - 'seal')::text, 'UTF8')), 'hex')) $$;
SELECT trail = seal(trail) AS sealed FROM trails WHERE i = 2;
SELECT path, step, note FROM changed, llm_replay(seal(trail)) WHERE NOT matches AND path <> '{seal}' ORDER BY path, step, note;

-- for people
SELECT regexp_replace(llm_trail_text(trail), 'sha256 [0-9a-f]{64}', 'sha256 …') AS trail
FROM llm_reason('x', samples => 2, max_tokens => 3, seed => 1, options => '{"instruction": "", "logit_bias": {"65": 1000}}');

-- NULL runs no model; misuse
SELECT llm_reason(NULL, model => 'nowhere') IS NULL AS question, llm_trail_text(NULL) IS NULL AS trail, count(*) AS rows FROM llm_replay(NULL);
SELECT * FROM fails($$SELECT llm_reason('a', 'nowhere')$$);
SELECT * FROM fails($$SELECT llm_reason('a', samples => 0)$$);
SELECT * FROM fails($$SELECT llm_reason('a', samples => 65)$$);
SELECT * FROM fails($$SELECT llm_reason('a', max_tokens => 0)$$);
SELECT * FROM fails($$SELECT llm_reason('a', think_budget => -1)$$);
SELECT * FROM fails($$SELECT llm_reason('a', temperature => -1)$$);
SELECT * FROM fails($$SELECT llm_reason('a', options => '{"grammar": "x"}')$$);
SELECT * FROM fails($$SELECT llm_reason('a', options => '{"answer": "choice"}')$$);
SELECT * FROM fails($$SELECT llm_reason('a', options => '{"choices": ["a"]}')$$);
SELECT * FROM fails($$SELECT llm_reason('a', options => '{"choices": ["a", "-"]}')$$);
SELECT * FROM fails($$SELECT llm_reason('a', options => '{"choices": ["a", "b"], "answer": "text"}')$$);
SELECT * FROM fails($$SELECT llm_reason(repeat('long ', 5000))$$);
SELECT * FROM fails($$SELECT llm_replay('[]')$$);
SELECT * FROM fails($$SELECT llm_replay('{}')$$);
SELECT * FROM fails($$SELECT llm_trail_text('{"samples": []}')$$);
SELECT code, message FROM trails, fails(format('SELECT llm_replay(%L)', trail #- '{settings,seed}')) WHERE i = 2;
SELECT code, message FROM trails, fails(format('SELECT llm_replay(%L)', jsonb_set(trail, '{settings,samples}', '1e9'))) WHERE i = 2;
SELECT code, message FROM trails, fails(format('SELECT llm_replay(%L)', jsonb_set(trail, '{settings,max_tokens}', '"x"'))) WHERE i = 2;
SELECT code, message FROM trails, fails(format('SELECT llm_replay(%L)', jsonb_set(trail, '{options,top_p}', '7'))) WHERE i = 2;
SELECT code, message FROM trails, fails(format('SELECT llm_replay(%L)', jsonb_set(trail, '{samples}', '3'))) WHERE i = 2;
SELECT code, message FROM trails, fails(format('SELECT llm_trail_text(%L)', jsonb_set(trail, '{samples,0}', '3'))) WHERE i = 2;
SELECT step, matches, note FROM trails, llm_replay(jsonb_set(trail, '{prompt,tokens}', (SELECT jsonb_agg(1) FROM generate_series(1, 5000)))) WHERE i = 2;

-- a row's trouble, little memory, and privileges
SET pg_llm.on_error = 'null';
SELECT llm_reason(repeat('long ', 5000)) IS NULL AS too_long;
SELECT count(*) AS rows, count(r) AS answers FROM (SELECT llm_reason(repeat('long ', CASE i WHEN 2 THEN 5000 ELSE 1 END), samples => 3, max_tokens => 3) AS r FROM generate_series(1, 4) i) q;
RESET pg_llm.on_error;
SET pg_llm.memory_limit = '1MB';
SELECT code FROM fails($$SELECT llm_reason('x', samples => 64, max_tokens => 900)$$);
RESET pg_llm.memory_limit;
CREATE ROLE regress_llm_reader;
GRANT SELECT ON trails TO regress_llm_reader;
SET ROLE regress_llm_reader;
SELECT * FROM fails($$SELECT llm_reason('a', 'llama3')$$);
SELECT step, matches, note FROM trails, llm_replay(trail) WHERE i = 2;
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER llama3 TO regress_llm_reader;
SET ROLE regress_llm_reader;
SELECT bool_and(matches) AS matches FROM trails, llm_replay(trail) WHERE i = 2;
RESET ROLE;
-- a model of another name, found by its content
SELECT llm_create_model('renamed', :'llama3') AS made;
ALTER SERVER renamed OPTIONS (ADD kv_type 'f32');
DROP SERVER llama3;
SELECT step, matches, note FROM trails, llm_replay(trail) WHERE i = 2;
DROP SERVER renamed;
DROP OWNED BY regress_llm_reader;
DROP ROLE regress_llm_reader;
DROP TABLE trails, changes, changed;
DROP FUNCTION seal;

-- an error in the middle: whatever the statement has taken when the limit is reached (in a first wave of samples, in one that follows), it ends
-- by that error, one by one too, and the next goes on as ever
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', kv_type 'f32');
CREATE FUNCTION limited(tokens int, batching text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('pg_llm.statement_token_limit', tokens::text, false), set_config('pg_llm.batching', batching, false);
	RETURN (SELECT coalesce(code, 'ok') FROM fails($f$SELECT llm_reason('question ' || i, samples => 5, max_tokens => 6, seed => i) FROM generate_series(1, 3) i$f$));
END $$;
CREATE TABLE limits (tokens int, batching text, code text);
\set ECHO none
SELECT format('INSERT INTO limits SELECT %s, %L, limited(%s, %L)', n * 50, b, n * 50, b) FROM generate_series(1, 30) n, unnest('{on,off}'::text[]) b \gexec
\set ECHO all
RESET pg_llm.batching;
RESET pg_llm.statement_token_limit;
SELECT batching, code, count(*) > 5 AS several FROM limits GROUP BY 1, 2 ORDER BY 1, 2;
SELECT batching, max(tokens) FILTER (WHERE code <> 'ok') < min(tokens) FILTER (WHERE code = 'ok') AS from_one_limit_on FROM limits GROUP BY 1 ORDER BY 1;
SELECT count((llm_reason('question ' || i, samples => 5, max_tokens => 6, seed => i)).trail) AS answers FROM generate_series(1, 3) i;
DROP SERVER llama3;
DROP TABLE limits;
DROP FUNCTION limited;
