/* SPDX-License-Identifier: BSD-2-Clause */
/* sluice.conf as text; pure, so that the host can test it. */
#ifndef SLUICE_BOOT_CONFIG_H
#define SLUICE_BOOT_CONFIG_H

#include "boot_info.h"

#define CONFIG_FILE_MAX 65536

struct config_error {
	u32 line;	/* of the first mistake, from 1 */
	char text[256];	/* "log: expected com1, com2, debug or none, not ..." */
};

/*
 * Lines "key = value"; blank lines and lines that begin with # say nothing.
 * CRLF and a UTF-8 byte order mark are taken as they come. What is not said
 * has its default, so an empty text gives all of them.
 *
 * 0, or -EINVAL with the first mistake in `error`. Then `out` has what the
 * other lines say, and is closed if a line begins with "fail" and does not
 * say "open", or if the file is not text.
 */
int config_parse(const char *text, size_t size, struct config *out,
		 struct config_error *error);

#endif
