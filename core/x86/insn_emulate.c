/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Executing a decoded instruction. Registers and flags change only when every
 * access to memory has succeeded, so nothing has ever to be undone.
 */
#include <errno.h>

#include "bits.h"
#include "insn.h"

/* AMD64 APM vol. 1, 3.1.4 */
#define FLAG_CF BIT(0)
#define FLAG_PF BIT(2)
#define FLAG_AF BIT(4)
#define FLAG_ZF BIT(6)
#define FLAG_SF BIT(7)
#define FLAG_DF BIT(10)
#define FLAG_OF BIT(11)
#define FLAG_ARITHMETIC \
	(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

struct execution {
	const struct insn *insn;
	struct insn_cpu *cpu;
	struct insn_memory *memory;
};

static u64 truncated(u64 value, unsigned size)
{
	return value & BITS(8 * size - 1, 0);
}

static u64 sign_extended(u64 value, unsigned size)
{
	unsigned unused_bits = 64 - 8 * size;

	return (u64)((int64_t)(value << unused_bits) >> unused_bits);
}

static bool is_negative(u64 value, unsigned size)
{
	return value >> (8 * size - 1) & 1;
}

/* A 32-bit result clears the upper half (APM vol. 1, 3.1.2). */
static void set_gpr(u64 *gpr, u64 value, unsigned size)
{
	if (size == 4)
		*gpr = truncated(value, 4);
	else
		*gpr = FIELD_SET(BITS(8 * size - 1, 0), *gpr, value);
}

static u64 get_register(const struct execution *x)
{
	u64 gpr = x->cpu->gpr[x->insn->reg];

	if (x->insn->reg_is_high)
		gpr >>= 8;
	return truncated(gpr, x->insn->operand_size);
}

static void set_register(struct execution *x, u64 value)
{
	u64 *gpr = &x->cpu->gpr[x->insn->reg];

	if (x->insn->reg_is_high)
		*gpr = FIELD_SET(BITS(15, 8), *gpr, value);
	else
		set_gpr(gpr, value, x->insn->operand_size);
}

static u64 get_source(const struct execution *x)
{
	if (x->insn->source == INSN_IMMEDIATE)
		return truncated(x->insn->immediate, x->insn->operand_size);
	return get_register(x);
}

static u64 linear_address(const struct execution *x, enum insn_segment segment,
			  u64 effective)
{
	u64 offset = truncated(effective, x->insn->address_size);

	if (insn_uses_base(x->cpu->mode, segment))
		offset += x->cpu->segment_base[segment];
	return x->cpu->mode == INSN_MODE_64 ? offset : truncated(offset, 4);
}

static u64 operand_address(const struct execution *x, u64 displacement)
{
	const struct insn *insn = x->insn;
	u64 effective = insn->displacement + displacement;

	if (insn->is_rip_relative)
		effective += x->cpu->rip + insn->length;
	if (insn->base != INSN_NO_GPR)
		effective += x->cpu->gpr[insn->base];
	if (insn->index != INSN_NO_GPR)
		effective += x->cpu->gpr[insn->index] * insn->scale;
	return linear_address(x, insn->segment, effective);
}

static int load(struct execution *x, u64 linear, u64 *value)
{
	unsigned size = x->insn->memory_size;
	int error = x->memory->load(x->memory, linear, size, value);

	if (!error)
		*value = truncated(*value, size);
	return error;
}

static int store(struct execution *x, u64 linear, u64 value)
{
	unsigned size = x->insn->memory_size;

	return x->memory->store(x->memory, linear, size,
				truncated(value, size));
}

static void set_flags(u64 *rflags, u64 mask, u64 value)
{
	*rflags = (*rflags & ~mask) | (value & mask);
}

/* PF counts the lowest byte alone. */
static u64 flags_of(u64 result, unsigned size)
{
	u64 flags = 0;

	if (!__builtin_parity(result & 0xff))
		flags |= FLAG_PF;
	if (!result)
		flags |= FLAG_ZF;
	if (is_negative(result, size))
		flags |= FLAG_SF;
	return flags;
}

static u64 logic(u64 result, unsigned size, u64 *rflags)
{
	set_flags(rflags, FLAG_ARITHMETIC, flags_of(result, size));
	return result;
}

static u64 sum(u64 a, u64 b, bool carry, unsigned size, u64 *rflags)
{
	u64 result = truncated(a + b + carry, size);
	u64 flags = flags_of(result, size);

	if (is_negative((a & b) | ((a | b) & ~result), size))
		flags |= FLAG_CF;
	if (is_negative((a ^ result) & (b ^ result), size))
		flags |= FLAG_OF;
	flags |= (a ^ b ^ result) & FLAG_AF;
	set_flags(rflags, FLAG_ARITHMETIC, flags);
	return result;
}

static u64 difference(u64 a, u64 b, bool borrow, unsigned size, u64 *rflags)
{
	u64 result = truncated(a - b - borrow, size);
	u64 flags = flags_of(result, size);

	if (is_negative((~a & b) | ((~a | b) & result), size))
		flags |= FLAG_CF;
	if (is_negative((a ^ b) & (a ^ result), size))
		flags |= FLAG_OF;
	flags |= (a ^ b ^ result) & FLAG_AF;
	set_flags(rflags, FLAG_ARITHMETIC, flags);
	return result;
}

/* INC and DEC leave the carry alone. */
static u64 step(enum insn_operation operation, u64 value, unsigned size,
		u64 *rflags)
{
	u64 carry = *rflags & FLAG_CF;

	if (operation == INSN_INC)
		value = sum(value, 1, 0, size, rflags);
	else
		value = difference(value, 1, 0, size, rflags);
	set_flags(rflags, FLAG_CF, carry);
	return value;
}

static u64 compute(enum insn_operation operation, u64 target, u64 source,
		   unsigned size, u64 *rflags)
{
	bool carry = *rflags & FLAG_CF;

	switch (operation) {
	case INSN_ADD:
	case INSN_XADD:
		return sum(target, source, 0, size, rflags);
	case INSN_ADC:
		return sum(target, source, carry, size, rflags);
	case INSN_SUB:
	case INSN_CMP:
	case INSN_CMPXCHG:
		return difference(target, source, 0, size, rflags);
	case INSN_SBB:
		return difference(target, source, carry, size, rflags);
	case INSN_NEG:
		return difference(0, target, 0, size, rflags);
	case INSN_AND:
	case INSN_TEST:
		return logic(target & source, size, rflags);
	case INSN_OR:
		return logic(target | source, size, rflags);
	case INSN_XOR:
		return logic(target ^ source, size, rflags);
	case INSN_NOT:
		return ~target;
	default:
		return step(operation, target, size, rflags);
	}
}

static int emulate_arithmetic(struct execution *x)
{
	const struct insn *insn = x->insn;
	u64 linear = operand_address(x, 0), in_memory, other = get_source(x);
	bool is_compare = insn->operation == INSN_CMP ||
			  insn->operation == INSN_TEST;
	u64 result, rflags = x->cpu->rflags;
	int error = load(x, linear, &in_memory);

	if (error)
		return error;
	result = compute(insn->operation,
			 insn->to_register ? other : in_memory,
			 insn->to_register ? in_memory : other,
			 insn->operand_size, &rflags);
	if (!insn->to_register && !is_compare)
		error = store(x, linear, result);
	if (error)
		return error;
	x->cpu->rflags = rflags;
	if (insn->to_register && !is_compare)
		set_register(x, result);
	return 0;
}

bool insn_is_store(const struct insn *insn, struct insn_cpu *cpu,
		   u64 *linear, u64 *value)
{
	const struct execution x = { .insn = insn, .cpu = cpu };

	if (insn->operation != INSN_MOV || insn->to_register)
		return false;
	*linear = operand_address(&x, 0);
	*value = get_source(&x);
	return true;
}

static u64 converted(const struct insn *insn, u64 value)
{
	if (insn->operation == INSN_MOVSX)
		return sign_extended(value, insn->memory_size);
	if (insn->operation == INSN_MOVBE)
		return __builtin_bswap64(value) >> (64 - 8 * insn->memory_size);
	return value;
}

static int emulate_move(struct execution *x)
{
	u64 linear = operand_address(x, 0), value;
	int error;

	if (!x->insn->to_register)
		return store(x, linear, converted(x->insn, get_source(x)));
	error = load(x, linear, &value);
	if (!error)
		set_register(x, converted(x->insn, value));
	return error;
}

static int emulate_exchange(struct execution *x)
{
	u64 linear = operand_address(x, 0), in_memory, value = get_register(x);
	u64 rflags = x->cpu->rflags;
	int error = load(x, linear, &in_memory);

	if (error)
		return error;
	if (x->insn->operation == INSN_XADD)
		value = compute(INSN_XADD, in_memory, value,
				x->insn->operand_size, &rflags);
	error = store(x, linear, value);
	if (error)
		return error;
	x->cpu->rflags = rflags;
	set_register(x, in_memory);
	return 0;
}

/* Memory is written either way, as the processor does (CMPXCHG). */
static int emulate_compare_exchange(struct execution *x)
{
	unsigned size = x->insn->operand_size;
	u64 linear = operand_address(x, 0), in_memory;
	u64 *rax = &x->cpu->gpr[INSN_RAX], rflags = x->cpu->rflags;
	int error = load(x, linear, &in_memory);

	if (error)
		return error;
	compute(INSN_CMP, truncated(*rax, size), in_memory, size, &rflags);
	error = store(x, linear,
		      rflags & FLAG_ZF ? get_register(x) : in_memory);
	if (error)
		return error;
	x->cpu->rflags = rflags;
	if (!(rflags & FLAG_ZF))
		set_gpr(rax, in_memory, size);
	return 0;
}

/* A bit number from a register is signed and reaches beyond the operand. */
static u64 bit_displacement(const struct execution *x)
{
	unsigned size = x->insn->operand_size;
	int64_t bit = (int64_t)sign_extended(get_source(x), size);

	if (x->insn->source == INSN_IMMEDIATE)
		return 0;
	return (u64)(bit >> 3) & ~(u64)(size - 1);
}

static u64 changed_bit(enum insn_operation operation, u64 value, u64 mask)
{
	switch (operation) {
	case INSN_BTS:
		return value | mask;
	case INSN_BTR:
		return value & ~mask;
	default:
		return value ^ mask;
	}
}

static int emulate_bit(struct execution *x)
{
	enum insn_operation operation = x->insn->operation;
	u64 mask = BIT(get_source(x) & (8 * x->insn->operand_size - 1));
	u64 linear = operand_address(x, bit_displacement(x)), value;
	int error = load(x, linear, &value);

	if (!error && operation != INSN_BT)
		error = store(x, linear, changed_bit(operation, value, mask));
	if (error)
		return error;
	set_flags(&x->cpu->rflags, FLAG_CF, value & mask ? FLAG_CF : 0);
	return 0;
}

static void advance(struct execution *x, enum insn_gpr pointer)
{
	u64 size = x->insn->memory_size, *gpr = &x->cpu->gpr[pointer];

	if (x->cpu->rflags & FLAG_DF)
		size = -size;
	set_gpr(gpr, *gpr + size, x->insn->address_size);
}

static int move_element(struct execution *x)
{
	enum insn_operation operation = x->insn->operation;
	u64 from = linear_address(x, x->insn->segment, x->cpu->gpr[INSN_RSI]);
	u64 to = linear_address(x, INSN_ES, x->cpu->gpr[INSN_RDI]);
	u64 value = get_register(x);
	int error = 0;

	if (operation != INSN_STOS)
		error = load(x, from, &value);
	if (!error && operation == INSN_LODS)
		set_register(x, value);
	else if (!error)
		error = store(x, to, value);
	return error;
}

static int emulate_string(struct execution *x)
{
	int error = move_element(x);

	if (error)
		return error;
	if (x->insn->operation != INSN_STOS)
		advance(x, INSN_RSI);
	if (x->insn->operation != INSN_LODS)
		advance(x, INSN_RDI);
	return 0;
}

static void leave(struct execution *x)
{
	x->cpu->rip += x->insn->length;
	if (x->cpu->mode != INSN_MODE_64)
		x->cpu->rip = truncated(x->cpu->rip, 4);
}

static int emulate_repeated(struct execution *x)
{
	unsigned size = x->insn->address_size;
	u64 *rcx = &x->cpu->gpr[INSN_RCX];
	int error;

	if (truncated(*rcx, size)) {
		error = emulate_string(x);
		if (error)
			return error;
		set_gpr(rcx, *rcx - 1, size);
	}
	if (!truncated(*rcx, size))
		leave(x);
	return 0;
}

static int emulate_single(struct execution *x)
{
	switch (x->insn->operation) {
	case INSN_NONE:
	case INSN_VECTOR:
		return -ENOTSUP;
	case INSN_MOV:
	case INSN_MOVZX:
	case INSN_MOVSX:
	case INSN_MOVBE:
		return emulate_move(x);
	case INSN_XCHG:
	case INSN_XADD:
		return emulate_exchange(x);
	case INSN_CMPXCHG:
		return emulate_compare_exchange(x);
	case INSN_BT:
	case INSN_BTS:
	case INSN_BTR:
	case INSN_BTC:
		return emulate_bit(x);
	case INSN_MOVS:
	case INSN_STOS:
	case INSN_LODS:
		return emulate_string(x);
	default:
		return emulate_arithmetic(x);
	}
}

static int emulate_once(struct execution *x)
{
	int error = emulate_single(x);

	if (!error)
		leave(x);
	return error;
}

int insn_emulate(const struct insn *insn, struct insn_cpu *cpu,
		 struct insn_memory *memory)
{
	struct execution x = { .insn = insn, .cpu = cpu, .memory = memory };

	return insn->is_repeated ? emulate_repeated(&x) : emulate_once(&x);
}
