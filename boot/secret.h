/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys that lines of sluice.conf name, on their way into the hypervisor. */
#ifndef SLUICE_BOOT_SECRET_H
#define SLUICE_BOOT_SECRET_H

#include "boot_info.h"

/* For each line with a word key-file=PATH, or passphrase=PATH of a key that
 * is sealed: asks for that on the console, where it also says what is wrong.
 * With fail = closed, -Exxx is the end; otherwise a line may have to do
 * without its key, and whoever takes that has to close what it is for. */
int secret_fetch(struct boot_info *info);

/* What of them is left in the loader's memory. */
void secret_wipe(struct boot_info *info);

#endif
