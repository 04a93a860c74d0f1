/*
 * grammar_test.c: which texts each kind of grammar holds: regular expressions, choices, GBNF, and JSON Schema keyword by
 * keyword; what is refused, and by which name; hostile grammars end at their limits.
 */
#include "check.h"
#include "choose/grammar.h"
#include "fail_alloc.h"

#define CHECK_OK(call, err) CHECK_MSG((call) == LLM_OK, "%s | %s", (err)->message, (err)->hint)

static LlmStr
str(const char *s)
{
	return (LlmStr) {s, strlen(s)};
}

typedef LlmStatus (*MakeFn) (LlmStr text, const LlmAllocator *a, const LlmGrammarWork *work, LlmGrammar **out, LlmError *err);

/* a grammar, texts that are in it and texts that are not; both end with NULL */
typedef struct GrammarCase
{
	const char *grammar;
	const char *in[8];
	const char *out[8];
} GrammarCase;

static const GrammarCase regex_cases[] = {
	{"^a{2,3}$", {"aa", "aaa"}, {"a", "aaaa", "aab"}},
	{"b+", {"b", "abc", "xxb"}, {"", "a"}},
	{"^(?:ab|c)*$", {"", "abc", "cab"}, {"a", "abb"}},
	{"^[^a-c\\d]$", {"d", "é", "😀"}, {"a", "5", "dd"}},
	{"^\\p{Lu}\\p{Ll}+$", {"Hello", "Élan"}, {"hello", "H1"}},
	{"\\bfoo\\b", {"foo", "a foo b"}, {"foobar", "xfoo"}},
	{"^.$", {"a", "\t"}, {"\n", "ab", "\xE2\x80\xA8"}},
	{"^[\\u{1F600}-\\u{1F64F}]$", {"😀"}, {"a", "😀😀"}},
	{"^x??y*?$", {"", "x", "yy"}, {"xx"}},
	{"a|^$", {"", "cat"}, {"dog"}},
};

static const GrammarCase gbnf_cases[] = {
	{"root ::= \"yes\" | \"no\"", {"yes", "no"}, {"", "yesno"}},
	{"root ::= item (\",\" ws item)*\nitem ::= [a-z]+ # words\nws ::= \" \"?\n", {"a", "ab,c", "a, b"}, {",", "a,", "a,  b"}},
	{"root ::= \"(\" root \")\" | [0-9]", {"1", "((2))"}, {"(1", "()", "12"}},
	{"root ::= \"a\"{2} \"b\"{1,} \"c\"{0,1}", {"aab", "aabbbc"}, {"ab", "aa", "aabcc"}},
	{"root ::= (\n  \"é\" |\n  \"\\u00fc\"\n)+", {"é", "ü", "éü"}, {"e"}},
	{"root ::= [^\"\\n]* \"\\\"\"", {"abc\"", "\""}, {"\n\"", "a"}},
	{"root ::= a b\na ::= \"x\"?\nb ::= \"x\" | \"y\"", {"x", "xx", "xy", "y"}, {"", "xyx"}},
};

static void
check_cases(const char *what, MakeFn make, const GrammarCase *cases, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		LlmGrammar *g;
		LlmError	err;
		bool		accepted;

		CHECK_OK(make(str(cases[i].grammar), &llm_malloc_allocator, NULL, &g, &err), &err);
		for (int k = 0; k < 8 && cases[i].in[k]; k++)
		{
			CHECK_OK(llm_grammar_accepts(g, str(cases[i].in[k]), &accepted, &err), &err);
			CHECK_MSG(accepted, "%s \"%s\" should hold \"%s\"", what, cases[i].grammar, cases[i].in[k]);
		}
		for (int k = 0; k < 8 && cases[i].out[k]; k++)
		{
			CHECK_OK(llm_grammar_accepts(g, str(cases[i].out[k]), &accepted, &err), &err);
			CHECK_MSG(!accepted, "%s \"%s\" should not hold \"%s\"", what, cases[i].grammar, cases[i].out[k]);
		}
		llm_grammar_free(g);
	}
}

/* ---- JSON Schema ---- */

typedef struct SchemaCase
{
	const char *schema;
	const char *valid[6];
	const char *invalid[6];
} SchemaCase;

