/*
 * jinja.h: inner agreement of the chat template interpreter: tokens, tree, and what a rendering carries along.
 *
 * A template is compiled to a tree in the arena of LlmTemplate and never changes afterwards. A rendering (Jinja) walks the
 * tree; its values live in an arena of its own and only the finished text is handed to the caller. There is one output
 * buffer: whatever needs a string built (a macro's result, a set block, join, upper) remembers its length, appends, and
 * cuts the new part off as a value. Beside each byte stands its origin (0 template, 1 data), so no operation can lose it.
 *
 * Values are those of value.h; what Python tells apart and value.h does not is in LlmValue.flavour. Strings are sequences
 * of code points; a byte that is not UTF-8 counts as a code point of its own. Any iterable is turned into an array of
 * values before use; lazy iterators of Jinja become a GENERATOR that is used up by its first reader.
 */
#ifndef LLM_JINJA_H
#define LLM_JINJA_H

#include "text/chat_template.h"

/* limits of one template and one rendering */
#define LLM_JINJA_MAX_SOURCE ((size_t) 1 << 20)
#define LLM_JINJA_MAX_TREE ((size_t) 256 << 20)		/* bytes of the compiled tree */
#define LLM_JINJA_MAX_NESTING 200	/* blocks, brackets and operators within each other */
#define LLM_JINJA_MAX_STEPS 10000000
#define LLM_JINJA_MAX_MACROS 100	/* macro calls within each other */
#define LLM_JINJA_MAX_DEPTH 2500	/* evaluations within each other */
#define LLM_JINJA_MAX_VALUE_DEPTH 200	/* lists within lists that are printed or compared */
#define LLM_JINJA_MAX_MEMORY ((size_t) 256 << 20)
#define LLM_JINJA_MAX_OUTPUT ((size_t) 64 << 20)
#define LLM_JINJA_MAX_RANGE 100000	/* as jinja2's sandbox */

/* LlmValue.flavour */
enum
{
	JINJA_PLAIN = 0,
	JINJA_MARKUP,				/* string: marked safe; + escapes the other side */
	JINJA_TUPLE,				/* list */
	JINJA_GROUP,				/* list: (grouper, list) of groupby */
	JINJA_KEYS,					/* list: views of a map */
	JINJA_VALUES,
	JINJA_ITEMS
};

/* ---- tokens ---- */

typedef enum JinjaTokenKind
{
	JINJA_T_EOF, JINJA_T_DATA, JINJA_T_BLOCK_BEGIN, JINJA_T_BLOCK_END, JINJA_T_VARIABLE_BEGIN, JINJA_T_VARIABLE_END,
	JINJA_T_NAME, JINJA_T_STRING, JINJA_T_INTEGER, JINJA_T_FLOAT,
	JINJA_T_ADD, JINJA_T_SUB, JINJA_T_MUL, JINJA_T_DIV, JINJA_T_FLOORDIV, JINJA_T_MOD, JINJA_T_POW, JINJA_T_TILDE,
	JINJA_T_LBRACKET, JINJA_T_RBRACKET, JINJA_T_LPAREN, JINJA_T_RPAREN, JINJA_T_LBRACE, JINJA_T_RBRACE,
	JINJA_T_EQ, JINJA_T_NE, JINJA_T_GT, JINJA_T_GTEQ, JINJA_T_LT, JINJA_T_LTEQ, JINJA_T_ASSIGN,
	JINJA_T_DOT, JINJA_T_COLON, JINJA_T_PIPE, JINJA_T_COMMA, JINJA_T_SEMICOLON
} JinjaTokenKind;

typedef struct JinjaToken
{
	JinjaTokenKind kind;
	uint32_t	line;
	LlmStr		text;			/* DATA, NAME: bytes in the source */
	LlmValue   *value;			/* STRING, INTEGER, FLOAT */
} JinjaToken;

