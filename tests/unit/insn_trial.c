/* SPDX-License-Identifier: BSD-2-Clause */
/* See insn_trial.h. */
#include <string.h>

#include "insn_trial.h"

/* What native_run loads and stores. */
struct trial_state native_state;
void *native_code;
u64 native_host_rsp, native_rdi;
void native_run(void);

#define LOAD(offset, name) "mov " #offset "(%rdi), %" #name "\n"
#define STORE(offset, name) "mov %" #name ", " #offset "(%rdi)\n"
#define ALL_BUT_RSP_AND_RDI(do)                                         \
	do(0, rax) do(8, rcx) do(16, rdx) do(24, rbx) do(40, rbp)       \
	do(48, rsi) do(64, r8) do(72, r9) do(80, r10) do(88, r11)       \
	do(96, r12) do(104, r13) do(112, r14) do(120, r15)

/* MOV and LEA leave the flags alone; no stack is used in between. */
__asm__(".text\n"
	"native_run:\n"
	"push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n"
	"push %r15\n pushfq\n"
	"mov %rsp, native_host_rsp(%rip)\n"
	"lea native_state(%rip), %rdi\n"
	"pushq 128(%rdi)\n popfq\n"
	ALL_BUT_RSP_AND_RDI(LOAD) LOAD(32, rsp) LOAD(56, rdi)
	"jmp *native_code(%rip)\n"
	".globl trial_end\n"
	".hidden trial_end\n"
	"trial_end:\n"
	"mov %rdi, native_rdi(%rip)\n"
	"lea native_state(%rip), %rdi\n"
	ALL_BUT_RSP_AND_RDI(STORE) STORE(32, rsp)
	"mov native_rdi(%rip), %rax\n"
	"mov %rax, 56(%rdi)\n"
	"mov native_host_rsp(%rip), %rsp\n"
	"pushfq\n popq 128(%rdi)\n"
	"popfq\n pop %r15\n pop %r14\n pop %r13\n pop %r12\n"
	"pop %rbp\n pop %rbx\n"
	"ret\n");

enum shape { MODRM, MOFFS, STRING };
enum width { BYTE, WIDE, NO_66 };

