/*
 * grammar_args.c: compiling what an answer must look like, and llm_schema_accepts.
 *
 * A grammar is compiled into the memory context of the call site, and so ends with the statement. A schema is compiled by
 * the first call that runs the model: where a batch node has found the answers ahead, there is none.
 */
#include "grammar_args.h"

#include "llm_call.h"
#include "models.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_schema_accepts);

/*
 * Scratch memory counts as the session's: it is taken below pgllm_context. Compiling gives all of it back before it returns,
 * so one context serves all.
 */
static const LlmGrammarWork *
grammar_work(void)
{
	static LlmGrammarWork work;

	if (work.scratch == NULL)
		work.scratch = pgllm_allocator(AllocSetContextCreate(pgllm_context(), PGLLM_GRAMMAR_CONTEXT, ALLOCSET_DEFAULT_SIZES));
	work.stop = pgllm_stop();
	return &work;
}

bool
pgllm_schema_fits(LlmStr schema, LlmStr instance)
{
	LlmStatus	status;
	LlmError	err;
	bool		fits = true;

	while ((status = llm_schema_accepts(schema, instance, grammar_work()->scratch, pgllm_stop(), &fits, &err)) == LLM_PAUSED)
		CHECK_FOR_INTERRUPTS();
	if (status == LLM_E_LIMIT)
		return true;
	if (status != LLM_OK)
		pgllm_raise(&err);
	return fits;
}

static void
check_only_one(const PgLlmOptions *o)
{
	if (o->grammar != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("only one of schema, grammar, regex and choice can be given"),
				 errhint("Put all conditions into one of them.")));
}

/* the texts of a list */
static LlmStr *
choice_texts(const char *key, const JsonbValue *v, size_t *n)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	item;
	LlmStr	   *texts = NULL;

	*n = 0;
	if (v->type == jbvBinary)
	{
		it = JsonbIteratorInit(v->val.binary.data);
		texts = palloc(sizeof(LlmStr) * Max(JsonContainerSize(v->val.binary.data), 1));
		while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
		{
			if (token == WJB_KEY || token == WJB_VALUE || (token == WJB_ELEM && item.type != jbvString))
				break;
			if (token == WJB_ELEM)
				texts[(*n)++] = pgllm_str_copy(pgllm_to_utf8(cstring_to_text_with_len(item.val.string.val, item.val.string.len)));
		}
		if (token == WJB_DONE)
			return texts;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\"", key),
			 errhint("Give a list of texts.")));
	return NULL;
}

void
pgllm_read_grammar(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	const LlmAllocator *a = pgllm_allocator(CurrentMemoryContext);
	LlmStr		text;
	LlmError	err;

	check_only_one(o);
	if (strcmp(key, "choice") == 0)
	{
		size_t		n;
		LlmStr	   *texts = choice_texts(key, v, &n);

		PGLLM_RUN(llm_grammar_choice(texts, n, a, grammar_work(), &o->grammar, &err), &err);
		return;
	}
	if (v->type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\"", key),
				 errhint("Give a string.")));
	text = pgllm_to_utf8(cstring_to_text_with_len(v->val.string.val, v->val.string.len));
	if (strcmp(key, "regex") == 0)
		PGLLM_RUN(llm_grammar_regex(text, a, grammar_work(), &o->grammar, &err), &err);
	else
		PGLLM_RUN(llm_grammar_gbnf(text, a, grammar_work(), &o->grammar, &err), &err);
}

void
pgllm_read_compact(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	if (v->type != jbvBool)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\"", key),
				 errhint("Give true or false.")));
	o->compact = v->val.boolean;
}

void
pgllm_read_schema(const text *schema, PgLlmOptions *o)
{
	pgllm_set_schema(pgllm_str_copy(pgllm_to_utf8(schema)), o);
}

void
pgllm_set_schema(LlmStr schema, PgLlmOptions *o)
{
	check_only_one(o);
	o->schema = schema;
	o->grammar_context = CurrentMemoryContext;
}

void
pgllm_compile_schema(PgLlmOptions *o)
{
	LlmError	err;

	if (o->schema.data == NULL || o->grammar != NULL)
		return;
	PGLLM_RUN(llm_grammar_json_schema(o->schema, o->compact, pgllm_allocator(o->grammar_context), grammar_work(), &o->grammar, &err), &err);
}

bool
pgllm_pattern_compiles(const char *pattern)
{
	LlmGrammar *grammar;
	const LlmStr text = pgllm_cstring_to_utf8(pattern);
	const LlmAllocator *a = pgllm_allocator(CurrentMemoryContext);
	LlmError	err;
	LlmStatus	status;

	while ((status = llm_grammar_regex(text, a, grammar_work(), &grammar, &err)) == LLM_PAUSED)
		CHECK_FOR_INTERRUPTS();
	if (status != LLM_OK)
		return false;
	llm_grammar_free(grammar);
	return true;
}

Datum
pgllm_fn_llm_schema_accepts(PG_FUNCTION_ARGS)
{
	LlmStr		schema = pgllm_str_copy(pgllm_to_utf8(PG_GETARG_TEXT_PP(0)));
	LlmStr		instance = pgllm_str_copy(pgllm_to_utf8(PG_GETARG_TEXT_PP(1)));
	LlmError	err;
	bool		accepted;

	PGLLM_RUN(llm_schema_accepts(schema, instance, grammar_work()->scratch, pgllm_stop(), &accepted, &err), &err);
	PG_RETURN_BOOL(accepted);
}
