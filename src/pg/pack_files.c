/*
 * pack_files.c: from a source file to a mapped pack: once per content, whoever asks first.
 *
 * 1. Digest of the source (source_digest.c).
 * 2. Pack. If the shared cache has a pack of that digest, or has room for one, it is used, or made, there. Else, if the folder
 *    has a pack of that digest, it is mapped and checked; a missing or damaged one is made: written to a temporary file, made
 *    durable, renamed.
 * Both steps are done by one session at a time for each source, packing also for each digest.
 *
 * The source is untrusted and may change meanwhile: its identity is compared before and after. All loops serve interrupts
 * between pieces; ERROR and FATAL leave no temporary file, descriptor or lock.
 */
#include "cache_folder.h"
#include "shared_cache.h"
#include "source_digest.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define FLUSH_BYTES ((uint64_t) 16 * 1024 * 1024)

/* ---- pack ---- */

/* what is open while a pack is being made; freed by make_cleanup in all cases */
typedef struct PackWork
{
	MemoryContext context;
	LlmSource	source;
	bool		source_open;
	LlmPacker  *packer;
	LlmBuf		tables;			/* of the tokenizer, in context */
	uint64_t	total_bytes;	/* of the pack */
	int			fd;				/* of the temporary file, or -1 */
	char	   *temp;			/* its name, NULL once it is renamed */
	atomic_uint_fast64_t written_end;	/* of all that was written */
	uint64_t	flushed_bytes;	/* end of what was handed to the disk */
	PgLlmPlace	place;			/* in the shared cache, until it is published */
	uint8_t    *memory;
} PackWork;

static void
make_cleanup(int code, Datum arg)
{
	PackWork   *work = (PackWork *) DatumGetPointer(arg);

	if (work->packer)
		llm_packer_free(work->packer);
	work->packer = NULL;
	if (work->source_open)
		llm_source_close(&work->source);
	work->source_open = false;
	if (work->temp)
	{
		unlink(work->temp);
		llm_file_discard(work->fd);
	}
	else if (work->fd >= 0)
		close(work->fd);
	work->temp = NULL;
	work->fd = -1;
	pgllm_shared_cache_give_up(&work->place);
	if (work->context)
		MemoryContextDelete(work->context);
	work->context = NULL;
}

