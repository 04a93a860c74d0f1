/*
 * generate_call.c: from a row's text to a generating request, and from the request to the answer.
 *
 * A prompt is built by rendering messages through the model's template, as often as fitting it into the context takes: the
 * text that may be cut is the user's, in a chat the content of the last user turn. The text of a row is only ever content
 * of a message, so none of it can become a special token.
 */
#include "generate_call.h"
#include "grammar_args.h"
#include "models.h"

#include "funcapi.h"
#include "access/htup_details.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "serve/thinking.h"

/* how a prompt is made of a text */
typedef struct PromptSource
{
	PgLlmCall  *call;
	PgLlmGenerateArgs *args;
	const LlmValue *messages;	/* of a chat; NULL: [system] and a user turn */
	size_t		cut_message;	/* whose content may be cut */
	const LlmLabelQuestion *question;	/* of build_question */
	const LlmValue *extra;		/* variables for the template */
	bool		starts_text;	/* the answer is a text of its own, not the rest of one */
	LlmStr		before;			/* of the user turn, around the text that may be cut */
	LlmStr		after;
	LlmArena	arena;			/* of one building */
	LlmTokens	tokens;
} PromptSource;

/* a message {"role", "content"} of a text that is data */
static LlmValue *
make_message(LlmArena *arena, const char *role, LlmStr content)
{
	LlmValue   *message;
	LlmValue   *value;
	LlmError	err;

	PGLLM_CHECK(llm_value_map(arena, &message, &err), &err);
	PGLLM_CHECK(llm_value_string(arena, role, strlen(role), false, &value, &err), &err);
	PGLLM_CHECK(llm_value_set(arena, message, "role", value, &err), &err);
	PGLLM_CHECK(llm_value_string(arena, content.data, content.len, true, &value, &err), &err);
	PGLLM_CHECK(llm_value_set(arena, message, "content", value, &err), &err);
	return message;
}

/* the messages of a chat with another content at cut_message */
static LlmValue *
chat_with_content(PromptSource *source, LlmStr content)
{
	LlmArena   *arena = &source->arena;
	LlmValue   *list;
	LlmError	err;

	PGLLM_CHECK(llm_value_list(arena, &list, &err), &err);
	for (size_t i = 0; i < source->messages->u.seq.n; i++)
	{
		LlmValue   *message = source->messages->u.seq.items[i];

		if (i == source->cut_message)
		{
			const LlmValue *old = message;
			LlmValue   *value;

			PGLLM_CHECK(llm_value_map(arena, &message, &err), &err);
			for (size_t k = 0; k < old->u.seq.n; k++)
			{
				LlmText		key = old->u.seq.keys[k]->u.text;

				PGLLM_CHECK(llm_value_set(arena, message, pnstrdup(key.bytes, key.len), old->u.seq.items[k], &err), &err);
			}
			PGLLM_CHECK(llm_value_string(arena, content.data, content.len, true, &value, &err), &err);
			PGLLM_CHECK(llm_value_set(arena, message, "content", value, &err), &err);
		}
		PGLLM_CHECK(llm_value_append(arena, list, message, &err), &err);
	}
	return list;
}

static LlmValue *
turn_messages(PromptSource *source, LlmStr prompt)
{
	LlmArena   *arena = &source->arena;
	LlmValue   *list;
	LlmError	err;
	LlmBuf		turn;

	llm_buf_init(&turn, source->call->allocator);
	if (source->before.len + source->after.len > 0)
	{
		PGLLM_CHECK(llm_buf_append(&turn, source->before.data, source->before.len, &err), &err);
		PGLLM_CHECK(llm_buf_append(&turn, prompt.data, prompt.len, &err), &err);
		PGLLM_CHECK(llm_buf_append(&turn, source->after.data, source->after.len, &err), &err);
		prompt = (LlmStr) {turn.data, turn.len};
	}
	PGLLM_CHECK(llm_value_list(arena, &list, &err), &err);
	if (source->args->has_system)
		PGLLM_CHECK(llm_value_append(arena, list, make_message(arena, "system", source->args->system), &err), &err);
	PGLLM_CHECK(llm_value_append(arena, list, make_message(arena, "user", prompt), &err), &err);
	llm_buf_free(&turn);
	return list;
}

