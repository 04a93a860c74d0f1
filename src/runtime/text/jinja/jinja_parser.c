/*
 * jinja_parser.c: statements of a template, and what both parser files share.
 *
 * Tags that need other templates (include, import, extends) and switches that cannot matter here (autoescape) are refused by
 * name. The tree lives in the template's arena; on an error the template is thrown away as a whole.
 */
#include "text/jinja/jinja.h"

#include <string.h>

static LlmStatus parse_body(JinjaParser *p, const char *const *ends, JinjaList *out);

LlmStatus
llm_jinja_advance(JinjaParser *p)
{
	if (p->has_ahead)
	{
		p->cur = p->ahead;
		p->has_ahead = false;
		return LLM_OK;
	}
	return llm_jinja_next_token(&p->lexer, &p->cur, p->err);
}

LlmStatus
llm_jinja_look(JinjaParser *p, const JinjaToken **ahead)
{
	if (!p->has_ahead)
		LLM_TRY(llm_jinja_next_token(&p->lexer, &p->ahead, p->err));
	p->has_ahead = true;
	*ahead = &p->ahead;
	return LLM_OK;
}

bool
llm_jinja_at_name(const JinjaParser *p, const char *name)
{
	size_t		len = strlen(name);

	return p->cur.kind == JINJA_T_NAME && p->cur.text.len == len && memcmp(p->cur.text.data, name, len) == 0;
}

LlmStatus
llm_jinja_skip_name(JinjaParser *p, const char *name, bool *skipped)
{
	*skipped = llm_jinja_at_name(p, name);
	return *skipped ? llm_jinja_advance(p) : LLM_OK;
}

LlmStatus
llm_jinja_unexpected(JinjaParser *p, const char *wanted)
{
	if (p->cur.kind == JINJA_T_NAME)
		return llm_fail(p->err, LLM_E_FORMAT, "chat template is wrong on line %u: expected %s, got \"%.*s\"", p->cur.line, wanted,
						(int) (p->cur.text.len < 60 ? p->cur.text.len : 60), p->cur.text.data);
	return llm_fail(p->err, LLM_E_FORMAT, "chat template is wrong on line %u: expected %s, got %s", p->cur.line, wanted,
					llm_jinja_token_name(p->cur.kind));
}

LlmStatus
llm_jinja_expect(JinjaParser *p, JinjaTokenKind kind)
{
	if (p->cur.kind != kind)
		return llm_jinja_unexpected(p, llm_jinja_token_name(kind));
	return llm_jinja_advance(p);
}

LlmStatus
llm_jinja_node(JinjaParser *p, JinjaNodeKind kind, uint32_t line, JinjaNode **out)
{
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(&p->t->arena, 1, sizeof(JinjaNode), &ptr, p->err));
	*out = memset(ptr, 0, sizeof(JinjaNode));
	(*out)->kind = kind;
	(*out)->line = line;
	return LLM_OK;
}

LlmStatus
llm_jinja_list_add(JinjaParser *p, JinjaList *list, JinjaNode *node)
{
	if (list->n == list->capacity)
	{
		size_t		capacity = list->capacity ? list->capacity * 2 : 4;
		void	   *items;

		LLM_TRY(llm_arena_alloc(&p->t->arena, capacity, sizeof(JinjaNode *), &items, p->err));
		if (list->n)
			memcpy(items, list->items, list->n * sizeof(JinjaNode *));
		list->items = items;
		list->capacity = capacity;
	}
	list->items[list->n++] = node;
	return LLM_OK;
}

static size_t
name_slot(const LlmTemplate *t, LlmStr name)
{
	uint64_t	hash = 14695981039346656037u;
	size_t		slot;

	for (size_t i = 0; i < name.len; i++)
		hash = (hash ^ (unsigned char) name.data[i]) * 1099511628211u;
	for (slot = hash & (t->n_hash - 1); t->name_hash[slot]; slot = (slot + 1) & (t->n_hash - 1))
	{
		const LlmText *text = &t->names[t->name_hash[slot] - 1]->u.text;

		if (text->len == name.len && memcmp(text->bytes, name.data, name.len) == 0)
			break;
	}
	return slot;
}

