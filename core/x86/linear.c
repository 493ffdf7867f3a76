/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walk: one loop for long mode, PAE and 32-bit paging. Walks are kept,
 * and not believed: every entry is read again. This is no TLB.
 */
#include <errno.h>
#include <string.h>

#include "barrier.h"
#include "bits.h"
#include "cpu.h"
#include "gmem.h"
#include "linear.h"
#include "spec/x86.h"
#include "vt.h"

struct walk {
	u64 linear;
	u64 table;		/* guest-physical */
	unsigned level;		/* 0: its entries map 4 KiB pages */
	unsigned index_bits;
	unsigned entry_size;
	struct linear_walk *out;
};

static void walk_start(struct walk *walk, const struct vt_paging *paging,
		       u64 linear)
{
	walk->linear = linear;
	walk->index_bits = 9;
	walk->entry_size = 8;
	walk->out->count = 0;
	walk->out->permissions = PTE_WRITE | PTE_USER;
	if (paging->efer & EFER_LMA) {
		walk->level = (paging->cr4 & CR4_LA57) ? 4 : 3;
		walk->table = paging->cr3 & PTE_ADDRESS;
	} else if (paging->cr4 & CR4_PAE) {
		walk->level = 2;
		walk->table = paging->cr3 & BITS(31, 5);
	} else {
		walk->level = 1;
		walk->table = paging->cr3 & PTE_LEGACY_ADDRESS;
		walk->index_bits = 10;
		walk->entry_size = 4;
	}
}

static unsigned walk_shift(const struct walk *walk)
{
	return PAGE_SHIFT + walk->level * walk->index_bits;
}

/* False: it does not lie in RAM. */
static bool read_entry(struct walk *walk, u64 *value)
{
	u64 index = walk->linear >> walk_shift(walk) &
		    (BIT(walk->index_bits) - 1);
	gpa_t at = gpa(walk->table + index * walk->entry_size);
	const void *entry = gmem_map(at, walk->entry_size);
	struct linear_walk *out = walk->out;

	if (!entry)
		return false;
	if (walk->entry_size == sizeof(*value))
		*value = READ_ONCE(*(const u64 *)entry);
	else
		*value = READ_ONCE(*(const u32 *)entry);
	out->entries[out->count] = entry;
	out->values[out->count++] = *value;
	return true;
}

/* Page-directory pointers of PAE have no permission bits (5.2.3). */
static bool has_permissions(const struct walk *walk,
			    const struct vt_paging *paging)
{
	return walk->level < 2 || (paging->efer & EFER_LMA);
}

static bool is_leaf(const struct walk *walk, const struct vt_paging *paging,
		    u64 entry)
{
	if (!walk->level)
		return true;
	if (!(entry & PTE_LARGE) || !has_permissions(walk, paging))
		return false;
	return walk->entry_size == 8 || (paging->cr4 & CR4_PSE);
}

static u64 leaf_address(const struct walk *walk, u64 entry)
{
	u64 mask = BIT(walk_shift(walk)) - 1;
	u64 base = entry & PTE_ADDRESS & ~mask;

	/* 4 MiB pages carry address bits 39:32 in bits 20:13 (5.2.2). */
	if (walk->entry_size == 4 && walk->level)
		base = (entry & BITS(31, 22)) |
		       FIELD_GET(BITS(20, 13), entry) << 32;
	return base | (walk->linear & mask);
}

static bool walk_tables(struct walk *walk, const struct vt_paging *paging)
{
	u64 entry;

	for (;; walk->level--) {
		if (!read_entry(walk, &entry) || !(entry & PTE_PRESENT))
			return false;
		if (has_permissions(walk, paging))
			walk->out->permissions &= entry;
		if (is_leaf(walk, paging, entry))
			break;
		walk->table = entry & (walk->entry_size == 8
					       ? PTE_ADDRESS
					       : PTE_LEGACY_ADDRESS);
	}
	walk->out->base = leaf_address(walk, entry);
	return true;
}

/* Without paging every page is where it says it is, and anybody's. */
static bool walk_page(struct linear_walk *out, const struct vt_paging *paging,
		      u64 page)
{
	struct walk walk = { .out = out };
	bool is_present = true;

	out->page = page;
	out->paging = *paging;
	out->base = page;
	walk_start(&walk, paging, page);
	if (paging->cr0 & CR0_PG)
		is_present = walk_tables(&walk, paging);
	/* Only words are looked at again. */
	out->is_kept = is_present && walk.entry_size == sizeof(*out->values);
	for (u32 i = out->count; i < LINEAR_LEVELS; i++)
		out->entries[i] = &out->values[i];
	out->memory = gmem_map(gpa(out->base), PAGE_SIZE);
	return is_present;
}

