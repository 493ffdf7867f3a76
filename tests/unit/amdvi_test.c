/* SPDX-License-Identifier: BSD-2-Clause */
/* AMD's IOMMU: a unit that reads device table, page tables and commands. */
#include <errno.h>
#include <string.h>

#include "bits.h"
#include "fake_iommu.h"
#include "fake_log.h"
#include "spec/amdvi.h"
#include "test.h"

#define UNITS 3
#define BASE 0xfd000000ull
#define STEP 0x100000ull
#define DRIVE 0x0218		/* 02:03.0 */

static struct hardware {
	u64 registers[AMDVI_COMMAND_TAIL / 8 + 1];
	unsigned write_count, flush_count;
	bool is_silent;
} hardware[UNITS];

static struct hardware *unit_at(u64 address)
{
	u64 index = (address - BASE) / STEP;

	CHECK(address >= BASE && index < UNITS);
	CHECK((address - BASE) % STEP <= AMDVI_COMMAND_TAIL);
	return &hardware[index];
}

static u64 *reg(struct hardware *unit, u32 offset)
{
	return &unit->registers[offset / 8];
}

static u64 read(u64 address)
{
	return *reg(unit_at(address), (address - BASE) % STEP);
}

static void execute(struct hardware *unit, const struct amdvi_command *command)
{
	switch (FIELD_GET(AMDVI_OPCODE, command->words[0])) {
	case AMDVI_INVALIDATE_ALL:
		unit->flush_count++;
		break;
	case AMDVI_COMPLETION_WAIT:
		CHECK(command->words[0] & AMDVI_WAIT_STORE);
		if (!unit->is_silent)
			*(u64 *)(command->words[0] & BITS(51, 3)) =
				command->words[1];
		break;
	default:
		FAIL("command %#llx", (unsigned long long)command->words[0]);
	}
}

static void run(struct hardware *unit)
{
	u64 base = *reg(unit, AMDVI_COMMANDS);
	u64 *head = reg(unit, AMDVI_COMMAND_HEAD);

	CHECK_EQ(FIELD_GET(AMDVI_COMMANDS_LENGTH, base), AMDVI_COMMANDS_256);
	for (; *head != *reg(unit, AMDVI_COMMAND_TAIL);
	     *head = (*head + 16) % 4096)
		execute(unit, (void *)((base & BITS(51, 12)) + *head));
}

static void write(u64 address, u64 value)
{
	struct hardware *unit = unit_at(address);
	u32 offset = (address - BASE) % STEP;
	u64 on = AMDVI_ENABLE | AMDVI_COMMANDS_ENABLE;

	unit->write_count++;
	*reg(unit, offset) = value;
	if (offset == AMDVI_COMMAND_TAIL &&
	    (*reg(unit, AMDVI_CONTROL) & on) == on)
		run(unit);
}

/* ---- As the unit walks (2.2.3) --------------------------------------------- */

static const struct amdvi_device *device_of(struct hardware *unit, u16 id)
{
	u64 base = *reg(unit, AMDVI_DEVICE_TABLE);

	CHECK_EQ(base & BITS(8, 0), 511);
	return (struct amdvi_device *)(base & BITS(51, 12)) + id;
}

static u64 walk(u64 entry, u64 address)
{
	unsigned level = FIELD_GET(AMDVI_PTE_NEXT, entry);
	u64 offset = 0;

	if (address >> (12 + 9 * level))
		return NOWHERE;
	for (; level; level = FIELD_GET(AMDVI_PTE_NEXT, entry)) {
		const u64 *entries = (u64 *)(entry & AMDVI_PTE_ADDRESS);
		unsigned shift = 12 + 9 * (level - 1);

		offset = address & (BIT(shift) - 1);
		entry = entries[address >> shift & 511];
		if (!(entry & AMDVI_PTE_PRESENT))
			return NOWHERE;
		CHECK(FIELD_GET(AMDVI_PTE_NEXT, entry) < level);
		CHECK_EQ(entry & (AMDVI_PTE_READ | AMDVI_PTE_WRITE),
			 AMDVI_PTE_READ | AMDVI_PTE_WRITE);
		CHECK_EQ(entry & (BITS(8, 1) | BITS(58, 52)), 0);
	}
	return (entry & AMDVI_PTE_ADDRESS) + offset;
}

static u64 translate_by(unsigned unit, u16 id, u64 address)
{
	const struct amdvi_device *device = device_of(&hardware[unit], id);

	CHECK_EQ(device->words[0] & AMDVI_DEVICE_VALID, AMDVI_DEVICE_VALID);
	return walk(device->words[0], address);
}