typedef struct JinjaLexer
{
	LlmArena   *arena;
	const char *src;			/* line ends are \n */
	size_t		len;
	size_t		pos;
	uint32_t	line;
	int			state;			/* in text, in a block tag, in a variable tag */
	JinjaTokenKind pending;		/* tag that begins after the text just given, or EOF */
	uint32_t	pending_line;
	bool		line_starting;	/* what came before ended with a line feed */
	int			n_brackets;
	char		brackets[LLM_JINJA_MAX_NESTING];	/* closing brackets that are due */
} JinjaLexer;

extern LlmStatus llm_jinja_lexer_init(JinjaLexer *lexer, const char *source, size_t len, LlmArena *arena, LlmError *err);
extern LlmStatus llm_jinja_next_token(JinjaLexer *lexer, JinjaToken *token, LlmError *err);
extern const char *llm_jinja_token_name(JinjaTokenKind kind);

/* ---- tree ---- */

typedef struct Jinja Jinja;
typedef struct JinjaNode JinjaNode;

typedef enum JinjaNodeKind
{
	/* expressions */
	JINJA_CONST, JINJA_NAME, JINJA_NSREF, JINJA_TUPLE_EXPR, JINJA_LIST_EXPR, JINJA_DICT_EXPR, JINJA_COND, JINJA_OR, JINJA_AND,
	JINJA_NOT, JINJA_COMPARE, JINJA_BINARY, JINJA_CONCAT, JINJA_NEG, JINJA_POS, JINJA_GETATTR, JINJA_GETITEM, JINJA_SLICE,
	JINJA_CALL, JINJA_FILTER, JINJA_TEST,
	/* statements */
	JINJA_DATA, JINJA_PRINT, JINJA_IF, JINJA_FOR, JINJA_SET, JINJA_SET_BLOCK, JINJA_MACRO, JINJA_CALL_BLOCK, JINJA_FILTER_BLOCK,
	JINJA_WITH, JINJA_SCOPE, JINJA_BLOCK_TAG, JINJA_GENERATION, JINJA_BREAK, JINJA_CONTINUE
} JinjaNodeKind;

/* operators of JINJA_COMPARE; JINJA_BINARY uses the token kinds */
typedef enum JinjaCompareOp
{
	JINJA_OP_EQ, JINJA_OP_NE, JINJA_OP_LT, JINJA_OP_LE, JINJA_OP_GT, JINJA_OP_GE, JINJA_OP_IN, JINJA_OP_NOT_IN
} JinjaCompareOp;

typedef struct JinjaList
{
	JinjaNode **items;
	size_t		n;
	size_t		capacity;
} JinjaList;

/* arguments as written */
typedef struct JinjaArgList
{
	JinjaList	positional;
	JinjaList	keywords;		/* values */
	LlmValue  **keyword_names;	/* one per value */
	size_t		names_capacity;
	JinjaNode  *star;			/* *args */
	JinjaNode  *star_star;		/* **kwargs */
} JinjaArgList;

/* what filters, tests, methods and global functions look like */
typedef struct JinjaArgs
{
	LlmValue  **positional;
	size_t		n_positional;
	LlmValue  **keyword_names;	/* strings */
	LlmValue  **keyword_values;
	size_t		n_keywords;
} JinjaArgs;

/*
 * v: one slot per parameter of the declaration, NULL where not given. args: as called, for functions that take any.
 * self: what is filtered or tested, or the object of the method; NULL for global functions.
 */
typedef LlmStatus (*JinjaFn) (Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out);

typedef struct JinjaFunction
{
	const char *name;
	JinjaFn		fn;
	/*
	 * Names of parameters separated by blanks. A leading "/" in the string: no keywords. NULL: takes what it likes.
	 * At most 8.
	 */
	const char *params;
	int			n_required;
} JinjaFunction;

