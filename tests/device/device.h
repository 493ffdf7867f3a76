/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two PCI functions that the test build of Sluice answers for, in any
 * machine, and the registers of the second: what payloads (tests/guest) know
 * of them. The first is the unit tests' NVMe controller.
 */
#ifndef SLUICE_DEVICE_H
#define SLUICE_DEVICE_H

#include "bits.h"

/* 00:1e.0 and 00:1e.1, a place where none of the emulators has anything. */
#define DEVICE_NUMBER 0x1e
enum { DEVICE_NVME, DEVICE_REGION, DEVICE_FUNCTIONS };

#define DEVICE_VENDOR 0x1b36
#define DEVICE_REGION_ID 0x5000
#define DEVICE_REGION_CLASS 0xff0000u

/* An MSI capability of 32 bits (PCI 3.0, 6.8.1), the only one. */
#define DEVICE_MSI 0x40

/* BARs as the firmware would have set them, above what it uses itself. */
#define DEVICE_NVME_BASE 0xf8000000u
#define DEVICE_NVME_SIZE 0x100000u
#define DEVICE_REGION_BASE 0xf8100000u
#define DEVICE_REGION_SIZE 0x4000u

/* Of the region: two pages that show memory of the guest's through a trap,
 * registers that say what happened there, and a page that is nobody's and not
 * trapped. The registers are quadwords. */
#define REGION_MEMORY_SIZE 0x2000u
#define REGION_COUNT 0x2000u	/* of accesses; any write clears it */
#define REGION_OFFSET 0x2008u	/* of the last one */
#define REGION_KIND 0x2010u	/* its size in bytes, and */
#define REGION_KIND_WRITE BIT(8)
#define REGION_STALL 0x2018u	/* 1: the controller completes no I/O */
#define REGION_BACKING 0x2020u	/* where that memory is */
#define REGION_TRAPPED 0x3000u

/* The namespace: 512-byte blocks, and its partitions. */
#define DEVICE_SERIAL "FAKE1"
#define DEVICE_BLOCKS 4096u
#define DEVICE_OPEN_LBA 64u
#define DEVICE_READ_ONLY_LBA 2048u
#define DEVICE_HIDDEN_LBA 3072u
#define DEVICE_HIDDEN_END 4000u

#endif
