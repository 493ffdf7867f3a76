/* SPDX-License-Identifier: BSD-2-Clause */
/* Stores of the guest to trapped pages that are done again and again. */
#include <string.h>

#include "bits.h"
#include "cpu.h"
#include "site.h"

/* The processor has found the page; the offset tells that it was this store,
 * and all of it in that page. */
static inline bool is_operand(const struct site *site, const u64 *gpr,
			      u64 address)
{
	u64 offset = site->displacement, in_page = address & PAGE_MASK;

	if (site->base != INSN_NO_GPR)
		offset += gpr[site->base];
	if (site->index != INSN_NO_GPR)
		offset += gpr[site->index] * site->scale;
	return (offset & PAGE_MASK) == in_page && in_page <= site->last_offset;
}

static inline u64 word_at(const u8 *bytes)
{
	u64 word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

/* A site that is none was found under no paging, which 64-bit code has. */
static inline bool is_same_code(const struct cpu *cpu, const struct site *site)
{
	const u8 *code;

	if (!vt->is_64bit_under(cpu, &site->walk.paging) ||
	    !linear_is_same(&site->walk))
		return false;
	code = site->walk.memory + (site->rip & PAGE_MASK);
	return word_at(code) == site->words[0] &&
	       word_at(code + sizeof(u64)) == site->words[1];
}

static inline bool is_site(const struct cpu *cpu, const struct site *site)
{
	return site->rip == cpu->guest.rip && is_same_code(cpu, site);
}

static __attribute__((noinline)) const struct site *search(struct cpu *cpu)
{
	struct site_list *list = &cpu->sites;

	for (u32 i = 0; i < SITE_COUNT; i++)
		if (i != list->last && is_site(cpu, &list->sites[i])) {
			list->last = i;
			return &list->sites[i];
		}
	return NULL;
}

static inline const struct site *find(struct cpu *cpu)
{
	const struct site *site = &cpu->sites.sites[cpu->sites.last];

	return is_site(cpu, site) ? site : search(cpu);
}

HOT bool site_execute(struct cpu *cpu, const struct vt_exit *exit)
{
	const u64 *gpr = cpu->guest.gpr;
	struct mmio_access access;
	const struct site *site;

	if (!exit->slat.is_write || exit->slat.whose != VT_ACCESS_INSTRUCTION)
		return false;
	site = find(cpu);
	if (!site || !is_operand(site, gpr, exit->slat.address.v))
		return false;
	access.size = site->size;
	access.is_write = true;
	access.value = (gpr[site->reg] & site->mask) | site->immediate;
	if (!mmio_write_at(&site->place, exit->slat.address, &access))
		return false;
	vt->skip(cpu, site->length);
	return true;
}

/* Outside of 64-bit code every store uses a base. */
static bool is_of_use(const struct cpu *cpu, const struct insn *insn)
{
	return !insn_uses_base(cpu->guest.mode, insn->segment) &&
	       !insn->reg_is_high;
}

/* The one that is out of date, or an empty one. */
static struct site *unused(struct site_list *list, const struct cpu *cpu)
{
	struct site *empty = NULL;

	for (u32 i = 0; i < SITE_COUNT; i++) {
		struct site *site = &list->sites[i];

		if (site->rip == cpu->guest.rip &&
		    site->walk.paging.cr3 == cpu->paging.cr3)
			return site;
		if (!site->walk.is_kept)
			empty = site;
	}
	return empty;
}

/* Not each time, or of some more than there is room for none would ever be
 * there when it is its turn. NULL: not now. */
static struct site *oldest(struct site_list *list)
{
	if (++list->miss_count % SITE_MISSES)
		return NULL;
	list->next = (list->next + 1) % SITE_COUNT;
	return &list->sites[list->next];
}

static void set_operand(struct site *site, const struct insn *insn, u64 rip)
{
	site->base = insn->base;
	site->index = insn->index;
	site->scale = insn->scale;
	site->displacement = insn->displacement;
	if (insn->is_rip_relative)
		site->displacement += rip + insn->length;
}

static void set_value(struct site *site, const struct insn *insn)
{
	u64 mask = BITS(8 * insn->memory_size - 1, 0);
	bool is_constant = insn->source == INSN_IMMEDIATE;

	site->reg = insn->reg;
	site->mask = is_constant ? 0 : mask;
	site->immediate = is_constant ? insn->immediate & mask : 0;
}

void site_keep(struct cpu *cpu, const struct vt_exit *exit,
	       const struct insn *insn, const u8 *bytes)
{
	struct site *site = unused(&cpu->sites, cpu);

	if (!is_of_use(cpu, insn))
		return;
	if (!site)
		site = oldest(&cpu->sites);
	if (!site)
		return;
	site->rip = cpu->guest.rip;
	site->length = insn->length;
	site->size = insn->memory_size;
	site->last_offset = PAGE_SIZE - insn->memory_size;
	memcpy(site->words, bytes, sizeof(site->words));
	set_operand(site, insn, site->rip);
	set_value(site, insn);
	if (!mmio_find_place(exit->slat.address, &site->place) ||
	    !linear_walk_code(cpu, &site->walk))
		memset(site, 0, sizeof(*site));
}