/* PgLlmBuildFn of turns and chats */
static size_t
build_chat(void *opaque, LlmStr data)
{
	PromptSource *source = opaque;
	LlmStr		prefix = source->args->options.answer_prefix;
	LlmValue   *messages;
	LlmError	err;

	source->tokens.n = 0;
	messages = source->messages ? chat_with_content(source, data) : turn_messages(source, data);
	PGLLM_RUN(llm_prompt_chat(source->call->model->model, messages, source->extra, prefix, true, pgllm_statement_time(),
							  &source->arena, pgllm_stop(), &source->tokens, &err), &err);
	llm_arena_free(&source->arena);
	return source->tokens.n;
}

/* PgLlmBuildFn of raw continuations: special tokens are added as the model wants them, never read from the text */
static size_t
build_raw(void *opaque, LlmStr data)
{
	PromptSource *source = opaque;
	LlmText		text = {.bytes = data.data, .from_data = NULL, .len = data.len};
	LlmError	err;

	source->tokens.n = 0;
	PGLLM_RUN(llm_tokenize(source->call->model->model->tokenizer, text, LLM_TOKENIZE_ADD_SPECIAL, pgllm_stop(),
						   &source->tokens, &err), &err);
	return source->tokens.n;
}

/* PgLlmBuildFn of questions about a text */
static size_t
build_question(void *opaque, LlmStr data)
{
	PromptSource *source = opaque;
	LlmError	err;

	source->tokens.n = 0;
	PGLLM_RUN(llm_question_prompt(source->call->model->model, source->question, data, source->extra, pgllm_statement_time(),
								  source->call->allocator, pgllm_stop(), &source->tokens, &err), &err);
	return source->tokens.n;
}

static void
source_init(PromptSource *source, PgLlmCall *call, PgLlmGenerateArgs *args)
{
	memset(source, 0, sizeof *source);
	source->call = call;
	source->args = args;
	source->before = args->before;
	source->extra = args->options.template_kwargs;
	source->starts_text = args->options.answer_prefix.len == 0;
	llm_arena_init(&source->arena, call->allocator, 0);
	llm_tokens_init(&source->tokens, call->allocator);
}

void
pgllm_generate_thinking(PgLlmCall *call, const LlmTokens *prompt, LlmGenerateParams *params)
{
	LlmThinking thinking;
	LlmError	err;

	PGLLM_CHECK(llm_thinking_find(call->model->model, prompt->ids, prompt->n, call->allocator, &thinking, &err), &err);
	params->thinks = thinking.open;
	params->think_token = thinking.begin;
	params->after = thinking.end.ids;
	params->n_after = (int) thinking.end.n;
	params->between = thinking.between.ids;
	params->n_between = (int) thinking.between.n;
}

/* build the prompt, as long as it may be; false if it does not fit: then call->error says so */
static bool
fit(PromptSource *source, PgLlmBuildFn build, LlmStr data)
{
	PgLlmCall  *call = source->call;
	const PgLlmOptions *options = &source->args->options;
	uint32_t	n_ctx = call->model->model->n_ctx;
	uint32_t	n_answer = Min((uint32_t) options->max_tokens, Max(n_ctx / 2, 1));
	PgLlmFit	how = {.build = build, .source = source, .n_max = n_ctx, .n_cut = n_ctx - n_answer,
		.truncate = options->truncate, .model_name = pgllm_cstring_to_utf8(call->model->name).data};
	bool		fits = pgllm_fit_prompt(&how, data, &call->truncated, &call->error);

	call->n_prompt = source->tokens.n;
	if (!fits)
		return false;
	call->max_output = Min((uint32_t) options->max_tokens, n_ctx);
	if (call->n_prompt > 0)
		return true;

	/* an empty text, and a model that puts nothing before it */
	llm_fail(&call->error, LLM_E_LIMIT, "prompt has no tokens");
	llm_error_hint(&call->error, "Give a text that is not empty.");
	return false;
}

