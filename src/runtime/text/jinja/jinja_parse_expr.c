/*
 * jinja_parse_expr.c: expressions, by recursive descent with the precedence of jinja2.
 *
 * From loose to tight: x if c else y, or, and, not, comparisons and in, + -, ~, * / // %, **, unary - +, then names and
 * literals with subscripts, attributes and calls, then filters and tests. Two oddities of jinja2 are kept: ** groups to the
 * left, and filters bind to the negated value (-1|abs).
 */
#include "text/jinja/jinja.h"

#include <string.h>

static LlmStatus parse_unary(JinjaParser *p, bool with_filter, JinjaNode **out);
static LlmStatus parse_primary(JinjaParser *p, bool with_namespace, JinjaNode **out);
static LlmStatus parse_postfix(JinjaParser *p, JinjaNode *node, JinjaNode **out);

LlmStatus
llm_jinja_enter(JinjaParser *p)
{
	if (++p->nesting > LLM_JINJA_MAX_NESTING)
		return llm_fail(p->err, LLM_E_LIMIT, "chat template is beyond a limit on line %u: more than %d levels of nesting",
						p->cur.line, LLM_JINJA_MAX_NESTING);
	return LLM_OK;
}

void
llm_jinja_leave(JinjaParser *p)
{
	p->nesting--;
}

static bool
at_any_name(const JinjaParser *p, const char *const *names)
{
	for (; *names; names++)
		if (llm_jinja_at_name(p, *names))
			return true;
	return false;
}

static LlmStatus
make_binary(JinjaParser *p, JinjaNodeKind kind, int op, uint32_t line, JinjaNode *a, JinjaNode *b, JinjaNode **out)
{
	LLM_TRY(llm_jinja_node(p, kind, line, out));
	(*out)->op = op;
	(*out)->a = a;
	(*out)->b = b;
	return LLM_OK;
}

/* string constant of the name token at hand */
static LlmStatus
name_value(JinjaParser *p, LlmValue **out)
{
	if (p->cur.kind != JINJA_T_NAME)
		return llm_jinja_unexpected(p, "a name");
	return llm_value_string(&p->t->arena, p->cur.text.data, p->cur.text.len, false, out, p->err);
}

/* a name with dots in it, as filters and tests may have */
static LlmStatus
dotted_name(JinjaParser *p, LlmValue **out)
{
	const char *start = p->cur.text.data;
	size_t		len = p->cur.text.len;

	if (p->cur.kind != JINJA_T_NAME)
		return llm_jinja_unexpected(p, "a name");
	LLM_TRY(llm_jinja_advance(p));
	while (p->cur.kind == JINJA_T_DOT)
	{
		LLM_TRY(llm_jinja_advance(p));
		if (p->cur.kind != JINJA_T_NAME)
			return llm_jinja_unexpected(p, "a name");
		len = (size_t) (p->cur.text.data + p->cur.text.len - start);
		LLM_TRY(llm_jinja_advance(p));
	}
	return llm_value_string(&p->t->arena, start, len, false, out, p->err);
}

static LlmStatus
add_keyword(JinjaParser *p, JinjaArgList *args)
{
	LlmValue   *name;
	JinjaNode  *value;
	void	   *names;

	LLM_TRY(name_value(p, &name));
	LLM_TRY(llm_jinja_advance(p));
	LLM_TRY(llm_jinja_advance(p));
	LLM_TRY(llm_jinja_parse_expression(p, true, &value));
	if (args->keywords.n == args->names_capacity)
	{
		size_t		capacity = args->names_capacity ? args->names_capacity * 2 : 4;

		LLM_TRY(llm_arena_alloc(&p->t->arena, capacity, sizeof(LlmValue *), &names, p->err));
		if (args->keywords.n)
			memcpy(names, args->keyword_names, args->keywords.n * sizeof(LlmValue *));
		args->keyword_names = names;
		args->names_capacity = capacity;
	}
	args->keyword_names[args->keywords.n] = name;
	return llm_jinja_list_add(p, &args->keywords, value);
}

