/* SPDX-License-Identifier: BSD-2-Clause */
/* Core's side of include/last_words.h. */
#ifndef SLUICE_LAST_WORDS_INIT_H
#define SLUICE_LAST_WORDS_INIT_H

#include "last_words.h"

struct boot_info;

/* The last page of Sluice's memory is theirs. */
void last_words_init(const struct boot_info *info);
/* The end of the log; after a panic, when nobody else runs. */
void last_words_write(void);

#endif
