-- errors of the generating functions: misuse raises, a row's own trouble follows pg_llm.on_error
-- models with random weights (data/models/README.md): their texts mean nothing, but are the same everywhere
\getenv abs_srcdir PG_ABS_SRCDIR
\set llama3 :abs_srcdir '/sql/data/models/llama3.gguf'
\set mistral :abs_srcdir '/sql/data/models/mistral.gguf'

-- what a statement raises
CREATE FUNCTION fails(statement text, OUT code text, OUT message text, OUT hint text) AS $$
BEGIN
	EXECUTE statement;
	message := 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
END
$$ LANGUAGE plpgsql;
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
	(13, $$SELECT llm_generate('x', schema => '{"type": "object"}')$$),
	(14, $$SELECT llm_generate('x', options => '{"grammar": "root ::= \"a\""}')$$),
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
	(31, $$SELECT llm_generate('x', 'small', system => repeat('word ', 100), options => '{"truncate": "tail"}')$$)) v(i, s), fails(s) f
ORDER BY i;

-- no privilege
CREATE ROLE regress_llm_user;
SET ROLE regress_llm_user;
SELECT llm_generate('x', 'llama3');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER llama3 TO regress_llm_user;
SET ROLE regress_llm_user;
SELECT length(llm_generate('x', 'llama3', max_tokens => 4)) > 0 AS allowed;
RESET ROLE;
REVOKE USAGE ON FOREIGN SERVER llama3 FROM regress_llm_user;
DROP ROLE regress_llm_user;

-- a prompt that is too long: an error, or NULL and one warning; the detail form says why in the row
SELECT llm_generate(repeat('word ', 100), 'small');
SELECT value, error, finish_reason, truncated, prompt_tokens, cached_tokens, output_tokens, logprob, model
FROM llm_generate_detail(repeat('word ', 100), 'small');
SET pg_llm.on_error = 'null';
SELECT i, llm_generate(repeat('word ', i), 'small', max_tokens => 2) IS NULL AS none FROM generate_series(1, 121, 40) i;
SELECT count(*) FROM generate_series(1, 3) i WHERE llm_complete(repeat('word ', 100), 'small') IS NULL;
SELECT llm_complete('', 'small', max_tokens => 2) IS NOT NULL AS empty_has_a_first_token;
RESET pg_llm.on_error;

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

DROP FUNCTION fails;
DROP SERVER llama3;
DROP SERVER small;
