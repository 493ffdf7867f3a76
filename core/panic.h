/* SPDX-License-Identifier: BSD-2-Clause */
/* After a mistake of ours: nobody runs the guest any more. */
#ifndef SLUICE_PANIC_H
#define SLUICE_PANIC_H

#include "types.h"

/* Asked before the guest is entered. */
bool panic_is_on(void);

#endif
