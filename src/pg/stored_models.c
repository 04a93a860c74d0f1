/*
 * stored_models.c: models whose bytes lie in the extension's table llm_model_data, in chunks under the digest of the whole.
 *
 * So they are replicated, dumped and backed up like all data. The path of such a model is "stored:" and its digest. When its
 * pack is needed and there is none, the chunks are written to a temporary file of the cache folder, checked against the
 * digest, packed like any other file, and removed. A pack is known by the digest alone, so that it serves whichever table
 * holds the same content. Reading is done as the table's owner: to use a model, USAGE on its server is enough.
 */
#include "cache_folder.h"
#include "own_tables.h"
#include "sha256.h"

#include <fcntl.h>
#include <unistd.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_store_file);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_stored_digest);

#define STORED_PREFIX "stored:"
#define CHUNK_BYTES (1024 * 1024)

bool
pgllm_path_is_stored(const char *path)
{
	return strncmp(path, STORED_PREFIX, strlen(STORED_PREFIX)) == 0;
}

char *
pgllm_stored_path(const char *digest)
{
	return psprintf(STORED_PREFIX "%s", digest);
}

const char *
pgllm_stored_digest(const char *path)
{
	return path + strlen(STORED_PREFIX);
}

/* ---- the table ---- */

#define TABLE "llm_model_data"

static void
write_all(int fd, const char *path, const char *data, size_t len)
{
	while (len > 0)
	{
		ssize_t		n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not write file \"%s\": %m", path),
					 errhint("Make room on that disk, or let a superuser set pg_llm.cache_path to a folder on another one.")));
		data += n;
		len -= (size_t) n;
	}
}

/* the chunks of a digest in order, hashed and, if fd is not -1, written; returns how many there are; SPI is connected */
static int64
read_chunks(const char *table, const char *digest, pg_cryptohash_ctx *hash, int fd, const char *path)
{
	Datum		args[1] = {CStringGetTextDatum(digest)};
	Oid			types[1] = {TEXTOID};
	SPIPlanPtr	plan = SPI_prepare(psprintf("SELECT no, bytes FROM %s WHERE digest OPERATOR(pg_catalog.=) $1 ORDER BY no", table),
								   1, types);
	Portal		portal = SPI_cursor_open(NULL, plan, args, NULL, true);
	int64		n = 0;

	for (;;)
	{
		bool		null_no;
		bool		null_bytes;
		int32		no;
		Datum		bytes;
		bytea	   *chunk;

		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, 1);
		if (SPI_processed == 0)
			break;
		no = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null_no));
		bytes = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &null_bytes);
		chunk = DatumGetByteaPP(bytes);
		if (no != n)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("stored model %s has no chunk " INT64_FORMAT, digest, n),
					 errdetail("The next one is %d; chunks are numbered from 0.", no),
					 errhint("Store the model again.")));
		pgllm_sha256_add(hash, VARDATA_ANY(chunk), VARSIZE_ANY_EXHDR(chunk));
		if (fd != -1)
			write_all(fd, path, VARDATA_ANY(chunk), VARSIZE_ANY_EXHDR(chunk));
		n++;
		/* there may be thousands of them */
		if ((Pointer) chunk != DatumGetPointer(bytes))
			pfree(chunk);
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	return n;
}

/* read all of it as the table's owner, and raise unless it has that digest */
static void
read_stored(const char *digest, int fd, const char *path)
{
	pg_cryptohash_ctx *hash = pgllm_sha256_begin();
	char		hex[PGLLM_DIGEST_HEX + 1];
	PgLlmFormerUser former;
	PgLlmOwnTable table = pgllm_own_table(TABLE);
	volatile int64 n = 0;

	SPI_connect();
	PG_TRY();
	{
		pgllm_become_owner(&table, &former);
		n = read_chunks(table.name, digest, hash, fd, path);
		pgllm_become_former(&former);
		pgllm_sha256_end_hex(hash, hex);
	}
	PG_FINALLY();
	{
		pg_cryptohash_free(hash);
	}
	PG_END_TRY();
	SPI_finish();
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("table llm_model_data holds no model with sha256 %s", digest),
				 errhint("Store its chunks there, or give the model a path.")));
	if (strcmp(hex, digest) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("stored model %s was changed", digest),
				 errdetail("The SHA-256 of its chunks is %s.", hex),
				 errhint("Store the model again.")));
}

