/*
 * source_digest.c: which file a source is, and the digest of what is in it.
 *
 * Identity is what stat() says, and tells whether a file may have changed; the digest is SHA-256 of the content. A source of
 * several files counts as one: its digest is made from all (source.h says how), its identity is one number made from those of
 * all. If the folder of packs remembers this very file, that is its digest; else the file is read whole and hashed, by one
 * session at a time for each source. Others wait for a heavyweight lock: it shows in pg_locks, obeys cancel and timeouts, and
 * ends with its owner, so that a waiter takes over from a session that failed.
 */
#include "source_digest.h"
#include "cache_folder.h"
#include "sha256.h"

#include <sys/stat.h>
#include <time.h>

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

#define HASH_PIECE_BYTES ((size_t) 1024 * 1024)
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

PgLlmFileId
pgllm_id_of_open_model(const LlmSource *source)
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

void
pgllm_raise_changed(const char *path)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("model file \"%s\" was changed while it was read", path),
			 errhint("Try again when the file is complete.")));
}

/* ---- one session at a time for a source ---- */

LOCKTAG
pgllm_source_lock_tag(const char *folder, const char *path)
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

int64_t
pgllm_now_ns(void)
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
void
pgllm_digest_locked(const char *folder, const char *path, PgLlmFileId *id, char *digest)
{
	int64_t		begin_ns = pgllm_now_ns();

	if (pgllm_file_id(path, id) && pgllm_folder_recall(folder, path, id, digest))
		return;
	hash_source(path, id, digest);
	pgllm_folder_remember(folder, path, id, begin_ns, digest);
}

/* raises what opening it for reading would: for callers that only remember it */
void
pgllm_check_openable(const char *path)
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
	LOCKTAG		tag = pgllm_source_lock_tag(folder, path);
	PgLlmFileId id;

	if (pgllm_path_is_stored(path))
	{
		strlcpy(digest, pgllm_stored_digest(path), PGLLM_DIGEST_HEX + 1);
		return;
	}
	pgllm_check_openable(path);
	LockAcquire(&tag, ExclusiveLock, false, false);
	pgllm_digest_locked(folder, path, &id, digest);
	LockRelease(&tag, ExclusiveLock, false);
}
