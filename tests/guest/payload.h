/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Payloads: an EFI program that is started as Sluice's guest and looks from
 * inside at the machine it has been given. It prints TAP on COM1 and shuts
 * the machine down. All of them stand in PAYLOADS, in the order they run.
 */
#ifndef SLUICE_PAYLOAD_H
#define SLUICE_PAYLOAD_H

#include "bits.h"
#include "types.h"

/* By file: cpu, memory, interrupt, forms, narrow, mmio, step, nvme; with
 * another CPU storm, and startup last: it takes all the others. */
#define PAYLOADS(run)                                                 \
	run(cpuid_shows_no_virtualization)                            \
	run(cpuid_follows_cr4)                                        \
	run(instructions_of_virtualization_are_undefined)             \
	run(msrs_of_virtualization_are_locked_or_gone)                \
	run(efer_takes_only_what_the_processor_has)                   \
	run(control_registers_read_as_they_were_written)              \
	run(control_registers_refuse_what_is_reserved)                \
	run(xcr0_is_judged_by_the_processor)                          \
	run(the_apic_cannot_be_moved)                                 \
	run(debug_registers_are_the_guests)                           \
	run(memory_of_sluice_reads_as_ones)                           \
	run(writes_to_memory_of_sluice_vanish)                        \
	run(code_that_changes_itself_runs_as_changed)                 \
	run(a_single_step_stops_after_an_exiting_instruction)         \
	run(an_nmi_to_oneself_comes_once)                             \
	run(a_second_nmi_waits_for_the_iret)                          \
	run(interrupts_come_between_exits)                            \
	run(an_interrupt_waits_for_sti)                               \
	run(every_form_does_what_it_does_to_memory)                   \
	run(accesses_of_32_bit_code_are_as_to_memory)                 \
	run(accesses_of_16_bit_code_are_as_to_memory)                 \
	run(an_access_is_one_access_of_its_width)                     \
	run(what_is_not_emulated_is_undefined)                        \
	run(an_access_may_cross_the_regions_end)                      \
	run(a_fault_in_the_second_page_comes_first)                   \
	run(a_string_stops_at_the_page_that_is_missing)               \
	run(page_tables_may_change_between_accesses)                  \
	run(an_instruction_may_change_where_it_stands)                \
	run(an_instruction_may_cross_two_pages)                       \
	run(an_instruction_may_end_on_a_missing_page)                 \
	run(a_single_step_stops_after_an_emulated_instruction)        \
	run(a_single_step_stops_after_each_iteration)                 \
	run(a_step_behind_mov_ss_is_one)                              \
	run(an_interrupt_waits_for_the_access_behind_sti)             \
	run(an_interrupt_waits_for_the_access_behind_mov_ss)          \
	run(a_timer_interrupts_accesses_once)                         \
	run(nvme_identifies_itself)                                   \
	run(nvme_reads_what_was_written)                              \
	run(nvme_follows_a_list_into_its_next_page)                   \
	run(nvme_queues_wrap)                                         \
	run(nvme_interrupts_once_for_a_completion)                    \
	run(nvme_forgets_commands_when_reset)                         \
	run(gate_refuses_by_status_and_cid)                           \
	run(nvme_refuses_addresses_of_sluice)                         \
	run(nvme_fails_with_queues_in_sluice)                         \
	run(nvme_registers_bear_nonsense)                             \
	run(nvme_registers_read_in_any_width)                         \
	run(nvme_follows_its_bar)                                     \
	run(interrupts_of_another_cpu_come_once)                      \
	run(nmis_of_another_cpu_come_once)                            \
	run(two_cpus_access_at_once)                                  \
	run(a_cpu_without_paging_reaches_the_region)                  \
	run(another_cpu_changes_the_instruction)                      \
	run(nvme_serves_two_cpus_at_once)                             \
	run(a_cpu_starts_from_real_mode_to_long_mode)                 \
	run(a_cpu_starts_again_after_another_init)                    \
	run(all_others_start_by_broadcast)

#define DECLARE(name) void name(void);
PAYLOADS(DECLARE)
#undef DECLARE

