/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The emulator against the processor: each 64-bit form, with random
 * registers, encodings and memory, is run by both; registers, defined flags
 * and memory have to agree.
 */
#include <cpuid.h>
#include <string.h>
#include <sys/mman.h>

#include "insn_trial.h"
#include "test.h"

#define ROUNDS 1000

static struct trial_place place;

static void check_inside(const struct trial *t, u64 linear, unsigned size)
{
	u64 offset = linear - (u64)(uintptr_t)place.data;

	if (offset > TRIAL_MEMORY - size)
		FAIL("%s: access to %#llx", trial_name(t),
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
	u64 start = (u64)(uintptr_t)place.code;
	struct insn insn;

	if (insn_decode(t->bytes, t->length, INSN_MODE_64, &insn))
		FAIL("%s: not decoded", trial_name(t));
	*cpu = (struct insn_cpu){ .rip = start, .rflags = t->before.rflags,
				  .mode = INSN_MODE_64 };
	memcpy(cpu->gpr, t->before.gpr, sizeof(cpu->gpr));
	memcpy(place.data, t->memory, TRIAL_MEMORY);
	do
		CHECK_EQ(insn_emulate(&insn, cpu, &memory.memory), 0);
	while (cpu->rip == start);
	CHECK_EQ(cpu->rip, start + t->length);
}

static void compare(const struct trial *t, const struct insn_cpu *cpu,
		    const struct trial_state *native, const u8 *native_data)
{
	const char *name = trial_name(t);

	for (int i = 0; i < INSN_GPR_COUNT; i++)
		if (cpu->gpr[i] != native->gpr[i])
			FAIL("%s: register %d is %#llx, not %#llx", name, i,
			     (unsigned long long)cpu->gpr[i],
			     (unsigned long long)native->gpr[i]);
	if ((cpu->rflags ^ native->rflags) & trial_defined_flags(t))
		FAIL("%s: rflags are %#llx, not %#llx", name,
		     (unsigned long long)cpu->rflags,
		     (unsigned long long)native->rflags);
	if (memcmp(native_data, place.data, TRIAL_MEMORY))
		FAIL("%s: memory differs", name);
}

static bool processor_has_movbe(void)
{
	unsigned eax, ebx, ecx, edx;

	return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & bit_MOVBE;
}

static void check_form(size_t form)
{
	static u8 native_data[TRIAL_MEMORY];
	const struct trial_state *native;
	struct insn_cpu cpu;
	struct trial t;

	for (int i = 0; i < ROUNDS; i++) {
		trial_init(&t, form, &place);
		if (trial_needs_movbe(&t) && !processor_has_movbe())
			return;
		memcpy(place.data, t.memory, TRIAL_MEMORY);
		native = trial_run(&t);
		memcpy(native_data, place.data, TRIAL_MEMORY);
		emulate(&t, &cpu);
		compare(&t, &cpu, native, native_data);
	}
}

TEST(every_64_bit_form_does_what_the_processor_does)
{
	place.code = mmap(NULL, 2 * TRIAL_MEMORY,
			  PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	CHECK(place.code != MAP_FAILED);
	place.data = place.code + TRIAL_MEMORY;
	for (size_t i = 0; i < trial_form_count(); i++)
		check_form(i);
	munmap(place.code, 2 * TRIAL_MEMORY);
}
