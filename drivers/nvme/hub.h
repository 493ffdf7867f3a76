/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hubs and their queues, and what is done to them: queue.c, request.c, hub.c,
 * cq.c, direct.c, cid.c and dbbuf.c. Part of the model: read nvme.h first.
 */
#ifndef SLUICE_NVME_HUB_H
#define SLUICE_NVME_HUB_H

#include "lock.h"
#include "mmio.h"
#include "request.h"

struct nvme_host;

/* A queue's words in the doorbell buffers; NULL: it has none. */
struct dbbuf {
	u32 *word, *event;
	u32 seen;		/* the word, as last read */
	u32 told;		/* the event, as last written */
};

struct sq {
	struct list node;	/* hub->sqs or hub->dead_sqs */
	struct hub *hub;
	u16 id;
	u16 slot_count, free_count;
	u16 guest_slots;	/* as many the guest may have */
	u16 guest_used;
	u16 held_count;		/* by interceptors */
	bool is_dead;		/* out of the tables */
	bool is_direct;		/* as its hub; the rings are one by one */
	u32 kicked;		/* shadow tail the device knows */
	u32 device_head;	/* direct: as the last completion said */
	u32 credit;		/* direct: commands that may come before
				 * completions have to be read */
	struct dbbuf dbbuf;
	struct guest_ring guest;
	struct shadow_ring shadow;
	struct nvme_request *free;	/* the last to be freed; NULL: none */
	struct nvme_request *by_cid[NVME_CID_BUCKETS];	/* direct: those at
							 * the device */
	size_t shadow_pages, page_count;
	struct nvme_request slots[];
};

/* For control.h. */
struct hub_counts {
	u64 fetched;		/* commands of the guest */
	u64 carried;		/* their answers that were Sluice's */
	u64 own;		/* Sluice's commands */
};

struct nvme_namespace {
	struct nvme_io_namespace public;
	u8 format_idx;		/* the LBA format in use */
	bool has_pi;
	bool has_pi_only;	/* it is all of the metadata: PRACT */
};

struct hub {
	struct nvme_host *host;
	u16 id;			/* completion queue */
	bool is_polled;		/* the guest gets no interrupt */
	bool is_dead;		/* out of the tables */
	bool is_direct;		/* `shadow` is the guest's own memory */
	bool has_window;	/* direct: in host->windows */
	bool is_watched;	/* direct: the guest cannot write it */
	bool is_closed;		/* nor read it: see special_count */
	bool is_live;		/* in host->live_bits */
	bool is_blocked;	/* something waits, or has not been fetched;
				 * direct: interrupts exit, to go on */
	struct lock lock;
	u32 users;		/* atomic; see nvme.h */
	u32 special_count;	/* direct: the guest cannot read it either */
	u32 debt_count;		/* direct: at the device, and something is to
				 * be done as soon as they come back */
	u32 busy;		/* commands at the device, events apart; of a
				 * direct hub, also those not yet reaped */
	struct hub_counts counts;
	u32 place_count;	/* promised in the guest's queue */
	struct list sqs, dead_sqs;
	struct list waiting;	/* for pages, places or slots */
	u32 plain_lba_size;	/* of `ns`, where plain.c may decode; or 0 */
	struct nvme_namespace ns;	/* of the last command */
	u32 ns_version;		/* of the table it is from */
	struct clear {
		u64 first, count;
		u32 asked;	/* interceptors, all the same: a bit each */
	} clear[2];		/* see clear.c; to read, to write */
	struct guest_ring guest;
	struct shadow_ring shadow;
	u32 acknowledged;	/* shadow head the device knows */
	struct dbbuf dbbuf;
	u16 *shadow_heads;	/* shadow.head after each guest entry */
	size_t shadow_pages, page_count;
};

/* The id the device knows it by. */
static inline u16 request_device_id(const struct nvme_request *req)
{
	return req->sq->is_direct ? req->sqe.cid : req->slot;
}

/* Guest memory of a direct completion queue; see direct.c. */
struct direct_window {
	struct mmio_region region;	/* size 0: none */
	struct nvme_host *host;
	u16 id;
};

/* ---- queue.c ------------------------------------------------------------ */

/* NULL: no memory. guest_size 0: no guest side. Not yet in a table. */
struct hub *hub_alloc(struct nvme_host *host, u16 id, u32 shadow_size,
		      void *guest_entries, u32 guest_size);
struct hub *hub_alloc_direct(struct nvme_host *host, u16 id,
			     void *guest_entries, u32 guest_size);
struct sq *sq_alloc(u16 id, u32 slot_count, void *guest_entries,
		    u32 guest_size);
struct sq *sq_alloc_direct(u16 id, u32 slot_count, void *guest_entries,
			   u32 guest_size);
/* Is there any for I/O, the guest's or Sluice's? */
bool sq_exists(struct nvme_host *host);
/* Only of one that never was in a table. NULL is allowed. */
void sq_free(struct sq *sq);
/* The device has let go of its rings. host->lock held. */
void queue_free_limbo(struct nvme_host *host);

/* Referenced, or NULL. */
struct hub *hub_get(struct nvme_host *host, u16 id);
struct hub *hub_get_by_sq(struct nvme_host *host, u16 sq_id);
/* A queue of a direct hub, locked, and as long as that is, no reference is
 * needed. NULL: there is none, or that would mean waiting. */
struct sq *sq_try_lock(struct nvme_host *host, u16 id);
void hub_ref(struct hub *hub);
void hub_put(struct hub *hub);
/* Whoever may issue a command watches before it takes the lock: to begin to
 * watch can mean waiting for other CPUs. Direct ones need no watch. */
