/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instruction decoder and emulator: addresses and results by table, for
 * what cannot be run on the host (other modes, segments, failing memory).
 * insn_oracle_test.c compares the rest with the processor.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/x86/insn.h"
#include "test.h"

#define MODE_16 INSN_MODE_16
#define MODE_32 INSN_MODE_32
#define MODE_64 INSN_MODE_64

/* A string of bytes with its length. */
#define CODE(text) text, sizeof(text) - 1

/* Remembers the last access; loads give `value`. */
struct probe {
	struct insn_memory memory;
	u64 linear, value;
	unsigned size, load_count, store_count;
	int load_error, store_error;
};

static int probe_load(struct insn_memory *memory, u64 linear, unsigned size,
		      u64 *value)
{
	struct probe *probe = container_of(memory, struct probe, memory);

	probe->linear = linear;
	probe->size = size;
	probe->load_count++;
	*value = probe->value;
	return probe->load_error;
}

static int probe_store(struct insn_memory *memory, u64 linear, unsigned size,
		       u64 value)
{
	struct probe *probe = container_of(memory, struct probe, memory);

	probe->linear = linear;
	probe->size = size;
	probe->store_count++;
	probe->value = value;
	return probe->store_error;
}

static struct probe new_probe(u64 value)
{
	return (struct probe){ .memory = { probe_load, probe_store },
			       .value = value };
}

/* Register n holds 0101010101010101h * (n + 1) unless an address needs it. */
static struct insn_cpu new_cpu(enum insn_mode mode)
{
	struct insn_cpu cpu = { .rip = 0x1000, .rflags = 2, .mode = mode };

	for (int i = 0; i < INSN_GPR_COUNT; i++)
		cpu.gpr[i] = 0x0101010101010101 * (u64)(i + 1);
	for (int i = 0; i < INSN_SEGMENT_COUNT; i++)
		cpu.segment_base[i] = 0x10000 * (u64)(i + 1);
	return cpu;
}

static int run(const char *code, size_t size, struct insn_cpu *cpu,
	       struct probe *probe)
{
	struct insn insn;
	int error = insn_decode((const u8 *)code, size, cpu->mode, &insn);

	return error ? error : insn_emulate(&insn, cpu, &probe->memory);
}

