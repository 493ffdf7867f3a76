/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sleep states in make-believe firmware tables, and writes to the registers
 * that enter them. Every test has a process of its own and starts once.
 */
#include <errno.h>
#include <string.h>

#include "../../core/acpi.h"
#include "../../core/ioport.h"
#include "../../core/sleep.h"
#include "../../core/x86/io.h"
#include "bits.h"
#include "fake_log.h"
#include "gmem.h"
#include "mmio.h"
#include "setting.h"
#include "test.h"

#define RAM_BASE 0x7f000000ull
#define XSDT 0x100
#define FADT 0x200
#define DSDT 0x400
#define SSDT 0x600
#define RAM_SIZE 0x800
#define HEADER_SIZE sizeof(struct acpi_header)

#define PM1A 0x604
#define PM1B 0x60a
#define PAGE 0xfed80000ull
#define PM_MEMORY (PAGE + 0x804)

#define SLEEP(type) (0x2000 | (type) << 10)	/* SLP_EN and SLP_TYP */
#define NAME(c, a, b) 0x08, '_', 'S', c, '_', 0x12, 0x06, 0x02, 0x0a, a, 0x0a, b

/* Scope (\) as QEMU writes it for q35: types 1, 2 and 0. */
static const u8 q35[] = {
	0x10, 0x2a, '\\', 0x00,
	0x08, '_', 'S', '3', '_', 0x12, 0x06, 0x04, 0x01, 0x01, 0x00, 0x00,
	0x08, '_', 'S', '4', '_', 0x12, 0x08, 0x04, 0x0a, 0x02, 0x0a, 0x02,
	0x00, 0x00,
	0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0x00, 0x00, 0x00, 0x00,
};

/* Every state, with other types in block B; S3 inside If (One). */
static const u8 all_states[] = {
	NAME('1', 1, 2), NAME('2', 2, 1), 0xa0, 0x0f, 0x01, NAME('3', 5, 3),
	NAME('4', 6, 4), NAME('5', 7, 7),
};

static const u8 no_s5[] = { NAME('3', 5, 5), NAME('4', 6, 6) };
static const u8 s3_and_s4_alike[] = {
	NAME('3', 5, 5), NAME('4', 5, 5), NAME('5', 7, 7),
};

/* _S5_ of one integer, both types in it. */
static const u8 short_s5[] = {
	0x08, '_', 'S', '5', '_', 0x12, 0x05, 0x01, 0x0b, 0x07, 0x04,
};

static u8 ram[RAM_SIZE];
static struct acpi_fadt fadt;
static bool is_closed;
static u32 ports[0x10000];
static unsigned write_count, memory_write_count;
static struct mmio_region *page;
static int mmio_error;

/* ---- The machine ----------------------------------------------------------- */

void *gmem_map(gpa_t base, size_t size)
{
	if (!range_inside(base.v - RAM_BASE, size, RAM_SIZE))
		return NULL;
	return ram + (base.v - RAM_BASE);
}

bool config_fail_closed(void)
{
	return is_closed;
}

u32 io_read(u16 port, unsigned size)
{
	return ports[port];
}

void io_write(u16 port, unsigned size, u32 value)
{
	ports[port] = value;
	write_count++;
}

int mmio_register(struct mmio_region *region)
{
	CHECK(!page || mmio_error);
	page = region;
	return mmio_error;
}

void mmio_write(hpa_t address, unsigned size, u64 value)
{
	memory_write_count++;
}

static u8 sum_of(size_t at, size_t size)
{
	u8 sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += ram[at + i];
	return sum;
}

static u8 sum(size_t at)
{
	return sum_of(at, ((struct acpi_header *)(ram + at))->length);
}

static bool has_name(size_t table_at, const char *name)
{
	for (size_t at = table_at; at < table_at + 0x1fc; at++)
		if (!memcmp(ram + at, name, 4))
			return true;
	return false;
}

