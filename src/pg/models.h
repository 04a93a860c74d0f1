/*
 * models.h: how the files that deal with models hand over to each other, from a name to packed weights.
 *
 * name -> catalog.c: server, privilege, options (PgLlmSpec) -> source_digest.c, pack_files.c: digest and pack file of the source
 * (PgLlmPackFile) -> model_cache.c: opened model with scheduler (PgLlmModel).
 */
#ifndef PGLLM_MODELS_H
#define PGLLM_MODELS_H

#include "pg_llm.h"

#include "nodes/pg_list.h"

#define PGLLM_DIGEST_HEX 64
#define PGLLM_MAX_LORA 8

/* ---- catalog.c ---- */

/* what the owner of a model said about it; strings live in the context that was current */
typedef struct PgLlmSpec
{
	Oid			server_oid;
	char	   *name;
	char	   *path;			/* absolute, or pgllm_stored_path() */
	bool		stored;
	PgLlmKind	kind;			/* PGLLM_KIND_AUTO: what the file is */
	uint32_t	context;		/* 0: the model's own */
	LlmKvType	kv_type;
	LlmRopeOptions rope;
	int			n_lora;
	char	   *lora_path[PGLLM_MAX_LORA];	/* absolute */
	int			n_lora_scale;	/* 0: 1 for all; else as many as adapters, or one for all */
	double		lora_scale[PGLLM_MAX_LORA];
	char	   *chat_template;	/* UTF-8; NULL: the model's own */
	char	   *query_prefix;	/* the same */
	char	   *document_prefix;
	char		sha256[PGLLM_DIGEST_HEX + 1];	/* lower case; empty: not given */
} PgLlmSpec;

/* foreign server of that name (NULL: pg_llm.default_model), USAGE checked; that it is a model pgllm_catalog_spec checks */
extern Oid	pgllm_catalog_find(const text *name);

/* the same; NULL: the default model for these kinds of work */
extern Oid	pgllm_catalog_find_kind(const text *name, int kinds);

/*
 * Name of the default model for these kinds of work (PGLLM_KIND_*), empty if there is none, and the setting that holds it.
 * For PGLLM_KIND_ANY that of embedding, if it is set, goes before the other.
 */
extern const char *pgllm_catalog_default(int kinds, const char **setting);

/* the server's options; raises if it is not a server of our wrapper */
extern void pgllm_catalog_spec(Oid server_oid, PgLlmSpec *spec);

/* the same, but only those options that say where the content is, and which; the others as if not given */
extern void pgllm_catalog_spec_content(Oid server_oid, PgLlmSpec *spec);

/* what the options of a server would say, as a list of DefElem; raises if a model cannot have them together. It has no name. */
extern void pgllm_catalog_spec_of(List *options, PgLlmSpec *spec);

/* raises unless the current user owns that server, as ALTER SERVER does */
extern void pgllm_catalog_check_owner(const PgLlmSpec *spec);

/* the foreign data wrapper that the extension made; raises if there is none */
extern Oid	pgllm_catalog_wrapper(void);

/* a path option as an absolute path; raises if it is empty or too long, or needs a privilege that the current user lacks */
extern char *pgllm_catalog_path(const char *path, bool check_privilege);

/* raises if a model cannot have that option with that value */
extern void pgllm_catalog_check_option(const char *name, const char *value);

/* called once, when the library is loaded */
extern void pgllm_catalog_register(void);

/* ---- catalog_content.c ---- */

/* the server whose option sha256 is that, of those that the current user may use the first by name; raises if none is */
extern Oid	pgllm_catalog_find_content(const char *sha256);

/* is there one, also if the current user may not use it? */
extern bool pgllm_catalog_has_content(const char *sha256);

/* ---- source_digest.c ---- */

/* which file it was: changes whenever its content may have changed */
typedef struct PgLlmFileId
{
	uint64_t	device;
	uint64_t	inode;
	uint64_t	size_bytes;
	int64_t		mtime_ns;
	int64_t		ctime_ns;
} PgLlmFileId;

/* identity of the file at path, without opening it; false if there is no such file */
extern bool pgllm_file_id(const char *path, PgLlmFileId *id);
extern bool pgllm_file_id_equal(const PgLlmFileId *a, const PgLlmFileId *b);

/* digest of the file's content, read whole unless it is known from before */
extern void pgllm_pack_digest(const char *path, char *digest);

/* ---- pack_files.c ---- */