static const struct address_case {
	const char *what;
	enum insn_mode mode;
	const char *code;
	size_t size;
	u64 linear;
	unsigned access;
} address_cases[] = {
	/* Bases: ES 10000h, CS 20000h, SS 30000h, DS 40000h, FS 50000h. */
	{ "mov al, [bx+si]", MODE_16, CODE("\x8a\x00"), 0x40b0b, 1 },
	{ "mov ax, [bp+di+1]", MODE_16, CODE("\x8b\x43\x01"), 0x30e0f, 2 },
	{ "mov ax, [1234h]", MODE_16, CODE("\x8b\x06\x34\x12"), 0x41234, 2 },
	{ "mov eax, [bp-1]", MODE_16, CODE("\x66\x8b\x46\xff"), 0x30605, 4 },
	{ "mov ax, [si]", MODE_16, CODE("\x8b\x04"), 0x40707, 2 },
	{ "mov ax, [bx-8000h]", MODE_16, CODE("\x8b\x87\x00\x80"), 0x48404, 2 },
	{ "mov ax, es:[di]", MODE_16, CODE("\x26\x8b\x05"), 0x10808, 2 },
	{ "a32 mov ax, [ebx]", MODE_16, CODE("\x67\x8b\x03"), 0x4080404, 2 },
	{ "mov al, moffs", MODE_16, CODE("\xa0\xfe\xff"), 0x4fffe, 1 },
	{ "mov eax, [ebx]", MODE_32, CODE("\x8b\x03"), 0x4080404, 4 },
	{ "mov ax, [ebx]", MODE_32, CODE("\x66\x8b\x03"), 0x4080404, 2 },
	{ "a16 mov eax, [bx]", MODE_32, CODE("\x67\x8b\x07"), 0x40404, 4 },
	{ "mov eax, [disp32]", MODE_32, CODE("\x8b\x05\x00\x00\xe0\xfe"),
	  0xfee40000, 4 },
	{ "mov eax, fs:[disp32]", MODE_32,
	  CODE("\x64\x8b\x05\x00\x00\xe0\xfe"), 0xfee50000, 4 },
	{ "mov eax, moffs32", MODE_32, CODE("\xa1\x10\x00\x00\x00"), 0x40010,
	  4 },
	{ "mov eax, [esp]", MODE_32, CODE("\x8b\x04\x24"), 0x5080505, 4 },
	{ "mov eax, [ebp+8]", MODE_32, CODE("\x8b\x45\x08"), 0x609060e, 4 },
	{ "bases wrap at 4 GiB", MODE_32, CODE("\x8b\x05\x00\x00\xff\xff"),
	  0x30000, 4 },
	{ "mov eax, [rbx]", MODE_64, CODE("\x8b\x03"), 0x0404040404040404, 4 },
	{ "ds: is ignored", MODE_64, CODE("\x3e\x8b\x03"), 0x0404040404040404,
	  4 },
	{ "gs: is not", MODE_64, CODE("\x65\x8b\x03"), 0x04040404040a0404,
	  4 },
	{ "ds: does not undo gs:", MODE_64, CODE("\x65\x3e\x8b\x03"),
	  0x04040404040a0404, 4 },
	{ "a32 mov eax, [ebx]", MODE_64, CODE("\x67\x8b\x03"), 0x04040404, 4 },
	{ "mov rax, [r11]", MODE_64, CODE("\x49\x8b\x03"), 0x0c0c0c0c0c0c0c0c,
	  8 },
	{ "66 with REX.W is 64-bit", MODE_64, CODE("\x66\x48\x8b\x03"),
	  0x0404040404040404, 8 },
	{ "REX before 66 is lost", MODE_64, CODE("\x48\x66\x8b\x03"),
	  0x0404040404040404, 2 },
	{ "mov eax, [rip+10h]", MODE_64, CODE("\x8b\x05\x10\x00\x00\x00"),
	  0x1016, 4 },
	{ "the immediate counts for rip", MODE_64,
	  CODE("\xc7\x05\x10\x00\x00\x00\x78\x56\x34\x12"), 0x101a, 4 },
	{ "mov eax, [disp32], negative", MODE_64,
	  CODE("\x8b\x04\x25\x00\x00\xe0\xfe"), 0xfffffffffee00000, 4 },
	{ "a32 disp32 is not extended", MODE_64,
	  CODE("\x67\x8b\x04\x25\x00\x00\xe0\xfe"), 0xfee00000, 4 },
	{ "mov eax, [rbp+rcx*4]", MODE_64, CODE("\x8b\x44\x8d\x00"),
	  0x0e0e0e0e0e0e0e0e, 4 },
	{ "mov eax, [rcx*8+disp32]", MODE_64,
	  CODE("\x8b\x04\xcd\x01\x00\x00\x00"), 0x1010101010101011, 4 },
	{ "r12 as index", MODE_64, CODE("\x42\x8b\x04\x23"),
	  0x1111111111111111, 4 },
	{ "movzx eax, byte [rbx]", MODE_64, CODE("\x0f\xb6\x03"),
	  0x0404040404040404, 1 },
	{ "movzx eax, word [rbx]", MODE_64, CODE("\x0f\xb7\x03"),
	  0x0404040404040404, 2 },
	{ "movsxd rax, [rbx]", MODE_64, CODE("\x48\x63\x03"),
	  0x0404040404040404, 4 },
	{ "mov rax, moffs64", MODE_64,
	  CODE("\x48\xa1\x01\x02\x03\x04\x05\x06\x07\x08"),
	  0x0807060504030201, 8 },
	{ "mov [moffs32], al", MODE_64, CODE("\x67\xa2\x01\x02\x03\x84"),
	  0x84030201, 1 },
	{ "bt [rbx], eax", MODE_64, CODE("\x0f\xa3\x03"),
	  0x0404040404040404 + 0x01010101 / 32 * 4, 4 },
	{ "stosd uses es", MODE_32, CODE("\x3e\xab"), 0x8090808, 4 },
	{ "lodsd obeys fs:", MODE_32, CODE("\x64\xad"), 0x70c0707, 4 },
	{ "movnti [rbx], rcx", MODE_64, CODE("\x48\x0f\xc3\x0b"),
	  0x0404040404040404, 8 },
	{ "lock add [rbx], 1", MODE_64, CODE("\xf0\x48\x83\x03\x01"),
	  0x0404040404040404, 8 },
};

