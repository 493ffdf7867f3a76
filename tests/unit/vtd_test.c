/* SPDX-License-Identifier: BSD-2-Clause */
/* VT-d: a unit that reads root, context and page tables once it was told. */
#include <errno.h>
#include <string.h>

#include "bits.h"
#include "fake_iommu.h"
#include "fake_log.h"
#include "spec/vtd.h"
#include "test.h"

#define BASE 0xfed90000ull
#define DRIVE 0x0218		/* 02:03.0 */
#define IOTLB 0x1008		/* in a second page */
#define WIDTH(bits) FIELD_PREP(VTD_CAP_WIDTH, (bits) - 1)
#define LEVELS(n) FIELD_PREP(VTD_CAP_LEVELS, BIT((n) - 2))
#define LARGE VTD_CAP_LARGE

static struct {
	u32 version, status, protected;
	u64 capability, extended, root;
	u64 root_in_force;
	unsigned write_count, write_buffer_flushes;
	unsigned context_flushes, iotlb_flushes, absent_count;
	bool is_silent;
	u16 watched;		/* was its context absent at a flush? */
} unit;

static struct vtd_entry *context_of(u16 id)
{
	struct vtd_entry *roots = (void *)unit.root_in_force;
	u64 root = roots[id >> 8].low;

	CHECK(root & VTD_PRESENT);
	return (struct vtd_entry *)(root & VTD_ADDRESS) + (id & 0xff);
}

static u64 read(u64 address)
{
	switch (address - BASE) {
	case VTD_VERSION:
		return unit.version;
	case VTD_CAPABILITY:
		return unit.capability;
	case VTD_EXTENDED:
		return unit.extended;
	case VTD_STATUS:
		return unit.status;
	case VTD_PROTECTED:
		return unit.protected;
	case VTD_CONTEXT_COMMAND:
	case IOTLB:
		return unit.is_silent ? BIT(63) : 0;
	}
	FAIL("read of %#llx", (unsigned long long)address);
}

static void command(u32 value)
{
	u32 bit = value ^ (unit.status & VTD_KEPT);

	CHECK(bit && !(bit & (bit - 1)));	/* 11.4.4 */
	switch (bit) {
	case VTD_SET_ROOT:
		unit.root_in_force = unit.root;
		unit.status |= VTD_SET_ROOT;
		break;
	case VTD_FLUSH_WRITES:
		unit.write_buffer_flushes++;
		break;
	case VTD_TRANSLATE:
		CHECK(unit.context_flushes && unit.iotlb_flushes);
		unit.status |= VTD_TRANSLATE;
		break;
	default:
		FAIL("command %#x", value);
	}
}

static void write(u64 address, u64 value)
{
	unit.write_count++;
	switch (address - BASE) {
	case VTD_COMMAND:
		command(value);
		break;
	case VTD_ROOT:
		unit.root = value;
		break;
	case VTD_CONTEXT_COMMAND:
		CHECK_EQ(value, BIT(63) | BIT(61));
		unit.context_flushes++;
		unit.absent_count +=
			!(context_of(unit.watched)->low & VTD_PRESENT);
		break;
	case IOTLB:
		CHECK_EQ(value, BIT(63) | BIT(60) | BITS(49, 48));
		CHECK_EQ(unit.context_flushes, ++unit.iotlb_flushes);
		break;
	case VTD_PROTECTED:
		CHECK(unit.status & VTD_TRANSLATE);
		unit.protected = value & BIT(31) ? 0x80000001 : 0;
		break;
	default:
		FAIL("write to %#llx", (unsigned long long)address);
	}
}

/* ---- As the unit walks (3.7) ---------------------------------------------------- */