static void put_table(size_t at, const char *signature, const void *body,
		      size_t size)
{
	struct acpi_header *table = (void *)(ram + at);

	memcpy(ram + at + HEADER_SIZE, body, size);
	memcpy(table->signature, signature, 4);
	table->length = HEADER_SIZE + size;
	table->checksum = 0;
	table->checksum = -sum(at);
}

static void put_rsdp(void)
{
	struct acpi_rsdp *rsdp = (void *)ram;

	memcpy(rsdp->signature, "RSD PTR ", 8);
	rsdp->revision = 2;
	rsdp->xsdt = RAM_BASE + XSDT;
	rsdp->checksum = -sum_of(0, ACPI_RSDP_SIZE_1);
	rsdp->extended_checksum = -sum_of(0, sizeof(*rsdp));
}

/* The DSDT's code; the SSDT is put by who wants one. */
static void put_tables(const u8 *code, size_t size)
{
	u64 entries[] = { RAM_BASE + FADT, RAM_BASE + SSDT };

	put_rsdp();
	put_table(XSDT, "XSDT", entries, sizeof(entries));
	fadt.dsdt = fadt.x_dsdt = RAM_BASE + DSDT;
	put_table(FADT, "FACP", (u8 *)&fadt + HEADER_SIZE,
		  sizeof(fadt) - HEADER_SIZE);
	put_table(DSDT, "DSDT", code, size);
}

static int start(void)
{
	acpi_init(RAM_BASE);
	return sleep_init();
}

static bool port_passes(u16 port, unsigned size, u32 value)
{
	unsigned before = write_count;

	ioport_access(port, size, true, &value);
	return write_count != before;
}

static bool memory_passes(u64 address, unsigned size, u64 value)
{
	struct mmio_access access = { address - PAGE, size, true, value };
	unsigned before = memory_write_count;

	CHECK(page && page->traps == MMIO_TRAPS_WRITES);
	CHECK_EQ(page->base.v, PAGE);
	page->access(page, &access);
	return memory_write_count != before;
}

/* ---- What the operating system reads ---------------------------------------- */

TEST(s3_is_renamed_and_nothing_else)
{
	u8 expected[sizeof(q35)];

	memcpy(expected, q35, sizeof(q35));
	memcpy(expected + 5, "XS3_", 4);
	put_tables(q35, sizeof(q35));
	CHECK_EQ(start(), 0);
	CHECK(!memcmp(ram + DSDT + HEADER_SIZE, expected, sizeof(q35)));
	CHECK_EQ(sum(DSDT), 0);
	CHECK(fake_log_has("sleep: S3 is hidden"));
}

TEST(s2_is_renamed_like_s3_in_every_table)
{
	put_tables(all_states, sizeof(all_states));
	put_table(SSDT, "SSDT", all_states, sizeof(all_states));
	CHECK_EQ(start(), 0);
	for (size_t at = DSDT; at <= SSDT; at += SSDT - DSDT) {
		CHECK_EQ(sum(at), 0);
		CHECK(!has_name(at, "_S2_"));
		CHECK(!has_name(at, "_S3_"));
		CHECK(has_name(at, "_S1_"));
	}
	CHECK(fake_log_has("sleep: S2 is hidden"));
}

TEST(a_wrong_sum_stays_as_wrong_as_it_was)
{
	put_tables(q35, sizeof(q35));
	ram[DSDT + 9] += 3;
	CHECK_EQ(start(), 0);
	CHECK(has_name(DSDT, "XS3_"));
	CHECK_EQ(sum(DSDT), 3);
}

TEST(without_a_fadt_there_is_nothing_to_hide)
{
	put_tables(q35, sizeof(q35));
	ram[FADT]++;
	CHECK_EQ(start(), 0);
	CHECK(fake_log_has("sleep: no FADT"));
	CHECK(port_passes(PM1A, 2, SLEEP(1)));
}

/* ---- Ports -------------------------------------------------------------------- */

