-- errors of the generating functions: misuse raises, a row's own trouble follows pg_llm.on_error
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup

CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');
CREATE SERVER small FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', context '64');
SET pg_llm.default_model = 'llama3';

SELECT i, f.* FROM (VALUES (1, $$SELECT llm_generate('x', 'nowhere')$$),
	(2, $$SELECT llm_generate('x', 'LLAMA3')$$),
	(3, $$SELECT llm_generate('x', '')$$),
	(4, $$SELECT llm_generate('x', max_tokens => 0)$$),
	(5, $$SELECT llm_generate('x', max_tokens => -1)$$),
	(6, $$SELECT llm_generate('x', temperature => -1)$$),
	(7, $$SELECT llm_generate('x', temperature => 'NaN')$$),
	(8, $$SELECT llm_generate('x', temperature => 'Infinity')$$),
	(9, $$SELECT llm_generate('x', stop => '{a,""}')$$),
	(10, $$SELECT llm_generate('x', stop => '{a,NULL}')$$),
	(11, $$SELECT llm_generate('x', stop => '{{a},{b}}')$$),
	(12, $$SELECT llm_generate('x', stop => array_fill('a'::text, '{17}'))$$),
	(13, $$SELECT llm_generate('x', schema => '{"not": {}}')$$),
	(14, $$SELECT llm_generate('x', options => '{"grammar": "root := x"}')$$),
	(15, $$SELECT llm_generate('x', options => '{"logprobs": 5}')$$),
	(16, $$SELECT llm_generate('x', options => '{"no_such": 1}')$$),
	(17, $$SELECT llm_generate('x', options => '{"max_tokens": 1}')$$),
	(18, $$SELECT llm_generate('x', options => '[1]')$$),
	(19, $$SELECT llm_generate('x', options => '{"top_p": 2}')$$),
	(20, $$SELECT llm_generate('x', options => '{"top_p": "0.5"}')$$),
	(21, $$SELECT llm_generate('x', options => '{"top_k": 1.5}')$$),
	(22, $$SELECT llm_generate('x', options => '{"top_k": 1e300}')$$),
	(23, $$SELECT llm_generate('x', options => '{"logit_bias": {"x": 1}}')$$),
	(24, $$SELECT llm_generate('x', options => '{"logit_bias": {"512": 1}}')$$),
	(25, $$SELECT llm_generate('x', options => '{"logit_bias": {"1": true}}')$$),
	(26, $$SELECT llm_generate('x', options => '{"truncate": "head"}')$$),
	(27, $$SELECT llm_generate('x', options => '{"form": "plain"}')$$),
	(28, $$SELECT llm_generate('x', options => '{"template_kwargs": []}')$$),
	(29, $$SELECT llm_complete('x', options => '{"answer_prefix": "y"}')$$),
	(30, $$SELECT llm_generate(repeat('word ', 100), 'small')$$),
	(31, $$SELECT llm_generate('x', 'small', system => repeat('word ', 100), options => '{"truncate": "tail"}')$$),
	(32, $$SELECT llm_generate('x', temperature => 1e7)$$),
	(33, $$SELECT llm_generate('x', max_tokens => -2147483648)$$),
	(34, $$SELECT llm_generate('x', options => '{"top_p": -0.1}')$$),
	(35, $$SELECT llm_generate('x', options => '{"min_p": 1e400}')$$),
	(36, $$SELECT llm_generate('x', options => '{"typical_p": null}')$$),
	(37, $$SELECT llm_generate('x', options => '{"repeat_penalty": 0}')$$),
	(38, $$SELECT llm_generate('x', options => '{"presence_penalty": 101}')$$),
	(39, $$SELECT llm_generate('x', options => '{"frequency_penalty": -101}')$$),
	(40, $$SELECT llm_generate('x', options => '{"logit_bias": {"99999999999": 1}}')$$),
	(41, $$SELECT llm_generate('x', options => '{"logit_bias": {"-1": 1}}')$$),
	(42, $$SELECT llm_generate('x', options => '{"logit_bias": {"1": -1e400}}')$$),
	(43, $$SELECT llm_generate('x', options => '{"answer_prefix": 1}')$$),
	(44, $$SELECT llm_generate('x', options => 'null')$$),
	(45, $$SELECT llm_generate_detail('x', 'nowhere')$$),
	(46, $$SELECT llm_complete('x', 'nowhere')$$),
	(47, $$SELECT llm_generate()$$),
	(48, $$SELECT llm_generate('x', no_such => 1)$$),
	(49, $$SELECT llm_generate('x', options => jsonb_build_object('logit_bias', (SELECT jsonb_object_agg(i, false) FROM generate_series(0, 511) i)))$$)) v(i, s), fails(s) f