/* twice as many places for names, in list and hash table */
static LlmStatus
grow_names(JinjaParser *p)
{
	LlmTemplate *t = p->t;
	size_t		capacity = t->names_capacity ? t->names_capacity * 2 : 64;
	void	   *names;
	void	   *hash;

	LLM_TRY(llm_arena_alloc(&t->arena, capacity, sizeof(LlmValue *), &names, p->err));
	LLM_TRY(llm_arena_alloc(&t->arena, capacity * 2, sizeof(uint32_t), &hash, p->err));
	if (t->n_names)
		memcpy(names, t->names, t->n_names * sizeof(LlmValue *));
	t->names = names;
	t->names_capacity = capacity;
	t->name_hash = memset(hash, 0, capacity * 2 * sizeof(uint32_t));
	t->n_hash = capacity * 2;
	for (size_t i = 0; i < t->n_names; i++)
		t->name_hash[name_slot(t, (LlmStr) {t->names[i]->u.text.bytes, t->names[i]->u.text.len})] = (uint32_t) i + 1;
	return LLM_OK;
}

LlmStatus
llm_jinja_intern(JinjaParser *p, LlmStr name, uint32_t *out)
{
	LlmTemplate *t = p->t;
	size_t		slot;

	if (t->n_names == t->names_capacity)
		LLM_TRY(grow_names(p));
	slot = name_slot(t, name);
	if (!t->name_hash[slot])
	{
		LLM_TRY(llm_value_string(&t->arena, name.data, name.len, false, &t->names[t->n_names], p->err));
		t->name_hash[slot] = (uint32_t) ++t->n_names;
	}
	*out = t->name_hash[slot] - 1;
	return LLM_OK;
}

/* the rest of a block tag, then everything up to one of the ends, whose name is at hand afterwards */
static LlmStatus
parse_statements(JinjaParser *p, const char *const *ends, JinjaList *out)
{
	if (p->cur.kind == JINJA_T_COLON)
		LLM_TRY(llm_jinja_advance(p));
	LLM_TRY(llm_jinja_expect(p, JINJA_T_BLOCK_END));
	return parse_body(p, ends, out);
}

/* as parse_statements with one end, and moves behind its name */
static LlmStatus
parse_until(JinjaParser *p, const char *end, JinjaList *out)
{
	const char *const ends[] = {end, NULL};

	LLM_TRY(parse_statements(p, ends, out));
	return llm_jinja_advance(p);
}

/* a body that is a scope of its own, where conditions and loops around it do not count */
static LlmStatus
parse_apart(JinjaParser *p, const char *end, bool keep_loops, JinjaList *out)
{
	bool		soft = p->soft;
	int			loops = p->loops;

	p->soft = false;
	if (!keep_loops)
		p->loops = 0;
	LLM_TRY(parse_until(p, end, out));
	p->soft = soft;
	p->loops = loops;
	return LLM_OK;
}

static LlmStatus
parse_if(JinjaParser *p, JinjaNode **out)
{
	static const char *const ends[] = {"elif", "else", "endif", NULL};
	bool		soft = p->soft;
	bool		more = true;
	JinjaNode  *node;

	LLM_TRY(llm_jinja_node(p, JINJA_IF, p->cur.line, out));
	p->soft = true;
	while (more)
	{
		JinjaNode  *test;
		JinjaNode  *body;

		LLM_TRY(llm_jinja_advance(p));
		LLM_TRY(llm_jinja_parse_tuple(p, false, NULL, false, &test));
		LLM_TRY(llm_jinja_node(p, JINJA_SCOPE, test->line, &body));
		LLM_TRY(parse_statements(p, ends, &body->items));
		LLM_TRY(llm_jinja_list_add(p, &(*out)->items, test));
		LLM_TRY(llm_jinja_list_add(p, &(*out)->more, body));
		more = llm_jinja_at_name(p, "elif");
	}
	if (llm_jinja_at_name(p, "else"))
	{
		LLM_TRY(llm_jinja_node(p, JINJA_SCOPE, p->cur.line, &node));
		LLM_TRY(llm_jinja_advance(p));
		LLM_TRY(parse_until(p, "endif", &node->items));
		(*out)->c = node;
	}
	else
		LLM_TRY(llm_jinja_advance(p));
	p->soft = soft;
	return LLM_OK;
}

static bool
names_loop(const JinjaParser *p, const JinjaNode *target)
{
	if (target->kind == JINJA_NAME)
		return target->name == p->t->loop_name;
	for (size_t i = 0; i < target->items.n; i++)
		if (names_loop(p, target->items.items[i]))
			return true;
	return false;
}

static LlmStatus
check_loop_name(JinjaParser *p, const JinjaNode *target)
{
	if (p->loops > 0 && names_loop(p, target))
		return llm_fail(p->err, LLM_E_FORMAT, "chat template is wrong on line %u: cannot assign to the variable \"loop\" in a loop",
						target->line);
	return LLM_OK;
}

