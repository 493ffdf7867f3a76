/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A volume's key sealed with a passphrase, as tools/sealkey.py writes it. Five
 * lines of text, bytes in hexadecimal:
 *
 *	sluice-key 1
 *	pbkdf2-sha512 ITERATIONS	1000 to 100000000
 *	salt BYTES			32
 *	key BYTES			32 or 64: the volume's key XOR what
 *					PBKDF2 (RFC 8018, 5.2) makes of the
 *					passphrase, in UTF-8, and the salt
 *	check BYTES			32: how SHA-512 of the volume's key
 *					begins
 */
#ifndef SLUICE_BOOT_SEALED_H
#define SLUICE_BOOT_SEALED_H

#include "types.h"

#define SEALED_TEXT_MAX 1024
#define SEALED_KEY_MAX 64
#define SEALED_SALT_SIZE 32
#define SEALED_CHECK_SIZE 32

struct sealed {
	u32 iterations;
	u32 key_size;
	u8 salt[SEALED_SALT_SIZE];
	u8 key[SEALED_KEY_MAX];
	u8 check[SEALED_CHECK_SIZE];
};

/* 0, or -EINVAL: it is not of this form. */
int sealed_parse(const char *text, size_t size, struct sealed *out);

/* False: not with this passphrase; then `key` holds nothing. It takes as long
 * as the iterations want. */
bool sealed_open(const struct sealed *sealed, const char *passphrase,
		 u8 key[SEALED_KEY_MAX]);

#endif
