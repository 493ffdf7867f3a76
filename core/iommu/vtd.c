/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intel's IOMMU, VT-d. Each unit has tables of its own: one context table that
 * all buses share, and one more for each bus of a trusted function. Section
 * numbers: see spec/vtd.h.
 */
#include <errno.h>
#include <string.h>

#include "barrier.h"
#include "bits.h"
#include "clock.h"
#include "log.h"
#include "mmio.h"
#include "page.h"
#include "unit.h"
#include "spec/vtd.h"
#include "x86/cpu.h"

#define LEVELS_MIN 3
#define LEVELS_MAX 5
#define LEAF (VTD_PTE_READ | VTD_PTE_WRITE)

static const struct slat_format format = {
	.table = LEAF, .large = VTD_PTE_LARGE, .present_mask = LEAF,
};

struct unit {
	u64 base;
	u16 segment;
	bool is_on;
	u64 capability, extended;
	unsigned levels;
	struct pagetable tables[2];	/* as in amdvi.c */
	struct vtd_entry *roots, *contexts;
};

static struct unit units[IOMMU_UNIT_MAX];
static size_t unit_count;

/* ---- Registers ------------------------------------------------------------------ */

static u32 status(const struct unit *unit)
{
	return mmio_read32(hpa(unit->base + VTD_STATUS));
}

static int gave_up(const struct unit *unit)
{
	log_error("iommu: %#llx does not answer",
		  (unsigned long long)unit->base);
	return -EIO;
}

/* 11.4.4: one at a time, until the status says that it is done. */
static int order(const struct unit *unit, u32 bit, u32 expected)
{
	u64 deadline = clock_deadline_us(IOMMU_DEADLINE_US);

	mmio_write32(hpa(unit->base + VTD_COMMAND),
		     (status(unit) & VTD_KEPT) | bit);
	while ((status(unit) & bit) != expected)
		if (clock_is_past(deadline))
			return gave_up(unit);
	return 0;
}

/* Writes a 64-bit register and waits until its `go` is clear. */
static int invalidate(const struct unit *unit, u32 offset, u64 value, u64 go)
{
	u64 deadline = clock_deadline_us(IOMMU_DEADLINE_US);

	mmio_write64(hpa(unit->base + offset), value | go);
	while (mmio_read64(hpa(unit->base + offset)) & go)
		if (clock_is_past(deadline))
			return gave_up(unit);
	return 0;
}

static u32 iotlb_offset(const struct unit *unit)
{
	return 16 * FIELD_GET(VTD_EXT_IOTLB, unit->extended);
}

/* 6.5.1: forgets everything it has read of the tables, contexts first. */
static int flush(const struct unit *unit)
{
	u64 drains = FIELD_PREP(VTD_IOTLB_DRAINS,
				FIELD_GET(VTD_CAP_DRAINS, unit->capability));
	int error = 0;

	if (!(unit->extended & VTD_EXT_COHERENT))
		cpu_write_back_caches();
	barrier_full();		/* the tables before what is read of them */
	if (unit->capability & VTD_CAP_WRITE_BUFFER)
		error = order(unit, VTD_FLUSH_WRITES, 0);
	if (!error)
		error = invalidate(unit, VTD_CONTEXT_COMMAND,
				   VTD_CONTEXT_GLOBAL, VTD_CONTEXT_GO);
	if (!error)
		error = invalidate(unit, iotlb_offset(unit) + VTD_IOTLB_COMMAND,
				   VTD_IOTLB_GLOBAL | drains, VTD_IOTLB_GO);
	return error;
}

/* What firmware protects before boot: the maps do it from here on. */
static int unprotect(const struct unit *unit)
{
	hpa_t at = hpa(unit->base + VTD_PROTECTED);
	u64 deadline = clock_deadline_us(IOMMU_DEADLINE_US);
	u32 now = mmio_read32(at);

	if (!(now & VTD_PROTECTED_STATUS))
		return 0;
	mmio_write32(at, now & ~(u32)VTD_PROTECTED_ENABLE);
	while (mmio_read32(at) & VTD_PROTECTED_STATUS)
		if (clock_is_past(deadline))
			return gave_up(unit);
	return 0;
}

/* ---- Tables ---------------------------------------------------------------------- */

static u64 reach(const struct unit *unit)
{
	return BIT(MIN(FIELD_GET(VTD_CAP_WIDTH, unit->capability) + 1,
		       PAGE_SHIFT + 9 * unit->levels));
}

static int build(struct unit *unit, bool is_whole)
{
	struct pagetable *table = &unit->tables[is_whole];
	int error = pagetable_init(table, &format, unit->levels, true);

	if (!error)
		error = iommu_build(table, LEAF, reach(unit), is_whole);
	return error;
}

static struct vtd_entry context(const struct unit *unit, bool is_trusted)
{
	return (struct vtd_entry){
		.low = page_hpa(unit->tables[is_trusted].root).v | VTD_PRESENT,
		.high = FIELD_PREP(VTD_CONTEXT_LEVELS, unit->levels - 2) |
			FIELD_PREP(VTD_CONTEXT_DOMAIN, 1 + is_trusted),
	};
}

static int build_tables(struct unit *unit)
{
	int error = build(unit, false);

	if (!error)
		error = build(unit, true);
	unit->roots = page_alloc(1);
	unit->contexts = page_alloc(1);
	if (error || !unit->roots || !unit->contexts)
		return -ENOMEM;
	for (unsigned i = 0; i < VTD_ENTRIES; i++) {
		unit->contexts[i] = context(unit, false);
		unit->roots[i].low = page_hpa(unit->contexts).v | VTD_PRESENT;
	}
	return 0;
}