/* fit the prompt and add the request */
static void
begin(PromptSource *source, PgLlmBuildFn build, LlmStr data)
{
	PgLlmCall  *call = source->call;
	const PgLlmOptions *options = &source->args->options;
	LlmGenerateParams params = {.sampling = options->sampling, .max_tokens = options->max_tokens,
		.stop = options->stop, .n_stop = options->n_stop, .starts_text = source->starts_text,
		.draft = options->draft, .draft_tokens = options->draft_tokens};
	LlmRequest *request;
	LlmError	err;

	if (options->think_budget >= 0 && options->answer_prefix.len > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("think_budget and answer_prefix cannot be given together"),
				 errhint("With a prefix the answer has begun, and nothing is thought before it.")));
	pgllm_compile_schema(&source->args->options);
	PGLLM_CHECK(llm_sampling_check(&options->sampling, (int32_t) call->model->model->hp.n_vocab, &err), &err);
	if (!fit(source, build, data))
		return;
	if (pgllm_generate_drawn(source->args) && !pg_strong_random(&params.sampling.seed, sizeof params.sampling.seed))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random seed"),
				 errhint("Give a seed.")));

	/* the answer must fit the grammar; what the model thinks before is free. With a prefix, it has begun. */
	params.grammar = options->grammar;
	if ((options->grammar != NULL || options->think_budget >= 0) && source->starts_text)
		pgllm_generate_thinking(call, &source->tokens, &params);
	params.limits_thinking = options->think_budget >= 0;
	params.think_budget = (uint32_t) Max(options->think_budget, 0);
	if (options->draft == LLM_DRAFT_MODEL)
		params.draft_model = pgllm_model_open(options->draft_model)->model;
	PGLLM_CHECK(llm_request_generate(call->model->scheduler, source->tokens.ids, source->tokens.n, &params, &request, &err), &err);
	pgllm_call_set_request(call, request);
}

bool
pgllm_generate_prompt(PgLlmCall *call, PgLlmGenerateArgs *args, LlmStr before, LlmStr data, LlmStr after, LlmTokens *out)
{
	MemoryContext old = MemoryContextSwitchTo(call->context);
	PromptSource source;
	bool		fits;

	source_init(&source, call, args);
	source.before = before;
	source.after = after;
	fits = fit(&source, build_chat, data);
	*out = source.tokens;
	MemoryContextSwitchTo(old);
	return fits;
}

PgLlmCall *
pgllm_generate_turn(PgLlmModel *model, PgLlmGenerateArgs *args, LlmStr prompt)
{
	PgLlmCall  *call = pgllm_call_create(model);
	MemoryContext old = MemoryContextSwitchTo(call->context);
	PromptSource source;

	source_init(&source, call, args);
	begin(&source, build_chat, prompt);
	MemoryContextSwitchTo(old);
	return call;
}

PgLlmCall *
pgllm_generate_raw(PgLlmModel *model, PgLlmGenerateArgs *args, LlmStr prompt)
{
	PgLlmCall  *call = pgllm_call_create(model);
	MemoryContext old = MemoryContextSwitchTo(call->context);
	PromptSource source;

	source_init(&source, call, args);
	source.starts_text = false;
	begin(&source, build_raw, prompt);
	MemoryContextSwitchTo(old);
	return call;
}

PgLlmCall *
pgllm_generate_answer_to(PgLlmModel *model, PgLlmGenerateArgs *args, const LlmLabelQuestion *question, LlmStr input)
{
	PgLlmCall  *call = pgllm_call_create(model);
	MemoryContext old = MemoryContextSwitchTo(call->context);
	PromptSource source;

	source_init(&source, call, args);
	source.question = question;
	if (llm_label_form(model->model, question->form) == LLM_FORM_PLAIN)
		source.starts_text = false;
	begin(&source, build_question, input);
	MemoryContextSwitchTo(old);
	return call;
}

/* messages must be a list of objects with a role; the index of the last user turn with a text, or SIZE_MAX */
static size_t
check_messages(const LlmValue *messages)
{
	size_t		last_user = SIZE_MAX;

	if (messages->kind != LLM_VALUE_LIST || messages->u.seq.n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("messages must be a JSON array with at least one message"),
				 errhint("For example '[{\"role\": \"user\", \"content\": \"Hello\"}]'.")));
	for (size_t i = 0; i < messages->u.seq.n; i++)
	{
		const LlmValue *role = llm_value_get(messages->u.seq.items[i], "role");
		const LlmValue *content = llm_value_get(messages->u.seq.items[i], "content");

		if (role == NULL || role->kind != LLM_VALUE_STRING)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("message %zu has no \"role\" that is a string", i + 1),
					 errhint("A message is an object such as {\"role\": \"user\", \"content\": \"Hello\"}.")));
		if (role->u.text.len == 4 && memcmp(role->u.text.bytes, "user", 4) == 0 &&
			content != NULL && content->kind == LLM_VALUE_STRING)
			last_user = i;
	}
	return last_user;
}

