/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as an instruction, on any registers, with memory that fails. */
#include <errno.h>

#include "../../core/x86/insn.h"
#include "fuzz.h"

struct probe {
	struct insn_memory memory;
	struct input *in;
	u32 store_count;
	bool load_fails, store_fails;
};

static int load(struct insn_memory *memory, u64 linear, unsigned size,
		u64 *value)
{
	struct probe *probe = container_of(memory, struct probe, memory);

	CHECK(size == 1 || size == 2 || size == 4 || size == 8);
	CHECK(!probe->store_count);
	*value = input_number(probe->in, size);
	return probe->load_fails ? -EFAULT : 0;
}

static int store(struct insn_memory *memory, u64 linear, unsigned size,
		 u64 value)
{
	struct probe *probe = container_of(memory, struct probe, memory);

	CHECK(size == 8 || value < 1ull << 8 * size);
	probe->store_count++;
	return probe->store_fails ? -EFAULT : 0;
}

static void make_cpu(struct insn_cpu *cpu, struct input *in)
{
	u8 seed = input_byte(in);

	memset(cpu, 0, sizeof(*cpu));
	cpu->mode = input_of(in, 3);
	cpu->rip = 0x1000;
	cpu->rflags = input_number(in, 2);
	for (int i = 0; i < INSN_GPR_COUNT; i++)
		cpu->gpr[i] = seed & 1 ? input_number(in, 8) :
			0x0101010101010101 * (u64)(seed + i);
}

static void check_emulation(const struct insn *insn,
			    const struct insn_cpu *before, struct input *in)
{
	u8 fails = input_byte(in);
	struct probe probe = {
		.memory = { load, store }, .in = in,
		.load_fails = fails == 1, .store_fails = fails == 2,
	};
	struct insn_cpu cpu = *before;
	int error = insn_emulate(insn, &cpu, &probe.memory);

	CHECK(probe.store_count <= 1);
	if (error)
		CHECK(!memcmp(&cpu, before, sizeof(cpu)));
	else
		CHECK(cpu.rip == before->rip + insn->length ||
		      insn->is_repeated);
}

/* A decoded instruction needs its own bytes and no others. */
static void check_length(const u8 *bytes, enum insn_mode mode,
			 const struct insn *insn)
{
	u8 *exact = malloc(insn->length);
	struct insn again;

	memcpy(exact, bytes, insn->length);
	CHECK_EQ(insn_decode(exact, insn->length, mode, &again), 0);
	CHECK_EQ(again.length, insn->length);
	CHECK_EQ(insn_decode(exact, insn->length - 1, mode, &again), -ENODATA);
	free(exact);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };
	size_t count = input_of(&in, 24);
	u8 *bytes = malloc(count ? count : 1);
	struct insn_cpu cpu;
	struct insn insn;

	input_bytes(&in, bytes, count);
	make_cpu(&cpu, &in);
	if (!insn_decode(bytes, count, cpu.mode, &insn)) {
		CHECK(insn.length && insn.length <= count);
		CHECK(insn.length <= INSN_LENGTH_MAX);
		check_length(bytes, cpu.mode, &insn);
		check_emulation(&insn, &cpu, &in);
	}
	free(bytes);
	return 0;
}
