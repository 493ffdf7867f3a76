/* SPDX-License-Identifier: BSD-2-Clause */
/* Core's side of include/gmem.h. */
#ifndef SLUICE_GMEM_INIT_H
#define SLUICE_GMEM_INIT_H

#include "boot_info.h"

void gmem_init(const struct boot_info *info);

#endif
