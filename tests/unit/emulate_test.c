/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One instruction of the guest whose operand is not there for it. A linear
 * address is the physical one, but for pages that a test takes away.
 */
#include <errno.h>
#include <setjmp.h>
#include <string.h>

#include "../../core/mmio_dispatch.h"
#include "../../core/x86/emulate.h"
#include "../../core/x86/linear.h"
#include "../../core/x86/machine.h"
#include "../../core/x86/slat.h"
#include "bits.h"
#include "gmem.h"
#include "log.h"
#include "spec/x86.h"
#include "test.h"

#define CODE 0x1000ull
#define RAM 0x8000ull		/* two pages */
#define TRAPPED 0xa000ull	/* one page, right after RAM */
#define HIDDEN 0x10000ull	/* one page */
#define FREED 0x20000ull	/* was trapped when the exit came */
#define LIMIT 0x100000ull

static struct cpu cpu;
static u8 ram[2 * PAGE_SIZE];
static u64 absent_page;		/* linear */
static u32 translation_count;

/* ---- Memory -------------------------------------------------------------- */

int linear_translate(struct cpu *asked, u64 linear, bool is_write, gpa_t *out,
		     struct linear_fault *fault)
{
	CHECK(asked == &cpu);
	translation_count++;
	if (absent_page && align_down(linear, PAGE_SIZE) == absent_page) {
		*fault = (struct linear_fault){
			linear, is_write ? PF_WRITE : 0,
		};
		return -EFAULT;
	}
	*out = gpa(linear);
	return 0;
}

static u8 code[INSN_LENGTH_MAX];
static u64 code_at;
static size_t code_size;

size_t linear_fetch(struct cpu *asked, u8 bytes[LINEAR_FETCH_SIZE])
{
	CHECK_EQ(asked->guest.rip, code_at);
	CHECK_EQ(asked->guest.mode, INSN_MODE_64);
	memcpy(bytes, code, code_size);
	return code_size;
}

static u32 kept_count;

void site_keep(struct cpu *asked, const struct vt_exit *exit,
	       const struct insn *insn, const u8 *bytes)
{
	CHECK_EQ(asked->guest.rip, code_at);
	CHECK_EQ(exit->slat.is_write, true);
	CHECK_EQ(insn->length, code_size);
	CHECK(!memcmp(bytes, code, code_size));
	kept_count++;
}

/* What reached memory or a device: the last access, and how many. */
static struct mmio_access trapped, machine;
static u32 trapped_count, machine_count;
static u64 device_value;

bool mmio_dispatch(gpa_t address, struct mmio_access *access)
{
	if (align_down(address.v, PAGE_SIZE) != TRAPPED)
		return false;
	access->offset = address.v - TRAPPED;
	if (!access->is_write)
		access->value = device_value;
	trapped = *access;
	trapped_count++;
	return true;
}

static u8 *ram_at(hpa_t address, unsigned size)
{
	machine.offset = address.v;
	machine.size = size;
	machine_count++;
	if (align_down(address.v, PAGE_SIZE) == FREED)
		return ram;
	CHECK(address.v >= RAM &&
	      range_inside(address.v - RAM, size, sizeof(ram)));
	return ram + (address.v - RAM);
}

u64 mmio_read(hpa_t address, unsigned size)
{
	u64 value = 0;

	memcpy(&value, ram_at(address, size), size);
	return value;
}

void mmio_write(hpa_t address, unsigned size, u64 value)
{
	memcpy(ram_at(address, size), &value, size);
}

static bool shows_ones, fills;

bool slat_is_hidden(gpa_t address)
{
	return align_down(address.v, PAGE_SIZE) == HIDDEN;
}

bool slat_show_ones(void)
{
	bool is_first = !shows_ones;

	shows_ones = true;
	return is_first;
}

bool slat_fill(gpa_t address)
{
	return fills;
}

u64 cpu_physical_limit(void)
{
	return LIMIT;
}

/* ---- The processor ------------------------------------------------------- */

static struct { int vector; bool has_error; u32 error; u64 address; } fault;
static u32 skip_count;
static jmp_buf reset;
static u32 log_count;

static void load_context(struct cpu *asked)
{
	asked->guest.mode = INSN_MODE_64;
}