/* Would it go the same way today? */
static inline bool is_true(const struct linear_walk *walk,
			   const struct vt_paging *paging, u64 page)
{
	const struct vt_paging *then = &walk->paging;
	u64 differences = walk->page ^ page;

	if (!walk->is_kept)
		return false;
	differences |= then->cr3 ^ paging->cr3;
	differences |= then->cr0 ^ paging->cr0;
	differences |= then->cr4 ^ paging->cr4;
	differences |= then->efer ^ paging->efer;
	return !differences && linear_is_same(walk);
}

/* NULL: a page on the way is not present. */
static inline const struct linear_walk *walk_to(struct cpu *cpu, u64 linear)
{
	struct linear_walk *walk =
		&cpu->walks[linear / PAGE_SIZE % LINEAR_WALKS];
	u64 page = align_down(linear, PAGE_SIZE);

	if (!is_true(walk, &cpu->paging, page) &&
	    !walk_page(walk, &cpu->paging, page))
		return NULL;
	return walk;
}

static bool is_allowed(const struct linear_walk *walk,
		       const struct vt_paging *paging, bool is_write)
{
	if (paging->is_user && !(walk->permissions & PTE_USER))
		return false;
	if (!is_write || (walk->permissions & PTE_WRITE))
		return true;
	return !paging->is_user && !(paging->cr0 & CR0_WP);
}

/* Outside of long mode there are 32 bits of it. */
static u64 truncated(const struct cpu *cpu, u64 linear)
{
	return cpu->paging.efer & EFER_LMA ? linear : (u32)linear;
}

int linear_translate(struct cpu *cpu, u64 linear, bool is_write, gpa_t *out,
		     struct linear_fault *fault)
{
	const struct linear_walk *walk;

	linear = truncated(cpu, linear);
	walk = walk_to(cpu, linear);
	if (walk && is_allowed(walk, &cpu->paging, is_write)) {
		*out = gpa(walk->base + (linear & PAGE_MASK));
		return 0;
	}
	fault->address = linear;
	fault->error = (walk ? PF_PRESENT : 0) | (is_write ? PF_WRITE : 0) |
		       (cpu->paging.is_user ? PF_USER : 0);
	return -EFAULT;
}

/* Inside one page. */
static inline bool fetch(struct cpu *cpu, u64 linear, u8 *bytes, size_t count)
{
	const struct linear_walk *walk = walk_to(cpu, linear);

	if (!walk || !walk->memory || !is_allowed(walk, &cpu->paging, false))
		return false;
	memcpy(bytes, walk->memory + (linear & PAGE_MASK), count);
	return true;
}

/* Rare, and apart so that the other way saves no registers for it. */
static __attribute__((noinline)) size_t
fetch_split(struct cpu *cpu, u64 linear, u8 *bytes)
{
	size_t in_page = PAGE_SIZE - (linear & PAGE_MASK);

	if (!fetch(cpu, linear, bytes, in_page))
		return 0;
	linear = truncated(cpu, linear + in_page);
	return fetch(cpu, linear, bytes + in_page,
		     LINEAR_FETCH_SIZE - in_page) ?
		LINEAR_FETCH_SIZE : in_page;
}

static u64 code_address(const struct cpu *cpu)
{
	return truncated(cpu, cpu->guest.segment_base[INSN_CS] +
			      cpu->guest.rip);
}

static bool is_in_one_page(u64 code)
{
	return (code & PAGE_MASK) + LINEAR_FETCH_SIZE <= PAGE_SIZE;
}

size_t linear_fetch(struct cpu *cpu, u8 bytes[LINEAR_FETCH_SIZE])
{
	u64 linear = code_address(cpu);

	if (!is_in_one_page(linear))
		return fetch_split(cpu, linear, bytes);
	return fetch(cpu, linear, bytes, LINEAR_FETCH_SIZE) ?
		LINEAR_FETCH_SIZE : 0;
}

bool linear_walk_code(const struct cpu *cpu, struct linear_walk *out)
{
	u64 linear = code_address(cpu);

	return is_in_one_page(linear) &&
	       walk_page(out, &cpu->paging, align_down(linear, PAGE_SIZE)) &&
	       out->is_kept && out->memory &&
	       is_allowed(out, &cpu->paging, false);
}
