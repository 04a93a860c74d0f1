/*
 * pack_files.c: from a source file to a mapped pack: once per content, whoever asks first.
 *
 * 1. Digest. If the folder remembers this very file, that is its digest; else the file is read whole and hashed.
 * 2. Pack. If the shared cache has a pack of that digest, or has room for one, it is used, or made, there. Else, if the folder
 *    has a pack of that digest, it is mapped and checked; a missing or damaged one is made: written to a temporary file, made
 *    durable, renamed.
 * Both steps are done by one session at a time for each source, packing also for each digest. Others wait for a heavyweight lock: it shows in pg_locks,
 * obeys cancel and timeouts, and ends with its owner, so that a waiter takes over from a session that failed.
 *
 * A source of several files counts as one: its digest is made from all (source.h says how), its identity is one number made
 * from those of all.
 *
 * The source is untrusted and may change meanwhile: its identity is compared before and after. All loops serve interrupts
 * between pieces; ERROR and FATAL leave no temporary file, descriptor or lock.
 */
#include "cache_folder.h"
#include "sha256.h"
#include "shared_cache.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define HASH_PIECE_BYTES ((size_t) 1024 * 1024)
#define FLUSH_BYTES ((uint64_t) 16 * 1024 * 1024)
#define LOCK_KIND 0x6c6d		/* in the lock's tag, beside database 0, which SQL's advisory locks cannot name */

/* ---- identity ---- */

/*
 * Take file no into the identity of a source. One file has its own. Of several, the inode becomes a number made from all there
 * is to say about them, so that any one's change shows; the times are the latest, as those who compare with a clock need.
 */
static void
add_file_id(PgLlmFileId *id, uint32_t no, const PgLlmFileId *part)
{
	const uint64_t words[] = {part->device, part->inode, part->size_bytes, (uint64_t) part->mtime_ns, (uint64_t) part->ctime_ns};

	if (no == 0)
	{
		*id = *part;
		return;
	}
	for (int i = 0; i < (int) lengthof(words); i++)
		id->inode = hash_combine64(id->inode, words[i]);
	id->size_bytes += part->size_bytes;
	id->mtime_ns = Max(id->mtime_ns, part->mtime_ns);
	id->ctime_ns = Max(id->ctime_ns, part->ctime_ns);
}

static PgLlmFileId
id_of_open_file(const LlmFile *file)
{
	PgLlmFileId id = {.device = file->device, .inode = file->inode, .size_bytes = file->size_bytes,
	.mtime_ns = file->mtime_ns, .ctime_ns = file->ctime_ns};

	return id;
}

static PgLlmFileId
id_of_open_model(const LlmSource *source)
{
	PgLlmFileId id = {0};

	for (uint32_t i = 0; i < llm_source_n_files(source); i++)
	{
		PgLlmFileId part = id_of_open_file(llm_source_file(source, i));

		add_file_id(&id, i, &part);
	}
	return id;
}

static bool
id_of_list(const LlmSourceList *list, PgLlmFileId *id)
{
	for (uint32_t i = 0; i < list->n_files; i++)
	{
		PgLlmFileId part = {0};
		struct stat st;

		if (stat(list->paths[i], &st) != 0)
			return false;
		part.device = (uint64_t) st.st_dev;
		part.inode = (uint64_t) st.st_ino;
		part.size_bytes = (uint64_t) st.st_size;
		part.mtime_ns = (int64_t) st.st_mtim.tv_sec * INT64CONST(1000000000) + st.st_mtim.tv_nsec;
		part.ctime_ns = (int64_t) st.st_ctim.tv_sec * INT64CONST(1000000000) + st.st_ctim.tv_nsec;
		add_file_id(id, i, &part);
	}
	return true;
}

