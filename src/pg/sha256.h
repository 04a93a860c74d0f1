/*
 * sha256.h: SHA-256 by the server's own code, which may be OpenSSL. Every function raises an ERROR if it fails; a context that is
 * not ended must be given to pg_cryptohash_free.
 */
#ifndef PGLLM_SHA256_H
#define PGLLM_SHA256_H

#include "common/cryptohash.h"
#include "common/sha2.h"

extern pg_cryptohash_ctx *pgllm_sha256_begin(void);

/* begin anew with the same context */
extern void pgllm_sha256_restart(pg_cryptohash_ctx *sha);
extern void pgllm_sha256_add(pg_cryptohash_ctx *sha, const void *bytes, size_t n);

/* the digest, PG_SHA256_DIGEST_LENGTH bytes; the context can be restarted or freed */
extern void pgllm_sha256_end(pg_cryptohash_ctx *sha, uint8 *digest);

/* the same as 64 hexadecimal digits and a zero byte */
extern void pgllm_sha256_end_hex(pg_cryptohash_ctx *sha, char *hex);

/* digest of bytes that are there as a whole */
extern void pgllm_sha256(const void *bytes, size_t n, uint8 *digest);
extern void pgllm_sha256_hex(const void *bytes, size_t n, char *hex);

#endif