/* NULL: the bus has none of its own, and no page for one. */
static struct vtd_entry *contexts_of(struct unit *unit, u8 bus)
{
	struct vtd_entry *root = &unit->roots[bus];
	struct vtd_entry *contexts = page_pointer(hpa(root->low & VTD_ADDRESS));

	if (contexts != unit->contexts)
		return contexts;
	contexts = page_alloc(1);
	if (!contexts)
		return NULL;
	memcpy(contexts, unit->contexts, PAGE_SIZE);
	WRITE_LAST(root->low, page_hpa(contexts).v | VTD_PRESENT);
	return contexts;
}

/* 6.5.3.3: not while it is in force. The function is quiet meanwhile. */
static int set_context(struct unit *unit, u16 id, bool is_trusted)
{
	struct vtd_entry next = context(unit, is_trusted);
	struct vtd_entry *contexts = contexts_of(unit, id >> 8);
	struct vtd_entry *entry;
	int error;

	if (!contexts)
		return -ENOMEM;
	entry = &contexts[id & 0xff];
	WRITE_ONCE(entry->low, 0);
	error = flush(unit);
	if (error)
		return error;
	WRITE_ONCE(entry->high, next.high);
	WRITE_LAST(entry->low, next.low);
	return flush(unit);
}

/* ---- Units ------------------------------------------------------------------------ */

static int switch_on(struct unit *unit)
{
	int error;

	mmio_write64(hpa(unit->base + VTD_ROOT), page_hpa(unit->roots).v);
	error = order(unit, VTD_SET_ROOT, VTD_SET_ROOT);
	if (!error)
		error = flush(unit);
	if (!error)
		error = order(unit, VTD_TRANSLATE, VTD_TRANSLATE);
	if (!error)
		error = unprotect(unit);
	unit->is_on = !error;
	return error;
}

static unsigned levels_of(u64 capability)
{
	u64 levels = FIELD_GET(VTD_CAP_LEVELS, capability);
	unsigned most = 0;

	/* Four reach everything; five cost a page more, three may not do. */
	for (unsigned n = LEVELS_MIN; n <= LEVELS_MAX; n++)
		if (levels & BIT(n - 2) && (n < LEVELS_MAX || !most))
			most = n;
	return most;
}

static const char *why_not(const struct unit *unit)
{
	u64 major = FIELD_GET(VTD_VERSION_MAJOR,
			      mmio_read32(hpa(unit->base + VTD_VERSION)));

	if (!major || major > VTD_VERSION_LAST)
		return "its version is not known";
	if (status(unit) & (VTD_TRANSLATE | VTD_QUEUE | VTD_REMAP))
		return "the firmware uses it: switch its DMA protection off";
	if (!unit->levels || (~unit->capability & VTD_CAP_LARGE))
		return "it has no large pages";
	if (iommu_ram_end() > reach(unit))
		return "memory beyond its reach";
	return NULL;
}

/* All that it has to invalidate and to tell of faults, in whole pages. */
static u64 registers_size(const struct unit *unit)
{
	u64 faults = 16 * (FIELD_GET(VTD_CAP_FAULTS, unit->capability) +
			   FIELD_GET(VTD_CAP_FAULT_COUNT, unit->capability) +
			   1);

	return align_up(MAX(faults, iotlb_offset(unit) + 16), PAGE_SIZE);
}

static const char *examine(struct unit *unit)
{
	const char *reason;

	if (!unit->base || !is_aligned(unit->base, PAGE_SIZE))
		return "its registers cannot be there";
	unit->capability = mmio_read64(hpa(unit->base + VTD_CAPABILITY));
	unit->extended = mmio_read64(hpa(unit->base + VTD_EXTENDED));
	unit->levels = levels_of(unit->capability);
	reason = why_not(unit);
	if (!reason && iommu_hide_registers(unit->base, registers_size(unit)))
		reason = "its registers cannot be kept from the guest";
	return reason;
}

static void visit(const void *block, size_t size)
{
	struct dmar_unit found;
	const char *reason;
	struct unit *unit = &units[unit_count];

	if (size < sizeof(found) || unit_count == IOMMU_UNIT_MAX)
		return;
	memcpy(&found, block, sizeof(found));
	if (found.type != DMAR_UNIT)
		return;
	*unit = (struct unit){ .base = found.base, .segment = found.segment };
	reason = examine(unit);
	if (reason)
		log_warn("iommu: VT-d at %#llx is not used: %s",
			 (unsigned long long)found.base, reason);
	else
		unit_count++;
}

static void start(struct unit *unit)
{
	int error = build_tables(unit);

	if (!error)
		error = switch_on(unit);
	if (error)
		log_error("iommu: VT-d at %#llx cannot be switched on: %d",
			  (unsigned long long)unit->base, error);
	else
		log_info("iommu: VT-d at %#llx keeps devices of segment %u out",
			 (unsigned long long)unit->base, unit->segment);
}

void vtd_init(const struct acpi_header *dmar)
{
	unit_count = 0;
	if (!dmar || !iommu_for_each_block(dmar, DMAR_BLOCKS, visit))
		return;
	for (size_t i = 0; i < unit_count; i++)
		start(&units[i]);
}

int vtd_trust(u16 segment, u16 id, bool is_trusted)
{
	int error = 0;

	for (size_t i = 0; i < unit_count && !error; i++)
		if (units[i].segment == segment && units[i].is_on)
			error = set_context(&units[i], id, is_trusted);
	return error;
}