static LlmStatus
parse_call_args(JinjaParser *p, JinjaArgList **out)
{
	void	   *ptr;
	JinjaArgList *args;
	bool		first = true;

	LLM_TRY(llm_arena_alloc(&p->t->arena, 1, sizeof(JinjaArgList), &ptr, p->err));
	args = memset(ptr, 0, sizeof(JinjaArgList));
	LLM_TRY(llm_jinja_expect(p, JINJA_T_LPAREN));
	while (p->cur.kind != JINJA_T_RPAREN)
	{
		const JinjaToken *ahead;
		JinjaNode  *value;
		bool		in_order = true;

		if (!first)
		{
			LLM_TRY(llm_jinja_expect(p, JINJA_T_COMMA));
			if (p->cur.kind == JINJA_T_RPAREN)
				break;
		}
		first = false;
		if (p->cur.kind == JINJA_T_MUL)
		{
			in_order = !args->star && !args->star_star;
			LLM_TRY(llm_jinja_advance(p));
			LLM_TRY(llm_jinja_parse_expression(p, true, &args->star));
		}
		else if (p->cur.kind == JINJA_T_POW)
		{
			in_order = !args->star_star;
			LLM_TRY(llm_jinja_advance(p));
			LLM_TRY(llm_jinja_parse_expression(p, true, &args->star_star));
		}
		else
		{
			LLM_TRY(llm_jinja_look(p, &ahead));
			if (p->cur.kind == JINJA_T_NAME && ahead->kind == JINJA_T_ASSIGN)
			{
				in_order = !args->star_star;
				LLM_TRY(add_keyword(p, args));
			}
			else
			{
				in_order = !args->star && !args->star_star && args->keywords.n == 0;
				LLM_TRY(llm_jinja_parse_expression(p, true, &value));
				LLM_TRY(llm_jinja_list_add(p, &args->positional, value));
			}
		}
		if (!in_order)
			return llm_fail(p->err, LLM_E_FORMAT, "chat template is wrong on line %u: arguments of a call are in the wrong order", p->cur.line);
	}
	*out = args;
	return llm_jinja_expect(p, JINJA_T_RPAREN);
}

static LlmStatus
parse_call(JinjaParser *p, JinjaNode *callee, JinjaNode **out)
{
	LLM_TRY(llm_jinja_node(p, JINJA_CALL, p->cur.line, out));
	(*out)->a = callee;
	return parse_call_args(p, &(*out)->args);
}

/* one subscript: an expression or a slice */
static LlmStatus
parse_subscribed(JinjaParser *p, JinjaNode **out)
{
	uint32_t	line = p->cur.line;
	JinjaNode  *parts[3] = {NULL, NULL, NULL};
	int			n = 0;

	if (p->cur.kind != JINJA_T_COLON)
	{
		LLM_TRY(llm_jinja_parse_expression(p, true, &parts[0]));
		if (p->cur.kind != JINJA_T_COLON)
		{
			*out = parts[0];
			return LLM_OK;
		}
	}
	while (n < 2 && p->cur.kind == JINJA_T_COLON)
	{
		n++;
		LLM_TRY(llm_jinja_advance(p));
		if (p->cur.kind != JINJA_T_COLON && p->cur.kind != JINJA_T_RBRACKET && p->cur.kind != JINJA_T_COMMA)
			LLM_TRY(llm_jinja_parse_expression(p, true, &parts[n]));
	}
	LLM_TRY(llm_jinja_node(p, JINJA_SLICE, line, out));
	(*out)->a = parts[0];
	(*out)->b = parts[1];
	(*out)->c = parts[2];
	return LLM_OK;
}

static LlmStatus
parse_subscript(JinjaParser *p, JinjaNode *object, JinjaNode **out)
{
	uint32_t	line = p->cur.line;
	JinjaNode  *key;
	JinjaNode  *tuple;
	bool		dot = p->cur.kind == JINJA_T_DOT;

	LLM_TRY(llm_jinja_advance(p));
	if (dot && p->cur.kind == JINJA_T_NAME)
	{
		LLM_TRY(llm_jinja_node(p, JINJA_GETATTR, line, out));
		(*out)->a = object;
		LLM_TRY(name_value(p, &(*out)->value));
		return llm_jinja_advance(p);
	}
	if (dot)
	{
		if (p->cur.kind != JINJA_T_INTEGER)
			return llm_jinja_unexpected(p, "a name or a number");
		LLM_TRY(llm_jinja_node(p, JINJA_CONST, line, &key));
		key->value = p->cur.value;
		LLM_TRY(llm_jinja_advance(p));
		return make_binary(p, JINJA_GETITEM, 0, line, object, key, out);
	}
	LLM_TRY(llm_jinja_node(p, JINJA_TUPLE_EXPR, line, &tuple));
	while (p->cur.kind != JINJA_T_RBRACKET)
	{
		if (tuple->items.n)
			LLM_TRY(llm_jinja_expect(p, JINJA_T_COMMA));
		LLM_TRY(parse_subscribed(p, &key));
		LLM_TRY(llm_jinja_list_add(p, &tuple->items, key));
	}
	LLM_TRY(llm_jinja_advance(p));
	return make_binary(p, JINJA_GETITEM, 0, line, object, tuple->items.n == 1 ? tuple->items.items[0] : tuple, out);
}

