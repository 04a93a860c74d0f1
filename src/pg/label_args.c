/*
 * label_args.c: arguments of the deciding functions: labels, descriptions, examples, thresholds.
 */
#include "label_question.h"

#include <math.h>

static void
bad_argument(const char *hint, const char *format,...) __attribute__((noreturn, format(printf, 2, 3)));

/* raise 22023 with a hint; format is the message */
static void
bad_argument(const char *hint, const char *format,...)
{
	char		message[512];
	va_list		args;

	va_start(args, format);
	vsnprintf(message, sizeof message, format, args);
	va_end(args);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg_internal("%s", message),
			 errhint("%s", hint)));
}

/* at most 100 bytes of a string for a message, in the server's encoding */
static const char *
shown(LlmStr s)
{
	text	   *t;

	if (s.len > 100)
	{
		s.len = llm_utf8_complete_prefix(s.data, 100);
		return psprintf("%s...", shown(s));
	}
	t = pgllm_from_utf8(s.data, s.len);
	return pnstrdup(VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
}

static int
compare_str(const void *a, const void *b)
{
	const LlmStr *x = a;
	const LlmStr *y = b;
	int			order = memcmp(x->data, y->data, Min(x->len, y->len));

	if (order != 0)
		return order;
	return x->len < y->len ? -1 : x->len > y->len;
}

static bool
is_blank(LlmStr s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] != ' ' && s.data[i] != '\t' && s.data[i] != '\n' && s.data[i] != '\r')
			return false;
	return true;
}

void
pgllm_labels_check(const LlmStr *labels, int n_labels, int n_min, const char *what)
{
	LlmStr	   *sorted;

	if (n_labels < n_min)
		bad_argument(n_min > 1 ? "Give two labels or more; to ask whether one thing is true, use llm_filter()." :
					 "Give at least one label.", "%s must have at least %d, not %d", what, n_min, n_labels);
	sorted = palloc(sizeof(LlmStr) * n_labels);
	for (int i = 0; i < n_labels; i++)
	{
		if (is_blank(labels[i]))
			bad_argument("Give every label a word that the model can answer with.", "%s must not be empty, but element %d is", what, i + 1);
		sorted[i] = labels[i];
	}
	qsort(sorted, n_labels, sizeof(LlmStr), compare_str);
	for (int i = 1; i < n_labels; i++)
		if (compare_str(&sorted[i - 1], &sorted[i]) == 0)
			bad_argument("Give every label once.", "%s must differ, but \"%s\" is there more than once", what, shown(sorted[i]));
	pfree(sorted);
}

int
pgllm_label_find(const LlmStr *labels, int n_labels, LlmStr label)
{
	for (int i = 0; i < n_labels; i++)
		if (compare_str(&labels[i], &label) == 0)
			return i;
	return -1;
}

/* a json argument as a value that lives in the current memory context */
static LlmValue *
parse_json(const text *json)
{
	LlmStr		utf8 = pgllm_to_utf8(json);
	LlmArena	arena;
	LlmValue   *value;
	LlmError	err;

	/* the arena's blocks belong to the memory context and are freed with it */
	llm_arena_init(&arena, pgllm_allocator(CurrentMemoryContext), 0);
	PGLLM_CHECK(llm_value_from_json(&arena, utf8.data, utf8.len, &value, &err), &err);
	return value;
}

static LlmStr
value_str(const LlmValue *value)
{
	return (LlmStr) {.data = value->u.text.bytes, .len = value->u.text.len};
}

LlmStr *
pgllm_descriptions_parse(const text *json, const LlmStr *labels, int n_labels)
{
	static const char hint[] = "Give an object such as {\"refund\": \"wants money back\", \"praise\": \"is pleased\"}.";
	const LlmValue *map = parse_json(json);
	LlmStr	   *result = palloc0(sizeof(LlmStr) * n_labels);

	if (map->kind != LLM_VALUE_MAP)
		bad_argument(hint, "descriptions must be a JSON object");
	for (size_t i = 0; i < map->u.seq.n; i++)
	{
		LlmStr		key = value_str(map->u.seq.keys[i]);
		int			label = pgllm_label_find(labels, n_labels, key);

		if (label < 0)
			bad_argument("Describe only labels that are given.", "description of \"%s\", which is not a label", shown(key));
		if (map->u.seq.items[i]->kind != LLM_VALUE_STRING)
			bad_argument(hint, "description of \"%s\" must be a string", shown(key));
		result[label] = value_str(map->u.seq.items[i]);
	}
	return result;
}

