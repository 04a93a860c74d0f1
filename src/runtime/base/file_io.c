/*
 * file_io.c: reading of untrusted regular files by pread in pieces, and mapping of our own pack files.
 *
 * The kind of a file is looked at before it is opened, because opening a device can already do something (a tape
 * rewinds), and again on the open descriptor, because the path may have been replaced in between.
 */
#include "base/file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_PIECE_BYTES ((size_t) 1 << 20)
#define DISCARD_STACK_BYTES ((size_t) 64 * 1024)

static const char *
kind_of_file(mode_t mode)
{
	if (S_ISDIR(mode))
		return "a directory";
	if (S_ISFIFO(mode))
		return "a named pipe";
	if (S_ISSOCK(mode))
		return "a socket";
	if (S_ISCHR(mode) || S_ISBLK(mode))
		return "a device";
	return "of unknown kind";
}

static LlmStatus
check_regular(const char *path, const struct stat *st, LlmError *err)
{
	if (S_ISREG(st->st_mode))
		return LLM_OK;
	llm_fail(err, LLM_E_ARGUMENT, "\"%s\" is not a regular file", path);
	llm_error_detail(err, "It is %s.", kind_of_file(st->st_mode));
	llm_error_hint(err, "Give the path of a model file.");
	return LLM_E_ARGUMENT;
}

static LlmStatus
open_failed(const char *path, int sys_errno, LlmError *err)
{
	llm_fail_errno(err, sys_errno, "could not open file \"%s\"", path);
	if (sys_errno == ENOENT || sys_errno == ENOTDIR)
		llm_error_hint(err, "Check the path.");
	else if (sys_errno == EACCES || sys_errno == EPERM)
		llm_error_hint(err, "The operating system user of this process needs permission to read the file.");
	return LLM_E_IO;
}

/* a descriptor of the regular file at path, and what fstat says about it */
static LlmStatus
open_regular(const char *path, int extra_flags, int *out_fd, struct stat *st, LlmError *err)
{
	LlmStatus	status;
	int			fd;

	if (stat(path, st) != 0)
		return open_failed(path, errno, err);
	LLM_TRY(check_regular(path, st, err));

	do
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | extra_flags);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return open_failed(path, errno, err);
	if (fstat(fd, st) != 0)
		status = open_failed(path, errno, err);
	else
		status = check_regular(path, st, err);
	if (status != LLM_OK)
	{
		close(fd);
		return status;
	}
	*out_fd = fd;
	return LLM_OK;
}