static LlmStatus
parse_postfix(JinjaParser *p, JinjaNode *node, JinjaNode **out)
{
	for (;;)
	{
		if (p->cur.kind == JINJA_T_DOT || p->cur.kind == JINJA_T_LBRACKET)
			LLM_TRY(parse_subscript(p, node, &node));
		else if (p->cur.kind == JINJA_T_LPAREN)
			LLM_TRY(parse_call(p, node, &node));
		else
			break;
	}
	*out = node;
	return LLM_OK;
}

static void
note_unknown(JinjaParser *p, const JinjaNode *node)
{
	if (!node->function && !p->soft && !p->unknown)
		p->unknown = node;
}

LlmStatus
llm_jinja_parse_filters(JinjaParser *p, JinjaNode *input, bool start_inline, JinjaNode **out)
{
	while (p->cur.kind == JINJA_T_PIPE || start_inline)
	{
		JinjaNode  *node;

		if (!start_inline)
			LLM_TRY(llm_jinja_advance(p));
		start_inline = false;
		LLM_TRY(llm_jinja_node(p, JINJA_FILTER, p->cur.line, &node));
		LLM_TRY(dotted_name(p, &node->value));
		node->a = input;
		node->function = llm_jinja_find_filter((LlmStr) {node->value->u.text.bytes, node->value->u.text.len});
		note_unknown(p, node);
		if (p->cur.kind == JINJA_T_LPAREN)
			LLM_TRY(parse_call_args(p, &node->args));
		input = node;
	}
	*out = input;
	return LLM_OK;
}

/* is [not] NAME [argument] */
static LlmStatus
parse_test(JinjaParser *p, JinjaNode *subject, JinjaNode **out)
{
	static const char *const not_arguments[] = {"else", "or", "and", NULL};
	JinjaNode  *node;
	bool		negated;

	LLM_TRY(llm_jinja_node(p, JINJA_TEST, p->cur.line, &node));
	LLM_TRY(llm_jinja_advance(p));
	LLM_TRY(llm_jinja_skip_name(p, "not", &negated));
	node->op = negated;
	node->a = subject;
	LLM_TRY(dotted_name(p, &node->value));
	node->function = llm_jinja_find_test((LlmStr) {node->value->u.text.bytes, node->value->u.text.len});
	note_unknown(p, node);
	if (p->cur.kind == JINJA_T_LPAREN)
		LLM_TRY(parse_call_args(p, &node->args));
	else if ((p->cur.kind == JINJA_T_NAME && !at_any_name(p, not_arguments)) || p->cur.kind == JINJA_T_STRING ||
			 p->cur.kind == JINJA_T_INTEGER || p->cur.kind == JINJA_T_FLOAT || p->cur.kind == JINJA_T_LBRACKET ||
			 p->cur.kind == JINJA_T_LBRACE)
	{
		void	   *ptr;
		JinjaNode  *argument;

		if (llm_jinja_at_name(p, "is"))
			return llm_fail(p->err, LLM_E_FORMAT, "chat template is wrong on line %u: tests with \"is\" cannot be chained", p->cur.line);
		LLM_TRY(llm_arena_alloc(&p->t->arena, 1, sizeof(JinjaArgList), &ptr, p->err));
		node->args = memset(ptr, 0, sizeof(JinjaArgList));
		LLM_TRY(parse_primary(p, false, &argument));
		LLM_TRY(parse_postfix(p, argument, &argument));
		LLM_TRY(llm_jinja_list_add(p, &node->args->positional, argument));
	}
	*out = node;
	return LLM_OK;
}

