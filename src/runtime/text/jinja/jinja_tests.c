/*
 * jinja_tests.c: what stands after "is". Operators can be called by name as well: x is ge 3.
 */
#include "text/jinja/jinja.h"

#include <string.h>

#define TEST(name, condition) \
	static LlmStatus \
	name(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out) \
	{ \
		(void) j; \
		(void) v; \
		(void) args; \
		*out = llm_jinja_bool(condition); \
		return LLM_OK; \
	}

TEST(test_defined, self->kind != LLM_VALUE_UNDEFINED)
TEST(test_undefined, self->kind == LLM_VALUE_UNDEFINED)
TEST(test_none, self->kind == LLM_VALUE_NULL)
TEST(test_boolean, self->kind == LLM_VALUE_BOOL)
TEST(test_true, self->kind == LLM_VALUE_BOOL && self->u.boolean)
TEST(test_false, self->kind == LLM_VALUE_BOOL && !self->u.boolean)
TEST(test_integer, self->kind == LLM_VALUE_INT)
TEST(test_float, self->kind == LLM_VALUE_FLOAT)
TEST(test_number, self->kind == LLM_VALUE_INT || self->kind == LLM_VALUE_FLOAT || self->kind == LLM_VALUE_BOOL)
TEST(test_string, self->kind == LLM_VALUE_STRING)
TEST(test_mapping, self->kind == LLM_VALUE_MAP)
TEST(test_iterable, llm_jinja_iterable(self))
TEST(test_escaped, self->kind == LLM_VALUE_STRING && self->flavour == JINJA_MARKUP)

/* it has a length and can be subscripted; jinja2's undefined has both only in part */
TEST(test_sequence, self->kind == LLM_VALUE_STRING || self->kind == LLM_VALUE_MAP || self->kind == LLM_VALUE_UNDEFINED ||
	 (self->kind == LLM_VALUE_LIST && self->flavour <= JINJA_GROUP) || llm_jinja_is_obj(self, JINJA_OBJ_RANGE))

TEST(test_callable, self->kind == LLM_VALUE_UNDEFINED || llm_jinja_is_obj(self, JINJA_OBJ_FUNCTION) ||
	 llm_jinja_is_obj(self, JINJA_OBJ_MACRO) || llm_jinja_is_obj(self, JINJA_OBJ_LOOP) || llm_jinja_is_obj(self, JINJA_OBJ_JOINER) ||
	 llm_jinja_is_obj(self, JINJA_OBJ_BLOCK))

static LlmStatus
remainder_is(Jinja *j, LlmValue *self, LlmValue *divisor, int64_t wanted, LlmValue **out)
{
	LlmValue   *rest;
	LlmValue   *value;
	bool		same;

	LLM_TRY(llm_jinja_binary(j, JINJA_T_MOD, self, divisor, &rest));
	LLM_TRY(llm_jinja_int(j, wanted, &value));
	LLM_TRY(llm_jinja_equal(j, rest, value, &same));
	*out = llm_jinja_bool(same);
	return LLM_OK;
}

static LlmStatus
test_odd(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmValue   *two;

	(void) v;
	(void) args;
	LLM_TRY(llm_jinja_int(j, 2, &two));
	return remainder_is(j, self, two, 1, out);
}

static LlmStatus
test_even(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmValue   *two;

	(void) v;
	(void) args;
	LLM_TRY(llm_jinja_int(j, 2, &two));
	return remainder_is(j, self, two, 0, out);
}

static LlmStatus
test_divisibleby(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return remainder_is(j, self, v[0], 0, out);
}

/* constants are the same object everywhere; other values only if they are one */
static LlmStatus
test_sameas(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	bool		same = self == v[0];

	(void) args;
	if (self->kind == v[0]->kind && (self->kind == LLM_VALUE_NULL || self->kind == LLM_VALUE_BOOL || self->kind == LLM_VALUE_INT))
		LLM_TRY(llm_jinja_equal(j, self, v[0], &same));
	*out = llm_jinja_bool(same);
	return LLM_OK;
}

