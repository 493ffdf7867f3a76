/* SPDX-License-Identifier: BSD-2-Clause */
/* I/O ports of the machine; always exactly one access of that width. */
#ifndef SLUICE_IO_H
#define SLUICE_IO_H

#include "types.h"

/* size 1, 2 or 4 */
u32 io_read(u16 port, unsigned size);
void io_write(u16 port, unsigned size, u32 value);

#endif