/* variables for the template: template_kwargs and tools */
static LlmValue *
variables_with_tools(LlmArena *arena, const LlmValue *kwargs, LlmStr tools)
{
	LlmValue   *map;
	LlmValue   *list;
	LlmError	err;

	PGLLM_CHECK(llm_value_from_json(arena, tools.data, tools.len, &list, &err), &err);
	if (list->kind != LLM_VALUE_LIST)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("tools must be a JSON array"),
				 errhint("For example '[{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": {}}}]'.")));
	PGLLM_CHECK(llm_value_map(arena, &map, &err), &err);
	for (size_t i = 0; kwargs != NULL && i < kwargs->u.seq.n; i++)
	{
		LlmText		key = kwargs->u.seq.keys[i]->u.text;

		PGLLM_CHECK(llm_value_set(arena, map, pnstrdup(key.bytes, key.len), kwargs->u.seq.items[i], &err), &err);
	}
	PGLLM_CHECK(llm_value_set(arena, map, "tools", list, &err), &err);
	return map;
}

/* tools that the template does not show to the model would be lost silently: raise */
static void
check_tools_rendered(const PgLlmCall *call, const LlmValue *messages, const LlmValue *without, const LlmValue *with)
{
	const LlmModel *model = call->model->model;
	LlmText		text[2];
	LlmArena	arena;
	LlmStr		no_prefix = {.data = "", .len = 0};
	LlmError	err;
	bool		same;

	llm_arena_init(&arena, call->allocator, 0);
	for (int i = 0; i < 2; i++)
		PGLLM_RUN(llm_prompt_render(model, messages, i == 0 ? without : with, no_prefix, true, pgllm_statement_time(),
									&arena, pgllm_stop(), &text[i], &err), &err);
	same = text[0].len == text[1].len && memcmp(text[0].bytes, text[1].bytes, text[0].len) == 0;
	llm_arena_free(&arena);
	if (same)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the chat template of model \"%s\" does not show tools to the model", call->model->name),
				 errhint("Describe the tools in a system message, or use a model that was made for tools.")));
}

PgLlmCall *
pgllm_generate_chat(PgLlmModel *model, PgLlmGenerateArgs *args, LlmStr messages, const LlmStr *tools)
{
	PgLlmCall  *call = pgllm_call_create(model);
	MemoryContext old = MemoryContextSwitchTo(call->context);
	PromptSource source;
	LlmArena	arena;
	LlmValue   *list;
	LlmStr		data = {.data = "", .len = 0};
	LlmError	err;

	source_init(&source, call, args);
	llm_arena_init(&arena, call->allocator, 0);
	PGLLM_CHECK(llm_value_from_json(&arena, messages.data, messages.len, &list, &err), &err);
	PGLLM_RUN(llm_prompt_join_parts(model->model, list, pgllm_statement_time(), &arena, pgllm_stop(), &err), &err);
	source.messages = list;
	source.cut_message = check_messages(list);
	if (source.cut_message != SIZE_MAX)
	{
		const LlmValue *content = llm_value_get(list->u.seq.items[source.cut_message], "content");

		data.data = content->u.text.bytes;
		data.len = content->u.text.len;
	}
	if (tools != NULL)
	{
		source.extra = variables_with_tools(&arena, args->options.template_kwargs, *tools);
		check_tools_rendered(call, list, args->options.template_kwargs, source.extra);
	}
	begin(&source, build_chat, data);
	MemoryContextSwitchTo(old);
	return call;
}

/* what an answer holds beside its error */
typedef struct GenerateAnswer
{
	bool		truncated;
	bool		length;			/* ended by max_tokens or the context */
	bool		calls_tools;	/* the text is a message in JSON */
	int32		n_prompt;
	int32		n_cached;
	int32		n_output;
	double		logprob;
	double		ms;
	int32		text_bytes;
	char		text[FLEXIBLE_ARRAY_MEMBER];	/* in the server's encoding */
} GenerateAnswer;

