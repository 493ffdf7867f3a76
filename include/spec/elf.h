/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ELF-64 as far as a position-independent image needs it: System V ABI
 * (gABI 4.1, chapters 4 and 5) and its AMD64 supplement 1.0 (psABI).
 */
#ifndef SLUICE_SPEC_ELF_H
#define SLUICE_SPEC_ELF_H

#include "types.h"

#define ELF_IDENT "\177ELF\2\1\1"	/* 64-bit, little endian, version 1 */
#define ELF_IDENT_SIZE 7
#define ELF_TYPE_DYN 3
#define ELF_MACHINE_X86_64 62		/* psABI 4.1 */

struct elf_header {
	u8 ident[16];
	u16 type;
	u16 machine;
	u32 version;
	u64 entry;
	u64 phoff;
	u64 shoff;
	u32 flags;
	u16 ehsize;
	u16 phentsize;
	u16 phnum;
	u16 shentsize;
	u16 shnum;
	u16 shstrndx;
};
_Static_assert(sizeof(struct elf_header) == 64, "gABI 4, ELF header");

#define ELF_SEGMENT_LOAD 1
#define ELF_SEGMENT_DYNAMIC 2

struct elf_segment {
	u32 type;
	u32 flags;
	u64 offset;
	u64 vaddr;
	u64 paddr;
	u64 filesz;
	u64 memsz;
	u64 align;
};
_Static_assert(sizeof(struct elf_segment) == 56, "gABI 5, program header");

#define ELF_DYNAMIC_NULL 0
#define ELF_DYNAMIC_RELA 7
#define ELF_DYNAMIC_RELASZ 8

struct elf_dynamic {
	u64 tag;
	u64 value;
};
_Static_assert(sizeof(struct elf_dynamic) == 16, "gABI 5, dynamic section");

#define ELF_RELOCATION_RELATIVE 8	/* psABI 4.4.1: base + addend */

struct elf_rela {
	u64 offset;
	u64 info;	/* type in the low half, symbol in the high one */
	u64 addend;
};
_Static_assert(sizeof(struct elf_rela) == 24, "gABI 4, relocation");

#endif