static u32 segment_count;

static void load_segments(struct cpu *asked)
{
	asked->guest.segment_base[INSN_GS] = 0x300;
	segment_count++;
}

static void skip(struct cpu *asked, unsigned length)
{
	asked->guest.rip += length;
	skip_count++;
}

static void inject_exception(struct cpu *asked, u8 vector, bool has_error,
			     u32 error)
{
	CHECK(!fault.vector);
	fault.vector = vector;
	fault.has_error = has_error;
	fault.error = error;
}

static void set_page_fault_address(struct cpu *asked, u64 linear)
{
	fault.address = linear;
}

static const struct vt fake_vt = {
	.load_context = load_context,
	.load_segments = load_segments,
	.skip = skip,
	.inject_exception = inject_exception,
	.set_page_fault_address = set_page_fault_address,
};
const struct vt *vt = &fake_vt;

void machine_reset(void)
{
	longjmp(reset, 1);
}

bool log_allowed(struct log_limit *limit)
{
	return true;
}

void log_line(enum log_level level, const char *format, ...)
{
	log_count++;
}

/* ---- Running ------------------------------------------------------------- */

static const struct {
	u8 bytes[8];
	size_t size;
}
	store_eax = { { 0x89, 0x03 }, 2 },		/* mov %eax, (%rbx) */
	store_rax = { { 0x48, 0x89, 0x03 }, 3 },
	load_eax = { { 0x8b, 0x03 }, 2 },		/* mov (%rbx), %eax */
	load_rax = { { 0x48, 0x8b, 0x03 }, 3 },
	load_al = { { 0x8a, 0x03 }, 2 },
	load_gs = { { 0x65, 0x8b, 0x03 }, 3 },		/* mov %gs:(%rbx) */
	copy_4 = { { 0xa5 }, 1 },			/* movsl */
	store_xmm = { { 0x0f, 0x29, 0x03 }, 3 },	/* movaps */
	divide = { { 0xf7, 0x33 }, 2 };			/* divl (%rbx) */

#define CODE_OF(insn) insn.bytes, insn.size

static void start(const u8 *bytes, size_t size, u64 rbx)
{
	memset(ram, 0, sizeof(ram));
	memcpy(code, bytes, size);
	code_size = size;
	code_at = CODE;
	cpu = (struct cpu){ .guest = { .rip = CODE } };
	cpu.guest.gpr[INSN_RAX] = 0x1122334455667788;
	cpu.guest.gpr[INSN_RBX] = rbx;
	memset(&fault, 0, sizeof(fault));
	trapped_count = machine_count = skip_count = log_count = 0;
	absent_page = 0;
	translation_count = segment_count = 0;
	shows_ones = true;
	fills = false;
	kept_count = 0;
	device_value = 0xddccbbaa;
}

static void exit_at(u64 address)
{
	struct vt_exit exit = {
		.reason = VT_EXIT_SLAT,
		.slat = { .address = gpa(address) },
	};

	emulate_slat_exit(&cpu, &exit);
}

static void exit_by_store(u64 address)
{
	struct vt_exit exit = {
		.reason = VT_EXIT_SLAT,
		.slat = { .address = gpa(address), .is_write = true },
	};

	emulate_slat_exit(&cpu, &exit);
}

static void check_done(size_t length)
{
	CHECK_EQ(fault.vector, 0);
	CHECK_EQ(cpu.guest.rip, CODE + length);
	CHECK_EQ(skip_count, 1);
}

static void check_fault(int vector)
{
	CHECK_EQ(fault.vector, vector);
	CHECK_EQ(cpu.guest.rip, code_at);
	CHECK_EQ(cpu.guest.gpr[INSN_RAX], 0x1122334455667788);
	CHECK_EQ(skip_count, 0);
}

/* ---- Where the operand is ------------------------------------------------- */

TEST(what_the_processor_has_translated_is_not_translated_again)
{
	/* Mapped at an address of its own. */
	start(CODE_OF(store_eax), 0x7000300);
	exit_by_store(TRAPPED + 0x300);
	check_done(2);
	CHECK_EQ(trapped.offset, 0x300);
	CHECK_EQ(kept_count, 1);
	start(CODE_OF(load_eax), 0x7000300);
	exit_at(TRAPPED + 0x300);
	check_done(2);
	CHECK_EQ(cpu.guest.gpr[INSN_RAX], 0xddccbbaa);
	CHECK_EQ(translation_count, 0);
}