TEST(addresses_and_sizes_are_what_the_manual_says)
{
	for (size_t i = 0; i < ARRAY_COUNT(address_cases); i++) {
		const struct address_case *c = &address_cases[i];
		struct insn_cpu cpu = new_cpu(c->mode);
		struct probe probe = new_probe(0);

		if (run(c->code, c->size, &cpu, &probe))
			FAIL("%s: not executed", c->what);
		if (probe.linear != c->linear || probe.size != c->access)
			FAIL("%s: %u bytes at %#llx", c->what, probe.size,
			     (unsigned long long)probe.linear);
		if (cpu.rip != 0x1000 + c->size)
			FAIL("%s: length", c->what);
	}
}

static const struct refused_case {
	const char *what;
	enum insn_mode mode;
	const char *code;
	size_t size;
} refused_cases[] = {
	{ "register operand", MODE_64, CODE("\x89\xc0") },
	{ "ARPL", MODE_32, CODE("\x63\x03") },
	{ "push [rbx]", MODE_64, CODE("\xff\x33") },
	{ "call [rbx]", MODE_64, CODE("\xff\x13") },
	{ "C7 /1", MODE_64, CODE("\xc7\x0b\x00\x00\x00\x00") },
	{ "0F BA /0", MODE_64, CODE("\x0f\xba\x03\x01") },
	{ "mul [rbx]", MODE_64, CODE("\xf6\x23") },
	{ "nop", MODE_64, CODE("\x90") },
	{ "CRC32", MODE_64, CODE("\xf2\x0f\x38\xf1\x03") },
	{ "VEX", MODE_64, CODE("\xc5\xf8\x11\x03") },
	{ "fifteen prefixes", MODE_64,
	  CODE("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66"
	       "\x8b\x03") },
	{ "the sixteenth byte", MODE_64,
	  CODE("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x8b\x83\x01\x02\x03"
	       "\x04") },
};

TEST(what_is_not_covered_is_refused)
{
	for (size_t i = 0; i < ARRAY_COUNT(refused_cases); i++) {
		const struct refused_case *c = &refused_cases[i];
		struct insn insn;

		if (insn_decode((const u8 *)c->code, c->size, c->mode,
				&insn) != -EINVAL)
			FAIL("%s: accepted", c->what);
	}
}

TEST(fifteen_bytes_are_allowed)
{
	struct insn insn;
	const u8 code[] = "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x8b\x83\1\2\3\4";

	CHECK_EQ(insn_decode(code, 15, MODE_64, &insn), 0);
	CHECK_EQ(insn.length, 15);
}

TEST(a_32_bit_load_clears_the_upper_half_and_others_do_not)
{
	struct insn_cpu cpu = new_cpu(MODE_64);
	struct probe probe = new_probe(0xfedcba9876543210);

	CHECK_EQ(run(CODE("\x8b\x03"), &cpu, &probe), 0);
	CHECK_EQ(cpu.gpr[INSN_RAX], 0x76543210);
	CHECK_EQ(run(CODE("\x66\x8b\x0b"), &cpu, &probe), 0);
	CHECK_EQ(cpu.gpr[INSN_RCX], 0x0202020202023210);
	CHECK_EQ(run(CODE("\x8a\x33"), &cpu, &probe), 0);	/* dh */
	CHECK_EQ(cpu.gpr[INSN_RDX], 0x0303030303031003);
	CHECK_EQ(run(CODE("\x40\x8a\x33"), &cpu, &probe), 0);	/* sil */
	CHECK_EQ(cpu.gpr[INSN_RSI], 0x0707070707070710);
}

TEST(a_failing_access_changes_nothing)
{
	static const struct { const char *code; size_t size; } codes[] = {
		{ CODE("\x8b\x03") }, { CODE("\x89\x03") },
		{ CODE("\x01\x03") }, { CODE("\x87\x03") },
		{ CODE("\x0f\xb1\x03") }, { CODE("\x0f\xc1\x03") },
		{ CODE("\x0f\xab\x03") }, { CODE("\xf3\xa5") },
		{ CODE("\xf3\xab") }, { CODE("\xac") },
	};

	for (size_t i = 0; i < 2 * ARRAY_COUNT(codes); i++) {
		struct insn_cpu cpu = new_cpu(MODE_64), before = cpu;
		struct probe probe = new_probe(7);

		probe.load_error = i % 2 ? -EFAULT : 0;
		probe.store_error = -EFAULT;
		if (run(codes[i / 2].code, codes[i / 2].size, &cpu, &probe))
			CHECK(!memcmp(&cpu, &before, sizeof(cpu)));
		else
			CHECK_EQ(probe.store_count, 0);
	}
}