/* The first that fails is told. */
#define CHECK(condition)                                              \
	payload_check(condition, __FILE__, __LINE__, #condition)
#define CHECK_EQ(value, wanted)                                       \
	payload_check_equal(value, wanted, __FILE__, __LINE__, #value)

void payload_check(bool is_true, const char *file, int line,
		   const char *text);
void payload_check_equal(u64 value, u64 wanted, const char *file, int line,
			 const char *text);

/* Cannot be run on this machine. */
void payload_skip(const char *why);

/* ---- What payloads know of the machine ---- */

#define PAYLOAD_PAGES 64

struct guest_machine {
	u32 cpu_count;
	u64 sluice_base, sluice_size;	/* 0: not found */
	u8 *low_page;			/* below 640 KiB, for real mode */
	u8 *pages;			/* PAYLOAD_PAGES of them, below 4 GiB */
};

extern struct guest_machine machine;

/* ---- serial.c ---- */

void print(const char *text);
void print_number(u64 value, unsigned base);

/* ---- trap.c: exceptions and interrupts, caught ---- */

struct trap {
	u32 count;		/* since trap_clear() */
	u8 vector;		/* of the last */
	u64 error, rip, rflags, cr2;
};

extern volatile struct trap trap;
extern volatile u64 trap_resume;	/* where an exception goes on */
extern void (*volatile trap_hook)(void);	/* called in the handler */
extern volatile bool trap_keeps_stepping;	/* a #DB leaves TF alone */

void trap_clear(void);
/* Our descriptor table in, interrupts off; then the firmware's again. */
void trap_install(void);
void trap_remove(void);
bool trap_was(u8 vector);

/*
 * Runs instructions; an exception ends them. True: none came. rax is
 * clobbered; outputs, inputs and clobbers are asm's.
 */
#define TRY(text, outputs, ...)                                       \
	({                                                            \
		trap_clear();                                         \
		__asm__ volatile("lea 9f(%%rip), %%rax\n\t"           \
				 "mov %%rax, trap_resume(%%rip)\n\t"  \
				 text "\n"                            \
				 "9:"                                 \
				 : outputs : __VA_ARGS__);            \
		!trap.count;                                          \
	})

/* For the outputs of TRY(). */
#define COMMA ,

/* ---- segments.c: part of that ---- */

enum segment_selector {		/* behind those of the firmware */
	SEGMENT_CODE_32 = 0x80,
	SEGMENT_DATA_32 = 0x88,
	SEGMENT_CODE_16 = 0x90,
	SEGMENT_DATA_16 = 0x98,
	SEGMENT_TASK = 0xa0,
	SEGMENTS_END = 0xb0,
};

void segments_install(void);
void segments_remove(void);
/* 64 KiB at `base`, as real mode has them. */
void segments_set_data_16(u32 base);
void segments_set_code_16(u32 base);

/* ---- processor.c: instructions, one function each ---- */

enum { EAX, EBX, ECX, EDX };

void cpuid(u32 leaf, u32 subleaf, u32 regs[4]);
bool is_intel(void);
u64 read_msr(u32 index);
/* False: refused, with trap saying how. */
bool try_read_msr(u32 index, u64 *value);
bool try_write_msr(u32 index, u64 value);
u64 read_cr0(void);
u64 read_cr2(void);
u64 read_cr4(void);
bool try_write_cr0(u64 value);
bool try_write_cr4(u64 value);

u32 apic_read(u32 offset);
void apic_write(u32 offset, u32 value);
void apic_send(u32 destination, u32 command);

/* Until `*word` is `wanted`; false when that takes too long. */
bool wait_until(const volatile u32 *word, u32 wanted);

/* ---- pci.c: config space of the test devices, 2 or 4 bytes ---- */

u32 pci_read(unsigned function, u16 offset, unsigned size);
void pci_write(unsigned function, u16 offset, unsigned size, u32 value);

/* ---- interrupt.c ---- */

/* Nothing interrupts but what the payload sends. */
void interrupts_take(void);

#endif
