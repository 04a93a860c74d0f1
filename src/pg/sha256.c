/*
 * sha256.c: SHA-256 by the server's own code.
 */
#include "postgres.h"

#include "sha256.h"
#include "utils/builtins.h"

static void
check(int result, pg_cryptohash_ctx *sha)
{
	if (result < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute SHA-256: %s", pg_cryptohash_error(sha)),
				 errhint("The server's cryptographic library does not offer SHA-256; check its settings.")));
}

pg_cryptohash_ctx *
pgllm_sha256_begin(void)
{
	pg_cryptohash_ctx *sha = pg_cryptohash_create(PG_SHA256);

	if (sha == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errhint("Try again when the server has more memory free.")));
	pgllm_sha256_restart(sha);
	return sha;
}

void
pgllm_sha256_restart(pg_cryptohash_ctx *sha)
{
	check(pg_cryptohash_init(sha), sha);
}

void
pgllm_sha256_add(pg_cryptohash_ctx *sha, const void *bytes, size_t n)
{
	check(pg_cryptohash_update(sha, bytes, n), sha);
}

void
pgllm_sha256_end(pg_cryptohash_ctx *sha, uint8 *digest)
{
	check(pg_cryptohash_final(sha, digest, PG_SHA256_DIGEST_LENGTH), sha);
}

void
pgllm_sha256_end_hex(pg_cryptohash_ctx *sha, char *hex)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];

	pgllm_sha256_end(sha, digest);
	hex_encode((const char *) digest, sizeof(digest), hex);
	hex[2 * PG_SHA256_DIGEST_LENGTH] = '\0';
}

void
pgllm_sha256(const void *bytes, size_t n, uint8 *digest)
{
	pg_cryptohash_ctx *sha = pgllm_sha256_begin();

	pgllm_sha256_add(sha, bytes, n);
	pgllm_sha256_end(sha, digest);
	pg_cryptohash_free(sha);
}

void
pgllm_sha256_hex(const void *bytes, size_t n, char *hex)
{
	pg_cryptohash_ctx *sha = pgllm_sha256_begin();

	pgllm_sha256_add(sha, bytes, n);
	pgllm_sha256_end_hex(sha, hex);
	pg_cryptohash_free(sha);
}
