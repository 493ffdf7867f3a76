/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trapped region: memory to whoever looks through the trap, and a note
 * of what the last access was, so that a payload can tell one of eight bytes
 * from two of four.
 */
#include <errno.h>
#include <string.h>

#include "barrier.h"
#include "config.h"
#include "lock.h"
#include "mmio.h"

static struct {
	struct lock lock;
	u8 memory[REGION_MEMORY_SIZE + PAGE_SIZE];	/* and what is beyond */
	u64 count, offset, kind;
} state;

static void touch(struct mmio_access *access)
{
	u8 *at = &state.memory[access->offset];

	state.count++;
	state.offset = access->offset;
	state.kind = access->size | (access->is_write ? REGION_KIND_WRITE : 0);
	if (access->is_write)
		memcpy(at, &access->value, access->size);
	else
		memcpy(&access->value, at, access->size);
}

static void read_register(struct mmio_access *access)
{
	access->value = access->offset == REGION_COUNT ? state.count :
		access->offset == REGION_OFFSET ? state.offset :
		access->offset == REGION_KIND ? state.kind : 0;
}

static void access_region(struct mmio_region *region,
			  struct mmio_access *access)
{
	lock_acquire(&state.lock);
	if (access->offset < REGION_MEMORY_SIZE)
		touch(access);
	else if (!access->is_write)
		read_register(access);
	else if (access->offset == REGION_STALL)
		device_nvme_stall(access->value);
	else
		state.count = 0;
	lock_release(&state.lock);
}

static struct mmio_region region = {
	.name = "test", .size = REGION_TRAPPED, .access = access_region,
};

static int attach(struct pci_device *device)
{
	return 0;
}

static void detach(struct pci_device *device)
{
}

static int map(struct pci_device *device)
{
	region.base = pci_bar_base(device, 0);
	return region.base.v ? mmio_register(&region) : -EINVAL;
}

static void unmap(struct pci_device *device)
{
	mmio_unregister(&region);
}

static const struct pci_driver region_driver = {
	.name = "test", .class_code = DEVICE_REGION_CLASS,
	.attach = attach, .detach = detach, .map = map, .unmap = unmap,
};
PCI_DRIVER(region_driver);
