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
#include "measure/answer.h"
#include "serve/scheduler.h"
#include "serve/prompt.h"

/* ---- settings (guc.c) ---- */
typedef enum PgLlmOnError
{
	PGLLM_ON_ERROR_ERROR,
	PGLLM_ON_ERROR_NULL
} PgLlmOnError;

typedef enum PgLlmBatching
{
	PGLLM_BATCHING_OFF,
	PGLLM_BATCHING_ON,
	PGLLM_BATCHING_EAGER			/* also for actions that may not come about */
} PgLlmBatching;

typedef enum PgLlmResults
{
	PGLLM_RESULTS_OFF,
	PGLLM_RESULTS_STATEMENT,
	PGLLM_RESULTS_SHARED
} PgLlmResults;

typedef enum PgLlmTruncate
{
	PGLLM_TRUNCATE_ERROR,
	PGLLM_TRUNCATE_TAIL,
	PGLLM_TRUNCATE_MIDDLE
} PgLlmTruncate;

extern char *pgllm_default_model;
extern char *pgllm_default_embedding_model;
extern char *pgllm_default_rerank_model;
extern char *pgllm_model_path;		/* folder that relative model paths start from */
extern char *pgllm_cache_path;		/* folder of pack files */
extern int	pgllm_threads;			/* 0: as many as CPUs this process may use */
extern int	pgllm_memory_limit_kb;	/* per process; 0: none */
extern int	pgllm_batching;			/* PgLlmBatching */
extern int	pgllm_batch_tokens;
extern bool pgllm_defer_filters_on;
extern bool pgllm_prefix_cache;
extern int	pgllm_result_cache;		/* PgLlmResults */
extern int	pgllm_statement_token_limit;	/* 0: none */
extern int	pgllm_on_error;			/* PgLlmOnError */
extern int	pgllm_truncate;			/* PgLlmTruncate */
extern char *pgllm_cpu_kernels;	/* auto, or the name of a CPU level */

extern void pgllm_guc_init(void);

/* threads that computing uses now: pg_llm.threads, at most pg_llm.max_threads and the CPUs this process may use */
extern int	pgllm_thread_count(void);

/* ---- errors (errors.c) ---- */

/* raise what a runtime function reported; LLM_PAUSED must not reach here */
extern void pgllm_raise(const LlmError *err) __attribute__((noreturn));

/*
 * For PG_CATCH of code that runs in a subtransaction: end that, then take the error, palloc'd in context. In this order, as there
 * may be no memory for the copy: an error that leaves a subtransaction open leaves the client in a failed transaction.
 */
extern ErrorData *pgllm_end_failed_subtransaction(MemoryContext context);

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

/* true while an interrupt waits that CHECK_FOR_INTERRUPTS() would serve now; which one it is decides that, not we */
extern const LlmStop *pgllm_stop(void);

/*
 * Allocator over a memory context: never raises, any size, refuses what would pass pg_llm.memory_limit (pgllm_raise then
 * says so with numbers). Freed with the context at the latest; the LlmAllocator itself is allocated in that context.
 */
extern const LlmAllocator *pgllm_allocator(MemoryContext context);

/*
 * A row's own trouble (prompt over the context, no finite logit): raises the row's error, or, with pg_llm.on_error = null,
 * counts it for the one WARNING at the end of the statement and returns true: the row becomes NULL.
 */
extern bool pgllm_row_error(const LlmError *err);

/* it raised since whoever wants to know set this to false: SQLSTATEs alone do not tell a row's limits from the session's */
extern bool pgllm_raised_for_row;

/* emit that WARNING if any row was counted, and start counting anew (module.c: end of the outermost statement) */
extern void pgllm_row_errors_report(void);
extern void pgllm_row_errors_forget(void);	/* the transaction failed */

/* ---- text ---- */

