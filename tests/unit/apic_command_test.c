/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt commands: who gets an INIT or a SIPI, what goes on to the APIC as
 * it is, and what goes nowhere.
 */
#include "../../core/x86/apic.h"
#include "fake_apic.h"
#include "spec/x86.h"
#include "test.h"

/* ---- Commands ------------------------------------------------------------ */

static const struct {
	enum mode mode;
	u32 low, destination;
	u32 targets;		/* a bit for each CPU */
} commands[] = {
	/* What Linux and EDK II send. */
	{ FLAT, INIT | LEVEL | ASSERT_, 2, 0x04 },
	{ FLAT, SIPI(0x99), 2, 0x04 },
	{ FLAT, INIT | ASSERT_ | OTHERS, 0, 0x3d },
	{ FLAT, SIPI(0x9f) | ASSERT_ | OTHERS, 0, 0x3d },
	/* The level's end is nobody's business, whoever it is for. */
	{ FLAT, INIT | LEVEL, 2, 0 },
	{ FLAT, INIT | LEVEL | TO_ALL, 0, 0 },
	{ X2APIC, INIT | LEVEL, 0xf, 0 },
	/* Shorthands do not look at the destination. */
	{ FLAT, INIT | SELF, 2, 0x02 },
	{ FLAT, INIT | TO_ALL, 2, 0x3f },
	{ FLAT, INIT | OTHERS | LOGICAL, 2, 0x3d },
	{ X2APIC, INIT | OTHERS, 0xf, 0x3d },
	{ X2APIC, SIPI(8) | TO_ALL, 0xf, 0x3f },
	/* Physical. */
	{ FLAT, INIT, 0, 0x01 },
	{ FLAT, INIT, 9, 0x20 },
	{ FLAT, INIT, 7, 0 },
	{ FLAT, INIT, 0xff, 0x3f },
	{ X2APIC, INIT, 0xff, 0x10 },
	{ X2APIC, INIT, 0x12345, 0x20 },
	{ X2APIC, INIT, 0x2345, 0 },
	{ X2APIC, INIT, 0xffffffff, 0x3f },
	/* Logical, flat: a bit for each CPU. */
	{ FLAT, INIT | LOGICAL, 0x04, 0x04 },
	{ FLAT, SIPI(0x10) | LOGICAL, 0x31, 0x31 },
	{ FLAT, INIT | LOGICAL, 0x40, 0 },
	{ FLAT, INIT | LOGICAL, 0, 0 },
	{ FLAT, INIT | LOGICAL, 0xff, 0x3f },
	/* Logical, clusters: cluster in the upper half, bits in the lower. */
	{ CLUSTER, INIT | LOGICAL, 0x03, 0x03 },
	{ CLUSTER, INIT | LOGICAL, 0x12, 0x08 },
	{ CLUSTER, INIT | LOGICAL, 0x1f, 0x0c },
	{ CLUSTER, INIT | LOGICAL, 0x22, 0 },
	{ CLUSTER, INIT | LOGICAL, 0xf1, 0x15 },
	{ CLUSTER, INIT | LOGICAL, 0xff, 0x3f },
	/* Logical in x2APIC mode: cluster in 31:16, bits in 15:0. */
	{ X2APIC, INIT | LOGICAL, 0x00008003, 0x07 },
	{ X2APIC, SIPI(0x44) | LOGICAL, 0x00010001, 0x08 },
	{ X2APIC, INIT | LOGICAL, 0x000fffff, 0x10 },
	{ X2APIC, INIT | LOGICAL, 0x12340020, 0x20 },
	{ X2APIC, INIT | LOGICAL, 0x00020001, 0 },
	{ X2APIC, INIT | LOGICAL, 0xffffffff, 0x3f },
};

TEST(init_and_sipi_find_their_targets_and_never_reach_the_apic)
{
	for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
		bool is_init = (commands[i].low & ICR_MODE) == INIT;
		u32 targets = commands[i].targets;

		fake_apic_start(commands[i].mode);
		fake_apic_send(commands[i].mode, commands[i].low,
		     commands[i].destination);
		CHECK_EQ(fake.inits, is_init ? targets : 0);
		CHECK_EQ(fake.startups, is_init ? 0 : targets);
		if (fake.startups)
			CHECK_EQ(fake.startup_vector, commands[i].low & 0xff);
		CHECK_EQ(fake.icr_writes + fake.x2apic_icr_writes, 0);
	}
}

TEST(a_cpu_that_was_never_launched_is_sent_nothing)
{
	fake_apic_start(FLAT);
	fake.cpus[3].is_virtualized = false;
	fake_apic_send(FLAT, INIT | OTHERS, 0);
	CHECK_EQ(fake.inits, 0x35);
}

