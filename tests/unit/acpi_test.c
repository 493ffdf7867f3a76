/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI tables in a piece of make-believe RAM, right and wrong. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/acpi.h"
#include "gmem.h"
#include "log.h"
#include "test.h"

#define RAM_BASE 0x7f000000ull
#define RAM_SIZE 0x800
#define RSDP (RAM_BASE + 0x10)
#define RSDT 0x103		/* odd on purpose: nothing is aligned */
#define XSDT 0x205
#define MCFG 0x307
#define FADT 0x409
#define DSDT 0x601
#define OLD_DSDT 0x631
#define SSDT 0x663

static u8 *ram;
static unsigned warning_count;

void *gmem_map(gpa_t base, size_t size)
{
	if (base.v < RAM_BASE ||
	    size > RAM_SIZE || base.v - RAM_BASE > RAM_SIZE - size)
		return NULL;
	return ram + (base.v - RAM_BASE);
}

void log_line(enum log_level level, const char *format, ...)
{
	CHECK_EQ(level, LOG_WARN);
	warning_count++;
}

static void put(size_t offset, u64 value, size_t size)
{
	memcpy(ram + offset, &value, size);
}

static void seal(size_t offset, size_t size, size_t checksum)
{
	u8 sum = 0;

	ram[offset + checksum] = 0;
	for (size_t i = 0; i < size; i++)
		sum += ram[offset + i];
	ram[offset + checksum] = -sum;
}

static void put_table(size_t offset, const char *signature, size_t length)
{
	memcpy(ram + offset, signature, 4);
	put(offset + 4, length, 4);
	seal(offset, length, 9);
}

static void put_rsdp(u8 revision)
{
	memcpy(ram + 0x10, "RSD PTR ", 8);
	ram[0x10 + 15] = revision;
	put(0x10 + 16, RAM_BASE + RSDT, 4);
	put(0x10 + 20, 36, 4);
	put(0x10 + 24, RAM_BASE + XSDT, 8);
	seal(0x10, 20, 8);
	seal(0x10, 36, 32);
}

static void put_ecam(unsigned i, u64 base, u16 segment, u8 first, u8 last)
{
	size_t at = MCFG + 44 + 16 * i;

	put(at, base, 8);
	put(at + 8, segment, 2);
	put(at + 10, first, 1);
	put(at + 11, last, 1);
}

/* The XSDT has FADT and MCFG, the RSDT only the FADT. */
static void build(u8 revision)
{
	free(ram);
	ram = calloc(1, RAM_SIZE);
	put_rsdp(revision);
	put(RSDT + 36, RAM_BASE + FADT, 4);
	put_table(RSDT, "RSDT", 40);
	put(XSDT + 36, RAM_BASE + FADT, 8);
	put(XSDT + 44, RAM_BASE + MCFG, 8);
	put_table(XSDT, "XSDT", 52);
	put_ecam(0, 0xe0000000, 0, 0, 255);
	put_ecam(1, 0x4000000000, 1, 16, 31);
	put_table(MCFG, "MCFG", 44 + 2 * 16);
	put(FADT + 40, RAM_BASE + DSDT, 4);
	put_table(FADT, "FACP", 244);
	put_table(DSDT, "DSDT", 40);
	warning_count = 0;
}

TEST(tables_are_found_through_the_xsdt)
{
	struct acpi_ecam ecam[4];

	build(2);
	acpi_init(RSDP);
	CHECK(acpi_find("FACP") == (void *)(ram + FADT));
	CHECK(!acpi_find("DMAR"));
	CHECK_EQ(acpi_read_ecams(ecam, ARRAY_COUNT(ecam)), 2);
	CHECK_EQ(ecam[0].base, 0xe0000000);
	CHECK_EQ(ecam[0].last_bus, 255);
	CHECK_EQ(ecam[1].base, 0x4000000000);
	CHECK_EQ(ecam[1].segment, 1);
	CHECK_EQ(ecam[1].first_bus, 16);
	CHECK_EQ(acpi_read_ecams(ecam, 1), 1);
	CHECK_EQ(warning_count, 0);
}

