/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One instruction of the guest, executed against what its operand really is:
 * a trapped region, hidden memory, RAM or somebody else's registers.
 */
#include <errno.h>
#include <stdio.h>

#include "emulate.h"
#include "bits.h"
#include "cpu.h"
#include "gmem.h"
#include "linear.h"
#include "log.h"
#include "machine.h"
#include "mmio.h"
#include "mmio_dispatch.h"
#include "slat.h"
#include "spec/x86.h"

struct guest_memory {
	struct insn_memory memory;	/* first */
	struct cpu *cpu;
	bool has_operand;	/* one, and the processor has translated it */
	bool may_write;		/* it, as the processor has found */
	gpa_t operand;
	struct linear_fault fault;	/* when an access gave -EFAULT */
};

/* One access inside one page, by guest-physical address. */
static inline void access_physical(gpa_t address, struct mmio_access *access)
{
	if (mmio_dispatch(address, access))
		return;
	if (slat_is_hidden(address) || address.v >= cpu_physical_limit()) {
		access->value = ~0ull;
		return;
	}
	/* RAM or a device's registers: the same instruction does for both. */
	if (access->is_write)
		mmio_write(hpa(address.v), access->size, access->value);
	else
		access->value = mmio_read(hpa(address.v), access->size);
}

/* Offsets that differ are of the next page, or the fault was a fetch's. */
static bool is_operand(const struct guest_memory *guest, u64 linear,
		       bool is_write)
{
	return guest->has_operand && (guest->may_write || !is_write) &&
	       !((linear ^ guest->operand.v) & PAGE_MASK);
}

static inline int access_linear(struct guest_memory *guest, u64 linear,
			 struct mmio_access *access)
{
	gpa_t address = guest->operand;

	if (!is_operand(guest, linear, access->is_write) &&
	    linear_translate(guest->cpu, linear, access->is_write, &address,
			     &guest->fault))
		return -EFAULT;
	access_physical(address, access);
	return 0;
}

/* Across two pages, byte by byte; each page is translated before the first
 * byte is touched, so that a fault comes with nothing done. */
static int access_split(struct guest_memory *guest, u64 linear,
			struct mmio_access *access)
{
	struct mmio_access byte = { .size = 1, .is_write = access->is_write };
	u64 second = align_down(linear + access->size - 1, PAGE_SIZE);
	u64 value = 0;
	gpa_t address;

	if (linear_translate(guest->cpu, second, access->is_write, &address,
			     &guest->fault))
		return -EFAULT;
	for (unsigned i = 0; i < access->size; i++) {
		byte.value = access->value >> (8 * i) & 0xff;
		if (access_linear(guest, linear + i, &byte))
			return -EFAULT;
		value |= (byte.value & 0xff) << (8 * i);
	}
	access->value = value;
	return 0;
}

static inline int access_any(struct insn_memory *memory, u64 linear,
		      struct mmio_access *access)
{
	struct guest_memory *guest =
		container_of(memory, struct guest_memory, memory);

	if ((linear & PAGE_MASK) + access->size > PAGE_SIZE)
		return access_split(guest, linear, access);
	return access_linear(guest, linear, access);
}

static int load(struct insn_memory *memory, u64 linear, unsigned size,
		u64 *value)
{
	struct mmio_access access = { .size = size };
	int error = access_any(memory, linear, &access);

	*value = access.value;
	return error;
}

static int store(struct insn_memory *memory, u64 linear, unsigned size,
		 u64 value)
{
	struct mmio_access access = {
		.size = size, .is_write = true, .value = value,
	};

	return access_any(memory, linear, &access);
}

static void inject_page_fault(struct cpu *cpu, const struct linear_fault *fault)
{
	vt->set_page_fault_address(cpu, fault->address);
	vt->inject_exception(cpu, VECTOR_PF, true, fault->error);
}

static void refuse(struct cpu *cpu, const struct vt_exit *exit)
{
	char text[3 * LINEAR_FETCH_SIZE + 1] = "";
	u8 bytes[LINEAR_FETCH_SIZE];
	size_t count = linear_fetch(cpu, bytes);

	for (size_t i = 0; i < count; i++)
		snprintf(text + 3 * i, 4, " %02x", bytes[i]);
	log_limited(LOG_WARN,
		    "cpu%u: cannot do the access to %#llx at %#llx:%s: #UD",
		    cpu->index, (unsigned long long)exit->slat.address.v,
		    (unsigned long long)cpu->guest.rip, text);
	vt->inject_exception(cpu, VECTOR_UD, false, 0);
}

/*
 * What ends on a page that is not there any more faults there, as it would if
 * the processor fetched it again; bit 4 of the error code is a fetch's where
 * pages can be not executable (APM vol. 2, 8.4.2).
 */
