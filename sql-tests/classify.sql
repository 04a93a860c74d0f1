-- llm_classify and its kin: answers from probabilities
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup

CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');
SET pg_llm.default_model = 'llama3';
CREATE TABLE texts AS SELECT i, 'text ' || i || ' of some length' AS t FROM generate_series(1, 12) i;

-- probabilities sum to 1, and the likeliest is the answer
SELECT i, round(sum(probability)::numeric, 9) AS sum, min(probability) > 0 AS positive,
	   (array_agg(label ORDER BY probability DESC))[1] = llm_classify(t, '{red,green,blue}') AS best
FROM texts, llm_classify_probs(t, '{red,green,blue}') GROUP BY i, t ORDER BY i LIMIT 3;
SELECT array_agg(DISTINCT llm_classify(t, '{positive,negative}')) AS texts_differ FROM texts;

-- the default instruction, written out; labels in the order given
SELECT a.label, a.probability = b.probability AS same
FROM llm_classify_probs('x', '{red,green,blue}') a
JOIN llm_classify_probs('x', '{red,green,blue}', instruction => 'Classify each text as one of: red, green, blue.') b USING (label);

-- labels that begin alike, or look like something else: each is scored to its own end, and is data
SELECT label, round(sum(probability) OVER ()::numeric, 9) AS sum, probability > 0 AS positive
FROM llm_classify_probs('x', ARRAY['a', 'ab', 'a b', ' a', E'a\nb', 'A', '<|eot_id|>', '{{ x }}']);
SELECT count(*), round(sum(probability)::numeric, 9) AS sum
FROM llm_classify_probs('x', (SELECT array_agg('label ' || i) FROM generate_series(1, 100) i), instruction => 'Which?');

-- the order of labels does not matter with a given instruction
SELECT bool_and(abs(a.probability - b.probability) < 1e-12) AS same
FROM llm_classify_probs('x', '{red,green,blue}', instruction => 'Which?') a
JOIN llm_classify_probs('x', '{blue,red,green}', instruction => 'Which?') b USING (label);

-- descriptions are lines after the instruction; examples change the prompt
SELECT bool_and(a.probability = b.probability) AS descriptions
FROM llm_classify_probs('x', '{red,green}', instruction => 'Which?', descriptions => '{"green": "like grass", "red": "like fire"}') a
JOIN llm_classify_probs('x', '{red,green}', instruction => E'Which?\nred: like fire\ngreen: like grass') b USING (label);
SELECT bool_and(a.probability <> b.probability) AS examples_matter
FROM llm_classify_probs('x', '{red,green}', examples => '[{"input": "fire", "label": "red"}, {"input": "grass", "label": "green"}]') a
JOIN llm_classify_probs('x', '{red,green}') b USING (label);

-- the plain form is a text that goes on: chain rule over a label's tokens, from the log probabilities of llm_generate_detail
CREATE FUNCTION next_logprob(prompt text, id int) RETURNS float8 LANGUAGE sql AS $$
	SELECT logprob FROM llm_generate_detail('', 'raw', max_tokens => 1,
		options => jsonb_build_object('answer_prefix', prompt, 'logit_bias', jsonb_build_object(id::text, 1000)))
$$;
CREATE SERVER raw FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', chat_template '<|begin_of_text|>');
WITH asked AS (SELECT E'Which?\n\nText: x\nLabel:' AS header),
	 scored AS (
		SELECT label, header, llm_tokenize(header || ' ' || label || E'\n') AS ids, llm_tokenize(header) AS head
		FROM asked, unnest('{red,green,re,"red green"}'::text[]) label),
	 by_hand AS (
		SELECT label, sum(next_logprob(llm_detokenize(ids[1:n - 1]), ids[n])) AS score
		FROM scored, generate_series(cardinality(head) + 1, cardinality(ids)) n GROUP BY label)
SELECT label, abs(probability - exp(score) / sum(exp(score)) OVER ()) < 1e-4 AS same
FROM by_hand JOIN llm_classify_probs('x', '{red,green,re,"red green"}', instruction => 'Which?') USING (label) ORDER BY label COLLATE "C";

-- calibration: over the inputs '', 'N/A', '[MASK]', and given from outside
WITH plain AS (SELECT label, probability FROM llm_classify_probs('x', '{red,green,blue}')),
	 free AS (SELECT label, avg(ln(probability)) AS mean
			  FROM unnest('{"",N/A,[MASK]}'::text[]) input, llm_classify_probs(input, '{red,green,blue}') GROUP BY label),
	 by_hand AS (SELECT label, exp(ln(probability) - mean) / sum(exp(ln(probability) - mean)) OVER () AS p FROM plain JOIN free USING (label)),
	 given AS (SELECT jsonb_build_object('calibration', jsonb_object_agg(label, mean)) AS o FROM free)
