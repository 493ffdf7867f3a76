/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decoding: one table says which operation an opcode is and how its operands
 * are encoded (AMD64 APM vol. 3, 1.2-1.7 and appendix A); the rest of the
 * file reads them. What is not in the table is not covered.
 */
#include <errno.h>

#include "bits.h"
#include "insn.h"

enum form {
	FORM_NONE,
	FORM_RM_R,	/* memory op= register */
	FORM_R_RM,	/* register op= memory */
	FORM_RM,	/* memory alone */
	FORM_RM_IMM,	/* immediate of the operand's size, at most 4 */
	FORM_RM_IMM8,	/* one byte, sign-extended */
	FORM_A_MOFFS,	/* accumulator, address in the instruction */
	FORM_MOFFS_A,
	FORM_STRING,
};

/* In place of an operation: ModRM.reg chooses it. */
enum group {
	GROUP_ARITHMETIC = INSN_VECTOR + 1,
	GROUP_UNARY, GROUP_STEP, GROUP_BIT, GROUP_MOVE, GROUP_END,
};

struct opcode {
	u8 operation;	/* enum insn_operation or enum group */
	u8 form;
	u8 operand_size;	/* 0: by mode and prefixes */
	u8 memory_size;		/* 0: the operand's */
};

#define PAIR(byte, operation, form)	\
	[byte] = { operation, form, 1, 0 },	\
	[(byte) + 1] = { operation, form, 0, 0 }

#define ARITHMETIC(operation)                                        \
	PAIR(((operation) - INSN_ADD) << 3, operation, FORM_RM_R),   \
	PAIR(((operation) - INSN_ADD) << 3 | 2, operation, FORM_R_RM)

static const struct opcode one_byte_map[256] = {
	ARITHMETIC(INSN_ADD), ARITHMETIC(INSN_OR),
	ARITHMETIC(INSN_ADC), ARITHMETIC(INSN_SBB),
	ARITHMETIC(INSN_AND), ARITHMETIC(INSN_SUB),
	ARITHMETIC(INSN_XOR), ARITHMETIC(INSN_CMP),
	[0x63] = { INSN_MOVSX, FORM_R_RM, 0, 4 },	/* not 64-bit: ARPL */
	[0x80] = { GROUP_ARITHMETIC, FORM_RM_IMM8, 1, 0 },
	[0x81] = { GROUP_ARITHMETIC, FORM_RM_IMM, 0, 0 },
	[0x83] = { GROUP_ARITHMETIC, FORM_RM_IMM8, 0, 0 },
	PAIR(0x84, INSN_TEST, FORM_RM_R),
	PAIR(0x86, INSN_XCHG, FORM_RM_R),
	PAIR(0x88, INSN_MOV, FORM_RM_R),
	PAIR(0x8a, INSN_MOV, FORM_R_RM),
	PAIR(0xa0, INSN_MOV, FORM_A_MOFFS),
	PAIR(0xa2, INSN_MOV, FORM_MOFFS_A),
	PAIR(0xa4, INSN_MOVS, FORM_STRING),
	PAIR(0xaa, INSN_STOS, FORM_STRING),
	PAIR(0xac, INSN_LODS, FORM_STRING),
	PAIR(0xc6, GROUP_MOVE, FORM_RM_IMM),
	PAIR(0xf6, GROUP_UNARY, FORM_RM),
	PAIR(0xfe, GROUP_STEP, FORM_RM),
};

#define VECTOR { INSN_VECTOR, FORM_R_RM, 0, 0 }

