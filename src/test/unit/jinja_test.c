/*
 * jinja_test.c: the template interpreter renders what jinja2 does (jinja_cases.h) and refuses what it refuses; every byte
 * of a result knows where it came from; hostile templates end with an error; each failing allocation is reported.
 */
#include "text/chat_template.h"

#include "check.h"
#include "fail_alloc.h"
#include "jinja_cases.h"

#define N_CASES (sizeof(jinja_cases) / sizeof(jinja_cases[0]))
#define NOW 1700000000			/* 2023-11-14 22:13:20 UTC */

/* compile and render; the text lives in the arena */
static LlmStatus
render(const char *source, size_t len, const char *json, const LlmAllocator *a, LlmArena *arena, const LlmStop *stop, LlmText *text,
	   LlmError *err)
{
	LlmTemplate *compiled;
	LlmValue   *variables;
	LlmStatus	status;

	LLM_TRY(llm_template_compile(source, len, a, &compiled, err));
	status = llm_value_from_json(arena, json, strlen(json), &variables, err);
	if (status == LLM_OK)
		status = llm_template_render(compiled, variables, NOW, arena, stop, text, err);
	llm_template_free(compiled);
	return status;
}

/* an integer beyond 64 bits and a filter that is not there: refused, see docs of the interpreter */
static bool
is_known_limit(const LlmError *err)
{
	return strstr(err->message, "64 bits") || strstr(err->message, "not supported") || strstr(err->message, "not known");
}

static void
test_cases(void)
{
	for (size_t i = 0; i < N_CASES; i++)
	{
		LlmArena	arena;
		LlmText		text = {"", NULL, 0};
		LlmError	err;
		LlmStatus	status;

		llm_arena_init(&arena, &llm_malloc_allocator, 0);
		status = render(jinja_cases[i].template, jinja_cases[i].template_len, jinja_variables, &llm_malloc_allocator, &arena, NULL,
						&text, &err);
		if (!jinja_cases[i].expected)
			CHECK_MSG(status != LLM_OK, "%s: rendered \"%.*s\"", jinja_cases[i].template, (int) text.len, text.bytes);
		else if (status == LLM_OK)
			CHECK_MSG(text.len == jinja_cases[i].expected_len && memcmp(text.bytes, jinja_cases[i].expected, text.len) == 0,
					  "%s: got \"%.*s\"", jinja_cases[i].template, (int) text.len, text.bytes);
		else
			CHECK_MSG(is_known_limit(&err), "%s: %s", jinja_cases[i].template, err.message);
		llm_arena_free(&arena);
	}
}

/*
 * Data is D, E, F in either case, and what stands for its line feed (\n); no template here makes one of them. The operation must give the text, with just those
 * bytes marked as data that stand for the data's.
 */
static void
check_origin(const char *expression, const char *expected)
{
	static const char json[] = "{\"x\": \"def\", \"p\": \" d e \", \"l\": [\"d\", \"e\"], \"m\": {\"d\": \"e\"}, \"n\": \"d\\nf\"}";
	LlmArena	arena;
	LlmText		text;
	LlmError	err;
	LlmStatus	status;

	llm_arena_init(&arena, &llm_malloc_allocator, 0);
	status = render(expression, strlen(expression), json, &llm_malloc_allocator, &arena, NULL, &text, &err);
	CHECK_MSG(status == LLM_OK, "%s: %s", expression, err.message);
	if (status == LLM_OK)
	{
		CHECK_MSG(text.len == strlen(expected) && memcmp(text.bytes, expected, text.len) == 0, "%s: got \"%.*s\"", expression,
				  (int) text.len, text.bytes);
		for (size_t i = 0; i < text.len; i++)
		{
			bool		is_data = memchr("defDEF\\n", text.bytes[i], 8) != NULL;
			bool		marked = text.from_data && text.from_data[i];

			if (text.bytes[i] >= '!')	/* a blank can be of either */
				CHECK_MSG(is_data == marked, "%s: byte %zu \"%c\" is marked %d", expression, i, text.bytes[i], marked);
		}
	}
	llm_arena_free(&arena);
}