static LlmStatus
parse_filter_expr(JinjaParser *p, JinjaNode *node, JinjaNode **out)
{
	for (;;)
	{
		if (p->cur.kind == JINJA_T_PIPE)
			LLM_TRY(llm_jinja_parse_filters(p, node, false, &node));
		else if (llm_jinja_at_name(p, "is"))
			LLM_TRY(parse_test(p, node, &node));
		else if (p->cur.kind == JINJA_T_LPAREN)
			LLM_TRY(parse_call(p, node, &node));
		else
			break;
	}
	*out = node;
	return LLM_OK;
}

/* literals in brackets; the bracket is at hand */
static LlmStatus
parse_list(JinjaParser *p, JinjaNode **out)
{
	JinjaNode  *item;

	LLM_TRY(llm_jinja_node(p, JINJA_LIST_EXPR, p->cur.line, out));
	LLM_TRY(llm_jinja_advance(p));
	while (p->cur.kind != JINJA_T_RBRACKET)
	{
		if ((*out)->items.n)
			LLM_TRY(llm_jinja_expect(p, JINJA_T_COMMA));
		if (p->cur.kind == JINJA_T_RBRACKET)
			break;
		LLM_TRY(llm_jinja_parse_expression(p, true, &item));
		LLM_TRY(llm_jinja_list_add(p, &(*out)->items, item));
	}
	return llm_jinja_expect(p, JINJA_T_RBRACKET);
}

static LlmStatus
parse_dict(JinjaParser *p, JinjaNode **out)
{
	JinjaNode  *item;

	LLM_TRY(llm_jinja_node(p, JINJA_DICT_EXPR, p->cur.line, out));
	LLM_TRY(llm_jinja_advance(p));
	while (p->cur.kind != JINJA_T_RBRACE)
	{
		if ((*out)->items.n)
			LLM_TRY(llm_jinja_expect(p, JINJA_T_COMMA));
		if (p->cur.kind == JINJA_T_RBRACE)
			break;
		LLM_TRY(llm_jinja_parse_expression(p, true, &item));
		LLM_TRY(llm_jinja_list_add(p, &(*out)->items, item));
		LLM_TRY(llm_jinja_expect(p, JINJA_T_COLON));
		LLM_TRY(llm_jinja_parse_expression(p, true, &item));
		LLM_TRY(llm_jinja_list_add(p, &(*out)->more, item));
	}
	return llm_jinja_expect(p, JINJA_T_RBRACE);
}

static LlmStatus
parse_name(JinjaParser *p, bool with_namespace, JinjaNode **out)
{
	static const char *const constants[] = {"true", "True", "false", "False", "none", "None", NULL};
	JinjaToken	name = p->cur;
	JinjaNode  *node;

	LLM_TRY(llm_jinja_node(p, JINJA_NAME, name.line, &node));
	if (at_any_name(p, constants))
	{
		char		c = name.text.data[0] | 32;

		node->kind = JINJA_CONST;
		node->value = c == 'n' ? llm_jinja_none() : llm_jinja_bool(c == 't');
		*out = node;
		return llm_jinja_advance(p);
	}
	if (llm_jinja_at_name(p, "caller"))
		p->uses |= JINJA_USES_CALLER;
	else if (llm_jinja_at_name(p, "kwargs"))
		p->uses |= JINJA_USES_KWARGS;
	else if (llm_jinja_at_name(p, "varargs"))
		p->uses |= JINJA_USES_VARARGS;
	LLM_TRY(llm_jinja_intern(p, name.text, &node->name));
	LLM_TRY(llm_jinja_advance(p));
	if (with_namespace && p->cur.kind == JINJA_T_DOT)
	{
		node->kind = JINJA_NSREF;
		LLM_TRY(llm_jinja_advance(p));
		LLM_TRY(name_value(p, &node->value));
		LLM_TRY(llm_jinja_advance(p));
	}
	*out = node;
	return LLM_OK;
}

/* adjacent strings are one */
static LlmStatus
parse_strings(JinjaParser *p, JinjaNode **out)
{
	LLM_TRY(llm_jinja_node(p, JINJA_CONST, p->cur.line, out));
	(*out)->value = p->cur.value;
	LLM_TRY(llm_jinja_advance(p));
	while (p->cur.kind == JINJA_T_STRING)
	{
		LlmText		a = (*out)->value->u.text;
		LlmText		b = p->cur.value->u.text;
		void	   *both;

		LLM_TRY(llm_arena_alloc(&p->t->arena, a.len + b.len, 1, &both, p->err));
		memcpy(both, a.bytes, a.len);
		memcpy((char *) both + a.len, b.bytes, b.len);
		(*out)->value->u.text.bytes = both;
		(*out)->value->u.text.len = a.len + b.len;
		LLM_TRY(llm_jinja_advance(p));
	}
	return LLM_OK;
}

