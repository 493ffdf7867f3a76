/* SPDX-License-Identifier: BSD-2-Clause */
/* The CPU's side of include/mmio.h. */
#ifndef SLUICE_MMIO_DISPATCH_H
#define SLUICE_MMIO_DISPATCH_H

#include "mmio.h"

/*
 * Gives an access inside one page to the region it falls into. False when
 * the address is not trapped (any more) for this kind of access.
 */
bool mmio_dispatch(gpa_t address, struct mmio_access *access);

#endif