struct JinjaNode
{
	JinjaNodeKind kind;
	uint32_t	line;
	int			op;				/* BINARY: token kind; TEST: negated; FOR: recursive; MACRO: JINJA_USES_ flags */
	uint32_t	name;			/* NAME, NSREF, MACRO: index into names */
	LlmValue   *value;			/* CONST, DATA; GETATTR, NSREF: attribute; FILTER, TEST: its name */
	JinjaNode  *a;
	JinjaNode  *b;
	JinjaNode  *c;
	JinjaList	items;
	JinjaList	more;			/* DICT_EXPR: values; IF: bodies; COMPARE: none; FOR: else; MACRO: defaults */
	uint8_t    *ops;			/* COMPARE */
	JinjaArgList *args;
	const JinjaFunction *function;	/* FILTER, TEST; NULL if there is none of that name */
};

#define JINJA_USES_CALLER 1
#define JINJA_USES_KWARGS 2
#define JINJA_USES_VARARGS 4

/* ---- compiled template ---- */

struct LlmTemplate
{
	LlmArena	arena;
	LlmAllocator allocator;
	JinjaList	body;
	LlmValue  **names;			/* variable names used, each once */
	size_t		n_names;
	size_t		names_capacity;
	uint32_t   *name_hash;		/* index + 1, open addressing; n_hash a power of two */
	size_t		n_hash;
	uint32_t	loop_name;		/* names that statements set by themselves */
	uint32_t	caller_name;
	uint32_t	kwargs_name;
	uint32_t	varargs_name;
	uint32_t	self_name;
	JinjaList	blocks;			/* block tags, which self.NAME() renders */
};

/* parser state: one token ahead, a second one on demand */
typedef struct JinjaParser
{
	LlmTemplate *t;
	JinjaLexer	lexer;
	JinjaToken	cur;
	JinjaToken	ahead;
	bool		has_ahead;
	int			nesting;
	int			loops;			/* loops around this place within the same macro */
	bool		soft;			/* inside a condition: an unknown filter fails only when reached */
	const JinjaNode *unknown;	/* first unknown filter or test that fails the template as a whole */
	int			uses;			/* JINJA_USES_ flags of names read since the macro began */
	LlmError   *err;
} JinjaParser;

extern LlmStatus llm_jinja_parse(LlmTemplate *t, const char *source, size_t len, LlmError *err);
extern LlmStatus llm_jinja_advance(JinjaParser *p);
extern LlmStatus llm_jinja_look(JinjaParser *p, const JinjaToken **ahead);
extern bool llm_jinja_at_name(const JinjaParser *p, const char *name);
extern LlmStatus llm_jinja_skip_name(JinjaParser *p, const char *name, bool *skipped);
extern LlmStatus llm_jinja_expect(JinjaParser *p, JinjaTokenKind kind);
extern LlmStatus llm_jinja_unexpected(JinjaParser *p, const char *wanted);
extern LlmStatus llm_jinja_node(JinjaParser *p, JinjaNodeKind kind, uint32_t line, JinjaNode **out);
extern LlmStatus llm_jinja_list_add(JinjaParser *p, JinjaList *list, JinjaNode *node);
extern LlmStatus llm_jinja_intern(JinjaParser *p, LlmStr name, uint32_t *out);
extern LlmStatus llm_jinja_enter(JinjaParser *p);
extern void llm_jinja_leave(JinjaParser *p);
extern LlmStatus llm_jinja_parse_expression(JinjaParser *p, bool with_condition, JinjaNode **out);
/* end_name: a name that ends the tuple beside the usual ends, or NULL */
extern LlmStatus llm_jinja_parse_tuple(JinjaParser *p, bool with_condition, const char *end_name, bool parenthesized, JinjaNode **out);
extern LlmStatus llm_jinja_parse_target(JinjaParser *p, const char *end_name, bool with_namespace, JinjaNode **out);
extern LlmStatus llm_jinja_parse_filters(JinjaParser *p, JinjaNode *input, bool start_inline, JinjaNode **out);

/* ---- rendering ---- */

typedef struct JinjaVar
{
	uint32_t	name;
	LlmValue   *value;
} JinjaVar;

