/* SPDX-License-Identifier: BSD-2-Clause */
/* The APIC's two MSRs, and what Sluice does with an APIC itself. */
#include <string.h>

#include "../../core/x86/apic.h"
#include "fake_apic.h"
#include "spec/x86.h"
#include "test.h"

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
		fake_apic_start(FLAT);
		fake.apic_base = base_cases[i].from;
		CHECK_EQ(apic_msr_write(cpu_this(), MSR_APIC_BASE,
					base_cases[i].to),
			 base_cases[i].works);
		CHECK_EQ(fake.base_writes, base_cases[i].works);
		CHECK_EQ(fake.apic_base, base_cases[i].works ? base_cases[i].to
							: base_cases[i].from);
	}
}

TEST(an_apic_that_changes_its_mode_changes_its_identity)
{
	fake_apic_start(FLAT);
	fake.x2apic_id = 0x101;
	CHECK(apic_msr_write(cpu_this(), MSR_APIC_BASE, BASE(X2APIC_ON)));
	CHECK_EQ(fake.cpus[APIC_SENDER].apic_id, 0x101);
	CHECK(apic_msr_write(cpu_this(), MSR_APIC_BASE, BASE(0)));
	CHECK(apic_msr_write(cpu_this(), MSR_APIC_BASE, BASE(XAPIC_ON)));
	CHECK_EQ(fake.cpus[APIC_SENDER].apic_id, 1);
}

TEST(a_kick_lost_while_the_apic_was_off_does_not_stop_the_next_one)
{
	fake_apic_start(FLAT);
	fake.cpus[APIC_SENDER].kick_pending = 1;
	CHECK(apic_msr_write(cpu_this(), MSR_APIC_BASE, BASE(0)));
	CHECK(fake.cpus[APIC_SENDER].kick_pending);
	CHECK(apic_msr_write(cpu_this(), MSR_APIC_BASE, BASE(XAPIC_ON)));
	CHECK(!fake.cpus[APIC_SENDER].kick_pending);
}

TEST(the_icr_msr_is_there_in_x2apic_mode_only)
{
	fake_apic_start(FLAT);
	CHECK(!apic_msr_write(cpu_this(), MSR_X2APIC_ICR, INIT | OTHERS));
	CHECK_EQ(fake.inits, 0);
}

TEST(reserved_bits_of_the_icr_msr_are_the_guests_mistake)
{
	fake_apic_start(X2APIC);
	CHECK(!apic_msr_write(cpu_this(), MSR_X2APIC_ICR, BIT(20) | 0x0fd));
	CHECK_EQ(fake.x2apic_icr_writes, 0);
}

/* ---- What Sluice does with the APIC itself ------------------------------- */

TEST(a_kick_leaves_the_guests_half_written_command_alone)
{
	fake_apic_start(FLAT);
	fake_apic_write(APIC_ICR_HIGH, 4, 0x03000000);
	fake.pending_reads = 5;
	apic_send_nmi(&fake.cpus[4]);
	CHECK_EQ(*fake_apic_at(APIC_ICR_LOW), 0x4400);
	CHECK_EQ(*fake_apic_at(APIC_ICR_HIGH), 0x03000000);
	fake_apic_write(APIC_ICR_LOW, 4, INIT);
	CHECK_EQ(fake.inits, 0x08);
}

TEST(a_kick_in_x2apic_mode_is_one_write)
{
	fake_apic_start(X2APIC);
	apic_send_nmi(&fake.cpus[5]);
	CHECK_EQ(fake.x2apic_icr, 0x1234500004400);
	CHECK_EQ(fake.x2apic_icr_writes, 1);
}

TEST(an_apic_that_never_delivers_costs_a_deadline)
{
	fake_apic_start(FLAT);
	fake.pending_reads = APIC_NEVER;
	apic_send_nmi(&fake.cpus[4]);
	CHECK_EQ(fake.icr_writes, 1);
	CHECK(fake.now_us < 30000);
}

TEST(launch_notes_who_a_cpu_is)
{
	fake_apic_start(FLAT);
	memset(&fake.cpus[APIC_SENDER], 0, sizeof(fake.cpus[APIC_SENDER]));
	*fake_apic_at(APIC_ID) = 0x07000000;
	*fake_apic_at(APIC_LDR) = 0x40000000;
	*fake_apic_at(APIC_DFR) = 0x0fffffff;
	apic_identify(&fake.cpus[APIC_SENDER]);
	CHECK_EQ(fake.cpus[APIC_SENDER].apic_id, 7);
	CHECK_EQ(fake.cpus[APIC_SENDER].apic_ldr, 0x40000000);
	CHECK_EQ(fake.cpus[APIC_SENDER].apic_dfr, 0x0fffffff);
	CHECK(!fake.cpus[APIC_SENDER].is_bsp);
}

TEST(init_masks_what_could_interrupt_and_forgets_the_logical_id)
{
	fake_apic_start(FLAT);
	*fake_apic_at(APIC_LVT_TIMER) = 0x200ec;
	*fake_apic_at(APIC_LVT_LINT0) = 0x700;
	*fake_apic_at(APIC_TPR) = 0x10;
	*fake_apic_at(APIC_SVR) = 0x1ff;
	apic_reset(&fake.cpus[APIC_SENDER]);
	CHECK_EQ(*fake_apic_at(APIC_LVT_TIMER), APIC_LVT_MASKED);
	CHECK_EQ(*fake_apic_at(APIC_LVT_LINT0), APIC_LVT_MASKED);
	CHECK_EQ(*fake_apic_at(APIC_TPR), 0);
	CHECK_EQ(*fake_apic_at(APIC_SVR), 0xff);
	fake_apic_send(FLAT, INIT | LOGICAL, 0x02);
	CHECK_EQ(fake.inits, 0);
}

TEST(init_ends_every_interrupt_that_was_in_service)
{
	fake_apic_start(FLAT);
	*fake_apic_at(APIC_ISR + 0x10) = 0x80000001;
	*fake_apic_at(APIC_ISR + 0x70) = 0x00008000;
	apic_reset(&fake.cpus[APIC_SENDER]);
	for (u32 offset = APIC_ISR; offset < APIC_ISR_END; offset += 16)
		CHECK_EQ(*fake_apic_at(offset), 0);
}
