-- the data of a text: llm_extract, llm_populate, llm_to_record, llm_to_recordset
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', kv_type 'f32');
SET pg_llm.default_model = 'llama3';

CREATE TYPE colour AS ENUM ('red', 'green');
CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN part_code AS text NOT NULL CHECK (VALUE ~ '^[A-Z]{2}[[:digit:]]{2}$');
CREATE DOMAIN state AS varchar(10) CHECK (VALUE IN ('open', 'closed') OR VALUE IS NULL);
CREATE DOMAIN word AS text CHECK (length(VALUE) <= 5 AND VALUE <> '');
CREATE TYPE item AS (name varchar(8), price numeric(6,2));
CREATE TABLE orders (vendor varchar(12) NOT NULL, total numeric(8,2) NOT NULL CHECK (total > 0 AND total < 1000), due date NOT NULL,
	at timestamptz NOT NULL, t time NOT NULL, took interval NOT NULL, c colour NOT NULL, p percent NOT NULL, code part_code, s state NOT NULL,
	w word NOT NULL, i item NOT NULL, ok bool NOT NULL, id uuid NOT NULL, ip inet NOT NULL, n int2 NOT NULL, maybe int,
	made int GENERATED ALWAYS AS (1) STORED);
COMMENT ON COLUMN orders.vendor IS 'who sends it';

-- whatever the model writes (this one has random weights), it is a row of the type
SELECT g, pg_typeof(o), o.total > 0 AND o.total < 1000 AS total, o.p BETWEEN 0 AND 100 AS p, o.code ~ '^[A-Z]{2}\d{2}$' AS code,
	   o.s IN ('open', 'closed') AS s, length(o.w) BETWEEN 1 AND 5 AS w, o.took IS NOT NULL AS took, (o.i).price < 10000 AS price, o.made
FROM generate_series(1, 6) g, llm_populate(NULL::orders, 'Order ' || g, options => jsonb_build_object('temperature', 1, 'seed', g)) o ORDER BY g;

-- a base keeps what the text does not say
SELECT (llm_populate(base, 'x', options => '{"logit_bias": {}}')).name IS NOT NULL AS name FROM (VALUES (ROW('a', 1)::item)) v(base);

-- columns of the query
SELECT n, r.a IS NULL OR length(r.a) <= 4 AS a, r.b IS NULL OR r.b IN ('red', 'green') AS b
FROM generate_series(1, 3) n, llm_to_record('Text ' || n) AS r(a varchar(4), b colour) ORDER BY n;
SELECT bool_and(r.a IS NULL OR length(r.a) <= 4) FROM generate_series(1, 3) n, llm_to_recordset('Text ' || n, max_tokens => 60) AS r(a varchar(4), b colour);

-- batched or not, and with other columns: the answers of each
CREATE TEMP TABLE batched AS SELECT n, r.a, s.b FROM generate_series(1, 4) n, llm_to_record('Text ' || n) AS r(a int, c int2), llm_to_record('Text ' || n) AS s(b percent);
SET pg_llm.batching = off;
SELECT count(*) FROM (SELECT n, r.a, s.b FROM generate_series(1, 4) n, llm_to_record('Text ' || n) AS r(a int, c int2), llm_to_record('Text ' || n) AS s(b percent)
					  EXCEPT SELECT * FROM batched) different;
RESET pg_llm.batching;
EXPLAIN (costs off) SELECT * FROM generate_series(1, 4) n, llm_to_record('Text ' || n) AS r(a int);

-- a schema of one's own
SELECT n, jsonb_typeof(v), v ? 'a' AS a FROM generate_series(1, 3) n,
	   llm_extract('Text ' || n, '{"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string", "maxLength": 5}}, "required": ["a"]}', max_tokens => 30) v ORDER BY n;
SELECT llm_extract('x', '{"const": {"b": [1, 2.5], "a": null}}', instruction => 'Which one?', options => '{"compact": true}');
SELECT llm_extract('x', '{"enum": [7]}', examples => '[{"input": "seven", "output": 7}]');

-- NULL runs no model
SELECT llm_extract(NULL, '{}', 'nobody') IS NULL AS extract, llm_populate(NULL::item, NULL, 'nobody') IS NULL AS populate;
SELECT count(*) FROM llm_to_recordset(NULL, 'nobody') AS r(a int);
SELECT r.a IS NULL FROM llm_to_record(NULL, 'nobody') AS r(a int);

-- a value that its input function refuses is trouble of the row
CREATE DOMAIN odd AS text CHECK (upper(VALUE) = 'NO SUCH VALUE') NOT NULL;
SELECT f.* FROM fails($$SELECT * FROM llm_to_record('x', max_tokens => 40) AS r(a odd)$$) f;
DO $$
DECLARE context text;
BEGIN
	PERFORM * FROM llm_to_record('x', max_tokens => 40) AS r(a odd);
EXCEPTION WHEN check_violation THEN
	GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
	RAISE NOTICE '%', context ~ '^answer of the model: {"a": ".*"}';
END $$;
SET pg_llm.on_error = 'null';
SELECT n, r.a FROM generate_series(1, 2) n, llm_to_record('Text ' || n, max_tokens => 40) AS r(a odd);
RESET pg_llm.on_error;

-- misuse
SELECT s, f.* FROM unnest(ARRAY[
	$$SELECT llm_to_record('x')$$,
	$$SELECT llm_to_recordset('x')$$,
	$$SELECT llm_populate(1, 'x')$$,
	$$SELECT llm_populate(ROW(1, 2), 'x')$$,
	$$SELECT llm_populate(gen_random_uuid(), 'x')$$,
	$$SELECT llm_extract('x', NULL)$$,
	$$SELECT llm_extract('x', '{"type": "strin"}')$$,
	$$SELECT llm_extract('x', '{"minLength": 90, "type": "string"}', max_tokens => 4)$$,
	$$SELECT llm_extract('x', '{}', max_tokens => 0)$$,
	$$SELECT llm_extract('x', '{}', options => '{"temprature": 1}')$$,
	$$SELECT llm_extract('x', '{}', options => '{"regex": "a"}')$$,
	$$SELECT llm_extract('x', '{}', examples => '{}')$$,
	$$SELECT llm_extract('x', '{}', examples => '[1]')$$,
	$$SELECT llm_extract('x', '{}', examples => '[{"input": "a"}]')$$,
	$$SELECT llm_extract('x', '{}', examples => '[{"input": 1, "output": 1}]')$$,
	$$SELECT llm_extract('x', '{"type": "string"}', examples => '[{"input": "a", "output": 1}]')$$]) s, fails(s) f;
SET ROLE pg_monitor;
SELECT f.* FROM fails($$SELECT llm_extract('x', '{}')$$) f;
RESET ROLE;
-- types within types, longer than a schema may be
DO $$
BEGIN
	CREATE TYPE nest_0 AS (a int, b int);
	FOR i IN 1..16 LOOP
		EXECUTE format('CREATE TYPE nest_%s AS (a nest_%s, b nest_%s)', i, i - 1, i - 1);
	END LOOP;
END $$;
SELECT * FROM fails('SELECT llm_populate(NULL::nest_16, ''x'')');
DO $$ BEGIN FOR i IN REVERSE 16..0 LOOP EXECUTE format('DROP TYPE nest_%s', i); END LOOP; END $$;

DROP TABLE orders, batched;
DROP DOMAIN IF EXISTS odd, word, state, part_code, percent;
DROP TYPE item, colour;
DROP SERVER llama3;
