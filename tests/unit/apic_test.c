/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt commands on six make-believe processors: who gets an INIT or a
 * SIPI, what goes on to the APIC as it is, and what goes nowhere.
 */
#include <errno.h>
#include <string.h>

#include "../../core/x86/apic.h"
#include "../../core/x86/apic_page.h"
#include "../../core/x86/smp.h"
#include "clock.h"
#include "log.h"
#include "mmio.h"
#include "spec/x86.h"
#include "test.h"
#include "vt.h"

static const struct vt fake_vt;
const struct vt *vt = &fake_vt;

#define CPU_COUNT 6
#define SENDER 1
#define NEVER (~0u)

static struct cpu cpus[CPU_COUNT];
static u64 now_us;

/* ---- The sender's APIC --------------------------------------------------- */

static u32 registers[0x400 / 16];
static u64 apic_base, x2apic_id, x2apic_icr;
static u32 base_writes, icr_writes, register_writes, x2apic_icr_writes;
static u32 pending_reads;	/* ICR says pending so often */
static bool id_writable;

static u32 *reg(u64 offset)
{
	CHECK(offset < 0x400 && is_aligned(offset, 16));
	return &registers[offset / 16];
}

u32 mmio_read32(hpa_t address)
{
	u32 pending = 0;

	now_us++;
	CHECK_EQ(apic_base & APIC_BASE_MODE, APIC_BASE_ENABLE);
	if (address.v - APIC_DEFAULT_BASE == APIC_ICR_LOW && pending_reads) {
		pending = ICR_PENDING;
		pending_reads -= pending_reads != NEVER;
	}
	return *reg(address.v - APIC_DEFAULT_BASE) | pending;
}

static void end_highest(void)
{
	u32 offset = APIC_ISR_END - 16;

	while (offset > APIC_ISR && !*reg(offset))
		offset -= 16;
	if (*reg(offset))
		*reg(offset) &= ~(0x80000000 >> __builtin_clz(*reg(offset)));
}

void mmio_write32(hpa_t address, u32 value)
{
	u32 offset = address.v - APIC_DEFAULT_BASE;

	CHECK_EQ(apic_base & APIC_BASE_MODE, APIC_BASE_ENABLE);
	register_writes++;
	icr_writes += offset == APIC_ICR_LOW;
	if (offset == APIC_ID && !id_writable)
		return;
	if (offset == APIC_LDR)
		value &= APIC_LDR_FIELD;
	if (offset == APIC_EOI)
		end_highest();
	*reg(offset) = value;
}

u64 rdmsr(u32 index)
{
	switch (index) {
	case MSR_APIC_BASE:
		return apic_base;
	case MSR_X2APIC_ID:
		CHECK(apic_base & APIC_BASE_X2APIC);
		return x2apic_id;
	default:
		FAIL("rdmsr %#x", index);
	}
}

/* The modes go round: off, xAPIC, x2APIC, off. */
static bool can_switch_to(u64 value)
{
	u64 modes = APIC_BASE_X2APIC | APIC_BASE_ENABLE;
	u64 from = apic_base & modes, to = value & modes;

	if (to == APIC_BASE_X2APIC)
		return false;
	if (from == modes)
		return to != APIC_BASE_ENABLE;
	return to != modes || from;
}

bool msr_write_safe(u32 index, u64 value)
{
	if (index == MSR_APIC_BASE) {
		if (!can_switch_to(value))
			return false;
		base_writes++;
		apic_base = value;
		return true;
	}
	CHECK_EQ(index, MSR_X2APIC_ICR);
	if (!(apic_base & APIC_BASE_X2APIC) || (value & BITS(31, 20)))
		return false;
	x2apic_icr = value;
	x2apic_icr_writes++;
	return true;
}

/* Where the processor would refuse, the hypervisor would have died. */
void wrmsr(u32 index, u64 value)
{
	CHECK(msr_write_safe(index, value));
}

/* ---- Everybody else ------------------------------------------------------ */

