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

static struct lock lock;
static struct pagetable table;
static u64 hidden_base, hidden_size;
static bool shows_ones;
static u8 *ones;
static u64 eager_limit;

int slat_init(u64 base, u64 size)
{
	/* Nested tables have the host's number of levels (APM 15.25.3). */
	unsigned levels = (read_cr4() & CR4_LA57) ? 5 : 4;
	int error;

	hidden_base = base;
	hidden_size = size;
	eager_limit = MIN(cpu_physical_limit(), EAGER_LIMIT);
	ones = page_alloc(1);
	if (!ones)
		return -ENOMEM;
	memset(ones, 0xff, PAGE_SIZE);
	error = pagetable_init(&table, vt->slat, levels, cpu_has_1g_pages());
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

int slat_set_access(gpa_t base, u64 size, enum slat_access access)
{
	int error;

	lock_acquire(&lock);
	error = pagetable_map(&table, base.v, size, vt->slat->leaf[access]);
	lock_release(&lock);
	return error;
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

bool slat_fill(gpa_t address)
{
	u64 base = align_down(address.v, FILL_SIZE);
	int error = 0;

	if (address.v < eager_limit || address.v >= cpu_physical_limit())
		return false;
	lock_acquire(&lock);
	if (!pagetable_lookup(&table, address.v))
		error = pagetable_map(&table, base, FILL_SIZE,
				      vt->slat->leaf[SLAT_ALL]);
	lock_release(&lock);
	if (error)
		log_limited(LOG_ERROR, "slat: no page to map %#llx: raise memory=",
			    (unsigned long long)base);
	return !error;
}
