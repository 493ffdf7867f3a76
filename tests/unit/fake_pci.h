/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A make-believe machine of a few PCI functions, with bridges that route, and
 * a driver that writes down what it is told: core/pci*.c stand between them
 * and the guest.
 */
#ifndef FAKE_PCI_H
#define FAKE_PCI_H

#include "mmio.h"
#include "pci.h"
#include "types.h"

#define ECAM 0xe0000000ull
#define NVME 0x010802
#define DISK_PAGE (2 << 20 | 3 << 15 | 1 << 12)		/* 02:03.1 */
#define DISK_ID 0x0219
#define DISK_LATCH 0x80021900
#define SLOT_PAGE (4 << 20)				/* 04:00.0 */
#define SLOT_ID 0x0400
#define SLOT_LATCH 0x80040000
#define ON (PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER)

struct fake_function {
	struct fake_function *parent;	/* NULL: on bus 0 */
	u8 device, function;
	u8 config[4096];		/* vendor 0: nobody answers */
	u8 writable[4096];		/* a mask for each byte */
};

struct fake_pci {
	bool has_ecam, fail_closed;
	u8 last_bus;			/* of ECAM, if not 7 */
	bool is_running;		/* the guest is */
	bool is_bare;			/* and may have one to itself */
	int register_error, attach_error, map_error;
	/* 00:00.0, 00:01.0, 00:02.0, 02:03.1, and 04:00.0: not there yet. */
	struct fake_function *host_bridge, *port, *slot_port, *disk, *slot;
	u32 latch;			/* port CF8h */
	u32 next_latch;			/* if not 0: once that was read */
	u32 port_cycles;		/* of data */
	struct mmio_region *regions[4];
	unsigned region_count;

	int trust_error;
	u8 iommu_device;		/* 00:xx.0 is a unit; 0: none */
	u16 trusted[8];			/* ids of functions, 0: none */

	/* What the driver was told. */
	struct pci_device *attached[128];
	unsigned attached_count, detached_count;
	unsigned map_count, mapped_count;	/* asked for; in force */
	struct {
		u16 offset;
		unsigned size;
		u32 value;
	} writes[8];
	unsigned write_count, written_count;
};
extern struct fake_pci fake_pci;

void fake_put(struct fake_function *function, u16 offset, u64 value,
	      unsigned size);
u32 fake_get(const struct fake_function *function, u16 offset, unsigned size);

/* Trap and scan: what pci_bus_attach() says. */
size_t fake_pci_boot(bool has_ecam);
/* Into the slot, decoding nothing. */
void fake_put_in(u32 class_code);
void fake_pull_out(struct fake_function *function);
bool fake_is_trusted(u16 id);

/* The guest's accesses: an offset in ECAM, or an address in CF8h. */
u64 fake_ecam(u64 offset, unsigned size, bool is_write, u64 value);
u32 fake_port(u32 address, u16 port, unsigned size, bool is_write, u32 value);
/* In the disk's page. */
u64 fake_page(u64 offset, unsigned size, bool is_write, u64 value);

#endif
