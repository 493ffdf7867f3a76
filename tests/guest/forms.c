/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every form of instruction that the emulator covers, each with random
 * registers and encodings: executed on memory by the processor, then on the
 * trapped region by Sluice. Registers, flags and memory have to agree.
 */
#include <string.h>

#include "../unit/insn_trial.h"
#include "spec/x86.h"
#include "window.h"

#define ROUNDS 8	/* of each form */
#define CPUID_1_ECX_MOVBE BIT(22)

static u8 memory[REGION_MEMORY_SIZE] __attribute__((aligned(4096)));
static u8 code[4096] __attribute__((aligned(4096)));

/* Where the operand is: inside a page, unaligned, across two. */
static const u32 operands[] = { 2048, 2053, 4095, 4093, 4090, 4096 };

static bool has_movbe(void)
{
	u32 regs[4];

	cpuid(1, 0, regs);
	return regs[ECX] & CPUID_1_ECX_MOVBE;
}

static void tell(const struct trial *t, const char *what)
{
	print("# ");
	print(trial_name(t));
	print(": ");
	print(what);
	print(":");
	for (size_t i = 0; i < t->length; i++) {
		print(" ");
		print_number(t->bytes[i], 16);
	}
	print("\n");
}

static struct trial_state run(const struct trial *t)
{
	trap_clear();
	trap_resume = (u64)trial_end;
	return *trial_run(t);
}

/* Bit n of `trapped`: page n is the region's. */
static struct trial_state run_in_region(const struct trial *t, u32 start,
					unsigned trapped)
{
	memset(window_backing(), 0, REGION_MEMORY_SIZE);
	memcpy(window_backing() + start, t->memory, TRIAL_MEMORY);
	for (unsigned page = 0; page < 2; page++)
		window_map(page, trapped & BIT(page) ? window_region(page) :
			   (u64)window_backing() + page * PAGE_SIZE,
			   WINDOW_WRITABLE);
	return run(t);
}

static struct trial_state run_in_memory(const struct trial *t, u32 start)
{
	memset(memory, 0, sizeof(memory));
	memcpy(memory + start, t->memory, TRIAL_MEMORY);
	for (unsigned page = 0; page < 2; page++)
		window_map(page, (u64)memory + page * PAGE_SIZE,
			   WINDOW_WRITABLE);
	return run(t);
}

static bool is_same(const struct trial *t, const struct trial_state *a,
		    const struct trial_state *b)
{
	const char *what = NULL;

	if (trap.count)
		what = "exception";
	else if (memcmp(a->gpr, b->gpr, sizeof(a->gpr)))
		what = "registers";
	else if ((a->rflags ^ b->rflags) & trial_defined_flags(t))
		what = "flags";
	else if (memcmp(memory, window_backing(), sizeof(memory)))
		what = "memory";
	if (what)
		tell(t, what);
	return !what;
}

/* QEMU 7.2 moves a word where REX.W stands behind 66h, processors do not. */
static bool is_doubtful(const struct trial *t)
{
	return trial_needs_movbe(t) &&
		(!has_movbe() || memchr(t->bytes, 0x66, t->length));
}

static bool check_form(size_t form, u32 operand)
{
	u32 start = operand - TRIAL_MIDDLE;
	struct trial_place place = { code, WINDOW + start };
	struct trial_state native, emulated;
	static struct trial t;
	bool is_fine = true;

	trial_init(&t, form, &place);
	if (is_doubtful(&t))
		return true;
	native = run_in_memory(&t, start);
	/* TEST's second opcode, which QEMU 7.2 has not. */
	if (trap_was(VECTOR_UD))
		return true;
	for (unsigned trapped = 1; is_fine && trapped < 4; trapped++) {
		emulated = run_in_region(&t, start, trapped);
		is_fine = is_same(&t, &native, &emulated);
	}
	return is_fine;
}

void every_form_does_what_it_does_to_memory(void)
{
	u32 good = 0, all = trial_form_count() * ROUNDS;

	if (!window_open())
		return;
	for (u32 i = 0; i < all; i++)
		good += check_form(i / ROUNDS,
				   operands[i % ARRAY_COUNT(operands)]);
	window_close();
	CHECK_EQ(good, all);
}
