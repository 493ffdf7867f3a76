/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The register page and the doorbells, as the guest reads and writes them.
 * What is not named here - a MSI-X table in the same page, say - is passed
 * to the device in the width it came.
 */
#include <string.h>

#include "clock.h"
#include "nvme.h"

#define STEP_US 1000		/* a poll of CSTS may take as long */

void regs_set_cap(struct nvme_host *host, u64 cap)
{
	host->cap = cap;
	WRITE_ONCE(host->stride_shift, 2 + FIELD_GET(NVME_CAP_DSTRD, cap));
}

u32 regs_stride(const struct nvme_host *host)
{
	return 1u << host->stride_shift;
}

static u32 doorbell_size(const struct nvme_host *host)
{
	return 2 * NVME_QUEUE_IDS << READ_ONCE(host->stride_shift);
}

u64 regs_doorbell_end(const struct nvme_host *host)
{
	return NVME_REG_DOORBELLS + doorbell_size(host);
}

/* ---- The device's ---------------------------------------------------------------- */

/* Where we write is trapped, and so none of Sluice's own memory. */
static u64 reach(const struct nvme_host *host, u64 offset, u64 size)
{
	u64 bar = READ_ONCE(host->bar);

	return range_inside(offset, size, READ_ONCE(host->region.size)) ? bar :
		0;
}

u32 regs_read32(struct nvme_host *host, u32 offset)
{
	u64 bar = reach(host, offset, 4);

	return bar ? mmio_read32(hpa(bar + offset)) : ~0u;
}

void regs_write32(struct nvme_host *host, u32 offset, u32 value)
{
	u64 bar = reach(host, offset, 4);

	if (bar)
		mmio_write32(hpa(bar + offset), value);
}

/* In halves, as every controller allows (3.1). */
void regs_write64(struct nvme_host *host, u32 offset, u64 value)
{
	regs_write32(host, offset, (u32)value);
	regs_write32(host, offset + 4, value >> 32);
}

void regs_kick(struct nvme_host *host, u16 id, bool is_cq, u32 value)
{
	regs_write32(host, NVME_REG_DOORBELLS +
		     ((2u * id + is_cq) << host->stride_shift), value);
}

/* ---- Registers, 32 bits at a time -------------------------------------------------- */

static u64 guest_cap(const struct nvme_host *host)
{
	return (host->cap | NVME_CAP_CQR) &
		~(NVME_CAP_NSSRS | NVME_CAP_BPS | NVME_CAP_PMRS |
		  NVME_CAP_CMBS | NVME_CAP_NSSS | NVME_CAP_CRIMS);
}

/* Controller and persistent memory, boot partitions, subsystem resets. */
static bool is_concealed(u32 offset)
{
	return offset == NVME_REG_NSSR ||
		(offset >= NVME_REG_CMBLOC && offset < NVME_REG_CRTO) ||
		(offset >= NVME_REG_PMRCAP && offset < NVME_REG_PMR_END);
}

static u32 half(u64 value, u32 offset)
{
	return offset & 4 ? value >> 32 : (u32)value;
}

static void set_half(u64 *to, u32 offset, u32 value)
{
	*to = offset & 4 ? (u32)*to | (u64)value << 32 :
		(*to & ~0xffffffffull) | value;
}

static u32 read_register(struct nvme_host *host, u32 offset)
{
	switch (offset) {
	case NVME_REG_CAP:
	case NVME_REG_CAP + 4:
		return half(guest_cap(host), offset);
	case NVME_REG_CC:
		return host->cc;
	case NVME_REG_CSTS:
		return ctrl_read_csts(host);
	case NVME_REG_AQA:
		return host->aqa;
	case NVME_REG_ASQ:
	case NVME_REG_ASQ + 4:
		return half(host->asq, offset);
	case NVME_REG_ACQ:
	case NVME_REG_ACQ + 4:
		return half(host->acq, offset);
	}
	return is_concealed(offset) ? 0 : regs_read32(host, offset);
}

/* The admin queues are taken over when the guest enables (3.1.8). */
static void write_register(struct nvme_host *host, u32 offset, u32 value)
{
	switch (offset) {
	case NVME_REG_CC:
		ctrl_write_cc(host, value);
		break;
	case NVME_REG_CSTS:
		/* NSSRO, the one bit that can be cleared, is never shown. */
		break;
	case NVME_REG_AQA:
		host->aqa = value & (NVME_AQA_ASQS | NVME_AQA_ACQS);
		break;
	case NVME_REG_ASQ:
	case NVME_REG_ASQ + 4:
		set_half(&host->asq, offset, value);
		break;
	case NVME_REG_ACQ:
	case NVME_REG_ACQ + 4:
		set_half(&host->acq, offset, value);
		break;
	default:
		if (offset >= NVME_REG_VS && !is_concealed(offset))
			regs_write32(host, offset, value);
	}
}

