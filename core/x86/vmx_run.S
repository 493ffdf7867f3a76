/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Into the guest and back. NMIs reach the host here, also in the moment
 * before the entry: one that comes there is told from its address (idt.c),
 * and the entry does not happen.
 */

#define GPR(n) (8 * (n))	/* struct cpu begins with the registers */
#define VMCS_HOST_RSP 0x6c14

	.text

/*
 * enum vmx_entry vmx_run(struct cpu *cpu, bool is_launched,
 *			  const u32 *host_nmi)
 */
	.globl vmx_run
	.hidden vmx_run
	.type vmx_run, @function
vmx_run:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdi
	mov	$VMCS_HOST_RSP, %eax
	vmwrite	%rsp, %rax
	.globl vmx_entry_start
	.hidden vmx_entry_start
vmx_entry_start:
	cmpl	$0, (%rdx)
	jne	vmx_entry_missed
	test	%sil, %sil
	mov	GPR(0)(%rdi), %rax	/* no load changes the flags */
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
	jz	1f
	vmresume
	jmp	2f
1:	vmlaunch
	.globl vmx_entry_end
	.hidden vmx_entry_end
vmx_entry_end:
2:	mov	$1, %eax
	jmp	3f
	.globl vmx_entry_missed
	.hidden vmx_entry_missed
vmx_entry_missed:
	mov	$2, %eax
3:	add	$8, %rsp
	jmp	4f

	.globl vmx_exited
	.hidden vmx_exited
vmx_exited:
	xchg	%rdi, (%rsp)		/* cpu; the guest's rdi on the stack */
	mov	%rax, GPR(0)(%rdi)
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
	xor	%eax, %eax
4:	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

/*
 * void vmx_unblock_nmi(void): an NMI that exited blocks further ones until
 * an IRET (SDM vol. 3, 28.5.5).
 */
	.globl vmx_unblock_nmi
	.hidden vmx_unblock_nmi
	.type vmx_unblock_nmi, @function
vmx_unblock_nmi:
	mov	%rsp, %rax
	mov	%ss, %ecx
	push	%rcx
	push	%rax
	pushfq
	mov	%cs, %ecx
	push	%rcx
	lea	1f(%rip), %rcx
	push	%rcx
	iretq
1:	ret

/*
 * void vmx_sleep(const u32 *host_nmi): until an NMI. One that comes between
 * the look and the hlt is sent to vmx_sleep_end by its handler (idt.c).
 */
	.globl vmx_sleep
	.hidden vmx_sleep
	.type vmx_sleep, @function
vmx_sleep:
	.globl vmx_sleep_start
	.hidden vmx_sleep_start
vmx_sleep_start:
	cmpl	$0, (%rdi)
	jne	vmx_sleep_end
	hlt
	.globl vmx_sleep_end
	.hidden vmx_sleep_end
vmx_sleep_end:
	ret

	.section .note.GNU-stack, "", @progbits
