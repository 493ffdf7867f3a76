/* SPDX-License-Identifier: BSD-2-Clause */
/* What the status begins with. */
#ifndef SLUICE_STATUS_INIT_H
#define SLUICE_STATUS_INIT_H

struct boot_info;

void status_init(const struct boot_info *info);

#endif