bool
pgllm_file_id(const char *path, PgLlmFileId *id)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_llm file list", ALLOCSET_SMALL_SIZES);
	LlmSourceList list;
	bool		found = false;

	/* its content is its name, so it never changes */
	if (pgllm_path_is_stored(path))
	{
		*id = (PgLlmFileId) {.inode = 1};
		MemoryContextDelete(context);
		return true;
	}

	if (llm_source_list(path, pgllm_allocator(context), &list, NULL) == LLM_OK)
		found = id_of_list(&list, id);
	MemoryContextDelete(context);
	return found;
}

bool
pgllm_file_id_equal(const PgLlmFileId *a, const PgLlmFileId *b)
{
	return a->device == b->device && a->inode == b->inode && a->size_bytes == b->size_bytes &&
		a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

static void
raise_changed(const char *path)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("model file \"%s\" was changed while it was read", path),
			 errhint("Try again when the file is complete.")));
}

/* ---- one session at a time for a source ---- */

static LOCKTAG
source_lock_tag(const char *folder, const char *path)
{
	char	   *text = psprintf("%s\n%s", folder, path);
	char		hex[PGLLM_DIGEST_HEX + 1];
	char		part[9] = {0};
	uint32		key[2];
	LOCKTAG		tag;

	pgllm_sha256_hex(text, strlen(text), hex);
	for (int i = 0; i < 2; i++)
	{
		memcpy(part, hex + 8 * i, 8);
		key[i] = (uint32) strtoul(part, NULL, 16);
	}
	SET_LOCKTAG_ADVISORY(tag, InvalidOid, key[0], key[1], LOCK_KIND);
	return tag;
}

/* ---- digest ---- */

static int64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * INT64CONST(1000000000) + now.tv_nsec;
}

typedef struct HashWork
{
	LlmFile		file;
	pg_cryptohash_ctx *hash;	/* of the source */
	pg_cryptohash_ctx *own;		/* of one file of a folder */
} HashWork;

static void
hash_cleanup(int code, Datum arg)
{
	HashWork   *work = (HashWork *) DatumGetPointer(arg);

	llm_file_close(&work->file);
	pg_cryptohash_free(work->hash);
	pg_cryptohash_free(work->own);
	work->hash = NULL;
	work->own = NULL;
}

/* one file, from its beginning to its end, into hash */
static void
hash_content(HashWork *work, pg_cryptohash_ctx *hash, const char *path, uint8 *piece, PgLlmFileId *id)
{
	LlmError	err;

	PGLLM_CHECK(llm_file_open(path, &work->file, &err), &err);
	for (uint64_t at = 0; at < work->file.size_bytes;)
	{
		size_t		n = (size_t) Min((uint64_t) HASH_PIECE_BYTES, work->file.size_bytes - at);

		PGLLM_RUN(llm_file_read(&work->file, at, piece, n, pgllm_stop(), &err), &err);
		pgllm_sha256_add(hash, piece, n);
		at += n;
		CHECK_FOR_INTERRUPTS();
	}
	PGLLM_CHECK(llm_file_check_unchanged(&work->file, &err), &err);
	*id = id_of_open_file(&work->file);
	llm_file_close(&work->file);
}

/* a file of a folder: its digest and name go into that of the source, as sha256sum prints them */
static void
hash_line(HashWork *work, const char *path, const char *name, uint8 *piece, PgLlmFileId *id)
{
	char		hex[PGLLM_DIGEST_HEX + 1];
	char	   *line;

	pgllm_sha256_restart(work->own);
	hash_content(work, work->own, path, piece, id);
	pgllm_sha256_end_hex(work->own, hex);
	line = psprintf("%s  %s\n", hex, name);
	pgllm_sha256_add(work->hash, line, strlen(line));
	pfree(line);
}

