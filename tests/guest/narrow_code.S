/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses from 32-bit and 16-bit code, and the way there and back: struct
 * narrow_registers and the far pointer are in narrow.c. Stack and code are
 * below 4 GiB.
 */
#define DATA_16 0x98			/* SEGMENT_DATA_16 */

	.text
	.globl narrow_call
	.hidden narrow_call
/* void narrow_call(const struct far_pointer *code, registers *out, u32 edi) */
narrow_call:
	push	%rbx
	push	%rbp
	push	%rsi
	mov	%rdi, %rax
	mov	%edx, %edi
	xor	%ebx, %ebx
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	lcall	*(%rax)
	mov	(%rsp), %rbp
	mov	%eax, (%rbp)
	mov	%ebx, 4(%rbp)
	mov	%ecx, 8(%rbp)
	mov	%edx, 12(%rbp)
	mov	%esi, 16(%rbp)
	mov	%edi, 20(%rbp)
	pushfq
	pop	%rax
	and	$0x8d5, %eax		/* arithmetic */
	mov	%eax, 24(%rbp)
	pop	%rsi
	pop	%rbp
	pop	%rbx
	ret

/* edi: a page whose words are not zero */
	.code32
	.globl narrow_32
	.hidden narrow_32
narrow_32:
	movl	(%edi), %eax
	movzwl	2(%edi), %ebx
	movsbl	5(%edi), %ecx
	addl	%eax, 8(%edi)
	adcw	$0x1234, 12(%edi)
	movl	$0x60000040, %edx	/* the window's */
	movl	%ebx, (%edx)
	xchgb	%cl, 1(%edx,%ebx,4)
	movb	%ah, -3(%edx)
	movl	0x60000020, %eax	/* an address in the instruction */
	movw	%ax, 0x60000030
	lock cmpxchgl %ecx, 0x18(%edi)
	push	%ds
	mov	$DATA_16, %esi
	mov	%esi, %ds
	mov	$0x50, %si
	addr16 incl 2(%si)
	addr16 movw (%si), %bx
	pop	%ds
	lea	0x200(%edi), %edi
	mov	$5, %ecx
	rep stosl
	lea	-0x30(%edi), %esi
	mov	$7, %ecx
	std
	rep movsw
	cld
	sbbl	%edx, (%edi)
	lret

	.code16
	.globl narrow_16
	.hidden narrow_16
narrow_16:
	push	%ds
	push	%es
	mov	$DATA_16, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	$0x40, %bx
	mov	$4, %si
	movw	(%bx,%si), %ax
	addw	%ax, 6(%bx,%si)
	movl	0x100(%si), %ecx
	subb	%cl, %es:2(%bx)
	movw	0x20, %dx		/* an address in the instruction */
	movw	%dx, 0x22
	movb	1(%esi,%ebx,2), %dh
	notw	(%si)
	cmpl	$0x55, 0x80(%bx)
	mov	$0x300, %di
	mov	$9, %cx
	rep stosw
	lodsl
	movsw
	pop	%es
	pop	%ds
	lretl

	.section .note.GNU-stack, "", @progbits