static LlmStatus
parse_for(JinjaParser *p, JinjaNode **out)
{
	static const char *const ends[] = {"endfor", "else", NULL};
	JinjaNode  *node;
	bool		skipped;
	bool		soft = p->soft;

	LLM_TRY(llm_jinja_node(p, JINJA_FOR, p->cur.line, &node));
	LLM_TRY(llm_jinja_advance(p));
	LLM_TRY(llm_jinja_parse_target(p, "in", false, &node->a));
	if (!llm_jinja_at_name(p, "in"))
		return llm_jinja_unexpected(p, "in");
	LLM_TRY(llm_jinja_advance(p));
	LLM_TRY(llm_jinja_parse_tuple(p, false, "recursive", false, &node->b));
	p->soft = false;
	p->loops++;
	LLM_TRY(check_loop_name(p, node->a));
	LLM_TRY(llm_jinja_skip_name(p, "if", &skipped));
	if (skipped)
		LLM_TRY(llm_jinja_parse_expression(p, true, &node->c));
	LLM_TRY(llm_jinja_skip_name(p, "recursive", &skipped));
	node->op = skipped;
	LLM_TRY(parse_statements(p, ends, &node->items));
	p->loops--;
	skipped = llm_jinja_at_name(p, "else");
	LLM_TRY(llm_jinja_advance(p));
	if (skipped)
		LLM_TRY(parse_until(p, "endfor", &node->more));
	p->soft = soft;
	*out = node;
	return LLM_OK;
}

static LlmStatus
parse_set(JinjaParser *p, JinjaNode **out)
{
	JinjaNode  *node;

	LLM_TRY(llm_jinja_node(p, JINJA_SET, p->cur.line, &node));
	LLM_TRY(llm_jinja_advance(p));
	LLM_TRY(llm_jinja_parse_target(p, NULL, true, &node->a));
	LLM_TRY(check_loop_name(p, node->a));
	*out = node;
	if (p->cur.kind == JINJA_T_ASSIGN)
	{
		LLM_TRY(llm_jinja_advance(p));
		return llm_jinja_parse_tuple(p, true, NULL, false, &node->b);
	}
	node->kind = JINJA_SET_BLOCK;
	LLM_TRY(llm_jinja_parse_filters(p, NULL, false, &node->b));
	return parse_apart(p, "endset", true, &node->items);
}

/* (name, name=default, …): names to items, defaults to more; what has no default has a NULL there */
static LlmStatus
parse_signature(JinjaParser *p, JinjaNode *node)
{
	LLM_TRY(llm_jinja_expect(p, JINJA_T_LPAREN));
	while (p->cur.kind != JINJA_T_RPAREN)
	{
		JinjaNode  *name;
		JinjaNode  *fallback = NULL;

		if (node->items.n)
			LLM_TRY(llm_jinja_expect(p, JINJA_T_COMMA));
		LLM_TRY(llm_jinja_node(p, JINJA_NAME, p->cur.line, &name));
		if (p->cur.kind != JINJA_T_NAME)
			return llm_jinja_unexpected(p, "a name");
		LLM_TRY(llm_jinja_intern(p, p->cur.text, &name->name));
		for (size_t i = 0; i < node->items.n; i++)
			if (node->items.items[i]->name == name->name)
				return llm_fail(p->err, LLM_E_FORMAT, "chat template is wrong on line %u: two parameters have the same name", name->line);
		LLM_TRY(llm_jinja_advance(p));
		if (p->cur.kind == JINJA_T_ASSIGN)
		{
			LLM_TRY(llm_jinja_advance(p));
			LLM_TRY(llm_jinja_parse_expression(p, true, &fallback));
		}
		else if (node->more.n && node->more.items[node->more.n - 1])
			return llm_fail(p->err, LLM_E_FORMAT, "chat template is wrong on line %u: a parameter without default follows one with default", name->line);
		LLM_TRY(llm_jinja_list_add(p, &node->items, name));
		LLM_TRY(llm_jinja_list_add(p, &node->more, fallback));
	}
	return llm_jinja_expect(p, JINJA_T_RPAREN);
}

