/*
 * source_digest.h: which file a source is, and the digest of what is in it; for pack_files.c. What others need is in models.h.
 */
#ifndef PGLLM_SOURCE_DIGEST_H
#define PGLLM_SOURCE_DIGEST_H

#include "models.h"

#include "storage/lock.h"

/* the clock that times of files are compared with */
extern int64_t pgllm_now_ns(void);

/* identity of a source that is open */
extern PgLlmFileId pgllm_id_of_open_model(const LlmSource *source);

/* raises that it changed while it was read */
extern void pgllm_raise_changed(const char *path);

/* the lock by which one session at a time works on a source, or, with a digest for a path, on its pack */
extern LOCKTAG pgllm_source_lock_tag(const char *folder, const char *path);

/* digest of the source and its identity; the source's lock is held. digest (PGLLM_DIGEST_HEX + 1) */
extern void pgllm_digest_locked(const char *folder, const char *path, PgLlmFileId *id, char *digest);

/* raises what opening it for reading would: for callers that only remember it */
extern void pgllm_check_openable(const char *path);

#endif
