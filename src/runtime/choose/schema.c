/*
 * schema.c: reading the keywords of a schema.
 */
#include "choose/schema.h"

#include <stdlib.h>
#include <string.h>

#include "choose/regex.h"

/* more distinct values than this, and uniqueItems would need too many states */
#define MAX_UNIQUE_VALUES 10
#define MAX_COUNT (1 << 30)		/* no text is longer */

static LlmStatus
add_schema(LlmSchemas *s, const LlmJson *json, int types, int32_t *schema)
{
	LlmSchema	n = {.json = json, .read = json == NULL, .types = types, .items = LLM_SCHEMA_TRUE, .max_items = UINT32_MAX,
	.additional = LLM_SCHEMA_TRUE, .names = LLM_SCHEMA_TRUE, .max_properties = UINT32_MAX};

	*schema = (int32_t) s->list.n;
	LLM_TRY(llm_compile_steps(s->cx, 4));
	return llm_vec_push(s->cx, &s->list, &n, sizeof(n));
}

LlmStatus
llm_schemas_init(LlmSchemas *s, LlmCompile *cx, const LlmJson *root, bool offered)
{
	int32_t		schema;

	memset(s, 0, sizeof(*s));
	s->cx = cx;
	s->offered = offered;
	LLM_TRY(add_schema(s, NULL, LLM_TYPE_ALL, &schema));
	LLM_TRY(add_schema(s, NULL, 0, &schema));
	return llm_schemas_visit(s, root);
}

/* ---- errors ---- */

static LlmStatus
bad_keyword(LlmSchemas *s, const char *keyword, const char *expected)
{
	LlmStatus	status = llm_fail(s->cx->err, LLM_E_ARGUMENT, "JSON Schema keyword \"%s\" must be %s", keyword, expected);

	llm_error_hint(s->cx->err, "Schemas follow JSON Schema draft 2020-12.");
	return status;
}

static LlmStatus
refuse(LlmSchemas *s, const char *keyword)
{
	LlmStatus	status = llm_fail(s->cx->err, LLM_E_UNSUPPORTED, "JSON Schema keyword \"%s\" is not supported", keyword);

	llm_error_hint(s->cx->err, "docs/functions.md lists the keywords that are supported.");
	return status;
}

/* ---- numbers of schemas ---- */

LlmStatus
llm_schemas_of(LlmSchemas *s, const LlmJson *json, int32_t *schema)
{
	LlmJson    *j = (LlmJson *) json;	/* the number is kept in the tree */

	if (json->kind == LLM_JSON_TRUE || json->kind == LLM_JSON_FALSE)
		*schema = json->kind == LLM_JSON_TRUE ? LLM_SCHEMA_TRUE : LLM_SCHEMA_FALSE;
	else if (json->kind != LLM_JSON_OBJECT)
	{
		LlmStatus	status = llm_fail(s->cx->err, LLM_E_ARGUMENT, "a JSON Schema must be an object, true or false");

		llm_error_hint(s->cx->err, "Schemas follow JSON Schema draft 2020-12.");
		return status;
	}
	else
	{
		if (j->schema < 0)
		{
			const LlmJson *same;

			LLM_TRY(llm_schemas_same(s, json, &same));
			if (same != json)
				j->schema = same->schema;
			else
				LLM_TRY(add_schema(s, json, LLM_TYPE_ALL, &j->schema));
		}
		*schema = j->schema;
	}
	return LLM_OK;
}

/* ---- constants ---- */