SELECT label, abs(c.probability - p) < 1e-9 AS measured, abs(g.probability - p) < 1e-9 AS given
FROM by_hand JOIN llm_classify_probs('x', '{red,green,blue}', options => '{"calibrate": true}') c USING (label)
JOIN (SELECT g.* FROM given, llm_classify_probs('x', '{red,green,blue}', options => o) g) g USING (label) ORDER BY label;
SELECT bool_and(llm_classify(t, '{red,green,blue}', options => '{"calibrate": true}') =
	(SELECT label FROM llm_classify_probs(t, '{red,green,blue}', options => '{"calibrate": true}') ORDER BY probability DESC LIMIT 1)) AS rows
FROM texts;

-- one call site whose labels and options change from row to row: each row as if asked alone
WITH asked AS (SELECT t, CASE i % 3 WHEN 0 THEN '{red,green}'::text[] ELSE '{red,green,blue}' END AS labels,
	jsonb_build_object('calibrate', i % 2 = 0) AS o FROM texts),
	 together AS (SELECT t, o, label, probability FROM asked, llm_classify_probs(t, labels, options => o))
SELECT count(*), bool_and(probability = CASE WHEN o = '{"calibrate": true}'
	THEN (SELECT a.probability FROM llm_classify_probs(t, CASE WHEN n = 2 THEN '{red,green}'::text[] ELSE '{red,green,blue}' END, options => '{"calibrate": true}') a WHERE a.label = w.label)
	ELSE (SELECT a.probability FROM llm_classify_probs(t, CASE WHEN n = 2 THEN '{red,green}'::text[] ELSE '{red,green,blue}' END) a WHERE a.label = w.label) END) AS same
FROM (SELECT *, count(*) OVER (PARTITION BY t) AS n FROM together) w;

-- variants: other words that count for a label
SELECT abs(v.probability - sum(s.probability)) < 1e-9 AS added
FROM llm_classify_probs('x', '{red,green}', instruction => 'Which?', options => '{"variants": {"red": ["crimson", "scarlet"]}}') v,
	 llm_classify_probs('x', '{red,green,crimson,scarlet}', instruction => 'Which?') s
WHERE v.label = 'red' AND s.label <> 'green' GROUP BY v.probability;

-- min_confidence
SELECT llm_classify('x', '{red,green}', min_confidence => 1) IS NULL AS never, llm_classify('x', '{red,green}', min_confidence => 0) IS NOT NULL AS always;
SELECT bool_and((llm_classify(t, '{red,green}', min_confidence => 0.8) IS NULL) =
	((SELECT max(probability) FROM llm_classify_probs(t, '{red,green}')) < 0.8)) AS by_probability FROM texts;

-- the chat form asks through the template; a label ends by the end of the turn
CREATE SERVER chatty FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', chat_template
	'{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>{{ m.content }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>{% endif %}');
SELECT label, round(sum(probability) OVER ()::numeric, 9) AS sum
FROM llm_classify_probs('x', '{red,green}', 'chatty', options => '{"form": "chat"}');
SELECT llm_classify('x', '{red,green}', 'chatty') = llm_classify('x', '{red,green}', 'llama3') AS small_models_are_asked_plainly,
	   llm_classify('x', '{red,green}', 'chatty', options => '{"form": "chat", "answer_prefix": "It is ", "calibrate": false}') IS NOT NULL AS prefixed;

-- with the chat form it is calibrated unless one says no; without template there is none
SELECT bool_and(a.probability = b.probability) AS calibrated, bool_or(a.probability <> c.probability) AS not_calibrated
FROM llm_classify_probs('x', '{red,green}', 'chatty', options => '{"form": "chat"}') a
JOIN llm_classify_probs('x', '{red,green}', 'chatty', options => '{"form": "chat", "calibrate": true}') b USING (label)
JOIN llm_classify_probs('x', '{red,green}', 'chatty', options => '{"form": "chat", "calibrate": false}') c USING (label);
SELECT * FROM fails($$SELECT llm_classify('x', '{red,green}', 'llama3', options => '{"form": "chat"}')$$);