/* the member of example i, which must be there */
static const LlmValue *
example_member(const LlmValue *example, size_t i, const char *name, const char *hint)
{
	const LlmValue *value = llm_value_get(example, name);

	if (value == NULL)
		bad_argument(hint, "example %zu has no \"%s\"", i + 1, name);
	return value;
}

static int
example_label(const LlmValue *value, size_t i, const LlmStr *labels, int n_labels, const char *hint)
{
	int			label;

	if (value->kind != LLM_VALUE_STRING)
		bad_argument(hint, "label of example %zu must be a string", i + 1);
	label = pgllm_label_find(labels, n_labels, value_str(value));
	if (label < 0)
		bad_argument("Every example must carry one of the labels.", "example %zu has the label \"%s\", which is not among the labels",
					 i + 1, shown(value_str(value)));
	return label;
}

PgLlmExample *
pgllm_examples_parse(const text *json, PgLlmExampleKind kind, const LlmStr *labels, int n_labels, int *n)
{
	static const char *const hints[] = {
		[PGLLM_EXAMPLE_LABEL] = "Examples are an array such as [{\"input\": \"Works well.\", \"label\": \"positive\"}].",
		[PGLLM_EXAMPLE_YES_NO] = "Examples are an array such as [{\"input\": \"Works well.\", \"label\": true}].",
		[PGLLM_EXAMPLE_LABELS] = "Examples are an array such as [{\"input\": \"Works well.\", \"labels\": [\"praise\"]}].",
	};
	const char *hint = hints[kind];
	const LlmValue *list = parse_json(json);
	PgLlmExample *result;

	if (list->kind != LLM_VALUE_LIST)
		bad_argument(hint, "examples must be a JSON array");
	result = palloc0(sizeof(PgLlmExample) * Max(list->u.seq.n, 1));
	for (size_t i = 0; i < list->u.seq.n; i++)
	{
		const LlmValue *example = list->u.seq.items[i];
		const LlmValue *input = example_member(example, i, "input", hint);
		const LlmValue *label = example_member(example, i, kind == PGLLM_EXAMPLE_LABELS ? "labels" : "label", hint);

		if (input->kind != LLM_VALUE_STRING)
			bad_argument(hint, "input of example %zu must be a string", i + 1);
		result[i].input = value_str(input);
		if (kind == PGLLM_EXAMPLE_YES_NO && label->kind == LLM_VALUE_BOOL)
			result[i].label = label->u.boolean ? 0 : 1;
		else if (kind == PGLLM_EXAMPLE_YES_NO &&
				 (label->kind != LLM_VALUE_STRING || pgllm_label_find(labels, n_labels, value_str(label)) < 0))
			bad_argument(hint, "label of example %zu must be true, false, \"yes\" or \"no\"", i + 1);
		else if (kind != PGLLM_EXAMPLE_LABELS)
			result[i].label = example_label(label, i, labels, n_labels, hint);
		else
		{
			if (label->kind != LLM_VALUE_LIST)
				bad_argument(hint, "labels of example %zu must be an array", i + 1);
			result[i].applies = palloc0(sizeof(bool) * n_labels);
			for (size_t k = 0; k < label->u.seq.n; k++)
				result[i].applies[example_label(label->u.seq.items[k], i, labels, n_labels, hint)] = true;
		}
	}
	*n = (int) list->u.seq.n;
	return result;
}

double
pgllm_fraction_arg(FunctionCallInfo fcinfo, int argno, const char *name, double default_value)
{
	double		value;

	if (PG_ARGISNULL(argno))
		return default_value;
	value = PG_GETARG_FLOAT8(argno);
	if (!(value >= 0 && value <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be between 0 and 1, is %g", name, value),
				 errhint("It is compared with a probability.")));
	return value;
}
