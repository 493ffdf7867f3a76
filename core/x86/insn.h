/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instruction behind one memory access that faulted in nested paging:
 * decoded from its bytes, then executed against memory that the caller
 * supplies. Pure: knows neither the processor's state nor guest memory.
 * Numbers as in AMD64 Architecture Programmer's Manual, vol. 3, rev. 3.36.
 *
 * Covered: every general-purpose form that moves data or does arithmetic
 * with a memory operand, except shifts, multiplication, division, the stack
 * and branches. Vector moves are decoded for their length only.
 */
#ifndef SLUICE_INSN_H
#define SLUICE_INSN_H

#include "types.h"

#define INSN_LENGTH_MAX 15

/* Default operand and address size of the code segment; 64 is long mode. */
enum insn_mode { INSN_MODE_16, INSN_MODE_32, INSN_MODE_64 };

/* In encoding order. */
enum insn_gpr {
	INSN_RAX, INSN_RCX, INSN_RDX, INSN_RBX,
	INSN_RSP, INSN_RBP, INSN_RSI, INSN_RDI,
	INSN_R8, INSN_R9, INSN_R10, INSN_R11,
	INSN_R12, INSN_R13, INSN_R14, INSN_R15,
	INSN_GPR_COUNT,
};

enum insn_segment {
	INSN_ES, INSN_CS, INSN_SS, INSN_DS, INSN_FS, INSN_GS,
	INSN_SEGMENT_COUNT,
};

/* What the emulator may read and change. */
struct insn_cpu {
	u64 gpr[INSN_GPR_COUNT];
	u64 rip, rflags;
	u64 segment_base[INSN_SEGMENT_COUNT];	/* read only */
	enum insn_mode mode;			/* read only */
};

enum insn_operation {
	INSN_NONE,
	/* In the order of bits 5-3 of their opcodes. */
	INSN_ADD, INSN_OR, INSN_ADC, INSN_SBB,
	INSN_AND, INSN_SUB, INSN_XOR, INSN_CMP,
	INSN_TEST, INSN_NOT, INSN_NEG, INSN_INC, INSN_DEC,
	INSN_MOV, INSN_MOVZX, INSN_MOVSX, INSN_MOVBE,
	INSN_XCHG, INSN_XADD, INSN_CMPXCHG,
	INSN_BT, INSN_BTS, INSN_BTR, INSN_BTC,
	INSN_MOVS, INSN_STOS, INSN_LODS,
	INSN_VECTOR,
};

/* Where the operand that is not in memory comes from. */
enum insn_source { INSN_REGISTER, INSN_IMMEDIATE };

#define INSN_NO_GPR INSN_GPR_COUNT

struct insn {
	enum insn_operation operation;
	enum insn_source source;
	bool to_register;	/* memory is the source, not the target */
	bool is_repeated;
	u8 length;		/* bytes, prefixes included */
	u8 operand_size;	/* of the register: 1, 2, 4 or 8 bytes */
	u8 memory_size;		/* of the access: 1, 2, 4 or 8 bytes */
	u8 address_size;	/* 2, 4 or 8 bytes */
	u8 reg;			/* enum insn_gpr */
	bool reg_is_high;	/* AH, CH, DH, BH: bits 15-8 of `reg` */
	u64 immediate;		/* sign-extended */
	/* Effective address: base + index * scale + displacement. */
	u8 segment;		/* enum insn_segment */
	u8 base, index;		/* enum insn_gpr, or INSN_NO_GPR */
	u8 scale;
	bool is_rip_relative;	/* to the next instruction; no base, index */
	u64 displacement;	/* sign-extended */
};

/*
 * 0; -ENODATA when `count` bytes are too few; -EINVAL when the instruction
 * is not covered, touches no memory or is longer than INSN_LENGTH_MAX.
 */
int insn_decode(const u8 *bytes, size_t count, enum insn_mode mode,
		struct insn *out);

/* Long mode ignores all bases but FS and GS (APM vol. 2, 4.5.3). */
static inline bool insn_uses_base(enum insn_mode mode, u8 segment)
{
	return mode != INSN_MODE_64 || segment >= INSN_FS;
}

/*
 * The commonest of all, a MOV of a register or a constant to memory: where
 * to, in linear addresses, and what. False: it is none. Changes nothing.
 */
bool insn_is_store(const struct insn *insn, struct insn_cpu *cpu,
		   u64 *linear, u64 *value);

/*
 * The caller's way to memory, by linear address; any alignment, size 1, 2, 4
 * or 8. 0, or an error of the caller's choice.
 */
struct insn_memory {
	int (*load)(struct insn_memory *memory, u64 linear, unsigned size,
		    u64 *value);
	int (*store)(struct insn_memory *memory, u64 linear, unsigned size,
		     u64 value);
};

/*
 * 0: executed; registers, flags and rip are updated. Of a repeated string
 * instruction one iteration was done: rip stays until the count is zero, as
 * if an interrupt had come between.
 * -ENOTSUP: a vector move; nothing was touched, the caller may skip
 * insn->length bytes. Otherwise the error of load or store, and nothing of
 * `cpu` has changed; a store is always the last thing that can fail.
 *
 * A locked operation is a load and a store, not one atomic access.
 */
int insn_emulate(const struct insn *insn, struct insn_cpu *cpu,
		 struct insn_memory *memory);

#endif
