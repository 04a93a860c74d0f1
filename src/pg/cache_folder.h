/*
 * cache_folder.h: the folder of pack files: its names, what it remembers of sources, and keeping it clean.
 */
#ifndef PGLLM_CACHE_FOLDER_H
#define PGLLM_CACHE_FOLDER_H

#include "models.h"

/* absolute path of the folder, made if missing; raises if it is not ours alone */
extern char *pgllm_folder_open(void);

/* where the pack of a source with that digest lies */
extern char *pgllm_folder_pack_path(const char *folder, const char *digest);

/* the digest of a source file as found when it had this identity; false if that is not known */
extern bool pgllm_folder_recall(const char *folder, const char *path, const PgLlmFileId *id, char *digest);

/* remember it; hashed_at_ns: when reading of the file began */
extern void pgllm_folder_remember(const char *folder, const char *path, const PgLlmFileId *id, int64_t hashed_at_ns,
								  const char *digest);

/* a new file of mode 0600 for writing, which no other session takes for left over while it is open; *path: its name */
extern int	pgllm_folder_create_temp(const char *folder, char **path);

/* remove what crashed sessions left, and packs of sources that are gone or changed, except that of digest */
extern void pgllm_folder_sweep(const char *folder, const char *keep_digest);

#endif