/* sink of the packer: the temporary file; called by threads, so nothing of PostgreSQL's is used */
static LlmStatus
write_pack(void *ctx, uint64_t offset, const void *data, size_t len, LlmError *err)
{
	PackWork   *work = ctx;
	size_t		done = 0;

	while (done < len)
	{
		ssize_t		n = pwrite(work->fd, (const char *) data + done, len - done, (off_t) (offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return llm_fail_errno(err, n < 0 ? errno : ENOSPC, "could not write pack file \"%s\"", work->temp);
		done += (size_t) n;
	}
	for (uint64_t end = atomic_load(&work->written_end); end < offset + len;)
	{
		if (atomic_compare_exchange_weak(&work->written_end, &end, offset + len))
			break;
	}
	return LLM_OK;
}

/*
 * Between pieces: take as many threads as are ours now; and what is written to a file is handed to the disk, so that the sync at the
 * end is short.
 */
static void
follow_pack(void *ctx)
{
	PackWork   *work = ctx;
	const uint64_t end = atomic_load(&work->written_end);

	(void) pgllm_threads_begin();
	if (work->fd < 0 || end < work->flushed_bytes + FLUSH_BYTES)
		return;
	pg_flush_data(work->fd, (off_t) work->flushed_bytes, (off_t) (end - work->flushed_bytes));
	work->flushed_bytes = end;
}

/* the same in the shared cache, called by threads too; the packer stays inside of what it said */
static LlmStatus
write_memory(void *ctx, uint64_t offset, const void *data, size_t len, LlmError *err)
{
	PackWork   *work = ctx;

	if (offset > work->total_bytes || len > work->total_bytes - offset)
		return llm_fail(err, LLM_E_LIMIT, "packed model is larger than its room");
	if (len > 0)
		memcpy(work->memory + offset, data, len);
	return LLM_OK;
}

/* give the file its size, taking the room on disk now if the file system can */
static void
reserve_room(PackWork *work, uint64_t total_bytes)
{
	int			result;

	do
	{
		CHECK_FOR_INTERRUPTS();
		result = fallocate(work->fd, 0, 0, (off_t) total_bytes);
	} while (result != 0 && errno == EINTR);
	if (result != 0 && errno != ENOSPC && errno != EDQUOT && errno != EFBIG)
		result = ftruncate(work->fd, (off_t) total_bytes);
	if (result != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not make room for packed model: %m"),
				 errdetail("File \"%s\" needs " UINT64_FORMAT " bytes.", work->temp, total_bytes),
				 errhint("Make room on that disk, or let a superuser set pg_llm.cache_path to a folder on another one.")));
}

static void
digest_to_bytes(const char *hex, uint8 *bytes)
{
	(void) hex_decode(hex, PGLLM_DIGEST_HEX, (char *) bytes);
}

/* whether those bytes are a pack of that digest */
static LlmStatus
check_pack(const uint8_t *base, size_t size, const char *digest, LlmError *err)
{
	uint8		wanted[LLM_DIGEST_BYTES];
	uint8		found[LLM_DIGEST_BYTES];

	digest_to_bytes(digest, wanted);
	LLM_TRY(llm_pack_check(base, size, found, err));
	if (memcmp(found, wanted, LLM_DIGEST_BYTES) != 0)
		return llm_fail(err, LLM_E_FORMAT, "pack file holds another model");
	return LLM_OK;
}

/* open the source, which had identity id when its digest was taken, and lay out its pack */
static void
begin_pack(PackWork *work, const char *path, const PgLlmFileId *id, const char *digest)
{
	const LlmAllocator *a;
	uint8		digest_bytes[LLM_DIGEST_BYTES];
	uint64_t	seed;
	PgLlmFileId opened;
	LlmError	err;

	digest_to_bytes(digest, digest_bytes);
	work->context = AllocSetContextCreate(pgllm_context(), "pg_llm packing", ALLOCSET_DEFAULT_SIZES);
	a = pgllm_allocator(work->context);
	PGLLM_RUN(llm_source_open(path, a, pgllm_stop(), &work->source, &err), &err);
	work->source_open = true;
	opened = pgllm_id_of_open_model(&work->source);
	if (!pgllm_file_id_equal(&opened, id))
		pgllm_raise_changed(path);
	llm_buf_init(&work->tables, a);
	memcpy(&seed, digest_bytes, sizeof(seed));
	PGLLM_RUN(llm_tokenizer_tables(work->source.meta, seed, a, pgllm_stop(), &work->tables, &err), &err);
	PGLLM_CHECK(llm_packer_begin_with(&work->source, digest_bytes, (LlmStr) {work->tables.data, work->tables.len}, a, &work->packer,
									  &work->total_bytes, &err), &err);
}

static void
run_pack(PackWork *work, LlmStatus (*write) (void *ctx, uint64_t offset, const void *data, size_t len, LlmError *err))
{
	LlmPackSink sink = {.write = write, .ctx = work, .taken = follow_pack};
	LlmPool    *pool = pgllm_threads_begin();
	LlmError	err;

	PG_TRY();
	{
		PGLLM_CHECK(llm_packer_share(work->packer, pool, &err), &err);
		PGLLM_RUN(llm_packer_run(work->packer, &sink, pgllm_stop(), &err), &err);
	}
	PG_FINALLY();
	{
		pgllm_threads_end();
	}
	PG_END_TRY();
	PGLLM_CHECK(llm_source_check_unchanged(&work->source, &err), &err);
}

/* a pack file of the source */
static void
make_pack(const char *folder, const char *path, const PgLlmFileId *id, const char *digest)
{
	PackWork	work = {.fd = -1, .place.slot = PGLLM_NO_PLACE};

	PG_ENSURE_ERROR_CLEANUP(make_cleanup, PointerGetDatum(&work));
	{
		begin_pack(&work, path, id, digest);
		work.fd = pgllm_folder_create_temp(folder, &work.temp);
		reserve_room(&work, work.total_bytes);
		run_pack(&work, write_pack);
		(void) durable_rename(work.temp, pgllm_folder_pack_path(folder, digest), ERROR);
		work.temp = NULL;
	}
	PG_END_ENSURE_ERROR_CLEANUP(make_cleanup, PointerGetDatum(&work));
	make_cleanup(0, PointerGetDatum(&work));
}

static void
set_shared(PgLlmPackFile *out, const char *digest, const PgLlmPlace *place, const uint8_t *base, size_t size)
{
	out->place = *place;
	out->held = true;
	out->base = base;
	out->size = size;
	memcpy(out->digest, digest, sizeof(out->digest));
}

/* a pack in the shared cache, used; false if there is no room */
static bool
make_shared_pack(const char *path, const char *name, const char *digest, PgLlmPackFile *out)
{
	PackWork	work = {.fd = -1, .place.slot = PGLLM_NO_PLACE};
	bool		room;

	PG_ENSURE_ERROR_CLEANUP(make_cleanup, PointerGetDatum(&work));
	{
		begin_pack(&work, path, &out->source, digest);
		room = pgllm_shared_cache_reserve(digest, name, work.total_bytes, &work.place, &work.memory);
		if (room)
		{
			LlmError	err;

			run_pack(&work, write_memory);
			PGLLM_CHECK(check_pack(work.memory, work.total_bytes, digest, &err), &err);
			pgllm_shared_cache_publish(&work.place);
			set_shared(out, digest, &work.place, work.memory, work.total_bytes);
			work.place.slot = PGLLM_NO_PLACE;
		}
	}
	PG_END_ENSURE_ERROR_CLEANUP(make_cleanup, PointerGetDatum(&work));
	make_cleanup(0, PointerGetDatum(&work));
	return room;
}

/* map the pack of that digest; false if there is none, or it cannot be used; then it is removed if the lock is held */
static bool
map_pack(const char *folder, const char *digest, bool locked, PgLlmPackFile *out)
{
	char	   *path = pgllm_folder_pack_path(folder, digest);
	const uint8_t *base;
	size_t		size;
	LlmStatus	status;
	LlmError	err;

	status = llm_map_open(path, &base, &size, &err);
	if (status == LLM_E_IO && err.sys_errno == ENOENT)
		return false;
	if (status == LLM_E_IO && err.sys_errno == ELOOP)
		status = LLM_E_ARGUMENT;
	if (status == LLM_OK)
	{
		status = check_pack(base, size, digest, &err);
		if (status != LLM_OK)
			llm_map_close(base, size);
	}
	if (status == LLM_E_NOMEM || status == LLM_E_IO)
		pgllm_raise(&err);
	if (status != LLM_OK)
	{
		if (locked)
		{
			ereport(LOG,
					(errmsg("pack file \"%s\" cannot be used and is made again", path),
					 errdetail("%s", err.message)));
			if (unlink(path) != 0)
				ereport(ERROR,
						(errcode_for_file_access(),
						 errmsg("could not remove \"%s\", which is no packed model: %m", path),
						 errhint("Remove it by hand; only pg_llm should write to the folder that pg_llm.cache_path names.")));
		}
		return false;
	}
	out->base = base;
	out->size = size;
	out->place.slot = PGLLM_NO_PLACE;
	out->held = false;
	memcpy(out->digest, digest, sizeof(out->digest));
	return true;
}

/* ---- obtain and release ---- */

static void
check_expected(const char *path, const char *name, const char *expect, const char *digest)
{
	if (expect[0] != '\0' && strcmp(expect, digest) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("content of file \"%s\" is not that of model \"%s\"", path, name),
				 errdetail("Its SHA-256 is %s; the model's option sha256 is %s.", digest, expect),
				 errhint("Bring back the file, or accept it with ALTER SERVER %s OPTIONS (SET sha256 '%s').",
						 quote_identifier(name), digest)));
}

