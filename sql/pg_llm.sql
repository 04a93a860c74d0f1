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
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_model_info' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION llm_model_info(text) IS 'what a model is: architecture, parameters, quantization, context, digest, or why it cannot run';

CREATE FUNCTION llm_supported(OUT what text, OUT name text, OUT note text) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_supported' LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION llm_supported() IS 'architectures, tensor types, tokenizers, CPU levels and devices that this version computes with';

/* models that this session has open; for the view below */
CREATE FUNCTION llm_open_models(OUT server oid, OUT digest text, OUT bytes bigint) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'pgllm_fn_llm_open_models' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION llm_open_models() IS 'models that this session has mapped, with the bytes of their packed weights';

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

/* ---- functions over rows ---- */