/* the body of a macro or call block goes to node->a; node->op tells which special names it reads */
static LlmStatus
parse_macro_body(JinjaParser *p, const char *end, JinjaNode *node)
{
	int			uses = p->uses;
	const uint32_t special[] = {p->t->caller_name, p->t->kwargs_name, p->t->varargs_name};

	LLM_TRY(llm_jinja_node(p, JINJA_SCOPE, node->line, &node->a));
	p->uses = 0;
	LLM_TRY(parse_apart(p, end, false, &node->a->items));
	node->op = p->uses;
	p->uses |= uses;
	for (int s = 0; s < 3; s++)
		for (size_t i = 0; i < node->items.n; i++)
			if (node->items.items[i]->name == special[s])
			{
				if (s == 0 && (node->op & JINJA_USES_CALLER) && !node->more.items[i])
					return llm_fail(p->err, LLM_E_FORMAT, "chat template is wrong on line %u: the parameter \"caller\" needs a default", node->line);
				node->op &= ~(1 << s);
			}
	return LLM_OK;
}

static LlmStatus
parse_macro(JinjaParser *p, JinjaNode **out)
{
	JinjaNode  *node;
	bool		soft = p->soft;

	LLM_TRY(llm_jinja_node(p, JINJA_MACRO, p->cur.line, &node));
	LLM_TRY(llm_jinja_advance(p));
	if (p->cur.kind != JINJA_T_NAME)
		return llm_jinja_unexpected(p, "a name");
	LLM_TRY(llm_jinja_intern(p, p->cur.text, &node->name));
	LLM_TRY(llm_jinja_advance(p));
	p->soft = false;
	LLM_TRY(parse_signature(p, node));
	p->soft = soft;
	*out = node;
	return parse_macro_body(p, "endmacro", node);
}

/* b: the call; c: the macro that becomes its caller */
static LlmStatus
parse_call_block(JinjaParser *p, JinjaNode **out)
{
	JinjaNode  *node;

	LLM_TRY(llm_jinja_node(p, JINJA_CALL_BLOCK, p->cur.line, &node));
	LLM_TRY(llm_jinja_node(p, JINJA_MACRO, p->cur.line, &node->c));
	node->c->name = p->t->caller_name;
	LLM_TRY(llm_jinja_advance(p));
	if (p->cur.kind == JINJA_T_LPAREN)
		LLM_TRY(parse_signature(p, node->c));
	LLM_TRY(llm_jinja_parse_expression(p, true, &node->b));
	if (node->b->kind != JINJA_CALL)
		return llm_fail(p->err, LLM_E_FORMAT, "chat template is wrong on line %u: a call block needs a call", node->line);
	*out = node;
	return parse_macro_body(p, "endcall", node->c);
}

static LlmStatus
parse_filter_block(JinjaParser *p, JinjaNode **out)
{
	JinjaNode  *node;
	bool		soft = p->soft;

	LLM_TRY(llm_jinja_node(p, JINJA_FILTER_BLOCK, p->cur.line, &node));
	LLM_TRY(llm_jinja_advance(p));
	p->soft = false;
	LLM_TRY(llm_jinja_parse_filters(p, NULL, true, &node->b));
	p->soft = soft;
	*out = node;
	return parse_apart(p, "endfilter", true, &node->items);
}

/* items: targets; more: values; a: body */
static LlmStatus
parse_with(JinjaParser *p, JinjaNode **out)
{
	JinjaNode  *node;

	LLM_TRY(llm_jinja_node(p, JINJA_WITH, p->cur.line, &node));
	LLM_TRY(llm_jinja_advance(p));
	while (p->cur.kind != JINJA_T_BLOCK_END)
	{
		JinjaNode  *target;
		JinjaNode  *value;

		if (node->items.n)
			LLM_TRY(llm_jinja_expect(p, JINJA_T_COMMA));
		LLM_TRY(llm_jinja_parse_target(p, NULL, false, &target));
		LLM_TRY(llm_jinja_expect(p, JINJA_T_ASSIGN));
		LLM_TRY(llm_jinja_parse_expression(p, true, &value));
		LLM_TRY(llm_jinja_list_add(p, &node->items, target));
		LLM_TRY(llm_jinja_list_add(p, &node->more, value));
	}
	LLM_TRY(llm_jinja_node(p, JINJA_SCOPE, node->line, &node->a));
	*out = node;
	return parse_apart(p, "endwith", true, &node->a->items);
}

