/* SPDX-License-Identifier: BSD-2-Clause */
/* AES-XTS (IEEE 1619-2018) of whole sectors, by the processor's AES. */
#ifndef CRYPT_XTS_H
#define CRYPT_XTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XTS_ROUNDS_MAX 14
#define XTS_REGISTERS 16	/* xmm0 to xmm15 */

/* Round keys: of the data either way, and of the tweak. */
struct xts_key {
	uint32_t rounds;
	uint8_t encrypt[XTS_ROUNDS_MAX + 1][16] __attribute__((aligned(16)));
	uint8_t decrypt[XTS_ROUNDS_MAX + 1][16] __attribute__((aligned(16)));
	uint8_t tweak[XTS_ROUNDS_MAX + 1][16] __attribute__((aligned(16)));
};

/* ---- crypt_xts.c: whoever calls has the registers kept by crypt_sse.c --- */

/* 32 bytes: AES-128, 64: AES-256; the data's key, then the tweak's. */
void xts_expand(struct xts_key *key, const uint8_t *bytes, size_t size);

/* In place; a sector is a multiple of 128 bytes. */
void xts_encrypt(const struct xts_key *key, uint64_t number, uint8_t *data,
		 size_t size);
void xts_decrypt(const struct xts_key *key, uint64_t number, uint8_t *data,
		 size_t size);

/* ---- crypt_sse.c -------------------------------------------------------- */

/* Has this processor AES instructions? */
bool sse_has_aes(void);

/*
 * The SSE registers belong to the guest: what it had in them is kept here
 * while they are used. Legacy encodings only, so that the upper halves of
 * AVX stay as they are.
 */
struct sse_state {
	uint8_t registers[XTS_REGISTERS][16];
};
void sse_begin(struct sse_state *guest);
void sse_end(const struct sse_state *guest);

#endif