/* After 0Fh. */
static const struct opcode two_byte_map[256] = {
	[0x10 ... 0x17] = VECTOR,	/* MOVUPS and relatives */
	[0x28 ... 0x29] = VECTOR,	/* MOVAPS */
	[0x2b] = VECTOR,		/* MOVNTPS */
	[0x6e ... 0x6f] = VECTOR,	/* MOVD, MOVDQA */
	[0x7e ... 0x7f] = VECTOR,
	[0xa3] = { INSN_BT, FORM_RM_R, 0, 0 },
	[0xab] = { INSN_BTS, FORM_RM_R, 0, 0 },
	PAIR(0xb0, INSN_CMPXCHG, FORM_RM_R),
	[0xb3] = { INSN_BTR, FORM_RM_R, 0, 0 },
	[0xb6] = { INSN_MOVZX, FORM_R_RM, 0, 1 },
	[0xb7] = { INSN_MOVZX, FORM_R_RM, 0, 2 },
	[0xba] = { GROUP_BIT, FORM_RM_IMM8, 0, 0 },
	[0xbb] = { INSN_BTC, FORM_RM_R, 0, 0 },
	[0xbe] = { INSN_MOVSX, FORM_R_RM, 0, 1 },
	[0xbf] = { INSN_MOVSX, FORM_R_RM, 0, 2 },
	PAIR(0xc0, INSN_XADD, FORM_RM_R),
	[0xc3] = { INSN_MOV, FORM_RM_R, 0, 0 },	/* MOVNTI */
	[0xd6] = VECTOR,			/* MOVQ */
	[0xe7] = VECTOR,			/* MOVNTDQ */
};

/* After 0Fh 38h. */
static const struct opcode three_byte_map[256] = {
	[0xf0] = { INSN_MOVBE, FORM_R_RM, 0, 0 },
	[0xf1] = { INSN_MOVBE, FORM_RM_R, 0, 0 },
};

static const u8 groups[GROUP_END - GROUP_ARITHMETIC][8] = {
	[GROUP_ARITHMETIC - GROUP_ARITHMETIC] = {
		INSN_ADD, INSN_OR, INSN_ADC, INSN_SBB,
		INSN_AND, INSN_SUB, INSN_XOR, INSN_CMP,
	},
	[GROUP_UNARY - GROUP_ARITHMETIC] = {
		INSN_TEST, INSN_TEST, INSN_NOT, INSN_NEG,
	},
	[GROUP_STEP - GROUP_ARITHMETIC] = { INSN_INC, INSN_DEC },
	[GROUP_BIT - GROUP_ARITHMETIC] = {
		[4] = INSN_BT, INSN_BTS, INSN_BTR, INSN_BTC,
	},
	[GROUP_MOVE - GROUP_ARITHMETIC] = { INSN_MOV },
};

enum rex { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8, REX = 0x40 };

#define MODRM_MOD BITS(7, 6)	/* SIB: scale, index, base */
#define MODRM_REG BITS(5, 3)
#define MODRM_RM BITS(2, 0)

struct decoder {
	const u8 *bytes;
	size_t count, at;
	int error;	/* the first; sticky */
	enum insn_mode mode;
	u8 rex;		/* 0: none */
	u8 repeat;	/* F2h, F3h or 0 */
	bool is_operand_prefixed, is_address_prefixed;
	u8 segment;	/* INSN_SEGMENT_COUNT: no override */
	struct insn *out;
};

static void fail(struct decoder *d, int error)
{
	if (!d->error)
		d->error = error;
}

/* Zero once there was an error, so that readers need not ask. */
static u8 take(struct decoder *d)
{
	if (d->at >= INSN_LENGTH_MAX)
		fail(d, -EINVAL);
	else if (d->at >= d->count)
		fail(d, -ENODATA);
	return d->error ? 0 : d->bytes[d->at++];
}

/* Little-endian, sign-extended; size 1, 2, 4 or 8. */
static u64 take_signed(struct decoder *d, unsigned size)
{
	unsigned unused_bits = 64 - 8 * size;
	u64 value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (u64)take(d) << 8 * i;
	return (u64)((int64_t)(value << unused_bits) >> unused_bits);
}

/* In long mode overrides of ES, CS, SS and DS are ignored (1.2.4). */
static void override_segment(struct decoder *d, u8 segment)
{
	if (d->mode != INSN_MODE_64 || segment >= INSN_FS)
		d->segment = segment;
}

