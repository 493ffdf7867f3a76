/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where `log=` sends the log. The port stays the guest's: it is written to
 * between the guest's own characters and never set up again.
 */
#ifndef SLUICE_CONSOLE_H
#define SLUICE_CONSOLE_H

#include "boot_info.h"

void console_init(enum log_sink sink);

/* Writes what the port takes within a deadline; drops the rest. */
void console_write(const char *text, size_t size);

#endif
