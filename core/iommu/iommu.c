/* SPDX-License-Identifier: BSD-2-Clause */
/* What both vendors' units have in common: the map, and what is left out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "acpi.h"
#include "bits.h"
#include "iommu.h"
#include "log.h"
#include "mmio.h"
#include "unit.h"
#include "x86/cpu.h"

/* Memory and registers of all machines we know are below, and it costs two
 * pages; only devices' talk to each other could be above. */
#define MAP_AT_LEAST (1ull << 40)
#define MAP_STEP (1ull << 30)

/* Sluice's memory and the units' registers. */
static struct ram_range hidden[1 + IOMMU_UNIT_MAX];
static size_t hidden_count;
static u64 ram_end;

/* ---- Firmware's tables ------------------------------------------------------- */

struct block {
	u8 type, flags;
	u16 size;
};

static bool read_block(const struct acpi_header *table, size_t at,
		       struct block *block)
{
	if (!range_inside(at, sizeof(*block), table->length))
		return false;
	memcpy(block, (const u8 *)table + at, sizeof(*block));
	return block->size >= sizeof(*block) &&
	       range_inside(at, block->size, table->length);
}

static bool has_only_blocks(const struct acpi_header *table, size_t start)
{
	struct block block;
	size_t at = start;

	while (at < table->length && read_block(table, at, &block))
		at += block.size;
	return at == table->length;
}

bool iommu_for_each_block(const struct acpi_header *table, size_t start,
			  void (*visit)(const void *block, size_t size))
{
	struct block block;

	if (!has_only_blocks(table, start)) {
		log_warn("iommu: %.4s is damaged", table->signature);
		return false;
	}
	for (size_t at = start; read_block(table, at, &block);
	     at += block.size)
		visit((const u8 *)table + at, block.size);
	return true;
}

/* ---- The map -------------------------------------------------------------------- */

u64 iommu_ram_end(void)
{
	return ram_end;
}

static u64 map_end(u64 reach)
{
	u64 end = MAX(align_up(ram_end, MAP_STEP), MAP_AT_LEAST);

	return MIN(MIN(end, cpu_physical_limit()), reach);
}

int iommu_build(struct pagetable *table, u64 leaf, u64 reach, bool is_whole)
{
	int error = pagetable_map(table, 0, map_end(reach), leaf);

	for (size_t i = 0; !error && !is_whole && i < hidden_count; i++)
		error = pagetable_map(table, hidden[i].base, hidden[i].size, 0);
	return error;
}

/* ---- Registers -------------------------------------------------------------------- */

/* As if nobody answered. */
static void access_nothing(struct mmio_region *region,
			   struct mmio_access *access)
{
	log_limited(LOG_WARN, "iommu: the guest looks for it at %#llx",
		    (unsigned long long)(region->base.v + access->offset));
	access->value = ~0ull;
}

int iommu_hide_registers(u64 base, u64 size)
{
	struct mmio_region *region;
	int error;

	if (hidden_count == ARRAY_COUNT(hidden))
		return -ENOSPC;
	region = calloc(1, sizeof(*region));
	if (!region)
		return -ENOMEM;
	*region = (struct mmio_region){ .name = "iommu", .base = gpa(base),
					.size = size,
					.access = access_nothing };
	error = mmio_register(region);
	if (error)
		free(region);
	else
		hidden[hidden_count++] = (struct ram_range){ base, size };
	return error;
}

/* ---- For the rest of core ---------------------------------------------------------- */

void iommu_init(const struct boot_info *info)
{
	if (info->config.iommu_off) {
		log_info("iommu: not used: iommu = off");
		return;
	}
	hidden[0] = (struct ram_range){ info->memory_base, info->memory_size };
	hidden_count = 1;
	ram_end = 0;
	for (u32 i = 0; i < info->ram_count; i++)
		ram_end = MAX(ram_end, info->ram[i].base + info->ram[i].size);
	amdvi_init(acpi_find(ACPI_IVRS_SIGNATURE));
	vtd_init(acpi_find(ACPI_DMAR_SIGNATURE));
}

static u16 id_of(const struct pci_device *at)
{
	return at->bus << 8 | at->device << 3 | at->function;
}

bool iommu_is_unit(const struct pci_device *at)
{
	return amdvi_is_unit(at->segment, id_of(at));
}

int iommu_trust(const struct pci_device *at, bool is_trusted)
{
	int error = amdvi_trust(at->segment, id_of(at), is_trusted);

	if (!error)
		error = vtd_trust(at->segment, id_of(at), is_trusted);
	return error;
}
