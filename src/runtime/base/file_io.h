/*
 * file_io.h: reading untrusted files in pieces, and mapping files that only we write.
 *
 * A model source can be changed or cut by others while we read, so it is never mapped: reads are pread of bounded pieces
 * with should_stop in between. It is opened non-blocking and must be a regular file. Bytes that someone else keeps (a table)
 * can stand in for a file.
 */
#ifndef LLM_FILE_IO_H
#define LLM_FILE_IO_H

#include "base/arena.h"

/* exactly len bytes at offset, which are there by the size that was given; LLM_PAUSED (repeatable) when stopped */
typedef LlmStatus (*LlmReadBytes) (void *ctx, uint64_t offset, void *buf, size_t len, const LlmStop *stop, LlmError *err);

typedef struct LlmFile
{
	int			fd;				/* -1: closed */
	uint64_t	size_bytes;		/* at opening */
	uint64_t	device;			/* identity of the file, for cache keys */
	uint64_t	inode;
	int64_t		mtime_ns;
	int64_t		ctime_ns;
	char		path[1024];		/* for messages */
	LlmReadBytes read;			/* not NULL: the bytes are not in a file, and this gives them */
	void	   *read_ctx;
} LlmFile;

/* Errors: LLM_E_IO; LLM_E_ARGUMENT if it is not a regular file (directory, FIFO, device, socket) */
extern LlmStatus llm_file_open(const char *path, LlmFile *file, LlmError *err);
extern void llm_file_close(LlmFile *file);

/* size_bytes that read gives, called name in messages; ctx must outlive the file */
extern void llm_file_of_bytes(const char *name, uint64_t size_bytes, LlmReadBytes read, void *ctx, LlmFile *file);

/* read exactly len bytes at offset; LLM_E_FORMAT if the file ends before, LLM_PAUSED (repeatable) when stopped */
extern LlmStatus llm_file_read(const LlmFile *file, uint64_t offset, void *buf, size_t len, const LlmStop *stop, LlmError *err);

/* LLM_E_FORMAT if size or modification time of the open file are no longer those it was opened with */
extern LlmStatus llm_file_check_unchanged(const LlmFile *file, LlmError *err);

/*
 * Close a file of our own that has no name any more, without waiting: freeing the pages of a large one takes a tenth of a
 * second for each gigabyte, and a cancelled call must end sooner. A thread of its own does it; without one, this call.
 */
extern void llm_file_discard(int fd);

/*
 * Map a whole pack file shared and read-only; *base must be given to llm_map_close. LLM_E_ARGUMENT if the file does not
 * belong to this process's user or others may write it: whoever can cut a mapped file can kill the process.
 */
extern LlmStatus llm_map_open(const char *path, const uint8_t **base, size_t *size, LlmError *err);
extern void llm_map_close(const uint8_t *base, size_t size);

#endif