static const SchemaCase schema_cases[] = {
	{"{\"type\":\"integer\"}", {"1", "1.0", "-0", "1e3"}, {"1.5", "\"1\"", "null", "true"}},
	{"{\"type\":[\"null\",\"boolean\"]}", {"null", "true", "false"}, {"0", "\"\"", "[]"}},
	{"{\"enum\":[1,\"a\",[1,{\"b\":2}],null]}", {"1.0", "\"a\"", "[1,{\"b\":2.0}]", "null"}, {"2", "\"b\"", "[1,{\"b\":3}]", "false"}},
	{"{\"const\":{\"a\":1,\"b\":[2]}}", {"{\"b\":[2],\"a\":1}"}, {"{\"a\":1}", "{\"a\":1,\"b\":[2],\"c\":3}", "{\"a\":2,\"b\":[2]}"}},
	{"{\"minimum\":-1.5,\"exclusiveMaximum\":10}", {"-1.5", "0", "9.99", "\"x\""}, {"-1.51", "10", "1e2"}},
	{"{\"multipleOf\":0.25}", {"0.5", "-1.75", "3"}, {"0.3", "0.251"}},
	{"{\"oneOf\":[{\"type\":\"string\",\"title\":\"a\"},{\"type\":\"string\",\"title\":\"b\"},{\"type\":\"null\"}]}", {"null"}, {"\"x\"", "1"}},
	{"{\"properties\":{\"a\":{\"enum\":[1,\"1\"]},\"b\":{\"enum\":[1.0,\"1\"]},\"c\":{\"enum\":[\"1\"]}}}",
	{"{\"a\":\"1\",\"b\":1}"}, {"{\"c\":1}", "{\"b\":2}", "{\"a\":true}"}},
	{"{\"multipleOf\":30}", {"0", "-60", "9e1"}, {"10", "45", "30.5"}},
	{"{\"minLength\":2,\"maxLength\":3}", {"\"ab\"", "\"éüö\"", "\"😀😀\"", "5"}, {"\"a\"", "\"abcd\"", "\"😀\""}},
	{"{\"pattern\":\"b+$\"}", {"\"ab\"", "1"}, {"\"ba\"", "\"\""}},
	{"{\"format\":\"date\"}", {"\"2024-02-29\"", "1"}, {"\"2023-02-29\"", "\"2024-2-1\"", "\"2024-02-29 \""}},
	{"{\"format\":\"date-time\"}", {"\"2024-01-02T03:04:05Z\"", "\"2016-12-31T15:59:60-08:00\""},
	{"\"2024-01-02 03:04:05Z\"", "\"2016-12-31T15:58:60-08:00\"", "\"2024-01-02T24:00:00Z\""}},
	{"{\"format\":\"time\"}", {"\"23:59:60Z\"", "\"01:02:03.5+01:00\""}, {"\"01:02:03\"", "\"23:58:60Z\"", "\"25:00:00Z\""}},
	{"{\"format\":\"uuid\"}", {"\"2EB8AA08-aa98-11ea-b4aa-73b441d16380\""}, {"\"2eb8aa08aa9811eab4aa73b441d16380\""}},
	{"{\"format\":\"email\"}", {"\"a.b@example.com\"", "\"a@[127.0.0.1]\""}, {"\"a\"", "\".a@b.c\"", "\"a@b=c\""}},
	{"{\"format\":\"ipv4\"}", {"\"1.2.3.255\""}, {"\"1.2.3\"", "\"01.2.3.4\"", "\"1.2.3.256\""}},
	{"{\"format\":\"ipv6\"}", {"\"::\"", "\"1::2:3\"", "\"::ffff:1.2.3.4\""}, {"\"1::2::3\"", "\"12345::\"", "\"1:2\""}},
	{"{\"format\":\"uri\"}", {"\"http://a.b/c?d#e\"", "\"urn:x:y\""}, {"\"/abc\"", "\"http://a b\"", "\"a,b:c\""}},
	{"{\"format\":\"nonsense\"}", {"\"x\"", "1"}, {NULL}},
	{"{\"items\":{\"type\":\"integer\"},\"minItems\":1,\"maxItems\":2}", {"[1]", "[1,2]", "{}"}, {"[]", "[1,2,3]", "[\"a\"]"}},
	{"{\"prefixItems\":[{\"type\":\"null\"}],\"items\":{\"type\":\"boolean\"}}", {"[]", "[null]", "[null,true]"}, {"[1]", "[null,1]"}},
	{"{\"items\":{\"enum\":[1,2,3]},\"uniqueItems\":true}", {"[]", "[2,1]", "[3,2,1]"}, {"[1,1]", "[1,2.0,2]"}},
	{"{\"properties\":{\"a\":{\"type\":\"integer\"}},\"required\":[\"a\"]}", {"{\"a\":1}", "{\"z\":0,\"a\":1}", "3"}, {"{}", "{\"a\":\"x\"}"}},
	{"{\"properties\":{\"a\":{}},\"patternProperties\":{\"^x\":{\"type\":\"null\"}},\"additionalProperties\":{\"type\":\"boolean\"}}",
	{"{\"a\":1}", "{\"x1\":null}", "{\"b\":true,\"a\":[]}"}, {"{\"x1\":true}", "{\"b\":1}"}},
	{"{\"patternProperties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"minimum\":5}}}", {"{\"ab\":7}", "{\"a\":1,\"b\":\"x\"}"}, {"{\"ab\":3}", "{\"ab\":5.5}"}},
	{"{\"propertyNames\":{\"maxLength\":2}}", {"{\"ab\":1}"}, {"{\"abc\":1}"}},
	{"{\"minProperties\":1,\"maxProperties\":2}", {"{\"a\":1}", "{\"a\":1,\"b\":2}"}, {"{}", "{\"a\":1,\"b\":2,\"c\":3}"}},
	{"{\"anyOf\":[{\"type\":\"integer\"},{\"minimum\":2}]}", {"1", "2.5", "\"x\""}, {"1.5"}},
	{"{\"oneOf\":[{\"minLength\":2},{\"maxLength\":4}]}", {"\"\"", "\"a\"", "\"abcde\""}, {"\"ab\"", "\"abcd\"", "3"}},
	{"{\"oneOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}", {"{\"a\":1}", "{\"b\":1}"}, {"{}", "{\"b\":1,\"a\":1}"}},
	{"{\"oneOf\":[{\"items\":{\"minimum\":3}},{\"items\":{\"maximum\":7}}]}", {"[1]", "[9,4]"}, {"[5]", "[1,9]", "[]"}},
	{"{\"allOf\":[{\"multipleOf\":2},{\"minimum\":3}],\"type\":\"integer\"}", {"4"}, {"2", "5"}},
	{"{\"$ref\":\"#/$defs/t\",\"$defs\":{\"t\":{\"properties\":{\"l\":{\"$ref\":\"#/$defs/t\"}},\"additionalProperties\":false}}}",
	{"{}", "{\"l\":{\"l\":{}}}"}, {"{\"l\":{\"x\":1}}"}},
	/* names, and schemas with a URI of their own: as written, relative, from the root, of two that have the same name */
	{"{\"$ref\":\"#n%61me\",\"$defs\":{\"x\":{\"$anchor\":\"name\",\"type\":\"null\"}}}", {"null"}, {"1"}},
	{"{\"$ref\":\"x\",\"$defs\":{\"a\":{\"$id\":\"x\",\"$defs\":{\"b\":{\"type\":\"null\"}},\"$ref\":\"#/$defs/b\"},\"b\":{\"type\":\"boolean\"}}}",
	{"null"}, {"true"}},
	{"{\"$id\":\"http://h/a/b.json\",\"$ref\":\"../c/./d.json#n\",\"$defs\":{\"x\":{\"$id\":\"/c/d.json\",\"$anchor\":\"n\",\"type\":\"null\"},"
		"\"y\":{\"$anchor\":\"n\",\"type\":\"boolean\"}}}", {"null"}, {"true"}},
	{"{\"$id\":\"urn:x:1\",\"items\":{\"$ref\":\"urn:x:1#/$defs/n\"},\"$defs\":{\"n\":{\"type\":\"null\"}}}", {"[null]"}, {"[1]"}},
	{"{\"$ref\":\"//h/x?q\",\"$id\":\"s://g/y\",\"$defs\":{\"n\":{\"$id\":\"s://h/x?q\",\"type\":\"null\"}}}", {"null"}, {"1"}},
	/* keywords that say nothing by themselves */
	{"{\"if\":{\"type\":\"null\"},\"minContains\":2,\"maxContains\":1,\"unevaluatedItems\":true}", {"1", "[]"}, {NULL}},
	{"{\"then\":false,\"else\":false}", {"1"}, {NULL}},
	{"{\"$ref\":\"#/$defs/a\\u0000b\",\"$defs\":{\"a\":{\"b\":{\"type\":\"boolean\"}},\"a\\u0000b\":{\"type\":\"null\"}}}", {"null"}, {"true"}},
	{"{\"$ref\":\"#/$defs/a~1b%25\",\"$defs\":{\"a/b%\":{\"type\":\"null\"}}}", {"null"}, {"1"}},
	{"true", {"1", "{\"a\":[{}]}"}, {NULL}},
	{"false", {NULL}, {"1", "null"}},
	{"{\"const\":\"a\\u0000\\n\\\"\"}", {"\"a\\u0000\\n\\\"\""}, {"\"a\""}},
};