/* SHA-256 of the whole source, and which files that was */
static void
hash_source(const char *path, PgLlmFileId *id, char *hex)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_llm hashing", ALLOCSET_DEFAULT_SIZES);
	HashWork	work = {.file = {.fd = -1}};
	LlmSourceList list;
	LlmError	err;

	PGLLM_CHECK(llm_source_list(path, pgllm_allocator(context), &list, &err), &err);
	PG_ENSURE_ERROR_CLEANUP(hash_cleanup, PointerGetDatum(&work));
	{
		uint8	   *piece = MemoryContextAlloc(context, HASH_PIECE_BYTES);

		work.hash = pgllm_sha256_begin();
		work.own = pgllm_sha256_begin();
		for (uint32_t i = 0; i < list.n_files; i++)
		{
			PgLlmFileId part;

			if (list.is_folder)
				hash_line(&work, list.paths[i], list.names[i], piece, &part);
			else
				hash_content(&work, work.hash, list.paths[i], piece, &part);
			add_file_id(id, i, &part);
		}
		pgllm_sha256_end_hex(work.hash, hex);
	}
	PG_END_ENSURE_ERROR_CLEANUP(hash_cleanup, PointerGetDatum(&work));
	hash_cleanup(0, PointerGetDatum(&work));
	MemoryContextDelete(context);
}

/* digest of the file and its identity; the source's lock is held */
static void
digest_locked(const char *folder, const char *path, PgLlmFileId *id, char *digest)
{
	int64_t		begin_ns = now_ns();

	if (pgllm_file_id(path, id) && pgllm_folder_recall(folder, path, id, digest))
		return;
	hash_source(path, id, digest);
	pgllm_folder_remember(folder, path, id, begin_ns, digest);
}

/* raises what opening it for reading would: for callers that only remember it */
static void
check_openable(const char *path)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_llm file list", ALLOCSET_SMALL_SIZES);
	LlmSourceList list;
	LlmFile		file;
	LlmError	err;

	PGLLM_CHECK(llm_source_list(path, pgllm_allocator(context), &list, &err), &err);
	PGLLM_CHECK(llm_file_open(list.paths[0], &file, &err), &err);
	llm_file_close(&file);
	MemoryContextDelete(context);
}

void
pgllm_pack_digest(const char *path, char *digest)
{
	char	   *folder = pgllm_folder_open();
	LOCKTAG		tag = source_lock_tag(folder, path);
	PgLlmFileId id;

	if (pgllm_path_is_stored(path))
	{
		strlcpy(digest, pgllm_stored_digest(path), PGLLM_DIGEST_HEX + 1);
		return;
	}
	check_openable(path);
	LockAcquire(&tag, ExclusiveLock, false, false);
	digest_locked(folder, path, &id, digest);
	LockRelease(&tag, ExclusiveLock, false);
}

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
	if (work->place.slot != PGLLM_NO_PLACE)
		pgllm_shared_cache_give_up(&work->place);
	work->place.slot = PGLLM_NO_PLACE;
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
	opened = id_of_open_model(&work->source);
	if (!pgllm_file_id_equal(&opened, id))
		raise_changed(path);
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
	LOCKTAG		tag = source_lock_tag(folder, digest);
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
	pgllm_folder_remember(folder, path, &out->source, now_ns(), digest);
}

/* as pgllm_pack_obtain */
static void
obtain_stored(const char *path, const char *name, PgLlmPackFile *out)
{
	const char *digest = pgllm_stored_digest(path);
	char	   *folder = pgllm_folder_open();
	LOCKTAG		tag = source_lock_tag(folder, path);

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
	LOCKTAG		tag = source_lock_tag(folder, path);
	char		digest[PGLLM_DIGEST_HEX + 1];

	if (pgllm_path_is_stored(path))
	{
		obtain_stored(path, name, out);
		return;
	}
	check_openable(path);
	if (pgllm_file_id(path, &out->source) && pgllm_folder_recall(folder, path, &out->source, digest))
	{
		check_expected(path, name, expect, digest);
		if (use_shared(digest, out) || (pgllm_shared_cache_bytes() == 0 && map_pack(folder, digest, false, out)))
			return;
	}
	LockAcquire(&tag, ExclusiveLock, false, false);
	digest_locked(folder, path, &out->source, digest);
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