char *
pgllm_stored_extract(const char *folder, const char *digest, int *fd)
{
	char	   *path;

	*fd = pgllm_folder_create_temp(folder, &path);
	PG_TRY();
	{
		read_stored(digest, *fd, path);
	}
	PG_CATCH();
	{
		unlink(path);
		close(*fd);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return path;
}

/* ---- SQL ---- */

/* llm_stored_digest(sha256): raises unless the table holds just that content; for llm_store_model */
Datum
pgllm_fn_llm_stored_digest(PG_FUNCTION_ARGS)
{
	char	   *digest = text_to_cstring(PG_GETARG_TEXT_PP(0));

	pgllm_catalog_check_option("sha256", digest);
	for (char *p = digest; *p; p++)
		*p = pg_ascii_tolower((unsigned char) *p);
	read_stored(digest, -1, NULL);
	PG_RETURN_TEXT_P(cstring_to_text(digest));
}

/* one piece of a file, read between statements of SPI */
static bytea *
read_piece(const LlmFile *file, uint64 at, size_t len)
{
	bytea	   *piece = palloc(VARHDRSZ + len);
	LlmError	err;

	SET_VARSIZE(piece, VARHDRSZ + len);
	PGLLM_RUN(llm_file_read(file, at, VARDATA(piece), len, pgllm_stop(), &err), &err);
	return piece;
}

static void
insert_chunks(const LlmFile *file, const char *digest)
{
	Oid			types[3] = {TEXTOID, INT4OID, BYTEAOID};
	Datum		args[3] = {CStringGetTextDatum(digest)};
	SPIPlanPtr	plan = SPI_prepare(psprintf("INSERT INTO %s (digest, no, bytes) VALUES ($1, $2, $3)", pgllm_own_table(TABLE).name),
								   3, types);
	int32		no = 0;

	for (uint64 at = 0; at < file->size_bytes; no++)
	{
		size_t		len = (size_t) Min((uint64) CHUNK_BYTES, file->size_bytes - at);
		bytea	   *piece = read_piece(file, at, len);

		args[1] = Int32GetDatum(no);
		args[2] = PointerGetDatum(piece);
		if (SPI_execute_plan(plan, args, NULL, false, 0) != SPI_OK_INSERT)
			elog(ERROR, "could not insert into llm_model_data");
		pfree(piece);
		at += len;
		CHECK_FOR_INTERRUPTS();
	}
}

/* the same from the file at path */
static void
insert_file(const char *path, const char *digest)
{
	LlmFile		file;
	LlmError	err;

	PGLLM_CHECK(llm_file_open(path, &file, &err), &err);
	PG_TRY();
	{
		insert_chunks(&file, digest);
	}
	PG_FINALLY();
	{
		llm_file_close(&file);
	}
	PG_END_TRY();
}

/* the table holds one file, so a model of several is refused */
static void
check_one_file(const char *path)
{
	LlmSourceList list;
	LlmError	err;
	uint32_t	n_files;

	PGLLM_CHECK(llm_source_list(path, pgllm_allocator(CurrentMemoryContext), &list, &err), &err);
	n_files = list.n_files;
	llm_source_list_free(&list);
	if (n_files != 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a model of %u files cannot be stored", n_files),
				 errhint("Store a GGUF of one file; llama-gguf-split --merge makes one of several.")));
}

/* before a file is read in vain */
static void
check_may_store(const PgLlmOwnTable *table)
{
	if (pg_class_aclcheck(table->oid, GetUserId(), ACL_INSERT) != ACLCHECK_OK ||
		pg_class_aclcheck(table->oid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to store models"),
				 errhint("A superuser can allow it: GRANT INSERT, SELECT ON %s TO %s;", table->name,
						 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

/*
 * llm_store_file(path): the chunks of a file into the table, with the caller's privileges on both, unless its content is
 * there; returns the digest.
 */
Datum
pgllm_fn_llm_store_file(PG_FUNCTION_ARGS)
{
	char	   *path = pgllm_catalog_path(text_to_cstring(PG_GETARG_TEXT_PP(0)), true);
	char		digest[PGLLM_DIGEST_HEX + 1];
	PgLlmOwnTable table = pgllm_own_table(TABLE);
	Oid			types[1] = {TEXTOID};
	Datum		args[1];

	PreventCommandIfReadOnly("llm_store_model()");
	check_may_store(&table);
	check_one_file(path);
	pgllm_pack_digest(path, digest);
	SPI_connect();
	args[0] = CStringGetTextDatum(digest);
	if (SPI_execute_with_args(psprintf("SELECT 1 FROM %s WHERE digest OPERATOR(pg_catalog.=) $1 LIMIT 1", table.name), 1, types, args,
							  NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read llm_model_data");
	if (SPI_processed == 0)
		insert_file(path, digest);
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text(digest));
}