static u32 inits, startups;	/* a bit for each CPU */
static u8 startup_vector;
static void (*access_page)(struct mmio_region *, struct mmio_access *);
static bool is_held;		/* the page */
static u32 log_count;

struct cpu *cpu_this(void)
{
	return &cpus[SENDER];
}

u32 cpu_count(void)
{
	return CPU_COUNT;
}

struct cpu *cpu_get(u32 index)
{
	CHECK(index < CPU_COUNT);
	return &cpus[index];
}

void smp_send_init(struct cpu *cpu)
{
	CHECK(is_held);
	inits |= BIT(cpu - cpus);
}

void smp_send_startup(struct cpu *cpu, u8 vector)
{
	CHECK(is_held);
	startups |= BIT(cpu - cpus);
	startup_vector = vector;
}

bool smp_take_kick(struct cpu *cpu)
{
	bool was_kicked = cpu->kick_pending;

	cpu->kick_pending = 0;
	return was_kicked;
}

int apic_page_init(enum apic_policy policy,
		   void (*access)(struct mmio_region *, struct mmio_access *))
{
	access_page = access;
	return 0;
}

void apic_page_hold(void)
{
	CHECK(!is_held);
	is_held = true;
}

void apic_page_release(void)
{
	CHECK(is_held);
	is_held = false;
}

void apic_page_written(struct cpu *cpu)
{
	CHECK(!is_held);
}

bool apic_page_opens(void)
{
	return true;
}

u64 clock_now_us(void)
{
	return now_us;
}

bool log_allowed(struct log_limit *limit)
{
	return limit->line_count++ < 10;
}

void log_line(enum log_level level, const char *format, ...)
{
	log_count++;
}

/* ---- Set-up -------------------------------------------------------------- */

enum mode { FLAT, CLUSTER, X2APIC };

static const struct {
	u32 apic_id, ldr, dfr;
} identities[][CPU_COUNT] = {
	[FLAT] = {
		{ 0, 0x01000000, ~0u }, { 1, 0x02000000, ~0u },
		{ 2, 0x04000000, ~0u }, { 3, 0x08000000, ~0u },
		{ 8, 0x10000000, ~0u }, { 9, 0x20000000, ~0u },
	},
	[CLUSTER] = {
		{ 0, 0x01000000, 0x0fffffff }, { 1, 0x02000000, 0x0fffffff },
		{ 2, 0x11000000, 0x0fffffff }, { 3, 0x12000000, 0x0fffffff },
		{ 8, 0x21000000, 0x0fffffff }, { 9, 0, 0x0fffffff },
	},
	[X2APIC] = {
		{ 0, 0, 0 }, { 1, 0, 0 }, { 0xf, 0, 0 },
		{ 0x10, 0, 0 }, { 0xff, 0, 0 }, { 0x12345, 0, 0 },
	},
};

static void forget(void)
{
	inits = startups = startup_vector = log_count = 0;
	base_writes = icr_writes = register_writes = x2apic_icr_writes = 0;
}

static void start(enum mode mode)
{
	memset(registers, 0, sizeof(registers));
	for (unsigned i = 0; i < CPU_COUNT; i++)
		cpus[i] = (struct cpu){
			.index = i,
			.is_virtualized = true,
			.apic_id = identities[mode][i].apic_id,
			.apic_ldr = identities[mode][i].ldr,
			.apic_dfr = identities[mode][i].dfr,
		};
	apic_base = APIC_DEFAULT_BASE | APIC_BASE_ENABLE;
	if (mode == X2APIC)
		apic_base |= APIC_BASE_X2APIC;
	*reg(APIC_ID) = cpus[SENDER].apic_id << 24;
	*reg(APIC_LDR) = cpus[SENDER].apic_ldr;
	*reg(APIC_DFR) = cpus[SENDER].apic_dfr;
	pending_reads = 0;
	id_writable = true;
	forget();
	CHECK_EQ(apic_init(APIC_AUTO), 0);
}

