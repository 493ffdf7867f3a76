/* SPDX-License-Identifier: BSD-2-Clause */
/* What fake_log.c has kept. */
#ifndef FAKE_LOG_H
#define FAKE_LOG_H

#include <stdbool.h>

/* Was `text` part of a line? */
bool fake_log_has(const char *text);

#endif