/* server encoding to UTF-8 (SQL_ASCII: as is), palloc'd or borrowed */
extern LlmStr pgllm_to_utf8(const text *t);
extern LlmStr pgllm_cstring_to_utf8(const char *s);
/* model output to server encoding: ill-formed parts become U+FFFD (or '?'), NUL is dropped; a character the encoding lacks raises */
extern text *pgllm_from_utf8(const char *bytes, size_t len);
/* the same; NULL with *err filled if the encoding lacks a character */
extern text *pgllm_from_utf8_or_error(const char *bytes, size_t len, LlmError *err);
/* a text of LlmError in server encoding; what that lacks becomes '?' */
extern const char *pgllm_message_from_utf8(const char *message);

/* ---- models (catalog.c, model_cache.c) ---- */
typedef enum PgLlmKind
{
	PGLLM_KIND_AUTO = 0,		/* only in options: what the file is */
	PGLLM_KIND_GENERATE = 1,
	PGLLM_KIND_EMBED = 2,
	PGLLM_KIND_RERANK = 4
} PgLlmKind;

/* for functions that only tokenize */
#define PGLLM_KIND_ANY  (PGLLM_KIND_GENERATE | PGLLM_KIND_EMBED | PGLLM_KIND_RERANK)

extern const char *pgllm_kind_name(PgLlmKind kind);

/* how often an answer may change for the time that a chat template prints */
typedef enum PgLlmClock
{
	PGLLM_CLOCK_NONE,
	PGLLM_CLOCK_DAY,
	PGLLM_CLOCK_SECOND
} PgLlmClock;

typedef struct PgLlmModel
{
	Oid			server_oid;
	uint64		serial;			/* differs from that of any model opened before by this process */
	char	   *name;
	PgLlmKind	kind;
	LlmModel   *model;
	LlmScheduler *scheduler;
	char		digest[65];		/* hex SHA-256 of the source */
	uint8		identity[32];	/* models that answer alike have the same (model_identity.c) */
	PgLlmClock	clock;
	char	   *query_prefix;	/* UTF-8, by the owner; NULL: the model's own */
	char	   *document_prefix;
} PgLlmModel;

/*
 * The model of that name (NULL: the default model of these kinds), checked for USAGE and kind, opened, with a scheduler.
 * Call it once per function call (a look-up when the model is open); the result is usable during that call, or, while a
 * request made from it is owned, until the end of the transaction. Raises with hint if there is none, no privilege, it is
 * of another kind (kinds: PGLLM_KIND_* that will do), or it cannot be loaded.
 */
extern PgLlmModel *pgllm_model_use(const text *name, int kinds);

/*
 * A model by the digest of its content (64 hexadecimal digits), without any option of its owner: the same wherever that
 * content is a model. The lookup takes one that the caller may use.
 */
extern PgLlmModel *pgllm_model_use_content(const char *sha256, int kinds);

/* one step of the model's scheduler; serves interrupts, raises on errors; *more false when every request is done */
extern void pgllm_model_step(PgLlmModel *model, bool *more);

typedef struct PgLlmRequest PgLlmRequest;

/*
 * Own a request: it is freed when the memory context is reset or deleted (also by ERROR), or before that by
 * pgllm_request_release. Never call llm_request_free on an owned request. The result may be ignored.
 */
extern PgLlmRequest *pgllm_request_own(MemoryContext context, LlmRequest *request);
extern void pgllm_request_release(PgLlmRequest *owned);

/* ---- planning (module.c) ---- */

/* whether the executor's innermost run was asked for all rows */
extern bool pgllm_runs_to_end(void);

/* start of the statement in seconds since 1970: what templates see as now */
extern int64_t pgllm_statement_time(void);

/*
 * True while the planner itself (not an executing function below it) evaluates a call: a STABLE function then returns
 * NULL without running a model, so that EXPLAIN never does.
 */
extern bool pgllm_planner_evaluates(void);

/* ---- options jsonb (options.c) ---- */

/*
 * What a call is asked for beside its input. pgllm_options_parse fills everything with defaults (greedy, 256 tokens,
 * settings' truncate) and then what the jsonb says; arguments of the SQL function (temperature, seed, max_tokens, stop)
 * are put in by the function itself. All strings are UTF-8; everything lives in the current memory context.
 */
