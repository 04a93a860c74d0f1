-- llm_stream: an answer in pieces
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');
SET pg_llm.default_model = 'llama3';

-- all pieces are the answer; each is a valid string by itself
SELECT string_agg(piece, '' ORDER BY no) = llm_generate('The old clock', max_tokens => 40) AS same,
	   count(*) BETWEEN 2 AND 40 AS pieces, min(length(piece)) > 0 AS none_empty
FROM (SELECT row_number() OVER () AS no, piece FROM llm_stream('The old clock', max_tokens => 40) AS piece) s;
SELECT string_agg(piece, '') = llm_generate('x', max_tokens => 30, temperature => 1, seed => 3) AS sampled
FROM (SELECT llm_stream('x', max_tokens => 30, temperature => 1, seed => 3) AS piece) s;

-- a row for each token here; what may still become the stop string is held back
SELECT llm_stream('x', max_tokens => 3, options => '{"logit_bias": {"65": 1000}}');
SELECT llm_stream('x', max_tokens => 5, stop => '{bbbb}', options => '{"logit_bias": {"65": 1000}}');
SELECT llm_stream('x', max_tokens => 5, stop => '{bc}', options => '{"logit_bias": {"65": 1000}}');

-- two at once, one shorter; a stream beside another call on the same model
SELECT llm_stream('x', max_tokens => 2, options => '{"logit_bias": {"65": 1000}}') AS a,
	   llm_stream('x', max_tokens => 4, options => '{"logit_bias": {"66": 1000}}') AS b;
SELECT piece, llm_generate(piece, max_tokens => 1, options => '{"logit_bias": {"66": 1000}}') AS also
FROM (SELECT llm_stream('x', max_tokens => 2, options => '{"logit_bias": {"65": 1000}}') AS piece OFFSET 0) s;

-- all that a cursor still has
CREATE FUNCTION rest(c refcursor) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	piece text;
	rest text := '';
BEGIN
	LOOP
		FETCH c INTO piece;
		EXIT WHEN NOT FOUND;
		rest := rest || piece;
	END LOOP;
	RETURN rest;
END $$;

-- read in parts, left early
SELECT llm_stream('x', max_tokens => 2147483647, options => '{"logit_bias": {"65": 1000}}') LIMIT 2;
BEGIN;
DECLARE c CURSOR FOR SELECT llm_stream('x', max_tokens => 100, options => '{"logit_bias": {"65": 1000}}');
FETCH 2 FROM c;
SELECT llm_generate('x', max_tokens => 2, options => '{"logit_bias": {"66": 1000}}');
-- it may have gone on meanwhile; what is left comes
SELECT rest('c') = repeat('b', 98) AS rest;
CLOSE c;
DECLARE c CURSOR FOR SELECT llm_stream('x', max_tokens => 100, options => '{"logit_bias": {"65": 1000}}');
FETCH 1 FROM c;
SELECT 1 / 0;
ROLLBACK;
BEGIN;
DECLARE c CURSOR WITH HOLD FOR SELECT llm_stream('x', max_tokens => 3, options => '{"logit_bias": {"65": 1000}}');
DECLARE d CURSOR FOR SELECT llm_stream('x', max_tokens => 100, options => '{"logit_bias": {"66": 1000}}');
FETCH 1 FROM c;
FETCH 1 FROM d;
COMMIT;
SELECT rest('c') AS held;
CLOSE c;
-- two cursors take turns, and a change of settings between them ends nothing
BEGIN;
DECLARE c CURSOR FOR SELECT llm_stream('x', max_tokens => 3, options => '{"logit_bias": {"65": 1000}}');
DECLARE d SCROLL CURSOR FOR SELECT llm_stream('x', max_tokens => 3, options => '{"logit_bias": {"66": 1000}}');
FETCH 1 FROM c;
FETCH 1 FROM d;
SET LOCAL pg_llm.batch_tokens = 7;
SET LOCAL pg_llm.threads = 1;
SELECT llm_count_tokens('x');
SELECT rest('c') AS c, rest('d') AS d;
SAVEPOINT s;
FETCH 1 FROM c;
ROLLBACK TO s;
FETCH FIRST FROM d;
COMMIT;
SELECT llm_stream('x', max_tokens => 1, options => '{"logit_bias": {"65": 1000}}');

-- a model that is changed or dropped goes on for whoever reads from it; so does one in a procedure that commits
BEGIN;
CREATE SERVER other FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');
DECLARE c CURSOR FOR SELECT llm_stream('x', 'other', max_tokens => 4, options => '{"logit_bias": {"65": 1000}}');
DECLARE d CURSOR FOR SELECT llm_stream('x', 'other', max_tokens => 4, options => '{"logit_bias": {"66": 1000}}');
FETCH 1 FROM c;
FETCH 1 FROM d;
ALTER SERVER other OPTIONS (SET path :'mistral');
SELECT llm_tokenize('x', 'other') <> llm_tokenize('x', 'llama3') AS changed;
SELECT rest('c');
DROP SERVER other;
SELECT rest('d');
COMMIT;
CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$
DECLARE
	piece text;
	answer text := '';
BEGIN
	FOR piece IN SELECT llm_stream('x', max_tokens => 20) LOOP
		COMMIT;
		answer := answer || piece;
		PERFORM llm_generate('y', max_tokens => 2);
	END LOOP;
	RAISE NOTICE '%', answer = llm_generate('x', max_tokens => 20);
END $$;
CALL commits();
DROP PROCEDURE commits;

-- in PL/pgSQL
DO $$
DECLARE
	piece text;
	n int := 0;
BEGIN
	FOR piece IN SELECT llm_stream('x', max_tokens => 50, options => '{"logit_bias": {"65": 1000}}') LOOP
		n := n + length(piece);
		EXIT WHEN n = 4;
	END LOOP;
	RAISE NOTICE '% characters', n;
END $$;

-- NULL has no rows, and takes defaults
SELECT count(*) FROM llm_stream(NULL, 'nowhere');
SELECT string_agg(p, '') = llm_generate('x') AS defaults FROM llm_stream('x', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) p;
SELECT llm_stream(prompt => 'x', model => 'llama3', system => 's', max_tokens => '1', temperature => '0', seed => '1', stop => '{z}', schema => NULL,
	options => '{"logit_bias": {"65": 1000}}');

-- errors
SELECT llm_stream('x', 'nowhere');
SELECT llm_stream('x', max_tokens => 0);
SELECT llm_stream('x', options => '{"form": "plain"}');
CREATE SERVER small FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3', context '16');
SELECT llm_stream(repeat('word ', 100), 'small');
SET pg_llm.on_error = 'null';
SELECT llm_stream(repeat('word ', 100), 'small');
RESET pg_llm.on_error;

DROP FUNCTION rest;
DROP SERVER small;
DROP SERVER llama3;