/* a model's place in the shared cache; whatever it holds is there for good while it is used, and may be another's later */
typedef struct PgLlmPlace
{
	int			slot;			/* PGLLM_NO_PLACE: none */
	uint64		generation;
} PgLlmPlace;

#define PGLLM_NO_PLACE (-1)

typedef struct PgLlmPackFile
{
	PgLlmFileId source;
	char		digest[PGLLM_DIGEST_HEX + 1];
	PgLlmPlace	place;			/* in the shared cache; none: base is a file's map */
	bool		held;			/* that place is used now, so base is good */
	const uint8_t *base;
	size_t		size;
} PgLlmPackFile;

/*
 * The pack of a source, made if there is none: in the shared cache, or mapped from a file where there is no such cache or
 * the pack does not fit there. expect: digest it must have, or empty. *out is held; close it.
 */
extern void pgllm_pack_obtain(const char *path, const char *name, const char *expect, PgLlmPackFile *out);

/* between transactions a place in the shared cache is not held; false if something else has taken it since */
extern bool pgllm_pack_hold(PgLlmPackFile *pack);
extern void pgllm_pack_let_go(PgLlmPackFile *pack);
extern void pgllm_pack_close(PgLlmPackFile *pack);

/* ---- stored_models.c ---- */

/* a model in the table llm_model_data has "stored:" and its digest for a path */
extern bool pgllm_path_is_stored(const char *path);
extern char *pgllm_stored_path(const char *digest);
extern const char *pgllm_stored_digest(const char *path);

extern Datum pgllm_fn_llm_store_file(PG_FUNCTION_ARGS);
extern Datum pgllm_fn_llm_stored_digest(PG_FUNCTION_ARGS);

/* its content as a temporary file of the folder, checked; *fd keeps others from removing it. The caller removes and closes it. */
extern char *pgllm_stored_extract(const char *folder, const char *digest, int *fd);

/* ---- model_check.c ---- */

/* options of opening, but for adapters; what they point to is the spec's */
extern LlmModelOptions pgllm_model_options(const PgLlmSpec *spec);

/* what a model is for, which follows from its file; its owner may only say the same: raises otherwise */
extern PgLlmKind pgllm_model_kind(const PgLlmSpec *spec, const LlmModel *model);

/* raises if the file at the spec's path, which is not a stored one, can never be opened as that model */
extern void pgllm_model_check(const PgLlmSpec *spec);

/* ---- model_identity.c ---- */

/* fill in what the spec and the opened model say */
extern void pgllm_model_identify(const PgLlmSpec *spec, PgLlmModel *model);
extern void pgllm_model_find_clock(const PgLlmSpec *spec, PgLlmModel *model);

/* the time as far as answers in this statement depend on it; 0 if they do not */
extern int64_t pgllm_model_time(const PgLlmModel *model);

/* ---- model_cache.c ---- */

/* a model of any kind, without threads and scheduler: to look at (NULL: pg_llm.default_model), */
extern const PgLlmModel *pgllm_model_open(const text *name);

/* or to tokenize with (NULL: pg_llm.default_embedding_model if set, else pg_llm.default_model) */
extern const PgLlmModel *pgllm_model_open_any(const text *name);

extern void pgllm_models_init(void);
extern void pgllm_models_end_transaction(void);

/* models that this session has open and can go on using */
typedef struct PgLlmOpenModelInfo
{
	Oid			server_oid;
	char		digest[PGLLM_DIGEST_HEX + 1];
	size_t		packed_bytes;
} PgLlmOpenModelInfo;

extern int	pgllm_models_open(PgLlmOpenModelInfo **out);

/* memory of everything that outlives a statement, and of all schedulers: what pg_llm.memory_limit counts */
extern MemoryContext pgllm_context(void);

/* name of the context below it in which grammars are compiled: refusals speak of a grammar there, and not of a model */
#define PGLLM_GRAMMAR_CONTEXT "pg_llm grammar"

/* ---- cpu_share.c ---- */

/* a step of computing begins: of so many threads, those that this session may use now; and it ends, also by an error */
extern int	pgllm_cpu_share_begin(int threads);
extern void pgllm_cpu_share_end(void);

/* model_cache.c: this session's threads, as many as are its share now, for work outside of schedulers; end it on errors too */
extern LlmPool *pgllm_threads_begin(void);
extern void pgllm_threads_end(void);

/* ---- module.c ---- */

/* a number that changes from one statement of the client to the next */
extern uint64 pgllm_statement_id(void);

#endif
