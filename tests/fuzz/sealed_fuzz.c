/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as the file that passphrase= names; what is taken is opened. */
#include "../../boot/sealed.h"
#include "fuzz.h"

#define QUICK 2000		/* iterations */

static void open_it(const struct sealed *sealed)
{
	static const u8 zeroes[SEALED_KEY_MAX];
	u8 key[SEALED_KEY_MAX + 1];

	memset(key, 0xee, sizeof(key));
	if (!sealed_open(sealed, "a guess", key))
		CHECK(!memcmp(key, zeroes, SEALED_KEY_MAX));
	CHECK_EQ(key[SEALED_KEY_MAX], 0xee);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };
	struct sealed sealed;
	char *text = input_rest(&in);

	memset(&sealed, 0xff, sizeof(sealed));
	if (!sealed_parse(text, size, &sealed)) {
		CHECK(size <= SEALED_TEXT_MAX);
		CHECK(sealed.key_size == 32 || sealed.key_size == 64);
		CHECK(sealed.iterations >= 1000);
		if (sealed.iterations <= QUICK)
			open_it(&sealed);
	}
	free(text);
	return 0;
}
