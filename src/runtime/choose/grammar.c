/*
 * grammar.c: the kinds of grammars, and the machine that each becomes, kept in one block.
 */
#include "choose/grammar.h"

#include <stdatomic.h>
#include <string.h>

#include "choose/gbnf.h"
#include "choose/grammar_run.h"
#include "choose/json_write.h"
#include "choose/regex.h"
#include "choose/schema_compile.h"

#define PIECE_BYTES ((size_t) 16384)

/* ---- keeping a machine ---- */

typedef struct Piece
{
	void	  **array;
	size_t		n;
	size_t		size;
} Piece;

/* copy the arrays of m into one block of the allocator */
static LlmStatus
keep_machine(const LlmMachine *m, const LlmAllocator *a, LlmGrammar **out, LlmError *err)
{
	static atomic_uint_fast64_t serial;
	LlmGrammar *g;
	void	   *p;
	size_t		total = 0;
	LlmStatus	status;

	LLM_TRY(llm_alloc_zero(a, 1, sizeof(*g), &p, err));
	g = p;
	g->allocator = a;
	g->serial = atomic_fetch_add(&serial, 1) + 1;
	g->m = *m;

	const Piece pieces[] = {
		{(void **) &g->m.states, (size_t) m->n_states, sizeof(LlmState)}, {(void **) &g->m.edges, (size_t) m->n_edges, sizeof(LlmEdge)},
		{(void **) &g->m.calls, (size_t) m->n_calls, sizeof(LlmCall)}, {(void **) &g->m.returns, (size_t) m->n_returns, sizeof(int32_t)},
		{(void **) &g->m.procs, (size_t) m->n_procs, sizeof(LlmProc)}, {(void **) &g->m.costs, (size_t) m->n_costs, sizeof(int32_t)},
		{(void **) &g->m.runs, (size_t) m->n_states, 1}, {(void **) &g->m.stops, (size_t) m->n_states, 1},
	};

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		total += pieces[i].n * pieces[i].size + 16;
	status = llm_alloc(a, total, 1, &g->block, err);
	if (status != LLM_OK)
	{
		llm_free(a, g);
		return status;
	}
	total = 0;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
	{
		char	   *to = (char *) g->block + total;

		if (pieces[i].n > 0)
			memcpy(to, *pieces[i].array, pieces[i].n * pieces[i].size);
		*pieces[i].array = to;
		total += (pieces[i].n * pieces[i].size + 15) / 16 * 16;
	}
	*out = g;
	return LLM_OK;
}

void
llm_grammar_free(LlmGrammar *g)
{
	if (!g)
		return;
	llm_free(g->allocator, g->block);
	llm_free(g->allocator, g);
}

/* ---- kinds ---- */

typedef struct Source
{
	LlmStr		text;
	const LlmStr *texts;
	size_t		n;
	bool		compact;
} Source;

/* what is read without counting steps (spaces, comments) is bounded by this */
static LlmStatus
check_size(LlmCompile *cx, const Source *source)
{
	size_t		bytes = source->text.len;

	for (size_t i = 0; i < source->n && bytes <= LLM_GRAMMAR_MAX_TEXT; i++)
		bytes += source->texts[i].len + 1;
	return bytes <= LLM_GRAMMAR_MAX_TEXT ? LLM_OK :
		llm_compile_limit(cx, "a schema, pattern or grammar of more than %zu bytes", LLM_GRAMMAR_MAX_TEXT);
}

typedef LlmStatus (*Compiler) (LlmCompile *cx, const Source *source, LlmMachine *m);

static LlmStatus
compile(Compiler compiler, const Source *source, const LlmAllocator *a, const LlmGrammarWork *work, LlmGrammar **out, LlmError *err)
{
	LlmArena	arena;
	LlmError	own;
	LlmCompile	cx = {.arena = &arena, .stop = work ? work->stop : NULL, .err = err ? err : &own};
	LlmMachine	m;
	LlmStatus	status;

	LLM_TRY(check_size(&cx, source));
	llm_arena_init(&arena, work && work->scratch ? work->scratch : a, LLM_GRAMMAR_MAX_BYTES);
	status = compiler(&cx, source, &m);
	if (status == LLM_OK)
		status = keep_machine(&m, a, out, cx.err);
	llm_arena_free(&arena);
	return status;
}

static LlmStatus
compile_schema(LlmCompile *cx, const Source *source, LlmMachine *m)
{
	LlmSchemaCompile c;
	LlmJson    *schema;

	LLM_TRY(llm_json_tree(cx->arena, source->text.data, source->text.len, cx->stop, &schema, cx->err));
	return llm_schema_compile(&c, cx, schema, true, source->compact, m);
}

/* an automaton without calls */
static LlmStatus
machine_of_dfa(LlmCompile *cx, const LlmDfa *d, LlmMachine *m)
{
	LlmMachineBuild b = {.cx = cx};
	int32_t		proc;
	int32_t		first;

	LLM_TRY(llm_machine_proc(&b, &proc));
	LLM_TRY(llm_machine_dfa(&b, proc, d, NULL, &first));
	((LlmProc *) b.procs.data)[0].entry = first;
	return llm_machine_finish(&b, m);
}

static LlmStatus
compile_regex(LlmCompile *cx, const Source *source, LlmMachine *m)
{
	LlmDfa	   *d;

	LLM_TRY(llm_regex_dfa(cx, source->text, &d));
	return machine_of_dfa(cx, d, m);
}

