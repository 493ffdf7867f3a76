/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine as the firmware knows it: memory, processors, NVMe drivers. */
#ifndef SLUICE_BOOT_FIRMWARE_H
#define SLUICE_BOOT_FIRMWARE_H

#include "gnu_efi.h"

#include "boot_info.h"

/*
 * Memory the OS will never be given, 2 MiB-aligned, below the firmware's
 * reach for ever after. 0 or -ENOMEM, with a message.
 */
int firmware_reserve(u64 size, u64 *base);
void firmware_unreserve(u64 base, u64 size);

/* What a Sluice before this one said last, into `info`. */
void firmware_find_last_words(struct boot_info *info);

/* Fills in rsdp, tsc_hz, cpu_count and the RAM ranges. 0 or -Exxx, with a
 * message. */
int firmware_describe(struct boot_info *info);

/*
 * Runs `procedure` on every enabled processor but this one and waits for all
 * of them; one after the other, or all at once. 0 or -EIO, with a message.
 */
int firmware_on_other_cpus(void (EFIAPI *procedure)(void *), void *argument,
			   bool one_by_one);

/* Takes NVMe controllers away from the firmware's drivers, and returns them.
 * Volumes on them vanish for the time between, and come back as new handles. */
void firmware_release_nvme(void);
void firmware_return_nvme(void);

/* Gives the message ten seconds or until a key. */
_Noreturn void firmware_shut_down(void);

#endif
