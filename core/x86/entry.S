/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two ways in: the loader's call that makes a CPU a guest, and the vectors
 * of the host's interrupt descriptor table.
 */

	.text

/*
 * long sluice_boot(enum boot_call call, struct boot_info *info)
 *
 * The ELF's entry point. What the caller expects back goes with the call as
 * a struct cpu_caller: a launched CPU returns to the caller as the guest,
 * without touching this code, which the guest cannot see any more.
 */
	.globl sluice_boot
	.type sluice_boot, @function
sluice_boot:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	pushfq
	cld
	mov	%rsp, %rdx
	call	boot_called
	popfq
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

/* _Noreturn void cpu_enter(struct cpu *cpu): its stack is before it. */
	.globl cpu_enter
	.hidden cpu_enter
	.type cpu_enter, @function
cpu_enter:
	cli
	mov	%rdi, %rsp
	xor	%ebp, %ebp
	call	cpu_launched
	ud2

/*
 * void cpu_load_segments(void): our code and data selectors. FS, GS, TR and
 * LDTR stay the guest's: the host uses none of them, so no exit has to save
 * or load them.
 */
	.globl cpu_load_segments
	.hidden cpu_load_segments
	.type cpu_load_segments, @function
cpu_load_segments:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	pop	%rax
	push	$0x08
	push	%rax
	lretq

/*
 * bool msr_read_safe(u32 index, u64 *value)
 * bool msr_write_safe(u32 index, u64 value)
 * bool xsetbv_safe(u32 index, u64 value)
 *
 * A #GP between the labels goes to msr_safe_failed (idt.c).
 */
	.globl msr_read_safe
	.hidden msr_read_safe
	.type msr_read_safe, @function
msr_read_safe:
	mov	%edi, %ecx
	.globl msr_safe_start
	.hidden msr_safe_start
msr_safe_start:
	rdmsr
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, (%rsi)
	mov	$1, %eax
	ret

	.globl msr_write_safe
	.hidden msr_write_safe
	.type msr_write_safe, @function
msr_write_safe:
	mov	%edi, %ecx
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
	wrmsr
	mov	$1, %eax
	ret

	.globl xsetbv_safe
	.hidden xsetbv_safe
	.type xsetbv_safe, @function
xsetbv_safe:
	mov	%edi, %ecx
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
	xsetbv
	mov	$1, %eax
	.globl msr_safe_end
	.hidden msr_safe_end
msr_safe_end:
	ret

	.globl msr_safe_failed
	.hidden msr_safe_failed
msr_safe_failed:
	xor	%eax, %eax
	ret

/*
 * Vectors. Every stub is 32 bytes: idt.c computes its address. Whether the
 * processor pushed an error code shows in the stack's alignment: it aligns
 * the frame to 16 bytes first (APM vol. 2, 8.9.3). So an interrupt on a low
 * vector, which has none, makes the same frame as an exception.
 */
	.balign	32
	.globl idt_stubs
	.hidden idt_stubs
idt_stubs:
	vector = 0
	.rept	256
	.balign	32
	testb	$8, %spl
	jz	1f
	push	$0
1:	push	$vector
	jmp	idt_common
	vector = vector + 1
	.endr

	.balign	16
idt_common:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rbx
	push	%rbp
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	cld
	mov	%rsp, %rdi
	mov	%rsp, %rbp
	and	$~0xf, %rsp
	call	idt_arrived
	mov	%rbp, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rbp
	pop	%rbx
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq

	.section .note.GNU-stack, "", @progbits
