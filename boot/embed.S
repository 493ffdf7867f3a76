/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypervisor travels inside the loader: one file to sign and to copy. */
	.section .rodata
	.balign 16
	.hidden embedded_elf
	.globl embedded_elf
embedded_elf:
	.incbin EMBEDDED_ELF
	.hidden embedded_elf_end
	.globl embedded_elf_end
embedded_elf_end:

	.section .note.GNU-stack, "", @progbits