TEST(an_old_rsdp_leads_to_the_rsdt)
{
	build(0);
	acpi_init(RSDP);
	CHECK(acpi_find("FACP") == (void *)(ram + FADT));
	CHECK(!acpi_find("MCFG"));
}

TEST(a_broken_xsdt_leaves_the_rsdt)
{
	build(2);
	ram[XSDT + 20]++;
	acpi_init(RSDP);
	CHECK(acpi_find("FACP"));
	CHECK(!acpi_find("MCFG"));
	CHECK_EQ(warning_count, 0);
}

TEST(without_an_rsdp_nothing_is_there_and_it_is_said)
{
	struct acpi_ecam ecam;

	build(2);
	acpi_init(0);
	CHECK(!acpi_find("FACP"));
	CHECK_EQ(acpi_read_ecams(&ecam, 1), 0);
	CHECK_EQ(warning_count, 1);
}

TEST(a_wild_or_broken_rsdp_is_reported_and_ignored)
{
	static const u64 wild[] = { 1, RAM_BASE - 1, RAM_BASE + RAM_SIZE - 19,
				    ~0ull, RAM_BASE + 0x11 };

	build(2);
	for (size_t i = 0; i < ARRAY_COUNT(wild); i++) {
		acpi_init(wild[i]);
		CHECK(!acpi_find("FACP"));
		CHECK_EQ(warning_count, i + 1);
	}
}

static const struct { u64 length; } bad_lengths[] = {
	{ 0 }, { 35 }, { RAM_SIZE }, { ACPI_TABLE_MAX + 1 }, { 0xffffffff },
};

TEST(a_table_with_a_hostile_length_is_not_there)
{
	for (size_t i = 0; i < ARRAY_COUNT(bad_lengths); i++) {
		build(2);
		put(FADT + 4, bad_lengths[i].length, 4);
		acpi_init(RSDP);
		CHECK(!acpi_find("FACP"));
		CHECK(acpi_find("MCFG"));
	}
}

static unsigned visit_count;
static struct acpi_header *visited[4];

static void visit(struct acpi_header *table)
{
	CHECK(visit_count < ARRAY_COUNT(visited));
	visited[visit_count++] = table;
}

/* The SSDT takes the place of MCFG in the XSDT. */
static void build_aml(u64 dsdt, u64 x_dsdt)
{
	build(2);
	put(FADT + 40, dsdt, 4);
	put(FADT + 140, x_dsdt, 8);
	put_table(FADT, "FACP", 244);
	put_table(OLD_DSDT, "DSDT", 40);
	put_table(SSDT, "SSDT", 40);
	put(XSDT + 44, RAM_BASE + SSDT, 8);
	put_table(XSDT, "XSDT", 52);
	acpi_init(RSDP);
	visit_count = 0;
}

TEST(every_table_with_aml_is_visited_once)
{
	build_aml(RAM_BASE + DSDT, RAM_BASE + DSDT);
	acpi_for_each_aml(visit);
	CHECK_EQ(visit_count, 2);
	CHECK(visited[0] == (void *)(ram + DSDT));
	CHECK(visited[1] == (void *)(ram + SSDT));
}

TEST(two_different_dsdts_are_both_visited)
{
	build_aml(RAM_BASE + OLD_DSDT, RAM_BASE + DSDT);
	acpi_for_each_aml(visit);
	CHECK_EQ(visit_count, 3);
	CHECK(visited[1] == (void *)(ram + OLD_DSDT));
}

TEST(aml_with_a_wrong_sum_is_visited)
{
	build_aml(RAM_BASE + OLD_DSDT, 0);
	ram[OLD_DSDT + 9]++;
	acpi_for_each_aml(visit);
	CHECK_EQ(visit_count, 2);
}