static void write_page(u64 offset, unsigned size, u64 value)
{
	struct mmio_access access = {
		.offset = offset, .size = size, .is_write = true,
		.value = value,
	};

	access_page(NULL, &access);
}

static void send(enum mode mode, u32 low, u32 destination)
{
	if (mode == X2APIC) {
		CHECK(apic_msr_write(cpu_this(), MSR_X2APIC_ICR,
				     (u64)destination << 32 | low));
		return;
	}
	write_page(APIC_ICR_HIGH, 4, destination << 24);
	write_page(APIC_ICR_LOW, 4, low);
}

/* ---- Commands ------------------------------------------------------------ */

#define INIT 0x500
#define SIPI(vector) (0x600 | (vector))
#define LOGICAL 0x800
#define ASSERT_ 0x4000
#define LEVEL 0x8000
#define SELF 0x40000
#define TO_ALL 0x80000
#define OTHERS 0xc0000

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

		start(commands[i].mode);
		send(commands[i].mode, commands[i].low,
		     commands[i].destination);
		CHECK_EQ(inits, is_init ? targets : 0);
		CHECK_EQ(startups, is_init ? 0 : targets);
		if (startups)
			CHECK_EQ(startup_vector, commands[i].low & 0xff);
		CHECK_EQ(icr_writes + x2apic_icr_writes, 0);
	}
}

TEST(a_cpu_that_was_never_launched_is_sent_nothing)
{
	start(FLAT);
	cpus[3].is_virtualized = false;
	send(FLAT, INIT | OTHERS, 0);
	CHECK_EQ(inits, 0x35);
}

/* Fixed, lowest priority, SMI, NMI. */
TEST(every_other_command_goes_on_as_it_is)
{
	static const u32 modes[] = { 0x0fd, 0x1fd, 0x200, 0x400 };

	for (size_t i = 0; i < ARRAY_COUNT(modes); i++) {
		start(FLAT);
		send(FLAT, modes[i] | OTHERS, 3);
		CHECK_EQ(icr_writes, 1);
		CHECK_EQ(*reg(APIC_ICR_LOW), modes[i] | OTHERS);
		CHECK_EQ(*reg(APIC_ICR_HIGH), 3 << 24);
		start(X2APIC);
		send(X2APIC, modes[i], 0x12345);
		CHECK_EQ(x2apic_icr, 0x1234500000000 | modes[i]);
		CHECK_EQ(inits | startups, 0);
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
		start(FLAT);
		write_page(odd_writes[i].offset, odd_writes[i].size,
			   0x0000050000000500);
		CHECK_EQ(register_writes + inits, 0);
	}
}

TEST(other_registers_are_written_through)
{
	start(FLAT);
	write_page(APIC_TPR, 4, 0x20);
	CHECK_EQ(*reg(APIC_TPR), 0x20);
	write_page(APIC_SVR, 4, 0x1ff);
	CHECK_EQ(*reg(APIC_SVR), 0x1ff);
	CHECK_EQ(register_writes, 2);
}

TEST(logical_identities_follow_what_the_guest_writes)
{
	start(FLAT);
	write_page(APIC_LDR, 4, 0x80123456);
	send(FLAT, INIT | LOGICAL, 0x82);
	CHECK_EQ(inits, 0x02);
	forget();
	write_page(APIC_DFR, 4, 0x0fffffff);
	write_page(APIC_LDR, 4, 0x34000000);
	/* Cluster 3 for the sender; the others still go by single bits. */
	send(FLAT, INIT | LOGICAL, 0x3c);
	CHECK_EQ(inits, 0x3e);
	forget();
	send(FLAT, INIT | LOGICAL, 0x4c);
	CHECK_EQ(inits, 0x0c);
}

/* A kick to an identity the APIC never took would be lost. */
TEST(an_apic_id_is_the_guests_only_where_the_apic_takes_it)
{
	start(FLAT);
	write_page(APIC_ID, 4, 0x55000000);
	CHECK_EQ(cpus[SENDER].apic_id, 0x55);
	start(FLAT);
	id_writable = false;
	write_page(APIC_ID, 4, 0x55000000);
	CHECK_EQ(cpus[SENDER].apic_id, 1);
}