static const struct trial_form {
	const char *name;
	u8 opcode_count, opcode[3];
	enum shape shape;
	int extension;		/* ModRM.reg, or -1: any register */
	u8 immediate_size;	/* 0, 1, or 4: of the operand's size up to 4 */
	enum width width;
	u64 undefined;		/* flags */
} forms[] = {
#define PAIR(name, opcode, extension, immediate, undefined)           \
	{ name " byte", 1, { opcode }, MODRM, extension,              \
	  (immediate) ? 1 : 0, BYTE, undefined },                     \
	{ name, 1, { (opcode) + 1 }, MODRM, extension, immediate,     \
	  WIDE, undefined }
#define ARITHMETIC(name, base, undefined)                             \
	PAIR(name " m, r", base, -1, 0, undefined),                   \
	PAIR(name " r, m", (base) + 2, -1, 0, undefined),             \
	PAIR(name " m, imm", 0x80, (base) >> 3, 4, undefined),        \
	{ name " m, imm8", 1, { 0x83 }, MODRM, (base) >> 3, 1, WIDE,  \
	  undefined }
#define TWO(name, opcode, extension, immediate, undefined)            \
	{ name, 2, { 0x0f, opcode }, MODRM, extension, immediate,     \
	  WIDE, undefined }
#define TWO_BYTE(name, opcode)                                        \
	{ name " byte", 2, { 0x0f, opcode }, MODRM, -1, 0, BYTE, 0 }
#define BIT_UNDEFINED (TRIAL_OF | TRIAL_SF | TRIAL_AF | TRIAL_PF)
#define PLAIN(name, opcode, form)                                     \
	{ name " byte", 1, { opcode }, form, -1, 0, BYTE, 0 },        \
	{ name, 1, { (opcode) + 1 }, form, -1, 0, WIDE, 0 }
	ARITHMETIC("add", 0x00, 0), ARITHMETIC("or", 0x08, TRIAL_AF),
	ARITHMETIC("adc", 0x10, 0), ARITHMETIC("sbb", 0x18, 0),
	ARITHMETIC("and", 0x20, TRIAL_AF), ARITHMETIC("sub", 0x28, 0),
	ARITHMETIC("xor", 0x30, TRIAL_AF), ARITHMETIC("cmp", 0x38, 0),
	PAIR("test m, r", 0x84, -1, 0, TRIAL_AF),
	PAIR("test", 0xf6, 0, 4, TRIAL_AF),
	PAIR("test, alias", 0xf6, 1, 4, TRIAL_AF),
	PAIR("not", 0xf6, 2, 0, 0),
	PAIR("neg", 0xf6, 3, 0, 0), PAIR("inc", 0xfe, 0, 0, 0),
	PAIR("dec", 0xfe, 1, 0, 0), PAIR("xchg", 0x86, -1, 0, 0),
	PAIR("mov m, r", 0x88, -1, 0, 0), PAIR("mov r, m", 0x8a, -1, 0, 0),
	PAIR("mov m, imm", 0xc6, 0, 4, 0),
	{ "movsxd", 1, { 0x63 }, MODRM, -1, 0, WIDE, 0 },
	TWO("movzx r, m8", 0xb6, -1, 0, 0), TWO("movzx r, m16", 0xb7, -1, 0, 0),
	TWO("movsx r, m8", 0xbe, -1, 0, 0), TWO("movsx r, m16", 0xbf, -1, 0, 0),
	TWO("bt m, r", 0xa3, -1, 0, BIT_UNDEFINED),
	TWO("bts m, r", 0xab, -1, 0, BIT_UNDEFINED),
	TWO("btr m, r", 0xb3, -1, 0, BIT_UNDEFINED),
	TWO("btc m, r", 0xbb, -1, 0, BIT_UNDEFINED),
	TWO("bt m, imm", 0xba, 4, 1, BIT_UNDEFINED),
	TWO("bts m, imm", 0xba, 5, 1, BIT_UNDEFINED),
	TWO("btr m, imm", 0xba, 6, 1, BIT_UNDEFINED),
	TWO("btc m, imm", 0xba, 7, 1, BIT_UNDEFINED),
	TWO_BYTE("cmpxchg", 0xb0), TWO("cmpxchg", 0xb1, -1, 0, 0),
	TWO_BYTE("xadd", 0xc0), TWO("xadd", 0xc1, -1, 0, 0),
	{ "movbe r, m", 3, { 0x0f, 0x38, 0xf0 }, MODRM, -1, 0, WIDE, 0 },
	{ "movbe m, r", 3, { 0x0f, 0x38, 0xf1 }, MODRM, -1, 0, WIDE, 0 },
	PLAIN("mov a, moffs", 0xa0, MOFFS), PLAIN("mov moffs, a", 0xa2, MOFFS),
	PLAIN("movs", 0xa4, STRING), PLAIN("stos", 0xaa, STRING),
	PLAIN("lods", 0xac, STRING),
	{ "movnti", 2, { 0x0f, 0xc3 }, MODRM, -1, 0, NO_66, 0 },
};

/* Marsaglia's xorshift: the same everywhere, and no library behind it. */
static u32 random_u32(void)
{
	static u32 state = 2463534242;

	state ^= state << 13;
	state ^= state >> 17;
	return state ^= state << 5;
}

static bool one_in(int n)
{
	return !(random_u32() % n);
}

static u64 random_u64(void)
{
	static const u64 corners[] = { 0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000,
				       0xffff, 0x7fffffff, 0x80000000,
				       0xffffffff, 1ull << 63, ~0ull };

	if (one_in(4))
		return corners[random_u32() % ARRAY_COUNT(corners)];
	return (u64)random_u32() << 32 | random_u32();
}