ORDER BY i;

-- a prompt that is too long: an error, or NULL and one warning; the detail form says why in the row
SELECT llm_generate(repeat('word ', 100), 'small');
SELECT value, error, finish_reason, truncated, prompt_tokens, cached_tokens, output_tokens, logprob, model
FROM llm_generate_detail(repeat('word ', 100), 'small');
SET pg_llm.on_error = 'null';
SELECT i, llm_generate(repeat('word ', i), 'small', max_tokens => 2) IS NULL AS none FROM generate_series(1, 121, 40) i;
SELECT count(*) FROM generate_series(1, 3) i WHERE llm_complete(repeat('word ', 100), 'small') IS NULL;
SELECT llm_complete('', 'small', max_tokens => 2) IS NOT NULL AS empty_has_a_first_token;
-- one warning for each statement of the client, also where the rows are in functions, cursors, or several statements
CREATE FUNCTION answers(n int) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		RETURN NEXT llm_generate(repeat('word ', 100), 'small');
	END LOOP;
END $$;
SELECT count(*), count(a) AS answered FROM answers(2) a;
DO $$
BEGIN
	PERFORM answers(2);
	PERFORM answers(1);
END $$;
CREATE TABLE answered AS SELECT llm_score(repeat('word ', i * 50), 'it is short', 'small') AS s FROM generate_series(0, 2) i;
UPDATE answered SET s = llm_score(repeat('word ', 100), 'it is short', 'small') WHERE s IS NOT NULL;
DROP TABLE answered;
BEGIN;
DECLARE c CURSOR FOR SELECT a FROM answers(3) a;
FETCH 1 FROM c;
COMMIT;
SELECT llm_classify(repeat('word ', 100), '{a,b}', 'small'), 1 / i FROM generate_series(0, 0) i;
SELECT 'no warning of the failed statement' AS next;
-- misuse raises all the same; the detail form needs no warning
SELECT llm_generate('x', 'nowhere');
SELECT (llm_generate_detail(repeat('word ', 100), 'small')).error;
DROP FUNCTION answers;
RESET pg_llm.on_error;

-- numbers at the end of their range
SELECT finish_reason, prompt_tokens + output_tokens AS tokens FROM llm_generate_detail('x', 'small', max_tokens => 2147483647);
SELECT llm_generate('x', max_tokens => 5, temperature => 1e-300) = llm_generate('x', max_tokens => 5, temperature => '-0') AS cold,
	   llm_generate('x', max_tokens => 5, temperature => 1e6, seed => -9223372036854775808) =
	   llm_generate('x', max_tokens => 5, temperature => 1e6, seed => -9223372036854775808) AS hot,
	   llm_generate('x', max_tokens => 5, temperature => 1, seed => 1, options => '{"top_k": 2147483647, "top_p": 1, "min_p": 0, "typical_p": 1}') =
	   llm_generate('x', max_tokens => 5, temperature => 1, seed => 1) AS all_off,
	   llm_generate('x', max_tokens => 5, temperature => 1, seed => 1, options => '{"top_p": 0}') = llm_generate('x', max_tokens => 5) AS one_token;

-- cut where the user allows it: the text's end, or its middle; never silently
SELECT t, truncated, prompt_tokens BETWEEN 58 AND 62 AS fits, output_tokens
FROM unnest('{tail,middle}'::text[]) t,
	 llm_generate_detail(repeat('word ', 100), 'small', max_tokens => 2, options => jsonb_build_object('truncate', t));
SET pg_llm.truncate = 'tail';
SELECT truncated FROM llm_generate_detail('short', 'small', max_tokens => 2);
SELECT llm_complete(repeat('word ', 100), 'small', max_tokens => 2) = llm_complete(repeat('word ', 1000), 'small', max_tokens => 2) AS same_beginning,
	   llm_complete('x' || repeat('word ', 100), 'small', max_tokens => 2) <> llm_complete('y' || repeat('word ', 100), 'small', max_tokens => 2) AS beginning_is_kept;
SELECT bool_and(length(llm_complete(repeat(c, 300), 'small', max_tokens => 2)) > 0) AS at_characters
FROM unnest('{a,ä,你,🙂}'::text[]) c;
SELECT truncated FROM llm_generate_detail(repeat('word ', 100), 'small', max_tokens => 2, options => '{"truncate": "error"}');
RESET pg_llm.truncate;

-- after all these errors the session goes on
SELECT length(llm_generate('x', max_tokens => 4)) > 0 AS goes_on;

DROP SERVER llama3;
DROP SERVER small;
