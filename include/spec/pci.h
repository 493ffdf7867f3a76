/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI configuration space. Section numbers: PCI Local Bus 3.0; those after
 * "PCIe": PCI Express Base 4.0.
 */
#ifndef SLUICE_SPEC_PCI_H
#define SLUICE_SPEC_PCI_H

#include "bits.h"

/* 3.2.2.3.2: the address register and the window it opens */
#define PCI_PORT_ADDRESS 0xcf8
#define PCI_PORT_DATA 0xcfc
#define PCI_PORT_DATA_LAST 0xcff
#define PCI_ADDRESS_ENABLE BIT(31)
#define PCI_ADDRESS_BUS BITS(23, 16)
#define PCI_ADDRESS_DEVICE BITS(15, 11)
#define PCI_ADDRESS_FUNCTION BITS(10, 8)
#define PCI_ADDRESS_REGISTER BITS(7, 2)

/* PCIe 7.2.2: offsets into a segment's memory-mapped space */
#define PCI_ECAM_BUS_SHIFT 20
#define PCI_ECAM_DEVICE_SHIFT 15
#define PCI_ECAM_FUNCTION_SHIFT 12

#define PCI_DEVICE_MAX 32	/* of a bus */
#define PCI_FUNCTION_MAX 8	/* of a device */
#define PCI_CONFIG_SIZE 0x100
#define PCI_EXTENDED_CONFIG_SIZE 0x1000

/* 6.1 */
#define PCI_VENDOR_ID 0x00
#define PCI_VENDOR_NONE 0xffff
#define PCI_DEVICE_ID 0x02
#define PCI_COMMAND 0x04
#define PCI_STATUS 0x06
#define PCI_CLASS_REVISION 0x08
#define PCI_HEADER_TYPE 0x0e
#define PCI_BAR(n) (0x10 + 4 * (n))
#define PCI_BAR_COUNT 6
#define PCI_CAPABILITY_POINTER 0x34

/* PCI-to-PCI Bridge 1.2, 3.2.5.2-4: primary, secondary, subordinate */
#define PCI_BUS_NUMBERS 0x18
#define PCI_BUS_SECONDARY BITS(15, 8)
#define PCI_BUS_SUBORDINATE BITS(23, 16)

/* Intel's host bridge, 00:00.0, of desktops and notebooks (3 Series chipset
 * datasheet, 5.1.14): where ECAM is; 64 bits */
#define PCI_VENDOR_INTEL 0x8086
#define PCI_INTEL_PCIEXBAR 0x60
#define PCI_INTEL_PCIEXBAR_BASE BITS(38, 26)

#define PCI_COMMAND_IO BIT(0)			/* 6.2.2 */
#define PCI_COMMAND_MEMORY BIT(1)
#define PCI_COMMAND_BUS_MASTER BIT(2)
#define PCI_COMMAND_INTX_DISABLE BIT(10)
#define PCI_STATUS_CAPABILITIES BIT(4)		/* 6.2.3 */
#define PCI_CLASS BITS(31, 8)			/* of CLASS_REVISION */
#define PCI_HEADER_LAYOUT BITS(6, 0)		/* 6.2.1 */
#define PCI_HEADER_MULTIFUNCTION BIT(7)

/* 6.2.5.1 */
#define PCI_BAR_IO BIT(0)
#define PCI_BAR_TYPE BITS(2, 1)
#define PCI_BAR_TYPE_64 2
#define PCI_BAR_MEMORY_FLAGS BITS(3, 0)

/* 6.7: a list of two bytes each, id and offset of the next */
#define PCI_CAPABILITY_FIRST 0x40
#define PCI_CAPABILITY_ID BITS(7, 0)
#define PCI_CAPABILITY_NEXT BITS(15, 10)	/* in dwords */
#define PCI_CAPABILITY_POWER 0x01		/* appendix H */
#define PCI_CAPABILITY_MSI 0x05
#define PCI_CAPABILITY_EXPRESS 0x10
#define PCI_CAPABILITY_MSIX 0x11
#define PCI_MSIX_CONTROL 2			/* from the capability */
#define PCI_MSIX_ENABLE BIT(15)

#define PCI_POWER_CONTROL 4			/* PCIe 7.5.2.2 */
#define PCI_POWER_STATE BITS(1, 0)
#define PCI_EXPRESS_DEVICE_CONTROL 8		/* PCIe 7.5.3.4 */
#define PCI_EXPRESS_INITIATE_FLR BIT(15)

/* PCIe 7.6.3: id 15:0, next 31:20 */
#define PCI_EXTENDED_CAPABILITY_FIRST 0x100
#define PCI_EXTENDED_CAPABILITY_ID BITS(15, 0)
#define PCI_EXTENDED_CAPABILITY_NEXT BITS(31, 22)	/* in dwords */
#define PCI_EXTENDED_CAPABILITY_LINK BITS(31, 20)	/* in bytes */

#define PCI_EXTENDED_SRIOV 0x10			/* PCIe 9.3.3 */
#define PCI_SRIOV_SIZE 0x40

#endif
