/*
 * model_cache.c: models that this session has open, their schedulers, and the threads that compute.
 *
 * An open model is a pack, a vocabulary and a template; it stays open from statement to statement. A pack in the shared cache
 * is held during a transaction only; if it is not there any more, the model is opened again. Once per
 * statement its source file is looked at (stat), and an altered or dropped server marks it by invalidation; what is not
 * valid any more is replaced at the next use and closed at the end of the transaction, as callers may still hold it.
 *
 * Schedulers hold caches of keys and values and belong to a transaction: at its end they are freed, so that an idle
 * session keeps no more than mappings and vocabularies. Requests are freed by the memory context that owns them or with
 * their scheduler, whichever comes first; all owned requests are in one list for that.
 *
 * The thread pool is made at first use. When settings change, pool and schedulers are made anew as soon as no request is
 * owned.
 */
#include "models.h"
#include "sha256.h"
#include "cache_folder.h"
#include "progress.h"

#include "foreign/foreign.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/wait_event.h"

typedef struct PgLlmOpenModel
{
	PgLlmModel	pub;			/* first */
	dlist_node	node;			/* in open_models */
	MemoryContext context;		/* this struct, the spec, the opened model */
	MemoryContext scheduler_context;	/* NULL without scheduler */
	PgLlmSpec	spec;
	PgLlmPackFile file;
	PgLlmPackFile adapter[PGLLM_MAX_LORA];	/* the first spec.n_lora; of those not opened base is NULL */
	const LlmKernels *kernels;
	uint32		server_hash;	/* of the server's catalog row, for invalidation */
	bool		by_content;		/* opened without the owner's options */
	bool		valid;			/* server and file are as they were when it was opened */
	uint64		checked_statement;	/* statement in which the file was looked at last */
} PgLlmOpenModel;

typedef struct PgLlmRequest
{
	MemoryContextCallback callback; /* in the owning context, as is this struct */
	dlist_node	node;			/* in owned_requests */
	LlmRequest *request;		/* NULL: freed */
} PgLlmRequest;

static MemoryContext root_context = NULL;
static dlist_head open_models = DLIST_STATIC_INIT(open_models);
static dlist_head owned_requests = DLIST_STATIC_INIT(owned_requests);
static uint64 n_invalidations = 0;
static uint64 last_serial = 0;

/* the pool, and the settings that it and the schedulers were made with */
static LlmPool *pool = NULL;
static MemoryContext pool_context = NULL;
static int	pool_threads = 0;
static int	schedulers_batch_tokens = 0;
static int	schedulers_memory_kb = 0;
static bool schedulers_prefix_cache = false;

/* keys and values of recent prompts that a scheduler keeps: this part of the memory limit, and never more bytes */
#define PREFIX_CACHE_SHARE 4
#define PREFIX_CACHE_BYTES ((size_t) 512 * 1024 * 1024)

MemoryContext
pgllm_context(void)
{
	if (root_context == NULL)
		root_context = AllocSetContextCreate(TopMemoryContext, "pg_llm", ALLOCSET_DEFAULT_SIZES);
	return root_context;
}

/* ---- requests ---- */

/* free it unless its scheduler has taken it along */
static void
request_end(PgLlmRequest *owned)
{
	LlmRequest *request = owned->request;

	if (request == NULL)
		return;
	owned->request = NULL;
	dlist_delete(&owned->node);
	llm_request_free(request);
}

static void
request_context_reset(void *arg)
{
	request_end(arg);
}

void
pgllm_request_own(MemoryContext context, LlmRequest *request)
{
	PgLlmRequest *owned = MemoryContextAllocExtended(context, sizeof(PgLlmRequest), MCXT_ALLOC_NO_OOM);

	if (owned == NULL)
	{
		llm_request_free(request);
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	}
	owned->request = request;
	owned->callback.func = request_context_reset;
	owned->callback.arg = owned;
	dlist_push_tail(&owned_requests, &owned->node);
	MemoryContextRegisterResetCallback(context, &owned->callback);
}

