/* SPDX-License-Identifier: BSD-2-Clause */
/* What drivers ask of a function: its BARs and its capabilities. */
#include "pci.h"
#include "bits.h"
#include "spec/pci.h"

/* Each capability takes at least a dword of config space. */
#define CAPABILITY_MAX ((PCI_CONFIG_SIZE - PCI_CAPABILITY_FIRST) / 4)
#define EXTENDED_CAPABILITY_MAX                                           \
	((PCI_EXTENDED_CONFIG_SIZE - PCI_EXTENDED_CAPABILITY_FIRST) / 4)

struct bar {
	u16 offset;
	bool is_64_bit;
};

/* False: there is no memory BAR of that number. */
static bool find_bar(struct pci_device *device, unsigned index,
		     struct bar *out)
{
	u32 low;

	if (index >= PCI_BAR_COUNT)
		return false;
	out->offset = PCI_BAR(index);
	low = pci_config_read(device, out->offset, 4);
	out->is_64_bit = FIELD_GET(PCI_BAR_TYPE, low) == PCI_BAR_TYPE_64;
	if (out->is_64_bit && index == PCI_BAR_COUNT - 1)
		return false;
	return !(low & PCI_BAR_IO);
}

static u64 read_bar(struct pci_device *device, const struct bar *bar)
{
	u64 value = pci_config_read(device, bar->offset, 4);

	if (bar->is_64_bit)
		value |= (u64)pci_config_read(device, bar->offset + 4, 4) << 32;
	return value;
}

static void write_bar(struct pci_device *device, const struct bar *bar,
		      u64 value)
{
	pci_config_write(device, bar->offset, 4, value);
	if (bar->is_64_bit)
		pci_config_write(device, bar->offset + 4, 4, value >> 32);
}

/* All-ones in the upper half, or in as many low bits as are writable. */
static bool is_being_sized(u64 base, u64 size)
{
	return base >> 32 == 0xffffffff || (size && base == (u32)-size);
}

gpa_t pci_bar_base(struct pci_device *device, unsigned index)
{
	struct bar bar;
	u64 base;

	if (!find_bar(device, index, &bar))
		return gpa(0);
	base = read_bar(device, &bar) & ~PCI_BAR_MEMORY_FLAGS;
	return gpa(is_being_sized(base, device->bar_size[index]) ? 0 : base);
}

static u64 size_bar(struct pci_device *device, const struct bar *bar)
{
	u64 saved = read_bar(device, bar), mask;

	write_bar(device, bar, ~0ull);
	mask = read_bar(device, bar) & ~PCI_BAR_MEMORY_FLAGS;
	write_bar(device, bar, saved);
	return FIELD_LSB(mask);
}

u64 pci_bar_size(struct pci_device *device, unsigned index)
{
	u32 command = pci_config_read(device, PCI_COMMAND, 2);
	struct bar bar;

	if (!find_bar(device, index, &bar))
		return 0;
	pci_config_write(device, PCI_COMMAND, 2,
			 command & ~(u32)PCI_COMMAND_MEMORY);
	device->bar_size[index] = size_bar(device, &bar);
	pci_config_write(device, PCI_COMMAND, 2, command);
	return device->bar_size[index];
}

u16 pci_find_capability(struct pci_device *device, u8 id)
{
	u32 status = pci_config_read(device, PCI_STATUS, 2);
	u16 offset = pci_config_read(device, PCI_CAPABILITY_POINTER, 1) & ~3u;

	if (!(status & PCI_STATUS_CAPABILITIES))
		return 0;
	for (unsigned i = 0; i < CAPABILITY_MAX; i++) {
		u32 header;

		if (offset < PCI_CAPABILITY_FIRST)
			return 0;
		header = pci_config_read(device, offset, 2);
		if (FIELD_GET(PCI_CAPABILITY_ID, header) == id)
			return offset;
		offset = FIELD_GET(PCI_CAPABILITY_NEXT, header) * 4;
	}
	return 0;
}

/* A list of its own; all-ones where there is no extended space. */
u16 pci_find_extended_capability(struct pci_device *device, u16 id)
{
	u16 offset = PCI_EXTENDED_CAPABILITY_FIRST;

	for (unsigned i = 0; i < EXTENDED_CAPABILITY_MAX; i++) {
		u32 header = pci_config_read(device, offset, 4);

		if (!header || header == 0xffffffff)
			return 0;
		if (FIELD_GET(PCI_EXTENDED_CAPABILITY_ID, header) == id)
			return offset;
		offset = FIELD_GET(PCI_EXTENDED_CAPABILITY_NEXT, header) * 4;
		if (offset < PCI_EXTENDED_CAPABILITY_FIRST)
			return 0;
	}
	return 0;
}
