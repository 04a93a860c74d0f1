/*
 * pg_llm.h: what the files of the PostgreSQL layer share: settings, errors, encodings, models in use, running work.
 *
 * This layer knows both worlds: below it functions return LlmStatus and never raise, above it everything raises ERROR.
 * Runtime handles hang on memory contexts by reset callbacks, so an ERROR anywhere releases them.
 */
#ifndef PG_LLM_H
#define PG_LLM_H

#include "postgres.h"
#include "fmgr.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "base/status.h"
#include "base/arena.h"
#include "serve/scheduler.h"
#include "serve/prompt.h"

/* ---- settings (guc.c) ---- */
typedef enum PgLlmOnError
{
	PGLLM_ON_ERROR_ERROR,
	PGLLM_ON_ERROR_NULL
} PgLlmOnError;

typedef enum PgLlmTruncate
{
	PGLLM_TRUNCATE_ERROR,
	PGLLM_TRUNCATE_TAIL,
	PGLLM_TRUNCATE_MIDDLE
} PgLlmTruncate;

extern char *pgllm_default_model;
extern char *pgllm_model_path;		/* folder that relative model paths start from */
extern char *pgllm_cache_path;		/* folder of pack files */
extern int	pgllm_threads;			/* 0: as many as CPUs this process may use */
extern int	pgllm_memory_limit_kb;	/* per process; 0: none */
extern int	pgllm_batch_tokens;
extern int	pgllm_on_error;			/* PgLlmOnError */
extern int	pgllm_truncate;			/* PgLlmTruncate */
extern char *pgllm_cpu_kernels;

extern void pgllm_guc_init(void);

/* ---- errors (errors.c) ---- */

/* raise what a runtime function reported; LLM_PAUSED must not reach here */
extern void pgllm_raise(const LlmError *err) pg_attribute_noreturn();

/* a runtime call that cannot pause: raise unless OK */
#define PGLLM_CHECK(call, err) do { if ((call) != LLM_OK) pgllm_raise(err); } while (0)

/* a runtime call that can pause: serve interrupts (which may raise) and call again until done; raise on errors */
#define PGLLM_RUN(call, err) \
	do { \
		LlmStatus	pgllm_run_status; \
		while ((pgllm_run_status = (call)) == LLM_PAUSED) \
			CHECK_FOR_INTERRUPTS(); \
		if (pgllm_run_status != LLM_OK) \
			pgllm_raise(err); \
	} while (0)

/* tests InterruptPending */
extern const LlmStop *pgllm_stop(void);

/* allocator over a memory context: NO_OOM and HUGE; freed with the context at the latest. Allocated in that context. */
extern const LlmAllocator *pgllm_allocator(MemoryContext context);

/* a row's own trouble: raises with the row's error, or counts it for the WARNING at the end of the statement, by pg_llm.on_error */
extern bool pgllm_row_error(const LlmError *err);	/* returns true if the row becomes NULL */

/* ---- text ---- */

/* server encoding to UTF-8 (SQL_ASCII: as is), palloc'd or borrowed */
extern LlmStr pgllm_to_utf8(const text *t);
extern LlmStr pgllm_cstring_to_utf8(const char *s);
/* model output to server encoding: ill-formed parts become U+FFFD, NUL is dropped; a character the encoding lacks raises */
extern text *pgllm_from_utf8(const char *bytes, size_t len);

/* ---- models (catalog.c, model_cache.c) ---- */
typedef enum PgLlmKind
{
	PGLLM_KIND_GENERATE
} PgLlmKind;

typedef struct PgLlmModel
{
	Oid			server_oid;
	char	   *name;
	PgLlmKind	kind;
	LlmModel   *model;
	LlmScheduler *scheduler;
	char		digest[65];		/* hex SHA-256 of the source */
} PgLlmModel;

/*
 * The model of that name (NULL: pg_llm.default_model), checked for USAGE and kind, opened. Usable until the end of the
 * statement. Raises with hint if there is none, no privilege, or it cannot be loaded.
 */
extern PgLlmModel *pgllm_model_use(const text *name, PgLlmKind kind);

/* free a request when the memory context is reset or deleted (also by ERROR) */
extern void pgllm_request_own(MemoryContext context, LlmRequest *request);

/* ---- planning (module.c) ---- */

/*
 * True while the planner itself (not an executing function below it) evaluates a call: a STABLE function then returns
 * NULL without running a model, so that EXPLAIN never does.
 */
extern bool pgllm_planner_evaluates(void);

/* ---- options jsonb (options.c) ---- */
typedef struct PgLlmOptions
{
	LlmSampling sampling;		/* seed is valid if has_seed */
	bool		has_seed;
	int			max_tokens;
	LlmStr	   *stop;
	int			n_stop;
	PgLlmTruncate truncate;
	LlmValue   *template_kwargs;	/* NULL: none */
	LlmStr		answer_prefix;
	int			top_logprobs;
	/* decisions */
	LlmLabelForm form;
	int			calibrate;		/* -1: default of the form, 0 off, 1 on */
	double	   *calibration;	/* by label, NULL: none */
	int			n_calibration;
} PgLlmOptions;

/* which keys a function takes */
#define PGLLM_OPT_SAMPLING	1
#define PGLLM_OPT_PROMPT	2
#define PGLLM_OPT_LABELS	4

/* fill *out from defaults, then from options (NULL: none). An unknown key raises, naming it and the known ones. */
extern void pgllm_options_parse(Jsonb *options, int allowed, PgLlmOptions *out);

#endif
