/*
 * grammar_run.h: a text on its way through a grammar: the set of (state, stack of calls) it can be in. Internal to choose/.
 *
 * Stacks are lists that share their ends; places are kept until a run is compacted. A place of a stack is a call's returns, and what it
 * costs to finish from each of them.
 */
#ifndef LLM_GRAMMAR_RUN_H
#define LLM_GRAMMAR_RUN_H

#include "choose/grammar.h"
#include "choose/machine.h"

struct LlmGrammar
{
	const LlmAllocator *allocator;
	uint64_t	serial;			/* no other grammar of this process has it */
	LlmMachine	m;
	void	   *block;			/* its arrays */
};

/* the end of a stack: nothing below, or (in masks that hold for many stacks) not known what is below */
#define LLM_STACK_END (-1)
#define LLM_STACK_UNKNOWN (-2)

typedef struct LlmStackPlace
{
	int32_t		below;			/* place, or LLM_STACK_END, LLM_STACK_UNKNOWN */
	int32_t		returns;		/* offset in returns of the machine */
	int32_t		proc;			/* that was called */
	int32_t		cost;			/* offset in costs of the run: bytes to the end after each exit */
} LlmStackPlace;

typedef struct LlmConfig
{
	int32_t		state;
	int32_t		stack;
} LlmConfig;

typedef struct LlmGrammarRun
{
	const LlmGrammar *g;
	const LlmAllocator *allocator;
	LlmBuf		places;			/* LlmStackPlace */
	LlmBuf		costs;			/* int32_t */
	LlmBuf		configs;		/* LlmConfig: now */
	LlmBuf		next;			/* scratch; before: configs before the last bytes */
	LlmBuf		popped;			/* int32_t: exits that left an unknown stack in the last step */
} LlmGrammarRun;

#define LLM_RUN_CONFIGS(run) ((const LlmConfig *) (run)->configs.data)
#define LLM_RUN_N_CONFIGS(run) ((run)->configs.len / sizeof(LlmConfig))
#define LLM_RUN_PLACES(run) ((LlmStackPlace *) (run)->places.data)

extern LlmStatus llm_run_init(LlmGrammarRun *run, const LlmGrammar *g, const LlmAllocator *a, LlmError *err);
extern void llm_run_free(LlmGrammarRun *run);

/* add (state, stack) and all that follow from it without a byte to configs, from index `from` on; dead ones are left out */
extern LlmStatus llm_run_add(LlmGrammarRun *run, LlmBuf *configs, size_t from, int32_t state, int32_t stack, LlmError *err);

/* a place on top of `below` for a call whose returns and procedure are given */
extern LlmStatus llm_run_push(LlmGrammarRun *run, int32_t below, int32_t returns, int32_t proc, int32_t *place, LlmError *err);

/* read a byte from configs[begin..end) of buffer, append what follows to the same buffer */
extern LlmStatus llm_run_step(LlmGrammarRun *run, LlmBuf *configs, size_t begin, size_t end, uint8_t byte, LlmError *err);

/* another run in the same place; the caller's to free */
extern LlmStatus llm_run_copy(const LlmGrammarRun *run, LlmGrammarRun *copy, LlmError *err);

/* read bytes; *alive false, and the run unchanged, if they lead nowhere */
extern LlmStatus llm_run_bytes(LlmGrammarRun *run, const char *bytes, size_t n, bool *alive, LlmError *err);
extern void llm_run_undo(LlmGrammarRun *run);	/* take back the last llm_run_bytes that went on */
extern LlmStatus llm_run_settle(LlmGrammarRun *run, LlmError *err);	/* drop places that are no longer used; then there is nothing to take back */

extern bool llm_run_complete(const LlmGrammarRun *run);	/* the text so far is whole */
extern int32_t llm_run_cost(const LlmGrammarRun *run);	/* fewest bytes that make it whole */

extern bool llm_run_ended(const LlmGrammarRun *run);	/* the text is whole, and nothing can follow */

/* the only byte that can come, -1 if there are several or the text is whole */
extern int llm_run_forced(const LlmGrammarRun *run);

/*
 * The next byte of the shortest end, among those that are not in taken (bit byte % 32 of word byte / 32), the least of equals; the result is how
 * many bytes it takes from there on, LLM_COST_NONE: there is no such byte
 */
extern int32_t llm_run_cheapest(const LlmGrammarRun *run, const uint32_t taken[8], int *byte);

/* append to out the shortest text that makes it whole (of several the first by bytes) */
extern LlmStatus llm_run_shortest(const LlmGrammarRun *run, LlmBuf *out, LlmError *err);

#endif
