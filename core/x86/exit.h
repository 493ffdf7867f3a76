/* SPDX-License-Identifier: BSD-2-Clause */
/* From exit to exit: what each reason leads to. */
#ifndef SLUICE_EXIT_H
#define SLUICE_EXIT_H

#include "cpu.h"

/* Runs the guest of this CPU for ever. */
_Noreturn __attribute__((noinline)) void exit_loop(struct cpu *cpu);

#endif
