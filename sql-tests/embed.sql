-- llm_embed and its kin: texts as vectors
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE SERVER bert FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'bert');
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');
CREATE SERVER reranker FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'qwen3_reranker');
SET pg_llm.default_embedding_model = 'bert';
SET pg_llm.default_model = 'llama3';
SELECT name, llm_model_info(name) ->> 'kind' AS kind FROM llm_models ORDER BY name;

-- largest difference of two vectors
CREATE FUNCTION difference(a real[], b real[]) RETURNS real LANGUAGE sql AS $$
	SELECT CASE WHEN cardinality(a) = cardinality(b) THEN max(abs(x - y)) END FROM unnest(a, b) u(x, y)
$$;

-- as the reference has them
\set bert_json :models '/bert.json'
CREATE TABLE reference AS
	SELECT no, p ->> 'text' AS t, ARRAY(SELECT jsonb_array_elements_text(p -> 'embedding')::real) AS raw,
		   ARRAY(SELECT jsonb_array_elements_text(p -> 'embedding_normalised')::real) AS unit
	FROM jsonb_array_elements(pg_read_file(:'bert_json')::jsonb -> 'prompts') WITH ORDINALITY j(p, no);
SELECT no, cardinality(llm_embed(t)) AS n, difference(llm_embed(t), unit) < 1e-4 AS unit,
	   difference(llm_embed(t, unit_length => false), raw) < 2e-3 AS raw FROM reference ORDER BY no;
SELECT a.no, b.no, abs(llm_similarity(a.t, b.t) - llm_cosine(a.unit, b.unit)) < 1e-4 AS similarity
FROM reference a JOIN reference b ON a.no < b.no ORDER BY 1, 2;

-- shorter vectors are the first numbers, made to length 1 anew
SELECT cardinality(d) AS n, round(llm_cosine(d, w[1:10])::numeric, 6) AS same_direction, round((SELECT sum(x * x) FROM unnest(d) x)::numeric, 5) AS length
FROM (SELECT llm_embed('A cat', dimensions => 10) AS d, llm_embed('A cat') AS w) s;
SELECT llm_embed('A cat', dimensions => 10, unit_length => false) = (llm_embed('A cat', unit_length => false))[1:10] AS cut_only,
	   llm_embed('A cat', dimensions => 64) = llm_embed('A cat') AS whole;

-- what has no length has no angle
SELECT llm_cosine('{0,0}', '{1,0}') AS zero, llm_cosine('{Infinity,0}', '{1,0}') AS infinite, llm_cosine('{NaN,1}', '{1,0}') AS nan, llm_cosine('{3e38,0}', '{1e-45,0}') AS large;

-- many together are as each alone, in order; equal ones too; NULL stays
SELECT no, embedding = llm_embed(t) AS same
FROM (SELECT array_agg(t) AS texts FROM (SELECT t FROM reference ORDER BY no) s) a, llm_embed_many(texts) m, unnest(texts) WITH ORDINALITY u(t, k)
WHERE no = k ORDER BY no;
SELECT no, embedding IS NULL AS null, embedding = llm_embed('x') AS x FROM llm_embed_many('{x,NULL,longer,x,""}') ORDER BY no;
SELECT count(*), bool_and(embedding = llm_embed('text ' || (no * 7919) % 400, dimensions => 5)) AS same
FROM llm_embed_many((SELECT array_agg('text ' || (i * 7919) % 400 ORDER BY i) FROM generate_series(1, 1000) i), dimensions => 5);
SELECT * FROM llm_embed_many('{}');
SELECT * FROM llm_embed_many(NULL, 'nowhere');

-- what is put before a text: by the call, by the model's owner, for a task
ALTER SERVER bert OPTIONS (ADD query_prefix 'query: ', ADD document_prefix '');
SELECT llm_embed('A cat', task => 'query') = llm_embed('query: A cat') AS query,
	   llm_embed('A cat', task => 'query', options => '{"prefix": ""}') = llm_embed('A cat') AS no_prefix,
	   llm_embed('A cat', options => '{"prefix": "passage: "}') = llm_embed('passage: A cat') AS prefix,
	   llm_similarity('A cat', 'A cat') AS same;
SELECT (SELECT embedding FROM llm_embed_many('{A cat}', task => 'query')) = llm_embed('A cat', task => 'query') AS many;
ALTER SERVER bert OPTIONS (DROP query_prefix, DROP document_prefix);

-- text is data: what looks like a special token is characters; an empty text has the vector of the special tokens around it
SELECT llm_embed('[SEP]') <> llm_embed('') AS plain, cardinality(llm_embed('')) AS empty;
-- NULL, defaults, names, EXPLAIN
SELECT llm_embed(NULL, 'nowhere') IS NULL AS embed, llm_similarity(NULL, 'x', 'nowhere') IS NULL AS a, llm_similarity('x', NULL, 'nowhere') IS NULL AS b,
	   llm_embed('x', NULL, NULL, NULL, NULL, NULL) = llm_embed(input => 'x', model => 'bert', task => 'document', unit_length => true) AS defaults;
