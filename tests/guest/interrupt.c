/* SPDX-License-Identifier: BSD-2-Clause */
/* NMIs and interrupts that a CPU sends itself, between and during exits. */
#include "payload.h"
#include "spec/x86.h"

#define VECTOR 0x51
#define SOFTWARE_ENABLE 0x100u
#define PIC_MASKS 0x21		/* and its second one's at A1h */

static u32 own_id(void)
{
	return apic_read(APIC_ID) >> 24;
}

static void send_self(u32 command)
{
	apic_send(own_id(), command | ICR_ASSERT);
}

static void send_nmi(void)
{
	send_self(FIELD_PREP(ICR_MODE, ICR_MODE_NMI));
}

static void exit_once(void)
{
	u32 regs[4];

	cpuid(0, 0, regs);
}

static bool wait_for_traps(u32 count)
{
	return wait_until(&trap.count, count);
}

void an_nmi_to_oneself_comes_once(void)
{
	trap_clear();
	send_nmi();
	CHECK(wait_for_traps(1));
	CHECK_EQ(trap.vector, VECTOR_NMI);
	for (unsigned i = 0; i < 1000; i++)
		exit_once();
	CHECK_EQ(trap.count, 1);
}

static volatile u32 depth, depth_max;

static void nest(void)
{
	depth++;
	if (depth > depth_max)
		depth_max = depth;
	if (trap.count == 1)
		send_nmi();
	for (unsigned i = 0; i < 100; i++)
		exit_once();
	depth--;
}

void a_second_nmi_waits_for_the_iret(void)
{
	depth = depth_max = 0;
	trap_clear();
	trap_hook = nest;
	send_nmi();
	CHECK(wait_for_traps(2));
	CHECK_EQ(depth_max, 1);
	trap_clear();
}

static void mask_pics(u8 mask)
{
	__asm__ volatile("outb %0, %1" ::"a"(mask), "Nd"((u16)PIC_MASKS));
	__asm__ volatile("outb %0, %1" ::"a"(mask), "Nd"((u16)(PIC_MASKS + 0x80)));
}

void interrupts_take(void)
{
	apic_write(APIC_SVR, apic_read(APIC_SVR) | SOFTWARE_ENABLE);
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
	apic_write(APIC_TPR, 0);
	mask_pics(0xff);
	/* The firmware's timer may have ticked already. */
	__asm__ volatile("sti; nop; nop; cli" ::: "memory");
}

void interrupts_come_between_exits(void)
{
	interrupts_take();
	trap_clear();
	__asm__ volatile("sti");
	for (u32 i = 1; i <= 200; i++) {
		send_self(VECTOR + i % 8 * 16);
		exit_once();
		if (!wait_for_traps(i))
			break;
		CHECK_EQ(trap.vector, VECTOR + i % 8 * 16);
	}
	__asm__ volatile("cli");
	CHECK_EQ(trap.count, 200);
}

void an_interrupt_waits_for_sti(void)
{
	u64 after_sti;

	interrupts_take();
	trap_clear();
	send_self(VECTOR);
	for (unsigned i = 0; i < 1000; i++)
		exit_once();
	CHECK_EQ(trap.count, 0);
	/* Not directly behind STI, but behind the next instruction. */
	__asm__ volatile("lea 1f(%%rip), %0\n\t"
			 "sti\n\tnop\n1:\tnop\n\tnop\n\tcli"
			 : "=&r"(after_sti) :: "memory");
	CHECK_EQ(trap.count, 1);
	CHECK_EQ(trap.vector, VECTOR);
	CHECK(trap.rip >= after_sti);
}
