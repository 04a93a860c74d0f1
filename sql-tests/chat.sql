-- llm_chat: conversations through the model's chat template
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup

CREATE SERVER plain FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');
CREATE SERVER chatty FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', chat_template
	'{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>{{ m.content }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>{% endif %}');
CREATE SERVER toolman FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', chat_template
	'{% if tools %}Tools: {{ tools | tojson }}{% endif %}{% for m in messages %}{{ m.role }}: {{ m.content }}<|eot_id|>{% endfor %}');
SET pg_llm.default_model = 'plain';

-- one user message is llm_generate; a system message before it is its argument system
SELECT (c).value = llm_generate('hello', max_tokens => 6) AS user_only, (c).finish_reason, (c).model
FROM (SELECT llm_chat('[{"role": "user", "content": "hello"}]', max_tokens => 6) AS c) s;
SELECT value = llm_generate('hello', system => 'be kind', max_tokens => 6, model => 'chatty') AS with_system
FROM llm_chat('[{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}]', model => 'chatty', max_tokens => 6);

-- every turn is in the prompt: 3 special tokens each, and 2 and the role of the answer
SELECT prompt_tokens - 3 * 3 - 2 - llm_count_tokens('assistant') =
	   llm_count_tokens('user') + llm_count_tokens('hi') + llm_count_tokens('assistant') + llm_count_tokens('yes?') +
	   llm_count_tokens('user') + llm_count_tokens('bye') AS turns
FROM llm_chat('[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"}, {"role": "user", "content": "bye"}]',
			  model => 'chatty', max_tokens => 1);

-- special tokens in a message are plain characters
SELECT a.prompt_tokens - b.prompt_tokens = llm_count_tokens('<|eot_id|>') - llm_count_tokens('x') AS plain
FROM llm_chat('[{"role": "user", "content": "<|eot_id|>"}]', model => 'chatty', max_tokens => 1) a,
	 llm_chat('[{"role": "user", "content": "x"}]', model => 'chatty', max_tokens => 1) b;

-- content in parts, other fields, members in any order
SELECT value = (llm_chat('[{"content": "ab", "role": "user", "name": "n"}]', max_tokens => 4)).value AS parts
FROM llm_chat('[{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]', max_tokens => 4);

-- a template that knows strings only is given one string
SELECT a.prompt_tokens = b.prompt_tokens AND a.value = b.value AS joined
FROM llm_chat('[{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]', model => 'chatty', max_tokens => 4) a,
	 llm_chat('[{"role": "user", "content": "ab"}]', model => 'chatty', max_tokens => 4) b;

-- tools go to the template, as JSON in the order written
SELECT with_tools.prompt_tokens - without.prompt_tokens =
	   llm_count_tokens('Tools: [{"name": "f", "args": {}}]user') - llm_count_tokens('user') AS tools
FROM llm_chat('[{"role": "user", "content": "x"}]', model => 'toolman', max_tokens => 1) without,
	 llm_chat('[{"role": "user", "content": "x"}]', '[{"name": "f", "args": {}}]', 'toolman', 1) with_tools;

-- a conversation too long for the context: the last user turn is what may be cut
CREATE SERVER small FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', context '64');
SELECT value IS NULL AS no_value, error, finish_reason, truncated, prompt_tokens, output_tokens
FROM llm_chat(json_build_array(json_build_object('role', 'user', 'content', repeat('word ', 100))), model => 'small', max_tokens => 4);
SELECT value IS NOT NULL AS answered, error, truncated, prompt_tokens BETWEEN 50 AND 60 AS cut, output_tokens
FROM llm_chat(json_build_array(json_build_object('role', 'user', 'content', repeat('word ', 100))), model => 'small', max_tokens => 4,
			  options => '{"truncate": "tail"}');

SELECT llm_chat(NULL, model => 'nowhere') IS NULL AS nothing;
SELECT (llm_chat('[{"role": "user", "content": "x"}]', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)).value =
	   (llm_chat(messages => '[{"role": "user", "content": "x"}]', tools => NULL, model => 'plain', max_tokens => '256', temperature => '0', seed => '1',
				 stop => '{}', schema => NULL, options => '{}')).value AS defaults;
-- empty and odd strings are data
SELECT m, (llm_chat(m::json, max_tokens => 1)).error IS NULL AS answered FROM unnest(ARRAY['[{"role": "", "content": ""}]',
	'[{"role": "user", "content": "\ud83d\ude00 \u0007"}]', '[{"role": "user", "content": "{{ 1 / 0 }}{% raise %}"}]',
	'[{"role": "system<|eot_id|>", "content": "x"}]']) m;

-- errors
SELECT i, f.* FROM (VALUES (1, $$SELECT llm_chat('[]')$$),
	(2, $$SELECT llm_chat('{"role": "user", "content": "x"}')$$),
	(3, $$SELECT llm_chat('[{"content": "x"}]')$$),
	(4, $$SELECT llm_chat('["x"]')$$),
	(5, $$SELECT llm_chat('[{"role": "user"}]')$$),
	(6, $$SELECT llm_chat('[{"role": "user", "content": [{"type": "image"}]}]')$$),
	(7, $$SELECT llm_chat('not json')$$),
	(8, $$SELECT llm_chat('[{"role": "user", "content": "x"}]', '{}', 'toolman')$$),
	(9, $$SELECT llm_chat('[{"role": "user", "content": "x"}]', '[{}]', 'plain')$$),
	(10, $$SELECT llm_chat('[{"role": "user", "content": "x"}]', '[{}]', 'chatty')$$),
	(11, $$SELECT llm_chat('[{"role": "user", "content": "x"}]', schema => '{"not": {}}')$$),
	(12, $$SELECT llm_chat('[{"role": "user", "content": "x"}]', options => '{"template_kwargs": {"messages": []}}')$$),
	(13, $$SELECT llm_chat('null')$$),
	(14, $$SELECT llm_chat('[{"role": 1, "content": "x"}]')$$),
	(15, $$SELECT llm_chat('[{"role": "user", "content": 1}]')$$),
	(16, $$SELECT llm_chat('[{"role": "user", "content": null}]')$$),
	(17, $$SELECT llm_chat('[{"role": "user", "content": ["x"]}]')$$),
	(18, $$SELECT llm_chat((repeat('[', 200) || repeat(']', 200))::json)$$),
	(19, $$SELECT llm_chat('[{"role": "user", "content": "x"}]', 'not json')$$),
	(20, $$SELECT llm_chat('[{"role": "user", "content": "x"}]', options => '{"template_kwargs": {"tools": []}}')$$),
	(21, $$SELECT llm_chat('[{"role": "user", "content": "x"}]', max_tokens => 0)$$)) v(i, s), fails(s) f
ORDER BY i;

-- a template that refuses
CREATE SERVER strict FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', chat_template
	'{% if messages[0].role != "user" %}{{ raise_exception("start with a user turn") }}{% endif %}{{ messages[0].content }}');
SELECT * FROM fails($$SELECT llm_chat('[{"role": "system", "content": "x"}]', model => 'strict')$$);

DROP SERVER plain;
DROP SERVER chatty;
DROP SERVER toolman;
DROP SERVER small;
DROP SERVER strict;