/* A REX prefix counts only directly before the opcode (1.2.7). */
static bool apply_prefix(struct decoder *d, u8 byte)
{
	u8 rex = 0;

	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		override_segment(d, INSN_ES + ((byte >> 3) & 3));
		break;
	case 0x64:
	case 0x65:
		override_segment(d, INSN_FS + (byte & 1));
		break;
	case 0x66:
		d->is_operand_prefixed = true;
		break;
	case 0x67:
		d->is_address_prefixed = true;
		break;
	case 0xf0:
		break;
	case 0xf2:
	case 0xf3:
		d->repeat = byte;
		break;
	default:
		if (d->mode != INSN_MODE_64 || (byte & 0xf0) != REX)
			return false;
		rex = byte;
	}
	d->rex = rex;
	return true;
}

static u8 take_prefixes(struct decoder *d)
{
	u8 byte;

	do
		byte = take(d);
	while (apply_prefix(d, byte));
	return byte;
}

/* With F2h, 0F 38 F0 is CRC32. */
static const struct opcode *take_three_byte_opcode(struct decoder *d)
{
	if (d->repeat)
		fail(d, -EINVAL);
	return &three_byte_map[take(d)];
}

static const struct opcode *take_opcode(struct decoder *d)
{
	u8 byte = take_prefixes(d);

	if (byte == 0x63 && d->mode != INSN_MODE_64)
		fail(d, -EINVAL);
	if (byte != 0x0f)
		return &one_byte_map[byte];
	byte = take(d);
	if (byte == 0x38)
		return take_three_byte_opcode(d);
	return &two_byte_map[byte];
}

static unsigned default_operand_size(const struct decoder *d)
{
	if (d->rex & REX_W)
		return 8;
	return (d->mode == INSN_MODE_16) == d->is_operand_prefixed ? 4 : 2;
}

static unsigned default_address_size(const struct decoder *d)
{
	if (d->mode == INSN_MODE_64)
		return d->is_address_prefixed ? 4 : 8;
	return (d->mode == INSN_MODE_16) == d->is_address_prefixed ? 4 : 2;
}

/* MOVSXD of a word reads a word. */
static void set_sizes(struct decoder *d, const struct opcode *opcode)
{
	struct insn *out = d->out;

	out->address_size = default_address_size(d);
	out->operand_size = opcode->operand_size;
	if (!out->operand_size)
		out->operand_size = default_operand_size(d);
	out->memory_size = out->operand_size;
	if (opcode->memory_size)
		out->memory_size = MIN(opcode->memory_size, out->operand_size);
}

static u8 extended(const struct decoder *d, u8 number, enum rex bit)
{
	return d->rex & bit ? number + 8 : number;
}

/* Without REX, byte registers 4-7 are AH, CH, DH and BH (1.4.1). */
static void set_register(struct decoder *d, u8 number)
{
	struct insn *out = d->out;

	out->reg_is_high = out->operand_size == 1 && !d->rex && number >= 4;
	out->reg = out->reg_is_high ? number - 4 : extended(d, number, REX_R);
}

static void set_segment(struct decoder *d, enum insn_segment natural)
{
	d->out->segment = d->segment;
	if (d->segment == INSN_SEGMENT_COUNT)
		d->out->segment = natural;
}

static void take_displacement(struct decoder *d, u8 mod, unsigned full_size)
{
	if (mod == 1)
		d->out->displacement = take_signed(d, 1);
	else if (mod == 2)
		d->out->displacement = take_signed(d, full_size);
}

/* 1.4.2, table 1-16. */
static void take_address_16(struct decoder *d, u8 mod, u8 rm)
{
	static const u8 base[8] = { INSN_RBX, INSN_RBX, INSN_RBP, INSN_RBP,
				    INSN_RSI, INSN_RDI, INSN_RBP, INSN_RBX };
	static const u8 index[8] = { INSN_RSI, INSN_RDI, INSN_RSI, INSN_RDI,
				     INSN_NO_GPR, INSN_NO_GPR, INSN_NO_GPR,
				     INSN_NO_GPR };

	if (mod == 0 && rm == 6) {
		d->out->displacement = take_signed(d, 2);
		return;
	}
	d->out->base = base[rm];
	d->out->index = index[rm];
	take_displacement(d, mod, 2);
}

