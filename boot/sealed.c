/* SPDX-License-Identifier: BSD-2-Clause */
/* A volume's key sealed with a passphrase. The file may be anything. */
#include <errno.h>
#include <string.h>

#include <nettle/pbkdf2.h>
#include <nettle/sha2.h>

#include "sealed.h"
#include "wipe.h"

#define ITERATIONS_MIN 1000
#define ITERATIONS_MAX 100000000

struct reader {
	const char *at, *end;
};

/* ---- Text -------------------------------------------------------------- */

static bool take_word(struct reader *reader, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(reader->end - reader->at) < length ||
	    memcmp(reader->at, word, length))
		return false;
	reader->at += length;
	return true;
}

/* Also as Windows ends it. */
static bool take_end(struct reader *reader)
{
	take_word(reader, "\r");
	return take_word(reader, "\n");
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_number(struct reader *reader, u32 *number)
{
	u64 value = 0;

	while (reader->at < reader->end && *reader->at >= '0' &&
	       *reader->at <= '9' && value <= ITERATIONS_MAX)
		value = value * 10 + digit(*reader->at++);
	*number = value;
	return value >= ITERATIONS_MIN && value <= ITERATIONS_MAX;
}

/* How many there were. */
static u32 take_bytes(struct reader *reader, u8 *bytes, u32 max)
{
	u32 count = 0;

	for (; count < max && reader->end - reader->at >= 2; count++) {
		int high = digit(reader->at[0]), low = digit(reader->at[1]);

		if (high < 0 || low < 0)
			break;
		bytes[count] = high << 4 | low;
		reader->at += 2;
	}
	return count;
}

static bool parse(struct reader *reader, struct sealed *out)
{
	if (!take_word(reader, "sluice-key 1") || !take_end(reader) ||
	    !take_word(reader, "pbkdf2-sha512 ") ||
	    !take_number(reader, &out->iterations) || !take_end(reader) ||
	    !take_word(reader, "salt ") ||
	    take_bytes(reader, out->salt, SEALED_SALT_SIZE) !=
	    SEALED_SALT_SIZE || !take_end(reader) ||
	    !take_word(reader, "key "))
		return false;
	out->key_size = take_bytes(reader, out->key, SEALED_KEY_MAX);
	return (out->key_size == 32 || out->key_size == 64) &&
		take_end(reader) && take_word(reader, "check ") &&
		take_bytes(reader, out->check, SEALED_CHECK_SIZE) ==
		SEALED_CHECK_SIZE && take_end(reader) &&
		reader->at == reader->end;
}

int sealed_parse(const char *text, size_t size, struct sealed *out)
{
	struct reader reader = { text, text + size };

	return parse(&reader, out) ? 0 : -EINVAL;
}

/* ---- Key ------------------------------------------------------------------ */

static bool is_right(const struct sealed *sealed, const u8 *key)
{
	u8 digest[SHA512_DIGEST_SIZE];
	struct sha512_ctx hash;
	u8 difference = 0;

	sha512_init(&hash);
	sha512_update(&hash, sealed->key_size, key);
	sha512_digest(&hash, sizeof(digest), digest);
	for (u32 i = 0; i < SEALED_CHECK_SIZE; i++)
		difference |= digest[i] ^ sealed->check[i];
	wipe(&hash, sizeof(hash));
	return !difference;
}

bool sealed_open(const struct sealed *sealed, const char *passphrase,
		 u8 key[SEALED_KEY_MAX])
{
	pbkdf2_hmac_sha512(strlen(passphrase), (const u8 *)passphrase,
			   sealed->iterations, sizeof(sealed->salt),
			   sealed->salt, sealed->key_size, key);
	for (u32 i = 0; i < sealed->key_size; i++)
		key[i] ^= sealed->key[i];
	if (is_right(sealed, key))
		return true;
	wipe(key, SEALED_KEY_MAX);
	return false;
}
