/* SPDX-License-Identifier: BSD-2-Clause */
/* Core's side of include/clock.h. */
#ifndef SLUICE_CLOCK_INIT_H
#define SLUICE_CLOCK_INIT_H

#include "types.h"

void clock_init(u64 tsc_hz);

#endif
