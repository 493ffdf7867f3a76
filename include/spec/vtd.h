/* SPDX-License-Identifier: BSD-2-Clause */
/* Intel's IOMMU. Section numbers: Virtualization Technology for Directed I/O
 * 4.1; legacy mode and invalidation by registers only. */
#ifndef SLUICE_SPEC_VTD_H
#define SLUICE_SPEC_VTD_H

#include "bits.h"
#include "types.h"

/* 8.1, 8.3: blocks of DMAR */
#define DMAR_BLOCKS 48		/* the header, and where they begin */
#define DMAR_UNIT 0

struct dmar_unit {
	u16 type;
	u16 length;
	u8 flags;
	u8 size;
	u16 segment;
	u64 base;		/* of its registers */
} __attribute__((packed));
_Static_assert(sizeof(struct dmar_unit) == 16, "8.3");

/* 11.4: registers */
#define VTD_VERSION 0x00
#define VTD_CAPABILITY 0x08
#define VTD_EXTENDED 0x10
#define VTD_COMMAND 0x18
#define VTD_STATUS 0x1c
#define VTD_ROOT 0x20
#define VTD_CONTEXT_COMMAND 0x28
#define VTD_PROTECTED 0x64

/* 11.4.1; from 6 on there is no invalidation by registers (6.5) */
#define VTD_VERSION_MAJOR BITS(7, 4)
#define VTD_VERSION_LAST 5
/* 11.4.2 */
#define VTD_CAP_WRITE_BUFFER BIT(4)
#define VTD_CAP_LEVELS BITS(12, 8)	/* bit n: n + 2 of them */
#define VTD_CAP_WIDTH BITS(21, 16)	/* of an address, less one */
#define VTD_CAP_FAULTS BITS(33, 24)	/* where: in units of 16 bytes */
#define VTD_CAP_LARGE BITS(35, 34)	/* pages of 2 MiB, and of 1 GiB */
#define VTD_CAP_FAULT_COUNT BITS(47, 40)	/* less one */
#define VTD_CAP_DRAINS BITS(55, 54)
/* 11.4.3 */
#define VTD_EXT_COHERENT BIT(0)
#define VTD_EXT_IOTLB BITS(17, 8)	/* where: in units of 16 bytes */
/* 11.4.4: commands, and the same bits of the status */
#define VTD_TRANSLATE BIT(31)
#define VTD_SET_ROOT BIT(30)
#define VTD_FLUSH_WRITES BIT(27)
#define VTD_QUEUE BIT(26)
#define VTD_REMAP BIT(25)
#define VTD_KEPT 0x96ffffffull		/* what a command has to repeat */
/* 11.4.6.1 */
#define VTD_CONTEXT_GO BIT(63)
#define VTD_CONTEXT_GLOBAL BIT(61)
/* 11.4.6.2: 8 bytes into the IOTLB's registers */
#define VTD_IOTLB_COMMAND 8
#define VTD_IOTLB_GO BIT(63)
#define VTD_IOTLB_GLOBAL BIT(60)
#define VTD_IOTLB_DRAINS BITS(49, 48)
/* 11.4.8.1 */
#define VTD_PROTECTED_ENABLE BIT(31)
#define VTD_PROTECTED_STATUS BIT(0)

/* 9.1, 9.3: entries of root tables, by bus, and of context tables */
struct vtd_entry {
	u64 low, high;
};
_Static_assert(sizeof(struct vtd_entry) == 16, "9.1");
#define VTD_ENTRIES 256
#define VTD_PRESENT BIT(0)
#define VTD_ADDRESS BITS(63, 12)
#define VTD_CONTEXT_LEVELS BITS(2, 0)		/* high; less two */
#define VTD_CONTEXT_DOMAIN BITS(23, 8)

/* 9.8: second-stage page tables */
#define VTD_PTE_READ BIT(0)
#define VTD_PTE_WRITE BIT(1)
#define VTD_PTE_LARGE BIT(7)

#endif