/* Fixed, lowest priority, SMI, NMI. */
TEST(every_other_command_goes_on_as_it_is)
{
	static const u32 modes[] = { 0x0fd, 0x1fd, 0x200, 0x400 };

	for (size_t i = 0; i < ARRAY_COUNT(modes); i++) {
		fake_apic_start(FLAT);
		fake_apic_send(FLAT, modes[i] | OTHERS, 3);
		CHECK_EQ(fake.icr_writes, 1);
		CHECK_EQ(*fake_apic_at(APIC_ICR_LOW), modes[i] | OTHERS);
		CHECK_EQ(*fake_apic_at(APIC_ICR_HIGH), 3 << 24);
		fake_apic_start(X2APIC);
		fake_apic_send(X2APIC, modes[i], 0x12345);
		CHECK_EQ(fake.x2apic_icr, 0x1234500000000 | modes[i]);
		CHECK_EQ(fake.inits | fake.startups, 0);
	}
}

/* ---- The page ------------------------------------------------------------ */

static const struct { u64 offset; unsigned size; } odd_writes[] = {
	{ APIC_ICR_LOW, 1 }, { APIC_ICR_LOW, 2 }, { APIC_ICR_LOW, 8 },
	{ APIC_ICR_LOW - 4, 8 }, { APIC_ICR_LOW - 1, 4 },
	{ APIC_ICR_LOW + 1, 1 }, { APIC_ICR_LOW + 4, 4 },
	{ APIC_ICR_LOW + 8, 8 }, { APIC_TPR, 1 },
};

TEST(a_write_of_odd_width_or_place_goes_nowhere)
{
	for (size_t i = 0; i < ARRAY_COUNT(odd_writes); i++) {
		fake_apic_start(FLAT);
		fake_apic_write(odd_writes[i].offset, odd_writes[i].size,
			   0x0000050000000500);
		CHECK_EQ(fake.register_writes + fake.inits, 0);
	}
}

TEST(other_registers_are_written_through)
{
	fake_apic_start(FLAT);
	fake_apic_write(APIC_TPR, 4, 0x20);
	CHECK_EQ(*fake_apic_at(APIC_TPR), 0x20);
	fake_apic_write(APIC_SVR, 4, 0x1ff);
	CHECK_EQ(*fake_apic_at(APIC_SVR), 0x1ff);
	CHECK_EQ(fake.register_writes, 2);
}

TEST(logical_identities_follow_what_the_guest_writes)
{
	fake_apic_start(FLAT);
	fake_apic_write(APIC_LDR, 4, 0x80123456);
	fake_apic_send(FLAT, INIT | LOGICAL, 0x82);
	CHECK_EQ(fake.inits, 0x02);
	fake_apic_forget();
	fake_apic_write(APIC_DFR, 4, 0x0fffffff);
	fake_apic_write(APIC_LDR, 4, 0x34000000);
	/* Cluster 3 for the sender; the others still go by single bits. */
	fake_apic_send(FLAT, INIT | LOGICAL, 0x3c);
	CHECK_EQ(fake.inits, 0x3e);
	fake_apic_forget();
	fake_apic_send(FLAT, INIT | LOGICAL, 0x4c);
	CHECK_EQ(fake.inits, 0x0c);
}

/* A kick to an identity the APIC never took would be lost. */
TEST(an_apic_id_is_the_guests_only_where_the_apic_takes_it)
{
	fake_apic_start(FLAT);
	fake_apic_write(APIC_ID, 4, 0x55000000);
	CHECK_EQ(fake.cpus[APIC_SENDER].apic_id, 0x55);
	fake_apic_start(FLAT);
	fake.id_writable = false;
	fake_apic_write(APIC_ID, 4, 0x55000000);
	CHECK_EQ(fake.cpus[APIC_SENDER].apic_id, 1);
}

/* 16.9: then the registers are MSRs, or not there. */
TEST(without_xapic_mode_the_page_is_not_the_apics)
{
	static const u64 modes[] = { APIC_BASE_ENABLE | APIC_BASE_X2APIC, 0 };

	for (size_t i = 0; i < ARRAY_COUNT(modes); i++) {
		fake_apic_start(FLAT);
		fake.apic_base = APIC_DEFAULT_BASE | modes[i];
		fake_apic_write(APIC_ICR_LOW, 4, INIT | OTHERS);
		fake_apic_write(APIC_TPR, 4, 0);
		CHECK_EQ(fake.inits + fake.register_writes, 0);
	}
}

TEST(a_guest_that_writes_nonsense_does_not_fill_the_log)
{
	fake_apic_start(FLAT);
	for (int i = 0; i < 1000; i++)
		fake_apic_write(APIC_ICR_LOW, 1, 0);
	CHECK(fake.log_count <= 10);
}
