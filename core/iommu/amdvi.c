/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AMD's IOMMU. All units of a segment share one device table, and all share
 * the two page tables; each has its ring of commands. Section numbers: see
 * spec/amdvi.h.
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
#include "spec/amdvi.h"

#define LEVELS 4			/* every unit has them */
#define REACH (1ull << 48)
#define RING_SIZE (PAGE_SIZE / sizeof(struct amdvi_command))
#define LEAF (AMDVI_PTE_PRESENT | AMDVI_PTE_READ | AMDVI_PTE_WRITE)
/* Ignored by units (2.2.3), and for pagetable.c only. */
#define LARGE BIT(7)

static const struct slat_format format = {
	.table = LEAF, .large = LARGE, .present_mask = AMDVI_PTE_PRESENT,
};

struct unit {
	u64 base;
	u16 segment, id;
	u8 flags;
	bool is_on;
	struct amdvi_device *devices;
	struct amdvi_command *ring;
	u32 tail;
	u64 *done;			/* the last wait that has ended */
	u64 waits;
};

static struct unit units[IOMMU_UNIT_MAX];
static size_t unit_count;
/* Without what is Sluice's, and whole; also the numbers of the domains. */
static struct pagetable tables[2];

/* ---- Commands ---------------------------------------------------------------- */

/* No more than two are ever on their way: there is always room. */
static void command(struct unit *unit, u64 low, u64 high)
{
	unit->ring[unit->tail] = (struct amdvi_command){ { low, high } };
	unit->tail = (unit->tail + 1) % RING_SIZE;
	barrier_write();	/* the command before the tail behind it */
	mmio_write64(hpa(unit->base + AMDVI_COMMAND_TAIL),
		     unit->tail * sizeof(*unit->ring));
}

/* Forgets everything it has read of the tables. */
static int flush(struct unit *unit)
{
	u64 deadline = clock_deadline_us(IOMMU_DEADLINE_US);

	unit->waits++;
	command(unit, FIELD_PREP(AMDVI_OPCODE, AMDVI_INVALIDATE_ALL), 0);
	command(unit, FIELD_PREP(AMDVI_OPCODE, AMDVI_COMPLETION_WAIT) |
		page_hpa(unit->done).v | AMDVI_WAIT_STORE, unit->waits);
	while (READ_ONCE(*unit->done) != unit->waits) {
		if (clock_is_past(deadline)) {
			log_error("iommu: %#llx does not answer",
				  (unsigned long long)unit->base);
			return -EIO;
		}
		cpu_relax();
	}
	return 0;
}

/* ---- Tables -------------------------------------------------------------------- */

/* pagetable.c knows no levels in entries. */
static void set_levels(u64 *entries, unsigned level)
{
	for (u64 *entry = entries; entry < entries + 512; entry++) {
		if (*entry & AMDVI_PTE_PRESENT && level && !(*entry & LARGE)) {
			set_levels(page_pointer(hpa(*entry & AMDVI_PTE_ADDRESS)),
				   level - 1);
			*entry |= FIELD_PREP(AMDVI_PTE_NEXT, level);
		}
		*entry &= ~LARGE;
	}
}

static int build(bool is_whole)
{
	struct pagetable *table = &tables[is_whole];
	int error = pagetable_init(table, &format, LEVELS, true);

	if (!error)
		error = iommu_build(table, LEAF, REACH, is_whole);
	if (!error)
		set_levels(table->root, LEVELS - 1);
	return error;
}

/*
 * Interrupts go their way, and messages of the chipset (all that HyperTransport
 * knew); but nobody sends INIT. Translated requests do not pass. The domain
 * is first: what is read between the two stores is forgotten by the flush.
 */
static void set_device(struct amdvi_device *device, bool is_trusted)
{
	WRITE_ONCE(device->words[2], AMDVI_DEVICE_EXTINT | AMDVI_DEVICE_NMI |
		   AMDVI_DEVICE_LINTS);
	WRITE_ONCE(device->words[1],
		   FIELD_PREP(AMDVI_DEVICE_DOMAIN, 1 + is_trusted) |
		   FIELD_PREP(AMDVI_DEVICE_MANAGEMENT,
			      AMDVI_MANAGEMENT_FORWARD));
	WRITE_LAST(device->words[0], AMDVI_DEVICE_VALID |
		   FIELD_PREP(AMDVI_DEVICE_LEVELS, LEVELS) |
		   page_hpa(tables[is_trusted].root).v |
		   AMDVI_DEVICE_READ | AMDVI_DEVICE_WRITE);
}

#define DEVICES_SIZE (AMDVI_IDS * sizeof(struct amdvi_device))

static struct amdvi_device *devices_of(u16 segment)
{
	struct amdvi_device *devices;

	for (size_t i = 0; i < unit_count; i++)
		if (units[i].segment == segment && units[i].devices)
			return units[i].devices;
	devices = page_alloc(DEVICES_SIZE / PAGE_SIZE);
	for (u32 id = 0; devices && id < AMDVI_IDS; id++)
		set_device(&devices[id], false);
	return devices;
}

/* ---- Units ------------------------------------------------------------------------ */