static void
check_accepts(const char *schema, const char *instance, bool expected)
{
	LlmError	err;
	bool		accepted;

	CHECK_OK(llm_schema_accepts(str(schema), str(instance), &llm_malloc_allocator, NULL, &accepted, &err), &err);
	CHECK_MSG(accepted == expected, "%s and %s", schema, instance);
}

static void
check_schemas(void)
{
	for (size_t i = 0; i < sizeof schema_cases / sizeof schema_cases[0]; i++)
	{
		const SchemaCase *c = &schema_cases[i];

		for (int k = 0; k < 6 && c->valid[k]; k++)
			check_accepts(c->schema, c->valid[k], true);
		for (int k = 0; k < 6 && c->invalid[k]; k++)
			check_accepts(c->schema, c->invalid[k], false);
	}
}

/* ---- what a model is offered ---- */

static const GrammarCase offered_cases[] = {
	{"{\"properties\":{\"b\":{\"type\":\"integer\"},\"a\":{\"type\":\"null\"}},\"required\":[\"a\"]}", {"{\"b\": 1, \"a\": null}", "{\"a\": null}"},
	{"{\"a\": null, \"b\": 1}", "{\"b\":1,\"a\":null}", "{\"a\": null, \"c\": 1}", "{\"b\": 1}"}},
	{"{\"properties\":{\"a\":{\"const\":1}},\"additionalProperties\":{\"type\":\"null\"}}", {"{\"a\": 1, \"z\": null}", "{\"z\": null}"},
	{"{\"z\": null, \"a\": 1}"}},
	/* amounts as texts write them; a whole number stays one where that matters */
	{"{\"type\":\"array\",\"items\":{\"type\":\"number\"}}", {"[]", "[1, 2.5]", "[1.0, 120.50]"}, {"[1,2]", "[01]", "[1e3]", "[-0]", "[-0.0]"}},
	{"{\"type\":\"integer\"}", {"1"}, {"1.0", "1.5"}},
	{"{\"oneOf\":[{\"type\":\"number\",\"multipleOf\":0.01},{\"type\":\"number\",\"maximum\":10}]}", {"11.5", "6.905", "6.9001"}, {"6.9", "6.90", "6.900"}},
	{"{\"oneOf\":[{\"const\":1},{\"type\":\"number\"}]}", {"2", "1.5"}, {"1", "1.0", "1.00"}},
	{"{\"oneOf\":[{\"const\":1.5},{\"type\":\"number\"}]}", {"1.501", "2.5"}, {"1.5", "1.50"}},
	{"{\"oneOf\":[{\"enum\":[1.5,1.501]},{\"type\":\"number\"}]}", {"1.502", "1.51", "2.50"}, {"1.5", "1.50", "1.500", "1.501"}},
	{"{\"oneOf\":[{\"enum\":[1,1.05]},{\"type\":\"number\"}]}", {"1.06", "2.0", "2"}, {"1", "1.0", "1.00", "1.05"}},
	{"{\"type\":\"number\",\"minimum\":2.5,\"multipleOf\":0.01}", {"2.5", "2.50", "3.00"}, {"2.49", "2.500", "2.40"}},
	{"{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\",\"maximum\":5}]}", {"2.50", "7"}, {"2", "2.0", "7.0"}},
	{"{\"type\":\"string\",\"maxLength\":1}", {"\"\\u0001\""}, {"\"\\u0000\""}},
	{"{\"type\":\"string\"}", {"\"a\\nb\"", "\"é\\u0001\""}, {"\"\\u0041\"", "\"\\/\"", "\"a\nb\""}},
	{"{\"format\":\"date\",\"type\":\"string\"}", {"\"2024-02-29\""}, {"\"0000-01-01\""}},
};

