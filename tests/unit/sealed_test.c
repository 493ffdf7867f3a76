/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys that tools/sealkey.py has sealed, and files that it has not. */
#include <stdlib.h>
#include <string.h>

#include "../../boot/sealed.h"
#include "bits.h"
#include "test.h"

/* The key is 7i + 1, the passphrase "grüße 7" in UTF-8. */
#define PASSPHRASE "gr\xc3\xbc\xc3\x9f" "e 7"

static const char long_key[] =
	"sluice-key 1\n"
	"pbkdf2-sha512 1000\n"
	"salt 05080b0e1114171a1d202326292c2f3235383b3e4144474a4d5053565"
	"95c5f62\n"
	"key 330d0bde053ec7c67b47f979861a08613e76d4db6af593776fadde8668"
	"e4d496a96f28bca0a773f4f653def669d9208c72efff2c7db48386342d1960"
	"e8e420f1\n"
	"check 1df51ad9960b51cd1d186dc402e9070ead3d517047225dee450a3d0a"
	"6a85c2e3\n";

static const char short_key[] =
	"sluice-key 1\n"
	"pbkdf2-sha512 1000\n"
	"salt 05080b0e1114171a1d202326292c2f3235383b3e4144474a4d5053565"
	"95c5f62\n"
	"key 330d0bde053ec7c67b47f979861a08613e76d4db6af593776fadde8668"
	"e4d496\n"
	"check 76bf4ad35f7569b718b6bb9fbd57d9df4e28a10b53504d455917a089"
	"3257c365\n";

static int parse(const char *text, struct sealed *sealed)
{
	/* Of its own size, so that whoever reads on is found. */
	size_t size = strlen(text);
	char *copy = malloc(size);
	int error;

	memcpy(copy, text, size);
	error = sealed_parse(copy, size, sealed);
	free(copy);
	return error;
}

static void check_opens(const char *text, u32 key_size)
{
	u8 key[SEALED_KEY_MAX];
	struct sealed sealed;

	CHECK_EQ(parse(text, &sealed), 0);
	CHECK_EQ(sealed.key_size, key_size);
	CHECK(sealed_open(&sealed, PASSPHRASE, key));
	for (u32 i = 0; i < key_size; i++)
		CHECK_EQ(key[i], (u8)(7 * i + 1));
}

TEST(a_key_is_opened_by_its_passphrase)
{
	check_opens(long_key, 64);
	check_opens(short_key, 32);
}

TEST(another_passphrase_gives_nothing)
{
	static const u8 zeroes[SEALED_KEY_MAX];
	u8 key[SEALED_KEY_MAX];
	struct sealed sealed;

	CHECK_EQ(parse(long_key, &sealed), 0);
	CHECK(!sealed_open(&sealed, "", key));
	CHECK(!sealed_open(&sealed, PASSPHRASE "x", key));
	CHECK(!memcmp(key, zeroes, sizeof(key)));
	sealed.check[31] ^= 1;
	CHECK(!sealed_open(&sealed, PASSPHRASE, key));
}

TEST(a_file_that_ends_anywhere_is_refused)
{
	char text[sizeof(long_key)];
	struct sealed sealed;

	for (size_t i = 0; i < sizeof(long_key) - 1; i++) {
		memcpy(text, long_key, i);
		text[i] = '\0';
		CHECK(parse(text, &sealed));
	}
}

/* A digit for a digit is another key; all else is no key. */
TEST(a_file_with_one_wrong_character_is_refused)
{
	char text[sizeof(long_key)];
	struct sealed sealed;

	for (size_t i = 0; i < sizeof(long_key) - 1; i++) {
		strcpy(text, long_key);
		text[i] = text[i] == '!' ? '?' : '!';
		CHECK(parse(text, &sealed));
	}
}

TEST(iterations_have_bounds)
{
	static const char *const bad[] = {
		"999", "100000001", "99999999999999999999999", "", "0x1000",
	};
	struct sealed sealed;
	char text[1024];

	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		snprintf(text, sizeof(text), "sluice-key 1\npbkdf2-sha512 %s%s",
			 bad[i], strstr(long_key, "\nsalt"));
		CHECK(parse(text, &sealed));
	}
}

TEST(lines_may_end_as_on_windows)
{
	char text[1024], *to = text;
	struct sealed sealed;

	for (const char *c = long_key; *c; c++) {
		if (*c == '\n')
			*to++ = '\r';
		*to++ = *c;
	}
	*to = '\0';
	CHECK_EQ(parse(text, &sealed), 0);
}
