/* SPDX-License-Identifier: BSD-2-Clause */
/* Secrets are wiped where they were. */
#ifndef SLUICE_BOOT_WIPE_H
#define SLUICE_BOOT_WIPE_H

#include <string.h>

/* Not left out because nobody reads it again. */
static inline void wipe(void *memory, size_t size)
{
	memset(memory, 0, size);
	__asm__ volatile("" : : "r"(memory) : "memory");
}

#endif