static u64 translate(u16 id, u64 address)
{
	return translate_by(0, id, address);
}

/* ---- The machine -------------------------------------------------------------- */

static void put_unit(unsigned index, u8 type, u16 segment)
{
	struct ivrs_unit unit = {
		.type = type, .length = sizeof(unit), .id = 2 + index,
		.base = BASE + index * STEP, .segment = segment,
	};

	fake_block(&unit, sizeof(unit));
}

static void prepare(void)
{
	fake_iommu_init();
	fake_iommu.read = read;
	fake_iommu.write = write;
	memset(hardware, 0, sizeof(hardware));
	for (unsigned i = 0; i < UNITS; i++)
		*reg(&hardware[i], AMDVI_FEATURES) = AMDVI_HAS_INVALIDATE_ALL;
	fake_table("IVRS");
}

static void start(void)
{
	prepare();
	put_unit(0, IVRS_UNIT_10, 0);
	fake_iommu_start();
}

static bool is_on(unsigned index)
{
	return *reg(&hardware[index], AMDVI_CONTROL) & AMDVI_ENABLE;
}

TEST(every_device_reaches_everything_but_sluice)
{
	const u16 ids[] = { 0, 1, DRIVE, 0xffff };

	start();
	CHECK(is_on(0));
	CHECK_EQ(hardware[0].flush_count, 1);
	for (size_t i = 0; i < ARRAY_COUNT(ids); i++)
		check_reaches_all_but_sluice(translate, ids[i], MAP_END, BASE);
}

TEST(interrupts_pass_but_init_does_not)
{
	start();
	CHECK_EQ(device_of(&hardware[0], DRIVE)->words[2],
		 BIT(57) | BIT(58) | BITS(63, 62));
}

TEST(a_trusted_function_reaches_all_and_no_other_does)
{
	start();
	CHECK_EQ(fake_trust(0, DRIVE, true), 0);
	CHECK_EQ(hardware[0].flush_count, 2);
	check_reaches_all(translate, DRIVE, MAP_END);
	CHECK_EQ(translate(DRIVE + 1, SLUICE_BASE), NOWHERE);
	CHECK(device_of(&hardware[0], DRIVE)->words[1] !=
	      device_of(&hardware[0], DRIVE + 1)->words[1]);
	CHECK_EQ(fake_trust(0, DRIVE, false), 0);
	CHECK_EQ(hardware[0].flush_count, 3);
	check_reaches_all_but_sluice(translate, DRIVE, MAP_END, BASE);
}

TEST(commands_go_round_the_ring)
{
	start();
	for (unsigned i = 0; i < 300; i++)
		CHECK_EQ(fake_trust(0, DRIVE, i & 1), 0);
	CHECK_EQ(hardware[0].flush_count, 301);
}

TEST(the_guest_has_no_way_to_the_registers)
{
	struct mmio_access access = { .offset = AMDVI_CONTROL, .size = 8 };
	unsigned writes;

	start();
	writes = hardware[0].write_count;
	CHECK_EQ(fake_iommu.region_count, 1);
	CHECK_EQ(fake_iommu.regions[0]->base.v, BASE);
	CHECK_EQ(fake_iommu.regions[0]->size, 0x4000);
	fake_iommu.regions[0]->access(fake_iommu.regions[0], &access);
	CHECK_EQ(access.value, ~0ull);
	access = (struct mmio_access){ AMDVI_CONTROL, 8, true, 0 };
	fake_iommu.regions[0]->access(fake_iommu.regions[0], &access);
	CHECK_EQ(hardware[0].write_count, writes);
	CHECK(fake_is_unit(0, 2));
	CHECK(!fake_is_unit(0, 3) && !fake_is_unit(1, 2));
}

TEST(units_of_a_segment_share_a_table_and_a_unit_is_one)
{
	prepare();
	put_unit(0, IVRS_UNIT_10, 0);
	put_unit(1, IVRS_UNIT_10, 0);
	put_unit(2, IVRS_UNIT_11, 1);
	put_unit(0, IVRS_UNIT_40, 0);
	fake_iommu_start();
	CHECK_EQ(fake_iommu.region_count, 3);
	CHECK(is_on(0) && is_on(1) && is_on(2));
	CHECK_EQ(fake_trust(0, DRIVE, true), 0);
	CHECK_EQ(hardware[1].flush_count, 2);
	CHECK_EQ(translate_by(1, DRIVE, SLUICE_BASE), SLUICE_BASE);
	CHECK_EQ(hardware[2].flush_count, 1);
	CHECK_EQ(translate_by(2, DRIVE, SLUICE_BASE), NOWHERE);
	/* Nor by way of another unit's registers. */
	CHECK_EQ(translate_by(0, 0, BASE + 2 * STEP), NOWHERE);
}

