/* SPDX-License-Identifier: BSD-2-Clause */
/* Exceptions end what has caused them, interrupts are counted. */
#include "payload.h"
#include "spec/x86.h"

#define STUB_SIZE 32
#define GATE_INTERRUPT 0x8e00u	/* | 1: on the task's first stack */

struct gate {
	u16 offset_low, selector, flags, offset_middle;
	u32 offset_high, reserved;
};

struct table_register {
	u16 limit;
	u64 base;
} __attribute__((packed));

/* As vectors.S pushes it. */
struct frame {
	u64 r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

extern u8 trap_stubs[] __attribute__((visibility("hidden")));
void trap_arrived(struct frame *frame);

volatile struct trap trap;
volatile u64 trap_resume;
void (*volatile trap_hook)(void);
volatile bool trap_keeps_stepping;

static struct gate gates[256];
static struct table_register firmware_table;
static u64 firmware_flags;

void trap_clear(void)
{
	trap.count = 0;
	trap_hook = NULL;
}

bool trap_was(u8 vector)
{
	return trap.count && trap.vector == vector;
}

static bool is_exception(u64 vector)
{
	return vector < 32 && vector != VECTOR_NMI && vector != VECTOR_DB;
}

void trap_arrived(struct frame *frame)
{
	trap.count++;
	trap.vector = frame->vector;
	trap.error = frame->error;
	trap.rip = frame->rip;
	trap.cr2 = read_cr2();
	trap.rflags = frame->rflags;
	if (trap_hook)
		trap_hook();
	if (frame->vector >= 32)
		apic_write(APIC_EOI, 0);
	if (frame->vector == VECTOR_DB && !trap_keeps_stepping)
		frame->rflags &= ~RFLAGS_TF;
	if (is_exception(frame->vector))
		frame->rip = trap_resume;
}

static void fill_gates(void)
{
	u16 selector;

	__asm__("mov %%cs, %0" : "=r"(selector));
	for (unsigned i = 0; i < ARRAY_COUNT(gates); i++) {
		u64 offset = (u64)trap_stubs + i * STUB_SIZE;

		gates[i] = (struct gate){
			.offset_low = offset, .offset_middle = offset >> 16,
			.offset_high = offset >> 32, .selector = selector,
			.flags = GATE_INTERRUPT | is_exception(i),
		};
	}
}

void trap_install(void)
{
	struct table_register table = { sizeof(gates) - 1, (u64)gates };

	__asm__ volatile("pushfq; pop %0; cli" : "=r"(firmware_flags));
	__asm__ volatile("sidt %0" : "=m"(firmware_table));
	segments_install();
	fill_gates();
	__asm__ volatile("lidt %0" ::"m"(table));
	trap_clear();
}

void trap_remove(void)
{
	__asm__ volatile("lidt %0" ::"m"(firmware_table));
	segments_remove();
	__asm__ volatile("push %0; popfq" ::"r"(firmware_flags) : "cc");
}
