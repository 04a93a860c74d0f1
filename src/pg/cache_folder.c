/*
 * cache_folder.c: the folder of pack files (pg_llm.cache_path).
 *
 *   <digest>-v<version>.pack	packed weights of a source with that SHA-256, for that version of the layout; never changed
 *   <name>.ref					what a source file was when it was read: path, identity, digest; name: hash of the path
 *   pg_llm_tmp.<pid>.<n>		a file being written, locked (flock) by its writer; renamed to one of the above when complete
 *
 * Anybody may remove anything here at any time: sessions keep what they have mapped, and what is missing is made again.
 * The folder is 0700 and files are 0600, as they are mapped: a file cut by somebody else would kill the server.
 *
 * A .ref saves reading a model only to learn its digest. It is believed if path, device, inode, size and both times are
 * the same, and if the file was last changed more than two seconds before it was read: an earlier read could have missed
 * a change that left the times as they are, because clocks of file systems are coarse.
 */
#include "cache_folder.h"
#include "sha256.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/fd.h"
#include "utils/builtins.h"

#define REF_HEADER "pg_llm source 1"
#define REF_MAX_BYTES 4096
#define REF_NAME_CHARS 32		/* hex digits of the path's hash */
#define TEMP_PREFIX "pg_llm_tmp."
#define COARSE_CLOCK_NS INT64CONST(2000000000)

typedef struct SourceRef
{
	char		path[1024];
	PgLlmFileId id;
	int64_t		hashed_at_ns;
	char		digest[PGLLM_DIGEST_HEX + 1];
} SourceRef;

/* ---- the folder ---- */

char *
pgllm_folder_open(void)
{
	char	   *folder;
	struct stat st;

	if (pgllm_cache_path[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_CONFIG_FILE_ERROR),
				 errmsg("pg_llm.cache_path is empty"),
				 errhint("A superuser can set it to a folder that belongs to the server, or reset it.")));
	folder = is_absolute_path(pgllm_cache_path) ? pstrdup(pgllm_cache_path) : psprintf("%s/%s", DataDir, pgllm_cache_path);
	if (mkdir(folder, S_IRWXU) != 0 && errno != EEXIST)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create folder \"%s\" of packed models: %m", folder),
				 errhint("Its parent must exist and be writable by the server; pg_llm.cache_path names it.")));
	if (stat(folder, &st) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not examine folder \"%s\" of packed models: %m", folder),
				 errhint("The server's operating system user must be able to use it; pg_llm.cache_path names it.")));
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIG_FILE_ERROR),
				 errmsg("\"%s\" cannot hold packed models", folder),
				 errdetail("It must be a folder that belongs to the server's operating system user and that nobody else can write to."),
				 errhint("Correct it, or let a superuser set pg_llm.cache_path to another folder.")));
	return folder;
}

char *
pgllm_folder_pack_path(const char *folder, const char *digest)
{
	return psprintf("%s/%s-v%d.pack", folder, digest, llm_pack_format());
}

int
pgllm_folder_create_temp(const char *folder, char **path)
{
	static unsigned counter = 0;

	for (;;)
	{
		char	   *name = psprintf("%s/" TEMP_PREFIX "%d.%u", folder, MyProcPid, counter++);
		int			fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
		struct stat st;

		if (fd < 0 && errno == EEXIST)
			continue;
		if (fd < 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not create file \"%s\": %m", name),
					 errhint("The server's operating system user must be able to write there; pg_llm.cache_path names the folder.")));
		/* a sweep may have taken it for left over before it was locked; then it has no name any more */
		if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0)
		{
			*path = name;
			return fd;
		}
		close(fd);
		unlink(name);
	}
}

/* ---- what is known of sources ---- */

static char *
ref_path(const char *folder, const char *path)
{
	char		hex[PGLLM_DIGEST_HEX + 1];

	pgllm_sha256_hex(path, strlen(path), hex);
	return psprintf("%s/%.*s.ref", folder, REF_NAME_CHARS, hex);
}