TEST(a_store_the_processor_has_not_tried_is_checked)
{
	start(CODE_OF(store_eax), TRAPPED + 0x300);
	absent_page = TRAPPED;
	exit_at(TRAPPED + 0x300);
	check_fault(VECTOR_PF);
	CHECK_EQ(trapped_count, 0);
}

TEST(another_place_in_the_page_is_translated)
{
	start(CODE_OF(store_eax), TRAPPED + 0x300);
	exit_by_store(TRAPPED + 0x200);
	CHECK_EQ(translation_count, 1);
	CHECK_EQ(kept_count, 0);
	CHECK_EQ(trapped.offset, 0x300);
}

/* ---- Trapped ------------------------------------------------------------- */

TEST(a_store_to_a_trapped_page_comes_with_size_place_and_value)
{
	start(CODE_OF(store_eax), TRAPPED + 0x300);
	exit_at(TRAPPED + 0x300);
	check_done(2);
	CHECK_EQ(trapped_count, 1);
	CHECK(trapped.is_write);
	CHECK_EQ(trapped.offset, 0x300);
	CHECK_EQ(trapped.size, 4);
	CHECK_EQ(trapped.value, 0x55667788);
	CHECK_EQ(machine_count, 0);
}

TEST(a_load_from_a_trapped_page_gets_the_handlers_value)
{
	start(CODE_OF(load_eax), TRAPPED + 8);
	exit_at(TRAPPED + 8);
	check_done(2);
	CHECK_EQ(cpu.guest.gpr[INSN_RAX], 0xddccbbaa);
}

TEST(segments_are_asked_for_only_where_they_matter)
{
	start(CODE_OF(load_eax), TRAPPED + 8);
	exit_at(TRAPPED + 8);
	CHECK_EQ(segment_count, 0);
	start(CODE_OF(load_gs), TRAPPED + 8);
	exit_at(TRAPPED + 0x308);
	check_done(3);
	CHECK_EQ(segment_count, 1);
	CHECK_EQ(trapped.offset, 0x308);
}

TEST(a_handlers_surplus_bits_do_not_reach_the_register)
{
	start(CODE_OF(load_al), TRAPPED);
	device_value = ~0ull << 8 | 0x5a;
	exit_at(TRAPPED);
	check_done(2);
	CHECK_EQ(cpu.guest.gpr[INSN_RAX], 0x112233445566775a);
}

TEST(a_page_that_is_not_trapped_any_more_is_accessed_for_the_guest)
{
	start(CODE_OF(store_eax), FREED + 0x10);
	exit_at(FREED + 0x10);
	check_done(2);
	CHECK_EQ(machine_count, 1);
	CHECK_EQ(machine.offset, FREED + 0x10);
	CHECK_EQ(machine.size, 4);
}

TEST(a_copy_from_a_device_to_ram_is_one_access_to_each)
{
	start(CODE_OF(copy_4), 0);
	cpu.guest.gpr[INSN_RSI] = TRAPPED + 0x40;
	cpu.guest.gpr[INSN_RDI] = RAM + 0x20;
	exit_at(TRAPPED + 0x40);
	check_done(1);
	CHECK_EQ(trapped_count, 1);
	CHECK_EQ(machine_count, 1);
	CHECK(!memcmp(ram + 0x20, "\xaa\xbb\xcc\xdd", 4));
	CHECK_EQ(cpu.guest.gpr[INSN_RSI], TRAPPED + 0x44);
	CHECK_EQ(cpu.guest.gpr[INSN_RDI], RAM + 0x24);
}

/* ---- Hidden, and nowhere ------------------------------------------------- */

TEST(the_first_touch_of_hidden_memory_is_said_and_tried_again)
{
	start(CODE_OF(load_eax), HIDDEN);
	shows_ones = false;
	exit_at(HIDDEN);
	CHECK(shows_ones);
	CHECK_EQ(log_count, 1);
	check_fault(0);
}