typedef struct JinjaScope JinjaScope;
struct JinjaScope
{
	JinjaScope *parent;
	JinjaVar   *vars;
	size_t		n;
	size_t		capacity;
};

typedef enum JinjaSignal
{
	JINJA_NORMAL, JINJA_BREAKING, JINJA_CONTINUING
} JinjaSignal;

struct Jinja
{
	const LlmTemplate *t;
	const LlmValue *variables;
	LlmValue  **context;		/* per name: value given from outside or global; NULL: not looked up yet */
	int64_t		now;
	LlmArena	arena;
	JinjaScope *root;			/* scope of the template as a whole */
	LlmBuf		out;
	LlmBuf		origin;			/* as long as out */
	const LlmStop *stop;
	LlmError   *err;
	uint64_t	steps;
	uint64_t	next_poll;
	int			depth;
	int			value_depth;
	int			macro_depth;
	uint32_t	line;
	JinjaSignal signal;
	LlmValue   *block_input;	/* what a filter without left side works on */
};

typedef enum JinjaObjectKind
{
	JINJA_OBJ_FUNCTION, JINJA_OBJ_MACRO, JINJA_OBJ_LOOP, JINJA_OBJ_NAMESPACE, JINJA_OBJ_CYCLER, JINJA_OBJ_JOINER,
	JINJA_OBJ_GENERATOR, JINJA_OBJ_RANGE, JINJA_OBJ_SELF, JINJA_OBJ_BLOCK
} JinjaObjectKind;

/* behind LlmValue.u.function of kind LLM_VALUE_FUNCTION */
typedef struct JinjaObject
{
	JinjaObjectKind kind;
	const JinjaFunction *function;	/* FUNCTION */
	LlmValue   *self;			/* FUNCTION: object of the method, or NULL; NAMESPACE: map; CYCLER, GENERATOR: list; JOINER: separator */
	const JinjaNode *node;		/* MACRO, LOOP, BLOCK */
	JinjaScope *scope;			/* MACRO, LOOP: where it was written */
	LlmValue  **items;			/* LOOP */
	size_t		n_items;
	int64_t		index;			/* LOOP, CYCLER: current; JOINER: used */
	int64_t		depth;			/* LOOP: recursion, from 0 */
	LlmValue   *last_changed;	/* LOOP: tuple */
	int64_t		start;			/* RANGE */
	int64_t		stop;
	int64_t		step;
} JinjaObject;

/* behind LlmValue.u.function of kind LLM_VALUE_UNDEFINED; NULL: nothing known */
typedef struct JinjaUndefined
{
	const char *hint;			/* whole message, or NULL */
	const LlmValue *object;		/* NULL: name is a variable */
	const LlmValue *name;
	bool		unsafe;
} JinjaUndefined;

/* jinja_render.c */
extern LlmStatus llm_jinja_run(Jinja *j);
extern LlmStatus llm_jinja_step(Jinja *j, uint64_t n);
extern LlmStatus llm_jinja_call_macro(Jinja *j, const JinjaObject *macro, const JinjaArgs *args, LlmValue **out);
extern LlmStatus llm_jinja_call_loop(Jinja *j, const JinjaObject *loop, LlmValue *iterable, LlmValue **out);
extern LlmStatus llm_jinja_call_block(Jinja *j, const JinjaObject *block, LlmValue **out);
extern LlmStatus llm_jinja_lookup(Jinja *j, JinjaScope *scope, uint32_t name, LlmValue **out);

/* jinja_expr.c */
extern LlmStatus llm_jinja_eval(Jinja *j, JinjaScope *scope, const JinjaNode *node, LlmValue **out);
extern LlmStatus llm_jinja_eval_args(Jinja *j, JinjaScope *scope, const JinjaArgList *list, LlmValue *caller, JinjaArgs *out);
extern LlmStatus llm_jinja_call(Jinja *j, LlmValue *callee, const JinjaArgs *args, LlmValue **out);
extern LlmStatus llm_jinja_apply(Jinja *j, const JinjaFunction *f, const char *what, LlmValue *self, const JinjaArgs *args, LlmValue **out);
extern LlmStatus llm_jinja_apply_test(Jinja *j, const JinjaFunction *f, LlmValue *self, const JinjaArgs *args, bool *out);

