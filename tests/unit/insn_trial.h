/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One instruction of those that core/x86/insn.h covers, with random
 * registers, encoding and memory; only the address of its operand is
 * arranged. And the processor's own way of executing it.
 */
#ifndef INSN_TRIAL_H
#define INSN_TRIAL_H

#include "../../core/x86/insn.h"
#include "bits.h"

#define TRIAL_MEMORY 4096	/* bytes it may touch, */
#define TRIAL_MIDDLE (TRIAL_MEMORY / 2)	/* the operand in the middle */

#define TRIAL_CF BIT(0)
#define TRIAL_PF BIT(2)
#define TRIAL_AF BIT(4)
#define TRIAL_ZF BIT(6)
#define TRIAL_SF BIT(7)
#define TRIAL_DF BIT(10)
#define TRIAL_OF BIT(11)
#define TRIAL_FLAGS (TRIAL_CF | TRIAL_PF | TRIAL_AF | TRIAL_ZF | \
		     TRIAL_SF | TRIAL_DF | TRIAL_OF)

struct trial_state {
	u64 gpr[INSN_GPR_COUNT];
	u64 rflags;
};

/* Both below 2 GiB, so that every kind of address can reach. */
struct trial_place {
	u8 *code;		/* INSN_LENGTH_MAX + 16 bytes */
	u8 *data;		/* TRIAL_MEMORY bytes */
};

struct trial {
	const struct trial_form *form;
	const struct trial_place *place;
	struct trial_state before;
	u8 memory[TRIAL_MEMORY];
	u8 bytes[INSN_LENGTH_MAX + 1];
	size_t length;
	unsigned operand_size;
	bool is_address_32, is_repeated;
	u8 rex;
	unsigned reg;		/* ModRM.reg with REX.R */
};

/* How many forms there are, and a new trial of one. */
size_t trial_form_count(void);
void trial_init(struct trial *trial, size_t form,
		const struct trial_place *place);
const char *trial_name(const struct trial *trial);
bool trial_needs_movbe(const struct trial *trial);
/* Flags that the instruction defines or leaves alone. */
u64 trial_defined_flags(const struct trial *trial);

/* The processor executes it with `before` and what is in place->data; returns
 * the state after it. One at a time: no interrupt may come, no stack is
 * there. */
const struct trial_state *trial_run(const struct trial *trial);
/* Not to be called: where the code ends, and a fault in it may go on. */
void trial_end(void);

#endif