-- yes or no
SELECT bool_and(llm_filter(t, 'it is short') = (llm_score(t, 'it is short') >= 0.5)) AS filter,
	   bool_and(llm_filter(t, 'it is short', threshold => 0)) AS always, bool_or(llm_filter(t, 'it is short', threshold => 1)) AS never,
	   bool_and(llm_score(t, 'it is short') BETWEEN 0 AND 1) AS score
FROM texts;
SELECT llm_score('x', 'it is short', examples => '[{"input": "abc", "label": true}, {"input": "abcdefgh", "label": false}]') =
	   llm_score('x', 'it is short', examples => '[{"input": "abc", "label": "yes"}, {"input": "abcdefgh", "label": "no"}]') AS examples;
WITH scored AS (SELECT t, llm_score(t, 'it is short') AS s FROM texts),
	 middle AS (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY s) AS p FROM scored)
SELECT count(*) FILTER (WHERE s >= p) = (SELECT count(*) FROM texts, middle WHERE llm_filter(t, 'it is short', threshold => p)) AS same,
	   count(*) FILTER (WHERE s >= p) BETWEEN 1 AND 11 AS some FROM scored, middle;
SELECT bool_and(s >= next) AS in_order FROM (SELECT s, lead(s) OVER () AS next FROM
	(SELECT llm_score(t, 'it is short') AS s FROM texts ORDER BY llm_score(t, 'it is short') DESC) o) q;
SELECT llm_filter('x', 'it is short') = (llm_classify('x', '{yes,no}', instruction => E'Is this true of each text? Answer yes or no.\nCondition: it is short') = 'yes') AS like_classify_but_for_the_word_answer;

-- several labels
SELECT llm_classify_multi('x', '{price,delivery,quality}', threshold => 0) AS all_labels, llm_classify_multi('x', '{price,delivery,quality}', threshold => 1) AS none;
SELECT bool_and(llm_classify_multi(t, '{price,delivery}') <@ '{price,delivery}') AS subset,
	   bool_and(llm_classify_multi(t, '{price}') || llm_classify_multi(t, '{delivery}') = llm_classify_multi(t, '{price,delivery}')) AS each_by_itself
FROM texts;
SELECT llm_classify_multi('x', '{price,delivery}', instruction => 'About a shop.', descriptions => '{"price": "too high"}',
	examples => '[{"input": "a", "labels": ["price"]}, {"input": "b", "labels": []}]') IS NOT NULL AS examples;

-- enums: labels in the order of the type
CREATE TYPE colour AS ENUM ('red', 'blue');
ALTER TYPE colour ADD VALUE 'green' BEFORE 'blue';
SELECT bool_and(llm_classify_enum(t, NULL::colour)::text = llm_classify(t, '{red,green,blue}')) AS same,
	   pg_typeof(min(llm_classify_enum(t, NULL::colour))) FROM texts;
SELECT llm_classify_enum('x', 'blue'::colour) = llm_classify_enum('x', NULL::colour) AS value_does_not_matter;
CREATE DOMAIN dull AS colour CHECK (value <> 'blue');
CREATE TYPE single AS ENUM ('only');
SELECT s, f.* FROM unnest('{"NULL",1,NULL::text,NULL::dull,NULL::single,NULL::colour[]}'::text[]) s, fails('SELECT llm_classify_enum(''x'', ' || s || ')') f;
CREATE TABLE things (t text, c colour);
INSERT INTO things SELECT t FROM texts;
UPDATE things SET c = llm_classify_enum(t, c);
SELECT count(c) FROM things;

-- NULL, empty, hostile
SELECT llm_classify(NULL, '{a,b}', 'nowhere') IS NULL AS classify, llm_filter(NULL, 'c', 'nowhere') IS NULL AS filter,
	   llm_filter('x', NULL, 'nowhere') IS NULL AS condition, llm_score(NULL, 'c', 'nowhere') IS NULL AS score,
	   llm_classify_multi(NULL, '{a,b}', 'nowhere') IS NULL AS multi, llm_classify_enum(NULL, NULL::colour, 'nowhere') IS NULL AS enum,
	   (SELECT count(*) FROM llm_classify_probs(NULL, '{a,b}', 'nowhere')) AS probs;