static const struct {
	u16 port;
	unsigned size;
	u32 value;
	bool passes;
} writes[] = {
	{ PM1A, 2, SLEEP(5), false },
	{ PM1A, 2, SLEEP(5) | 0xc3ff, false },
	{ PM1A, 4, SLEEP(5), false },
	{ PM1A + 1, 1, SLEEP(5) >> 8, false },
	{ PM1A, 2, SLEEP(2), false },		/* S2 */
	{ PM1A, 2, SLEEP(0), false },		/* nobody's */
	{ PM1A, 2, SLEEP(1), true },		/* S1, S4, S5 */
	{ PM1A, 2, SLEEP(6), true },
	{ PM1A, 2, SLEEP(7), true },
	{ PM1A + 1, 1, SLEEP(7) >> 8, true },
	{ PM1A, 2, 5 << 10, true },		/* without SLP_EN */
	{ PM1A, 1, 0xff, true },		/* the other byte */
	{ PM1A + 2, 2, SLEEP(5), true },	/* beside it */
	{ PM1A - 4, 4, ~0u, true },
};

TEST(a_write_that_would_sleep_is_dropped)
{
	fadt.pm1a_control = PM1A;
	put_tables(all_states, sizeof(all_states));
	CHECK_EQ(start(), 0);
	for (size_t i = 0; i < ARRAY_COUNT(writes); i++)
		CHECK_EQ(port_passes(writes[i].port, writes[i].size,
				     writes[i].value), writes[i].passes);
	CHECK(fake_log_has("sleep: 0x3400 to port 0x604: would sleep"));
}

/* The piece with SLP_EN must not arrive; what the others do is theirs. */
TEST(an_access_that_reaches_across_does_not_slip_by)
{
	static const struct { u16 port; u32 value; } across[] = {
		{ PM1A - 2, SLEEP(5) << 16 }, { PM1A - 1, SLEEP(5) << 8 },
		{ PM1A + 1, SLEEP(5) >> 8 },
	};

	fadt.pm1a_control = PM1A;
	put_tables(all_states, sizeof(all_states));
	CHECK_EQ(start(), 0);
	for (size_t i = 0; i < ARRAY_COUNT(across); i++) {
		port_passes(across[i].port, 4, across[i].value);
		CHECK(fake_log_has("dropped"));
		CHECK(!(ports[PM1A] & 0x2000) && !(ports[PM1A + 1] & 0x20));
	}
}

TEST(reads_reach_the_register)
{
	u32 value = 0;

	fadt.pm1a_control = PM1A;
	put_tables(q35, sizeof(q35));
	CHECK_EQ(start(), 0);
	ports[PM1A] = 0x1401;
	ioport_access(PM1A, 2, false, &value);
	CHECK_EQ(value, 0x1401);
}

TEST(the_second_register_has_types_of_its_own)
{
	fadt.pm1a_control = PM1A;
	fadt.pm1b_control = PM1B;
	put_tables(all_states, sizeof(all_states));
	CHECK_EQ(start(), 0);
	CHECK(port_passes(PM1B, 2, SLEEP(4)));
	CHECK(port_passes(PM1B, 2, SLEEP(7)));
	CHECK(!port_passes(PM1B, 2, SLEEP(3)));
	CHECK(!port_passes(PM1B, 2, SLEEP(6)));
	CHECK(port_passes(PM1A, 2, SLEEP(6)));
}

TEST(one_integer_has_the_types_of_both_registers)
{
	fadt.pm1a_control = PM1A;
	fadt.pm1b_control = PM1B;
	put_tables(short_s5, sizeof(short_s5));
	CHECK_EQ(start(), 0);
	CHECK(port_passes(PM1A, 2, SLEEP(7)));
	CHECK(!port_passes(PM1A, 2, SLEEP(4)));
	CHECK(port_passes(PM1B, 2, SLEEP(4)));
	CHECK(!port_passes(PM1B, 2, SLEEP(7)));
}

TEST(a_type_of_s3_and_s4_alike_is_dropped)
{
	fadt.pm1a_control = PM1A;
	put_tables(s3_and_s4_alike, sizeof(s3_and_s4_alike));
	CHECK_EQ(start(), 0);
	CHECK(!port_passes(PM1A, 2, SLEEP(5)));
	CHECK(port_passes(PM1A, 2, SLEEP(7)));
}

