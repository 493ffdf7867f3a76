/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine that drivers/ runs on in tests: guest RAM and Sluice's pages
 * (addresses are host pointers on both sides), trapped regions, one PCI
 * function, interrupts, a clock that moves when it is looked at. Threads
 * may be its CPUs.
 */
#ifndef FAKE_MACHINE_H
#define FAKE_MACHINE_H

#include "boot_info.h"
#include "pci.h"
#include "types.h"

#define FAKE_BAR 0x10000000ull
#define FAKE_BAR_SIZE (1ull << 20)
#define FAKE_DEVICE 3			/* 0000:00:03.0 */
#define FAKE_NVME 0x010802
#define FAKE_CPUS 40			/* as `sluicectl stats` has them */

struct fake_machine {
	u64 now_us, us_per_look;	/* the clock, and how it moves */
	bool fail_closed;		/* before attach */
	struct boot_info boot_info;	/* with the error of a setting */
	size_t sluice_pages;		/* in use */
	size_t sluice_page_limit;	/* page_alloc() fails beyond */
	int trust_count;		/* by iommu_trust(): may reach Sluice */
	int watch_count;		/* irq_watch_get() minus put() */
	u32 direct_irq_count;		/* came while nobody watched */
	u32 trap_count;			/* accesses of the guest that exited */
	u8 config[4096];
	bool is_empty;			/* nobody answers to config cycles */
	bool is_bare;			/* it may decode without a trap */
	u64 untrappable;		/* no region may begin here */
	/* The device behind the BAR. */
	u64 (*read)(u64 offset, unsigned size);
	void (*write)(u64 offset, unsigned size, u64 value);
	void (*tick)(void);		/* each time the clock is read */
};
extern struct fake_machine fake_machine;

void fake_machine_init(void);
/* A line of sluice.conf; 0 or -EINVAL. */
int fake_configure(const char *key, const char *value);
/* Before attach(): no direct queues. */
void fake_relayed(void);
/* Scan and attach. -ENODEV: what was found is the guest's alone. */
int fake_machine_attach(void);

/* Zeroed guest RAM. */
void *fake_ram(size_t size, size_t align);
bool fake_is_ram(u64 address, u64 size);
bool fake_is_sluice(u64 address, u64 size);

/* The guest's accesses: to a handler, or to the device itself. */
u64 fake_guest_read(u64 address, unsigned size);
void fake_guest_write(u64 address, unsigned size, u64 value);
/* The guest's config accesses. */
u32 fake_config_read(u16 offset, unsigned size);
void fake_config_write(u16 offset, unsigned size, u32 value);
void fake_set_bar(u64 base);
/* A device with an empty config space is put in, decoding nothing. */
void fake_plug(u16 device_id, u32 class_code);
u64 fake_bar(void);			/* 0: it does not decode */
/* An interrupt arrives. */
void fake_interrupt(void);

#endif
