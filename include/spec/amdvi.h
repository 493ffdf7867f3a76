/* SPDX-License-Identifier: BSD-2-Clause */
/* AMD's IOMMU. Section numbers: AMD I/O Virtualization Technology
 * Specification (48882) 3.08. */
#ifndef SLUICE_SPEC_AMDVI_H
#define SLUICE_SPEC_AMDVI_H

#include "bits.h"
#include "types.h"

/* 5.2.2.1: blocks of IVRS that describe a unit; newer kinds say more. */
#define IVRS_BLOCKS 48		/* the header, and where they begin */
#define IVRS_UNIT_10 0x10
#define IVRS_UNIT_11 0x11
#define IVRS_UNIT_40 0x40

struct ivrs_unit {
	u8 type, flags;
	u16 length;
	u16 id;			/* of its PCI function: bus, device, function */
	u16 capability;
	u64 base;		/* of its registers */
	u16 segment;
	u16 info;
	u32 features;
} __attribute__((packed));
_Static_assert(sizeof(struct ivrs_unit) == 24, "5.2.2.1");

#define IVRS_HT_TUNNEL BIT(0)
#define IVRS_PASS_PW BIT(1)
#define IVRS_RES_PASS_PW BIT(2)
#define IVRS_ISOCHRONOUS BIT(3)

/* 3.4: registers */
#define AMDVI_DEVICE_TABLE 0x00
#define AMDVI_COMMANDS 0x08
#define AMDVI_CONTROL 0x18
#define AMDVI_EXCLUSION_BASE 0x20
#define AMDVI_EXCLUSION_LIMIT 0x28
#define AMDVI_FEATURES 0x30
#define AMDVI_COMMAND_HEAD 0x2000
#define AMDVI_COMMAND_TAIL 0x2008
#define AMDVI_REGISTERS_SIZE 0x4000

/* 3.4.2; 3.4.1 has the size in pages, less one, beside the base */
#define AMDVI_COMMANDS_LENGTH BITS(59, 56)	/* a power of two */
#define AMDVI_COMMANDS_256 8
/* 3.4.4 */
#define AMDVI_ENABLE BIT(0)
#define AMDVI_HT_TUNNEL BIT(1)
#define AMDVI_PASS_PW BIT(8)
#define AMDVI_RES_PASS_PW BIT(9)
#define AMDVI_COHERENT BIT(10)
#define AMDVI_ISOCHRONOUS BIT(11)
#define AMDVI_COMMANDS_ENABLE BIT(12)
/* 3.4.5.1 */
#define AMDVI_HAS_INVALIDATE_ALL BIT(6)
#define AMDVI_LEVELS_MAX BITS(11, 10)	/* less four */
#define AMDVI_NO_LEVELS 3

/* 2.2.2: what a device may do; 65536 of them by its id */
struct amdvi_device {
	u64 words[4];
};
_Static_assert(sizeof(struct amdvi_device) == 32, "2.2.2");
#define AMDVI_IDS 0x10000

#define AMDVI_DEVICE_VALID BITS(1, 0)		/* word 0: V and TV */
#define AMDVI_DEVICE_LEVELS BITS(11, 9)
#define AMDVI_DEVICE_READ BIT(61)
#define AMDVI_DEVICE_WRITE BIT(62)
#define AMDVI_DEVICE_DOMAIN BITS(15, 0)		/* word 1 */
#define AMDVI_DEVICE_MANAGEMENT BITS(41, 40)
#define AMDVI_MANAGEMENT_FORWARD 1
#define AMDVI_DEVICE_EXTINT BIT(57)		/* word 2: pass */
#define AMDVI_DEVICE_NMI BIT(58)
#define AMDVI_DEVICE_LINTS BITS(63, 62)

/* 2.2.3: page tables */
#define AMDVI_PTE_PRESENT BIT(0)
#define AMDVI_PTE_NEXT BITS(11, 9)	/* level of the table; 0: a page */
#define AMDVI_PTE_ADDRESS BITS(51, 12)
#define AMDVI_PTE_READ BIT(61)
#define AMDVI_PTE_WRITE BIT(62)

/* 2.4: commands, the opcode in word 0 */
struct amdvi_command {
	u64 words[2];
};
_Static_assert(sizeof(struct amdvi_command) == 16, "2.4");
#define AMDVI_OPCODE BITS(63, 60)
#define AMDVI_COMPLETION_WAIT 1		/* 2.4.1 */
#define AMDVI_WAIT_STORE BIT(0)
#define AMDVI_INVALIDATE_ALL 8		/* 2.4.8 */

#endif
