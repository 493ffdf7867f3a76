/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * INIT and SIPI to the other CPUs: each comes out of trampoline.S, from real
 * through protected to long mode. They belong to the payload from then on.
 */
#include <string.h>

#include "spec/x86.h"
#include "startup.h"

/* At the end of the page that trampoline.S is copied to. */
struct mailbox {
	u32 real_count;		/* CPUs that came this far */
	u32 protected_count;
	u32 long_count;
	u32 cr3;
	u64 first_cr0;		/* of the last, as it found it */
	u64 edx;
	u64 efer;
	void (*work)(void);	/* NULL: nothing to do */
	u8 *stack;		/* its end */
	u64 look_at;		/* in protected mode; 0 is there, too */
	u32 seen;
};

static u8 work_stack[8192] __attribute__((aligned(16)));

extern u8 trampoline[] __attribute__((visibility("hidden")));
extern u8 trampoline_end[] __attribute__((visibility("hidden")));

static volatile struct mailbox *mailbox(void)
{
	return (volatile void *)(machine.low_page + 0xf00);
}

static bool prepare(void)
{
	u64 cr3;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	if (machine.cpu_count < 2) {
		payload_skip("one CPU");
		return false;
	}
	CHECK(machine.low_page && cr3 >> 32 == 0);
	if (!machine.low_page)
		return false;
	memcpy(machine.low_page, trampoline, trampoline_end - trampoline);
	memset(machine.low_page + 0xf00, 0, 0x100);
	mailbox()->cr3 = cr3;
	return true;
}

static u32 init_command(void)
{
	return FIELD_PREP(ICR_MODE, ICR_MODE_INIT) | ICR_ASSERT;
}

static u32 startup_command(void)
{
	return FIELD_PREP(ICR_MODE, ICR_MODE_STARTUP) | ICR_ASSERT |
	       (u32)((u64)machine.low_page >> PAGE_SHIFT);
}

/* For as long as an INIT takes to arrive. */
static void pause_a_while(void)
{
	u32 never = 0;

	for (unsigned i = 0; i < 100000; i++)
		__asm__ volatile("pause" : "+r"(never));
}

static void start(u32 id)
{
	apic_send(id, init_command());
	pause_a_while();
	apic_send(id, startup_command());
}

static u32 first_other(void)
{
	return apic_read(APIC_ID) >> 24 ? 0 : 1;
}

u32 startup_look(u32 address)
{
	if (!prepare())
		return 0;
	mailbox()->look_at = address;
	start(first_other());
	CHECK(wait_until(&mailbox()->long_count, 1));
	return mailbox()->seen;
}

bool startup_run(void (*work)(void))
{
	if (!prepare())
		return false;
	mailbox()->work = work;
	mailbox()->stack = work_stack + sizeof(work_stack);
	start(first_other());
	CHECK(wait_until(&mailbox()->long_count, 1));
	return mailbox()->long_count;
}

void a_cpu_starts_from_real_mode_to_long_mode(void)
{
	if (!prepare())
		return;
	start(first_other());
	CHECK(wait_until(&mailbox()->real_count, 1));
	CHECK(wait_until(&mailbox()->protected_count, 1));
	CHECK(wait_until(&mailbox()->long_count, 1));
	/* State after INIT: APM vol. 2, 14.1.3; SDM vol. 3, table 10-1 */
	CHECK_EQ(mailbox()->first_cr0 & ~(CR0_CD | CR0_NW), CR0_ET);
	CHECK(mailbox()->efer & EFER_LMA);
}

void a_cpu_starts_again_after_another_init(void)
{
	if (!prepare())
		return;
	for (u32 i = 1; i <= 20; i++) {
		start(first_other());
		if (!wait_until(&mailbox()->long_count, i))
			break;
	}
	/* Without an INIT before it, a SIPI is nothing. */
	apic_send(first_other(), startup_command());
	pause_a_while();
	CHECK_EQ(mailbox()->real_count, 20);
	CHECK_EQ(mailbox()->long_count, 20);
}

void all_others_start_by_broadcast(void)
{
	u32 others = machine.cpu_count - 1;

	if (!prepare())
		return;
	apic_send(0, init_command() | FIELD_PREP(ICR_SHORTHAND, ICR_TO_OTHERS));
	pause_a_while();
	apic_send(0, startup_command() |
			     FIELD_PREP(ICR_SHORTHAND, ICR_TO_OTHERS));
	CHECK(wait_until(&mailbox()->long_count, others));
	CHECK_EQ(mailbox()->real_count, others);
}