static bool
use_shared(const char *digest, PgLlmPackFile *out)
{
	PgLlmPlace	place;
	const uint8_t *base;
	size_t		size;

	if (pgllm_shared_cache_bytes() == 0 || !pgllm_shared_cache_use(digest, &place, &base, &size))
		return false;
	set_shared(out, digest, &place, base, size);
	return true;
}

/* load it into the shared cache, unless another session has done so; false if there is no cache or no room in it */
static bool
load_shared(const char *folder, const char *path, const char *name, const char *digest, PgLlmPackFile *out)
{
	LOCKTAG		tag = pgllm_source_lock_tag(folder, digest);
	bool		loaded;

	/* a pack is about as large as its source, or larger */
	if (out->source.size_bytes > pgllm_shared_cache_bytes() * 2)
		return false;
	LockAcquire(&tag, ExclusiveLock, false, false);
	loaded = use_shared(digest, out) || make_shared_pack(path, name, digest, out);
	LockRelease(&tag, ExclusiveLock, false);
	return loaded;
}

/* make the pack of a stored model by way of a file; the lock of its digest is held */
static void
make_stored_pack(const char *folder, const char *path, const char *name, const char *digest, PgLlmPackFile *out)
{
	int			fd;
	char	   *file = pgllm_stored_extract(folder, digest, &fd);

	PG_TRY();
	{
		pgllm_pack_obtain(file, name, digest, out);
	}
	PG_FINALLY();
	{
		unlink(file);
		close(fd);
	}
	PG_END_TRY();
	(void) pgllm_file_id(path, &out->source);
	pgllm_folder_remember(folder, path, &out->source, pgllm_now_ns(), digest);
}

