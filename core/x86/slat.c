/* SPDX-License-Identifier: BSD-2-Clause */
/* The nested page tables of the one guest. */
#include <errno.h>
#include <string.h>

#include "bits.h"
#include "cpu.h"
#include "lock.h"
#include "log.h"
#include "page.h"
#include "pagetable.h"
#include "slat.h"
#include "spec/x86.h"

/* What is mapped at once: every byte of RAM and MMIO that today's machines
 * have below it, with 2 table pages if there are 1 GiB pages. */
#define EAGER_LIMIT (1ull << 40)
#define FILL_SIZE (1ull << 30)
#define PIECE_SIZE (FILL_SIZE / 2)

static struct lock lock;
static struct pagetable table;
static u64 hidden_base, hidden_size;
static bool shows_ones;
static u8 *ones;
static u64 eager_limit;

int slat_init(u64 base, u64 size)
{
	int error;

	hidden_base = base;
	hidden_size = size;
	eager_limit = MIN(cpu_physical_limit(), EAGER_LIMIT);
	ones = page_alloc(1);
	if (!ones)
		return -ENOMEM;
	memset(ones, 0xff, PAGE_SIZE);
	error = pagetable_init(&table, vt->slat, vt->slat_levels(),
			       vt->slat_has_1g_pages());
	if (error)
		return error;
	error = pagetable_map(&table, 0, eager_limit,
			      vt->slat->leaf[SLAT_ALL]);
	if (error)
		return error;
	return pagetable_map(&table, base, size, vt->slat->leaf[SLAT_NONE]);
}

hpa_t slat_root(void)
{
	return page_hpa(table.root);
}

static int fill(u64 address)
{
	lock_assert_held(&lock);
	return pagetable_map(&table, align_down(address, FILL_SIZE), FILL_SIZE,
			     vt->slat->leaf[SLAT_ALL]);
}

/*
 * In pieces, so that what is trapped far above RAM always has a table: an
 * empty place is one that nobody has touched, to be filled as a whole.
 */
static int set_piece(u64 base, u64 size, enum slat_access access)
{
	int error = 0;

	if (base >= eager_limit && pagetable_is_empty(&table, base))
		error = fill(base);
	return error ? error : pagetable_map(&table, base, size,
					     vt->slat->leaf[access]);
}

int slat_set_access(gpa_t base, u64 size, enum slat_access access)
{
	u64 end = base.v + size;
	int error = 0;

	if (ranges_overlap(base.v, size, hidden_base, hidden_size))
		return -EPERM;
	lock_acquire(&lock);
	for (u64 at = base.v, next; at < end && !error; at = next) {
		next = MIN(end, align_down(at, PIECE_SIZE) + PIECE_SIZE);
		error = set_piece(at, next - at, access);
	}
	lock_release(&lock);
	return error;
}

void slat_update_types(void)
{
	int error = 0;

	lock_acquire(&lock);
	if (vt->slat->type)
		error = pagetable_update_types(&table);
	lock_release(&lock);
	if (error)
		panic("slat: no page for a new memory type: raise memory=");
}

bool slat_is_hidden(gpa_t address)
{
	return address.v - hidden_base < hidden_size;
}

bool slat_show_ones(void)
{
	int error = 0;
	bool is_first;

	lock_acquire(&lock);
	is_first = !shows_ones;
	shows_ones = true;
	if (is_first)
		error = pagetable_map_onto(&table, hidden_base, hidden_size,
					   page_hpa(ones).v,
					   vt->slat->leaf[SLAT_READ]);
	lock_release(&lock);
	return is_first && !error;
}

/* Another CPU may have been faster. */
static bool is_open(u64 address)
{
	u64 all = vt->slat->leaf[SLAT_ALL];

	return (pagetable_lookup(&table, address) & all) == all;
}

bool slat_fill(gpa_t address)
{
	int error = 0;
	bool is_filled;

	if (address.v < eager_limit || address.v >= cpu_physical_limit())
		return false;
	lock_acquire(&lock);
	if (pagetable_is_empty(&table, address.v))
		error = fill(address.v);
	is_filled = is_open(address.v);
	lock_release(&lock);
	if (error)
		log_limited(LOG_ERROR, "slat: no page to map %#llx: raise memory=",
			    (unsigned long long)address.v);
	return is_filled;
}