static u64 control_bits(const struct unit *unit)
{
	u64 control = AMDVI_COHERENT;

	if (unit->flags & IVRS_HT_TUNNEL)
		control |= AMDVI_HT_TUNNEL;
	if (unit->flags & IVRS_PASS_PW)
		control |= AMDVI_PASS_PW;
	if (unit->flags & IVRS_RES_PASS_PW)
		control |= AMDVI_RES_PASS_PW;
	if (unit->flags & IVRS_ISOCHRONOUS)
		control |= AMDVI_ISOCHRONOUS;
	return control;
}

static void set(const struct unit *unit, u32 offset, u64 value)
{
	mmio_write64(hpa(unit->base + offset), value);
}

static int switch_on(struct unit *unit)
{
	u64 control = control_bits(unit);
	int error;

	set(unit, AMDVI_CONTROL, control);
	set(unit, AMDVI_EXCLUSION_BASE, 0);
	set(unit, AMDVI_EXCLUSION_LIMIT, 0);
	set(unit, AMDVI_DEVICE_TABLE, page_hpa(unit->devices).v |
	    (DEVICES_SIZE / PAGE_SIZE - 1));
	set(unit, AMDVI_COMMANDS, page_hpa(unit->ring).v |
	    FIELD_PREP(AMDVI_COMMANDS_LENGTH, AMDVI_COMMANDS_256));
	set(unit, AMDVI_COMMAND_HEAD, 0);
	set(unit, AMDVI_COMMAND_TAIL, 0);
	set(unit, AMDVI_CONTROL, control | AMDVI_COMMANDS_ENABLE);
	set(unit, AMDVI_CONTROL,
	    control | AMDVI_COMMANDS_ENABLE | AMDVI_ENABLE);
	error = flush(unit);
	if (error)
		set(unit, AMDVI_CONTROL, control);
	return error;
}

static int start(struct unit *unit)
{
	int error;

	unit->devices = devices_of(unit->segment);
	unit->ring = page_alloc(1);
	unit->done = page_alloc(1);
	if (!unit->devices || !unit->ring || !unit->done)
		return -ENOMEM;
	error = switch_on(unit);
	unit->is_on = !error;
	return error;
}

/* NULL, or why it is not used. */
static const char *why_not(const struct unit *unit)
{
	u64 control = mmio_read64(hpa(unit->base + AMDVI_CONTROL));
	u64 features = mmio_read64(hpa(unit->base + AMDVI_FEATURES));

	if (control == ~0ull)
		return "nobody answers";
	if (control & AMDVI_ENABLE)
		return "the firmware uses it: switch its DMA protection off";
	if (!(features & AMDVI_HAS_INVALIDATE_ALL))
		return "too old: it cannot be flushed at once";
	if (FIELD_GET(AMDVI_LEVELS_MAX, features) == AMDVI_NO_LEVELS)
		return "it has no page tables";
	if (iommu_ram_end() > REACH)
		return "memory beyond its reach";
	return NULL;
}

static bool is_known(u64 base)
{
	for (size_t i = 0; i < unit_count; i++)
		if (units[i].base == base)
			return true;
	return false;
}

/* One unit may have a block of each type. */
static void visit(const void *block, size_t size)
{
	struct ivrs_unit found;
	const char *reason;
	struct unit unit;

	if (size < sizeof(found))
		return;
	memcpy(&found, block, sizeof(found));
	if ((found.type != IVRS_UNIT_10 && found.type != IVRS_UNIT_11 &&
	     found.type != IVRS_UNIT_40) ||
	    is_known(found.base) || unit_count == IOMMU_UNIT_MAX)
		return;
	unit = (struct unit){ .base = found.base, .segment = found.segment,
			      .id = found.id, .flags = found.flags };
	reason = is_aligned(found.base, AMDVI_REGISTERS_SIZE) && found.base ?
		why_not(&unit) : "its registers cannot be there";
	if (!reason && iommu_hide_registers(unit.base, AMDVI_REGISTERS_SIZE))
		reason = "its registers cannot be kept from the guest";
	if (reason)
		log_warn("iommu: AMD-Vi at %#llx is not used: %s",
			 (unsigned long long)found.base, reason);
	else
		units[unit_count++] = unit;
}

void amdvi_init(const struct acpi_header *ivrs)
{
	int error;

	unit_count = 0;
	if (!ivrs || !iommu_for_each_block(ivrs, IVRS_BLOCKS, visit) ||
	    !unit_count)
		return;
	error = build(false);
	if (!error)
		error = build(true);
	for (size_t i = 0; !error && i < unit_count; i++) {
		error = start(&units[i]);
		if (!error)
			log_info("iommu: AMD-Vi at %#llx keeps devices of "
				 "segment %u out",
				 (unsigned long long)units[i].base,
				 units[i].segment);
	}
	if (error)
		log_error("iommu: AMD-Vi cannot be switched on: %d", error);
}

bool amdvi_is_unit(u16 segment, u16 id)
{
	for (size_t i = 0; i < unit_count; i++)
		if (units[i].segment == segment && units[i].id == id)
			return true;
	return false;
}

int amdvi_trust(u16 segment, u16 id, bool is_trusted)
{
	int error = 0;

	for (size_t i = 0; i < unit_count && !error; i++) {
		if (units[i].segment != segment || !units[i].is_on)
			continue;
		set_device(&units[i].devices[id], is_trusted);
		error = flush(&units[i]);
	}
	return error;
}