static LlmStatus
parse_primary(JinjaParser *p, bool with_namespace, JinjaNode **out)
{
	switch (p->cur.kind)
	{
		case JINJA_T_NAME:
			return parse_name(p, with_namespace, out);
		case JINJA_T_STRING:
			return parse_strings(p, out);
		case JINJA_T_INTEGER:
		case JINJA_T_FLOAT:
			LLM_TRY(llm_jinja_node(p, JINJA_CONST, p->cur.line, out));
			(*out)->value = p->cur.value;
			return llm_jinja_advance(p);
		case JINJA_T_LPAREN:
			LLM_TRY(llm_jinja_advance(p));
			LLM_TRY(llm_jinja_parse_tuple(p, true, NULL, true, out));
			return llm_jinja_expect(p, JINJA_T_RPAREN);
		case JINJA_T_LBRACKET:
			return parse_list(p, out);
		case JINJA_T_LBRACE:
			return parse_dict(p, out);
		default:
			return llm_jinja_unexpected(p, "an expression");
	}
}

static LlmStatus
parse_unary(JinjaParser *p, bool with_filter, JinjaNode **out)
{
	JinjaNode  *node;
	uint32_t	line = p->cur.line;

	LLM_TRY(llm_jinja_enter(p));
	if (p->cur.kind == JINJA_T_SUB || p->cur.kind == JINJA_T_ADD)
	{
		JinjaNodeKind kind = p->cur.kind == JINJA_T_SUB ? JINJA_NEG : JINJA_POS;
		JinjaNode  *operand;

		LLM_TRY(llm_jinja_advance(p));
		LLM_TRY(parse_unary(p, false, &operand));
		LLM_TRY(make_binary(p, kind, 0, line, operand, NULL, &node));
	}
	else
		LLM_TRY(parse_primary(p, false, &node));
	LLM_TRY(parse_postfix(p, node, &node));
	if (with_filter)
		LLM_TRY(parse_filter_expr(p, node, &node));
	llm_jinja_leave(p);
	*out = node;
	return LLM_OK;
}

static LlmStatus
parse_pow(JinjaParser *p, JinjaNode **out)
{
	uint32_t	line = p->cur.line;
	JinjaNode  *right;

	LLM_TRY(parse_unary(p, true, out));
	while (p->cur.kind == JINJA_T_POW)
	{
		LLM_TRY(llm_jinja_advance(p));
		LLM_TRY(parse_unary(p, true, &right));
		LLM_TRY(make_binary(p, JINJA_BINARY, JINJA_T_POW, line, *out, right, out));
		line = p->cur.line;
	}
	return LLM_OK;
}

static LlmStatus
parse_product(JinjaParser *p, JinjaNode **out)
{
	uint32_t	line = p->cur.line;
	JinjaNode  *right;

	LLM_TRY(parse_pow(p, out));
	while (p->cur.kind == JINJA_T_MUL || p->cur.kind == JINJA_T_DIV || p->cur.kind == JINJA_T_FLOORDIV || p->cur.kind == JINJA_T_MOD)
	{
		int			op = p->cur.kind;

		LLM_TRY(llm_jinja_advance(p));
		LLM_TRY(parse_pow(p, &right));
		LLM_TRY(make_binary(p, JINJA_BINARY, op, line, *out, right, out));
		line = p->cur.line;
	}
	return LLM_OK;
}

static LlmStatus
parse_concat(JinjaParser *p, JinjaNode **out)
{
	JinjaNode  *concat;
	JinjaNode  *item;

	LLM_TRY(parse_product(p, &item));
	*out = item;
	if (p->cur.kind != JINJA_T_TILDE)
		return LLM_OK;
	LLM_TRY(llm_jinja_node(p, JINJA_CONCAT, item->line, &concat));
	LLM_TRY(llm_jinja_list_add(p, &concat->items, item));
	while (p->cur.kind == JINJA_T_TILDE)
	{
		LLM_TRY(llm_jinja_advance(p));
		LLM_TRY(parse_product(p, &item));
		LLM_TRY(llm_jinja_list_add(p, &concat->items, item));
	}
	*out = concat;
	return LLM_OK;
}