/* jinja_value.c: constructors, errors */
extern LlmStatus llm_jinja_fail(Jinja *j, const char *format,...) __attribute__((format(printf, 2, 3)));
extern LlmStatus llm_jinja_limit(Jinja *j, const char *format,...) __attribute__((format(printf, 2, 3)));
extern LlmStatus llm_jinja_fail_undefined(Jinja *j, const LlmValue *undefined);
extern LlmStatus llm_jinja_new(Jinja *j, LlmValueKind kind, LlmValue **out);
extern LlmValue *llm_jinja_none(void);
extern LlmValue *llm_jinja_bool(bool b);
extern LlmStatus llm_jinja_int(Jinja *j, int64_t i, LlmValue **out);
extern LlmStatus llm_jinja_float(Jinja *j, double d, LlmValue **out);
extern LlmStatus llm_jinja_text(Jinja *j, LlmText text, LlmValue **out);	/* borrows the bytes */
extern LlmStatus llm_jinja_cstring(Jinja *j, const char *text, LlmValue **out);	/* borrows; template bytes */
extern LlmStatus llm_jinja_list(Jinja *j, size_t capacity, LlmValue **out);
extern LlmStatus llm_jinja_push(Jinja *j, LlmValue *list, LlmValue *item);
extern LlmStatus llm_jinja_pair(Jinja *j, LlmValue *a, LlmValue *b, LlmValue **out);
extern LlmStatus llm_jinja_map_put(Jinja *j, LlmValue *map, LlmValue *key, LlmValue *value);
extern LlmStatus llm_jinja_undefined(Jinja *j, const char *hint, const LlmValue *object, const LlmValue *name, bool unsafe, LlmValue **out);
extern LlmStatus llm_jinja_object(Jinja *j, JinjaObjectKind kind, JinjaObject **object, LlmValue **out);
extern LlmStatus llm_jinja_generator(Jinja *j, LlmValue *list, LlmValue **out);
extern const char *llm_jinja_type_name(const LlmValue *v);
extern LlmText llm_jinja_sub(LlmText text, size_t start, size_t end);	/* bytes start..end */

static inline JinjaObject *
llm_jinja_obj(const LlmValue *v)
{
	return (JinjaObject *) v->u.function;
}

static inline bool
llm_jinja_is_obj(const LlmValue *v, JinjaObjectKind kind)
{
	return v->kind == LLM_VALUE_FUNCTION && llm_jinja_obj(v)->kind == kind;
}

/* jinja_text.c: building strings at the end of the output */
extern LlmStatus llm_jinja_put(Jinja *j, LlmText text);
extern LlmStatus llm_jinja_put_bytes(Jinja *j, const char *bytes, size_t len, bool from_data);
extern LlmStatus llm_jinja_put_char(Jinja *j, uint32_t c, bool from_data);	/* code point as UTF-8 */
extern LlmStatus llm_jinja_put_fill(Jinja *j, LlmText fill, size_t n);		/* n times */
extern LlmStatus llm_jinja_put_str(Jinja *j, const LlmValue *v);	/* as Python's str() */
extern LlmStatus llm_jinja_put_repr(Jinja *j, const LlmValue *v);
extern LlmStatus llm_jinja_put_escaped(Jinja *j, LlmText text);		/* HTML */
extern LlmStatus llm_jinja_cut(Jinja *j, size_t mark, LlmValue **out);		/* what was put since mark, as a value */
extern LlmStatus llm_jinja_str(Jinja *j, LlmValue *v, LlmText *out);	/* str() as text; no copy of a string */
extern LlmStatus llm_jinja_soft_str(Jinja *j, LlmValue *v, LlmValue **out);	/* str() that leaves strings as they are */

