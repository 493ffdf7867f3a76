/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's access to a page that is not there for it: done for it. What it
 * does not do: see the guest's data breakpoints on such a page.
 */
#ifndef SLUICE_EMULATE_H
#define SLUICE_EMULATE_H

#include "cpu.h"
#include "vt.h"

__attribute__((noinline)) void
emulate_slat_exit(struct cpu *cpu, const struct vt_exit *exit);

#endif