/* begun calls are one: its answer */
PgLlmAnswer *
pgllm_generate_answer(PgLlmWork *work)
{
	PgLlmCall  *call = work->calls[0];
	LlmGeneration generation = {0};
	text	   *value = NULL;
	text	   *message = NULL;
	PgLlmAnswer *answer;
	GenerateAnswer *data;
	instr_time	now;

	if (call->error.status == LLM_OK)
	{
		llm_request_generation(call->request, &generation);
		value = pgllm_from_utf8_or_error(generation.text + generation.answer_off, generation.text_len - generation.answer_off, &call->error);
		if (value && call->reads_calls && generation.finish == LLM_FINISH_STOP)
			message = pgllm_chat_message(call, &generation);
		if (message)
			value = message;
	}
	answer = pgllm_answer_create(offsetof(GenerateAnswer, text) + (value ? VARSIZE_ANY_EXHDR(value) : 0), &call->error);
	data = (GenerateAnswer *) answer->data;
	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, call->begun);
	data->ms = INSTR_TIME_GET_MILLISEC(now);
	data->truncated = call->truncated;
	data->n_prompt = (int32) Min(call->n_prompt, PG_INT32_MAX);
	if (value == NULL)
		return answer;
	data->length = generation.finish == LLM_FINISH_LENGTH;
	data->calls_tools = message != NULL;
	data->n_cached = (int32) llm_request_cached_tokens(call->request);
	data->n_output = (int32) generation.n_tokens;
	data->logprob = generation.logprob;
	data->text_bytes = VARSIZE_ANY_EXHDR(value);
	memcpy(data->text, VARDATA_ANY(value), data->text_bytes);
	return answer;
}

static Datum
text_of(const GenerateAnswer *data)
{
	return PointerGetDatum(cstring_to_text_with_len(data->text, data->text_bytes));
}

text *
pgllm_generate_text(const PgLlmAnswer *answer)
{
	return DatumGetTextPP(text_of((const GenerateAnswer *) answer->data));
}

Datum
pgllm_generate_finish_text(FunctionCallInfo fcinfo, const PgLlmPrepared *prepared, const PgLlmAnswer *answer)
{
	if (pgllm_answer_failed(answer))
		PG_RETURN_NULL();
	return text_of((const GenerateAnswer *) answer->data);
}

/* message and detail of a row's error as one text */
static Datum
error_text(const LlmError *error)
{
	StringInfoData s;

	initStringInfo(&s);
	appendStringInfoString(&s, pgllm_message_from_utf8(error->message));
	if (error->detail[0])
		appendStringInfo(&s, ": %s", pgllm_message_from_utf8(error->detail));
	return CStringGetTextDatum(s.data);
}

/* a row llm_completion, which holds the error of a call that failed */
Datum
pgllm_generate_finish_row(FunctionCallInfo fcinfo, const PgLlmPrepared *prepared, const PgLlmAnswer *answer)
{
	enum
	{
		VALUE, ERROR_TEXT, FINISH_REASON, TRUNCATED, PROMPT_TOKENS, CACHED_TOKENS, OUTPUT_TOKENS, LOGPROB, MS, MODEL, DIGEST,
		N_COLUMNS
	};
	const GenerateAnswer *data = (const GenerateAnswer *) answer->data;
	const LlmError *error = pgllm_answer_error(answer);
	Datum		values[N_COLUMNS] = {0};
	bool		nulls[N_COLUMNS] = {false};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != N_COLUMNS)
		elog(ERROR, "result must be llm_completion");
	nulls[VALUE] = nulls[LOGPROB] = nulls[OUTPUT_TOKENS] = nulls[CACHED_TOKENS] = error != NULL;
	nulls[ERROR_TEXT] = error == NULL;
	if (error != NULL)
	{
		values[ERROR_TEXT] = error_text(error);
		values[FINISH_REASON] = CStringGetTextDatum("error");
	}
	else
	{
		values[VALUE] = text_of(data);
		values[FINISH_REASON] = CStringGetTextDatum(data->calls_tools ? "tool_calls" : data->length ? "length" : "stop");
		values[CACHED_TOKENS] = Int32GetDatum(data->n_cached);
		values[OUTPUT_TOKENS] = Int32GetDatum(data->n_output);
		values[LOGPROB] = Float8GetDatum(data->logprob);
	}
	values[TRUNCATED] = BoolGetDatum(data->truncated);
	values[PROMPT_TOKENS] = Int32GetDatum(data->n_prompt);
	values[MS] = Float8GetDatum(data->ms);
	values[MODEL] = CStringGetTextDatum(prepared->model->name);
	values[DIGEST] = CStringGetTextDatum(prepared->model->digest);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}