/* as pgllm_pack_obtain */
static void
obtain_stored(const char *path, const char *name, PgLlmPackFile *out)
{
	const char *digest = pgllm_stored_digest(path);
	char	   *folder = pgllm_folder_open();
	LOCKTAG		tag = pgllm_source_lock_tag(folder, path);

	(void) pgllm_file_id(path, &out->source);
	if (use_shared(digest, out) || (pgllm_shared_cache_bytes() == 0 && map_pack(folder, digest, false, out)))
		return;
	LockAcquire(&tag, ExclusiveLock, false, false);
	if (!use_shared(digest, out) && (pgllm_shared_cache_bytes() > 0 || !map_pack(folder, digest, true, out)))
		make_stored_pack(folder, path, name, digest, out);
	LockRelease(&tag, ExclusiveLock, false);
}

void
pgllm_pack_obtain(const char *path, const char *name, const char *expect, PgLlmPackFile *out)
{
	char	   *folder = pgllm_folder_open();
	LOCKTAG		tag = pgllm_source_lock_tag(folder, path);
	char		digest[PGLLM_DIGEST_HEX + 1];

	if (pgllm_path_is_stored(path))
	{
		obtain_stored(path, name, out);
		return;
	}
	pgllm_check_openable(path);
	if (pgllm_file_id(path, &out->source) && pgllm_folder_recall(folder, path, &out->source, digest))
	{
		check_expected(path, name, expect, digest);
		if (use_shared(digest, out) || (pgllm_shared_cache_bytes() == 0 && map_pack(folder, digest, false, out)))
			return;
	}
	LockAcquire(&tag, ExclusiveLock, false, false);
	pgllm_digest_locked(folder, path, &out->source, digest);
	check_expected(path, name, expect, digest);
	if (!load_shared(folder, path, name, digest, out) && !map_pack(folder, digest, true, out))
	{
		pgllm_folder_sweep(folder, digest);
		make_pack(folder, path, &out->source, digest);
		if (!map_pack(folder, digest, true, out))
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("packed form of model \"%s\" cannot be read back", name),
					 errhint("Check the disk that pg_llm.cache_path is on, and the server's log.")));
	}
	LockRelease(&tag, ExclusiveLock, false);
}

bool
pgllm_pack_hold(PgLlmPackFile *pack)
{
	if (pack->place.slot != PGLLM_NO_PLACE && !pack->held)
		pack->held = pgllm_shared_cache_reuse(&pack->place);
	return pack->place.slot == PGLLM_NO_PLACE || pack->held;
}

void
pgllm_pack_let_go(PgLlmPackFile *pack)
{
	if (pack->held)
		pgllm_shared_cache_release(&pack->place);
	pack->held = false;
}

void
pgllm_pack_close(PgLlmPackFile *pack)
{
	pgllm_pack_let_go(pack);
	if (pack->place.slot == PGLLM_NO_PLACE && pack->base)
		llm_map_close(pack->base, pack->size);
	pack->base = NULL;
}
