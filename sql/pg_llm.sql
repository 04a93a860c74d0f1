/* pg_llm: the SQL interface. docs/functions.md explains it; this file is what CREATE EXTENSION runs. */

\echo Use "CREATE EXTENSION pg_llm" to load this file. \quit

/* ---- ground ---- */

/* tells the library that the planner is at work, so that EXPLAIN never runs a model (also in a session's first statement) */
CREATE FUNCTION llm_planner_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_planner_support' LANGUAGE C STRICT;
REVOKE ALL ON FUNCTION llm_planner_support(internal) FROM PUBLIC;

/* ---- models are foreign servers of this wrapper ---- */

CREATE FUNCTION llm_model_validator(options text[], catalog oid) RETURNS void
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_model_validator' LANGUAGE C STRICT;

CREATE FOREIGN DATA WRAPPER pg_llm VALIDATOR llm_model_validator;
COMMENT ON FOREIGN DATA WRAPPER pg_llm IS 'language models: a server of this wrapper is a model';

CREATE FUNCTION llm_create_model(name text, path text, kind text DEFAULT 'auto', sha256 text DEFAULT NULL,
								 options jsonb DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_create_model' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION llm_create_model(text, text, text, text, jsonb) IS
	'create a model from a file after reading it: a foreign server with the digest of its content';

CREATE FUNCTION llm_drop_model(model text) RETURNS void
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_drop_model' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION llm_drop_model(text) IS 'drop a model: DROP SERVER';

CREATE FUNCTION llm_model_info(model text DEFAULT NULL) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_model_info' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION llm_model_info(text) IS 'what a model is: architecture, parameters, quantization, context, digest, or why it cannot run';

CREATE FUNCTION llm_supported(OUT what text, OUT name text, OUT note text) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_supported' LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION llm_supported() IS 'architectures, tensor types, tokenizers, CPU levels and devices that this version computes with';

/* models that this session has open; for the view below */
CREATE FUNCTION llm_open_models(OUT server oid, OUT digest text, OUT bytes bigint) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_open_models' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION llm_open_models() IS 'models that this session has mapped, with the bytes of their packed weights';

/* ---- models stored as data ---- */

/* a model's file in chunks, numbered from 0, under the SHA-256 of the whole */
CREATE TABLE llm_model_data (digest text, no int, bytes bytea NOT NULL, PRIMARY KEY (digest, no));
ALTER TABLE llm_model_data ALTER COLUMN bytes SET STORAGE EXTERNAL;
COMMENT ON TABLE llm_model_data IS 'content of stored models, in chunks; USAGE on a model is enough to use it';
SELECT pg_catalog.pg_extension_config_dump('llm_model_data', '');

CREATE FUNCTION llm_store_file(path text) RETURNS text
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_store_file' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION llm_store_file(text) IS 'copies a model file into llm_model_data, unless it is there; returns its digest';

CREATE FUNCTION llm_stored_digest(sha256 text) RETURNS text
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_stored_digest' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION llm_stored_digest(text) IS 'reads the chunks of a digest in llm_model_data; an error unless they have it';

CREATE FUNCTION llm_store_model(name text, path text DEFAULT NULL, sha256 text DEFAULT NULL, options jsonb DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_store_model' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION llm_store_model(text, text, text, jsonb) IS
	'create a model whose content lies in llm_model_data: copied there from a file, or put there before under its sha256';

CREATE VIEW llm_models AS
	SELECT s.srvname AS name,
		   pg_get_userbyid(s.srvowner) AS owner,
		   max(o.option_value) FILTER (WHERE o.option_name = 'path') AS path,
		   coalesce(max(o.option_value) FILTER (WHERE o.option_name = 'kind'), 'auto') AS kind,
		   coalesce(jsonb_object_agg(o.option_name, o.option_value)
					FILTER (WHERE o.option_name NOT IN ('path', 'kind')), '{}') AS options,
		   has_server_privilege(s.oid, 'USAGE') AS usable,
		   m.server IS NOT NULL AS loaded,
		   m.bytes AS packed_bytes
	FROM pg_foreign_server s
		 JOIN pg_depend d ON d.classid = 'pg_foreign_data_wrapper'::regclass AND d.objid = s.srvfdw AND d.objsubid = 0
							 AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
		 JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pg_llm'
		 LEFT JOIN LATERAL pg_options_to_table(s.srvoptions) o ON true
		 LEFT JOIN (SELECT server, max(bytes) AS bytes FROM llm_open_models() GROUP BY server) m ON m.server = s.oid
	GROUP BY s.oid, s.srvname, s.srvowner, m.server, m.bytes;
COMMENT ON VIEW llm_models IS 'models of this database; loaded and packed_bytes are about the current session';
GRANT SELECT ON llm_models TO PUBLIC;

/* ---- models in memory ---- */

CREATE FUNCTION llm_load(model text) RETURNS void
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_load' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION llm_load(text) IS 'makes a model ready for all sessions: in the shared cache, or as a pack file; for its owner';

CREATE FUNCTION llm_unload(model text) RETURNS void
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_unload' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION llm_unload(text) IS 'removes a model from the shared cache, pinned or not, if nobody uses it; for its owner';

CREATE FUNCTION llm_pin(model text, pin bool DEFAULT true) RETURNS void
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_pin' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION llm_pin(text, bool) IS 'loads a model and keeps it in the shared cache until it is unpinned or unloaded; for its owner';

CREATE FUNCTION llm_cached_models(OUT database name, OUT model name, OUT digest text, OUT bytes bigint, OUT state text,
								  OUT users int, OUT pinned bool, OUT hits bigint, OUT loaded timestamptz,
								  OUT last_used timestamptz) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_cached_models' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION llm_cached_models() IS 'models in the shared cache; for the view llm_stat_cache';

CREATE VIEW llm_stat_cache AS SELECT * FROM llm_cached_models();
COMMENT ON VIEW llm_stat_cache IS 'models in the shared cache of this server; database and model as who loaded it called it';
GRANT SELECT ON llm_stat_cache TO PUBLIC;

/* ---- statistics ---- */

CREATE FUNCTION llm_call_stats(OUT role name, OUT database name, OUT query_id bigint, OUT model name, OUT function name,
							   OUT calls bigint, OUT rows bigint, OUT errors bigint, OUT cache_hits bigint, OUT prompt_tokens bigint,
							   OUT cached_tokens bigint, OUT output_tokens bigint, OUT ms float8, OUT last_used timestamptz)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_call_stats' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION llm_call_stats() IS 'what calls on models took; for the view llm_stat_calls';

CREATE VIEW llm_stat_calls AS SELECT * FROM llm_call_stats();
COMMENT ON VIEW llm_stat_calls IS 'what calls on models took, by role, database, query, model and function';
GRANT SELECT ON llm_stat_calls TO PUBLIC;

CREATE FUNCTION llm_progress(OUT pid int, OUT database name, OUT role name, OUT query_id bigint, OUT phase text, OUT model name,
							 OUT function name, OUT rows_done bigint, OUT rows_expected bigint, OUT prompt_tokens bigint,
							 OUT cached_tokens bigint, OUT output_tokens bigint, OUT tokens_per_second float8,
							 OUT time_left interval, OUT started timestamptz)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_progress' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION llm_progress() IS 'what sessions do with models now; for the view llm_stat_progress';

CREATE VIEW llm_stat_progress AS SELECT * FROM llm_progress();
COMMENT ON VIEW llm_stat_progress IS 'statements that run models now, and how far they are; needs preloading';
GRANT SELECT ON llm_stat_progress TO PUBLIC;

CREATE FUNCTION llm_stat_reset() RETURNS void
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_stat_reset' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION llm_stat_reset() IS 'empties llm_stat_calls';
REVOKE ALL ON FUNCTION llm_stat_reset() FROM PUBLIC;

CREATE FUNCTION llm_clear_result_cache() RETURNS void
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_clear_result_cache' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION llm_clear_result_cache() IS 'forgets the answers that sessions share';
REVOKE ALL ON FUNCTION llm_clear_result_cache() FROM PUBLIC;

CREATE FUNCTION llm_estimate(query text)
	RETURNS TABLE (calls bigint, prompt_tokens bigint, output_tokens bigint, seconds float8)
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_estimate' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;
COMMENT ON FUNCTION llm_estimate(text) IS 'what a query would take, from its plan and a sample of its rows, without running it';

/* ---- jobs: enrichment of tables ---- */

/* who may see what of the tables is said by the views; not dumped: a job is about these rows, in this place */
CREATE TABLE llm_job_state (
	job bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	owner oid NOT NULL,
	target oid NOT NULL,
	set_column name NOT NULL,
	expression text NOT NULL,
	where_clause text,
	key_columns text[] NOT NULL,
	given text[],				-- key up to which rows were given to sessions; NULL: none were
	exhausted bool NOT NULL DEFAULT false,	-- no rows are left to be given
	rows_written bigint NOT NULL DEFAULT 0,
	rows_skipped bigint NOT NULL DEFAULT 0,
	tokens bigint NOT NULL DEFAULT 0,
	started timestamptz NOT NULL DEFAULT clock_timestamp(),
	changed timestamptz NOT NULL DEFAULT clock_timestamp(),
	finished timestamptz
);
COMMENT ON TABLE llm_job_state IS 'jobs of llm_enrich; see the view llm_jobs';

CREATE TABLE llm_job_chunks (
	chunk bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	job bigint NOT NULL,
	after text[],				-- rows with keys above this one; NULL: from the first
	upto text[] NOT NULL
);
COMMENT ON TABLE llm_job_chunks IS 'ranges of rows that were given to a session of llm_enrich and are not written';

CREATE TABLE llm_job_failures (
	job bigint NOT NULL,
	key text[] NOT NULL,
	code text NOT NULL,
	message text NOT NULL,
	detail text,
	hint text,
	at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX llm_job_failures_job ON llm_job_failures (job, at);
CREATE INDEX llm_job_failures_key ON llm_job_failures USING hash (key);
COMMENT ON TABLE llm_job_failures IS 'rows of jobs that failed; see the view llm_job_errors';

CREATE PROCEDURE llm_enrich(target regclass, set_column name, expression text, where_clause text DEFAULT NULL,
							batch_rows int DEFAULT 256, token_limit bigint DEFAULT NULL, on_error text DEFAULT 'log')
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_enrich' LANGUAGE C;
COMMENT ON PROCEDURE llm_enrich(regclass, name, text, text, int, bigint, text) IS
	'sets a column to an expression, chunk by chunk, each committed; resumes where it stopped';

CREATE PROCEDURE llm_retry(job bigint, batch_rows int DEFAULT 256, token_limit bigint DEFAULT NULL)
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_retry' LANGUAGE C;
COMMENT ON PROCEDURE llm_retry(bigint, int, bigint) IS 'tries the failed rows of a job of llm_enrich again';

CREATE FUNCTION llm_drop_job(job bigint) RETURNS void
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_drop_job' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION llm_drop_job(bigint) IS 'forgets a job of llm_enrich with its failed rows; the table stays as it is';

CREATE VIEW llm_jobs WITH (security_barrier) AS
	SELECT j.job, pg_get_userbyid(j.owner) AS owner, j.target::regclass AS target, j.set_column, j.expression, j.where_clause,
		   CASE WHEN j.finished IS NOT NULL THEN 'done' WHEN w.sessions > 0 THEN 'running' ELSE 'stopped' END AS state,
		   w.sessions, j.rows_written, f.rows_failed, j.rows_skipped, j.tokens, j.started, j.changed, j.finished
	FROM llm_job_state j,
		 LATERAL (SELECT count(*) AS sessions FROM llm_job_chunks c JOIN pg_locks l
				  ON l.locktype = 'object' AND l.classid = 'llm_job_chunks'::regclass AND l.objid = (c.chunk & 4294967295)::oid
				  WHERE c.job = j.job AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())) w,
		 LATERAL (SELECT count(*) AS rows_failed FROM llm_job_failures f WHERE f.job = j.job) f
	WHERE pg_has_role(j.owner, 'USAGE');
COMMENT ON VIEW llm_jobs IS 'jobs of llm_enrich of the roles that the reader has';
GRANT SELECT ON llm_jobs TO PUBLIC;

CREATE VIEW llm_job_errors WITH (security_barrier) AS
	SELECT f.job, j.target::regclass AS target, jsonb_object(j.key_columns, f.key) AS key, f.code, f.message, f.detail, f.hint, f.at
	FROM llm_job_failures f JOIN llm_job_state j USING (job)
	WHERE pg_has_role(j.owner, 'USAGE');
COMMENT ON VIEW llm_job_errors IS 'rows that failed in jobs of llm_enrich, with the reason';
GRANT SELECT ON llm_job_errors TO PUBLIC;

/* ---- functions over rows ---- */

/* generate */

CREATE TYPE llm_completion AS (
	value text,
	error text,
	finish_reason text,
	truncated bool,
	prompt_tokens int,
	cached_tokens int,
	output_tokens int,
	logprob float8,
	ms float8,
	model text,
	digest text
);
COMMENT ON TYPE llm_completion IS 'an answer with how it came about; error is set instead of value if the row could not be answered';

CREATE FUNCTION llm_generate(prompt text, model text DEFAULT NULL, system text DEFAULT NULL, max_tokens int DEFAULT 256,
							 temperature float8 DEFAULT 0, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL,
							 schema json DEFAULT NULL, options jsonb DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_generate' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_generate(text, text, text, int, float8, bigint, text[], json, jsonb) IS
	'the model''s answer to a prompt';

CREATE FUNCTION llm_generate_detail(prompt text, model text DEFAULT NULL, system text DEFAULT NULL, max_tokens int DEFAULT 256,
									temperature float8 DEFAULT 0, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL,
									schema json DEFAULT NULL, options jsonb DEFAULT NULL) RETURNS llm_completion
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_generate_detail' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_generate_detail(text, text, text, int, float8, bigint, text[], json, jsonb) IS
	'the model''s answer to a prompt as a row, with token counts, log probability, time, model and digest';

CREATE FUNCTION llm_schema_accepts(schema json, instance json) RETURNS boolean
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_schema_accepts' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000;
COMMENT ON FUNCTION llm_schema_accepts(json, json) IS
	'does a JSON value fit a JSON Schema (draft 2020-12)?';

CREATE FUNCTION llm_complete(prompt text, model text DEFAULT NULL, max_tokens int DEFAULT 256, temperature float8 DEFAULT 0,
							 seed bigint DEFAULT NULL, stop text[] DEFAULT NULL, schema json DEFAULT NULL,
							 options jsonb DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_complete' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_complete(text, text, int, float8, bigint, text[], json, jsonb) IS
	'how the model continues a text, without chat template';

CREATE FUNCTION llm_summarize(input text, max_words int DEFAULT 60, model text DEFAULT NULL, max_tokens int DEFAULT 256,
							  options jsonb DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_summarize' LANGUAGE C STABLE PARALLEL RESTRICTED COST 10000
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_summarize(text, int, text, int, jsonb) IS 'a text in at most so many words, as the model is asked';

CREATE FUNCTION llm_translate(input text, to_language text, model text DEFAULT NULL, max_tokens int DEFAULT 256,
							  options jsonb DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_translate' LANGUAGE C STABLE PARALLEL RESTRICTED COST 10000
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_translate(text, text, text, int, jsonb) IS 'a text in another language';

/* aggregates; no COST, which is the same in all plans, and would make that of sorting for groups look like nothing */

CREATE FUNCTION llm_agg_add(state internal, input text, instruction text) RETURNS internal
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_agg_add' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
CREATE FUNCTION llm_agg_add(state internal, input text, instruction text, model text) RETURNS internal
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_agg_add' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
CREATE FUNCTION llm_agg_add(state internal, input text, instruction text, model text, max_tokens int) RETURNS internal
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_agg_add' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
CREATE FUNCTION llm_agg_add(state internal, input text, instruction text, model text, max_tokens int, options jsonb) RETURNS internal
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_agg_add' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
CREATE FUNCTION llm_agg_answer(state internal) RETURNS text
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_agg_answer' LANGUAGE C VOLATILE PARALLEL RESTRICTED;

CREATE AGGREGATE llm_agg(input text, instruction text) (
	SFUNC = llm_agg_add, STYPE = internal, SSPACE = 8192, FINALFUNC = llm_agg_answer, FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE llm_agg(text, text) IS 'what a model makes of all texts of a group, by an instruction';
CREATE AGGREGATE llm_agg(input text, instruction text, model text) (
	SFUNC = llm_agg_add, STYPE = internal, SSPACE = 8192, FINALFUNC = llm_agg_answer, FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE llm_agg(text, text, text) IS 'what a model makes of all texts of a group, by an instruction';
CREATE AGGREGATE llm_agg(input text, instruction text, model text, max_tokens int) (
	SFUNC = llm_agg_add, STYPE = internal, SSPACE = 8192, FINALFUNC = llm_agg_answer, FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE llm_agg(text, text, text, int) IS 'what a model makes of all texts of a group, by an instruction';
CREATE AGGREGATE llm_agg(input text, instruction text, model text, max_tokens int, options jsonb) (
	SFUNC = llm_agg_add, STYPE = internal, SSPACE = 8192, FINALFUNC = llm_agg_answer, FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE llm_agg(text, text, text, int, jsonb) IS 'what a model makes of all texts of a group, by an instruction';

CREATE FUNCTION llm_summarize_agg_add(state internal, input text) RETURNS internal
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_summarize_agg_add' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
CREATE FUNCTION llm_summarize_agg_add(state internal, input text, model text) RETURNS internal
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_summarize_agg_add' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
CREATE FUNCTION llm_summarize_agg_add(state internal, input text, model text, max_tokens int) RETURNS internal
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_summarize_agg_add' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
CREATE FUNCTION llm_summarize_agg_add(state internal, input text, model text, max_tokens int, options jsonb) RETURNS internal
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_summarize_agg_add' LANGUAGE C VOLATILE PARALLEL RESTRICTED;

CREATE AGGREGATE llm_summarize_agg(input text) (
	SFUNC = llm_summarize_agg_add, STYPE = internal, SSPACE = 8192, FINALFUNC = llm_agg_answer, FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE llm_summarize_agg(text) IS 'a summary of all texts of a group';
CREATE AGGREGATE llm_summarize_agg(input text, model text) (
	SFUNC = llm_summarize_agg_add, STYPE = internal, SSPACE = 8192, FINALFUNC = llm_agg_answer, FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE llm_summarize_agg(text, text) IS 'a summary of all texts of a group';
CREATE AGGREGATE llm_summarize_agg(input text, model text, max_tokens int) (
	SFUNC = llm_summarize_agg_add, STYPE = internal, SSPACE = 8192, FINALFUNC = llm_agg_answer, FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE llm_summarize_agg(text, text, int) IS 'a summary of all texts of a group';
CREATE AGGREGATE llm_summarize_agg(input text, model text, max_tokens int, options jsonb) (
	SFUNC = llm_summarize_agg_add, STYPE = internal, SSPACE = 8192, FINALFUNC = llm_agg_answer, FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE llm_summarize_agg(text, text, int, jsonb) IS 'a summary of all texts of a group';

CREATE TYPE llm_answer AS (
	answer text,
	votes int,
	samples int,
	confidence float8,
	trail jsonb
);
COMMENT ON TYPE llm_answer IS 'an answer that was reasoned out, how many of the samples gave it, and the trail that llm_replay runs again';

CREATE FUNCTION llm_reason(question text, model text DEFAULT NULL, context text DEFAULT NULL, samples int DEFAULT 1,
						   max_tokens int DEFAULT 512, think_budget int DEFAULT NULL, temperature float8 DEFAULT NULL,
						   seed bigint DEFAULT NULL, system text DEFAULT NULL, options jsonb DEFAULT NULL) RETURNS llm_answer
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_reason' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_reason(text, text, text, int, int, int, float8, bigint, text, jsonb) IS
	'an answer that the model reasons its way to, by a vote of samples, with a trail that can be run again';

/* as llm_agg */

CREATE FUNCTION llm_reason_agg_add(state internal, input anyelement, question text) RETURNS internal
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_reason_agg_add' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
CREATE FUNCTION llm_reason_agg_add(state internal, input anyelement, question text, model text) RETURNS internal
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_reason_agg_add' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
CREATE FUNCTION llm_reason_agg_add(state internal, input anyelement, question text, model text, samples int) RETURNS internal
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_reason_agg_add' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
CREATE FUNCTION llm_reason_agg_add(state internal, input anyelement, question text, model text, samples int, max_tokens int) RETURNS internal
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_reason_agg_add' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
CREATE FUNCTION llm_reason_agg_add(state internal, input anyelement, question text, model text, samples int, max_tokens int, options jsonb) RETURNS internal
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_reason_agg_add' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
CREATE FUNCTION llm_reason_agg_answer(state internal) RETURNS llm_answer
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_reason_agg_answer' LANGUAGE C VOLATILE PARALLEL RESTRICTED;

CREATE AGGREGATE llm_reason_agg(input anyelement, question text) (
	SFUNC = llm_reason_agg_add, STYPE = internal, SSPACE = 8192, FINALFUNC = llm_reason_agg_answer, FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE llm_reason_agg(anyelement, text) IS 'an answer that the model reasons its way to from all rows of a group';
CREATE AGGREGATE llm_reason_agg(input anyelement, question text, model text) (
	SFUNC = llm_reason_agg_add, STYPE = internal, SSPACE = 8192, FINALFUNC = llm_reason_agg_answer, FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE llm_reason_agg(anyelement, text, text) IS 'an answer that the model reasons its way to from all rows of a group';
CREATE AGGREGATE llm_reason_agg(input anyelement, question text, model text, samples int) (
	SFUNC = llm_reason_agg_add, STYPE = internal, SSPACE = 8192, FINALFUNC = llm_reason_agg_answer, FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE llm_reason_agg(anyelement, text, text, int) IS 'an answer that the model reasons its way to from all rows of a group';
CREATE AGGREGATE llm_reason_agg(input anyelement, question text, model text, samples int, max_tokens int) (
	SFUNC = llm_reason_agg_add, STYPE = internal, SSPACE = 8192, FINALFUNC = llm_reason_agg_answer, FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE llm_reason_agg(anyelement, text, text, int, int) IS 'an answer that the model reasons its way to from all rows of a group';
CREATE AGGREGATE llm_reason_agg(input anyelement, question text, model text, samples int, max_tokens int, options jsonb) (
	SFUNC = llm_reason_agg_add, STYPE = internal, SSPACE = 8192, FINALFUNC = llm_reason_agg_answer, FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE llm_reason_agg(anyelement, text, text, int, int, jsonb) IS 'an answer that the model reasons its way to from all rows of a group';

CREATE FUNCTION llm_replay(trail jsonb) RETURNS TABLE(step int, matches boolean, note text)
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_replay' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 10000 ROWS 10;
COMMENT ON FUNCTION llm_replay(jsonb) IS
	'runs a trail of llm_reason again and says of each step whether it comes out the same';

CREATE FUNCTION llm_trail_text(trail jsonb) RETURNS text
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_trail_text' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION llm_trail_text(jsonb) IS 'a trail of llm_reason for people to read';

CREATE FUNCTION llm_tool_calls(answer text) RETURNS json
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_tool_calls' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION llm_tool_calls(text) IS 'the message that an answer with calls of tools stands for; NULL if it calls none';

CREATE FUNCTION llm_chat(messages json, tools json DEFAULT NULL, model text DEFAULT NULL, max_tokens int DEFAULT 256,
						 temperature float8 DEFAULT 0, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL,
						 schema json DEFAULT NULL, options jsonb DEFAULT NULL) RETURNS llm_completion
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_chat' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_chat(json, json, text, int, float8, bigint, text[], json, jsonb) IS
	'the next turn of a conversation [{"role", "content"}, …] through the model''s own chat template';

CREATE FUNCTION llm_stream(prompt text, model text DEFAULT NULL, system text DEFAULT NULL, max_tokens int DEFAULT 256,
						   temperature float8 DEFAULT 0, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL,
						   schema json DEFAULT NULL, options jsonb DEFAULT NULL) RETURNS SETOF text
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_stream' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000 ROWS 100;
COMMENT ON FUNCTION llm_stream(text, text, text, int, float8, bigint, text[], json, jsonb) IS
	'the model''s answer in pieces, each sent to the client as it is made';

CREATE FUNCTION llm_prompt(template text) RETURNS text
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_prompt_noargs' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION llm_prompt(text) IS 'a prompt template without values';

CREATE FUNCTION llm_prompt(template text, VARIADIC args "any") RETURNS text
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_prompt' LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION llm_prompt(text, "any") IS 'a prompt template with values in place of {1}, {2}, …';

/* extract */

CREATE FUNCTION llm_extract(input text, schema json, model text DEFAULT NULL, instruction text DEFAULT NULL,
							examples json DEFAULT NULL, max_tokens int DEFAULT 512, options jsonb DEFAULT NULL) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_extract' LANGUAGE C STABLE PARALLEL RESTRICTED COST 10000
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_extract(text, json, text, text, json, int, jsonb) IS
	'the data of a text as JSON that fits a JSON Schema';

CREATE FUNCTION llm_populate(base anyelement, input text, model text DEFAULT NULL, instruction text DEFAULT NULL,
							 examples json DEFAULT NULL, max_tokens int DEFAULT 512, options jsonb DEFAULT NULL) RETURNS anyelement
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_populate' LANGUAGE C STABLE PARALLEL UNSAFE COST 10000
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_populate(anyelement, text, text, text, json, int, jsonb) IS
	'the data of a text as a row of a composite type: llm_populate(NULL::invoices, body)';

CREATE FUNCTION llm_to_record(input text, model text DEFAULT NULL, instruction text DEFAULT NULL, examples json DEFAULT NULL,
							  max_tokens int DEFAULT 512, options jsonb DEFAULT NULL) RETURNS record
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_to_record' LANGUAGE C STABLE PARALLEL UNSAFE COST 10000
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_to_record(text, text, text, json, int, jsonb) IS
	'the data of a text as a row: FROM t, llm_to_record(body) AS x(vendor text, total numeric)';

CREATE FUNCTION llm_to_recordset(input text, model text DEFAULT NULL, instruction text DEFAULT NULL, examples json DEFAULT NULL,
								 max_tokens int DEFAULT 512, options jsonb DEFAULT NULL) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_to_recordset' LANGUAGE C STABLE PARALLEL UNSAFE COST 10000 ROWS 10
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_to_recordset(text, text, text, json, int, jsonb) IS
	'all that a text lists as rows: FROM t, llm_to_recordset(body) AS x(item text, price numeric)';

/* decide */

CREATE FUNCTION llm_classify(input text, labels text[], model text DEFAULT NULL, instruction text DEFAULT NULL,
							 descriptions json DEFAULT NULL, examples json DEFAULT NULL, min_confidence float8 DEFAULT NULL,
							 options jsonb DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_classify' LANGUAGE C STABLE PARALLEL RESTRICTED COST 5000
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_classify(text, text[], text, text, json, json, float8, jsonb) IS
	'the label that the model finds most probable for a text; NULL below min_confidence';

CREATE FUNCTION llm_classify_enum(input text, kind anyelement, model text DEFAULT NULL, instruction text DEFAULT NULL,
								  descriptions json DEFAULT NULL, examples json DEFAULT NULL, min_confidence float8 DEFAULT NULL,
								  options jsonb DEFAULT NULL) RETURNS anyelement
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_classify_enum' LANGUAGE C STABLE PARALLEL RESTRICTED COST 5000
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_classify_enum(text, anyelement, text, text, json, json, float8, jsonb) IS
	'as llm_classify, with the values of an enum type as labels: llm_classify_enum(body, NULL::ticket_kind)';

CREATE FUNCTION llm_classify_multi(input text, labels text[], model text DEFAULT NULL, threshold float8 DEFAULT 0.5,
								   instruction text DEFAULT NULL, descriptions json DEFAULT NULL, examples json DEFAULT NULL,
								   options jsonb DEFAULT NULL) RETURNS text[]
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_classify_multi' LANGUAGE C STABLE PARALLEL RESTRICTED COST 10000
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_classify_multi(text, text[], text, float8, text, json, json, jsonb) IS
	'all labels that fit a text with at least the threshold''s probability, each asked by itself';

CREATE FUNCTION llm_classify_probs(input text, labels text[], model text DEFAULT NULL, instruction text DEFAULT NULL,
								   descriptions json DEFAULT NULL, examples json DEFAULT NULL, options jsonb DEFAULT NULL)
	RETURNS TABLE (label text, probability float8)
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_classify_probs' LANGUAGE C STABLE PARALLEL RESTRICTED COST 5000 ROWS 10
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_classify_probs(text, text[], text, text, json, json, jsonb) IS
	'the probability of each label for a text; they sum to 1';

CREATE FUNCTION llm_filter(input text, condition text, model text DEFAULT NULL, threshold float8 DEFAULT 0.5,
						   examples json DEFAULT NULL, options jsonb DEFAULT NULL) RETURNS boolean
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_filter' LANGUAGE C STABLE PARALLEL RESTRICTED COST 5000
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_filter(text, text, text, float8, json, jsonb) IS
	'whether a condition in words holds for a text, with at least the threshold''s probability';

CREATE FUNCTION llm_score(input text, criterion text, model text DEFAULT NULL, examples json DEFAULT NULL,
						  options jsonb DEFAULT NULL) RETURNS float8
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_score' LANGUAGE C STABLE PARALLEL RESTRICTED COST 5000
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_score(text, text, text, json, jsonb) IS
	'how probable it is that a text meets a criterion, for ORDER BY';

/* tokens */

CREATE FUNCTION llm_tokenize(input text, model text DEFAULT NULL, add_special bool DEFAULT false,
							 parse_special bool DEFAULT false) RETURNS int[]
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_tokenize' LANGUAGE C STABLE PARALLEL RESTRICTED COST 100
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_tokenize(text, text, bool, bool) IS 'a text as the model''s token ids';

CREATE FUNCTION llm_detokenize(ids int[], model text DEFAULT NULL, with_special bool DEFAULT false) RETURNS text
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_detokenize' LANGUAGE C STABLE PARALLEL RESTRICTED COST 100
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_detokenize(int[], text, bool) IS 'the text of a model''s token ids';

CREATE FUNCTION llm_count_tokens(input text, model text DEFAULT NULL, add_special bool DEFAULT false,
								 parse_special bool DEFAULT false) RETURNS int
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_count_tokens' LANGUAGE C STABLE PARALLEL RESTRICTED COST 100
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_count_tokens(text, text, bool, bool) IS 'how many tokens a text has for a model';

CREATE FUNCTION llm_chunk(input text, max_tokens int, overlap int DEFAULT 0, model text DEFAULT NULL)
	RETURNS TABLE (no int, start int, stop int, piece text)
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_chunk' LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000 ROWS 20
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_chunk(text, int, int, text) IS
	'a text in pieces of at most so many tokens, each substr(input, start, stop - start + 1)';

/* embed and rank */

CREATE FUNCTION llm_embed(input text, model text DEFAULT NULL, task text DEFAULT 'document', dimensions int DEFAULT NULL,
						  unit_length bool DEFAULT true, options jsonb DEFAULT NULL) RETURNS real[]
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_embed' LANGUAGE C STABLE PARALLEL RESTRICTED COST 2000
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_embed(text, text, text, int, bool, jsonb) IS 'a text as a vector: near texts have near vectors';

CREATE FUNCTION llm_embed_many(inputs text[], model text DEFAULT NULL, task text DEFAULT 'document', dimensions int DEFAULT NULL,
							   unit_length bool DEFAULT true, options jsonb DEFAULT NULL)
	RETURNS TABLE (no int, embedding real[])
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_embed_many' LANGUAGE C STABLE PARALLEL RESTRICTED COST 20000 ROWS 100
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_embed_many(text[], text, text, int, bool, jsonb) IS 'many texts as vectors, computed together';

CREATE FUNCTION llm_embed_pinned(input text, sha256 text) RETURNS real[]
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_embed_pinned' LANGUAGE C IMMUTABLE STRICT PARALLEL RESTRICTED COST 2000;
COMMENT ON FUNCTION llm_embed_pinned(text, text) IS
	'llm_embed with the model of that content, for stored generated columns and indexes: no setting or option changes it';

CREATE FUNCTION llm_similarity(a text, b text, model text DEFAULT NULL, options jsonb DEFAULT NULL) RETURNS float8
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_similarity' LANGUAGE C STABLE PARALLEL RESTRICTED COST 4000
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_similarity(text, text, text, jsonb) IS 'how alike two texts are: the cosine of their vectors, from -1 to 1';

CREATE FUNCTION llm_rerank(query text, documents text[], top_k int DEFAULT NULL, model text DEFAULT NULL,
						   options jsonb DEFAULT NULL)
	RETURNS TABLE (idx int, document text, score float8)
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_rerank' LANGUAGE C STABLE PARALLEL RESTRICTED COST 20000 ROWS 10
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_rerank(text, text[], int, text, jsonb) IS 'documents with their relevance to a query, the most relevant first';

CREATE FUNCTION llm_relevance(query text, document text, model text DEFAULT NULL, options jsonb DEFAULT NULL) RETURNS float8
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_relevance' LANGUAGE C STABLE PARALLEL RESTRICTED COST 3000
	SUPPORT llm_planner_support;
COMMENT ON FUNCTION llm_relevance(text, text, text, jsonb) IS 'how relevant a document is to a query, from 0 to 1';

/* vectors and ranks */

CREATE FUNCTION llm_cosine(a real[], b real[]) RETURNS float8
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_cosine' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION llm_cosine(real[], real[]) IS 'cosine of the angle between two embeddings, from -1 to 1';

CREATE FUNCTION llm_rrf(ranks bigint[], k int DEFAULT 60) RETURNS float8
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_rrf' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION llm_rrf(bigint[], int) IS
	'reciprocal rank fusion: the sum of 1 / (k + rank); NULL is the rank of what a list does not have';

/* measure */

CREATE FUNCTION llm_exact_match(prediction text, gold text, rule text DEFAULT 'exact') RETURNS boolean
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_exact_match' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION llm_exact_match(text, text, text) IS
	'does a text have the gold answer? by rule exact, gsm8k_strict, gsm8k_flexible or gsm8k_cot';

CREATE FUNCTION llm_drop_score(prediction text[], gold jsonb, OUT em float8, OUT f1 float8) RETURNS record
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_drop_score' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION llm_drop_score(text[], jsonb) IS
	'exact match and F1 of an answer by the official rules of DROP; of several gold answers the best counts';

CREATE TYPE llm_eval_report AS (
	model text,
	digest text,
	task text,
	rows bigint,
	answered bigint,
	errors bigint,
	accuracy float8,
	balanced_accuracy float8,
	macro_f1 float8,
	drop_f1 float8,
	confusion jsonb,
	calibration_error float8,
	prompt_tokens bigint,
	output_tokens bigint,
	seconds float8
);
COMMENT ON TYPE llm_eval_report IS 'how well a model did on rows that say what was expected; what a task does not define is NULL';

/* json, not jsonb: the order of keys in a schema has a meaning */
CREATE FUNCTION llm_eval(query text, task text, model text DEFAULT NULL, options json DEFAULT NULL) RETURNS llm_eval_report
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_eval' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000;
COMMENT ON FUNCTION llm_eval(text, text, text, json) IS
	'how well a model does a task on the rows of a query with columns input and expected';

CREATE FUNCTION llm_compare(query text, models text[], task text, options json DEFAULT NULL) RETURNS SETOF llm_eval_report
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_compare' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 3;
COMMENT ON FUNCTION llm_compare(text, text[], text, json) IS 'llm_eval for each of several models, on the same rows';
