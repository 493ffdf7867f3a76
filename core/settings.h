/* SPDX-License-Identifier: BSD-2-Clause */
/* Gives the lines of sluice.conf to those who declared their keys. */
#ifndef SLUICE_SETTINGS_H
#define SLUICE_SETTINGS_H

#include "boot_info.h"

/* 0, or -EINVAL with info->error and error_line filled in. */
int settings_apply(struct boot_info *info);

#endif
