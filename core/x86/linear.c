/* SPDX-License-Identifier: BSD-2-Clause */
/* The walk: one loop for long mode, PAE and 32-bit paging. */
#include <errno.h>

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
	u64 permissions;	/* AND of the entries so far */
};

static void walk_start(struct walk *walk, const struct vt_paging *paging,
		       u64 linear)
{
	walk->linear = linear;
	walk->permissions = PTE_WRITE | PTE_USER;
	walk->index_bits = 9;
	walk->entry_size = 8;
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

static int read_entry(const struct walk *walk, u64 *entry)
{
	u64 index = walk->linear >> walk_shift(walk) &
		    (BIT(walk->index_bits) - 1);

	if (walk->entry_size == sizeof(*entry))
		return gmem_read64(entry,
				   gpa(walk->table + index * sizeof(*entry)));
	*entry = 0;
	return gmem_read(entry, gpa(walk->table + index * walk->entry_size),
			 walk->entry_size);
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

static bool is_allowed(const struct walk *walk, const struct vt_paging *paging,
		       bool is_write)
{
	if (paging->is_user && !(walk->permissions & PTE_USER))
		return false;
	if (!is_write || (walk->permissions & PTE_WRITE))
		return true;
	return !paging->is_user && !(paging->cr0 & CR0_WP);
}

static int fail(const struct walk *walk, u32 error, struct linear_fault *fault)
{
	fault->address = walk->linear;
	fault->error |= error;
	return -EFAULT;
}

static int walk_tables(struct walk *walk, const struct vt_paging *paging,
		       bool is_write, gpa_t *out, struct linear_fault *fault)
{
	u64 entry;

	for (;; walk->level--) {
		if (read_entry(walk, &entry) || !(entry & PTE_PRESENT))
			return fail(walk, 0, fault);
		if (has_permissions(walk, paging))
			walk->permissions &= entry;
		if (is_leaf(walk, paging, entry))
			break;
		walk->table = entry & (walk->entry_size == 8
					       ? PTE_ADDRESS
					       : PTE_LEGACY_ADDRESS);
	}
	if (!is_allowed(walk, paging, is_write))
		return fail(walk, PF_PRESENT, fault);
	*out = gpa(leaf_address(walk, entry));
	return 0;
}

int linear_translate(struct cpu *cpu, u64 linear, bool is_write, gpa_t *out,
		     struct linear_fault *fault)
{
	struct vt_paging paging;
	struct walk walk;

	vt->load_paging(cpu, &paging);
	if (!(paging.efer & EFER_LMA))
		linear = (u32)linear;
	if (!(paging.cr0 & CR0_PG)) {
		*out = gpa(linear);
		return 0;
	}
	fault->error = (is_write ? PF_WRITE : 0) |
		       (paging.is_user ? PF_USER : 0);
	walk_start(&walk, &paging, linear);
	return walk_tables(&walk, &paging, is_write, out, fault);
}

size_t linear_fetch(struct cpu *cpu, u8 *bytes, size_t count)
{
	u64 linear = cpu->guest.segment_base[INSN_CS] + cpu->guest.rip;
	struct linear_fault fault;
	size_t done = 0, piece;
	gpa_t from;

	while (done < count) {
		piece = MIN(count - done, PAGE_SIZE - (linear & PAGE_MASK));
		if (linear_translate(cpu, linear, false, &from, &fault) ||
		    gmem_read(bytes + done, from, piece))
			break;
		done += piece;
		linear += piece;
	}
	return done;
}