static LlmStatus
make_schema(LlmStr text, const LlmAllocator *a, const LlmGrammarWork *work, LlmGrammar **out, LlmError *err)
{
	return llm_grammar_json_schema(text, false, a, work, out, err);
}

static void
check_choices_and_compact(void)
{
	const LlmStr texts[] = {str("a"), str("ab"), str("größer")};
	LlmGrammar *g;
	LlmError	err;
	bool		accepted;

	CHECK_OK(llm_grammar_choice(texts, 3, &llm_malloc_allocator, NULL, &g, &err), &err);
	CHECK_OK(llm_grammar_accepts(g, str("größer"), &accepted, &err), &err);
	CHECK(accepted);
	CHECK_OK(llm_grammar_accepts(g, str("b"), &accepted, &err), &err);
	CHECK(!accepted);
	CHECK(llm_grammar_least_bytes(g) == 1);
	llm_grammar_free(g);
	CHECK(llm_grammar_choice(texts, 0, &llm_malloc_allocator, NULL, &g, &err) == LLM_E_ARGUMENT);
	CHECK_OK(llm_grammar_json_schema(str("{\"properties\":{\"a\":{\"items\":{}}}}"), true, &llm_malloc_allocator, NULL, &g, &err), &err);
	CHECK_OK(llm_grammar_accepts(g, str("{\"a\":[1,{\"b\":2}]}"), &accepted, &err), &err);
	CHECK(accepted);
	llm_grammar_free(g);
}

