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

#define DBBUF_NOTHING (~0u)	/* no index of a ring */

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

static u32 read_word(const struct dbbuf *dbbuf)
{
	return __atomic_load_n(dbbuf->word, __ATOMIC_SEQ_CST) & 0xffff;
}

/* What stands there is no news: it may be of an older queue. */
static void bind(struct dbbuf *dbbuf, const struct nvme_host *host, u16 id,
		 bool is_cq)
{
	u32 *words = READ_ONCE(host->dbbuf);
	u64 at = (2ull * id + is_cq) * regs_stride(host);

	*dbbuf = (struct dbbuf){ .told = DBBUF_NOTHING };
	/* A page may have no place for this queue. */
	if (!words || !id || at >= 1ull << host->page_shift)
		return;
	dbbuf->word = words + at / sizeof(u32);
	dbbuf->event = READ_ONCE(host->dbbuf_events) + at / sizeof(u32);
	dbbuf->seen = read_word(dbbuf);
}

static bool tell(struct dbbuf *dbbuf, u32 event)
{
	if (!dbbuf->event || dbbuf->told == event)
		return false;
	dbbuf->told = event;
	/* Before the next read_word(): the driver writes its word and then
	 * looks here, so that one of the two sees the other (7.13). */
	__atomic_store_n(dbbuf->event, event, __ATOMIC_SEQ_CST);
	return true;
}

static u32 head_event(const struct hub *hub, bool is_needed)
{
	u32 head = hub->guest.head;

	if (is_needed)
		return head;
	return head ? head - 1 : hub->guest.size - 1;
}

/* A new queue is told at once: what stands there is of an older one. */
void dbbuf_add_sq(struct sq *sq)
{
	if (!sq->guest.size)
		return;
	bind(&sq->dbbuf, sq->hub->host, sq->id, false);
	tell(&sq->dbbuf, sq->guest.tail);
}

void dbbuf_add_hub(struct hub *hub)
{
	if (!hub->guest.size)
		return;
	bind(&hub->dbbuf, hub->host, hub->id, true);
	tell(&hub->dbbuf, head_event(hub, false));
}

/* ---- What the guest has written ------------------------------------------------------ */

static bool read_news(struct dbbuf *dbbuf, u32 *value)
{
	if (!dbbuf->word)
		return false;
	*value = read_word(dbbuf);
	if (*value == dbbuf->seen)
		return false;
	dbbuf->seen = *value;
	return true;
}

/* The word has been written before that (7.13). One that says something else
 * is not kept up by this driver: it is no news still. */
void dbbuf_note_head(struct hub *hub, u32 head)
{
	struct dbbuf *dbbuf = &hub->dbbuf;

	if (dbbuf->word && read_word(dbbuf) == head)
		dbbuf->seen = head;
}

bool dbbuf_read_head(struct hub *hub)
{
	u32 head;

	if (!read_news(&hub->dbbuf, &head))
		return false;
	hub_ring_cq(hub, head);
	return true;
}

static bool read_tail(struct sq *sq)
{
	u32 tail, before = sq->guest.tail;

	if (read_news(&sq->dbbuf, &tail) && tail != before)
		hub_ring_sq(sq, tail);
	return sq->guest.tail != before;
}

/* ---- What it is told ---------------------------------------------------------------------- */

/* Of a queue that is half full: is there something that only goes on when
 * the guest has read more of it? */
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

static __attribute__((noinline)) bool arm_full_head(struct hub *hub)
{
	bool has_moved = dbbuf_read_head(hub);
	bool is_needed = needs_head(hub);

	if (tell(&hub->dbbuf, head_event(hub, is_needed)) && is_needed)
		has_moved |= dbbuf_read_head(hub);
	return has_moved;
}

/* True: there is news. */
static inline bool arm_head(struct hub *hub)
{
	if (hub_is_half_full(hub))
		return arm_full_head(hub);
	tell(&hub->dbbuf, head_event(hub, false));
	return false;
}

static inline bool arm_tail(struct sq *sq)
{
	return tell(&sq->dbbuf, sq->guest.tail) && read_tail(sq);
}

bool dbbuf_arm_one(struct hub *hub, struct sq *sq)
{
	bool has_moved;

	if (!READ_ONCE(hub->host->dbbuf))
		return false;
	has_moved = arm_head(hub);
	return arm_tail(sq) || has_moved;
}

/* While an event stands, the guest rings for whatever it writes past it. */
bool dbbuf_arm(struct hub *hub)
{
	bool has_moved;
	struct list *node;

	if (!READ_ONCE(hub->host->dbbuf))
		return false;
	has_moved = arm_head(hub);
	list_for_each(node, &hub->sqs)
		has_moved |= arm_tail(container_of(node, struct sq, node));
	return has_moved;
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