static LlmStatus
compile_choice(LlmCompile *cx, const Source *source, LlmMachine *m)
{
	LlmDfa	   *d;

	LLM_TRY(llm_dfa_strings(cx, source->texts, source->n, true, &d));
	return machine_of_dfa(cx, d, m);
}

static LlmStatus
compile_gbnf(LlmCompile *cx, const Source *source, LlmMachine *m)
{
	return llm_gbnf_compile(cx, source->text, m);
}

LlmStatus
llm_grammar_json_schema(LlmStr schema, bool compact, const LlmAllocator *a, const LlmGrammarWork *work, LlmGrammar **out, LlmError *err)
{
	Source		source = {.text = schema, .compact = compact};

	return compile(compile_schema, &source, a, work, out, err);
}

LlmStatus
llm_grammar_gbnf(LlmStr text, const LlmAllocator *a, const LlmGrammarWork *work, LlmGrammar **out, LlmError *err)
{
	Source		source = {.text = text};

	return compile(compile_gbnf, &source, a, work, out, err);
}

LlmStatus
llm_grammar_regex(LlmStr pattern, const LlmAllocator *a, const LlmGrammarWork *work, LlmGrammar **out, LlmError *err)
{
	Source		source = {.text = pattern};

	return compile(compile_regex, &source, a, work, out, err);
}

LlmStatus
llm_grammar_choice(const LlmStr *texts, size_t n, const LlmAllocator *a, const LlmGrammarWork *work, LlmGrammar **out, LlmError *err)
{
	Source		source = {.texts = texts, .n = n};

	for (size_t i = 0; i < n || n == 0; i++)
	{
		if (n == 0 || texts[i].len == 0)
		{
			LlmStatus	status = llm_fail(err, LLM_E_ARGUMENT, n == 0 ? "there is no choice" : "a choice must not be empty");

			llm_error_hint(err, "Give a list of one or more texts.");
			return status;
		}
	}
	return compile(compile_choice, &source, a, work, out, err);
}

/* ---- acceptance ---- */

/* in pieces, between which stop is asked and places of the stack that are done with are dropped */
static LlmStatus
run_text(const LlmGrammar *g, LlmStr text, const LlmStop *stop, bool *accepted, LlmError *err)
{
	LlmGrammarRun run;
	LlmStatus	status;
	bool		alive = true;

	*accepted = false;
	LLM_TRY(llm_run_init(&run, g, g->allocator, err));
	status = llm_should_stop(stop) ? LLM_PAUSED : LLM_OK;
	for (size_t at = 0; at < text.len && alive && status == LLM_OK;)
	{
		size_t		n = text.len - at < PIECE_BYTES ? text.len - at : PIECE_BYTES;

		status = llm_run_bytes(&run, text.data + at, n, &alive, err);
		if (status == LLM_OK && alive)
			status = llm_run_settle(&run, err);
		if (status == LLM_OK && llm_should_stop(stop))
			status = LLM_PAUSED;
		at += n;
	}
	*accepted = status == LLM_OK && alive && llm_run_complete(&run);
	llm_run_free(&run);
	return status;
}

LlmStatus
llm_grammar_accepts(const LlmGrammar *g, LlmStr text, bool *accepted, LlmError *err)
{
	return run_text(g, text, NULL, accepted, err);
}

int32_t
llm_grammar_least_bytes(const LlmGrammar *g)
{
	return g->m.costs[g->m.states[g->m.procs[0].entry].cost];
}

static size_t
rank(const void *ctx, LlmStr key)
{
	return llm_schema_rank(ctx, key);
}

/* everything in arena but text and grammar */
static LlmStatus
accepts(LlmCompile *cx, LlmStr schema, LlmStr instance, const LlmAllocator *a, LlmBuf *text, LlmGrammar **g, bool *accepted)
{
	LlmSchemaCompile c;
	LlmMachine	m;
	LlmJson    *tree;
	LlmJson    *value;
	LlmStatus	status;

	*accepted = false;
	LLM_TRY(llm_json_tree(cx->arena, schema.data, schema.len, cx->stop, &tree, cx->err));
	LLM_TRY(llm_json_tree(cx->arena, instance.data, instance.len, cx->stop, &value, cx->err));
	status = llm_schema_compile(&c, cx, tree, false, false, &m);
	if (status == LLM_E_ARGUMENT && strcmp(cx->err->message, LLM_NO_TEXT) == 0)
		return LLM_OK;			/* nothing is valid */
	LLM_TRY(status);
	LLM_TRY(keep_machine(&m, a, g, cx->err));
	LLM_TRY(llm_json_write(value, false, rank, &c, text, cx->err));
	return run_text(*g, (LlmStr) {text->data, text->len}, cx->stop, accepted, cx->err);
}

LlmStatus
llm_schema_accepts(LlmStr schema, LlmStr instance, const LlmAllocator *a, const LlmStop *stop, bool *accepted, LlmError *err)
{
	LlmArena	arena;
	LlmError	own;
	LlmCompile	cx = {.arena = &arena, .stop = stop, .err = err ? err : &own};
	const Source source = {.text = schema};
	LlmGrammar *g = NULL;
	LlmBuf		text;
	LlmStatus	status;

	LLM_TRY(check_size(&cx, &source));
	llm_arena_init(&arena, a, LLM_GRAMMAR_MAX_BYTES);
	llm_buf_init(&text, a);
	status = accepts(&cx, schema, instance, a, &text, &g, accepted);
	llm_grammar_free(g);
	llm_buf_free(&text);
	llm_arena_free(&arena);
	return status;
}