/* ---- refusals and limits ---- */

static void
check_refused(MakeFn make, const char *text, LlmStatus status, const char *part)
{
	LlmGrammar *g;
	LlmError	err;
	LlmStatus	got = make(str(text), &llm_malloc_allocator, NULL, &g, &err);

	if (got == LLM_OK)
		llm_grammar_free(g);
	CHECK_MSG(got == status, "%.60s gives status %d, %s", text, got, got == LLM_OK ? "" : err.message);
	CHECK_MSG(got == LLM_OK || strstr(err.message, part), "%.60s: %s", text, err.message);
	CHECK_MSG(got == LLM_OK || err.hint[0], "%.60s has no hint", text);
}

static void
check_refusals(void)
{
	static const char *const keywords[] = {"not", "if", "then", "else", "contains", "minContains", "maxContains", "dependentRequired",
		"dependentSchemas", "unevaluatedItems", "unevaluatedProperties", "$dynamicRef"};

	for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
	{
		const char *what = strstr(keywords[i], "Contains") ? ",\"contains\":{}" : strcmp(keywords[i], "if") == 0 ? ",\"then\":{}" : ",\"if\":{}";
		char		schema[100];

		snprintf(schema, sizeof schema, "{\"items\":{\"%s\":{}%s}}", keywords[i], what);
		check_refused(make_schema, schema, LLM_E_UNSUPPORTED, keywords[i]);
	}
	check_refused(make_schema, "{\"uniqueItems\":true}", LLM_E_UNSUPPORTED, "uniqueItems");
	check_refused(make_schema, "{\"multipleOf\":0.123456789}", LLM_E_UNSUPPORTED, "multipleOf");
	check_refused(make_schema, "{\"$ref\":\"http://a/b\"}", LLM_E_UNSUPPORTED, "$ref");
	check_refused(make_schema, "{\"$ref\":\"b\",\"$defs\":{\"x\":{\"$id\":\"a\"}},\"enum\":[{\"$id\":\"b\"}]}", LLM_E_UNSUPPORTED, "$ref");
	check_refused(make_schema, "{\"$ref\":\"#b\",\"$defs\":{\"x\":{\"$id\":\"a\",\"$anchor\":\"b\"}}}", LLM_E_ARGUMENT, "points to nothing");
	check_refused(make_schema, "{\"if\":true,\"else\":true}", LLM_E_UNSUPPORTED, "\"if\"");
	check_refused(make_schema, "{\"$ref\":\"#\"}", LLM_E_UNSUPPORTED, "leads back");
	check_refused(make_schema, "{\"$ref\":\"#/$defs/x\"}", LLM_E_ARGUMENT, "points to nothing");
	check_refused(make_schema, "{\"type\":\"strin\"}", LLM_E_ARGUMENT, "type");
	check_refused(make_schema, "false", LLM_E_ARGUMENT, "no text fits");
	check_refused(make_schema, "{\"items\":", LLM_E_ARGUMENT, "invalid JSON");
	check_refused(llm_grammar_regex, "(a)\\1", LLM_E_UNSUPPORTED, "backreference");
	check_refused(llm_grammar_regex, "(?=a)", LLM_E_UNSUPPORTED, "lookahead");
	check_refused(llm_grammar_regex, "(?<!a)b", LLM_E_UNSUPPORTED, "lookbehind");
	check_refused(llm_grammar_regex, "(a", LLM_E_ARGUMENT, "missing");
	check_refused(llm_grammar_regex, "[b-a]", LLM_E_ARGUMENT, "out of order");
	check_refused(llm_grammar_regex, "a{1000}{1000}", LLM_E_ARGUMENT, "nothing to repeat");
	check_refused(llm_grammar_regex, "^(a|b)*a(a|b){24}$", LLM_E_LIMIT, "more than");
	check_refused(llm_grammar_regex, "(((a{100}){100}){100}){100}", LLM_E_LIMIT, "more than");
	check_refused(llm_grammar_gbnf, "root ::= root \"a\" | \"a\"", LLM_E_UNSUPPORTED, "left recursion");
	check_refused(llm_grammar_gbnf, "root ::= x", LLM_E_ARGUMENT, "not written");
	check_refused(llm_grammar_gbnf, "root ::= \"a\" root", LLM_E_ARGUMENT, "no text fits");
	check_refused(llm_grammar_gbnf, "root := \"a\"", LLM_E_ARGUMENT, "::= is missing");
	check_refused(make_schema, "{\"maxLength\":1000000,\"pattern\":\"a\"}", LLM_E_LIMIT, "more than");
}

