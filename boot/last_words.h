/* SPDX-License-Identifier: BSD-2-Clause */
/* Looking for what a Sluice before this one has left in memory. */
#ifndef SLUICE_BOOT_LAST_WORDS_H
#define SLUICE_BOOT_LAST_WORDS_H

#include "boot_info.h"

/* In RAM that can be read; into `info`, once: found words are taken away. */
void last_words_look(struct boot_info *info, u64 base, u64 size);

#endif