static LlmStatus
case_test(Jinja *j, LlmValue *self, bool upper, LlmValue **out)
{
	LlmText		text;

	LLM_TRY(llm_jinja_str(j, self, &text));
	*out = llm_jinja_bool(llm_jinja_all_case(text, upper));
	return LLM_OK;
}

static LlmStatus
test_lower(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) v;
	(void) args;
	return case_test(j, self, false, out);
}

static LlmStatus
test_upper(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) v;
	(void) args;
	return case_test(j, self, true, out);
}

/* a value that names a filter or a test: looked up in a table by its hash */
static LlmStatus
check_name(Jinja *j, const LlmValue *self)
{
	return llm_jinja_hashable(self) ? LLM_OK : llm_jinja_fail(j, "unhashable type: '%s'", llm_jinja_type_name(self));
}

static LlmStatus
test_filter(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) v;
	(void) args;
	LLM_TRY(check_name(j, self));
	*out = llm_jinja_bool(self->kind == LLM_VALUE_STRING && llm_jinja_find_filter((LlmStr) {self->u.text.bytes, self->u.text.len}) != NULL);
	return LLM_OK;
}

static LlmStatus
test_test(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) v;
	(void) args;
	LLM_TRY(check_name(j, self));
	*out = llm_jinja_bool(self->kind == LLM_VALUE_STRING && llm_jinja_find_test((LlmStr) {self->u.text.bytes, self->u.text.len}) != NULL);
	return LLM_OK;
}

#define OPERATOR_TEST(name, op) \
	static LlmStatus \
	name(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out) \
	{ \
		bool		result; \
		(void) args; \
		LLM_TRY(llm_jinja_compare(j, op, self, v[0], &result)); \
		*out = llm_jinja_bool(result); \
		return LLM_OK; \
	}

OPERATOR_TEST(test_eq, JINJA_OP_EQ)
OPERATOR_TEST(test_ne, JINJA_OP_NE)
OPERATOR_TEST(test_lt, JINJA_OP_LT)
OPERATOR_TEST(test_le, JINJA_OP_LE)
OPERATOR_TEST(test_gt, JINJA_OP_GT)
OPERATOR_TEST(test_ge, JINJA_OP_GE)
OPERATOR_TEST(test_in, JINJA_OP_IN)

static const JinjaFunction tests[] = {
	{"defined", test_defined, "", 0},
	{"undefined", test_undefined, "", 0},
	{"none", test_none, "", 0},
	{"string", test_string, "", 0},
	{"mapping", test_mapping, "", 0},
	{"iterable", test_iterable, "", 0},
	{"sequence", test_sequence, "", 0},
	{"number", test_number, "", 0},
	{"integer", test_integer, "", 0},
	{"float", test_float, "", 0},
	{"boolean", test_boolean, "", 0},
	{"true", test_true, "", 0},
	{"false", test_false, "", 0},
	{"callable", test_callable, "", 0},
	{"escaped", test_escaped, "", 0},
	{"odd", test_odd, "", 0},
	{"even", test_even, "", 0},
	{"divisibleby", test_divisibleby, "num", 1},
	{"sameas", test_sameas, "other", 1},
	{"lower", test_lower, "", 0},
	{"upper", test_upper, "", 0},
	{"filter", test_filter, "", 0},
	{"test", test_test, "", 0},
	{"in", test_in, "seq", 1},
	{"eq", test_eq, "/b", 1},
	{"equalto", test_eq, "/b", 1},
	{"==", test_eq, "/b", 1},
	{"ne", test_ne, "/b", 1},
	{"!=", test_ne, "/b", 1},
	{"lt", test_lt, "/b", 1},
	{"lessthan", test_lt, "/b", 1},
	{"<", test_lt, "/b", 1},
	{"le", test_le, "/b", 1},
	{"<=", test_le, "/b", 1},
	{"gt", test_gt, "/b", 1},
	{"greaterthan", test_gt, "/b", 1},
	{">", test_gt, "/b", 1},
	{"ge", test_ge, "/b", 1},
	{">=", test_ge, "/b", 1},
	{NULL, NULL, NULL, 0}
};

const JinjaFunction *
llm_jinja_find_test(LlmStr name)
{
	return llm_jinja_find_function(tests, name);
}