/* ---- schedulers and threads ---- */

static void
free_scheduler(PgLlmOpenModel *m)
{
	if (m->pub.scheduler)
		llm_scheduler_free(m->pub.scheduler);
	m->pub.scheduler = NULL;
	if (m->scheduler_context)
		MemoryContextDelete(m->scheduler_context);
	m->scheduler_context = NULL;
}

/* all schedulers, with all requests; contexts that own requests find nothing to free later */
static void
free_schedulers(void)
{
	dlist_mutable_iter it;

	dlist_foreach_modify(it, &owned_requests)
		request_end(dlist_container(PgLlmRequest, node, it.cur));
	dlist_foreach_modify(it, &open_models)
		free_scheduler(dlist_container(PgLlmOpenModel, node, it.cur));
}

static void
free_pool(void)
{
	if (pool)
		llm_pool_free(pool);
	pool = NULL;
	if (pool_context)
		MemoryContextDelete(pool_context);
	pool_context = NULL;
}

static void
free_pool_at_exit(int code, Datum arg)
{
	free_pool();
}

static void
make_pool(int threads)
{
	static bool exit_registered = false;
	LlmError	err;

	free_pool();
	if (!exit_registered)
		on_proc_exit(free_pool_at_exit, (Datum) 0);
	exit_registered = true;
	pool_context = AllocSetContextCreate(pgllm_context(), "pg_llm threads", ALLOCSET_SMALL_SIZES);
	PGLLM_CHECK(llm_pool_create(pgllm_allocator(pool_context), threads, &pool, &err), &err);
	pool_threads = threads;
}

/* the pool for work outside of schedulers; it is as large as it may be now, or was when something that runs began */
LlmPool *
pgllm_threads_begin(void)
{
	if (pool == NULL)
		make_pool(pgllm_thread_count());
	llm_pool_set_limit(pool, Min(pgllm_thread_count(), pgllm_cpu_share_begin(pool_threads)));
	return pool;
}

void
pgllm_threads_end(void)
{
	pgllm_cpu_share_end();
}

/* pool and schedulers by the settings as they are now, unless running requests need the old ones */
static void
follow_settings(void)
{
	int			threads = pgllm_thread_count();

	if (pool && pool_threads == threads && schedulers_batch_tokens == pgllm_batch_tokens &&
		schedulers_memory_kb == pgllm_memory_limit_kb && schedulers_prefix_cache == pgllm_prefix_cache)
		return;
	if (pool && !dlist_is_empty(&owned_requests))
		return;
	free_schedulers();
	schedulers_batch_tokens = pgllm_batch_tokens;
	schedulers_memory_kb = pgllm_memory_limit_kb;
	schedulers_prefix_cache = pgllm_prefix_cache;
	if (pool == NULL || pool_threads != threads)
		make_pool(threads);
}

static void
make_scheduler(PgLlmOpenModel *m)
{
	LlmSchedulerOptions options = {.batch_tokens = schedulers_batch_tokens};
	LlmError	err;

	if (m->pub.scheduler)
		return;
	if (schedulers_prefix_cache)
		options.prefix_cache_bytes = PREFIX_CACHE_BYTES;
	if (schedulers_memory_kb > 0)
	{
		size_t		limit = (size_t) schedulers_memory_kb * 1024;
		size_t		used = MemoryContextMemAllocated(pgllm_context(), true);

		options.memory_limit_bytes = used < limit ? limit - used : 1;
		options.prefix_cache_bytes = Min(options.prefix_cache_bytes, limit / PREFIX_CACHE_SHARE);
	}
	if (m->scheduler_context == NULL)
		m->scheduler_context = AllocSetContextCreate(pgllm_context(), "pg_llm scheduler", ALLOCSET_DEFAULT_SIZES);
	if (llm_scheduler_create(m->pub.model, pool, &options, pgllm_allocator(m->scheduler_context), &m->pub.scheduler,
							 &err) != LLM_OK)
	{
		/* the runtime knows no settings */
		if (err.status == LLM_E_LIMIT)
		{
			llm_error_detail(&err, "pg_llm.memory_limit is %d kB; this session's models hold %zu kB without what running one takes.",
							 schedulers_memory_kb, (MemoryContextMemAllocated(pgllm_context(), true) + 1023) / 1024);
			llm_error_hint(&err, "Lower pg_llm.batch_tokens, or ask a superuser to raise pg_llm.memory_limit.");
		}
		pgllm_raise(&err);
	}
}