/* an array or object that must be just this */
static LlmStatus
read_constant(LlmSchemas *s, const LlmJson *v, int32_t *out)
{
	const bool	object = v->kind == LLM_JSON_OBJECT;
	int32_t		schema;

	if (v->constant >= 0)
	{
		*out = v->constant;
		return LLM_OK;
	}
	LLM_TRY(add_schema(s, NULL, object ? LLM_TYPE_OBJECT : LLM_TYPE_ARRAY, &schema));
	for (size_t i = 0; i < v->n; i++)
	{
		const LlmJson *item = v->items[i];
		LlmProperty p = {0};

		LLM_TRY(llm_schemas_enum(s, &item, 1, &p.schema));
		if (object)
		{
			p.key = v->keys[i];
			LLM_TRY(llm_vec_push(s->cx, &llm_schemas_get(s, schema)->properties, &p, sizeof(p)));
			LLM_TRY(llm_vec_push(s->cx, &llm_schemas_get(s, schema)->required, &p.key, sizeof(p.key)));
		}
		else
			LLM_TRY(llm_vec_push(s->cx, &llm_schemas_get(s, schema)->prefix, &p.schema, sizeof(p.schema)));
	}
	llm_schemas_get(s, schema)->items = LLM_SCHEMA_FALSE;
	llm_schemas_get(s, schema)->additional = LLM_SCHEMA_FALSE;
	if (!object)
		llm_schemas_get(s, schema)->min_items = llm_schemas_get(s, schema)->max_items = (uint32_t) v->n;
	((LlmJson *) v)->constant = schema;
	*out = schema;
	return LLM_OK;
}

/* texts of the strings (or numbers) among values as a condition */
static LlmStatus
add_texts(LlmSchemas *s, const LlmJson *const *values, size_t n, LlmJsonKind kind, LlmVec *conditions)
{
	LlmVec		texts = {0};
	LlmCondition c = {.good = 1};
	LlmDfa	   *dfa;

	for (size_t i = 0; i < n; i++)
	{
		if (values[i]->kind == kind)
			LLM_TRY(llm_vec_push(s->cx, &texts, &values[i]->text, sizeof(LlmStr)));
	}
	if (texts.n == 0)
		return LLM_OK;
	LLM_TRY(llm_dfa_strings(s->cx, texts.data, texts.n, true, &dfa));
	c.dfa = dfa;
	return llm_vec_push(s->cx, conditions, &c, sizeof(c));
}

LlmStatus
llm_schemas_enum(LlmSchemas *s, const LlmJson *const *values, size_t n, int32_t *schema)
{
	int			types = 0;
	LlmVec		group = {0};
	LlmVec		numbers = {0};
	LlmVec		strings = {0};
	int32_t		scalars;

	for (size_t i = 0; i < n; i++)
	{
		const LlmJson *v = values[i];
		int32_t		one;

		if (v->kind == LLM_JSON_ARRAY || v->kind == LLM_JSON_OBJECT)
		{
			LLM_TRY(read_constant(s, v, &one));
			LLM_TRY(llm_vec_push(s->cx, &group, &one, sizeof(one)));
		}
		else
			types |= v->kind == LLM_JSON_NULL ? LLM_TYPE_NULL : v->kind == LLM_JSON_FALSE ? LLM_TYPE_FALSE :
				v->kind == LLM_JSON_TRUE ? LLM_TYPE_TRUE : v->kind == LLM_JSON_STRING ? LLM_TYPE_STRING :
				memchr(v->text.data, '.', v->text.len) ? LLM_TYPE_FRACTION : LLM_TYPE_INTEGER;
	}
	LLM_TRY(add_texts(s, values, n, LLM_JSON_NUMBER, &numbers));
	LLM_TRY(add_texts(s, values, n, LLM_JSON_STRING, &strings));
	LLM_TRY(add_schema(s, NULL, types, &scalars));
	llm_schemas_get(s, scalars)->numbers = numbers;
	llm_schemas_get(s, scalars)->strings = strings;
	*schema = scalars;
	if (group.n == 0)
		return LLM_OK;
	if (types != 0)
		LLM_TRY(llm_vec_push(s->cx, &group, &scalars, sizeof(scalars)));
	LLM_TRY(add_schema(s, NULL, LLM_TYPE_ALL, schema));
	return llm_vec_push(s->cx, &llm_schemas_get(s, *schema)->any, &group, sizeof(group));
}

/* ---- keywords ---- */

/* a count: a whole number, perhaps written 2.0 */
static LlmStatus
read_count(LlmSchemas *s, const char *keyword, const LlmJson *v, uint32_t *n)
{
	uint64_t	count = 0;

	if (v->kind != LLM_JSON_NUMBER || memchr(v->text.data, '.', v->text.len) || v->text.data[0] == '-')
		return bad_keyword(s, keyword, "a whole number of at least 0");
	for (size_t i = 0; i < v->text.len && count <= MAX_COUNT; i++)
		count = count * 10 + (uint64_t) (v->text.data[i] - '0');
	*n = count > MAX_COUNT ? MAX_COUNT : (uint32_t) count;
	return LLM_OK;
}