TEST(a_repeated_store_advances_one_element_at_a_time)
{
	struct insn_cpu cpu = new_cpu(MODE_64);
	struct probe probe = new_probe(0);

	cpu.gpr[INSN_RCX] = 2;
	CHECK_EQ(run(CODE("\xf3\x48\xab"), &cpu, &probe), 0);
	CHECK_EQ(cpu.gpr[INSN_RCX], 1);
	CHECK_EQ(cpu.gpr[INSN_RDI], 0x0808080808080810);
	CHECK_EQ(cpu.rip, 0x1000);
	CHECK_EQ(run(CODE("\xf3\x48\xab"), &cpu, &probe), 0);
	CHECK_EQ(cpu.gpr[INSN_RCX], 0);
	CHECK_EQ(cpu.rip, 0x1003);
	CHECK_EQ(probe.store_count, 2);
}

TEST(a_count_of_zero_touches_no_memory)
{
	struct insn_cpu cpu = new_cpu(MODE_32);
	struct probe probe = new_probe(0);

	cpu.gpr[INSN_RCX] = 0xffffffff00000000;
	CHECK_EQ(run(CODE("\xf3\xab"), &cpu, &probe), 0);
	CHECK_EQ(probe.store_count, 0);
	CHECK_EQ(cpu.rip, 0x1002);
}

TEST(the_direction_flag_turns_string_instructions_round)
{
	struct insn_cpu cpu = new_cpu(MODE_16);
	struct probe probe = new_probe(0);

	cpu.rflags |= 1 << 10;
	CHECK_EQ(run(CODE("\xa5"), &cpu, &probe), 0);
	CHECK_EQ(cpu.gpr[INSN_RSI], 0x0707070707070705);
	CHECK_EQ(cpu.gpr[INSN_RDI], 0x0808080808080806);
}

TEST(vector_moves_have_a_length_and_no_effect)
{
	struct insn_cpu cpu = new_cpu(MODE_64), before = cpu;
	struct probe probe = new_probe(0);
	struct insn insn;

	CHECK_EQ(run(CODE("\x66\x0f\xe7\x43\x10"), &cpu, &probe), -ENOTSUP);
	CHECK(!memcmp(&cpu, &before, sizeof(cpu)));
	CHECK_EQ(insn_decode((const u8 *)"\x66\x44\x0f\xe7\x43\x10", 6,
			     MODE_64, &insn), 0);
	CHECK_EQ(insn.length, 6);
}

static u8 *random_bytes(size_t count)
{
	static const u8 frequent[] = { 0x66, 0x67, 0x48, 0x0f, 0xf3, 0x8b };
	u8 *bytes = malloc(count ? count : 1);

	for (size_t i = 0; i < count; i++)
		bytes[i] = rand() % 3 ? rand() : frequent[rand() % 6];
	return bytes;
}

static u8 *exact_copy(const u8 *bytes, size_t count)
{
	u8 *copy = malloc(count ? count : 1);

	return memcpy(copy, bytes, count);
}

static void check_every_shorter_read(const u8 *bytes, const struct insn *whole,
				     enum insn_mode mode)
{
	for (size_t count = 0; count <= whole->length; count++) {
		u8 *copy = exact_copy(bytes, count);
		struct insn insn;
		int error = insn_decode(copy, count, mode, &insn);

		CHECK_EQ(error, count < whole->length ? -ENODATA : 0);
		free(copy);
	}
}

TEST(no_byte_is_read_beyond_those_given)
{
	unsigned decoded_count = 0;

	for (unsigned i = 0; i < 200000; i++) {
		size_t count = rand() % 18;
		u8 *bytes = random_bytes(count);
		enum insn_mode mode = rand() % 3;
		struct insn insn;

		if (!insn_decode(bytes, count, mode, &insn)) {
			CHECK(insn.length <= count);
			check_every_shorter_read(bytes, &insn, mode);
			decoded_count++;
		}
		free(bytes);
	}
	CHECK(decoded_count > 20000);
}