/* ---- opening and closing ---- */

/* everything of a model that is not memory of its context, and the context */
static void
close_model(PgLlmOpenModel *m)
{
	free_scheduler(m);
	if (m->pub.model)
		llm_model_close(m->pub.model);
	pgllm_pack_close(&m->file);
	for (int i = 0; i < m->spec.n_lora; i++)
		pgllm_pack_close(&m->adapter[i]);
	MemoryContextDelete(m->context);
}

static const LlmKernels *
kernels_by_setting(void)
{
	static const LlmKernels *kernels = NULL;
	static char name[32] = "";

	if (kernels == NULL || strcmp(name, pgllm_cpu_kernels) != 0)
	{
		kernels = llmk_select(pgllm_cpu_kernels, llmk_cpu_features());
		strlcpy(name, pgllm_cpu_kernels, sizeof(name));
	}
	if (kernels == NULL)
		elog(ERROR, "CPU level \"%s\" of pg_llm.cpu_kernels is not possible here", pgllm_cpu_kernels);
	return kernels;
}

static void
name_adapter(void *path)
{
	errcontext("adapter \"%s\"", (const char *) path);
}

/* adapters in the order of the option; a model with some has a digest of its own */
static void
open_adapters(PgLlmOpenModel *m, LlmAdapterPack *packs)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%s\n", m->file.digest);
	for (int i = 0; i < m->spec.n_lora; i++)
	{
		ErrorContextCallback callback = {.callback = name_adapter, .arg = m->spec.lora_path[i], .previous = error_context_stack};

		error_context_stack = &callback;
		pgllm_pack_obtain(m->spec.lora_path[i], m->spec.name, "", &m->adapter[i]);
		error_context_stack = callback.previous;
		packs[i] = (LlmAdapterPack) {m->adapter[i].base, m->adapter[i].size, m->spec.lora_scale[i]};
		appendStringInfo(&text, "lora %s %.17g\n", m->adapter[i].digest, m->spec.lora_scale[i]);
	}
	pgllm_sha256_hex(text.data, text.len, m->pub.digest);
}

static void
open_into(PgLlmOpenModel *m)
{
	LlmAdapterPack packs[PGLLM_MAX_LORA];
	LlmModelOptions options = pgllm_model_options(&m->spec);
	LlmError	err;

	pgllm_pack_obtain(m->spec.path, m->spec.name, m->spec.sha256, &m->file);
	memcpy(m->pub.digest, m->file.digest, sizeof(m->pub.digest));
	if (m->spec.n_lora > 0)
		open_adapters(m, packs);
	options.adapters = packs;
	options.n_adapters = m->spec.n_lora;
	m->kernels = kernels_by_setting();
	PGLLM_RUN(llm_model_open(m->file.base, m->file.size, &options, m->kernels, pgllm_allocator(m->context),
							 &m->pub.model, &err), &err);
	m->pub.server_oid = m->spec.server_oid;
	m->pub.serial = ++last_serial;
	m->pub.name = m->spec.name;
	m->pub.kind = pgllm_model_kind(&m->spec, m->pub.model);
	m->pub.query_prefix = m->spec.query_prefix;
	m->pub.document_prefix = m->spec.document_prefix;
	pgllm_model_identify(&m->spec, &m->pub);
	pgllm_model_find_clock(&m->spec, &m->pub);
}