EXPLAIN (COSTS OFF) SELECT llm_embed('x', 'nowhere'), llm_similarity('x', 'y', 'nowhere');

-- longer than the context
ALTER SERVER bert OPTIONS (ADD context '16');
SELECT f.* FROM fails($$SELECT llm_embed(repeat('the cat ', 100))$$) f;
SET pg_llm.on_error = 'null';
SELECT no, embedding IS NULL AS null FROM llm_embed_many(ARRAY['short', repeat('the cat ', 100), 'short', repeat('the cat ', 100)]);
SELECT llm_embed(repeat('the cat ', 100)), llm_similarity('x', repeat('the cat ', 100));
RESET pg_llm.on_error;
SET pg_llm.truncate = 'tail';
SELECT llm_embed(repeat('the cat ', 100)) = llm_embed(repeat('the cat ', 200)) AS tail;
SELECT llm_embed(repeat('the cat ', 100) || 'ends') <> llm_embed(repeat('the cat ', 100) || 'is gone', options => '{"truncate": "middle"}') AS middle;
RESET pg_llm.truncate;
ALTER SERVER bert OPTIONS (DROP context);

-- stored: by content, whatever the owner and the settings say
SELECT llm_create_model('pinned', :'bert', options => '{"context": 16, "document_prefix": "passage: "}');
SELECT llm_model_info('pinned') ->> 'digest' AS digest \gset
SELECT llm_embed_pinned('A cat', :'digest') = llm_embed('A cat') AS same, llm_embed_pinned('A cat', upper(:'digest')) = llm_embed('A cat', 'pinned') AS prefixed;
SELECT format('CREATE TABLE stored (t text, e real[] GENERATED ALWAYS AS (llm_embed_pinned(t, %L)) STORED)', :'digest') \gexec
INSERT INTO stored VALUES ('A cat'), (NULL), (repeat('the cat ', 20));
UPDATE stored SET t = 'A dog' WHERE t = 'A cat';
SELECT left(t, 10) AS t, e IS NULL AS null, e = llm_embed(t, 'bert') AS same FROM stored ORDER BY t;
SET pg_llm.on_error = 'null';
SET pg_llm.truncate = 'tail';
INSERT INTO stored VALUES (repeat('the cat ', 1000));
RESET pg_llm.on_error;
RESET pg_llm.truncate;
DROP TABLE stored;
-- options that change what a model computes do not change the pinned one
SELECT llm_create_model('last', :'abs_srcdir' || '/sql/data/encoders/qwen3-last.gguf');
SELECT llm_model_info('last') ->> 'digest' AS last \gset
SELECT llm_embed('the cat sleeps', 'last') AS before \gset
ALTER SERVER last OPTIONS (ADD rope_freq_base '100', ADD kv_type 'q8');
SELECT llm_embed('the cat sleeps', 'last') = :'before' AS owner, llm_embed_pinned('the cat sleeps', :'last') = :'before' AS pinned;
SELECT llm_drop_model('last');
CREATE ROLE embed_reader;
SELECT current_user AS owner \gset
SET ROLE embed_reader;
SELECT llm_embed_pinned('A cat', :'digest');
SET ROLE :owner;
DROP ROLE embed_reader;

-- classification by similarity: the nearest of a label's texts
SELECT llm_classify('A cat sleeps', '{animals,databases}', 'bert', descriptions => '{"animals": "a cat sleeps on a mat"}') AS described,
	   llm_classify('A cat sleeps', '{animals,databases}', 'bert', examples => '[{"input": "A cat sleeps", "label": "databases"}]') AS example,
	   llm_classify('A cat sleeps', '{animals,databases}', 'bert', options => '{"variants": {"animals": ["A cat sleeps"]}}') AS variant,
	   llm_classify('A cat sleeps', '{animals,databases}', 'bert', min_confidence => 1) AS unsure;
WITH texts AS (SELECT unnest('{animals,"databases: rows in pages"}'::text[]) AS l),
	 by_hand AS (SELECT split_part(l, ':', 1) AS label, exp(llm_similarity('A cat sleeps', l) / 0.05) AS e FROM texts)
SELECT label, abs(probability - e / sum(e) OVER ()) < 1e-9 AS same
FROM by_hand JOIN llm_classify_probs('A cat sleeps', '{animals,databases}', 'bert', descriptions => '{"databases": "rows in pages"}') USING (label);
WITH near AS (SELECT l, llm_similarity('A cat sleeps', l) AS s FROM unnest('{animals,databases,cats}'::text[]) l)
SELECT llm_classify_multi('A cat sleeps', '{animals,databases,cats}', 'bert', threshold => (SELECT min(s) FROM near))
	   = '{animals,databases,cats}' AS lowest,
	   llm_classify_multi('A cat sleeps', '{animals,databases,cats}', 'bert', threshold => (SELECT max(s) FROM near))
	   = ARRAY[(SELECT l FROM near ORDER BY s DESC LIMIT 1)] AS highest,
	   llm_classify_multi('A cat sleeps', '{animals,databases,cats}', 'bert', threshold => 0.999999,
						  examples => '[{"input": "A cat sleeps", "labels": ["animals", "cats"]}]') AS examples;