/* 1.4.3; returns the base, 5 with mod 0 meaning none. */
static u8 take_sib(struct decoder *d)
{
	u8 sib = take(d);
	u8 index = extended(d, FIELD_GET(MODRM_REG, sib), REX_X);

	if (index != INSN_RSP)
		d->out->index = index;
	d->out->scale = 1 << FIELD_GET(MODRM_MOD, sib);
	return FIELD_GET(MODRM_RM, sib);
}

static void take_address_32(struct decoder *d, u8 mod, u8 rm)
{
	bool has_sib = rm == INSN_RSP;

	if (has_sib)
		rm = take_sib(d);
	if (mod == 0 && rm == INSN_RBP) {
		d->out->displacement = take_signed(d, 4);
		d->out->is_rip_relative = d->mode == INSN_MODE_64 && !has_sib;
		return;
	}
	d->out->base = extended(d, rm, REX_B);
	take_displacement(d, mod, 4);
}

static void take_address(struct decoder *d, u8 modrm)
{
	u8 mod = FIELD_GET(MODRM_MOD, modrm), rm = FIELD_GET(MODRM_RM, modrm);
	u8 base;

	if (mod == 3)
		fail(d, -EINVAL);
	else if (d->out->address_size == 2)
		take_address_16(d, mod, rm);
	else
		take_address_32(d, mod, rm);
	base = d->out->base;
	set_segment(d, base == INSN_RSP || base == INSN_RBP ? INSN_SS
							    : INSN_DS);
}

static void set_operation(struct decoder *d, u8 operation, u8 modrm)
{
	if (operation >= GROUP_ARITHMETIC)
		operation = groups[operation - GROUP_ARITHMETIC]
				  [FIELD_GET(MODRM_REG, modrm)];
	if (operation == INSN_NONE)
		fail(d, -EINVAL);
	d->out->operation = operation;
}

static void take_immediate(struct decoder *d, unsigned size)
{
	d->out->source = INSN_IMMEDIATE;
	d->out->immediate = take_signed(d, MIN(size, 4u));
}

/* TEST is the one of its group that has an immediate. */
static void take_modrm(struct decoder *d, const struct opcode *opcode)
{
	struct insn *out = d->out;
	u8 modrm = take(d);

	set_operation(d, opcode->operation, modrm);
	set_register(d, FIELD_GET(MODRM_REG, modrm));
	take_address(d, modrm);
	out->to_register = opcode->form == FORM_R_RM;
	if (opcode->form == FORM_RM_IMM8)
		take_immediate(d, 1);
	else if (opcode->form == FORM_RM_IMM ||
		 (opcode->form == FORM_RM && out->operation == INSN_TEST))
		take_immediate(d, out->operand_size);
}

static void take_moffs(struct decoder *d, const struct opcode *opcode)
{
	set_operation(d, opcode->operation, 0);
	set_segment(d, INSN_DS);
	d->out->reg = INSN_RAX;
	d->out->to_register = opcode->form == FORM_A_MOFFS;
	d->out->displacement = take_signed(d, d->out->address_size);
}

static void take_string(struct decoder *d, const struct opcode *opcode)
{
	set_operation(d, opcode->operation, 0);
	set_segment(d, INSN_DS);
	d->out->reg = INSN_RAX;
	d->out->is_repeated = d->repeat;
}

static void take_operands(struct decoder *d, const struct opcode *opcode)
{
	switch (opcode->form) {
	case FORM_NONE:
		fail(d, -EINVAL);
		break;
	case FORM_A_MOFFS:
	case FORM_MOFFS_A:
		take_moffs(d, opcode);
		break;
	case FORM_STRING:
		take_string(d, opcode);
		break;
	default:
		take_modrm(d, opcode);
	}
}

int insn_decode(const u8 *bytes, size_t count, enum insn_mode mode,
		struct insn *out)
{
	struct decoder d = { .bytes = bytes, .count = count, .mode = mode,
			     .segment = INSN_SEGMENT_COUNT, .out = out };
	const struct opcode *opcode;

	*out = (struct insn){ .base = INSN_NO_GPR, .index = INSN_NO_GPR,
			      .scale = 1 };
	opcode = take_opcode(&d);
	set_sizes(&d, opcode);
	take_operands(&d, opcode);
	out->length = d.at;
	return d.error;
}