/* a block is filled where it stands; op: it sees the variables of loops around it */
static LlmStatus
parse_block(JinjaParser *p, JinjaNode **out)
{
	JinjaNode  *node;
	bool		skipped;
	LlmStr		name;

	LLM_TRY(llm_jinja_node(p, JINJA_BLOCK_TAG, p->cur.line, &node));
	LLM_TRY(llm_jinja_advance(p));
	if (p->cur.kind != JINJA_T_NAME)
		return llm_jinja_unexpected(p, "a name");
	name = p->cur.text;
	LLM_TRY(llm_jinja_intern(p, name, &node->name));
	for (size_t i = 0; i < p->t->blocks.n; i++)
		if (p->t->blocks.items[i]->name == node->name)
			return llm_fail(p->err, LLM_E_FORMAT, "chat template is wrong on line %u: block \"%.*s\" is defined twice", node->line,
							(int) (name.len < 64 ? name.len : 64), name.data);
	LLM_TRY(llm_jinja_list_add(p, &p->t->blocks, node));
	LLM_TRY(llm_jinja_advance(p));
	LLM_TRY(llm_jinja_skip_name(p, "scoped", &skipped));
	node->op = skipped;
	if (llm_jinja_at_name(p, "required"))
		return llm_fail(p->err, LLM_E_UNSUPPORTED, "chat template uses a required block on line %u, which is not supported", node->line);
	LLM_TRY(parse_apart(p, "endblock", false, &node->items));
	if (p->cur.kind == JINJA_T_NAME && p->cur.text.len == name.len && memcmp(p->cur.text.data, name.data, name.len) == 0)
		LLM_TRY(llm_jinja_advance(p));
	*out = node;
	return LLM_OK;
}

static LlmStatus
parse_print(JinjaParser *p, JinjaNode **out)
{
	JinjaNode  *node;
	JinjaNode  *scope;

	LLM_TRY(llm_jinja_node(p, JINJA_SCOPE, p->cur.line, &scope));
	LLM_TRY(llm_jinja_advance(p));
	while (p->cur.kind != JINJA_T_BLOCK_END)
	{
		if (scope->items.n)
			LLM_TRY(llm_jinja_expect(p, JINJA_T_COMMA));
		LLM_TRY(llm_jinja_node(p, JINJA_PRINT, p->cur.line, &node));
		LLM_TRY(llm_jinja_parse_expression(p, true, &node->a));
		LLM_TRY(llm_jinja_list_add(p, &scope->items, node));
	}
	*out = scope;
	return LLM_OK;
}

/* {% autoescape false %} changes nothing here; anything else is refused */
static LlmStatus
parse_autoescape(JinjaParser *p, JinjaNode **out)
{
	JinjaNode  *value;

	LLM_TRY(llm_jinja_node(p, JINJA_WITH, p->cur.line, out));
	LLM_TRY(llm_jinja_node(p, JINJA_SCOPE, p->cur.line, &(*out)->a));
	LLM_TRY(llm_jinja_advance(p));
	LLM_TRY(llm_jinja_parse_expression(p, true, &value));
	if (value->kind != JINJA_CONST || llm_jinja_truth(value->value))
		return llm_fail(p->err, LLM_E_UNSUPPORTED, "chat template uses autoescape on line %u, which is not supported", (*out)->line);
	return parse_apart(p, "endautoescape", true, &(*out)->a->items);
}

static LlmStatus
parse_generation(JinjaParser *p, JinjaNode **out)
{
	LLM_TRY(llm_jinja_node(p, JINJA_GENERATION, p->cur.line, out));
	LLM_TRY(llm_jinja_node(p, JINJA_MACRO, p->cur.line, &(*out)->c));
	LLM_TRY(llm_jinja_advance(p));
	return parse_macro_body(p, "endgeneration", (*out)->c);
}

static LlmStatus
parse_loop_control(JinjaParser *p, JinjaNode **out)
{
	LLM_TRY(llm_jinja_node(p, llm_jinja_at_name(p, "break") ? JINJA_BREAK : JINJA_CONTINUE, p->cur.line, out));
	if (p->loops == 0)
		return llm_fail(p->err, LLM_E_FORMAT, "chat template is wrong on line %u: \"%.*s\" outside a loop", p->cur.line,
						(int) p->cur.text.len, p->cur.text.data);
	return llm_jinja_advance(p);
}

static LlmStatus
parse_unsupported(JinjaParser *p, JinjaNode **out)
{
	(void) out;
	return llm_fail(p->err, LLM_E_UNSUPPORTED, "chat template uses the tag \"%.*s\" on line %u, which is not supported",
					(int) p->cur.text.len, p->cur.text.data, p->cur.line);
}