/* text repeated n times between two others */
static char *
repeated(const char *before, const char *text, int n, const char *after)
{
	size_t		len = strlen(text);
	char	   *all = malloc(strlen(before) + len * (size_t) n + strlen(after) + 1);
	char	   *to = all + sprintf(all, "%s", before);

	for (int i = 0; i < n; i++, to += len)
		memcpy(to, text, len);
	strcpy(to, after);
	return all;
}

/* rules that begin with each other, each through groups */
static char *
chain_of_rules(int n, int groups)
{
	char	   *all = malloc((size_t) n * (32 + 8 * (size_t) groups) + 32);
	char	   *to = all + sprintf(all, "root ::= r0\n");

	for (int i = 0; i < n; i++)
	{
		to += sprintf(to, "r%d ::= ", i);
		for (int g = 0; g < groups; g++)
			to += sprintf(to, "(\"b\"? ");
		to += sprintf(to, "r%d", i + 1);
		for (int g = 0; g < groups; g++)
			*to++ = ')';
		*to++ = '\n';
	}
	sprintf(to, "r%d ::= \"z\"\n", n);
	return all;
}

/* as a table of 400 columns of two types, all required and none else: each type is compiled once */
static void
check_wide(void)
{
	enum {N = 400};
	static char schema[N * 100];
	static char value[N * 20];
	char	   *to = schema;
	char	   *text = value;
	LlmGrammar *g;
	LlmError	err;
	bool		accepted;

	to += sprintf(to, "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"c0\"");
	for (int i = 1; i < N; i++)
		to += sprintf(to, ",\"c%d\"", i);
	to += sprintf(to, "],\"properties\":{");
	for (int i = 0; i < N; i++)
	{
		to += sprintf(to, "%s\"c%d\":{\"type\":[\"%s\",\"null\"],\"title\":\"column %d\"}", i ? "," : "", i, i % 2 ? "string" : "integer", i);
		text += sprintf(text, i % 2 ? "%s\"c%d\": \"x\"" : "%s\"c%d\": 7", i ? ", " : "{", i);
	}
	strcpy(to, "}}");
	strcpy(text, "}");
	CHECK_OK(make_schema(str(schema), &llm_malloc_allocator, NULL, &g, &err), &err);
	CHECK_OK(llm_grammar_accepts(g, str(value), &accepted, &err), &err);
	CHECK(accepted);
	llm_grammar_free(g);
	CHECK_OK(llm_schema_accepts(str(schema), str(value), &llm_malloc_allocator, NULL, &accepted, &err), &err);
	CHECK(accepted);
	*strstr(value, "\"c9\": \"x\"") = ' ';	/* no JSON any more where c9 was */
	CHECK(llm_schema_accepts(str(schema), str(value), &llm_malloc_allocator, NULL, &accepted, &err) == LLM_E_ARGUMENT);
	strcpy(strstr(value, ",  c9\""), "}");	/* keys are missing */
	CHECK_OK(llm_schema_accepts(str(schema), str(value), &llm_malloc_allocator, NULL, &accepted, &err), &err);
	CHECK(!accepted);
}

