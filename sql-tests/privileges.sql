-- who may make models, use them, and name files
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir '/sql/data/setup.sql'
\i :setup
CREATE ROLE regress_llm_owner;
CREATE ROLE regress_llm_user;
CREATE SERVER llama3 FOREIGN DATA WRAPPER pg_llm OPTIONS (path :'llama3');

-- using a model needs USAGE on it
SET ROLE regress_llm_user;
SELECT name, usable, loaded FROM llm_models;
SELECT s, f.* FROM unnest(ARRAY[$$SELECT llm_generate('x', 'llama3')$$, $$SELECT llm_classify('x', '{a,b}', 'llama3')$$,
	$$SELECT llm_tokenize('x', 'llama3')$$, $$SELECT * FROM llm_stream('x', 'llama3')$$, $$SELECT llm_model_info('llama3')$$]) s, fails(s) f;
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER llama3 TO regress_llm_user;
SET ROLE regress_llm_user;
SELECT name, usable FROM llm_models;
SELECT length(llm_generate('x', 'llama3', max_tokens => 4)) > 0 AS generate, llm_classify('x', '{a,b}', 'llama3') IN ('a', 'b') AS classify,
	   llm_model_info('llama3') ->> 'architecture' AS info;
-- but not changing it
SELECT s, f.code, f.message FROM unnest(ARRAY['DROP SERVER llama3', $$SELECT llm_drop_model('llama3')$$,
	$$ALTER SERVER llama3 OPTIONS (ADD context '10')$$]) s, fails(s) f;
RESET ROLE;

-- a view runs with the privileges of its reader, a SECURITY DEFINER function with those of its owner
REVOKE USAGE ON FOREIGN SERVER llama3 FROM regress_llm_user;
CREATE VIEW tokens AS SELECT llm_count_tokens('a b', 'llama3') AS n;
CREATE FUNCTION count_for_all(t text) RETURNS int LANGUAGE sql SECURITY DEFINER AS $$ SELECT llm_count_tokens(t, 'llama3') $$;
GRANT SELECT ON tokens TO regress_llm_user;
SELECT n FROM tokens;
SET ROLE regress_llm_user;
SELECT n FROM tokens;
SELECT count_for_all('a b');
RESET ROLE;
DROP VIEW tokens;
DROP FUNCTION count_for_all;

-- making models needs USAGE on the wrapper
SET ROLE regress_llm_owner;
SELECT s, f.* FROM unnest(ARRAY[$$CREATE SERVER mine FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'llama3.gguf')$$,
	$$SELECT llm_create_model('mine', 'llama3.gguf')$$]) s, fails(s) f;
RESET ROLE;
GRANT USAGE ON FOREIGN DATA WRAPPER pg_llm TO regress_llm_owner;
SET pg_llm.model_path = :'models';
SET ROLE regress_llm_owner;
SELECT llm_create_model('mine', 'llama3.gguf');
SELECT name, owner, path, usable FROM llm_models WHERE usable;
SELECT llm_generate('x', 'mine', max_tokens => 4) IS NOT NULL AS own_model;

-- paths out of pg_llm.model_path are for those who may read the server's files
SELECT i, f.* FROM (VALUES (1, $$CREATE SERVER out FOREIGN DATA WRAPPER pg_llm OPTIONS (path '/etc/passwd')$$),
	(2, $$CREATE SERVER out FOREIGN DATA WRAPPER pg_llm OPTIONS (path '../reviews.csv')$$),
	(3, $$CREATE SERVER out FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'a/../../reviews.csv')$$),
	(4, $$CREATE SERVER out FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'a/..')$$),
	(5, $$CREATE SERVER out FOREIGN DATA WRAPPER pg_llm OPTIONS (path '..')$$),
	(6, $$SELECT llm_create_model('out', '/etc/passwd')$$),
	(7, $$SELECT llm_create_model('out', '../reviews.csv')$$),
	(8, $$ALTER SERVER mine OPTIONS (SET path '../models/llama3.gguf')$$),
	(9, $$SET pg_llm.model_path = '/etc'$$)) v(i, s), fails(s) f
ORDER BY i;
CREATE SERVER dots FOREIGN DATA WRAPPER pg_llm OPTIONS (path 'a..b/..c/d../...');
ALTER SERVER dots OPTIONS (SET path './llama3.gguf');
SELECT llm_tokenize('x', 'dots') = llm_tokenize('x', 'mine') AS same;
RESET ROLE;
GRANT pg_read_server_files TO regress_llm_owner;
SET ROLE regress_llm_owner;
ALTER SERVER dots OPTIONS (SET path '../models/mistral.gguf');
SELECT llm_create_model('absolute', :'mistral');
SELECT llm_tokenize('x', 'dots') = llm_tokenize('x', 'absolute') AS same;
RESET ROLE;

-- an owner lets others use it; a path that was allowed once goes on
REVOKE pg_read_server_files FROM regress_llm_owner;
SET ROLE regress_llm_owner;
GRANT USAGE ON FOREIGN SERVER mine TO regress_llm_user WITH GRANT OPTION;
SELECT llm_tokenize('x', 'absolute') IS NOT NULL AS goes_on;
SET ROLE regress_llm_user;
SELECT llm_count_tokens('x', 'mine');
SELECT * FROM fails($$SELECT llm_count_tokens('x', 'absolute')$$);
RESET ROLE;
RESET pg_llm.model_path;

-- what a caller has in the search_path never runs with the rights of the owner of the extension's tables
CREATE ROLE regress_llm_evil;
CREATE SCHEMA evil AUTHORIZATION regress_llm_evil;
SET ROLE regress_llm_evil;
CREATE FUNCTION evil.seen() RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	IF current_user <> 'regress_llm_evil' THEN
		RAISE WARNING 'code of the caller runs as another role';
	END IF;
	RETURN true;
END $$;
CREATE FUNCTION evil.eq(text, text) RETURNS bool LANGUAGE sql AS 'SELECT evil.seen()';
CREATE FUNCTION evil.eq(name, name) RETURNS bool LANGUAGE sql AS 'SELECT evil.seen()';
CREATE FUNCTION evil.eq(oid, oid) RETURNS bool LANGUAGE sql AS
	$$ SELECT evil.seen() AND ($1 OPERATOR(pg_catalog.=) 'evil'::regnamespace OR $2 OPERATOR(pg_catalog.=) 'evil'::regnamespace) $$;
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, PROCEDURE = evil.eq);
CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = name, PROCEDURE = evil.eq);
CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, PROCEDURE = evil.eq);
CREATE VIEW evil.llm_model_data AS SELECT 'x' || evil.seen() AS digest, 0 AS no, ''::bytea AS bytes;
CREATE TABLE evil.t (id int PRIMARY KEY, n int);
INSERT INTO evil.t VALUES (1);
SET search_path = evil, pg_catalog, public;
SET client_min_messages = 'warning';
\set VERBOSITY terse
CALL llm_enrich('t', 'n', '1 / (id - 1)', 'true', on_error => 'error');
CALL llm_enrich('t', 'n', '1 / (id - 1)', 'true', on_error => 'log');
SELECT llm_drop_job(job) IS NOT NULL AS dropped FROM llm_jobs;
SELECT llm_stored_digest(repeat('0', 64));
\set VERBOSITY default
RESET client_min_messages;
RESET search_path;
RESET ROLE;
DROP OWNED BY regress_llm_evil;
DROP ROLE regress_llm_evil;

DROP SERVER llama3;
DROP OWNED BY regress_llm_owner;
DROP ROLE regress_llm_owner, regress_llm_user;
SELECT count(*) FROM llm_models;