bool hub_enter(struct hub *hub);	/* takes the lock */
void hub_leave(struct hub *hub, bool watches);	/* what that said */
/* Next hub from *id on, referenced; *id is moved behind it. NULL: no more. */
struct hub *hub_next(struct nvme_host *host, u32 *id);
/* The same of those that are live and wanted, which is asked under table_lock.
 * A relayed hub for I/O is live from before its first command is at the device
 * until after the last is posted; the others always. */
struct hub *hub_next_live(struct nvme_host *host, u32 *id,
			  bool (*is_wanted)(const struct hub *hub));
/* hub->lock held, or it is in no table yet. */
void hub_set_live(struct hub *hub, bool is_live);
static inline bool hub_is_always_live(const struct hub *hub)
{
	return hub->is_direct || !hub->id;
}

/* Into and out of the tables; -EEXIST. hub->lock held for SQs. */
int hub_publish(struct hub *hub);
int sq_publish(struct hub *hub, struct sq *sq);
void sq_retire(struct sq *sq);
/* Drops whatever is under way in it. Takes hub->lock. */
void hub_retire(struct hub *hub);
struct sq *sq_find(struct hub *hub, u16 id);	/* hub->lock held */

/* ---- request.c: hub->lock held -------------------------------------------- */

/* Of a queue that is new: `count` of them. */
void request_init(struct sq *sq, u32 count);
struct nvme_request *request_alloc(struct sq *sq);	/* NULL: all in use */
void request_free(struct nvme_request *req);
/* To the device. False: a direct queue has another command of its id there. */
bool request_issue(struct nvme_request *req);
/* No longer there, nor counted as such. */
void request_leave_device(struct nvme_request *req);

/* ---- hub.c: hub->lock held ---------------------------------------------- */

/* The guest's submission doorbell, value not yet checked. */
void hub_ring_sq(struct sq *sq, u32 tail);
/* Completions, then what waits, then the guest's queues, then doorbells. */
void hub_work(struct hub *hub);
/* The same after a doorbell: if nothing else is pending, of this queue only. */
void hub_work_on(struct hub *hub, struct sq *sq);
/* A request goes on after its owner let it go. */
void hub_go_on(struct nvme_request *req);
/* The guest gets req->completion, by way of a carrier. */
void hub_answer(struct nvme_request *req, u16 status, u32 result);

/* ---- cq.c: hub->lock held ------------------------------------------------ */

/* What the device has completed. */
void hub_reap(struct hub *hub);
/* The guest's completion doorbell, value not yet checked. */
void hub_ring_cq(struct hub *hub, u32 head);
/* Room for one more of the guest's completions? */
bool hub_has_place(const struct hub *hub);
bool hub_take_place(struct nvme_request *req);
/* Called without the lock: is a completion there? */
bool hub_has_completion(const struct hub *hub);
/* Is half of a completion queue in use, as far as heads are known? Before
 * that neither the device nor Sluice needs to hear of a new one. */
bool hub_is_half_full(const struct hub *hub);

static inline u32 ring_advance(u32 index, u32 size)
{
	return index + 1 == size ? 0 : index + 1;
}

static inline u32 ring_distance(u32 from, u32 to, u32 size)
{
	return to >= from ? to - from : to + size - from;
}

/* ---- direct.c -------------------------------------------------------------- */

/*
 * A hub whose completion queue is the guest's `entries`, or NULL: it takes
 * the relayed path. Admin hub->lock held.
 */
struct hub *direct_hub_alloc(struct nvme_host *host, u16 id, void *entries,
			     u32 size, bool has_interrupt);
/* No DMA of the guest's may go there. Any lock may be held. */
bool direct_is_watched(u64 address, u64 size);
/* False: that is certain to be elsewhere, which takes no time to say. */
bool direct_is_near(u64 address, u64 size);
bool direct_may_watch(u64 page);	/* the same of a whole page */
/* Whole pages around `at` where the guest's DMA may go; empty: see above.
 * They are what they are while a hub's lock is held. */
struct span direct_span(u64 at);
/* All that follow with hub->lock held. Before the first command. */
void direct_watch(struct hub *hub);
/* Before the first of special_count is issued; after the last is reaped. */
void direct_close(struct hub *hub);
void direct_open(struct hub *hub);
/* When the hub leaves the tables, or never got there. */
void direct_release(struct hub *hub);

/* ---- cid.c: hub->lock held ------------------------------------------------ */

/* There may be one of an id, which is not there any more when it has been
 * completed and reaped. */
bool cid_add(struct nvme_request *req);		/* false: there is one */
struct nvme_request *cid_take(struct sq *sq, u16 cid);	/* or NULL */

/* ---- dbbuf.c --------------------------------------------------------------- */

bool dbbuf_is_offered(void);
/* Physical addresses as the guest gave them; an NVMe status. Admin hub->lock
 * held. */
u16 dbbuf_configure(struct nvme_host *host, u64 doorbells, u64 events);
/* hub->lock held. A queue is new. */
void dbbuf_add_sq(struct sq *sq);
void dbbuf_add_hub(struct hub *hub);
/* The guest's completion head, if it says a new one. */
bool dbbuf_read_head(struct hub *hub);
/* It has rung the doorbell with one. */
void dbbuf_note_head(struct hub *hub, u32 head);
/* Tells the guest when to ring; true: it has written something before it
 * could see that, which has been taken. */
bool dbbuf_arm(struct hub *hub);
/* The others' is as it was. */
bool dbbuf_arm_one(struct hub *hub, struct sq *sq);
/* The device is disabled. */
void dbbuf_forget(struct nvme_host *host);

#endif
