/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's GDT and IDT, and what arrives through them. */
#include "idt.h"
#include "barrier.h"
#include "cpu.h"
#include "log.h"
#include "paging.h"
#include "spec/x86.h"

#define STUB_SIZE 32
#define GATE_INTERRUPT 0x8e00u	/* present, DPL 0, 64-bit interrupt gate */

struct gate {
	u16 offset_low;
	u16 selector;
	u16 flags;
	u16 offset_middle;
	u32 offset_high;
	u32 reserved;
};

_Static_assert(sizeof(struct gate) == 16, "APM vol. 2, 4.8.4");

struct table_register {
	u16 limit;
	u64 base;
} __attribute__((packed));

/* As entry.S pushes it. */
struct frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8;
	u64 rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

extern u8 idt_stubs[];
void cpu_load_segments(void);
void idt_arrived(struct frame *frame);

/* entry.S: instructions that may be refused. */
extern u8 msr_safe_start[], msr_safe_end[], msr_safe_failed[];

/* Windows of svm_run.S: interrupts are let in; the CPU goes to sleep. */
extern u8 svm_window_start[], svm_window_end[];
extern u8 svm_sleep_start[], svm_sleep_end[];
extern u8 svm_doze_start[], svm_doze_end[], svm_doze_closed[];

/* Of vmx_run.S: going to sleep; from the last look at host_nmi into the guest. */
extern u8 vmx_sleep_start[], vmx_sleep_end[];
extern u8 vmx_entry_start[], vmx_entry_end[], vmx_entry_missed[];

/* Null, 64-bit code, data (4.8). */
static const u64 gdt[] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff };
static struct gate idt[256];

void idt_init(void)
{
	for (unsigned vector = 0; vector < ARRAY_COUNT(idt); vector++) {
		u64 offset = (u64)idt_stubs + vector * STUB_SIZE;

		idt[vector] = (struct gate){
			.offset_low = offset,
			.offset_middle = offset >> 16,
			.offset_high = offset >> 32,
			.selector = HOST_CS,
			.flags = GATE_INTERRUPT,
		};
	}
}

void idt_load(void)
{
	struct table_register gdtr = { sizeof(gdt) - 1, (u64)gdt };
	struct table_register idtr = { sizeof(idt) - 1, (u64)idt };

	__asm__ volatile("lgdt %0; lidt %1" ::"m"(gdtr), "m"(idtr));
	cpu_load_segments();
}

static bool rip_is_in(const struct frame *frame, const u8 *start,
		      const u8 *end)
{
	return frame->rip >= (u64)start && frame->rip < (u64)end;
}

static bool is_init(const struct frame *frame)
{
	/* An interrupt on the same vector has no error code: 0. */
	return frame->vector == VECTOR_SX && frame->error == SX_INIT_REDIRECTED;
}

static void set_and_wake(u32 *flag, struct frame *frame)
{
	WRITE_ONCE(*flag, 1);
	/* Between looking for work and hlt: the hlt would sleep through it. */
	if (rip_is_in(frame, svm_sleep_start, svm_sleep_end))
		frame->rip = (u64)svm_sleep_end;
	if (rip_is_in(frame, vmx_sleep_start, vmx_sleep_end))
		frame->rip = (u64)vmx_sleep_end;
	/* The same before an entry to the guest. */
	if (rip_is_in(frame, vmx_entry_start, vmx_entry_end))
		frame->rip = (u64)vmx_entry_missed;
	if (rip_is_in(frame, svm_doze_start, svm_doze_end))
		frame->rip = (u64)svm_doze_end;
}

void idt_arrived(struct frame *frame)
{
	if (frame->vector == VECTOR_NMI) {
		set_and_wake(&cpu_this()->host_nmi, frame);
		return;
	}
	if (is_init(frame)) {
		set_and_wake(&cpu_this()->host_init, frame);
		return;
	}
	/* A step of the guest's over an instruction that exits is for skip()
	 * to make; in Bochs 2.7 it comes here as well. */
	if (frame->vector == VECTOR_DB)
		return;
	/* Nothing between the labels can fault: it is an interrupt, even on
	 * a vector below 32. */
	if (rip_is_in(frame, svm_window_start, svm_window_end) ||
	    rip_is_in(frame, svm_doze_start, svm_doze_closed)) {
		cpu_this()->host_vector = frame->vector | CPU_VECTOR_VALID;
		/* One interrupt for each window. */
		frame->rflags &= ~RFLAGS_IF;
		return;
	}
	if (frame->vector == VECTOR_GP &&
	    rip_is_in(frame, msr_safe_start, msr_safe_end)) {
		frame->rip = (u64)msr_safe_failed;
		return;
	}
	if (frame->vector == VECTOR_PF && paging_fill(read_cr2()))
		return;
	panic("exception %llu error %#llx at %#llx, address %#llx, rsp %#llx",
	      (unsigned long long)frame->vector,
	      (unsigned long long)frame->error,
	      (unsigned long long)frame->rip, (unsigned long long)read_cr2(),
	      (unsigned long long)frame->rsp);
}
