/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI tables, as much of them as Sluice reads. Section numbers: ACPI 6.4;
 * MCFG: PCI Firmware Specification 3.2, 4.1.2.
 */
#ifndef SLUICE_SPEC_ACPI_H
#define SLUICE_SPEC_ACPI_H

#include "bits.h"
#include "types.h"

/* 5.2.5.3 */
#define ACPI_RSDP_SIGNATURE "RSD PTR "
#define ACPI_RSDP_SIZE_1 20	/* what revision 0 has, and its checksum */

struct acpi_rsdp {
	char signature[8];
	u8 checksum;
	char oem_id[6];
	u8 revision;		/* 0: ACPI 1.0; 2: the fields below exist */
	u32 rsdt;
	u32 length;
	u64 xsdt;
	u8 extended_checksum;
	u8 reserved[3];
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_rsdp) == 36, "5.2.5.3");

/* 5.2.6; the bytes of a table add up to zero. */
struct acpi_header {
	char signature[4];
	u32 length;		/* of the table, this header included */
	u8 revision;
	u8 checksum;
	char oem_id[6];
	char oem_table_id[8];
	u32 oem_revision;
	u32 creator_id;
	u32 creator_revision;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_header) == 36, "5.2.6");

/* 5.2.3.2: a register, wherever it is. */
#define ACPI_SPACE_MEMORY 0
#define ACPI_SPACE_PORT 1

struct acpi_register {
	u8 space, bit_width, bit_offset, access_size;
	u64 address;		/* 0: there is none */
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_register) == 12, "5.2.3.2");

/* 5.2.9; older revisions end earlier. Where both forms of a field are given,
 * x_ is the one to use. */
#define ACPI_FADT_SIGNATURE "FACP"

struct acpi_fadt {
	struct acpi_header header;
	u32 facs, dsdt;
	u8 other_44[20];
	u32 pm1a_control, pm1b_control;	/* ports; 0: there is none */
	u8 other_72[68];
	u64 x_dsdt;
	u8 other_148[24];
	struct acpi_register x_pm1a_control, x_pm1b_control;
	u8 other_196[48];
	struct acpi_register sleep_control;
} __attribute__((packed));
_Static_assert(offsetof(struct acpi_fadt, pm1a_control) == 64, "5.2.9");
_Static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140, "5.2.9");
_Static_assert(offsetof(struct acpi_fadt, x_pm1a_control) == 172, "5.2.9");
_Static_assert(offsetof(struct acpi_fadt, sleep_control) == 244, "5.2.9");

/* 4.8.3.2.1: in the upper byte of a PM1 control register; 4.8.3.7: the sleep
 * control register is this byte. Writing SLP_EN enters the state. */
#define ACPI_PM1_SLEEP_BYTE 1
#define ACPI_SLP_TYP BITS(4, 2)
#define ACPI_SLP_EN BIT(5)

/* 5.2.11: AML follows the header. */
#define ACPI_DSDT_SIGNATURE "DSDT"
#define ACPI_SSDT_SIGNATURE "SSDT"

/* 20.2.2, 20.2.3, 20.2.5: AML */
#define AML_NAME_SIZE 4
#define AML_ROOT '\\'
#define AML_PARENT '^'
#define AML_ZERO 0x00
#define AML_ONE 0x01
#define AML_NAME 0x08
#define AML_BYTE 0x0a
#define AML_WORD 0x0b
#define AML_DWORD 0x0c
#define AML_QWORD 0x0e
#define AML_PACKAGE 0x12
#define AML_METHOD 0x14
#define AML_ONES 0xff

/* 20.2.4: the first byte of a PkgLength. Up to three more have bits 4 and up
 * of the length; without them the first has six bits of it. */
#define AML_LENGTH_MORE BITS(7, 6)
#define AML_LENGTH_ALONE BITS(5, 0)
#define AML_LENGTH_LOW BITS(3, 0)
#define AML_LENGTH_LOW_WIDTH 4

/* 4.1.2: the header, 8 reserved bytes, then entries. */
#define ACPI_MCFG_SIGNATURE "MCFG"
#define ACPI_DMAR_SIGNATURE "DMAR"	/* Intel VT-d 8.1 */
#define ACPI_IVRS_SIGNATURE "IVRS"	/* AMD I/O Virtualization 5.2 */
#define ACPI_MCFG_ENTRIES 44

struct acpi_mcfg_entry {
	u64 base;		/* of bus 0, decoded or not */
	u16 segment;
	u8 first_bus, last_bus;
	u32 reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_mcfg_entry) == 16, "4.1.2");

#endif