/* 16.9: then the registers are MSRs, or not there. */
TEST(without_xapic_mode_the_page_is_not_the_apics)
{
	static const u64 modes[] = { APIC_BASE_ENABLE | APIC_BASE_X2APIC, 0 };

	for (size_t i = 0; i < ARRAY_COUNT(modes); i++) {
		start(FLAT);
		apic_base = APIC_DEFAULT_BASE | modes[i];
		write_page(APIC_ICR_LOW, 4, INIT | OTHERS);
		write_page(APIC_TPR, 4, 0);
		CHECK_EQ(inits + register_writes, 0);
	}
}

TEST(a_guest_that_writes_nonsense_does_not_fill_the_log)
{
	start(FLAT);
	for (int i = 0; i < 1000; i++)
		write_page(APIC_ICR_LOW, 1, 0);
	CHECK(log_count <= 10);
}

/* ---- Two MSRs ------------------------------------------------------------ */

#define BASE(bits) (APIC_DEFAULT_BASE | (bits))
#define XAPIC_ON APIC_BASE_ENABLE
#define X2APIC_ON (APIC_BASE_ENABLE | APIC_BASE_X2APIC)

static const struct {
	u64 from, to;
	bool works;
} base_cases[] = {
	{ BASE(XAPIC_ON), BASE(XAPIC_ON), true },
	{ BASE(XAPIC_ON), BASE(XAPIC_ON | APIC_BASE_BSP), true },
	{ BASE(XAPIC_ON), BASE(X2APIC_ON), true },
	{ BASE(XAPIC_ON), BASE(0), true },
	{ BASE(X2APIC_ON), BASE(0), true },
	{ BASE(0), BASE(XAPIC_ON), true },
	/* What the processor refuses. */
	{ BASE(0), BASE(X2APIC_ON), false },
	{ BASE(X2APIC_ON), BASE(XAPIC_ON), false },
	{ BASE(XAPIC_ON), BASE(APIC_BASE_X2APIC), false },
	/* What only we refuse: the page would leave its trap. */
	{ BASE(XAPIC_ON), 0xfee01000 | XAPIC_ON, false },
	{ BASE(XAPIC_ON), 0x1fee00000 | XAPIC_ON, false },
	{ BASE(XAPIC_ON), 0x1000 | XAPIC_ON, false },
	{ BASE(XAPIC_ON), BASE(XAPIC_ON | 1), false },
	{ BASE(XAPIC_ON), BASE(XAPIC_ON | BIT(63)), false },
};

TEST(the_apics_base_can_be_switched_but_not_moved)
{
	for (size_t i = 0; i < ARRAY_COUNT(base_cases); i++) {
		start(FLAT);
		apic_base = base_cases[i].from;
		CHECK_EQ(apic_msr_write(cpu_this(), MSR_APIC_BASE,
					base_cases[i].to),
			 base_cases[i].works);
		CHECK_EQ(base_writes, base_cases[i].works);
		CHECK_EQ(apic_base, base_cases[i].works ? base_cases[i].to
							: base_cases[i].from);
	}
}

TEST(an_apic_that_changes_its_mode_changes_its_identity)
{
	start(FLAT);
	x2apic_id = 0x101;
	CHECK(apic_msr_write(cpu_this(), MSR_APIC_BASE, BASE(X2APIC_ON)));
	CHECK_EQ(cpus[SENDER].apic_id, 0x101);
	CHECK(apic_msr_write(cpu_this(), MSR_APIC_BASE, BASE(0)));
	CHECK(apic_msr_write(cpu_this(), MSR_APIC_BASE, BASE(XAPIC_ON)));
	CHECK_EQ(cpus[SENDER].apic_id, 1);
}