static LlmStatus
parse_statement(JinjaParser *p, JinjaNode **out)
{
	static const struct
	{
		const char *name;
		LlmStatus	(*parse) (JinjaParser *p, JinjaNode **out);
	}			tags[] = {
		{"if", parse_if}, {"for", parse_for}, {"set", parse_set}, {"macro", parse_macro}, {"call", parse_call_block},
		{"filter", parse_filter_block}, {"with", parse_with}, {"block", parse_block}, {"print", parse_print},
		{"autoescape", parse_autoescape}, {"generation", parse_generation}, {"break", parse_loop_control},
		{"continue", parse_loop_control}, {"include", parse_unsupported}, {"import", parse_unsupported},
		{"from", parse_unsupported}, {"extends", parse_unsupported}
	};

	if (p->cur.kind != JINJA_T_NAME)
		return llm_jinja_unexpected(p, "the name of a tag");
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (llm_jinja_at_name(p, tags[i].name))
			return tags[i].parse(p, out);
	return llm_fail(p->err, LLM_E_FORMAT, "chat template is wrong on line %u: unknown tag \"%.*s\"", p->cur.line,
					(int) (p->cur.text.len < 60 ? p->cur.text.len : 60), p->cur.text.data);
}

/* text, {{ }} and tags up to one of the ends (NULL: up to the end of the template) */
static LlmStatus
parse_body(JinjaParser *p, const char *const *ends, JinjaList *out)
{
	LLM_TRY(llm_jinja_enter(p));
	while (p->cur.kind != JINJA_T_EOF)
	{
		JinjaNode  *node;

		if (p->cur.kind == JINJA_T_DATA)
		{
			LLM_TRY(llm_jinja_node(p, JINJA_DATA, p->cur.line, &node));
			LLM_TRY(llm_value_string(&p->t->arena, p->cur.text.data, p->cur.text.len, false, &node->value, p->err));
			LLM_TRY(llm_jinja_advance(p));
		}
		else if (p->cur.kind == JINJA_T_VARIABLE_BEGIN)
		{
			LLM_TRY(llm_jinja_node(p, JINJA_PRINT, p->cur.line, &node));
			LLM_TRY(llm_jinja_advance(p));
			LLM_TRY(llm_jinja_parse_tuple(p, true, NULL, false, &node->a));
			LLM_TRY(llm_jinja_expect(p, JINJA_T_VARIABLE_END));
		}
		else
		{
			LLM_TRY(llm_jinja_expect(p, JINJA_T_BLOCK_BEGIN));
			for (const char *const *end = ends; end && *end; end++)
				if (llm_jinja_at_name(p, *end))
				{
					llm_jinja_leave(p);
					return LLM_OK;
				}
			LLM_TRY(parse_statement(p, &node));
			LLM_TRY(llm_jinja_expect(p, JINJA_T_BLOCK_END));
		}
		LLM_TRY(llm_jinja_list_add(p, out, node));
	}
	if (ends)
		return llm_fail(p->err, LLM_E_FORMAT, "chat template is wrong on line %u: it ends where \"%s\" is missing", p->cur.line, ends[0]);
	llm_jinja_leave(p);
	return LLM_OK;
}

LlmStatus
llm_jinja_parse(LlmTemplate *t, const char *source, size_t len, LlmError *err)
{
	JinjaParser p;

	memset(&p, 0, sizeof(p));
	p.t = t;
	p.err = err;
	LLM_TRY(llm_jinja_lexer_init(&p.lexer, source, len, &t->arena, err));
	LLM_TRY(llm_jinja_intern(&p, (LlmStr) {"loop", 4}, &t->loop_name));
	LLM_TRY(llm_jinja_intern(&p, (LlmStr) {"caller", 6}, &t->caller_name));
	LLM_TRY(llm_jinja_intern(&p, (LlmStr) {"kwargs", 6}, &t->kwargs_name));
	LLM_TRY(llm_jinja_intern(&p, (LlmStr) {"varargs", 7}, &t->varargs_name));
	LLM_TRY(llm_jinja_intern(&p, (LlmStr) {"self", 4}, &t->self_name));
	LLM_TRY(llm_jinja_advance(&p));
	LLM_TRY(parse_body(&p, NULL, &t->body));
	if (p.unknown)
	{
		const LlmText *name = &p.unknown->value->u.text;

		return llm_fail(err, LLM_E_UNSUPPORTED, "chat template uses the %s \"%.*s\" on line %u, which is not known",
						p.unknown->kind == JINJA_FILTER ? "filter" : "test", (int) (name->len < 60 ? name->len : 60),
						name->bytes, p.unknown->line);
	}
	return LLM_OK;
}
