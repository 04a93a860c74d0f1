/*
 * model_check.c: whether a model's file can be opened with its options, before there is such a model.
 *
 * The model is opened as it will be, but over an outline of its weights: shapes and types of all tensors are there, matrices
 * are not read. Adapters are left out: they make no file fit that does not.
 */
#include "models.h"
#include "serve/embed.h"
#include "weights/memory_pack.h"

#include "miscadmin.h"
#include "utils/memutils.h"

/* what is held while a file is checked */
typedef struct Check
{
	MemoryContext context;
	LlmSource	source;
	bool		has_source;
	const uint8_t *base;		/* the outline; NULL: none yet */
	size_t		size;
	LlmModel   *model;
} Check;

LlmModelOptions
pgllm_model_options(const PgLlmSpec *spec)
{
	LlmModelOptions options = {.n_ctx = spec->context, .kv_type = spec->kv_type, .rope = spec->rope, .stop = pgllm_stop()};

	if (spec->chat_template)
	{
		options.chat_template.data = spec->chat_template;
		options.chat_template.len = strlen(spec->chat_template);
	}
	return options;
}

PgLlmKind
pgllm_model_kind(const PgLlmSpec *spec, const LlmModel *model)
{
	static const PgLlmKind kinds[] = {
		[LLM_MODEL_GENERATE] = PGLLM_KIND_GENERATE,
		[LLM_MODEL_EMBED] = PGLLM_KIND_EMBED,
		[LLM_MODEL_RERANK] = PGLLM_KIND_RERANK,
	};
	PgLlmKind	kind = kinds[llm_model_kind(model)];

	if (spec->kind != PGLLM_KIND_AUTO && spec->kind != kind)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("file of model \"%s\" is a model of kind %s, not %s", spec->name, pgllm_kind_name(kind),
						pgllm_kind_name(spec->kind)),
				 errhint("Leave the option \"kind\" out, or give a file of that kind.")));
	return kind;
}

static void
check_opens(Check *check, const PgLlmSpec *spec)
{
	const LlmAllocator *a = pgllm_allocator(check->context);
	const LlmModelOptions options = pgllm_model_options(spec);
	LlmError	err;

	PGLLM_RUN(llm_source_open(spec->path, a, pgllm_stop(), &check->source, &err), &err);
	check->has_source = true;
	PGLLM_RUN(llm_pack_outline(&check->source, a, pgllm_stop(), &check->base, &check->size, &err), &err);
	PGLLM_RUN(llm_model_open(check->base, check->size, &options, llmk_select(NULL, llmk_cpu_features()), a, &check->model, &err),
			  &err);
	(void) pgllm_model_kind(spec, check->model);
}

static void
end_check(Check *check)
{
	llm_model_close(check->model);
	llm_memory_pack_free(check->base, check->size);
	if (check->has_source)
		llm_source_close(&check->source);
	MemoryContextDelete(check->context);
}

void
pgllm_model_check(const PgLlmSpec *spec)
{
	Check		check = {.context = AllocSetContextCreate(pgllm_context(), "pg_llm file check", ALLOCSET_DEFAULT_SIZES)};

	PG_TRY();
	{
		check_opens(&check, spec);
	}
	PG_FINALLY();
	{
		end_check(&check);
	}
	PG_END_TRY();
}
