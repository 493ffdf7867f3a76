/* SPDX-License-Identifier: BSD-2-Clause */
/* A CPU to work beside this one. */
#ifndef SLUICE_STARTUP_H
#define SLUICE_STARTUP_H

#include "payload.h"

/*
 * INIT and SIPI: another CPU calls work() with this one's page tables and no
 * interrupts, and halts when that returns. False, and the payload is skipped:
 * there is no other.
 */
bool startup_run(void (*work)(void));

/* What another CPU finds at an address, in protected mode without paging. */
u32 startup_look(u32 address);

#endif
