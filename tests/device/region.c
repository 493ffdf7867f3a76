/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trapped region: memory that is seen through the trap, and a note of
 * what the last access was, so that a payload can tell one of eight bytes
 * from two of four.
 */
#include <errno.h>
#include <string.h>

#include "config.h"
#include "gmem.h"
#include "lock.h"
#include "mmio.h"

static struct {
	struct lock lock;
	u8 *memory;		/* the guest's; NULL: not set */
	u64 count, offset, kind;
} state;

static void touch(struct mmio_access *access)
{
	u8 *at = state.memory + access->offset;

	if (!state.memory)
		return;
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

static void write_register(const struct mmio_access *access)
{
	switch (access->offset) {
	case REGION_STALL:
		device_nvme_stall(access->value);
		break;
	case REGION_BACKING:
		state.memory = gmem_map(gpa(access->value),
					REGION_MEMORY_SIZE);
		break;
	case REGION_COUNT:
		state.count = 0;
	}
}

static void access_region(struct mmio_region *region,
			  struct mmio_access *access)
{
	lock_acquire(&state.lock);
	if (range_inside(access->offset, access->size, REGION_MEMORY_SIZE))
		touch(access);
	else if (!access->is_write)
		read_register(access);
	else
		write_register(access);
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