SELECT bool_and(a.probability = b.probability) AS defaults
FROM llm_classify_probs('x', '{red,green}', NULL, NULL, NULL, NULL, NULL) a JOIN llm_classify_probs('x', '{red,green}') b USING (label);
SELECT llm_classify('x', '{red,green}', NULL, NULL, NULL, NULL, NULL, NULL) = llm_classify('x', '{red,green}') AS classify,
	   llm_classify_enum('x', NULL::colour, NULL, NULL, NULL, NULL, NULL, NULL) = llm_classify_enum('x', NULL::colour) AS enum,
	   llm_classify_multi('x', '{red,green}', NULL, NULL, NULL, NULL, NULL, NULL) = llm_classify_multi('x', '{red,green}') AS multi,
	   llm_filter('x', 'c', NULL, NULL, NULL, NULL) = llm_filter('x', 'c') AS filter, llm_score('x', 'c', NULL, NULL, NULL) = llm_score('x', 'c') AS score,
	   llm_score('x', 'c', examples => '[]', options => '{}') = llm_score('x', 'c') AS nothing_given;
SELECT llm_classify('x', '{red,green}', instruction => '') IN ('red', 'green') AS instruction, llm_filter('', '') IS NOT NULL AS filter,
	   llm_score('', '') BETWEEN 0 AND 1 AS score, llm_classify_multi('', '{a}', threshold => 0) AS multi;
SELECT llm_classify('', '{red,green}') IN ('red', 'green') AS empty, llm_classify('<|eot_id|>{{ x }}{% if', '{red,green}') IS NOT NULL AS hostile;
SELECT llm_classify('x', labels => '{red,green}', model => 'llama3') = llm_classify(input => 'x', labels => ARRAY['red', 'green']) AS by_name,
	   llm_filter(input => 'x', condition => 'c', model => 'llama3', threshold => '0.5', examples => NULL, options => '{}') = llm_filter('x', 'c') AS filter,
	   llm_score(input => 'x', criterion => 'c', model => 'llama3', examples => NULL, options => '{}') = llm_score('x', 'c') AS score,
	   llm_classify_multi(input => 'x', labels => '{a,b}', model => 'llama3', threshold => 0.5, instruction => NULL, descriptions => NULL, examples => NULL,
						  options => NULL) = llm_classify_multi('x', '{a,b}') AS multi,
	   llm_classify_enum(input => 'x', kind => NULL::colour, model => 'llama3', instruction => 'Which?', descriptions => '{}', examples => '[]', min_confidence => 0,
						 options => '{}') = llm_classify_enum('x', NULL::colour, instruction => 'Which?') AS enum;
-- arguments that differ from row to row
SELECT bool_and(llm_classify(t, ARRAY[i::text, 'green'], instruction => 'No. ' || i) =
	(SELECT label FROM llm_classify_probs(t, ARRAY[i::text, 'green'], instruction => 'No. ' || i) ORDER BY probability DESC LIMIT 1)) AS rows FROM texts;

-- EXPLAIN runs nothing and needs no model (more in explain.sql)
EXPLAIN (COSTS OFF) SELECT llm_classify('x', '{a,b}', 'nowhere') FROM texts WHERE llm_filter('x', 'c', 'nowhere');