/* a new entry for the server, linked only when it is complete */
static PgLlmOpenModel *
open_model(Oid server_oid, bool by_content)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_llm model", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	PgLlmOpenModel *m = palloc0(sizeof(PgLlmOpenModel));
	MemoryContext work;
	uint64		n_before = n_invalidations;

	m->context = context;
	m->file.place.slot = PGLLM_NO_PLACE;
	for (int i = 0; i < PGLLM_MAX_LORA; i++)
		m->adapter[i].place.slot = PGLLM_NO_PLACE;
	if (by_content)
		pgllm_catalog_spec_content(server_oid, &m->spec);
	else
		pgllm_catalog_spec(server_oid, &m->spec);
	m->by_content = by_content;
	m->server_hash = GetSysCacheHashValue1(FOREIGNSERVEROID, ObjectIdGetDatum(server_oid));
	/* from here on it lives below our own context, where its memory is counted, and an error has to be caught */
	MemoryContextSetParent(context, pgllm_context());
	work = AllocSetContextCreate(caller, "pg_llm opening", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(work);
	pgllm_progress_loading(m->spec.name);
	PG_TRY();
	{
		pgstat_report_wait_start(pgllm_wait_load());
		open_into(m);
		pgstat_report_wait_end();
	}
	PG_CATCH();
	{
		pgstat_report_wait_end();
		pgllm_progress_loaded();
		MemoryContextSwitchTo(caller);
		close_model(m);
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(work);
	pgllm_progress_loaded();
	/* a change that became known meanwhile found nothing to mark */
	m->valid = n_invalidations == n_before;
	dlist_push_head(&open_models, &m->node);
	return m;
}

/* whether the packs can be had again in this transaction: what lies in the shared cache may have gone */
static bool
hold_packs(PgLlmOpenModel *m)
{
	bool		good = pgllm_pack_hold(&m->file);

	for (int i = 0; good && i < m->spec.n_lora; i++)
		good = pgllm_pack_hold(&m->adapter[i]);
	return good;
}

static bool
is_unchanged(const char *path, const PgLlmPackFile *file)
{
	PgLlmFileId now;

	return pgllm_file_id(path, &now) && pgllm_file_id_equal(&now, &file->source);
}

static bool
files_unchanged(const PgLlmOpenModel *m)
{
	bool		same = is_unchanged(m->spec.path, &m->file);

	for (int i = 0; same && i < m->spec.n_lora; i++)
		same = is_unchanged(m->spec.lora_path[i], &m->adapter[i]);
	return same;
}

/* the open model of a server, if it can go on being used in this statement */
static PgLlmOpenModel *
find_open(Oid server_oid, bool by_content)
{
	dlist_iter	it;

	dlist_foreach(it, &open_models)
	{
		PgLlmOpenModel *m = dlist_container(PgLlmOpenModel, node, it.cur);

		if (m->spec.server_oid != server_oid || m->by_content != by_content || !m->valid)
			continue;
		if (m->kernels != kernels_by_setting() || !hold_packs(m))
			m->valid = false;
		else if (m->checked_statement != pgllm_statement_id())
			m->valid = files_unchanged(m);
		if (m->valid)
		{
			m->checked_statement = pgllm_statement_id();
			return m;
		}
	}
	return NULL;
}

static PgLlmOpenModel *
find_or_open(Oid server_oid, bool by_content)
{
	PgLlmOpenModel *m = find_open(server_oid, by_content);

	if (m == NULL)
	{
		m = open_model(server_oid, by_content);
		m->checked_statement = pgllm_statement_id();
	}
	return m;
}

const PgLlmModel *
pgllm_model_open(const text *name)
{
	return &find_or_open(pgllm_catalog_find(name), false)->pub;
}

const PgLlmModel *
pgllm_model_open_any(const text *name)
{
	return &find_or_open(pgllm_catalog_find_kind(name, PGLLM_KIND_ANY), false)->pub;
}

static void
check_kind(const PgLlmModel *model, int kinds)
{
	static const char *const hints[] = {
		[PGLLM_KIND_GENERATE] = "Models of kind generate are for llm_generate(), llm_classify() and others that answer in words.",
		[PGLLM_KIND_EMBED] = "Models of kind embed are for llm_embed(), llm_similarity() and llm_classify().",
		[PGLLM_KIND_RERANK] = "Models of kind rerank are for llm_rerank() and llm_relevance().",
	};

	if (model->kind & kinds)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("model \"%s\" is of kind %s, which this function cannot use", model->name, pgllm_kind_name(model->kind)),
			 errhint("%s", hints[model->kind])));
}