static const u64 nowhere[] = { HIDDEN, HIDDEN + 0xffc, LIMIT, LIMIT + 0x100 };

TEST(what_is_not_there_for_the_guest_reads_as_ones_and_drops_writes)
{
	for (size_t i = 0; i < ARRAY_COUNT(nowhere); i++) {
		start(CODE_OF(load_eax), nowhere[i]);
		exit_at(nowhere[i]);
		check_done(2);
		CHECK_EQ(cpu.guest.gpr[INSN_RAX], 0xffffffff);
		start(CODE_OF(store_eax), nowhere[i]);
		exit_at(nowhere[i]);
		check_done(2);
		CHECK_EQ(machine_count + trapped_count + log_count, 0);
	}
}

TEST(a_copy_out_of_hidden_memory_gives_ones_of_its_size)
{
	start(CODE_OF(copy_4), 0);
	cpu.guest.gpr[INSN_RSI] = HIDDEN;
	cpu.guest.gpr[INSN_RDI] = RAM;
	exit_at(HIDDEN);
	check_done(1);
	CHECK(!memcmp(ram, "\xff\xff\xff\xff\0\0\0\0", 8));
}

/* The exit was for the other operand; this one is hidden all the same. */
TEST(a_copy_from_a_device_into_hidden_memory_writes_nothing)
{
	start(CODE_OF(copy_4), 0);
	cpu.guest.gpr[INSN_RSI] = TRAPPED;
	cpu.guest.gpr[INSN_RDI] = HIDDEN + 8;
	exit_at(TRAPPED);
	check_done(1);
	CHECK_EQ(machine_count, 0);
}

TEST(a_vector_store_to_hidden_memory_vanishes_whole)
{
	start(CODE_OF(store_xmm), HIDDEN);
	exit_at(HIDDEN);
	check_done(3);
}

/* ---- Across pages -------------------------------------------------------- */

TEST(an_access_across_two_pages_reaches_both_byte_by_byte)
{
	start(CODE_OF(store_rax), TRAPPED - 3);
	exit_at(TRAPPED);
	check_done(3);
	CHECK(!memcmp(ram + 2 * PAGE_SIZE - 3, "\x88\x77\x66", 3));
	CHECK_EQ(machine_count, 3);
	CHECK_EQ(trapped_count, 5);
	CHECK_EQ(trapped.size, 1);
	CHECK_EQ(trapped.offset, 4);
	CHECK_EQ(trapped.value, 0x11);
	start(CODE_OF(load_rax), TRAPPED - 3);
	memcpy(ram + 2 * PAGE_SIZE - 3, "\x01\x02\x03", 3);
	exit_at(TRAPPED);
	check_done(3);
	CHECK_EQ(cpu.guest.gpr[INSN_RAX], 0xaaaaaaaaaa030201);
}

/* The processor has translated one of the pages alone. */
TEST(a_store_that_leaves_its_page_is_checked_on_the_other)
{
	static const u64 exits[] = { FREED + PAGE_SIZE - 3, FREED + PAGE_SIZE };

	for (size_t i = 0; i < ARRAY_COUNT(exits); i++) {
		start(CODE_OF(store_rax), FREED + PAGE_SIZE - 3);
		absent_page = FREED + PAGE_SIZE;
		exit_by_store(exits[i]);
		check_fault(VECTOR_PF);
		CHECK_EQ(fault.address, FREED + PAGE_SIZE);
		CHECK_EQ(machine_count, 0);
	}
}

TEST(the_last_bytes_of_a_page_are_one_access)
{
	start(CODE_OF(store_eax), TRAPPED + PAGE_SIZE - 4);
	exit_at(TRAPPED + PAGE_SIZE - 4);
	check_done(2);
	CHECK_EQ(trapped_count, 1);
	CHECK_EQ(trapped.size, 4);
	start(CODE_OF(store_eax), TRAPPED + PAGE_SIZE - 4);
	exit_by_store(TRAPPED + PAGE_SIZE - 4);
	check_done(2);
	CHECK_EQ(trapped_count, 1);
}

/* ---- Faults -------------------------------------------------------------- */

