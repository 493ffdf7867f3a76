/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Doorbell buffers (NVMe 1.4, 5.7 and 7.13), answered by Sluice: the guest
 * writes its tails and heads to memory, and to the doorbell itself, which is
 * an exit, only when it passes the index that stands in the other page. Ours
 * for a submission queue is always its tail: new commands are told at once.
 * For a completion queue it is the entry before the head, which is never
 * passed, unless somebody waits for the head.
 *
 * The pages are the guest's: what is read there is checked like a doorbell.
 * All of it with hub->lock held but the first and the last function.
 */
#include <errno.h>
#include <string.h>

#include "gmem.h"
#include "nvme.h"
#include "setting.h"

static enum { BUFFER_UNSET, BUFFER_ON, BUFFER_OFF } choice;

static int apply_choice(const struct setting *setting, char *why, size_t size)
{
	(void)why;
	(void)size;
	if (choice)
		return -EEXIST;
	if (!strcmp(setting->value, "on"))
		choice = BUFFER_ON;
	else if (!strcmp(setting->value, "off"))
		choice = BUFFER_OFF;
	else
		return -EINVAL;
	return 0;
}

static const struct setting_handler dbbuf_setting = {
	.key = "doorbell-buffer",
	.expects = "on or off",
	.apply = apply_choice,
};
SETTING(dbbuf_setting);

bool dbbuf_is_offered(void)
{
	return choice != BUFFER_OFF;
}

/* ---- The pages -------------------------------------------------------------------- */

/* NULL: none, or a page has no place for this queue. */
static u32 *word_of(const struct nvme_host *host, u32 *page, u16 id, bool is_cq)
{
	u64 at = (2ull * id + is_cq) * regs_stride(host);

	return page && at < 1ull << host->page_shift ?
		page + at / sizeof(u32) : NULL;
}

static u32 read_word(const struct nvme_host *host, u16 id, bool is_cq)
{
	const u32 *word = word_of(host, READ_ONCE(host->dbbuf), id, is_cq);

	return word ? __atomic_load_n(word, __ATOMIC_SEQ_CST) & 0xffff : 0;
}

static void write_event(const struct nvme_host *host, u16 id, bool is_cq,
			u32 value)
{
	u32 *word = word_of(host, READ_ONCE(host->dbbuf_events), id, is_cq);

	/* Before the next read_word(): the driver writes its word and then
	 * looks here, so that one of the two sees the other (7.13). */
	if (word)
		__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

/* ---- What the guest has written ------------------------------------------------------ */

void dbbuf_add_sq(struct sq *sq)
{
	sq->dbbuf_seen = read_word(sq->hub->host, sq->id, false);
}

void dbbuf_add_hub(struct hub *hub)
{
	hub->dbbuf_seen = read_word(hub->host, hub->id, true);
}

/* A word that has not changed is no news: it may be of an older queue. */
static bool has_changed(u32 *seen, u32 value)
{
	bool has_changed = *seen != value;

	*seen = value;
	return has_changed;
}

static bool is_on(const struct hub *hub)
{
	return READ_ONCE(hub->host->dbbuf) && hub->id && hub->guest.size;
}

bool dbbuf_read_head(struct hub *hub)
{
	u32 head;

	if (!is_on(hub))
		return false;
	head = read_word(hub->host, hub->id, true);
	if (!has_changed(&hub->dbbuf_seen, head))
		return false;
	hub_ring_cq(hub, head);
	return true;
}

static bool read_tail(struct sq *sq)
{
	u32 tail = read_word(sq->hub->host, sq->id, false);
	u32 before = sq->guest.tail;

	if (has_changed(&sq->dbbuf_seen, tail) && tail != before)
		hub_ring_sq(sq->hub, sq, tail);
	return sq->guest.tail != before;
}

/* ---- What it is told ---------------------------------------------------------------------- */

/* Is there something that only goes on when the guest has read its queue? */
static bool needs_head(const struct hub *hub)
{
	const struct guest_ring *ring = &hub->guest;
	u32 count = ring_distance(ring->head, ring->tail, ring->size);
	struct list *node;

	list_for_each(node, &hub->sqs) {
		const struct sq *sq = container_of(node, struct sq, node);

		if (sq->guest.head != sq->guest.tail)
			return true;
		count += sq->slot_count - sq->free_count;
	}
	return count >= ring->size - 1 || !list_is_empty(&hub->waiting);
}

static u32 head_event(const struct hub *hub)
{
	u32 head = hub->guest.head;

	if (needs_head(hub))
		return head;
	return head ? head - 1 : hub->guest.size - 1;
}

bool dbbuf_arm(struct hub *hub)
{
	const struct nvme_host *host = hub->host;
	bool has_moved = false;
	struct list *node;

	if (!is_on(hub))
		return false;
	list_for_each(node, &hub->sqs) {
		const struct sq *sq = container_of(node, struct sq, node);

		write_event(host, sq->id, false, sq->guest.tail);
	}
	write_event(host, hub->id, true, head_event(hub));
	list_for_each(node, &hub->sqs)
		has_moved |= read_tail(container_of(node, struct sq, node));
	return dbbuf_read_head(hub) || has_moved;
}

/* ---- Doorbell Buffer Config, 5.7 -------------------------------------------------------------- */

static u32 *map_page(struct nvme_host *host, u64 address)
{
	u64 size = 1ull << host->page_shift;

	return is_aligned(address, size) && dptr_is_safe(host, address, size) ?
		gmem_map(gpa(address), size) : NULL;
}

static void add_queues(struct hub *hub)
{
	struct list *node;

	lock_acquire(&hub->lock);
	dbbuf_add_hub(hub);
	list_for_each(node, &hub->sqs)
		dbbuf_add_sq(container_of(node, struct sq, node));
	lock_release(&hub->lock);
}

/*
 * The device learns of heads late. One that holds a pin up, or sends a
 * message only for the first of several completions, as with MSI, until it
 * hears of them would be misunderstood: only MSI-X is neither (7.5.1).
 */
u16 dbbuf_configure(struct nvme_host *host, u64 doorbells, u64 events)
{
	u32 *words = map_page(host, doorbells);
	u32 *event_words = map_page(host, events);
	struct hub *hub;
	u32 id = 1;

	if (!dbbuf_is_offered() || !READ_ONCE(host->has_msix))
		return NVME_SC_INVALID_OPCODE;
	if (!words || !event_words)
		return NVME_SC_INVALID_FIELD;
	WRITE_ONCE(host->dbbuf_events, event_words);
	WRITE_ONCE(host->dbbuf, words);
	while ((hub = hub_next(host, &id))) {
		add_queues(hub);
		hub_put(hub);
	}
	run_wake(host, RUN_HUBS);
	return NVME_SC_SUCCESS;
}

void dbbuf_forget(struct nvme_host *host)
{
	WRITE_ONCE(host->dbbuf, NULL);
	WRITE_ONCE(host->dbbuf_events, NULL);
}