static void
test_origin(void)
{
	static const char *const cases[][2] = {
		{"a{{ x }}z", "adefz"}, {"{{ 'a' + x + 'z' }}", "adefz"}, {"{{ 'a' ~ x ~ 1 }}", "adef1"}, {"{{ x * 2 ~ 'a' }}", "defdefa"},
		{"{{ x.upper() }}{{ 'a'|upper }}", "DEFA"}, {"{{ x|upper|lower|capitalize ~ 'a'|title }}", "DefA"},
		{"{{ ('a' ~ x ~ 'a').strip('a') }}", "def"}, {"{{ ('a' ~ x)|trim('a') }}", "def"}, {"{{ (' ' ~ p ~ 'a').split()|join('-') }}", "d-e-a"},
		{"{{ (x ~ ',a').split(',')[1] }}{{ (x ~ ',a').split(',')[0] }}", "adef"}, {"{{ (x ~ 'abc')[1:5] }}{{ (x ~ 'a')[::-1] }}", "efabafed"},
		{"{{ x.replace('d', 'a') }}{{ 'a'.replace('a', x) }}", "aefdef"}, {"{{ ('a' ~ x)|replace('f', '<') }}", "ade<"},
		{"{{ l|join('a') }}{{ 'a'.join(l) }}{{ x|join('-') }}", "daedaed-e-f"}, {"{{ x|tojson }}", "\"def\""}, {"{{ m|tojson }}", "{\"d\": \"e\"}"},
		{"{{ n|tojson }}", "\"d\\nf\""}, {"{{ 'a%sa' % x }}{{ '%5s|%-4s|' % (x, x) }}", "adefa  def|def |"}, {"{{ 'a{}a{y}'.format(x, y=x) }}", "adefadef"},
		{"{{ '%r' % x }}", "'def'"}, {"{{ l }}", "['d', 'e']"}, {"{{ m }}", "{'d': 'e'}"}, {"{{ x|list }}", "['d', 'e', 'f']"},
		{"{% for c in x %}{{ c }}-{% endfor %}", "d-e-f-"}, {"{% set y %}a{{ x }}{% endset %}{{ y }}{{ y|upper }}", "adefADEF"},
		{"{% macro g(y) %}<{{ y }}>{% endmacro %}{{ g(x) }}{{ g(x)|upper }}", "<def><DEF>"}, {"{{ x.center(7, '*') }}{{ x.ljust(4, 'a') }}", "**def**defa"},
		{"{{ x.partition('e')[2] ~ x.rpartition('e')[0] }}", "fd"}, {"{{ n.splitlines()|join('|') }}{{ n|indent(1) }}", "d|fd\n f"},
		{"{{ (x ~ 'a')|reverse }}{{ l|reverse|join }}", "afeded"}, {"{{ x|first ~ x|last ~ l|last }}", "dfe"}, {"{{ x.title() ~ x.swapcase() }}", "DefDEF"},
		{"{{ m.items()|list }}{{ m|dictsort }}", "[('d', 'e')][('d', 'e')]"}, {"{{ l|map('upper')|join('a') }}", "DaE"}, {"{{ x|truncate(2, true, 'a', 0) }}", "da"},
		{"{{ (x ~ '<')|e }}{{ x|e ~ '<' }}", "def&lt;def<"}, {"{{ x|string|safe ~ 'a' }}", "defa"}, {"{{ x if x else 'a' }}{{ y or x }}{{ y|default(x) }}", "defdefdef"},
		{"{{ x.removeprefix('d') ~ x.removesuffix('f') }}", "efde"}, {"{{ ['a' ~ x, 'a']|sort|join }}", "aadef"}, {"{{ x|format ~ ('%s'|format(x)) }}", "defdef"},
		{"{% filter upper %}a{{ x }}{% endfilter %}", "ADEF"}, {"{{ dict(k=x).k }}{{ namespace(k=x).k }}", "defdef"}, {"{{ x.zfill(5) }}{{ x|center(5)|trim }}", "00defdef"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_origin(cases[i][0], cases[i][1]);
}

static bool
stop_now(void *opaque)
{
	(void) opaque;
	return true;
}

/* templates that ask for too much end with LIMIT or ARGUMENT, or with a pause if asked */
static void
test_hostile(void)
{
	static const char *const templates[] = {
		"{% for i in range(10 ** 9) %}{% endfor %}", "{{ 'a' * 10 ** 10 }}", "{{ [0] * 10 ** 10 }}", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
		"{% for i in range(99999) %}{% for k in range(99999) %}{% endfor %}{% endfor %}", "{{ 'a'.center(10 ** 12) }}", "{{ '%999999999999s' % 'a' }}",
		"{{ '{:999999999}'.format('a') }}", "{% set x = namespace(y='a') %}{% for i in range(64) %}{% set x.y = x.y + x.y %}{% endfor %}{{ x.y }}",
		"{% set x = namespace(y=[]) %}{% for i in range(99999) %}{% set x.y = [x.y] %}{% endfor %}{{ x.y }}", "{{ 'a'|indent(10 ** 9) }}", "{{ [1]|tojson(indent=10 ** 10) }}",
		"{% for x in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}", "{{ 10 ** 10 ** 10 }}", "{{ range(99999)|list * 9999 }}", "{{ ('a,' * 99999).split(',') * 99999 }}",
		"{{ 'a\\tb'.expandtabs(10 ** 12) }}", "{{ 'a'.zfill(10 ** 12) }}", "{{ ('a' * 99999).replace('a', 'a' * 99999) }}", "{{ ('ab' * 999999).replace('', 'x' * 9999) }}", "{{ [1]|batch(10 ** 10, 0)|list }}",
	};

	for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++)
	{
		LlmArena	arena;
		LlmText		text;
		LlmError	err;
		LlmStop		stop = {stop_now, NULL};
		LlmStatus	status;

		llm_arena_init(&arena, &llm_malloc_allocator, 0);
		status = render(templates[i], strlen(templates[i]), "{}", &llm_malloc_allocator, &arena, NULL, &text, &err);
		CHECK_MSG(status == LLM_E_LIMIT || status == LLM_E_ARGUMENT, "%s: status %d", templates[i], status);
		status = render(templates[i], strlen(templates[i]), "{}", &llm_malloc_allocator, &arena, &stop, &text, &err);
		CHECK_MSG(status == LLM_E_LIMIT || status == LLM_E_ARGUMENT || status == LLM_PAUSED, "%s: status %d", templates[i], status);
		llm_arena_free(&arena);
	}
}

/* n times open, then middle, then n times close */
static void
check_nesting(const char *open, const char *middle, const char *close, size_t n)
{
	size_t		len = n * (strlen(open) + strlen(close)) + strlen(middle);
	char	   *source = malloc(len + 1);
	char	   *to = source;
	LlmTemplate *compiled;
	LlmError	err;

	for (size_t i = 0; i < n; i++)
		to = stpcpy(to, open);
	to = stpcpy(to, middle);
	for (size_t i = 0; i < n; i++)
		to = stpcpy(to, close);
	CHECK_MSG(llm_template_compile(source, len, &llm_malloc_allocator, &compiled, &err) == LLM_E_LIMIT, "%s", open);
	free(source);
}

static void
test_nesting(void)
{
	check_nesting("{% if 1 %}", "x", "{% endif %}", 20000);
	check_nesting("{% for a in b %}", "x", "{% endfor %}", 20000);
	check_nesting("{% macro f() %}", "x", "{% endmacro %}", 20000);
	check_nesting("{{ (", "1", ") }}", 1000);
	check_nesting("{% set x %}", "x", "{% endset %}", 20000);
}

/* what a template with most features does while its allocations fail */
static void
test_allocations(void)
{
	static const char source[] =
		"{% macro f(a, b=2) %}<{{ a }}{{ b }}>{% endmacro %}{% for m in l if m %}{{ f(m) }}{{ loop.cycle('x', 'y') }}{% endfor %}{% set y %}{{ s|upper }}"
		"{% endset %}{{ y.split(',')|map('trim')|list|tojson(indent=2) }}{{ d|dictsort }}{{ '%s-%05d' % (s, 3) }}{{ '{:>9}'.format(s) }}"
		"{{ recs|groupby('name')|list|length }}{% set ns = namespace(q=[1]) %}{% set ns.q = ns.q + [s ~ 1.5] %}{{ ns.q }}";
	long		k = 0;

	for (;; k++)
	{
		FailAlloc	fa;
		LlmArena	arena;
		LlmText		text;
		LlmError	err;
		LlmStatus	status;

		fail_alloc_init(&fa, k);
		llm_arena_init(&arena, &fa.allocator, 0);
		status = render(source, sizeof(source) - 1, jinja_variables, &fa.allocator, &arena, NULL, &text, &err);
		CHECK_MSG(status == (fa.refused ? LLM_E_NOMEM : LLM_OK), "allocation %ld: status %d", k, status);
		llm_arena_free(&arena);
		CHECK_MSG(fa.n_alive == 0, "allocation %ld: %ld left", k, fa.n_alive);
		if (!fa.refused)
			break;
	}
	CHECK(k > 10);
}

int
main(void)
{
	setenv("TZ", "UTC", 1);
	test_cases();
	test_origin();
	test_hostile();
	test_nesting();
	test_allocations();
	CHECK_DONE();
}