/* Whoever waits for CSTS gets to see a change, if there is one soon. */
static void poll_csts(struct nvme_host *host)
{
	u64 deadline_us = clock_deadline_us(STEP_US);
	u8 state;

	do {
		lock_acquire(&host->lock);
		ctrl_step(host);
		state = host->state;
		lock_release(&host->lock);
		run_poll(host);
		cpu_relax();
	} while ((state == CTRL_STARTING || state == CTRL_PREPARING ||
		  state == CTRL_STOPPING) && !clock_is_past(deadline_us));
}

static u32 access32(struct nvme_host *host, u32 offset, bool is_write,
		    u32 value)
{
	if (offset == NVME_REG_CSTS && !is_write)
		poll_csts(host);
	lock_acquire(&host->lock);
	if (is_write)
		write_register(host, offset, value);
	else
		value = read_register(host, offset);
	lock_release(&host->lock);
	run_exit(host);
	return value;
}

/* ---- Doorbells ------------------------------------------------------------------------- */

/* False: the device may just now be replaced by one of another stride. */
static bool find_doorbell(const struct nvme_host *host, u64 from_first,
			  u32 *index)
{
	u32 shift = READ_ONCE(host->stride_shift);

	*index = from_first >> shift;
	return (u64)*index << shift == from_first &&
		*index < 2 * NVME_QUEUE_IDS;
}

static void write_doorbell(struct nvme_host *host, u64 from_first, u16 value)
{
	u32 index;

	if (!find_doorbell(host, from_first, &index))
		return;
	WRITE_ONCE(host->doorbells[index], value);
	if (ctrl_is_ready(host))
		doorbell_ring(host, index / 2, index & 1, value);
}

/* Undefined (3.1.24); a driver that does it gets its own value. */
static u32 read_doorbell(const struct nvme_host *host, u64 from_first)
{
	u32 index;

	return find_doorbell(host, from_first, &index) ?
		READ_ONCE(host->doorbells[index]) : 0;
}

/* ---- Accesses of any width ---------------------------------------------------------------- */

static u32 access_word(struct nvme_host *host, u64 offset, bool is_write,
		       u32 value)
{
	if (offset < NVME_REG_DOORBELLS)
		return access32(host, offset, is_write, value);
	if (!is_write)
		return read_doorbell(host, offset - NVME_REG_DOORBELLS);
	write_doorbell(host, offset - NVME_REG_DOORBELLS, value);
	return 0;
}

/* Bytes and words are not defined (3.1): reads work, writes are dropped. */
static void access_part(struct nvme_host *host, struct mmio_access *access)
{
	u64 word;

	if (access->is_write)
		return;
	word = access_word(host, align_down(access->offset, 4), false, 0);
	access->value = word >> 8 * (access->offset & 3);
	if (access->size < 8)
		access->value &= BITS(8 * access->size - 1, 0);
}

static void access_double(struct nvme_host *host, struct mmio_access *access)
{
	u32 low = access_word(host, access->offset, access->is_write,
			      (u32)access->value);
	u32 high = access_word(host, access->offset + 4, access->is_write,
			       access->value >> 32);

	if (!access->is_write)
		access->value = (u64)high << 32 | low;
}

static void access_device(struct nvme_host *host, struct mmio_access *access)
{
	u64 bar;

	lock_acquire(&host->lock);
	bar = reach(host, access->offset, access->size);
	if (!bar)
		access->value = ~0ull;
	else if (access->is_write)
		mmio_write(hpa(bar + access->offset), access->size,
			   access->value);
	else
		access->value = mmio_read(hpa(bar + access->offset),
					  access->size);
	lock_release(&host->lock);
}

static __attribute__((noinline)) void access_any(struct nvme_host *host,
						 struct mmio_access *access)
{
	if (access->offset >= regs_doorbell_end(host))
		access_device(host, access);
	else if (access->size == 4 && is_aligned(access->offset, 4))
		access->value = access_word(host, access->offset,
					    access->is_write, access->value);
	else if (access->size == 8 && is_aligned(access->offset, 8))
		access_double(host, access);
	else
		access_part(host, access);
}

HOT void regs_access(struct mmio_region *region, struct mmio_access *access)
{
	struct nvme_host *host = container_of(region, struct nvme_host, region);
	u64 from_first = access->offset - NVME_REG_DOORBELLS;

	if (access->is_write && access->size == 4 &&
	    from_first < doorbell_size(host))
		write_doorbell(host, from_first, access->value);
	else
		access_any(host, access);
}