static u64 target(const struct trial *t)
{
	return (u64)(uintptr_t)t->place->data + TRIAL_MIDDLE;
}

static void put(struct trial *t, u64 value, unsigned size)
{
	memcpy(t->bytes + t->length, &value, size);
	t->length += size;
}

/* A register as bit number reaches beyond the operand. */
static bool is_far_bit(const struct trial_form *form)
{
	return form->undefined == BIT_UNDEFINED && form->extension < 0;
}

/* The accumulator often equals memory, for CMPXCHG. */
static void randomize(struct trial *t)
{
	for (int i = 0; i < INSN_GPR_COUNT; i++)
		t->before.gpr[i] = random_u64();
	for (size_t i = 0; i < TRIAL_MEMORY; i += sizeof(u64)) {
		u64 value = (u64)random_u32() << 32 | random_u32();

		memcpy(t->memory + i, &value, sizeof(value));
	}
	for (int i = 0; one_in(2) && i < 8; i++)
		t->memory[TRIAL_MIDDLE + i] = 0x7f + random_u32() % 3;
	t->before.rflags = 2 | (random_u64() & TRIAL_FLAGS);
	if (one_in(2))
		memcpy(&t->before.gpr[INSN_RAX], t->memory + TRIAL_MIDDLE, 8);
}

static void put_prefixes(struct trial *t)
{
	const struct trial_form *form = t->form;

	t->operand_size = form->width == BYTE ? 1 : 4;
	t->is_address_32 = one_in(4);
	t->is_repeated = form->shape == STRING && one_in(2);
	if (one_in(8))
		put(t, 0x3e, 1);
	if (t->is_address_32)
		put(t, 0x67, 1);
	if (t->is_repeated)
		put(t, one_in(2) ? 0xf2 : 0xf3, 1);
	if (form->width == WIDE && one_in(3)) {
		put(t, 0x66, 1);
		t->operand_size = 2;
	}
}

static void put_rex(struct trial *t)
{
	t->rex = one_in(2) ? 0x40 | random_u32() % 16 : 0;
	if (t->rex)
		put(t, t->rex, 1);
	if (t->form->width != BYTE && t->rex & 8)
		t->operand_size = 8;
}

/* A 32-bit address has rubbish above it. */
static void aim(struct trial *t, unsigned gpr, u64 address)
{
	if (t->is_address_32)
		address = (u32)address | (random_u64() & ~0xffffffffull);
	t->before.gpr[gpr] = address;
}

static unsigned immediate_size(const struct trial *t)
{
	if (t->form->immediate_size != 4)
		return t->form->immediate_size;
	return t->operand_size < 4 ? t->operand_size : 4;
}

static void put_rip_relative(struct trial *t)
{
	u64 start = (u64)(uintptr_t)t->place->code;
	u64 end = start + t->length + 5 + immediate_size(t);

	put(t, (t->reg & 7) << 3 | 5, 1);
	put(t, target(t) - end, 4);
}

/* SIB without a base; the index is R12, or none without REX.X. */
static void put_absolute(struct trial *t)
{
	unsigned scale = random_u32() % 4;
	bool has_index = t->rex & 2;

	put(t, (t->reg & 7) << 3 | 4, 1);
	put(t, scale << 6 | 4 << 3 | 5, 1);
	put(t, has_index ? target(t) - 8 : target(t), 4);
	if (has_index)
		t->before.gpr[INSN_R12] = 8 >> scale;
}

static unsigned random_base(const struct trial *t, unsigned excluded)
{
	unsigned base;

	do
		base = random_u32() % 8 | (t->rex & 1) << 3;
	while (base == excluded || (is_far_bit(t->form) && base == t->reg));
	return base;
}