typedef struct PgLlmOptions
{
	LlmSampling sampling;		/* seed is valid if has_seed */
	bool		has_seed;
	int			max_tokens;
	LlmStr	   *stop;
	int			n_stop;
	PgLlmTruncate truncate;
	LlmValue   *template_kwargs;	/* a map; NULL: none */
	LlmStr		answer_prefix;	/* data NULL: none */
	LlmGrammar *grammar;		/* what the answer must fit; NULL: anything, or schema is to be compiled */
	LlmStr		schema;			/* data NULL: none */
	MemoryContext grammar_context;	/* that schema is compiled into, by the first call that runs */
	bool		compact;		/* JSON without spaces */
	LlmDraftKind draft;
	bool		has_draft;		/* it was given */
	int			draft_tokens;	/* 0: default */
	text	   *draft_model;	/* its name, with LLM_DRAFT_MODEL */
	int			think_budget;	/* tokens of thinking at most; -1: as many as there is room for */
	/* decisions */
	LlmLabelForm form;
	int			calibrate;		/* -1: default of the form, 0 off, 1 on */
	LlmStr	   *calibration_labels; /* option calibration: {"label": mean log score, ...} */
	double	   *calibration_scores;
	int			n_calibration;	/* 0: none given */
	LlmStr	   *variant_labels; /* option variants: {"label": ["other words for it", ...], ...}, a pair for each word */
	LlmStr	   *variants;
	int			n_variants;
	/* reasoning */
	LlmAnswerForm answer;		/* option answer, or choices */
	/* embedding and reranking */
	LlmStr		prefix;			/* put before the text; data NULL: the model's for the task */
	LlmStr		instruction;	/* data NULL: that of the model's own template, or of the function */
	/* blocking of joins by embeddings (llm_filter) */
	text	   *block_model;	/* its name; NULL: none */
	int			block_top;		/* 0: not given */
	bool		has_block_similarity;
	double		block_similarity;
	double		block_recall;	/* 0: not given */
	int			block_sample;	/* 0: default */
	/* aggregates */
	int			chunk_tokens;	/* of texts in one prompt at most; 0: default */
} PgLlmOptions;

/* which keys a function takes */
#define PGLLM_OPT_SAMPLING	1	/* top_p top_k min_p typical_p repeat_penalty presence_penalty frequency_penalty logit_bias draft … */
#define PGLLM_OPT_PROMPT	2	/* truncate template_kwargs answer_prefix think_budget */
#define PGLLM_OPT_LABELS	4	/* form calibrate calibration variants truncate answer_prefix */
#define PGLLM_OPT_RAW		8	/* truncate */
#define PGLLM_OPT_EMBED		16	/* truncate prefix */
#define PGLLM_OPT_RERANK	32	/* truncate instruction */
#define PGLLM_OPT_EXTRACT	1024	/* temperature seed form */
#define PGLLM_OPT_AGGREGATE	2048	/* chunk_tokens template_kwargs */
#define PGLLM_OPT_REASON	4096	/* of sampling all but shapes and drafts; template_kwargs instruction answer choices */
#define PGLLM_OPT_REASON_ROW 8192	/* truncate */
#define PGLLM_OPT_REASON_GROUP 16384	/* temperature seed think_budget */
#define PGLLM_OPT_BLOCK		32768	/* block_… */

#define PGLLM_MAX_TEMPERATURE 1000000

/* fill *out from defaults, then from options (NULL: none). An unknown key raises, naming it and the known ones. */
extern void pgllm_options_parse(Jsonb *options, int allowed, PgLlmOptions *out);

/* raises unless the options of blocking go together */
extern void pgllm_check_blocking(const PgLlmOptions *options);

/* the given calibration in the order of labels; NULL if none was given; raises if a label is missing there */
extern double *pgllm_options_calibration(const PgLlmOptions *options, const LlmStr *labels, int n_labels);

#endif