/* jinja_number.c */
#define JINJA_NUMBER_BUFFER 400
extern void llm_jinja_float_repr(double d, char *buffer);		/* JINJA_NUMBER_BUFFER bytes */
extern bool llm_jinja_parse_int(LlmText text, int base, int64_t *out, bool *overflow);	/* as Python's int() */
extern bool llm_jinja_parse_float(LlmText text, double *out);	/* as Python's float() */
extern LlmStatus llm_jinja_binary(Jinja *j, int op, LlmValue *a, LlmValue *b, LlmValue **out);
extern LlmStatus llm_jinja_negate(Jinja *j, LlmValue *a, bool negative, LlmValue **out);
extern LlmStatus llm_jinja_round(Jinja *j, LlmValue *value, int64_t digits, LlmValue **out);
extern bool llm_jinja_as_int(const LlmValue *v, int64_t *out);	/* int or bool */
extern bool llm_jinja_as_number(const LlmValue *v, double *out);	/* int, bool or float */

/* jinja_ops.c */
extern bool llm_jinja_truth(const LlmValue *v);
extern LlmStatus llm_jinja_equal(Jinja *j, const LlmValue *a, const LlmValue *b, bool *out);
extern LlmStatus llm_jinja_less(Jinja *j, const LlmValue *a, const LlmValue *b, bool *out);	/* a < b */
extern LlmStatus llm_jinja_compare(Jinja *j, JinjaCompareOp op, const LlmValue *a, const LlmValue *b, bool *out);
extern LlmStatus llm_jinja_contains(Jinja *j, const LlmValue *container, const LlmValue *item, bool *out);
extern LlmStatus llm_jinja_items(Jinja *j, LlmValue *v, LlmValue ***items, size_t *n);
extern bool llm_jinja_iterable(const LlmValue *v);
extern LlmStatus llm_jinja_length(Jinja *j, const LlmValue *v, int64_t *out);
extern LlmStatus llm_jinja_sort(Jinja *j, LlmValue **items, LlmValue **keys, size_t n, bool reverse);
extern int64_t llm_jinja_range_length(const JinjaObject *range);

/* jinja_access.c */
extern LlmStatus llm_jinja_getattr(Jinja *j, LlmValue *v, LlmValue *name, LlmValue **out);
extern LlmStatus llm_jinja_getitem(Jinja *j, LlmValue *v, LlmValue *key, LlmValue **out);
extern LlmStatus llm_jinja_check_attribute(Jinja *j, const LlmValue *name);	/* of a namespace, to be set */
extern LlmStatus llm_jinja_attribute(Jinja *j, LlmValue *v, LlmValue *name, LlmValue **out);	/* NULL if there is none */
extern LlmStatus llm_jinja_slice(Jinja *j, LlmValue *v, LlmValue *start, LlmValue *stop, LlmValue *step, LlmValue **out);
extern LlmStatus llm_jinja_map_find(Jinja *j, const LlmValue *map, const LlmValue *key, LlmValue **out);	/* NULL if absent */
extern bool llm_jinja_hashable(const LlmValue *v);

/* jinja_json.c, jinja_format.c */
extern LlmStatus llm_jinja_tojson(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out);
extern LlmStatus llm_jinja_percent(Jinja *j, LlmText format, LlmValue *arg, LlmValue **out);
extern LlmStatus llm_jinja_str_format(Jinja *j, LlmText format, const JinjaArgs *args, LlmValue **out);

