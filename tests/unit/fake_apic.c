/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_apic.h. */
#include <string.h>

#include "../../core/x86/apic.h"
#include "../../core/x86/apic_page.h"
#include "../../core/x86/smp.h"
#include "clock.h"
#include "fake_apic.h"
#include "log.h"
#include "spec/x86.h"
#include "test.h"
#include "vt.h"

static const struct vt fake_vt;
const struct vt *vt = &fake_vt;

struct fake_apic fake;

/* ---- The sender's APIC --------------------------------------------------- */

u32 *fake_apic_at(u64 offset)
{
	CHECK(offset < 0x400 && is_aligned(offset, 16));
	return &fake.registers[offset / 16];
}

u32 mmio_read32(hpa_t address)
{
	u32 pending = 0;

	fake.now_us++;
	CHECK_EQ(fake.apic_base & APIC_BASE_MODE, APIC_BASE_ENABLE);
	if (address.v - APIC_DEFAULT_BASE == APIC_ICR_LOW &&
	    fake.pending_reads) {
		pending = ICR_PENDING;
		fake.pending_reads -= fake.pending_reads != APIC_NEVER;
	}
	return *fake_apic_at(address.v - APIC_DEFAULT_BASE) | pending;
}

static void end_highest(void)
{
	u32 *in_service, offset = APIC_ISR_END;

	do {
		offset -= 16;
		in_service = fake_apic_at(offset);
	} while (offset > APIC_ISR && !*in_service);
	if (*in_service)
		*in_service &= ~(0x80000000 >> __builtin_clz(*in_service));
}

void mmio_write32(hpa_t address, u32 value)
{
	u32 offset = address.v - APIC_DEFAULT_BASE;

	CHECK_EQ(fake.apic_base & APIC_BASE_MODE, APIC_BASE_ENABLE);
	fake.register_writes++;
	fake.icr_writes += offset == APIC_ICR_LOW;
	if (offset == APIC_ID && !fake.id_writable)
		return;
	if (offset == APIC_LDR)
		value &= APIC_LDR_FIELD;
	if (offset == APIC_EOI)
		end_highest();
	*fake_apic_at(offset) = value;
}

u64 rdmsr(u32 index)
{
	switch (index) {
	case MSR_APIC_BASE:
		return fake.apic_base;
	case MSR_X2APIC_ID:
		CHECK(fake.apic_base & APIC_BASE_X2APIC);
		return fake.x2apic_id;
	default:
		FAIL("rdmsr %#x", index);
	}
}

/* The modes go round: off, xAPIC, x2APIC, off. */
static bool can_switch_to(u64 value)
{
	u64 modes = APIC_BASE_X2APIC | APIC_BASE_ENABLE;
	u64 from = fake.apic_base & modes, to = value & modes;

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
		fake.base_writes++;
		fake.apic_base = value;
		return true;
	}
	CHECK_EQ(index, MSR_X2APIC_ICR);
	if (!(fake.apic_base & APIC_BASE_X2APIC) || (value & BITS(31, 20)))
		return false;
	fake.x2apic_icr = value;
	fake.x2apic_icr_writes++;
	return true;
}

/* Where the processor would refuse, the hypervisor would have died. */
void wrmsr(u32 index, u64 value)
{
	CHECK(msr_write_safe(index, value));
}

/* ---- Everybody else ------------------------------------------------------ */

struct cpu *cpu_this(void)
{
	return &fake.cpus[APIC_SENDER];
}

u32 cpu_count(void)
{
	return APIC_CPUS;
}

struct cpu *cpu_get(u32 index)
{
	CHECK(index < APIC_CPUS);
	return &fake.cpus[index];
}

void smp_send_init(struct cpu *cpu)
{
	CHECK(fake.is_held);
	fake.inits |= BIT(cpu - fake.cpus);
}

void smp_send_startup(struct cpu *cpu, u8 vector)
{
	CHECK(fake.is_held);
	fake.startups |= BIT(cpu - fake.cpus);
	fake.startup_vector = vector;
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
	fake.access_page = access;
	return 0;
}

void apic_page_hold(void)
{
	CHECK(!fake.is_held);
	fake.is_held = true;
}

void apic_page_release(void)
{
	CHECK(fake.is_held);
	fake.is_held = false;
}

void apic_page_written(struct cpu *cpu)
{
	CHECK(!fake.is_held);
}

bool apic_page_opens(void)
{
	return true;
}

u64 clock_now_us(void)
{
	return fake.now_us;
}

bool log_allowed(struct log_limit *limit)
{
	return limit->line_count++ < 10;
}

void log_line(enum log_level level, const char *format, ...)
{
	fake.log_count++;
}

/* ---- Set-up -------------------------------------------------------------- */

static const struct {
	u32 apic_id, ldr, dfr;
} identities[][APIC_CPUS] = {
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

void fake_apic_forget(void)
{
	fake.inits = fake.startups = fake.startup_vector = fake.log_count = 0;
	fake.base_writes = fake.icr_writes = 0;
	fake.register_writes = fake.x2apic_icr_writes = 0;
}

void fake_apic_start(enum mode mode)
{
	memset(fake.registers, 0, sizeof(fake.registers));
	for (unsigned i = 0; i < APIC_CPUS; i++)
		fake.cpus[i] = (struct cpu){
			.index = i,
			.is_virtualized = true,
			.apic_id = identities[mode][i].apic_id,
			.apic_ldr = identities[mode][i].ldr,
			.apic_dfr = identities[mode][i].dfr,
		};
	fake.apic_base = APIC_DEFAULT_BASE | APIC_BASE_ENABLE;
	if (mode == X2APIC)
		fake.apic_base |= APIC_BASE_X2APIC;
	*fake_apic_at(APIC_ID) = fake.cpus[APIC_SENDER].apic_id << 24;
	*fake_apic_at(APIC_LDR) = fake.cpus[APIC_SENDER].apic_ldr;
	*fake_apic_at(APIC_DFR) = fake.cpus[APIC_SENDER].apic_dfr;
	fake.pending_reads = 0;
	fake.id_writable = true;
	fake_apic_forget();
	CHECK_EQ(apic_init(APIC_AUTO), 0);
}

void fake_apic_write(u64 offset, unsigned size, u64 value)
{
	struct mmio_access access = {
		.offset = offset, .size = size, .is_write = true,
		.value = value,
	};

	fake.access_page(NULL, &access);
}

void fake_apic_send(enum mode mode, u32 low, u32 destination)
{
	if (mode == X2APIC) {
		CHECK(apic_msr_write(cpu_this(), MSR_X2APIC_ICR,
				     (u64)destination << 32 | low));
		return;
	}
	fake_apic_write(APIC_ICR_HIGH, 4, destination << 24);
	fake_apic_write(APIC_ICR_LOW, 4, low);
}