-- errors
SELECT i, f.* FROM (VALUES (1, $$SELECT llm_classify('x', '{}')$$),
	(2, $$SELECT llm_classify('x', '{a}')$$),
	(3, $$SELECT llm_classify('x', NULL)$$),
	(4, $$SELECT llm_classify('x', '{a,NULL}')$$),
	(5, $$SELECT llm_classify('x', '{a,b,a}')$$),
	(6, $$SELECT llm_classify('x', '{a," "}')$$),
	(7, $$SELECT llm_classify('x', '{{a,b},{c,d}}')$$),
	(8, $$SELECT llm_classify('x', '{a,b}', 'nowhere')$$),
	(9, $$SELECT llm_classify('x', '{a,b}', min_confidence => 1.5)$$),
	(10, $$SELECT llm_classify('x', '{a,b}', min_confidence => 'NaN')$$),
	(11, $$SELECT llm_classify('x', '{a,b}', descriptions => '{"c": "d"}')$$),
	(12, $$SELECT llm_classify('x', '{a,b}', descriptions => '["a"]')$$),
	(13, $$SELECT llm_classify('x', '{a,b}', descriptions => '{"a": 1}')$$),
	(14, $$SELECT llm_classify('x', '{a,b}', examples => '[{"input": "y", "label": "c"}]')$$),
	(15, $$SELECT llm_classify('x', '{a,b}', examples => '[{"input": "y"}]')$$),
	(16, $$SELECT llm_classify('x', '{a,b}', examples => '{}')$$),
	(17, $$SELECT llm_classify('x', '{a,b}', examples => '["y"]')$$),
	(18, $$SELECT llm_classify('x', '{a,b}', examples => '[{"input": 1, "label": "a"}]')$$),
	(19, $$SELECT llm_classify('x', '{a,b}', options => '{"temperature": 1}')$$),
	(20, $$SELECT llm_classify('x', '{a,b}', options => '{"form": "loud"}')$$),
	(21, $$SELECT llm_classify('x', '{a,b}', options => '{"form": "chat"}')$$),
	(22, $$SELECT llm_classify('x', '{a,b}', options => '{"answer_prefix": "It is"}')$$),
	(23, $$SELECT llm_classify('x', '{a,b}', options => '{"calibration": {"a": -1}}')$$),
	(24, $$SELECT llm_classify('x', '{a,b}', options => '{"calibration": {"a": -1, "b": -2}, "calibrate": true}')$$),
	(25, $$SELECT llm_classify('x', '{a,b}', options => '{"calibrate": 1}')$$),
	(26, $$SELECT llm_classify('x', '{a,b}', options => '{"variants": {"c": ["d"]}}')$$),
	(27, $$SELECT llm_classify('x', '{a,b}', options => '{"variants": {"a": ["b"]}}')$$),
	(28, $$SELECT llm_classify('x', '{a,b}', options => '{"variants": {"a": "b"}}')$$),
	(29, $$SELECT llm_classify('x', '{a,b}', options => '[]')$$),
	(30, $$SELECT llm_filter('x', 'c', threshold => -0.1)$$),
	(31, $$SELECT llm_filter('x', 'c', examples => '[{"input": "y", "label": "maybe"}]')$$),
	(32, $$SELECT llm_classify_multi('x', '{}')$$),
	(33, $$SELECT llm_classify_multi('x', '{a}', examples => '[{"input": "y", "labels": "a"}]')$$),
	(34, $$SELECT llm_filter('x', 'c', threshold => 'Infinity')$$),
	(35, $$SELECT llm_classify_multi('x', '{a}', threshold => 'NaN')$$),
	(36, $$SELECT llm_classify_probs('x', '{a}')$$),
	(37, $$SELECT llm_classify('x', '{a,b}', options => '{"calibration": {}}')$$),
	(38, $$SELECT llm_classify('x', '{a,b}', options => '{"calibration": {"a": -1, "b": "x"}}')$$),
	(39, $$SELECT llm_classify('x', '{a,b}', options => '{"variants": {"a": ["c", {"d": 1}]}}')$$),
	(40, $$SELECT llm_classify('x', '{a,b}', options => '{"variants": {"a": [""]}}')$$),
	(41, $$SELECT llm_classify('x', '{a,b}', examples => '[{"input": "y", "label": 1}]')$$),
	(42, $$SELECT llm_classify('x', '{a,b}', examples => '{')$$),
	(43, $$SELECT llm_classify_multi('x', NULL)$$),
	(44, $$SELECT llm_classify_multi('x', '{a}', examples => '[{"input": "y", "labels": ["b"]}]')$$),
	(45, $$SELECT llm_score('x', 'c', examples => '[{"input": "y", "label": null}]')$$),
	(46, $$SELECT llm_score('x', 'c', options => '{"threshold": 1}')$$)) v(i, s), fails(s) f
ORDER BY i;

-- a text longer than the context
CREATE SERVER small FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', context '64');
SELECT llm_classify(repeat('word ', 100), '{a,b}', 'small');
SELECT llm_classify(repeat('word ', 100), '{a,b}', 'small', options => '{"truncate": "middle"}') IN ('a', 'b') AS cut;
SELECT llm_classify('x', '{a,b}', 'small', instruction => repeat('word ', 100), options => '{"truncate": "tail"}');
SET pg_llm.on_error = 'null';
SELECT i, llm_classify(repeat('word ', i), '{a,b}', 'small') IS NULL AS none FROM generate_series(1, 61, 30) i;
SELECT llm_classify_multi(repeat('word ', 100), '{a,b}', 'small') IS NULL AS multi;
SELECT count(*) FROM llm_classify_probs(repeat('word ', 100), '{a,b}', 'small');
RESET pg_llm.on_error;

DROP FUNCTION next_logprob;
DROP TABLE things, texts;
DROP DOMAIN dull;
DROP TYPE colour, single;
DROP SERVER llama3;
DROP SERVER raw;
DROP SERVER chatty;
DROP SERVER small;
