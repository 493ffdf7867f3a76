/* SPDX-License-Identifier: BSD-2-Clause */
/* A line from whoever sits at the console. */
#ifndef SLUICE_BOOT_PROMPT_H
#define SLUICE_BOOT_PROMPT_H

#include "types.h"

#define PROMPT_MAX 128		/* characters */
#define PROMPT_SIZE (3 * PROMPT_MAX + 1)

/* Waits for as long as it takes; nothing of it is shown. In UTF-8. */
void prompt_secret(char to[PROMPT_SIZE]);

#endif