/* false if it is not there or not as we write it */
static bool
read_ref(const char *file, SourceRef *ref)
{
	char		text[REF_MAX_BYTES + 1];
	int			fd = OpenTransientFile(file, O_RDONLY | PG_BINARY);
	ssize_t		n;
	int			end = 0;

	if (fd < 0)
		return false;
	n = read(fd, text, REF_MAX_BYTES);
	CloseTransientFile(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	memset(ref, 0, sizeof(*ref));
	if (sscanf(text, REF_HEADER "\n%1023[^\n]\n" UINT64_FORMAT " " UINT64_FORMAT " " UINT64_FORMAT " " INT64_FORMAT " "
			   INT64_FORMAT " " INT64_FORMAT "\n%64[0-9a-f]\nend\n%n",
			   ref->path, &ref->id.device, &ref->id.inode, &ref->id.size_bytes, &ref->id.mtime_ns, &ref->id.ctime_ns,
			   &ref->hashed_at_ns, ref->digest, &end) != 8)
		return false;
	return end == n && strlen(ref->digest) == PGLLM_DIGEST_HEX;
}

bool
pgllm_folder_recall(const char *folder, const char *path, const PgLlmFileId *id, char *digest)
{
	SourceRef	ref;

	if (!read_ref(ref_path(folder, path), &ref) || strcmp(ref.path, path) != 0)
		return false;
	if (!pgllm_file_id_equal(&ref.id, id) || ref.hashed_at_ns - id->ctime_ns <= COARSE_CLOCK_NS)
		return false;
	memcpy(digest, ref.digest, sizeof(ref.digest));
	return true;
}

void
pgllm_folder_remember(const char *folder, const char *path, const PgLlmFileId *id, int64_t hashed_at_ns, const char *digest)
{
	char	   *text;
	char	   *temp;
	ssize_t		len;
	int			fd;
	int			save_errno = 0;

	if (strchr(path, '\n') != NULL || strlen(path) >= sizeof(((SourceRef *) NULL)->path))
		return;
	text = psprintf(REF_HEADER "\n%s\n" UINT64_FORMAT " " UINT64_FORMAT " " UINT64_FORMAT " " INT64_FORMAT " "
					INT64_FORMAT " " INT64_FORMAT "\n%s\nend\n",
					path, id->device, id->inode, id->size_bytes, id->mtime_ns, id->ctime_ns, hashed_at_ns, digest);
	len = (ssize_t) strlen(text);
	fd = pgllm_folder_create_temp(folder, &temp);
	errno = 0;
	if (write(fd, text, len) != len)
		save_errno = errno ? errno : ENOSPC;
	if (save_errno == 0 && rename(temp, ref_path(folder, path)) != 0)
		save_errno = errno;
	close(fd);
	if (save_errno != 0)
	{
		unlink(temp);
		errno = save_errno;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", temp),
				 errhint("Make room on that disk, or let a superuser set pg_llm.cache_path to a folder on another one.")));
	}
}

/* ---- keeping it clean ---- */

/* whether a name is n hex digits and then the suffix: the folder may hold files of others, which are not ours to remove */
static bool
name_is_hex(const char *name, size_t n, const char *suffix)
{
	return strspn(name, "0123456789abcdef") == n && strncmp(name + n, suffix, strlen(suffix)) == 0;
}

static bool
name_is_ref(const char *name)
{
	return name_is_hex(name, REF_NAME_CHARS, ".ref") && strlen(name) == REF_NAME_CHARS + strlen(".ref");
}

static bool
name_is_pack(const char *name)
{
	const char *version = name + PGLLM_DIGEST_HEX + strlen("-v");

	return name_is_hex(name, PGLLM_DIGEST_HEX, "-v") && strcmp(version + strspn(version, "0123456789"), ".pack") == 0;
}

/* its writer is gone if nobody holds the lock */
static void
remove_if_left_over(const char *file)
{
	int			fd = open(file, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		unlink(file);
	close(fd);
}

/* whether a source that this .ref knows still is what it was; then *digest is of use */
static bool
ref_is_current(const char *file, char *digest)
{
	SourceRef	ref;
	PgLlmFileId id;

	if (!read_ref(file, &ref) || !pgllm_file_id(ref.path, &id) || !pgllm_file_id_equal(&ref.id, &id))
		return false;
	memcpy(digest, ref.digest, sizeof(ref.digest));
	return true;
}

static List *
list_folder(const char *folder)
{
	DIR		   *dir = AllocateDir(folder);
	struct dirent *entry;
	List	   *names = NIL;

	while ((entry = ReadDirExtended(dir, folder, LOG)) != NULL)
		if (entry->d_name[0] != '.')
			names = lappend(names, pstrdup(entry->d_name));
	FreeDir(dir);
	return names;
}

void
pgllm_folder_sweep(const char *folder, const char *keep_digest)
{
	List	   *names = list_folder(folder);
	List	   *keep = list_make1(psprintf("%s-v%d.pack", keep_digest, llm_pack_format()));
	ListCell   *cell;

	foreach(cell, names)
	{
		const char *name = lfirst(cell);
		char	   *file = psprintf("%s/%s", folder, name);
		char		digest[PGLLM_DIGEST_HEX + 1];

		if (strncmp(name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0)
			remove_if_left_over(file);
		else if (name_is_ref(name))
		{
			if (ref_is_current(file, digest))
				keep = lappend(keep, psprintf("%s-v%d.pack", digest, llm_pack_format()));
			else
				unlink(file);
		}
	}
	foreach(cell, names)
	{
		const char *name = lfirst(cell);
		ListCell   *kept;
		bool		wanted = !name_is_pack(name);

		foreach(kept, keep)
			wanted = wanted || strcmp(name, lfirst(kept)) == 0;
		if (!wanted)
			unlink(psprintf("%s/%s", folder, name));
	}
}
