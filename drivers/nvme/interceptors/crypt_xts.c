/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AES-XTS with the processor's AES instructions: no table, so no time that
 * depends on a key. The only file compiled for SSE registers; see
 * crypt_sse.c. AES: FIPS 197; XTS: IEEE 1619-2018, 5.
 */
#include <emmintrin.h>
#include <wmmintrin.h>

#include "crypt_xts.h"

#define LANES 8			/* blocks under way at a time */

/* The build finds SSE registers in xts_*() and sse_*() alone. */
#define LEAF static inline __attribute__((always_inline))

/* ---- Round keys (FIPS 197, 5.2) ---------------------------------------- */

/* Each word with all before it: w0, w0^w1, ... */
LEAF __m128i spread(__m128i words)
{
	words = _mm_xor_si128(words, _mm_slli_si128(words, 4));
	return _mm_xor_si128(words, _mm_slli_si128(words, 8));
}

/* SubWord() of the last word, rotated and with the round's constant. */
LEAF __m128i next_even(__m128i before, __m128i last, uint32_t constant)
{
	__m128i word = _mm_aeskeygenassist_si128(last, 0);

	word = _mm_xor_si128(_mm_shuffle_epi32(word, 0xff),
			     _mm_set1_epi32(constant));
	return _mm_xor_si128(spread(before), word);
}

/* AES-256 only: SubWord() alone. */
LEAF __m128i next_odd(__m128i before, __m128i last)
{
	__m128i word = _mm_aeskeygenassist_si128(last, 0);

	return _mm_xor_si128(spread(before), _mm_shuffle_epi32(word, 0xaa));
}

LEAF uint32_t expand(uint8_t keys[][16], const uint8_t *bytes, size_t size)
{
	__m128i *to = (__m128i *)keys;
	uint32_t words = size / 16, rounds = words == 1 ? 10 : 14;
	uint32_t constant = 1;

	for (uint32_t i = 0; i < words; i++)
		to[i] = _mm_loadu_si128((const __m128i *)bytes + i);
	for (uint32_t i = words; i <= rounds; i++) {
		if (words == 2 && i % 2) {
			to[i] = next_odd(to[i - 2], to[i - 1]);
			continue;
		}
		to[i] = next_even(to[i - words], to[i - 1], constant);
		constant = constant << 1 ^ (constant & 0x80 ? 0x11b : 0);
	}
	return rounds;
}

/* For the equivalent inverse cipher (FIPS 197, 5.3.5). */
LEAF void invert(struct xts_key *key)
{
	const __m128i *from = (const __m128i *)key->encrypt;
	__m128i *to = (__m128i *)key->decrypt;
	uint32_t last = key->rounds;

	to[0] = from[last];
	for (uint32_t i = 1; i < last; i++)
		to[i] = _mm_aesimc_si128(from[last - i]);
	to[last] = from[0];
}

void xts_expand(struct xts_key *key, const uint8_t *bytes, size_t size)
{
	key->rounds = expand(key->encrypt, bytes, size / 2);
	expand(key->tweak, bytes + size / 2, size / 2);
	invert(key);
}

/* ---- Sectors (IEEE 1619, 5.2 and 5.3) ------------------------------------- */

LEAF __m128i encrypt_block(const uint8_t keys[][16], uint32_t rounds,
			     __m128i block)
{
	const __m128i *round = (const __m128i *)keys;

	block = _mm_xor_si128(block, round[0]);
	for (uint32_t i = 1; i < rounds; i++)
		block = _mm_aesenc_si128(block, round[i]);
	return _mm_aesenclast_si128(block, round[rounds]);
}

/* The sector's number, least significant byte first ("plain64"). */
LEAF __m128i first_tweak(const struct xts_key *key, uint64_t number)
{
	return encrypt_block(key->tweak, key->rounds,
			     _mm_set_epi64x(0, number));
}

/* Times x in GF(2^128) modulo x^128 + x^7 + x^2 + x + 1. */
LEAF __m128i next_tweak(__m128i tweak)
{
	__m128i carry = _mm_shuffle_epi32(_mm_srai_epi32(tweak, 31), 0x13);

	carry = _mm_and_si128(carry, _mm_set_epi32(0, 1, 0, 0x87));
	return _mm_xor_si128(_mm_add_epi64(tweak, tweak), carry);
}

struct lanes {
	__m128i block[LANES], tweak[LANES];
};

/* Sectors have whole sets of lanes. The loops over them are taken apart, so
 * that blocks stay in registers. */
#define EACH_LANE                 \
	_Pragma("GCC unroll 8")   \
	for (uint32_t lane = 0; lane < LANES; lane++)

LEAF __m128i load(struct lanes *lanes, const __m128i *from, __m128i tweak)
{
	EACH_LANE {
		lanes->tweak[lane] = tweak;
		lanes->block[lane] = _mm_xor_si128(
			_mm_loadu_si128(from + lane), tweak);
		tweak = next_tweak(tweak);
	}
	return tweak;
}

LEAF void store(const struct lanes *lanes, __m128i *to)
{
	EACH_LANE
		_mm_storeu_si128(to + lane, _mm_xor_si128(lanes->block[lane],
							  lanes->tweak[lane]));
}

LEAF void xor_lanes(struct lanes *lanes, __m128i with)
{
	EACH_LANE
		lanes->block[lane] = _mm_xor_si128(lanes->block[lane], with);
}

LEAF void encrypt_lanes(const struct xts_key *key, struct lanes *lanes)
{
	const __m128i *round = (const __m128i *)key->encrypt;

	xor_lanes(lanes, round[0]);
	for (uint32_t i = 1; i < key->rounds; i++)
		EACH_LANE
			lanes->block[lane] = _mm_aesenc_si128(
				lanes->block[lane], round[i]);
	EACH_LANE
		lanes->block[lane] = _mm_aesenclast_si128(
			lanes->block[lane], round[key->rounds]);
}

LEAF void decrypt_lanes(const struct xts_key *key, struct lanes *lanes)
{
	const __m128i *round = (const __m128i *)key->decrypt;

	xor_lanes(lanes, round[0]);
	for (uint32_t i = 1; i < key->rounds; i++)
		EACH_LANE
			lanes->block[lane] = _mm_aesdec_si128(
				lanes->block[lane], round[i]);
	EACH_LANE
		lanes->block[lane] = _mm_aesdeclast_si128(
			lanes->block[lane], round[key->rounds]);
}

LEAF void crypt_sector(const struct xts_key *key, __m128i tweak,
		       __m128i *blocks, size_t count, bool encrypts)
{
	struct lanes lanes;

	for (size_t at = 0; at < count; at += LANES) {
		tweak = load(&lanes, blocks + at, tweak);
		if (encrypts)
			encrypt_lanes(key, &lanes);
		else
			decrypt_lanes(key, &lanes);
		store(&lanes, blocks + at);
	}
}

void xts_encrypt(const struct xts_key *key, uint64_t number, uint8_t *data,
		 size_t size)
{
	crypt_sector(key, first_tweak(key, number), (__m128i *)data, size / 16,
		     true);
}

void xts_decrypt(const struct xts_key *key, uint64_t number, uint8_t *data,
		 size_t size)
{
	crypt_sector(key, first_tweak(key, number), (__m128i *)data, size / 16,
		     false);
}
