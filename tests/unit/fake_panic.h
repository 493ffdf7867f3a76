/* SPDX-License-Identifier: BSD-2-Clause */
/* A panic that ends the process, for tests of what we assert. */
#ifndef FAKE_PANIC_H
#define FAKE_PANIC_H

#include <stdbool.h>

#include "test.h"

/* Runs `attempt` in a process of its own: did it panic? */
bool fake_panics(void (*attempt)(void));

#define CHECK_PANICS(attempt)                             \
	do {                                              \
		if (!fake_panics(attempt))                \
			FAIL("%s did not panic", #attempt); \
	} while (0)

#endif
