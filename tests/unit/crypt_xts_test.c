/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AES-XTS against IEEE 1619-2018, annex B (vectors 4 and 10), and OpenSSL
 * (the others), and the registers that are kept meanwhile.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../drivers/nvme/interceptors/crypt_xts.h"
#include "bits.h"
#include "test.h"
#include "types.h"

struct vector {
	const char *key;	/* hexadecimal; NULL: 7i + 1 */
	size_t key_size;
	u64 number;
	size_t size;
	u8 (*plain)(size_t i);
	const char *first, *last;	/* of the ciphertext */
};

static u8 counting(size_t i)
{
	return i;
}

static u8 parabola(size_t i)
{
	return i * i + 3 * i;
}

static const struct vector vectors[] = {
	{ "27182818284590452353602874713526"
	  "31415926535897932384626433832795", 32, 0, 512, counting,
	  "27a7479befa1d476489f308cd4cfa6e2",
	  "0a282df920147beabe421ee5319d0568" },
	{ "27182818284590452353602874713526"
	  "62497757247093699959574966967627"
	  "31415926535897932384626433832795"
	  "02884197169399375105820974944592", 64, 0xff, 512, counting,
	  "1c3b3a102f770386e4836c99e370cf9b",
	  "c4f36ffda9fcea70b9c6e693e148c151" },
	{ NULL, 64, 0xfedcba9876543210, 4096, parabola,
	  "f8f742050f12ea2ee2f1de7fc452ebe4",
	  "ab77a46bfe026a8de7c386ef34e74043" },
	{ NULL, 32, 2048, 512, parabola,
	  "1b404c49d3fdefa21416942c9806d288",
	  "f7e6d11732791bbe04daffd671044c8e" },
};

static void make_key(const struct vector *vector, struct xts_key *key)
{
	u8 bytes[64];

	for (size_t i = 0; i < vector->key_size; i++)
		if (vector->key)
			sscanf(vector->key + 2 * i, "%2hhx", &bytes[i]);
		else
			bytes[i] = 7 * i + 1;
	xts_expand(key, bytes, vector->key_size);
}

static void check_block(const u8 *block, const char *expected)
{
	char text[33];

	for (int i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", block[i]);
	CHECK_STR(text, expected);
}

/* `data` is one byte off its alignment, and longer than the sector. */
static void check_vector(const struct vector *vector)
{
	u8 *data = (u8 *)malloc(vector->size + 2) + 1;
	struct xts_key key;

	make_key(vector, &key);
	data[vector->size] = 0x77;
	for (size_t i = 0; i < vector->size; i++)
		data[i] = vector->plain(i);
	xts_encrypt(&key, vector->number, data, vector->size);
	check_block(data, vector->first);
	check_block(data + vector->size - 16, vector->last);
	CHECK_EQ(data[vector->size], 0x77);
	xts_decrypt(&key, vector->number, data, vector->size);
	for (size_t i = 0; i < vector->size; i++)
		CHECK_EQ(data[i], vector->plain(i));
	CHECK_EQ(data[vector->size], 0x77);
	free(data - 1);
}

TEST(vectors_come_out_and_go_back)
{
	CHECK(sse_has_aes());
	for (size_t i = 0; i < ARRAY_COUNT(vectors); i++)
		check_vector(&vectors[i]);
}

TEST(sectors_of_any_size_go_back)
{
	u8 data[1536], before[1536];
	struct xts_key key;

	make_key(&vectors[2], &key);
	for (size_t size = 128; size <= sizeof(data); size += 128) {
		for (size_t i = 0; i < sizeof(data); i++)
			data[i] = before[i] = rand();
		xts_encrypt(&key, size, data, size);
		CHECK(memcmp(data, before, size));
		CHECK(!memcmp(data + size, before + size,
			      sizeof(data) - size));
		xts_decrypt(&key, size, data, size);
		CHECK(!memcmp(data, before, sizeof(data)));
	}
}

TEST(registers_are_the_guest_s_again)
{
	struct sse_state guest, wanted, found, ours;
	struct xts_key key;
	u8 data[512] = { 0 };

	for (size_t i = 0; i < sizeof(wanted); i++)
		((u8 *)&wanted)[i] = rand();
	sse_begin(&ours);
	sse_end(&wanted);
	sse_begin(&guest);
	make_key(&vectors[2], &key);
	xts_encrypt(&key, 1, data, sizeof(data));
	sse_end(&guest);
	sse_begin(&found);
	sse_end(&ours);
	CHECK(!memcmp(&found, &wanted, sizeof(wanted)));
}
