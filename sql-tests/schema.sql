-- answers with a shape: schema, grammar, regex, choice; llm_schema_accepts
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', kv_type 'f32');
CREATE SERVER mistral FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'mistral', kv_type 'f32');
SET pg_llm.default_model = 'llama3';

-- whatever the model (these have random weights) and the limit, the value fits and ends
CREATE TABLE shapes (id int, schema json);
INSERT INTO shapes VALUES
	(1, '{"type": "object", "properties": {"name": {"type": "string", "maxLength": 10}, "age": {"type": "integer", "minimum": 0, "maximum": 150}}, "required": ["name", "age"]}'),
	(2, '{"type": "array", "items": {"enum": ["rot", "grün", "blau"]}, "uniqueItems": true, "minItems": 2}'),
	(3, '{"oneOf": [{"type": "string", "format": "date"}, {"type": "null"}]}'),
	(4, '{"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/tree"}, "n": {"type": "number", "multipleOf": 0.5}}, "required": ["n"]}}}');
SELECT id, model, max_tokens, llm_schema_accepts(schema, value::json) AS fits
FROM shapes, unnest('{llama3,mistral}'::text[]) model, unnest('{30,60}'::int[]) max_tokens,
	 llm_generate('Who is it?', model, schema => schema, max_tokens => max_tokens, temperature => 1, seed => id) value
ORDER BY id, model, max_tokens;

-- the separators of Python's json.dumps, or none
SELECT llm_generate('x', schema => '{"const": {"a": [1, 2.50], "b": "ü\n"}}') AS spaced,
	   llm_generate('x', schema => '{"const": {"a": [1, 2.50], "b": "ü\n"}}', options => '{"compact": true}') AS compact;
SELECT llm_generate('x', schema => '{"type": "object", "properties": {"b": {"const": 1}, "a": {"const": 2}}, "required": ["a", "b"]}') AS key_order;

-- other shapes
SELECT v IN ('yes', 'no', 'not at all') AS choice FROM llm_generate('x', options => '{"choice": ["yes", "no", "not at all"]}') v;
SELECT v ~ '^[A-C]{2}-\d{3}$' AS regex FROM llm_generate('x', options => '{"regex": "^[A-C]{2}-\\d{3}$"}') v;
SELECT v ~ '^\d+(\+\d+)*$' AS grammar FROM llm_generate('x', max_tokens => 12, options => '{"grammar": "root ::= [0-9]{1,3} (\"+\" [0-9]{1,3}){0,3}"}') v;
SELECT finish_reason, error, value IN ('a', 'b') AS fits FROM llm_generate_detail('x', options => '{"choice": ["a", "b"]}');
SELECT (llm_chat('[{"role": "user", "content": "x"}]', schema => '{"type": "boolean"}')).value IN ('true', 'false') AS chat;

-- a text that is whole may end with a token that has no room for all bytes of its character
SELECT count(v) FROM generate_series(1, 40) n, llm_generate('x', 'mistral', max_tokens => n, options => '{"regex": ".{0,5}"}') v;

-- the same row, the same bytes
SELECT count(DISTINCT v) FROM generate_series(1, 4), llm_generate('x', schema => '{"type": "string", "maxLength": 8}') v;

-- what cannot be done says so before the model runs
SELECT s, f.* FROM unnest(ARRAY[
	$$SELECT llm_generate('x', schema => '{"items": {"not": {}}}')$$,
	$$SELECT llm_generate('x', schema => '{"uniqueItems": true}')$$,
	$$SELECT llm_generate('x', schema => '{"type": "strin"}')$$,
	$$SELECT llm_generate('x', schema => 'false')$$,
	$$SELECT llm_generate('x', schema => '{"type": "string", "minLength": 100}', max_tokens => 5)$$,
	$$SELECT llm_generate('x', schema => '{"pattern": "(a)\\1"}')$$,
	$$SELECT llm_generate('x', options => '{"regex": "(?=a)"}')$$,
	$$SELECT llm_generate('x', options => '{"regex": "^(a|b)*a(a|b){24}$"}')$$,
	$$SELECT llm_generate('x', options => '{"grammar": "root ::= root \"a\""}')$$,
	$$SELECT llm_generate('x', options => '{"choice": []}')$$,
	$$SELECT llm_generate('x', options => '{"choice": [1]}')$$,
	$$SELECT llm_generate('x', options => '{"choice": ["a"], "regex": "a"}')$$,
	$$SELECT llm_generate('x', schema => '{}', options => '{"regex": "a"}')$$]) s, fails(s) f;

SELECT llm_schema_accepts('{"type": "integer"}', '3.0'), llm_schema_accepts('{"type": "integer"}', '3.5'),
	   llm_schema_accepts(NULL, '1') IS NULL AS null_schema, llm_schema_accepts('false', '1') AS nothing;

-- of equal keys the last counts, and they are one property
SELECT llm_schema_accepts('{"properties": {"a": {"type": "string"}}}', '{"a": 1, "a": "x"}') AS last_fits,
	   llm_schema_accepts('{"properties": {"a": {"type": "string"}}}', '{"a": "x", "a": 1}') AS first_fits,
	   llm_schema_accepts('{"minProperties": 2}', '{"a": 1, "a": 2}') AS two;

-- what compiling needs counts as the session's memory
SET pg_llm.memory_limit = '10MB';
SELECT * FROM fails($$SELECT llm_schema_accepts('{"maxLength": 1000, "pattern": "a"}', '1')$$);
RESET pg_llm.memory_limit;

-- large lengths
SELECT llm_schema_accepts('{"maxLength": 20000}', to_json(repeat('é', 20000))), llm_schema_accepts('{"maxLength": 20000}', to_json(repeat('é', 20001)));

DROP TABLE shapes;
DROP SERVER llama3;
DROP SERVER mistral;
