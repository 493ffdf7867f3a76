/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The emulator against the processor: each 64-bit form, with random
 * registers, encodings and memory, is run by both; registers, defined flags
 * and memory have to agree. Only the address of the operand is arranged.
 */
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../../core/x86/insn.h"
#include "test.h"

#define DATA_SIZE 4096
#define DATA_MIDDLE (DATA_SIZE / 2)
#define ROUNDS 1000

#define CF 0x001ull
#define PF 0x004ull
#define AF 0x010ull
#define ZF 0x040ull
#define SF 0x080ull
#define DF 0x400ull
#define OF 0x800ull
#define ALL (CF | PF | AF | ZF | SF | OF)

/* What native_run loads and stores. */
struct native {
	u64 gpr[INSN_GPR_COUNT];
	u64 rflags;
};

struct native native_state;
void *native_code;
u64 native_host_rsp, native_rdi;
void native_run(void);
void native_return(void);

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
	"native_return:\n"
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

enum form { MODRM, MOFFS, STRING };
enum width { BYTE, WIDE, NO_66 };

static const struct tested {
	const char *name;
	u8 opcode_count, opcode[3];
	enum form form;
	int extension;		/* ModRM.reg, or -1: any register */
	u8 immediate_size;	/* 0, 1, or 4: of the operand's size up to 4 */
	enum width width;
	u64 undefined;		/* flags */
} tested[] = {
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
#define BIT_UNDEFINED (OF | SF | AF | PF)
#define PLAIN(name, opcode, form)                                     \
	{ name " byte", 1, { opcode }, form, -1, 0, BYTE, 0 },        \
	{ name, 1, { (opcode) + 1 }, form, -1, 0, WIDE, 0 }
	ARITHMETIC("add", 0x00, 0), ARITHMETIC("or", 0x08, AF),
	ARITHMETIC("adc", 0x10, 0), ARITHMETIC("sbb", 0x18, 0),
	ARITHMETIC("and", 0x20, AF), ARITHMETIC("sub", 0x28, 0),
	ARITHMETIC("xor", 0x30, AF), ARITHMETIC("cmp", 0x38, 0),
	PAIR("test m, r", 0x84, -1, 0, AF), PAIR("test", 0xf6, 0, 4, AF),
	PAIR("test, alias", 0xf6, 1, 4, AF), PAIR("not", 0xf6, 2, 0, 0),
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

/* Code and data below 2 GiB, so that every kind of address can reach. */
static u8 *code, *data;

struct trial {
	const struct tested *tested;
	struct native before;
	u8 memory[DATA_SIZE];
	u8 bytes[INSN_LENGTH_MAX + 1];
	size_t length;
	unsigned operand_size;
	bool is_address_32, is_repeated;
	u8 rex;
	unsigned reg;		/* ModRM.reg with REX.R */
};

static bool one_in(int n)
{
	return !(rand() % n);
}

static u64 random_u64(void)
{
	static const u64 corners[] = { 0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000,
				       0xffff, 0x7fffffff, 0x80000000,
				       0xffffffff, 1ull << 63, ~0ull };

	if (one_in(4))
		return corners[rand() % ARRAY_COUNT(corners)];
	return (u64)rand() << 62 ^ (u64)rand() << 31 ^ (u64)rand();
}

static u64 target(void)
{
	return (u64)(uintptr_t)data + DATA_MIDDLE;
}

static void put(struct trial *t, u64 value, unsigned size)
{
	memcpy(t->bytes + t->length, &value, size);
	t->length += size;
}

/* A register as bit number reaches beyond the operand. */
static bool is_far_bit(const struct tested *tested)
{
	return tested->undefined == BIT_UNDEFINED && tested->extension < 0;
}

/* The accumulator often equals memory, for CMPXCHG. */
static void randomize(struct trial *t)
{
	for (int i = 0; i < INSN_GPR_COUNT; i++)
		t->before.gpr[i] = random_u64();
	for (size_t i = 0; i < DATA_SIZE; i += sizeof(u64)) {
		u64 value = (u64)rand() << 33 ^ (u64)rand() << 16 ^ rand();

		memcpy(t->memory + i, &value, sizeof(value));
	}
	for (int i = 0; one_in(2) && i < 8; i++)
		t->memory[DATA_MIDDLE + i] = 0x7f + rand() % 3;
	t->before.rflags = 2 | (random_u64() & (ALL | DF));
	if (one_in(2))
		memcpy(&t->before.gpr[INSN_RAX], t->memory + DATA_MIDDLE, 8);
}

static void put_prefixes(struct trial *t)
{
	const struct tested *tested = t->tested;

	t->operand_size = tested->width == BYTE ? 1 : 4;
	t->is_address_32 = one_in(4);
	t->is_repeated = tested->form == STRING && one_in(2);
	if (one_in(8))
		put(t, 0x3e, 1);
	if (t->is_address_32)
		put(t, 0x67, 1);
	if (t->is_repeated)
		put(t, one_in(2) ? 0xf2 : 0xf3, 1);
	if (tested->width == WIDE && one_in(3)) {
		put(t, 0x66, 1);
		t->operand_size = 2;
	}
}

static void put_rex(struct trial *t)
{
	t->rex = one_in(2) ? 0x40 | rand() % 16 : 0;
	if (t->rex)
		put(t, t->rex, 1);
	if (t->tested->width != BYTE && t->rex & 8)
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
	if (t->tested->immediate_size != 4)
		return t->tested->immediate_size;
	return t->operand_size < 4 ? t->operand_size : 4;
}

static void put_rip_relative(struct trial *t)
{
	u64 end = (u64)(uintptr_t)code + t->length + 5 + immediate_size(t);

	put(t, (t->reg & 7) << 3 | 5, 1);
	put(t, target() - end, 4);
}

/* SIB without a base; the index is R12, or none without REX.X. */
static void put_absolute(struct trial *t)
{
	unsigned scale = rand() % 4;
	bool has_index = t->rex & 2;

	put(t, (t->reg & 7) << 3 | 4, 1);
	put(t, scale << 6 | 4 << 3 | 5, 1);
	put(t, has_index ? target() - 8 : target(), 4);
	if (has_index)
		t->before.gpr[INSN_R12] = 8 >> scale;
}

static unsigned random_base(const struct trial *t, unsigned excluded)
{
	unsigned base;

	do
		base = rand() % 8 | (t->rex & 1) << 3;
	while (base == excluded || (is_far_bit(t->tested) && base == t->reg));
	return base;
}

/* Encodings 4 of ModRM.rm, and 5 with mod 0, are not bases. */
static unsigned random_mod(unsigned base)
{
	return (base & 7) == 5 ? 1 + rand() % 2 : rand() % 3;
}

static u64 put_displacement(struct trial *t, unsigned mod)
{
	static const unsigned sizes[] = { 0, 1, 4 };
	u64 value = mod == 1 ? (u64)(signed char)rand()
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
	aim(t, base, target() - put_displacement(t, mod));
}

static void put_indexed(struct trial *t)
{
	unsigned index = rand() % 8 | (t->rex & 2) << 2, scale = rand() % 4;
	unsigned base = random_base(t, index), mod = random_mod(base);
	u64 offset;

	put(t, mod << 6 | (t->reg & 7) << 3 | 4, 1);
	put(t, scale << 6 | (index & 7) << 3 | (base & 7), 1);
	offset = put_displacement(t, mod);
	if (index != INSN_RSP)
		offset += t->before.gpr[index] << scale;
	aim(t, base, target() - offset);
}

static void put_modrm(struct trial *t)
{
	static void (*const put_address[])(struct trial *t) = {
		put_rip_relative, put_absolute, put_based, put_indexed,
		put_based, put_indexed,
	};

	t->reg = t->tested->extension;
	if (t->tested->extension < 0)
		t->reg = rand() % 8 | (t->rex & 4) << 1;
	if (is_far_bit(t->tested))
		t->before.gpr[t->reg] = (u64)(int64_t)(rand() % 16000 - 8000);
	put_address[rand() % ARRAY_COUNT(put_address)](t);
	put(t, random_u64(), immediate_size(t));
}

static void set_string_registers(struct trial *t)
{
	aim(t, INSN_RSI, target() + rand() % 64);
	aim(t, INSN_RDI, target() + rand() % 64);
	aim(t, INSN_RCX, 1 + rand() % 9);
	if (!t->is_address_32 && one_in(8))
		t->before.gpr[INSN_RCX] = 0;
}

static void new_trial(struct trial *t, const struct tested *tested)
{
	*t = (struct trial){ .tested = tested };
	randomize(t);
	put_prefixes(t);
	put_rex(t);
	for (int i = 0; i < tested->opcode_count; i++)
		put(t, tested->opcode[i], 1);
	if (tested->form == MODRM)
		put_modrm(t);
	else if (tested->form == MOFFS)
		put(t, target(), t->is_address_32 ? 4 : 8);
	else
		set_string_registers(t);
}

/* The instruction, and JMP [rip] to native_return. */
static void run_natively(const struct trial *t)
{
	void *back = native_return;

	memcpy(code, t->bytes, t->length);
	memcpy(code + t->length, "\xff\x25\0\0\0\0", 6);
	memcpy(code + t->length + 6, &back, sizeof(back));
	memcpy(data, t->memory, DATA_SIZE);
	native_code = code;
	native_state = t->before;
	native_run();
}

static void check_inside(const struct trial *t, u64 linear, unsigned size)
{
	u64 offset = linear - (u64)(uintptr_t)data;

	if (offset > DATA_SIZE - size)
		FAIL("%s: access to %#llx", t->tested->name,
		     (unsigned long long)linear);
}

struct host_memory {
	struct insn_memory memory;
	const struct trial *trial;
};

static int host_load(struct insn_memory *memory, u64 linear, unsigned size,
		     u64 *value)
{
	check_inside(((struct host_memory *)memory)->trial, linear, size);
	*value = 0;
	memcpy(value, (void *)(uintptr_t)linear, size);
	return 0;
}

static int host_store(struct insn_memory *memory, u64 linear, unsigned size,
		      u64 value)
{
	check_inside(((struct host_memory *)memory)->trial, linear, size);
	memcpy((void *)(uintptr_t)linear, &value, size);
	return 0;
}

static void emulate(const struct trial *t, struct insn_cpu *cpu)
{
	struct host_memory memory = { { host_load, host_store }, t };
	u64 start = (u64)(uintptr_t)code;
	struct insn insn;

	if (insn_decode(t->bytes, t->length, INSN_MODE_64, &insn))
		FAIL("%s: not decoded", t->tested->name);
	*cpu = (struct insn_cpu){ .rip = start, .rflags = t->before.rflags,
				  .mode = INSN_MODE_64 };
	memcpy(cpu->gpr, t->before.gpr, sizeof(cpu->gpr));
	memcpy(data, t->memory, DATA_SIZE);
	do
		CHECK_EQ(insn_emulate(&insn, cpu, &memory.memory), 0);
	while (cpu->rip == start);
	CHECK_EQ(cpu->rip, start + t->length);
}

static void compare(const struct trial *t, const struct insn_cpu *cpu,
		    const u8 *native_data)
{
	u64 defined = (ALL | DF) & ~t->tested->undefined;
	const char *name = t->tested->name;

	for (int i = 0; i < INSN_GPR_COUNT; i++)
		if (cpu->gpr[i] != native_state.gpr[i])
			FAIL("%s: register %d is %#llx, not %#llx", name, i,
			     (unsigned long long)cpu->gpr[i],
			     (unsigned long long)native_state.gpr[i]);
	if ((cpu->rflags ^ native_state.rflags) & defined)
		FAIL("%s: rflags are %#llx, not %#llx", name,
		     (unsigned long long)cpu->rflags,
		     (unsigned long long)native_state.rflags);
	if (memcmp(native_data, data, DATA_SIZE))
		FAIL("%s: memory differs", name);
}

static bool processor_has_movbe(void)
{
	unsigned eax, ebx, ecx, edx;

	return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & bit_MOVBE;
}

static void check_form(const struct tested *tested)
{
	static u8 native_data[DATA_SIZE];
	struct insn_cpu cpu;
	struct trial t;

	for (int i = 0; i < ROUNDS; i++) {
		new_trial(&t, tested);
		run_natively(&t);
		memcpy(native_data, data, DATA_SIZE);
		emulate(&t, &cpu);
		compare(&t, &cpu, native_data);
	}
}

TEST(every_64_bit_form_does_what_the_processor_does)
{
	code = mmap(NULL, 2 * DATA_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	CHECK(code != MAP_FAILED);
	data = code + DATA_SIZE;
	for (size_t i = 0; i < ARRAY_COUNT(tested); i++)
		if (tested[i].opcode[1] != 0x38 || processor_has_movbe())
			check_form(&tested[i]);
	munmap(code, 2 * DATA_SIZE);
}