/* wide and long schemas that are no trouble */
static void
check_large(void)
{
	char		properties[300 * 40] = "{\"properties\":{\"p0\":{\"type\":\"integer\"}";
	LlmGrammar *g;
	LlmError	err;
	bool		accepted;

	for (int i = 1; i < 300; i++)
		sprintf(properties + strlen(properties), ",\"p%d\":{\"type\":\"integer\"}", i);
	strcat(properties, "}}");
	CHECK_OK(make_schema(str(properties), &llm_malloc_allocator, NULL, &g, &err), &err);
	CHECK_OK(llm_grammar_accepts(g, str("{\"p7\": 1, \"p100\": 2, \"p299\": 3}"), &accepted, &err), &err);
	CHECK(accepted);
	CHECK_OK(llm_grammar_accepts(g, str("{\"p7\": 1, \"p299\": 2, \"p100\": 3}"), &accepted, &err), &err);
	CHECK(!accepted);
	llm_grammar_free(g);
	CHECK_OK(make_schema(str("{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"maxItems\":20000}"), &llm_malloc_allocator, NULL, &g, &err), &err);
	llm_grammar_free(g);
}

static void
check_hostile(void)
{
	char	   *deep = repeated("", "{\"items\":", 5000, "{}");
	char	   *parens = repeated("", "(", 5000, "");
	char	   *rules = repeated("root ::= ", "(", 5000, "");
	char	   *chain = chain_of_rules(900, 190);
	char	   *many = repeated("{\"enum\":[\"x\"", ",\"0123456789abcdef\"", 60000, "]}");
	char	   *wide = repeated("{\"anyOf\":[{\"items\":{\"minimum\":1}}", ",{\"items\":{\"maxLength\":1}}", 30, "]}");
	LlmGrammar *g;
	LlmError	err;
	LlmStatus	status;

	check_refused(make_schema, deep, LLM_E_LIMIT, "deep");
	check_refused(llm_grammar_regex, parens, LLM_E_LIMIT, "deep");
	check_refused(llm_grammar_gbnf, rules, LLM_E_LIMIT, "deep");
	check_refused(llm_grammar_gbnf, chain, LLM_E_LIMIT, "deep");
	status = make_schema(str(many), &llm_malloc_allocator, NULL, &g, &err);	/* 1 MB: compiled, or over a limit */
	CHECK(status == LLM_OK || status == LLM_E_LIMIT);
	if (status == LLM_OK)
		llm_grammar_free(g);
	status = make_schema(str(wide), &llm_malloc_allocator, NULL, &g, &err);
	CHECK(status == LLM_OK || status == LLM_E_LIMIT);
	if (status == LLM_OK)
		llm_grammar_free(g);
	free(deep);
	free(parens);
	free(rules);
	free(chain);
	free(many);
	free(wide);
}

/* ---- lengths ---- */

/* does a string of n characters, of each kind in turn, fit schema as it should, in both languages? */
static void
check_length(const char *schema, int n, bool fits)
{
	static const char *const chars[] = {"a", "é", "😀", "\\n", "\\u0001", "\\\""};
	char	   *text = malloc((size_t) n * 6 + 3);
	LlmGrammar *g;
	LlmError	err;
	bool		accepted;

	CHECK_OK(make_schema(str(schema), &llm_malloc_allocator, NULL, &g, &err), &err);
	for (int shift = 0; shift < 6; shift++)
	{
		strcpy(text, "\"");
		for (int i = 0, at = 1; i < n; i++)
			at += sprintf(text + at, "%s", chars[(i + shift) % 6]);
		strcat(text, "\"");
		CHECK_OK(llm_grammar_accepts(g, str(text), &accepted, &err), &err);
		CHECK_MSG(accepted == fits, "%s and %d characters", schema, n);
		CHECK_OK(llm_schema_accepts(str(schema), str(text), &llm_malloc_allocator, NULL, &accepted, &err), &err);
		CHECK_MSG(accepted == fits, "%s and %d characters", schema, n);
	}
	llm_grammar_free(g);
	free(text);
}