CREATE TYPE subject AS ENUM ('animals', 'databases');
SELECT llm_classify_enum('A cat sleeps', NULL::subject, 'bert', descriptions => '{"animals": "a cat sleeps"}');
SET pg_llm.default_model = 'bert';
SELECT llm_classify('A cat sleeps', '{animals,databases}') = llm_classify('A cat sleeps', '{animals,databases}', 'bert') AS default_model;
SET pg_llm.default_model = 'llama3';

-- rows of a table together, as one by one
CREATE TABLE pets AS SELECT i, CASE WHEN i % 7 > 0 THEN 'pet ' || i % 11 || repeat(' sleeps', i % 5) END AS t FROM generate_series(1, 60) i;
EXPLAIN (COSTS OFF) SELECT llm_embed(t) FROM pets;
CREATE TABLE together AS SELECT i, llm_embed(t, dimensions => 8) AS e, llm_similarity(t, 'a cat') AS s, llm_classify(t, '{pet,sleeps}', 'bert') AS c FROM pets;
SET pg_llm.batching = off;
CREATE TABLE alone AS SELECT i, llm_embed(t, dimensions => 8) AS e, llm_similarity(t, 'a cat') AS s, llm_classify(t, '{pet,sleeps}', 'bert') AS c FROM pets;
RESET pg_llm.batching;
SELECT count(e) AS vectors, (SELECT string_agg(t::text, E'\n' ORDER BY i) FROM together t) = (SELECT string_agg(a::text, E'\n' ORDER BY i) FROM alone a) AS same FROM together;
DROP TABLE pets, together, alone;

-- errors
SELECT i, f.* FROM (VALUES
	(1, $$SELECT llm_embed('x', 'llama3')$$),
	(2, $$SELECT llm_embed('x', 'reranker')$$),
	(3, $$SELECT llm_generate('x', 'bert')$$),
	(4, $$SELECT llm_filter('x', 'is it so?', 'bert')$$),
	(5, $$SELECT llm_score('x', 'is it so?', 'bert')$$),
	(6, $$SELECT * FROM llm_stream('x', 'bert')$$),
	(7, $$SELECT llm_classify('x', '{a,b}', 'reranker')$$),
	(8, $$SELECT llm_embed('x', dimensions => 0)$$),
	(9, $$SELECT llm_embed('x', dimensions => 65)$$),
	(10, $$SELECT llm_embed('x', task => 'clustering')$$),
	(11, $$SELECT llm_embed('x', options => '{"top_p": 1}')$$),
	(12, $$SELECT llm_embed('x', options => '{"prefix": 1}')$$),
	(13, $$SELECT llm_embed('x', 'nowhere')$$),
	(14, $$SET LOCAL pg_llm.default_embedding_model = ''; SELECT llm_embed('x')$$),
	(15, $$SELECT * FROM llm_embed_many('{{a,b},{c,d}}')$$),
	(16, $$SELECT llm_embed_pinned('x', 'abc')$$),
	(17, $$SELECT llm_embed_pinned('x', repeat('0', 64))$$),
	(18, $$SELECT llm_classify('x', '{a,b}', 'bert', 'Which?')$$),
	(19, $$SELECT llm_classify('x', '{a,b}', 'bert', options => '{"form": "chat"}')$$),
	(20, $$SELECT llm_classify('x', '{a,b}', 'bert', options => '{"calibrate": true}')$$),
	(21, $$SELECT llm_classify_multi('x', '{a,b}', 'bert', instruction => 'Which?')$$),
	(22, $$CREATE SERVER wrong FOREIGN DATA WRAPPER pg_llm OPTIONS (path '$$ || :'bert' || $$', kind 'generate'); SELECT llm_tokenize('x', 'wrong')$$),
	(23, $$SELECT llm_similarity('x', 'y', 'llama3')$$)) v(i, s), fails(s) f ORDER BY i;

-- kind may be said
CREATE SERVER said FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'bert', kind 'embed');
SELECT llm_embed('x', 'said') = llm_embed('x') AS same;
-- tokens of models of any kind; pieces are cut for the embedding model
SELECT llm_count_tokens('A cat', 'bert') AS bert, llm_count_tokens('A cat', 'bert', add_special => true) AS with_special;
SELECT bool_and(llm_count_tokens(piece, 'bert') <= 6) AS fits, count(*) FROM llm_chunk('One cat sat on a mat. Two cats sat on two mats.', 6);

DROP TABLE reference;
DROP FUNCTION difference(real[], real[]);
DROP TYPE subject;
DROP SERVER said;
DROP SERVER pinned;
DROP SERVER bert;
DROP SERVER llama3;
DROP SERVER reranker;
