-- options draft and draft_tokens: next tokens are guessed, and no answer changes
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');
CREATE SERVER same FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', kv_type 'q8');
CREATE SERVER mistral FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'mistral');
CREATE SERVER hybrid FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'nemotron_h');
SET pg_llm.default_model = 'llama3';
CREATE TABLE texts AS SELECT i, repeat('the old clock ' || i || ' in the hall, ', 4) AS t FROM generate_series(1, 6) i;

CREATE TABLE ways AS SELECT * FROM (VALUES
	('{"draft": "off"}'::jsonb), ('{}'), ('{"draft": "prompt"}'), ('{"draft": "prompt", "draft_tokens": 2}'),
	('{"draft": "same"}'), ('{"draft": "same", "draft_tokens": 64}')) w (options);

-- greedy, drawn with a seed, with a shape, with a stop string; text, tokens and log-probabilities
CREATE FUNCTION answers(options jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws('|', (a).value, (a).output_tokens, (a).logprob, (a).finish_reason, c, d, e), E'\n' ORDER BY i)
	FROM (SELECT i, llm_generate_detail(t, max_tokens => 30, options => answers.options) AS a,
		  llm_generate(t, max_tokens => 30, temperature => 0.7, seed => i, options => answers.options) AS c,
		  llm_complete(t, max_tokens => 30, stop => '{e}', options => answers.options) AS d,
		  llm_generate(t, max_tokens => 40, schema => '{"type": "array", "items": {"enum": ["the old clock", "the hall"]}, "maxItems": 3}',
					   options => answers.options) AS e
		  FROM texts) s
$$;
SELECT options, answers(options) = (SELECT answers('{"draft": "off"}')) AS same FROM ways;
SET pg_llm.batching = off;
SELECT options, answers(options) = (SELECT answers('{"draft": "off"}')) AS same FROM ways WHERE options::text LIKE '%draft"%';
RESET pg_llm.batching;
SET pg_llm.default_model = 'hybrid';
SELECT options, answers(options) = (SELECT answers('{"draft": "off"}')) AS same FROM ways WHERE NOT options::text LIKE '%same%';
SET pg_llm.default_model = 'llama3';

-- a stream is the same text
SELECT string_agg(p, '') = llm_generate('a b a b a b a', max_tokens => 20, options => '{"draft": "off"}') AS same
FROM llm_stream('a b a b a b a', max_tokens => 20, options => '{"draft": "same"}') p;

-- a model that guesses its own answers is always right
CREATE FUNCTION drafted(statement text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, FORMAT JSON) ' || statement INTO plan;
	RETURN (plan #>> '{0,Plan,Drafted Tokens}')::int > 0 AND (plan #>> '{0,Plan,Drafted Tokens}') = (plan #>> '{0,Plan,Accepted Tokens}');
END $$;
SELECT drafted($$SELECT llm_generate(t, max_tokens => 20, options => '{"draft": "llama3"}') FROM texts$$);
SELECT llm_generate(NULL, options => '{"draft": "same"}') IS NULL AS is_null;

-- misuse
SELECT llm_generate('x', options => '{"draft": 1}');
SELECT llm_generate('x', options => '{"draft": ""}');
SELECT llm_generate('x', options => '{"draft_tokens": 0}');
SELECT llm_generate('x', options => '{"draft_tokens": 65}');
SELECT llm_generate('x', options => '{"draft": "nowhere"}');
SELECT llm_generate('x', options => '{"draft": "mistral"}');
SELECT llm_classify('x', '{a,b}', options => '{"draft": "off"}');
\set VERBOSITY sqlstate
SELECT llm_generate('x', options => '{"draft": 1}');
SELECT llm_generate('x', options => '{"draft": "mistral"}');
\set VERBOSITY default

-- a draft model needs USAGE like any other
CREATE ROLE llm_draft_user;
GRANT USAGE ON FOREIGN SERVER llama3 TO llm_draft_user;
SET ROLE llm_draft_user;
SELECT llm_generate('x', 'llama3', max_tokens => 3, options => '{"draft": "same"}');
SELECT length(llm_generate('x', 'llama3', max_tokens => 3)) > 0 AS without;
RESET ROLE;
REVOKE ALL ON FOREIGN SERVER llama3 FROM llm_draft_user;
DROP ROLE llm_draft_user;

DROP FUNCTION answers, drafted;
DROP TABLE texts, ways;
DROP SERVER llama3;
DROP SERVER same;
DROP SERVER mistral;
DROP SERVER hybrid;
