-- calls of tools in answers
SELECT i, llm_tool_calls(answer) FROM (VALUES
	(1, '<tool_call>{"name": "weather", "arguments": {"city": "Zürich", "days": [1, 2]}}</tool_call>'),
	(2, '<think>Rain?</think>Let me see. [TOOL_CALLS][{"name": "a", "arguments": {}}, {"name": "b", "arguments": {"x": {"y": null}}}]'),
	(3, '{"name": "weather", "parameters": {"city": "Paris"}}'),
	(4, '<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a":1}'),
	(5, '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>'),
	(6, '<tool_call><function=f><parameter=n>3</parameter></function></tool_call>'),
	(7, '<tool_call>{"name": "weather"}</tool_call>'), (8, 'It rains.'), (9, ''), (10, NULL)) AS v(i, answer) ORDER BY i;
SELECT llm_tool_calls('<tool_call>{"name": "f", "arguments": {"a": "b"}}</tool_call>') #>> '{tool_calls,0,function,arguments}' AS arguments;
-- an answer without calls is as it is without tools
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE SERVER toolman FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', chat_template
	'{% if tools %}Tools: {{ tools | tojson }}{% endif %}{% for m in messages %}{{ m.role }}: {{ m.content }}<|eot_id|>{% endfor %}');
SELECT finish_reason, length(value) > 0 AS text FROM llm_chat('[{"role": "user", "content": "x"}]', '[{"name": "f"}]', 'toolman', 8);
DROP SERVER toolman;