static int64_t
mtime_ns(const struct stat *st)
{
	return (int64_t) st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static int64_t
ctime_ns(const struct stat *st)
{
	return (int64_t) st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
}

LlmStatus
llm_file_open(const char *path, LlmFile *file, LlmError *err)
{
	struct stat st;
	size_t		len = strlen(path);
	int			fd;

	if (len == 0)
	{
		llm_fail(err, LLM_E_ARGUMENT, "file path is empty");
		llm_error_hint(err, "Give the path of a model file.");
		return LLM_E_ARGUMENT;
	}
	if (len >= sizeof(file->path))
	{
		llm_fail(err, LLM_E_ARGUMENT, "file path is too long");
		llm_error_detail(err, "It has %zu bytes; at most %zu are possible.", len, sizeof(file->path) - 1);
		return LLM_E_ARGUMENT;
	}
	LLM_TRY(open_regular(path, 0, &fd, &st, err));

	memset(file, 0, sizeof(*file));
	file->fd = fd;
	file->size_bytes = (uint64_t) st.st_size;
	file->device = (uint64_t) st.st_dev;
	file->inode = (uint64_t) st.st_ino;
	file->mtime_ns = mtime_ns(&st);
	file->ctime_ns = ctime_ns(&st);
	memcpy(file->path, path, len + 1);
	return LLM_OK;
}

void
llm_file_close(LlmFile *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

void
llm_file_of_bytes(const char *name, uint64_t size_bytes, LlmReadBytes read, void *ctx, LlmFile *file)
{
	memset(file, 0, sizeof(*file));
	file->fd = -1;
	file->size_bytes = size_bytes;
	file->read = read;
	file->read_ctx = ctx;
	snprintf(file->path, sizeof(file->path), "%s", name);
}

static void *
discard_main(void *arg)
{
	close((int) (intptr_t) arg);
	return NULL;
}

void
llm_file_discard(int fd)
{
	pthread_attr_t attr;
	pthread_t	thread;
	sigset_t	all;
	sigset_t	saved;
	int			rc = pthread_attr_init(&attr);

	if (rc == 0)
	{
		(void) pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		(void) pthread_attr_setstacksize(&attr, DISCARD_STACK_BYTES);
		/* it inherits the mask: signals are for the process's own threads */
		sigfillset(&all);
		rc = pthread_sigmask(SIG_SETMASK, &all, &saved);
		if (rc == 0)
		{
			rc = pthread_create(&thread, &attr, discard_main, (void *) (intptr_t) fd);
			(void) pthread_sigmask(SIG_SETMASK, &saved, NULL);
		}
		(void) pthread_attr_destroy(&attr);
	}
	if (rc != 0)
		close(fd);
}

static LlmStatus
file_too_short(const LlmFile *file, uint64_t offset, size_t len, LlmError *err)
{
	llm_fail(err, LLM_E_FORMAT, "file \"%s\" ends too early", file->path);
	llm_error_detail(err, "%zu bytes are needed at offset %llu; the file had %llu bytes when it was opened.",
					 len, (unsigned long long) offset, (unsigned long long) file->size_bytes);
	llm_error_hint(err, "The file is incomplete or was changed while it was read.");
	return LLM_E_FORMAT;
}

LlmStatus
llm_file_read(const LlmFile *file, uint64_t offset, void *buf, size_t len, const LlmStop *stop, LlmError *err)
{
	char	   *dst = buf;
	size_t		done = 0;

	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return file_too_short(file, offset, len, err);
	if (file->read)
	{
		if (offset + len > file->size_bytes)
			return file_too_short(file, offset, len, err);
		return len > 0 ? file->read(file->read_ctx, offset, buf, len, stop, err) : LLM_OK;
	}
	while (done < len)
	{
		size_t		piece = len - done < READ_PIECE_BYTES ? len - done : READ_PIECE_BYTES;
		ssize_t		got;

		if (done > 0 && llm_should_stop(stop))
			return LLM_PAUSED;
		got = pread(file->fd, dst + done, piece, (off_t) (offset + done));
		if (got < 0)
		{
			if (errno == EINTR)
				continue;
			return llm_fail_errno(err, errno, "could not read file \"%s\"", file->path);
		}
		if (got == 0)
			return file_too_short(file, offset, len, err);
		done += (size_t) got;
	}
	return LLM_OK;
}

LlmStatus
llm_file_check_unchanged(const LlmFile *file, LlmError *err)
{
	struct stat st;

	if (file->read)
		return LLM_OK;			/* whoever gives the bytes sees to it */
	if (fstat(file->fd, &st) != 0)
		return llm_fail_errno(err, errno, "could not examine file \"%s\"", file->path);
	/* not ctime: renaming a file does no harm */
	if ((uint64_t) st.st_size == file->size_bytes && mtime_ns(&st) == file->mtime_ns)
		return LLM_OK;
	llm_fail(err, LLM_E_FORMAT, "file \"%s\" was changed while it was read", file->path);
	llm_error_detail(err, "It had %llu bytes when it was opened and has %llu now.",
					 (unsigned long long) file->size_bytes, (unsigned long long) st.st_size);
	llm_error_hint(err, "Try again when the file is complete.");
	return LLM_E_FORMAT;
}

/*
 * A mapping is safe only while nobody cuts the file (reading past its end kills the process), so the file must belong to
 * us and be writable by nobody else.
 */
LlmStatus
llm_map_open(const char *path, const uint8_t **base, size_t *size, LlmError *err)
{
	struct stat st;
	int			fd;
	void	   *map;
	int			map_errno;

	LLM_TRY(open_regular(path, O_NOFOLLOW, &fd, &st, err));
	if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
	{
		close(fd);
		llm_fail(err, LLM_E_ARGUMENT, "pack file \"%s\" can be changed by others", path);
		llm_error_detail(err, "It belongs to user %ld and has mode %04o; it must belong to user %ld with mode 0600.",
						 (long) st.st_uid, (unsigned) st.st_mode & 07777, (long) geteuid());
		llm_error_hint(err, "Remove the file; it will be made again.");
		return LLM_E_ARGUMENT;
	}
	if (st.st_size <= 0)
	{
		close(fd);
		return llm_fail(err, LLM_E_FORMAT, "pack file \"%s\" is empty", path);
	}
	map = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	map_errno = errno;
	close(fd);
	if (map == MAP_FAILED)
		return llm_fail_errno(err, map_errno, "could not map pack file \"%s\"", path);

	/* large pages save address translation where the file system has them; elsewhere this is refused, without harm */
	(void) madvise(map, (size_t) st.st_size, MADV_HUGEPAGE);
	*base = map;
	*size = (size_t) st.st_size;
	return LLM_OK;
}

void
llm_map_close(const uint8_t *base, size_t size)
{
	if (base)
		munmap((void *) base, size);
}
