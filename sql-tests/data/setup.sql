\set ECHO none
-- What the tests share: the small models' files (random weights, see models/README.md: their texts mean nothing, but are
-- the same everywhere), and a function that says what a statement raises. pg_regress sets abs_srcdir.
\set models :abs_srcdir '/sql/data/models'
\set llama3 :models '/llama3.gguf'
\set lora :models '/llama3-lora.gguf'
\set peft :models '/llama3-lora'
\set nemotron_h :models '/nemotron_h.gguf'
\set mistral :models '/mistral.gguf'
\set bert :models '/bert.gguf'
\set qwen3_reranker :models '/qwen3-reranker.gguf'

-- folders in messages are left out
CREATE OR REPLACE FUNCTION fails(statement text, OUT code text, OUT message text, OUT hint text) AS $$
BEGIN
	EXECUTE statement;
	message := 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	message := regexp_replace(message, '"/[^"]*/', '"…/');
END
$$ LANGUAGE plpgsql;
\set ECHO all