static u64 translate(u16 id, u64 address)
{
	const struct vtd_entry *context = context_of(id);
	unsigned levels = FIELD_GET(VTD_CONTEXT_LEVELS, context->high) + 2;
	u64 entry = context->low, mask = 0;

	CHECK_EQ(entry & BITS(11, 0), VTD_PRESENT);
	CHECK(unit.capability & LEVELS(levels));
	if (address >> (12 + 9 * levels))
		return NOWHERE;
	for (unsigned level = levels; level--;) {
		mask = BIT(12 + 9 * level) - 1;
		entry = ((u64 *)(entry & BITS(51, 12)))
			[address >> (12 + 9 * level) & 511];
		if (!(entry & (VTD_PTE_READ | VTD_PTE_WRITE)))
			return NOWHERE;
		CHECK_EQ(entry & 3, 3);
		if (entry & VTD_PTE_LARGE) {
			CHECK(level == 1 || level == 2);
			break;
		}
	}
	CHECK_EQ(entry & mask & BITS(51, 12), 0);
	return (entry & BITS(51, 12)) + (address & mask);
}

/* ---- The machine ----------------------------------------------------------------- */

static void put_unit(void)
{
	struct dmar_unit block = { .type = DMAR_UNIT, .length = sizeof(block),
				   .flags = 1, .base = BASE };

	fake_block(&block, sizeof(block));
}

static void prepare(void)
{
	fake_iommu_init();
	fake_iommu.read = read;
	fake_iommu.write = write;
	memset(&unit, 0, sizeof(unit));
	unit.version = 0x10;
	unit.capability = WIDTH(48) | LEVELS(4) | LEVELS(3) | LARGE |
		VTD_CAP_DRAINS | FIELD_PREP(VTD_CAP_FAULTS, 0x20);
	unit.extended = VTD_EXT_COHERENT | FIELD_PREP(VTD_EXT_IOTLB, 0x100);
	fake_table("DMAR");
}

static void start(void)
{
	put_unit();
	fake_iommu_start();
}

static void check_on(void)
{
	CHECK(unit.status & VTD_TRANSLATE);
	CHECK(unit.context_flushes && unit.iotlb_flushes);
}

TEST(every_device_reaches_everything_but_sluice)
{
	const u16 ids[] = { 0, 1, DRIVE, 0xffff };

	prepare();
	start();
	check_on();
	for (size_t i = 0; i < ARRAY_COUNT(ids); i++)
		check_reaches_all_but_sluice(translate, ids[i], MAP_END, BASE);
}

TEST(three_levels_reach_what_they_can)
{
	prepare();
	unit.capability = WIDTH(39) | LEVELS(3) | LARGE | VTD_CAP_DRAINS;
	start();
	check_on();
	check_reaches_all_but_sluice(translate, 0, 1ull << 39, BASE);
}

TEST(five_levels_will_do)
{
	prepare();
	unit.capability = WIDTH(57) | LEVELS(5) | LARGE | VTD_CAP_DRAINS;
	start();
	check_on();
	check_reaches_all_but_sluice(translate, 0, MAP_END, BASE);
}

TEST(a_trusted_function_reaches_all_and_no_other_does)
{
	prepare();
	start();
	unit.watched = DRIVE;
	CHECK_EQ(fake_trust(0, DRIVE, true), 0);
	CHECK_EQ(unit.absent_count, 1);		/* 6.5.3.3 */
	check_reaches_all(translate, DRIVE, MAP_END);
	CHECK_EQ(translate(DRIVE + 1, SLUICE_BASE), NOWHERE);
	CHECK_EQ(translate(DRIVE + 0x100, SLUICE_BASE), NOWHERE);
	CHECK(context_of(DRIVE)->high != context_of(DRIVE + 1)->high);
	CHECK_EQ(fake_trust(0, DRIVE, false), 0);
	check_reaches_all_but_sluice(translate, DRIVE, MAP_END, BASE);
}

TEST(another_segments_function_is_not_meant)
{
	prepare();
	start();
	CHECK_EQ(fake_trust(1, DRIVE, true), 0);
	CHECK_EQ(translate(DRIVE, SLUICE_BASE), NOWHERE);
}

TEST(caches_are_written_back_for_a_unit_that_does_not_look)
{
	prepare();
	unit.extended &= ~VTD_EXT_COHERENT;
	start();
	CHECK_EQ(fake_iommu.write_back_count, unit.context_flushes);
}

TEST(write_buffers_are_flushed_where_there_are_any)
{
	prepare();
	unit.capability |= VTD_CAP_WRITE_BUFFER;
	start();
	CHECK_EQ(unit.write_buffer_flushes, unit.context_flushes);
}