TEST(what_the_firmware_uses_is_left_alone)
{
	prepare();
	*reg(&hardware[0], AMDVI_CONTROL) = AMDVI_ENABLE;
	put_unit(0, IVRS_UNIT_10, 0);
	fake_iommu_start();
	CHECK_EQ(hardware[0].write_count, 0);
	CHECK_EQ(fake_iommu.region_count, 0);
	CHECK(fake_log_has("the firmware uses it"));
	CHECK_EQ(fake_trust(0, DRIVE, true), 0);
}

static void check_not_used(const char *reason)
{
	put_unit(0, IVRS_UNIT_10, 0);
	fake_iommu_start();
	CHECK(!is_on(0));
	CHECK(fake_log_has(reason));
	CHECK_EQ(fake_trust(0, DRIVE, true), 0);
}

TEST(one_that_cannot_be_flushed_is_not_used)
{
	prepare();
	*reg(&hardware[0], AMDVI_FEATURES) = 0;
	check_not_used("too old");
}

TEST(one_without_page_tables_is_not_used)
{
	prepare();
	*reg(&hardware[0], AMDVI_FEATURES) |= BITS(11, 10);
	check_not_used("no page tables");
}

TEST(one_that_is_not_there_is_not_used)
{
	prepare();
	*reg(&hardware[0], AMDVI_CONTROL) = ~0ull;
	put_unit(0, IVRS_UNIT_10, 0);
	fake_iommu_start();
	CHECK_EQ(hardware[0].write_count, 0);
	CHECK(fake_log_has("nobody answers"));
}

TEST(one_that_does_not_reach_all_memory_is_not_used)
{
	prepare();
	fake_iommu.info.ram[0].size = 1ull << 49;
	check_not_used("memory beyond its reach");
}

TEST(one_whose_registers_cannot_be_trapped_is_not_used)
{
	prepare();
	fake_iommu.register_error = -EEXIST;
	check_not_used("cannot be kept from the guest");
}

TEST(one_that_does_not_answer_is_switched_off_again)
{
	prepare();
	hardware[0].is_silent = true;
	check_not_used("does not answer");
}

TEST(without_memory_it_is_not_switched_on)
{
	for (size_t pages = 0; pages < 520; pages += 13) {
		prepare();
		fake_iommu.page_limit = pages;
		check_not_used("cannot be switched on");
	}
}

TEST(it_stays_off_when_the_configuration_says_so)
{
	prepare();
	fake_iommu.info.config.iommu_off = true;
	check_not_used("iommu = off");
	CHECK_EQ(hardware[0].write_count, 0);
}

TEST(memory_far_up_is_mapped)
{
	prepare();
	fake_iommu.info.ram_count = 2;
	fake_iommu.info.ram[1] = (struct ram_range){ 5ull << 40, 1 << 20 };
	put_unit(0, IVRS_UNIT_10, 0);
	fake_iommu_start();
	CHECK_EQ(translate(0, 5ull << 40), 5ull << 40);
}

TEST(damaged_tables_are_not_believed)
{
	static const u8 blocks[][4] = {
		{ IVRS_UNIT_10, 0, 0, 0 }, { IVRS_UNIT_10, 0, 3, 0 },
		{ IVRS_UNIT_10, 0, 5, 0 }, { 0, 0, 0xff, 0xff },
	};

	for (size_t i = 0; i < ARRAY_COUNT(blocks); i++)
		for (size_t size = 1; size <= 4; size++) {
			prepare();
			put_unit(0, IVRS_UNIT_10, 0);
			fake_block(blocks[i], size);
			fake_iommu_start();
			CHECK_EQ(hardware[0].write_count, 0);
			CHECK(fake_log_has("IVRS is damaged"));
		}
}

TEST(a_table_of_a_header_alone_has_no_units)
{
	prepare();
	for (u32 length = 36; length <= 48; length++) {
		fake_table_header()->length = length;
		fake_iommu_start();
	}
	CHECK_EQ(fake_iommu.region_count, 0);
}

TEST(a_block_too_short_for_a_unit_is_none)
{
	static const u8 block[23] = { IVRS_UNIT_10, 0, 23, 0 };

	prepare();
	fake_block(block, sizeof(block));
	fake_iommu_start();
	CHECK_EQ(fake_iommu.region_count, 0);
}