TEST(without_s5_only_known_types_are_dropped)
{
	fadt.pm1a_control = PM1A;
	put_tables(no_s5, sizeof(no_s5));
	CHECK_EQ(start(), 0);
	CHECK(!port_passes(PM1A, 2, SLEEP(5)));
	CHECK(port_passes(PM1A, 2, SLEEP(7)));
	CHECK(fake_log_has("S5 was not found: the guest may try"));
}

TEST(without_s5_and_failing_closed_unknown_types_are_dropped)
{
	is_closed = true;
	fadt.pm1a_control = PM1A;
	put_tables(no_s5, sizeof(no_s5));
	CHECK_EQ(start(), 0);
	CHECK(!port_passes(PM1A, 2, SLEEP(7)));
	CHECK(port_passes(PM1A, 2, SLEEP(6)));
	CHECK(fake_log_has("S5 was not found: the guest cannot switch off"));
}

/* ---- Registers elsewhere -------------------------------------------------------- */

TEST(a_register_in_memory_is_watched)
{
	fadt.pm1a_control = PM1A;
	fadt.x_pm1a_control = (struct acpi_register){
		.space = ACPI_SPACE_MEMORY, .address = PM_MEMORY };
	put_tables(all_states, sizeof(all_states));
	CHECK_EQ(start(), 0);
	CHECK(!memory_passes(PM_MEMORY, 2, SLEEP(5)));
	CHECK(!memory_passes(PM_MEMORY - 3, 8, (u64)SLEEP(5) << 24));
	CHECK(!memory_passes(PM_MEMORY + 1, 1, SLEEP(5) >> 8));
	CHECK(memory_passes(PM_MEMORY, 2, SLEEP(7)));
	CHECK(memory_passes(PM_MEMORY + 2, 2, SLEEP(5)));
	CHECK(memory_passes(PAGE + 0xff8, 8, ~0ull));
	CHECK(!port_passes(PM1A, 2, SLEEP(5)));
	CHECK(fake_log_has("to address 0xfed80804: would sleep"));
}

TEST(registers_in_one_page_share_a_region)
{
	fadt.x_pm1a_control.address = PM_MEMORY;
	fadt.x_pm1b_control.address = PM_MEMORY + 4;
	put_tables(all_states, sizeof(all_states));
	CHECK_EQ(start(), 0);
	CHECK(!memory_passes(PM_MEMORY, 2, SLEEP(3)));
	CHECK(!memory_passes(PM_MEMORY + 4, 2, SLEEP(5)));
	CHECK(memory_passes(PM_MEMORY + 4, 2, SLEEP(4)));
}

TEST(the_sleep_control_register_is_watched)
{
	fadt.sleep_control = (struct acpi_register){
		.space = ACPI_SPACE_PORT, .address = 0x701 };
	put_tables(all_states, sizeof(all_states));
	CHECK_EQ(start(), 0);
	CHECK(!port_passes(0x701, 1, SLEEP(5) >> 8));
	CHECK(!port_passes(0x700, 2, SLEEP(5)));
	CHECK(port_passes(0x701, 1, SLEEP(7) >> 8));
	CHECK(port_passes(0x702, 1, SLEEP(5) >> 8));
}

TEST(a_register_that_cannot_be_watched_is_said)
{
	fadt.x_pm1a_control = (struct acpi_register){
		.space = 0x7f, .address = 1 };
	fadt.x_pm1b_control = (struct acpi_register){
		.space = ACPI_SPACE_PORT, .address = 0xffff };
	put_tables(all_states, sizeof(all_states));
	CHECK_EQ(start(), 0);
	CHECK(fake_log_has("register at 0x2 of space 127 cannot be watched"));
	CHECK(fake_log_has("register at 0x10000 of space 1 cannot be watched"));
}

TEST(a_register_that_cannot_be_watched_fails_closed)
{
	is_closed = true;
	mmio_error = -EEXIST;
	fadt.x_pm1a_control.address = PM_MEMORY;
	put_tables(all_states, sizeof(all_states));
	CHECK_EQ(start(), -EEXIST);
}