static LlmStatus
parse_sum(JinjaParser *p, JinjaNode **out)
{
	uint32_t	line = p->cur.line;
	JinjaNode  *right;

	LLM_TRY(parse_concat(p, out));
	while (p->cur.kind == JINJA_T_ADD || p->cur.kind == JINJA_T_SUB)
	{
		int			op = p->cur.kind;

		LLM_TRY(llm_jinja_advance(p));
		LLM_TRY(parse_concat(p, &right));
		LLM_TRY(make_binary(p, JINJA_BINARY, op, line, *out, right, out));
		line = p->cur.line;
	}
	return LLM_OK;
}

/* the comparison operator at hand, moving behind it; *found false if there is none */
static LlmStatus
compare_op(JinjaParser *p, JinjaCompareOp *op, bool *found)
{
	const JinjaToken *ahead;

	*found = true;
	switch (p->cur.kind)
	{
		case JINJA_T_EQ:
			*op = JINJA_OP_EQ;
			break;
		case JINJA_T_NE:
			*op = JINJA_OP_NE;
			break;
		case JINJA_T_LT:
			*op = JINJA_OP_LT;
			break;
		case JINJA_T_LTEQ:
			*op = JINJA_OP_LE;
			break;
		case JINJA_T_GT:
			*op = JINJA_OP_GT;
			break;
		case JINJA_T_GTEQ:
			*op = JINJA_OP_GE;
			break;
		default:
			if (llm_jinja_at_name(p, "in"))
			{
				*op = JINJA_OP_IN;
				break;
			}
			if (llm_jinja_at_name(p, "not"))
			{
				LLM_TRY(llm_jinja_look(p, &ahead));
				if (ahead->kind == JINJA_T_NAME && ahead->text.len == 2 && memcmp(ahead->text.data, "in", 2) == 0)
				{
					*op = JINJA_OP_NOT_IN;
					LLM_TRY(llm_jinja_advance(p));
					break;
				}
			}
			*found = false;
			return LLM_OK;
	}
	return llm_jinja_advance(p);
}

static LlmStatus
parse_compare(JinjaParser *p, JinjaNode **out)
{
	JinjaNode  *node = NULL;
	JinjaNode  *operand;
	size_t		capacity = 0;

	LLM_TRY(parse_sum(p, out));
	for (;;)
	{
		JinjaCompareOp op;
		bool		found;

		LLM_TRY(compare_op(p, &op, &found));
		if (!found)
			return LLM_OK;
		LLM_TRY(parse_sum(p, &operand));
		if (!node)
		{
			LLM_TRY(make_binary(p, JINJA_COMPARE, 0, (*out)->line, *out, NULL, &node));
			*out = node;
		}
		if (node->items.n == capacity)
		{
			void	   *ops;

			capacity = capacity ? capacity * 2 : 4;
			LLM_TRY(llm_arena_alloc(&p->t->arena, capacity, 1, &ops, p->err));
			if (node->items.n)
				memcpy(ops, node->ops, node->items.n);
			node->ops = ops;
		}
		node->ops[node->items.n] = (uint8_t) op;
		LLM_TRY(llm_jinja_list_add(p, &node->items, operand));
	}
}

static LlmStatus
parse_not(JinjaParser *p, JinjaNode **out)
{
	uint32_t	line = p->cur.line;
	JinjaNode  *operand;

	if (!llm_jinja_at_name(p, "not"))
		return parse_compare(p, out);
	LLM_TRY(llm_jinja_enter(p));
	LLM_TRY(llm_jinja_advance(p));
	LLM_TRY(parse_not(p, &operand));
	llm_jinja_leave(p);
	return make_binary(p, JINJA_NOT, 0, line, operand, NULL, out);
}

static LlmStatus
parse_and(JinjaParser *p, JinjaNode **out)
{
	JinjaNode  *right;

	LLM_TRY(parse_not(p, out));
	while (llm_jinja_at_name(p, "and"))
	{
		LLM_TRY(llm_jinja_advance(p));
		LLM_TRY(parse_not(p, &right));
		LLM_TRY(make_binary(p, JINJA_AND, 0, (*out)->line, *out, right, out));
	}
	return LLM_OK;
}