TEST(aml_that_is_not_there_is_not_visited)
{
	static const u64 wild[] = { 0, 1, RAM_BASE + RAM_SIZE - 35,
				    RAM_BASE + MCFG };

	for (size_t i = 0; i < ARRAY_COUNT(wild); i++) {
		build_aml(0, wild[i]);
		put(SSDT + 4, bad_lengths[i].length, 4);
		acpi_for_each_aml(visit);
		CHECK_EQ(visit_count, 0);
	}
}

TEST(an_old_fadt_ends_in_zeroes)
{
	struct acpi_fadt fadt;

	build_aml(RAM_BASE + DSDT, RAM_BASE + DSDT);
	put_table(FADT, "FACP", 116);
	CHECK(acpi_read_fadt(&fadt));
	CHECK_EQ(fadt.dsdt, RAM_BASE + DSDT);
	CHECK_EQ(fadt.x_dsdt, 0);
	ram[FADT]++;
	CHECK(!acpi_read_fadt(&fadt));
	CHECK_EQ(fadt.dsdt, 0);
}

TEST(useless_ecam_entries_are_left_out)
{
	struct acpi_ecam ecam[4];

	build(2);
	put_ecam(0, 0xe0001000, 0, 0, 255);
	put_ecam(1, 0xe0000000, 0, 2, 1);
	put_ecam(2, ~0ull << 20, 0, 0, 255);
	put_ecam(3, 0, 0, 0, 255);
	put_ecam(4, 0xd0000000, 7, 3, 3);
	put_table(MCFG, "MCFG", 44 + 5 * 16 + 15);
	acpi_init(RSDP);
	CHECK_EQ(acpi_read_ecams(ecam, ARRAY_COUNT(ecam)), 1);
	CHECK_EQ(ecam[0].segment, 7);
}

static void scribble(void)
{
	for (int i = rand() % 4; i >= 0; i--)
		ram[rand() % RAM_SIZE] = rand();
	if (rand() % 2)
		put(XSDT + 4, 36 + rand() % 0x400, 4);
	if (rand() % 2)
		put(MCFG + 4, 36 + rand() % 0x400, 4);
	if (rand() % 2)
		put(DSDT + 4, rand() % 0x400, 4);
	seal(XSDT, 36 + rand() % 64, 9);
}

static void visit_inside(struct acpi_header *table)
{
	CHECK((u8 *)table + table->length <= ram + RAM_SIZE);
	visit_count++;
}

TEST(scribbled_tables_never_lead_out_of_ram)
{
	struct acpi_ecam ecam[8];
	unsigned found_count = 0;

	for (int i = 0; i < 20000; i++) {
		const struct acpi_header *fadt;

		build(rand() % 3);
		scribble();
		acpi_init(RSDP);
		CHECK(acpi_read_ecams(ecam, ARRAY_COUNT(ecam)) <=
		      ARRAY_COUNT(ecam));
		fadt = acpi_find("FACP");
		if (!fadt)
			continue;
		found_count++;
		CHECK((const u8 *)fadt + fadt->length <= ram + RAM_SIZE);
		acpi_for_each_aml(visit_inside);
	}
	CHECK(found_count > 1000 && visit_count > 1000);
}

TEST(a_hidden_table_is_whole_and_has_another_name)
{
	build(2);
	acpi_init(RSDP);
	CHECK(acpi_hide("MCFG"));
	CHECK(!acpi_find("MCFG"));
	CHECK(acpi_find("XCFG") == (void *)(ram + MCFG));
	CHECK(acpi_find("FACP"));
	CHECK(!acpi_hide("MCFG"));
}

TEST(a_table_with_a_wrong_sum_is_hidden_as_well)
{
	build(2);
	ram[MCFG + 9]++;
	acpi_init(RSDP);
	CHECK(acpi_hide("MCFG"));
	CHECK(!memcmp(ram + MCFG, "XCFG", 4));
}

TEST(nothing_is_hidden_without_tables)
{
	acpi_init(0);
	CHECK(!acpi_hide("MCFG"));
}