TEST(a_kick_lost_while_the_apic_was_off_does_not_stop_the_next_one)
{
	start(FLAT);
	cpus[SENDER].kick_pending = 1;
	CHECK(apic_msr_write(cpu_this(), MSR_APIC_BASE, BASE(0)));
	CHECK(cpus[SENDER].kick_pending);
	CHECK(apic_msr_write(cpu_this(), MSR_APIC_BASE, BASE(XAPIC_ON)));
	CHECK(!cpus[SENDER].kick_pending);
}

TEST(the_icr_msr_is_there_in_x2apic_mode_only)
{
	start(FLAT);
	CHECK(!apic_msr_write(cpu_this(), MSR_X2APIC_ICR, INIT | OTHERS));
	CHECK_EQ(inits, 0);
}

TEST(reserved_bits_of_the_icr_msr_are_the_guests_mistake)
{
	start(X2APIC);
	CHECK(!apic_msr_write(cpu_this(), MSR_X2APIC_ICR, BIT(20) | 0x0fd));
	CHECK_EQ(x2apic_icr_writes, 0);
}

/* ---- What Sluice does with the APIC itself ------------------------------- */

TEST(a_kick_leaves_the_guests_half_written_command_alone)
{
	start(FLAT);
	write_page(APIC_ICR_HIGH, 4, 0x03000000);
	pending_reads = 5;
	apic_send_nmi(&cpus[4]);
	CHECK_EQ(*reg(APIC_ICR_LOW), 0x4400);
	CHECK_EQ(*reg(APIC_ICR_HIGH), 0x03000000);
	write_page(APIC_ICR_LOW, 4, INIT);
	CHECK_EQ(inits, 0x08);
}

TEST(a_kick_in_x2apic_mode_is_one_write)
{
	start(X2APIC);
	apic_send_nmi(&cpus[5]);
	CHECK_EQ(x2apic_icr, 0x1234500004400);
	CHECK_EQ(x2apic_icr_writes, 1);
}

TEST(an_apic_that_never_delivers_costs_a_deadline)
{
	start(FLAT);
	pending_reads = NEVER;
	apic_send_nmi(&cpus[4]);
	CHECK_EQ(icr_writes, 1);
	CHECK(now_us < 30000);
}

TEST(launch_notes_who_a_cpu_is)
{
	start(FLAT);
	memset(&cpus[SENDER], 0, sizeof(cpus[SENDER]));
	*reg(APIC_ID) = 0x07000000;
	*reg(APIC_LDR) = 0x40000000;
	*reg(APIC_DFR) = 0x0fffffff;
	apic_identify(&cpus[SENDER]);
	CHECK_EQ(cpus[SENDER].apic_id, 7);
	CHECK_EQ(cpus[SENDER].apic_ldr, 0x40000000);
	CHECK_EQ(cpus[SENDER].apic_dfr, 0x0fffffff);
	CHECK(!cpus[SENDER].is_bsp);
}

TEST(init_masks_what_could_interrupt_and_forgets_the_logical_id)
{
	start(FLAT);
	*reg(APIC_LVT_TIMER) = 0x200ec;
	*reg(APIC_LVT_LINT0) = 0x700;
	*reg(APIC_TPR) = 0x10;
	*reg(APIC_SVR) = 0x1ff;
	apic_reset(&cpus[SENDER]);
	CHECK_EQ(*reg(APIC_LVT_TIMER), APIC_LVT_MASKED);
	CHECK_EQ(*reg(APIC_LVT_LINT0), APIC_LVT_MASKED);
	CHECK_EQ(*reg(APIC_TPR), 0);
	CHECK_EQ(*reg(APIC_SVR), 0xff);
	send(FLAT, INIT | LOGICAL, 0x02);
	CHECK_EQ(inits, 0);
}

TEST(init_ends_every_interrupt_that_was_in_service)
{
	start(FLAT);
	*reg(APIC_ISR + 0x10) = 0x80000001;
	*reg(APIC_ISR + 0x70) = 0x00008000;
	apic_reset(&cpus[SENDER]);
	for (u32 offset = APIC_ISR; offset < APIC_ISR_END; offset += 16)
		CHECK_EQ(*reg(offset), 0);
}
