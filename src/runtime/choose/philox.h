/*
 * philox.h: Philox4x32-10, a counter-based generator: four random words as a function of a counter and a key, without state.
 * Source: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"; known answers in Random123.
 */
#ifndef LLM_PHILOX_H
#define LLM_PHILOX_H

#include <stdint.h>
#include <string.h>

static inline void
llm_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
	uint32_t	k0 = key[0];
	uint32_t	k1 = key[1];

	memcpy(out, counter, 4 * sizeof(*out));
	for (int round = 0; round < 10; round++)
	{
		uint64_t	p0 = (uint64_t) 0xD2511F53u * out[0];
		uint64_t	p1 = (uint64_t) 0xCD9E8D57u * out[2];

		out[0] = (uint32_t) (p1 >> 32) ^ out[1] ^ k0;
		out[1] = (uint32_t) p1;
		out[2] = (uint32_t) (p0 >> 32) ^ out[3] ^ k1;
		out[3] = (uint32_t) p0;
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
}

#endif
