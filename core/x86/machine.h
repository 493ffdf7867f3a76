/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole machine. */
#ifndef SLUICE_MACHINE_H
#define SLUICE_MACHINE_H

_Noreturn void machine_reset(void);

#endif
