/* SPDX-License-Identifier: BSD-2-Clause */
/* gnu-efi's headers, without the name they would take from ours. */
#ifndef SLUICE_BOOT_GNU_EFI_H
#define SLUICE_BOOT_GNU_EFI_H

#include <efi.h>
#include <efilib.h>

#undef ASSERT

#endif