/* Encodings 4 of ModRM.rm, and 5 with mod 0, are not bases. */
static unsigned random_mod(unsigned base)
{
	return (base & 7) == 5 ? 1 + random_u32() % 2 : random_u32() % 3;
}

static u64 put_displacement(struct trial *t, unsigned mod)
{
	static const unsigned sizes[] = { 0, 1, 4 };
	u64 value = mod == 1 ? (u64)(signed char)random_u32()
			     : (u64)(int)random_u64();

	put(t, value, sizes[mod]);
	return mod ? value : 0;
}

static void put_based(struct trial *t)
{
	unsigned base, mod;

	do
		base = random_base(t, INSN_NO_GPR);
	while ((base & 7) == 4);
	mod = random_mod(base);
	put(t, mod << 6 | (t->reg & 7) << 3 | (base & 7), 1);
	aim(t, base, target(t) - put_displacement(t, mod));
}

static void put_indexed(struct trial *t)
{
	unsigned index = random_u32() % 8 | (t->rex & 2) << 2;
	unsigned scale = random_u32() % 4;
	unsigned base = random_base(t, index), mod = random_mod(base);
	u64 offset;

	put(t, mod << 6 | (t->reg & 7) << 3 | 4, 1);
	put(t, scale << 6 | (index & 7) << 3 | (base & 7), 1);
	offset = put_displacement(t, mod);
	if (index != INSN_RSP)
		offset += t->before.gpr[index] << scale;
	aim(t, base, target(t) - offset);
}

static void put_modrm(struct trial *t)
{
	static void (*const put_address[])(struct trial *t) = {
		put_rip_relative, put_absolute, put_based, put_indexed,
		put_based, put_indexed,
	};

	t->reg = t->form->extension;
	if (t->form->extension < 0)
		t->reg = random_u32() % 8 | (t->rex & 4) << 1;
	if (is_far_bit(t->form))
		t->before.gpr[t->reg] =
			(u64)((int64_t)(random_u32() % 16000) - 8000);
	put_address[random_u32() % ARRAY_COUNT(put_address)](t);
	put(t, random_u64(), immediate_size(t));
}

static void set_string_registers(struct trial *t)
{
	aim(t, INSN_RSI, target(t) + random_u32() % 64);
	aim(t, INSN_RDI, target(t) + random_u32() % 64);
	aim(t, INSN_RCX, 1 + random_u32() % 9);
	if (!t->is_address_32 && one_in(8))
		t->before.gpr[INSN_RCX] = 0;
}

size_t trial_form_count(void)
{
	return ARRAY_COUNT(forms);
}

const char *trial_name(const struct trial *t)
{
	return t->form->name;
}

bool trial_needs_movbe(const struct trial *t)
{
	return t->form->opcode_count == 3;
}

u64 trial_defined_flags(const struct trial *t)
{
	return TRIAL_FLAGS & ~t->form->undefined;
}

void trial_init(struct trial *t, size_t index, const struct trial_place *place)
{
	const struct trial_form *form = &forms[index];

	memset(t, 0, sizeof(*t));
	t->form = form;
	t->place = place;
	randomize(t);
	put_prefixes(t);
	put_rex(t);
	for (int i = 0; i < form->opcode_count; i++)
		put(t, form->opcode[i], 1);
	if (form->shape == MODRM)
		put_modrm(t);
	else if (form->shape == MOFFS)
		put(t, target(t), t->is_address_32 ? 4 : 8);
	else
		set_string_registers(t);
}

/* The instruction, and JMP [rip] to trial_end. */
const struct trial_state *trial_run(const struct trial *t)
{
	u8 *code = t->place->code;
	void *back = trial_end;

	memcpy(code, t->bytes, t->length);
	memcpy(code + t->length, "\xff\x25\0\0\0\0", 6);
	memcpy(code + t->length + 6, &back, sizeof(back));
	native_code = code;
	native_state = t->before;
	native_run();
	return &native_state;
}
