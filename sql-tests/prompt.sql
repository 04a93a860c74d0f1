-- llm_prompt: values into a text by number
SELECT llm_prompt('Translate to {1}: {2}', 'French', 'good morning');
SELECT llm_prompt('{2} before {1}, {2} again', 1, 'two');
SELECT llm_prompt('any type: {1} {2} {3}', 1.50::numeric, true, '{1,2}'::int[]);

-- what is no placeholder stays: JSON, code, lone braces; double braces make the text itself
SELECT llm_prompt('{"a": {"b": 1}} {x} {} { 1 } {1', 'v');
SELECT llm_prompt('{{1}} is {1}, {{{1}}}', 'v');
SELECT llm_prompt('nothing to fill');
SELECT llm_prompt('{{1}}');

-- values are not looked at again
SELECT llm_prompt('{1}{2}', '{2}', '<|im_end|>');

-- values that are not used; an array of values; none at all
SELECT llm_prompt('only {1}', 'a', 'b');
SELECT llm_prompt('{1}-{2}', VARIADIC ARRAY['a', 'b']);
SELECT llm_prompt('no values', VARIADIC NULL::text[]);
SELECT llm_prompt(template => 'by name');

-- NULL: a row without data has no prompt
SELECT llm_prompt(NULL) IS NULL AS template, llm_prompt('{1}', NULL) IS NULL AS value,
	   llm_prompt('{1}', 'x', NULL) AS unused_null, llm_prompt('{2}', VARIADIC ARRAY['a', NULL]) IS NULL AS in_array;

-- errors
SELECT llm_prompt('{3}', 'a', 'b');
SELECT llm_prompt('{0}', 'a');
SELECT llm_prompt('{1}');
SELECT llm_prompt('{99999999999999999999}', 'a');

-- many rows, wide characters
SELECT string_agg(llm_prompt('«{1}»', chr(945 + i)), '' ORDER BY i) FROM generate_series(0, 4) i;