TEST(protected_memory_is_open_once_translation_is_on)
{
	prepare();
	unit.protected = 0x80000001;
	start();
	check_on();
	CHECK_EQ(unit.protected, 0);
}

TEST(the_guest_has_no_way_to_the_registers)
{
	struct mmio_access access = { .offset = VTD_COMMAND, .size = 4 };
	unsigned writes;

	prepare();
	start();
	writes = unit.write_count;
	CHECK_EQ(fake_iommu.region_count, 1);
	CHECK_EQ(fake_iommu.regions[0]->base.v, BASE);
	CHECK_EQ(fake_iommu.regions[0]->size, 0x2000);
	fake_iommu.regions[0]->access(fake_iommu.regions[0], &access);
	CHECK_EQ(access.value, ~0ull);
	access = (struct mmio_access){ VTD_COMMAND, 4, true, 0 };
	fake_iommu.regions[0]->access(fake_iommu.regions[0], &access);
	CHECK_EQ(unit.write_count, writes);
}

static void check_not_used(const char *reason)
{
	start();
	CHECK(!(unit.status & VTD_TRANSLATE));
	CHECK(fake_log_has(reason));
	CHECK_EQ(fake_trust(0, DRIVE, true), 0);
}

TEST(what_the_firmware_uses_is_left_alone)
{
	const u32 uses[] = { VTD_QUEUE, VTD_REMAP };

	for (size_t i = 0; i < ARRAY_COUNT(uses); i++) {
		prepare();
		unit.status = uses[i];
		check_not_used("the firmware uses it");
		CHECK_EQ(unit.write_count, 0);
	}
	prepare();
	unit.status = VTD_TRANSLATE;
	start();
	CHECK_EQ(unit.write_count, 0);
}

TEST(unknown_versions_are_not_used)
{
	const u32 versions[] = { 0, 0x60, ~0u };

	for (size_t i = 0; i < ARRAY_COUNT(versions); i++) {
		prepare();
		unit.version = versions[i];
		check_not_used("version is not known");
	}
}

TEST(one_without_large_pages_is_not_used)
{
	const u64 missing[] = { BIT(34), BIT(35), LARGE };

	for (size_t i = 0; i < ARRAY_COUNT(missing); i++) {
		prepare();
		unit.capability &= ~missing[i];
		check_not_used("no large pages");
	}
}

TEST(one_that_does_not_reach_all_memory_is_not_used)
{
	prepare();
	unit.capability = WIDTH(39) | LEVELS(3) | LARGE;
	fake_iommu.info.ram[0].size = 1ull << 40;
	check_not_used("memory beyond its reach");
}

TEST(one_whose_registers_cannot_be_trapped_is_not_used)
{
	prepare();
	fake_iommu.register_error = -EEXIST;
	check_not_used("cannot be kept from the guest");
}

TEST(one_that_does_not_answer_is_not_switched_on)
{
	prepare();
	unit.is_silent = true;
	check_not_used("does not answer");
}

TEST(without_memory_it_is_not_switched_on)
{
	for (size_t pages = 0; pages < 8; pages++) {
		prepare();
		fake_iommu.page_limit = pages;
		check_not_used("cannot be switched on");
	}
}

TEST(without_a_page_a_function_is_not_trusted)
{
	prepare();
	start();
	fake_iommu.page_limit = 0;
	CHECK_EQ(fake_trust(0, DRIVE, true), -ENOMEM);
	CHECK_EQ(translate(DRIVE, SLUICE_BASE), NOWHERE);
}

TEST(damaged_tables_are_not_believed)
{
	static const u8 blocks[][4] = {
		{ 0, 0, 0, 0 }, { 0, 0, 3, 0 }, { 0, 0, 5, 0 },
		{ 1, 0, 0xff, 0xff },
	};

	for (size_t i = 0; i < ARRAY_COUNT(blocks); i++)
		for (size_t size = 1; size <= 4; size++) {
			prepare();
			put_unit();
			fake_block(blocks[i], size);
			fake_iommu_start();
			CHECK_EQ(unit.write_count, 0);
			CHECK(fake_log_has("DMAR is damaged"));
		}
}
