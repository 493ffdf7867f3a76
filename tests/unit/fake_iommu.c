/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_iommu.h. */
#include <string.h>

#include "../../core/acpi.h"
#include "../../core/iommu/iommu.h"
#include "../../core/x86/cpu.h"
#include "../../core/x86/mtrr.h"
#include "clock.h"
#include "fake_iommu.h"
#include "page.h"
#include "test.h"

#define PAGES 2048

struct fake_iommu fake_iommu;

static u8 pages[PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
static size_t pages_used;
static u8 table[2048];
static u64 now_us;

/* ---- What core/iommu calls -------------------------------------------------- */

void *page_alloc(size_t count)
{
	void *memory = pages + pages_used * PAGE_SIZE;

	if (pages_used + count > fake_iommu.page_limit)
		return NULL;
	pages_used += count;
	return memset(memory, 0, count * PAGE_SIZE);
}

hpa_t page_hpa(const void *memory)
{
	return hpa((u64)memory);
}

void *page_pointer(hpa_t address)
{
	return (void *)address.v;
}

u64 mmio_read64(hpa_t address)
{
	return fake_iommu.read(address.v);
}

u32 mmio_read32(hpa_t address)
{
	return fake_iommu.read(address.v);
}

void mmio_write64(hpa_t address, u64 value)
{
	fake_iommu.write(address.v, value);
}

void mmio_write32(hpa_t address, u32 value)
{
	fake_iommu.write(address.v, value);
}

int mmio_register(struct mmio_region *region)
{
	CHECK(fake_iommu.region_count < ARRAY_COUNT(fake_iommu.regions));
	if (!fake_iommu.register_error)
		fake_iommu.regions[fake_iommu.region_count++] = region;
	return fake_iommu.register_error;
}

u64 cpu_physical_limit(void)
{
	return fake_iommu.physical_limit;
}

void cpu_write_back_caches(void)
{
	fake_iommu.write_back_count++;
}

bool mtrr_changes_within(u64 base, u64 size)
{
	return false;
}

u64 clock_now_us(void)
{
	return now_us += 1000;
}

const struct acpi_header *acpi_find(const char *signature)
{
	struct acpi_header *header = fake_table_header();

	return memcmp(header->signature, signature, 4) ? NULL : header;
}

/* ---- What tests call ---------------------------------------------------------- */

void fake_iommu_init(void)
{
	while (fake_iommu.region_count)
		free(fake_iommu.regions[--fake_iommu.region_count]);
	fake_iommu = (struct fake_iommu){
		.physical_limit = 1ull << 48, .page_limit = PAGES,
		.info = { .memory_base = SLUICE_BASE,
			  .memory_size = SLUICE_SIZE, .ram_count = 1,
			  .ram = { { 0, RAM_SIZE } } },
	};
	pages_used = 0;
}

struct acpi_header *fake_table_header(void)
{
	return (struct acpi_header *)table;
}

void fake_table(const char *signature)
{
	memset(table, 0, sizeof(table));
	memcpy(fake_table_header()->signature, signature, 4);
	fake_table_header()->length = 48;
}

void fake_block(const void *block, size_t size)
{
	struct acpi_header *header = fake_table_header();

	memcpy(table + header->length, block, size);
	header->length += size;
}

void fake_iommu_start(void)
{
	iommu_init(&fake_iommu.info);
}

static struct pci_device at(u16 segment, u16 id)
{
	return (struct pci_device){ .segment = segment, .bus = id >> 8,
				    .device = id >> 3 & 31,
				    .function = id & 7 };
}

int fake_trust(u16 segment, u16 id, bool is_trusted)
{
	struct pci_device device = at(segment, id);

	return iommu_trust(&device, is_trusted);
}

bool fake_is_unit(u16 segment, u16 id)
{
	struct pci_device device = at(segment, id);

	return iommu_is_unit(&device);
}

void check_reaches_all(u64 (*translate)(u16 id, u64 address), u16 id, u64 end)
{
	const u64 places[] = {
		0, 0xfff, 0x1234567, SLUICE_BASE - 1, SLUICE_BASE,
		SLUICE_BASE + SLUICE_SIZE - 1, SLUICE_BASE + SLUICE_SIZE,
		RAM_SIZE, 0xe0000000, end - 1,
	};

	for (size_t i = 0; i < ARRAY_COUNT(places); i++)
		CHECK_EQ(translate(id, places[i]), places[i]);
	CHECK_EQ(translate(id, end), NOWHERE);
}

void check_reaches_all_but_sluice(u64 (*translate)(u16 id, u64 address),
				  u16 id, u64 end, u64 registers)
{
	const u64 places[] = {
		0, 0xfff, 0x1234567, SLUICE_BASE - 1,
		SLUICE_BASE + SLUICE_SIZE, RAM_SIZE, registers - 1,
		registers + 0x4000, end - 1,
	};

	for (size_t i = 0; i < ARRAY_COUNT(places); i++)
		CHECK_EQ(translate(id, places[i]), places[i]);
	for (u64 inside = 0; inside < SLUICE_SIZE; inside += PAGE_SIZE)
		CHECK_EQ(translate(id, SLUICE_BASE + inside), NOWHERE);
	CHECK_EQ(translate(id, registers), NOWHERE);
	CHECK_EQ(translate(id, end), NOWHERE);
}
