/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Into the guest and back. GIF is 0 whenever the host runs: VMRUN sets it
 * for the guest, #VMEXIT clears it (APM vol. 2, 15.17), so nothing arrives
 * here but where a window is opened below.
 */

#define GPR(n) (8 * (n))	/* struct cpu begins with the registers */

/*
 * void svm_run(struct cpu *cpu, struct vt_exit *exit, u64 vmcb)
 *
 * Ends in svm_exited(cpu, exit).
 */
	.section .text.hot.svm_run, "ax", @progbits
	.globl svm_run
	.hidden svm_run
	.type svm_run, @function
svm_run:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rsi
	push	%rdi
	mov	%rdx, %rax		/* VMCB; the guest's rax is in it */
	mov	GPR(1)(%rdi), %rcx
	mov	GPR(2)(%rdi), %rdx
	mov	GPR(3)(%rdi), %rbx
	mov	GPR(5)(%rdi), %rbp
	mov	GPR(6)(%rdi), %rsi
	mov	GPR(8)(%rdi), %r8
	mov	GPR(9)(%rdi), %r9
	mov	GPR(10)(%rdi), %r10
	mov	GPR(11)(%rdi), %r11
	mov	GPR(12)(%rdi), %r12
	mov	GPR(13)(%rdi), %r13
	mov	GPR(14)(%rdi), %r14
	mov	GPR(15)(%rdi), %r15
	mov	GPR(7)(%rdi), %rdi
	vmrun	%rax
	xchg	%rdi, (%rsp)		/* cpu; the guest's rdi on the stack */
	mov	%rcx, GPR(1)(%rdi)
	mov	%rdx, GPR(2)(%rdi)
	mov	%rbx, GPR(3)(%rdi)
	mov	%rbp, GPR(5)(%rdi)
	mov	%rsi, GPR(6)(%rdi)
	mov	%r8, GPR(8)(%rdi)
	mov	%r9, GPR(9)(%rdi)
	mov	%r10, GPR(10)(%rdi)
	mov	%r11, GPR(11)(%rdi)
	mov	%r12, GPR(12)(%rdi)
	mov	%r13, GPR(13)(%rdi)
	mov	%r14, GPR(14)(%rdi)
	mov	%r15, GPR(15)(%rdi)
	pop	%rax
	mov	%rax, GPR(7)(%rdi)
	pop	%rsi
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	cld
	jmp	svm_exited

	.text

/*
 * void svm_take_interrupt(void): lets in one pending interrupt. sti holds
 * interrupts off for one instruction, so both nops are needed.
 */
	.globl svm_take_interrupt
	.hidden svm_take_interrupt
	.type svm_take_interrupt, @function
svm_take_interrupt:
	stgi
	sti
	.globl svm_window_start
	.hidden svm_window_start
svm_window_start:
	nop
	nop
	cli
	.globl svm_window_end
	.hidden svm_window_end
svm_window_end:
	clgi
	ret

/* void svm_take_nmi_smi_and_init(void): whatever is pending of these. */
	.globl svm_take_nmi_smi_and_init
	.hidden svm_take_nmi_smi_and_init
	.type svm_take_nmi_smi_and_init, @function
svm_take_nmi_smi_and_init:
	stgi
	nop
	clgi
	ret

/*
 * void svm_sleep(const u32 *host_nmi): until an NMI or INIT. One that comes
 * between the look and the hlt is sent to svm_sleep_end by its handler (idt.c).
 */
	.globl svm_sleep
	.hidden svm_sleep
	.type svm_sleep, @function
svm_sleep:
	stgi
	.globl svm_sleep_start
	.hidden svm_sleep_start
svm_sleep_start:
	cmpl	$0, (%rdi)
	jne	svm_sleep_end
	hlt
	.globl svm_sleep_end
	.hidden svm_sleep_end
svm_sleep_end:
	clgi
	ret

/*
 * void svm_doze(const u32 *host_nmi): until an NMI, as above, or an interrupt,
 * which sti holds off until the hlt; its handler leaves interrupts off.
 */
	.globl svm_doze
	.hidden svm_doze
	.type svm_doze, @function
svm_doze:
	stgi
	.globl svm_doze_start
	.hidden svm_doze_start
svm_doze_start:
	cmpl	$0, (%rdi)
	jne	svm_doze_end
	sti
	hlt
	.globl svm_doze_end
	.hidden svm_doze_end
svm_doze_end:
	cli
	.globl svm_doze_closed
	.hidden svm_doze_closed
svm_doze_closed:
	clgi
	ret

	.section .note.GNU-stack, "", @progbits