TEST(a_fault_on_the_other_page_comes_with_nothing_done)
{
	/* A fault names the first byte that is not there. */
	static const u64 first[] = { TRAPPED, TRAPPED - 3 };

	for (size_t i = 0; i < ARRAY_COUNT(first); i++) {
		start(CODE_OF(store_rax), TRAPPED - 3);
		absent_page = align_down(first[i], PAGE_SIZE);
		exit_at(TRAPPED);
		check_fault(VECTOR_PF);
		CHECK(fault.has_error);
		CHECK_EQ(fault.error, PF_WRITE);
		CHECK_EQ(fault.address, first[i]);
		CHECK_EQ(machine_count + trapped_count, 0);
	}
}

TEST(a_fault_on_the_target_of_a_copy_leaves_the_registers)
{
	start(CODE_OF(copy_4), 0);
	cpu.guest.gpr[INSN_RSI] = TRAPPED;
	cpu.guest.gpr[INSN_RDI] = RAM + 0x20;
	absent_page = RAM;
	exit_at(TRAPPED);
	check_fault(VECTOR_PF);
	CHECK_EQ(fault.address, RAM + 0x20);
	CHECK_EQ(cpu.guest.gpr[INSN_RSI], TRAPPED);
}

/* The processor may have it from a translation that is not true any more. */
TEST(an_instruction_that_ends_on_an_absent_page_faults_there)
{
	static const u32 errors[] = { 0, PF_FETCH };

	for (size_t i = 0; i < ARRAY_COUNT(errors); i++) {
		start(CODE_OF(load_rax), TRAPPED);
		cpu.paging.cr4 = CR4_PAE;
		cpu.paging.efer = i ? EFER_NXE : 0;
		cpu.guest.rip = code_at = CODE + PAGE_SIZE - 2;
		code_size = 2;
		absent_page = CODE + PAGE_SIZE;
		exit_at(TRAPPED);
		check_fault(VECTOR_PF);
		CHECK_EQ(fault.address, CODE + PAGE_SIZE);
		CHECK_EQ(fault.error, errors[i]);
		CHECK_EQ(trapped_count, 0);
	}
	/* What is not covered is so with the bytes that are there. */
	start(CODE_OF(divide), TRAPPED);
	absent_page = CODE;
	exit_at(TRAPPED);
	check_fault(VECTOR_UD);
}

TEST(what_cannot_be_emulated_is_an_undefined_opcode)
{
	start(CODE_OF(divide), TRAPPED);
	exit_at(TRAPPED);
	check_fault(VECTOR_UD);
	start(CODE_OF(store_xmm), TRAPPED);
	exit_at(TRAPPED);
	check_fault(VECTOR_UD);
	start(CODE_OF(load_rax), TRAPPED);
	code_size = 1;
	exit_at(TRAPPED);
	check_fault(VECTOR_UD);
	CHECK_EQ(trapped_count + machine_count, 0);
}

/* ---- Not an instruction's access ----------------------------------------- */

TEST(a_page_mapped_on_first_use_is_just_tried_again)
{
	start(CODE_OF(load_eax), FREED);
	fills = true;
	exit_at(FREED);
	check_fault(0);
	CHECK_EQ(machine_count + log_count, 0);
}

TEST(a_page_table_in_trapped_memory_is_a_general_protection_fault)
{
	struct vt_exit exit = {
		.reason = VT_EXIT_SLAT,
		.slat = { .address = gpa(TRAPPED), .whose = VT_ACCESS_WALK },
	};

	start(CODE_OF(load_eax), TRAPPED);
	emulate_slat_exit(&cpu, &exit);
	check_fault(VECTOR_GP);
	CHECK_EQ(trapped_count, 0);
}

TEST(an_event_that_cannot_be_delivered_resets_the_machine)
{
	struct vt_exit exit = {
		.reason = VT_EXIT_SLAT,
		.slat = { .address = gpa(TRAPPED),
			  .whose = VT_ACCESS_DELIVERY },
	};

	start(CODE_OF(store_eax), TRAPPED);
	if (!setjmp(reset)) {
		emulate_slat_exit(&cpu, &exit);
		FAIL("the instruction is not what has made this access");
	}
	CHECK_EQ(trapped_count, 0);
}