static void
check_lengths(void)
{
	static const int lengths[] = {0, 1, 63, 64, 65, 69, 70, 71, 127, 128, 129, 199, 200, 201, 299, 300, 301, 320};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
	{
		const int	n = lengths[i];

		check_length("{\"type\":\"string\",\"maxLength\":200}", n, n <= 200);
		check_length("{\"type\":\"string\",\"maxLength\":64}", n, n <= 64);
		check_length("{\"type\":\"string\",\"maxLength\":65}", n, n <= 65);
		check_length("{\"type\":\"string\",\"minLength\":70}", n, n >= 70);
		check_length("{\"type\":\"string\",\"minLength\":70,\"maxLength\":200}", n, n >= 70 && n <= 200);
		check_length("{\"type\":\"string\",\"minLength\":128,\"maxLength\":128}", n, n == 128);
		check_length("{\"oneOf\":[{\"type\":\"string\",\"maxLength\":200},{\"type\":\"string\",\"minLength\":70,\"maxLength\":300}]}", n,
					 n < 70 || (n > 200 && n <= 300));
		check_length("{\"type\":\"string\",\"anyOf\":[{\"maxLength\":65},{\"minLength\":128,\"maxLength\":129}]}", n,
					 n <= 65 || n == 128 || n == 129);
	}
	check_length("{\"type\":\"string\",\"maxLength\":20000}", 20000, true);
	check_length("{\"type\":\"string\",\"maxLength\":20000}", 20001, false);
	check_length("{\"type\":\"string\",\"minLength\":20000}", 19999, false);
	check_length("{\"type\":\"string\",\"maxLength\":5000000}", 1000001, true);
}

/* ---- stop ---- */

typedef struct StopAt
{
	int			n_asked;
	int			at;				/* the question that is answered by true; -1: none */
} StopAt;

static bool
stop_at(void *opaque)
{
	StopAt	   *s = opaque;

	return s->n_asked++ == s->at;
}

/* stop is asked often whatever takes long, and nothing is left when it says so */
static void
check_stop(void)
{
	char	   *rules = repeated("root ::= a\na ::= ", "(\"x\"? | ", 190, "\"y\"");
	char	   *schema = "{\"type\":\"string\",\"pattern\":\"^.{300,1500}$\"}";
	StopAt		s = {.at = -1};
	const LlmStop stop = {stop_at, &s};
	FailAlloc	fa;
	LlmGrammar *g;
	LlmError	err;
	bool		accepted;
	int			n;

	fail_alloc_init(&fa, -1);
	CHECK_OK(llm_schema_accepts(str(schema), str("1"), &fa.allocator, &stop, &accepted, &err), &err);
	n = s.n_asked;
	CHECK_MSG(n > 50, "asked %d times", n);
	for (int i = 0; i < 10; i++)
	{
		s = (StopAt) {.at = n * i / 10};
		CHECK(llm_schema_accepts(str(schema), str("1"), &fa.allocator, &stop, &accepted, &err) == LLM_PAUSED);
		CHECK(llm_grammar_regex(str("^.{300,1500}$"), &fa.allocator, &(LlmGrammarWork) {.stop = &(LlmStop) {stop_at, &(StopAt) {.at = i}}},
								&g, &err) == LLM_PAUSED);
		CHECK(fa.n_alive == 0);
	}
	s = (StopAt) {.at = -1};
	CHECK(llm_grammar_gbnf(str(rules), &llm_malloc_allocator, &(LlmGrammarWork) {.stop = &stop}, &g, &err) == LLM_E_ARGUMENT);
	free(rules);
}

/* each allocation refused in turn: out of memory is reported, and nothing is left */
static void
check_failing_allocations(void)
{
	FailAlloc	fa;

	for (long k = 0;; k++)
	{
		const LlmStr choices[] = {str("a"), str("b")};
		LlmGrammar *g = NULL;
		LlmError	err;
		LlmStatus	status;
		bool		accepted;

		fail_alloc_init(&fa, k);
		status = llm_schema_accepts(str(schema_cases[29].schema), str("{\"b\":[1,\"x\"]}"), &fa.allocator, NULL, &accepted, &err);
		if (status == LLM_OK)
			status = llm_grammar_choice(choices, 2, &fa.allocator, NULL, &g, &err);
		if (status == LLM_OK)
			status = llm_grammar_accepts(g, choices[1], &accepted, &err);
		llm_grammar_free(g);
		CHECK(fa.n_alive == 0);
		if (!fa.refused)
		{
			CHECK(status == LLM_OK && accepted && k > 10);
			break;
		}
		CHECK(status == LLM_E_NOMEM);
	}
}

int
main(void)
{
	check_cases("regex", llm_grammar_regex, regex_cases, sizeof regex_cases / sizeof regex_cases[0]);
	check_cases("GBNF", llm_grammar_gbnf, gbnf_cases, sizeof gbnf_cases / sizeof gbnf_cases[0]);
	check_cases("schema", make_schema, offered_cases, sizeof offered_cases / sizeof offered_cases[0]);
	check_schemas();
	check_choices_and_compact();
	check_refusals();
	check_wide();
	check_large();
	check_hostile();
	check_lengths();
	check_stop();
	check_failing_allocations();
	CHECK_DONE();
}
