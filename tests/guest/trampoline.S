/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a SIPI leads, at the start of a page: real mode, protected mode, long
 * mode; each notes that it was reached (struct mailbox in startup.c). Every
 * address is relative to the page, whose base each mode works out anew.
 */

#define REAL_COUNT 0xf00
#define PROTECTED_COUNT 0xf04
#define LONG_COUNT 0xf08
#define CR3_VALUE 0xf0c
#define FIRST_CR0 0xf10
#define FIRST_EDX 0xf18
#define EFER_VALUE 0xf20
#define WORK 0xf28
#define WORK_STACK 0xf30
#define LOOK_AT 0xf38
#define SEEN 0xf40

#define MSR_EFER 0xc0000080

	.text
	.globl trampoline, trampoline_end
	.hidden trampoline, trampoline_end
	.balign	16
	.code16
trampoline:
	cli
	mov	%cs, %ax
	mov	%ax, %ds
	mov	%edx, FIRST_EDX
	mov	%cr0, %ecx
	mov	%ecx, FIRST_CR0
	lock incl REAL_COUNT
	xor	%ebx, %ebx
	mov	%cs, %bx
	shl	$4, %ebx		/* where this page is */
	lea	(protected - trampoline)(%ebx), %eax
	mov	%eax, far_protected - trampoline
	lea	(long_mode - trampoline)(%ebx), %eax
	mov	%eax, far_long - trampoline
	lea	(gdt - trampoline)(%ebx), %eax
	mov	%eax, gdt_base - trampoline
	lgdtl	gdt_register - trampoline
	or	$1, %ecx
	and	$0x9fffffff, %ecx	/* caches on */
	mov	%ecx, %cr0
	ljmpl	*(far_protected - trampoline)

	.code32
protected:
	mov	$0x10, %eax
	mov	%eax, %ds
	lock incl PROTECTED_COUNT(%ebx)
	mov	LOOK_AT(%ebx), %eax
	mov	(%eax), %eax
	mov	%eax, SEEN(%ebx)
	mov	%cr4, %eax
	or	$0x20, %eax		/* PAE */
	mov	%eax, %cr4
	mov	CR3_VALUE(%ebx), %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$0x900, %eax		/* LME, NXE */
	wrmsr
	mov	%cr0, %eax
	or	$0x80010020, %eax	/* PG, WP, NE */
	mov	%eax, %cr0
	ljmpl	*(far_long - trampoline)(%ebx)

	.code64
long_mode:
	mov	$MSR_EFER, %ecx
	rdmsr
	mov	%eax, EFER_VALUE(%rbx)
	mov	WORK_STACK(%rbx), %rsp
	lock incl LONG_COUNT(%rbx)
	mov	WORK(%rbx), %rax
	test	%rax, %rax
	jz	1f
	call	*%rax
1:	hlt
	jmp	1b

	.balign	8
gdt:	.quad	0
	.quad	0x00cf9b000000ffff	/* 08h: 32-bit code */
	.quad	0x00cf93000000ffff	/* 10h: data */
	.quad	0x00af9b000000ffff	/* 18h: 64-bit code */
gdt_register:
	.word	. - gdt - 1
gdt_base:
	.long	0
far_protected:
	.long	0
	.word	0x08
far_long:
	.long	0
	.word	0x18
trampoline_end:

	.section .note.GNU-stack, "", @progbits