static PgLlmModel *
use_model(PgLlmOpenModel *m, int kinds)
{
	check_kind(&m->pub, kinds);
	follow_settings();
	make_scheduler(m);
	return &m->pub;
}

PgLlmModel *
pgllm_model_use(const text *name, int kinds)
{
	return use_model(find_or_open(pgllm_catalog_find_kind(name, kinds), false), kinds);
}

PgLlmModel *
pgllm_model_use_content(const char *sha256, int kinds)
{
	return use_model(find_or_open(pgllm_catalog_find_content(sha256), true), kinds);
}

void
pgllm_model_step(PgLlmModel *model, bool *more)
{
	LlmError	err;

	CHECK_FOR_INTERRUPTS();
	llm_pool_set_limit(pool, pgllm_cpu_share_begin(pool_threads));
	pgstat_report_wait_start(pgllm_wait_compute());
	PG_TRY();
	{
		PGLLM_RUN(llm_scheduler_step(model->scheduler, pgllm_stop(), more, &err), &err);
	}
	PG_FINALLY();
	{
		pgstat_report_wait_end();
		pgllm_cpu_share_end();
	}
	PG_END_TRY();
}

int
pgllm_models_open(PgLlmOpenModelInfo **out)
{
	PgLlmOpenModelInfo *infos;
	dlist_iter	it;
	int			n = 0;

	dlist_foreach(it, &open_models)
		n++;
	infos = palloc(sizeof(PgLlmOpenModelInfo) * Max(n, 1));
	n = 0;
	dlist_foreach(it, &open_models)
	{
		PgLlmOpenModel *m = dlist_container(PgLlmOpenModel, node, it.cur);

		if (!m->valid)
			continue;
		infos[n].server_oid = m->spec.server_oid;
		infos[n].packed_bytes = m->file.size;
		memcpy(infos[n].digest, m->file.digest, sizeof(infos[n].digest));
		n++;
	}
	*out = infos;
	return n;
}

/* ---- when things change and end ---- */

static void
server_changed(Datum arg, int cache, uint32 hash)
{
	dlist_iter	it;

	n_invalidations++;
	dlist_foreach(it, &open_models)
	{
		PgLlmOpenModel *m = dlist_container(PgLlmOpenModel, node, it.cur);

		if (hash == 0 || hash == m->server_hash)
			m->valid = false;
	}
}

static void
wrapper_changed(Datum arg, int cache, uint32 hash)
{
	server_changed(arg, cache, 0);
}

void
pgllm_models_init(void)
{
	pgllm_catalog_register();
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, server_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, wrapper_changed, (Datum) 0);
}

void
pgllm_models_end_transaction(void)
{
	dlist_mutable_iter it;

	free_schedulers();
	dlist_foreach_modify(it, &open_models)
	{
		PgLlmOpenModel *m = dlist_container(PgLlmOpenModel, node, it.cur);

		if (m->valid)
		{
			pgllm_pack_let_go(&m->file);
			for (int i = 0; i < m->spec.n_lora; i++)
				pgllm_pack_let_go(&m->adapter[i]);
			continue;
		}
		dlist_delete(&m->node);
		close_model(m);
	}
}