static LlmStatus
add_condition(LlmSchemas *s, LlmVec *conditions, const LlmDfa *dfa, uint8_t good)
{
	LlmCondition c = {.dfa = dfa, .good = good};

	return llm_vec_push(s->cx, conditions, &c, sizeof(c));
}

static int
type_bits(LlmStr name)
{
	static const struct
	{
		const char *name;
		int			bits;
	}			types[] = {
		{"null", LLM_TYPE_NULL}, {"boolean", LLM_TYPE_FALSE | LLM_TYPE_TRUE}, {"integer", LLM_TYPE_INTEGER},
		{"number", LLM_TYPE_NUMBER}, {"string", LLM_TYPE_STRING}, {"array", LLM_TYPE_ARRAY}, {"object", LLM_TYPE_OBJECT},
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
	{
		if (llm_str_equals(name, types[i].name))
			return types[i].bits;
	}
	return 0;
}

static LlmStatus
read_type(LlmSchemas *s, LlmSchema *out, const LlmJson *v)
{
	const LlmJson *const one = v;
	const LlmJson *const *names = v->kind == LLM_JSON_ARRAY ? (const LlmJson *const *) v->items : &one;
	size_t		n = v->kind == LLM_JSON_ARRAY ? v->n : 1;
	int			types = 0;

	for (size_t i = 0; i < n; i++)
	{
		int			bits = names[i]->kind == LLM_JSON_STRING ? type_bits(names[i]->text) : 0;

		if (bits == 0)
			return bad_keyword(s, "type", "a name of a type, or a list of them");
		types |= bits;
	}
	out->types &= types;
	return LLM_OK;
}

static LlmStatus
read_list(LlmSchemas *s, const char *keyword, const LlmJson *v, bool may_be_empty, LlmVec *list)
{
	if (v->kind != LLM_JSON_ARRAY || (v->n == 0 && !may_be_empty))
		return bad_keyword(s, keyword, "a list of schemas");
	for (size_t i = 0; i < v->n; i++)
	{
		int32_t		schema;

		LLM_TRY(llm_schemas_of(s, v->items[i], &schema));
		LLM_TRY(llm_vec_push(s->cx, list, &schema, sizeof(schema)));
	}
	return LLM_OK;
}

static LlmStatus
read_properties(LlmSchemas *s, LlmSchema *out, const LlmJson *v)
{
	if (v->kind != LLM_JSON_OBJECT)
		return bad_keyword(s, "properties", "an object");
	for (size_t i = 0; i < v->n; i++)
	{
		LlmProperty p = {v->keys[i], 0};

		LLM_TRY(llm_schemas_of(s, v->items[i], &p.schema));
		LLM_TRY(llm_vec_push(s->cx, &out->properties, &p, sizeof(p)));
	}
	return LLM_OK;
}

static LlmStatus
read_patterns(LlmSchemas *s, LlmSchema *out, const LlmJson *v)
{
	if (v->kind != LLM_JSON_OBJECT)
		return bad_keyword(s, "patternProperties", "an object");
	for (size_t i = 0; i < v->n; i++)
	{
		LlmPattern	p = {0};
		LlmDfa	   *dfa;

		LLM_TRY(llm_regex_dfa(s->cx, v->keys[i], &dfa));
		p.dfa = dfa;
		LLM_TRY(llm_schemas_of(s, v->items[i], &p.schema));
		LLM_TRY(llm_vec_push(s->cx, &out->patterns, &p, sizeof(p)));
	}
	return LLM_OK;
}

static LlmStatus
read_required(LlmSchemas *s, LlmSchema *out, const LlmJson *v)
{
	if (v->kind != LLM_JSON_ARRAY)
		return bad_keyword(s, "required", "a list of strings");
	for (size_t i = 0; i < v->n; i++)
	{
		if (v->items[i]->kind != LLM_JSON_STRING)
			return bad_keyword(s, "required", "a list of strings");
		LLM_TRY(llm_vec_push(s->cx, &out->required, &v->items[i]->text, sizeof(LlmStr)));
	}
	return LLM_OK;
}

static LlmStatus
read_bound(LlmSchemas *s, LlmSchema *out, const char *keyword, const LlmJson *v, uint8_t good)
{
	LlmDfa	   *dfa;

	if (v->kind != LLM_JSON_NUMBER)
		return bad_keyword(s, keyword, "a number");
	LLM_TRY(llm_dfa_compare(s->cx, v->text, &dfa));
	return add_condition(s, &out->numbers, dfa, good);
}

/* the values that schema lists; false if it does not */
static LlmStatus
listed_values(LlmSchemas *s, const LlmJson *json, int depth, LlmVec *values, bool *listed)
{
	const LlmJson *v;

	*listed = false;
	if (json->kind == LLM_JSON_FALSE)
		*listed = true;
	else if ((v = llm_json_get(json, "$ref")) && v->kind == LLM_JSON_STRING && depth < 10)
	{
		LLM_TRY(llm_schemas_follow(s, json, v->text, &v));
		return listed_values(s, v, depth + 1, values, listed);
	}
	else if ((v = llm_json_get(json, "const")))
	{
		*listed = true;
		return llm_vec_push(s->cx, values, &v, sizeof(v));
	}
	else if ((v = llm_json_get(json, "enum")) && v->kind == LLM_JSON_ARRAY)
	{
		*listed = true;
		for (size_t i = 0; i < v->n; i++)
			LLM_TRY(llm_vec_push(s->cx, values, &v->items[i], sizeof(v)));
	}
	else if ((v = llm_json_get(json, "type")) && v->kind == LLM_JSON_STRING &&
			 (llm_str_equals(v->text, "boolean") || llm_str_equals(v->text, "null")))
	{
		static const LlmJson null = {.kind = LLM_JSON_NULL, .schema = -1, .constant = -1};
		static const LlmJson no = {.kind = LLM_JSON_FALSE, .schema = -1, .constant = -1};
		static const LlmJson yes = {.kind = LLM_JSON_TRUE, .schema = -1, .constant = -1};
		const LlmJson *both[] = {llm_str_equals(v->text, "null") ? &null : &no, &yes};

		*listed = true;
		LLM_TRY(llm_vec_push(s->cx, values, &both[0], sizeof(v)));
		if (both[0] == &no)
			return llm_vec_push(s->cx, values, &both[1], sizeof(v));
	}
	return LLM_OK;
}

/* uniqueItems needs to know all values that an item can have */
static LlmStatus
read_unique(LlmSchemas *s, LlmSchema *out, const LlmJson *json)
{
	const LlmJson *prefix = llm_json_get(json, "prefixItems");
	const LlmJson *items = llm_json_get(json, "items");
	const size_t n_prefix = prefix ? prefix->n : 0;
	LlmVec		values = {0};

	if (out->items == LLM_SCHEMA_FALSE && out->max_items > n_prefix)
		out->max_items = (uint32_t) n_prefix;
	if (out->max_items <= 1 || !(out->types & LLM_TYPE_ARRAY))
		return LLM_OK;
	for (size_t i = 0; i <= n_prefix; i++)
	{
		const LlmJson *item = i < n_prefix ? prefix->items[i] : items;
		bool		listed = false;

		if (i >= out->max_items)
			break;
		if (item)
			LLM_TRY(listed_values(s, item, 0, &values, &listed));
		if (!listed)
			return refuse(s, "uniqueItems over items that are no enum");
	}
	for (size_t i = 0; i < values.n; i++)
	{
		const LlmJson *v = ((const LlmJson **) values.data)[i];
		size_t		k = 0;

		while (k < out->unique.n && !llm_json_same(((const LlmJson **) out->unique.data)[k], v))
			k++;
		if (k == out->unique.n)
			LLM_TRY(llm_vec_push(s->cx, &out->unique, &v, sizeof(v)));
		if (out->unique.n > MAX_UNIQUE_VALUES)
			return refuse(s, "uniqueItems over more than 10 values");
	}
	out->is_unique = true;
	return LLM_OK;
}

static LlmStatus
read_string_keyword(LlmSchemas *s, LlmSchema *out, const LlmJson *json)
{
	const LlmJson *pattern = llm_json_get(json, "pattern");
	const LlmJson *format = llm_json_get(json, "format");
	const LlmJson *min = llm_json_get(json, "minLength");
	const LlmJson *max = llm_json_get(json, "maxLength");
	uint32_t	least = 0;
	uint32_t	most = UINT32_MAX;
	LlmDfa	   *dfa;

	if (pattern)
	{
		if (pattern->kind != LLM_JSON_STRING)
			return bad_keyword(s, "pattern", "a string");
		LLM_TRY(llm_regex_dfa(s->cx, pattern->text, &dfa));
		LLM_TRY(add_condition(s, &out->strings, dfa, 1));
	}
	if (format)
	{
		if (format->kind != LLM_JSON_STRING)
			return bad_keyword(s, "format", "a string");
		LLM_TRY(llm_dfa_format(s->cx, format->text, s->offered, &dfa));
		if (dfa)
			LLM_TRY(add_condition(s, &out->strings, dfa, 1));
		if (dfa && s->offered && format->text.len >= 4 && memcmp(format->text.data, "date", 4) == 0)
		{
			/* RFC 3339 has a year 0000; databases and languages have not: it is not offered */
			LLM_TRY(llm_regex_dfa(s->cx, (LlmStr) {"^[0-9]{0,3}[1-9]", 16}, &dfa));
			LLM_TRY(add_condition(s, &out->strings, dfa, 1));
		}
	}
	if (min)
		LLM_TRY(read_count(s, "minLength", min, &least));
	if (max)
		LLM_TRY(read_count(s, "maxLength", max, &most));
	if (!min && !max)
		return LLM_OK;
	if (least > most)
	{
		out->types &= ~LLM_TYPE_STRING;
		return LLM_OK;
	}
	return llm_vec_push(s->cx, &out->strings, &(LlmCondition) {.good = 1, .least = least, .most = most}, sizeof(LlmCondition));
}

/* keywords whose meaning is a value of their own; the others are read after them */
static LlmStatus
read_keyword(LlmSchemas *s, LlmSchema *out, const char *k, const LlmJson *v)
{
	LlmVec		group = {0};
	int32_t		one;

	if (strcmp(k, "type") == 0)
		return read_type(s, out, v);
	if (strcmp(k, "enum") == 0 || strcmp(k, "const") == 0)
	{
		const LlmJson *const constant = v;

		if (k[0] == 'e' && v->kind != LLM_JSON_ARRAY)
			return bad_keyword(s, "enum", "a list of values");
		LLM_TRY(k[0] == 'e' ? llm_schemas_enum(s, (const LlmJson *const *) v->items, v->n, &one) :
				llm_schemas_enum(s, &constant, 1, &one));
		return llm_vec_push(s->cx, &out->all, &one, sizeof(one));
	}
	if (strcmp(k, "$ref") == 0)
	{
		const LlmJson *target = NULL;

		if (v->kind != LLM_JSON_STRING)
			return bad_keyword(s, "$ref", "a string");
		LLM_TRY(llm_schemas_follow(s, out->json, v->text, &target));
		LLM_TRY(llm_schemas_of(s, target, &one));
		return llm_vec_push(s->cx, &out->all, &one, sizeof(one));
	}
	if (strcmp(k, "allOf") == 0)
		return read_list(s, k, v, false, &out->all);
	if (strcmp(k, "anyOf") == 0 || strcmp(k, "oneOf") == 0)
	{
		LLM_TRY(read_list(s, k, v, false, &group));
		return llm_vec_push(s->cx, k[0] == 'a' ? &out->any : &out->one, &group, sizeof(group));
	}
	if (strcmp(k, "minimum") == 0)
		return read_bound(s, out, k, v, 2 | 4);
	if (strcmp(k, "exclusiveMinimum") == 0)
		return read_bound(s, out, k, v, 4);
	if (strcmp(k, "maximum") == 0)
		return read_bound(s, out, k, v, 1 | 2);
	if (strcmp(k, "exclusiveMaximum") == 0)
		return read_bound(s, out, k, v, 1);
	if (strcmp(k, "multipleOf") == 0)
	{
		LlmDfa	   *dfa;

		if (v->kind != LLM_JSON_NUMBER)
			return bad_keyword(s, k, "a number");
		LLM_TRY(llm_dfa_multiple(s->cx, v->text, &dfa));
		return add_condition(s, &out->numbers, dfa, 1);
	}
	if (strcmp(k, "prefixItems") == 0)
		return read_list(s, k, v, false, &out->prefix);
	if (strcmp(k, "items") == 0)
		return llm_schemas_of(s, v, &out->items);
	if (strcmp(k, "minItems") == 0)
		return read_count(s, k, v, &out->min_items);
	if (strcmp(k, "maxItems") == 0)
		return read_count(s, k, v, &out->max_items);
	if (strcmp(k, "properties") == 0)
		return read_properties(s, out, v);
	if (strcmp(k, "patternProperties") == 0)
		return read_patterns(s, out, v);
	if (strcmp(k, "additionalProperties") == 0)
	{
		out->has_additional = true;
		return llm_schemas_of(s, v, &out->additional);
	}
	if (strcmp(k, "propertyNames") == 0)
		return llm_schemas_of(s, v, &out->names);
	if (strcmp(k, "required") == 0)
		return read_required(s, out, v);
	if (strcmp(k, "minProperties") == 0)
		return read_count(s, k, v, &out->min_properties);
	if (strcmp(k, "maxProperties") == 0)
		return read_count(s, k, v, &out->max_properties);
	return LLM_OK;				/* an annotation, or read elsewhere */
}

/* what is refused, and the keywords without which (one of them) it says nothing */
static const struct
{
	const char *keyword;
	const char *with[2];
}			refused[] =
{
	{"not"},
	{"if", {"then", "else"}},
	{"then", {"if"}},
	{"else", {"if"}},
	{"contains"},
	{"minContains", {"contains"}},
	{"maxContains", {"contains"}},
	{"dependentRequired"},
	{"dependentSchemas"},
	{"dependencies"},
	{"unevaluatedItems"},
	{"unevaluatedProperties"},
	{"$dynamicRef"},
	{"$recursiveRef"},
};

/* refuse a keyword that is not supported, unless nothing depends on it here */
static LlmStatus
check_keyword(LlmSchemas *s, const LlmJson *json, LlmStr keyword, const LlmJson *v)
{
	for (size_t k = 0; k < sizeof(refused) / sizeof(refused[0]); k++)
	{
		const char *const *with = refused[k].with;

		if (!llm_str_equals(keyword, refused[k].keyword))
			continue;
		if (with[0] && !llm_json_get(json, with[0]) && (!with[1] || !llm_json_get(json, with[1])))
			return LLM_OK;
		if (strncmp(refused[k].keyword, "unevaluated", 11) == 0 && v->kind == LLM_JSON_TRUE)
			return LLM_OK;
		return refuse(s, refused[k].keyword);
	}
	return LLM_OK;
}

static LlmStatus
read_all(LlmSchemas *s, const LlmJson *json, LlmSchema *out)
{
	const LlmJson *unique = llm_json_get(json, "uniqueItems");

	for (size_t i = 0; i < json->n; i++)
	{
		char		keyword[32] = {0};

		LLM_TRY(check_keyword(s, json, json->keys[i], json->items[i]));
		if (json->keys[i].len >= sizeof(keyword))
			continue;
		memcpy(keyword, json->keys[i].data, json->keys[i].len);
		LLM_TRY(read_keyword(s, out, keyword, json->items[i]));
	}
	LLM_TRY(read_string_keyword(s, out, json));
	if (unique && unique->kind != LLM_JSON_TRUE && unique->kind != LLM_JSON_FALSE)
		return bad_keyword(s, "uniqueItems", "true or false");
	return unique && unique->kind == LLM_JSON_TRUE ? read_unique(s, out, json) : LLM_OK;
}

LlmStatus
llm_schemas_read(LlmSchemas *s, int32_t schema)
{
	LlmSchema	own = *llm_schemas_get(s, schema);

	if (own.read)
		return LLM_OK;

	/* reading adds schemas, which moves the list: fill a copy */
	own.read = true;
	LLM_TRY(read_all(s, own.json, &own));
	*llm_schemas_get(s, schema) = own;
	return LLM_OK;
}