static LlmStatus
parse_or(JinjaParser *p, JinjaNode **out)
{
	JinjaNode  *right;

	LLM_TRY(parse_and(p, out));
	while (llm_jinja_at_name(p, "or"))
	{
		LLM_TRY(llm_jinja_advance(p));
		LLM_TRY(parse_and(p, &right));
		LLM_TRY(make_binary(p, JINJA_OR, 0, (*out)->line, *out, right, out));
	}
	return LLM_OK;
}

/* then if test else other: unknown filters in any of the three matter only when reached */
static LlmStatus
parse_condition(JinjaParser *p, JinjaNode **out)
{
	const JinjaNode *unknown = p->unknown;
	bool		skipped;

	LLM_TRY(llm_jinja_enter(p));
	LLM_TRY(parse_or(p, out));
	for (;;)
	{
		JinjaNode  *node;
		bool		soft = p->soft;

		LLM_TRY(llm_jinja_skip_name(p, "if", &skipped));
		if (!skipped)
			break;
		p->unknown = unknown;
		p->soft = true;
		LLM_TRY(llm_jinja_node(p, JINJA_COND, (*out)->line, &node));
		node->b = *out;
		LLM_TRY(parse_or(p, &node->a));
		LLM_TRY(llm_jinja_skip_name(p, "else", &skipped));
		if (skipped)
			LLM_TRY(parse_condition(p, &node->c));
		p->soft = soft;
		*out = node;
	}
	llm_jinja_leave(p);
	return LLM_OK;
}

LlmStatus
llm_jinja_parse_expression(JinjaParser *p, bool with_condition, JinjaNode **out)
{
	if (with_condition)
		return parse_condition(p, out);
	LLM_TRY(llm_jinja_enter(p));
	LLM_TRY(parse_or(p, out));
	llm_jinja_leave(p);
	return LLM_OK;
}

static bool
is_tuple_end(const JinjaParser *p, const char *end_name)
{
	return p->cur.kind == JINJA_T_VARIABLE_END || p->cur.kind == JINJA_T_BLOCK_END || p->cur.kind == JINJA_T_RPAREN ||
		(end_name && llm_jinja_at_name(p, end_name));
}

/* simplified: only names and literals, for targets */
static LlmStatus
parse_any_tuple(JinjaParser *p, bool simplified, bool with_namespace, bool with_condition, const char *end_name,
				bool parenthesized, JinjaNode **out)
{
	JinjaNode  *tuple;
	JinjaNode  *item = NULL;
	bool		is_tuple = false;

	LLM_TRY(llm_jinja_node(p, JINJA_TUPLE_EXPR, p->cur.line, &tuple));
	for (;;)
	{
		if (tuple->items.n)
			LLM_TRY(llm_jinja_expect(p, JINJA_T_COMMA));
		if (is_tuple_end(p, end_name))
			break;
		if (simplified)
			LLM_TRY(parse_primary(p, with_namespace, &item));
		else
			LLM_TRY(llm_jinja_parse_expression(p, with_condition, &item));
		LLM_TRY(llm_jinja_list_add(p, &tuple->items, item));
		if (p->cur.kind != JINJA_T_COMMA)
			break;
		is_tuple = true;
	}
	*out = tuple;
	if (!is_tuple && tuple->items.n)
		*out = item;
	else if (!is_tuple && !parenthesized)
		return llm_jinja_unexpected(p, "an expression");
	return LLM_OK;
}

LlmStatus
llm_jinja_parse_tuple(JinjaParser *p, bool with_condition, const char *end_name, bool parenthesized, JinjaNode **out)
{
	return parse_any_tuple(p, false, false, with_condition, end_name, parenthesized, out);
}

static bool
can_assign(const JinjaNode *target)
{
	if (target->kind == JINJA_NAME || target->kind == JINJA_NSREF)
		return true;
	if (target->kind != JINJA_TUPLE_EXPR)
		return false;
	for (size_t i = 0; i < target->items.n; i++)
		if (!can_assign(target->items.items[i]))
			return false;
	return true;
}

LlmStatus
llm_jinja_parse_target(JinjaParser *p, const char *end_name, bool with_namespace, JinjaNode **out)
{
	uint32_t	line = p->cur.line;

	LLM_TRY(parse_any_tuple(p, true, with_namespace, false, end_name, false, out));
	if (!can_assign(*out))
		return llm_fail(p->err, LLM_E_FORMAT, "chat template is wrong on line %u: cannot assign to this expression", line);
	return LLM_OK;
}
