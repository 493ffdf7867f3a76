/* SPDX-License-Identifier: BSD-2-Clause */
/* Vectors of the payloads' own descriptor table: 32 bytes each. */

	.text
	.balign	32
	.globl trap_stubs
	.hidden trap_stubs
trap_stubs:
	vector = 0
	.rept	256
	.balign	32
	testb	$8, %spl	/* the frame's alignment tells of an error code */
	jz	1f
	push	$0
1:	push	$vector
	jmp	trap_common
	vector = vector + 1
	.endr

trap_common:
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
	cld
	mov	%rsp, %rdi
	mov	%rsp, %rbp
	and	$~0xf, %rsp
	call	trap_arrived
	mov	%rbp, %rsp
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