/* jinja_string.c, jinja_globals.c, jinja_filters*.c, jinja_tests.c: tables ended by a NULL name */
extern const JinjaFunction llm_jinja_string_methods[];
extern const JinjaFunction llm_jinja_string_checks[];
extern const JinjaFunction llm_jinja_list_methods[];
extern const JinjaFunction llm_jinja_dict_methods[];
extern const JinjaFunction llm_jinja_loop_methods[];
extern const JinjaFunction llm_jinja_cycler_methods[];
extern const JinjaFunction llm_jinja_float_methods[];
extern const JinjaFunction llm_jinja_globals[];
extern const JinjaFunction llm_jinja_dict_class[];	/* dict.NAME */
extern const JinjaFunction llm_jinja_list_filters[];
extern const JinjaFunction llm_jinja_select_filters[];
extern const JinjaFunction *llm_jinja_find_function(const JinjaFunction *table, LlmStr name);
extern const JinjaFunction *llm_jinja_find_filter(LlmStr name);
extern const JinjaFunction *llm_jinja_find_test(LlmStr name);
extern LlmStatus llm_jinja_map_items(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out);
extern LlmStatus llm_jinja_call_object(Jinja *j, JinjaObject *object, const JinjaArgs *args, LlmValue **out);

extern LlmStatus llm_jinja_replace(Jinja *j, LlmText text, LlmText old, LlmText new, int64_t max, LlmValue **out);
extern bool llm_jinja_all_case(LlmText text, bool upper);	/* as str.isupper, str.islower */

/* arguments of functions, and keys of items */
static inline bool
llm_jinja_given(const LlmValue *v)
{
	return v && v->kind != LLM_VALUE_NULL;
}

static inline bool
llm_jinja_is_true(const LlmValue *v)
{
	return v && llm_jinja_truth(v);
}

extern LlmStatus llm_jinja_arg_int(Jinja *j, const LlmValue *v, const char *what, int64_t *out);
extern LlmStatus llm_jinja_arg_text(Jinja *j, const LlmValue *v, const char *what, LlmText *out);
extern LlmStatus llm_jinja_getter(Jinja *j, LlmValue *item, LlmValue *attribute, LlmValue *fallback, LlmValue **out);

/* jinja_unicode.c: code points */
#define JINJA_BAD_BYTE 0x110000		/* + the byte: not UTF-8 */
extern size_t llm_jinja_decode(const char *bytes, size_t len, uint32_t *c);		/* bytes used, at least 1 if len > 0 */
extern size_t llm_jinja_decode_last(const char *bytes, size_t len, uint32_t *c);
extern size_t llm_jinja_count(LlmText text);	/* code points */
extern size_t llm_jinja_offset(LlmText text, size_t n);	/* byte offset of code point n; text.len beyond the end */
extern int	llm_jinja_encode(uint32_t c, char *bytes);		/* up to 4 bytes; a bad byte as it was */
extern bool llm_jinja_is_space(uint32_t c);
extern bool llm_jinja_is_line_end(uint32_t c);
extern bool llm_jinja_is_alpha(uint32_t c);
extern bool llm_jinja_is_decimal(uint32_t c);
extern bool llm_jinja_is_digit(uint32_t c);
extern bool llm_jinja_is_numeric(uint32_t c);
extern bool llm_jinja_is_printable(uint32_t c);
extern bool llm_jinja_is_lower(uint32_t c);
extern bool llm_jinja_is_upper(uint32_t c);
extern bool llm_jinja_is_title(uint32_t c);
typedef enum JinjaCase
{
	JINJA_CASE_UPPER, JINJA_CASE_LOWER, JINJA_CASE_CAPITALIZE, JINJA_CASE_TITLE, JINJA_CASE_SWAP, JINJA_CASE_FOLD
} JinjaCase;
extern LlmStatus llm_jinja_put_case(Jinja *j, LlmText text, JinjaCase to);
extern LlmText llm_jinja_strip(LlmText text, const LlmText *chars, bool left, bool right);	/* chars NULL: white space */
/* first occurrence at or after from, last one that ends at or before end; SIZE_MAX if none; an empty needle is found at once */
extern size_t llm_jinja_find(LlmText text, LlmText needle, size_t from);
extern LlmStatus llm_jinja_find_last(Jinja *j, LlmText text, LlmText needle, size_t end, size_t *out);

#endif