static bool is_cut_short(struct cpu *cpu, const u8 *bytes, size_t count,
			 struct linear_fault *fault)
{
	u64 end = cpu->guest.segment_base[INSN_CS] + cpu->guest.rip + count;
	struct insn insn;
	gpa_t unused;

	if (count >= LINEAR_FETCH_SIZE ||
	    insn_decode(bytes, count, cpu->guest.mode, &insn) != -ENODATA ||
	    !linear_translate(cpu, end, false, &unused, fault))
		return false;
	if ((cpu->paging.efer & EFER_NXE) && (cpu->paging.cr4 & CR4_PAE))
		fault->error |= PF_FETCH;
	return true;
}

static void refuse_code(struct cpu *cpu, const struct vt_exit *exit,
			const u8 *bytes, size_t count)
{
	struct linear_fault fault;

	if (is_cut_short(cpu, bytes, count, &fault))
		inject_page_fault(cpu, &fault);
	else
		refuse(cpu, exit);
}

/* Anything, with an operand that can be anywhere. A doorbell does not come
 * here, and what it runs through stays small without this. */
static __attribute__((noinline)) void
execute(struct cpu *cpu, const struct vt_exit *exit, const struct insn *insn)
{
	struct guest_memory guest = {
		.memory = { load, store }, .cpu = cpu,
		/* A string move has two: which of them it was is not said. */
		.has_operand = insn->operation != INSN_MOVS,
		.may_write = exit->slat.is_write,
		.operand = exit->slat.address,
	};
	int error = insn_emulate(insn, &cpu->guest, &guest.memory);

	if (!error)
		vt->skip(cpu, 0);	/* rip has moved already */
	else if (error == -EFAULT)
		inject_page_fault(cpu, &guest.fault);
	else if (slat_is_hidden(exit->slat.address))
		vt->skip(cpu, insn->length);
	else
		refuse(cpu, exit);
}

/*
 * What drivers do: a store inside the one page that the processor has
 * translated, and found to be the guest's to write. Nothing of it can fail.
 */
static bool store_directly(struct cpu *cpu, const struct vt_exit *exit,
			   const struct insn *insn, const u8 *bytes)
{
	struct mmio_access access = {
		.size = insn->memory_size, .is_write = true,
	};
	u64 at = exit->slat.address.v & PAGE_MASK, linear;

	if (!exit->slat.is_write ||
	    !insn_is_store(insn, &cpu->guest, &linear, &access.value) ||
	    (linear & PAGE_MASK) != at || at + access.size > PAGE_SIZE)
		return false;
	site_keep(cpu, exit, insn, bytes);
	access_physical(exit->slat.address, &access);
	vt->skip(cpu, insn->length);
	return true;
}

static void emulate(struct cpu *cpu, const struct vt_exit *exit)
{
	u8 bytes[INSN_CACHE_BYTES] = { 0 };
	const struct insn *insn;
	size_t count;

	vt->load_context(cpu);
	count = linear_fetch(cpu, bytes);
	insn = insn_cache_decode(&cpu->insns, cpu->guest.rip, bytes, count,
				 cpu->guest.mode);
	if (!insn) {
		refuse_code(cpu, exit, bytes, count);
		return;
	}
	if (insn_uses_base(cpu->guest.mode, insn->segment))
		vt->load_segments(cpu);
	if (!store_directly(cpu, exit, insn, bytes))
		execute(cpu, exit, insn);
}

static void note_hidden(struct cpu *cpu, const struct vt_exit *exit)
{
	log_warn("cpu%u: %s %#llx, which is Sluice's: reads give ones, writes vanish (said once)",
		 cpu->index, exit->slat.is_write ? "write to" : "read of",
		 (unsigned long long)exit->slat.address.v);
}

void emulate_slat_exit(struct cpu *cpu, const struct vt_exit *exit)
{
	gpa_t address = exit->slat.address;

	if (slat_is_hidden(address) && slat_show_ones()) {
		note_hidden(cpu, exit);
		return;
	}
	if (slat_fill(address))
		return;
	if (exit->slat.whose == VT_ACCESS_WALK) {
		/* Page tables in trapped or hidden memory: what is there is
		 * no page table. */
		log_limited(LOG_WARN, "cpu%u: page table at %#llx: #GP",
			    cpu->index, (unsigned long long)address.v);
		vt->inject_exception(cpu, VECTOR_GP, true, 0);
		return;
	}
	if (exit->slat.whose == VT_ACCESS_DELIVERY) {
		log_warn("cpu%u: event delivery through %#llx: reset",
			 cpu->index, (unsigned long long)address.v);
		machine_reset();	/* as its triple fault */
	}
	emulate(cpu, exit);
}
