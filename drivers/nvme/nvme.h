/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model: a controller, its hubs, their queues, a request. READ FIRST.
 *
 * A hub is one completion queue with all submission queues bound to it, on
 * the guest's side and on the device's, under one lock. The admin pair is a
 * hub; each I/O completion queue the guest creates is one; Sluice's own pair
 * is one without a guest side.
 *
 * From a doorbell to a completion:
 *	regs.c		the guest's write, checked
 *	doorbell.c	finds the hub, which does all that can be done now
 *	hub.c		fetch: copies each SQE once into a request
 *	plain.c		decodes it, if it is as most are
 *	command.c	otherwise
 *	clear.c		knows that there is nobody to ask
 *	dptr.c, sgl.c	walk its PRPs or SGL into the request's own pages
 *	bounce.c	copies its data, where an interceptor wants that
 *	chain.c		asks the interceptors: pass, hold, or done
 *	admin.c		what Sluice itself does with an admin command
 *	request.c	issue
 *	hub.c		kick
 *	cq.c		later reap and post
 * Beside it: queue.c (memory and tables of hubs and queues), request.c and
 * cid.c (requests of a queue), ctrl.c (enable, disable, reset), own.c (what
 * Sluice asks the device), ns.c (namespaces), dbbuf.c (doorbell buffers),
 * feature.c and hmb.c (features), control.c and report.c (control.h), run.c
 * (all that crosses hubs), io.c and answer.c (nvme_io.h), attach.c (PCI).
 *
 * Every completion the guest sees rides on one that the device made, so that
 * Sluice never makes up an interrupt: what is answered without the device is
 * issued as a carrier - a Flush or a Get Features without effect - whose
 * result and status are replaced. For the same reason the device's CQ head
 * follows the guest's: the device then raises, coalesces and withdraws
 * interrupts as if the guest's queue were its own.
 *
 * That is the relayed path. Where no interceptor wants to see completions, a
 * queue takes the direct one, chosen when it is created: the device is given
 * the guest's own completion queue and vector, and the guest's ids at the
 * guest's places in the shadow queue, so what it posts is right without us;
 * direct.c says why that can be believed.
 *
 * Lock order, outer first:
 *	config space	one access of the guest (pci.h)
 *	host->lock	registers, life cycle
 *	admin hub->lock
 *	hub->lock	never two I/O hubs at once
 *	host->serial	hooks and callbacks of interceptors
 *	host->table_lock, inbox_lock, ns_lock, pools: leaves
 * sq_try_lock() has table_lock and tries a hub's, without waiting for it.
 * Callbacks of host requests are called with host->serial only. Hooks run
 * with the hub's lock held, so nvme_io_* calls take leaf locks only.
 *
 * A hub is freed by the last hub_put(): each CPU at work in it and each
 * request that an interceptor holds has a reference, the tables have one.
 */
#ifndef SLUICE_NVME_H
#define SLUICE_NVME_H

#include "bits.h"
#include "control.h"
#include "hub.h"
#include "list.h"
#include "lock.h"
#include "log.h"
#include "mmio.h"
#include "nvme_io.h"
#include "pool.h"
#include "span.h"
#include "spec/nvme.h"
#include "timer.h"
#include "types.h"

/* A host request, or one of own.c's commands. */
struct nvme_io_descriptor {
	struct list node;	/* host->own_io, own_admin or done */
	struct nvme_host *host;
	struct nvme_sqe sqe;
	u64 deadline_us;
	bool is_internal;	/* own.c's: neither counted nor pooled */
	u8 first_entry;		/* of the chain, below its sender */
	phys_t *buffers;	/* the sender's pages; NULL: not given */
	u32 buffer_offset;	/* into the first */
	u64 size;		/* bytes */
	u32 n_lbas;
	u16 status;
	u32 result;
	void (*done)(struct nvme_host *host, u16 status, void *arg);
	void (*classic)(struct nvme_host *host, void *arg1, void *arg2,
			void *arg3);
	void *arg1, *arg2, *arg3;
};

/* A call of nvme_io_call_after(). */
struct nvme_later {
	struct timer timer;
	struct nvme_host *host;
	void (*call)(struct nvme_host *host, void *arg);
	void *arg;
};

/* Pages of a pool, taken as many at a time as a request needs. */
struct page_pool {
	struct pool pool;
	u32 left;		/* not promised; atomic */
	bool is_starved;	/* somebody waits for them; atomic */
};

struct ns_table {
	struct nvme_namespace *entries;	/* sorted by nsid */
	u32 count;
};

struct chain_entry {
	struct nvme_io_interceptor *interceptor;
	const struct nvme_io_plugin *plugin;
	bool is_off;		/* failed, and `fail=` is open */
};

/* What an interceptor may be called for, when a command comes and goes. */
enum chain_hook {
	CHAIN_COMMAND,		/* any but these: */
	CHAIN_READ, CHAIN_WRITE, CHAIN_DSM, CHAIN_COPY,
	CHAIN_COMPLETE, CHAIN_WANTS_COPY,
	CHAIN_HOOKS,
};
_Static_assert(NVME_CHAIN_MAX <= 8, "a bit each in nvme_host.hooked");

/* Host memory that the guest lends the device. Under the admin hub's lock. */
struct hmb {
	struct nvme_host_memory *list;	/* checked, for the device */
	u32 count;
	u64 guest_list;		/* the guest's address of its own */
	bool is_enabled;	/* the device has said so */
	bool is_changing;	/* Set Features is under way */
};

enum ctrl_state {
	CTRL_DISABLED,
	CTRL_STARTING,		/* the device is getting ready */
	CTRL_PREPARING,		/* it is; own.c at work, RDY hidden */
	CTRL_READY,
	CTRL_STOPPING,		/* the guest wants it disabled */
	CTRL_FAILED,		/* CFS shown until the guest disables it */
};

/* What own.c is doing. Under host->lock. */
struct own {
	const struct own_step *const *step;	/* NULL: idle */
	struct nvme_io_descriptor command;	/* one at a time */
	void *page;		/* its data */
	bool is_pending;	/* it is at the device */
	bool is_stale;		/* and nobody wants its answer */
	bool is_end;		/* of the step */
	bool is_temporary;	/* the pair is for on_init() only */
	bool gives_back;	/* it is, as the preparation has failed */
	u32 cursor;		/* nsid or index, of the step */
	u32 nn;			/* namespaces the device could have */
	bool has_guards;	/* and says how long PI is */
	struct ns_table next;	/* being read */
	struct hub *hub;	/* being created */
	struct sq *sq;
};

struct nvme_host {
	struct list node;
	char name[8];
	char serial_number[21], model[41];
	struct pci_device *pci;	/* NULL: waits for a controller */
	struct lock lock;

	/* Registers. */
	struct mmio_region region;
	bool has_region;
	bool has_msix;		/* the guest has switched it on */
	u64 bar;		/* 0: not decoded */
	u64 cap;		/* the device's */
	u8 stride_shift;	/* log2 of the bytes between doorbells */
	u32 cc, aqa;		/* the guest's */
	u64 asq, acq;
	u8 page_shift;		/* of the guest's CC.MPS */

	/* Life cycle. */
	u8 state;		/* written under lock, read anywhere */
	bool was_ready;		/* logged once */
	u64 start_count;	/* times it became ready */
	bool device_stops;	/* EN=0 given to the device */
	bool is_lost;		/* the guest goes on without it, but it may
				 * still be at its DMA: see ctrl_gives_up() */
	bool shutdown_waits;	/* for interceptors; atomic */
	u32 device_cc;		/* last written */
	u64 deadline_us;

	/* Queues. Under table_lock. */
	struct lock table_lock;
	u64 hub_bits[NVME_QUEUE_WORDS];	/* of `hubs`: which there are, */
	u64 live_bits[NVME_QUEUE_WORDS];	/* and at which interrupts look;
						 * atomic */
	u32 *dbbuf, *dbbuf_events;	/* the guest's; NULL: none */
	struct hmb hmb;
	struct hub_counts past[2];	/* of hubs that are gone: admin, I/O */
	u32 limbo_count;
	u16 granted;		/* I/O pairs the device gave */
	u16 guest_queues;	/* the guest may have: its own setting */
	u16 guest_queues_max;
	u16 own_id;		/* of Sluice's pair; 0: none */
	u32 event_count;	/* requests outstanding; under admin hub */
	u32 reshape_count;	/* Formats and the like under way; as above */

	/* Limits and what Identify said. */
	u32 transfer_max;	/* bytes */
	u32 sgls;		/* as the guest is told */
	bool has_standard_io, has_standard_admin;	/* vendor commands
				 * say their length in CDW10 */
	u32 unsafe_count;	/* addresses refused; atomic */
	struct lock ns_lock;
	struct ns_table ns;
	u32 ns_version;		/* of that table */
	bool is_refreshing;	/* own.c reads the namespaces again, */
	bool wants_refresh;	/* and once more after that */

	/* Crossing hubs: run.c. */
	struct lock inbox_lock;
	struct list inbox;	/* requests that interceptors let go */
	struct list own_io, own_admin;	/* descriptors to be issued */
	struct list done;	/* descriptors to be called back */
	bool is_online;		/* host requests are accepted */
	u32 own_count;		/* descriptors not yet called back */
	struct timer poll;	/* set while there are any */
	u32 busy;		/* sum over hubs: interrupts are watched */
	u32 work;		/* enum run_work; atomic */
	u64 next_check_us;	/* deadlines */

	struct chain_entry chain[NVME_CHAIN_MAX];
	u32 chain_count;
	u32 starting;		/* entries whose on_init() is to come */
	u32 expected_count;	/* to start, of those it has come to */
	u8 hooked[CHAIN_HOOKS];	/* a bit for each entry of the chain */
	u32 started_count;	/* nvme_io_start_fetching_g_reqs(); atomic */
	struct log_limit log_limit;	/* of nvme_io_log_limited() */
	const struct nvme_io_plugin *attaching;
	struct lock serial;
	bool needs_serial;

	/* By queue id, after all that is small, so that a doorbell needs one
	 * page of this. [0] is the admin pair. Under table_lock but windows. */
	struct sq *sqs[NVME_QUEUE_IDS];
	u32 doorbells[2 * NVME_QUEUE_IDS];	/* last written: SQ, CQ ... */
	struct hub *hubs[NVME_QUEUE_IDS];
	struct direct_window windows[NVME_QUEUE_IDS];
	struct limbo {
		void *pages;	/* rings of a device that is lost */
		size_t count;
	} limbo[2 * NVME_QUEUE_IDS];

	char why[160];		/* the last order was refused; admin hub */
	struct own own;
	struct page_pool pages;	/* for the guest's requests */
	struct page_pool own_pages;	/* for Sluice's, which those may wait
				 * for: never of one pool */
	struct pool descriptors;
	struct pool laters;
};

/* ---- attach.c ----------------------------------------------------------- */

struct attach_limits {
	u32 max_queues, mdts_kb;	/* settings; 0: not given */
};
extern struct attach_limits attach_limits;

/* Controllers and spare hosts, for the interrupt listener: read without a
 * lock, so nothing is ever taken off. */
extern struct list attach_hosts;

/* ---- regs.c ------------------------------------------------------------- */

void regs_set_cap(struct nvme_host *host, u64 cap);
void regs_access(struct mmio_region *region, struct mmio_access *access);
/* Where doorbells end that Sluice answers, from the start of the BAR. */
u64 regs_doorbell_end(const struct nvme_host *host);
u32 regs_stride(const struct nvme_host *host);	/* bytes between doorbells */
u32 regs_read32(struct nvme_host *host, u32 offset);	/* the device's */
void regs_write32(struct nvme_host *host, u32 offset, u32 value);
void regs_write64(struct nvme_host *host, u32 offset, u64 value);
/* is_cq: the completion queue head doorbell. */
void regs_kick(struct nvme_host *host, u16 id, bool is_cq, u32 value);

/* ---- ctrl.c ------------------------------------------------------------- */

/* The guest's CC and CSTS. host->lock held. */
void ctrl_write_cc(struct nvme_host *host, u32 value);
u32 ctrl_read_csts(struct nvme_host *host);
/* Takes the life cycle on as far as the device has come. host->lock held. */
void ctrl_step(struct nvme_host *host);
/*
 * The device's registers can be reached, for the first time or again: it may
 * have been reset, be another one, or still run for its last driver.
 */
void ctrl_look(struct nvme_host *host);
/*
 * The guest uses memory of its queues for something else. True when that is
 * because the device does not answer: then Sluice lets go of the guest's
 * memory, too, and keeps its own until the device is known to have stopped.
 * Takes the lock.
 */
bool ctrl_gives_up(struct nvme_host *host);
/* It does no DMA any more, and is not coming back: takes the lock. */
void ctrl_is_gone(struct nvme_host *host);
/* Preparation did not work: `fail=` decides. host->lock held. */
void ctrl_fail(struct nvme_host *host, const char *why);
static inline bool ctrl_is_ready(const struct nvme_host *host)
{
	return READ_ONCE(host->state) == CTRL_READY;
}
/* Does a start, a stop or a shutdown wait for host requests to end? */
static inline bool ctrl_is_waiting(const struct nvme_host *host)
{
	return !ctrl_is_ready(host) || READ_ONCE(host->shutdown_waits);
}

/* ---- report.c ----------------------------------------------------------- */

/*
 * The items of a question for Sluice itself, from `*first` on: at most `size`
 * bytes of whole items, zeroed before. Returns the bytes; *first as
 * in struct control_answer.
 */
u32 report_items(struct nvme_host *host, enum control_verb verb, u64 *first,
		 void *to, u32 size);
/* Of one item; 0: there is no such question. */
u32 report_item_size(u32 verb);

/* ---- own.c -------------------------------------------------------------- */

/* All but the last with host->lock held. */
void own_prepare(struct nvme_host *host);
void own_step(struct nvme_host *host);	/* as far as it goes now */
void own_stop(struct nvme_host *host);
/* Begins to delete a temporary pair. False: none there, or tried before. */
bool own_give_back(struct nvme_host *host);
static inline bool own_is_idle(const struct nvme_host *host)
{
	return !host->own.step;
}
/* The namespaces are to be read again. Any lock may be held. */
void own_want_refresh(struct nvme_host *host);

/* ---- command.c ----------------------------------------------------------- */

/* Fills req->cmd from req->sqe; an NVMe status. */
u16 command_decode(struct nvme_request *req);
COLD u16 command_decode_admin(struct nvme_request *req);

/* ---- plain.c -------------------------------------------------------------- */

/* In place of command_decode() and dptr_prepare(). False: their turn. */
bool plain_decode(struct nvme_request *req);

/* ---- clear.c: hub->lock held ---------------------------------------------- */

/* Who is asked about a request that plain_decode() has taken? A bit each; for
 * blocks of which nothing is known, CHAIN_ALL. */
u32 clear_asked(struct nvme_request *req);
/* It has passed. */
void clear_learn(struct nvme_request *req);
void clear_forget(struct hub *hub);

/* ---- dptr.c --------------------------------------------------------------- */

/*
 * Makes the device's PRPs or SGL for cmd.data_size bytes. 0 and *status says
 * whether the guest's were good, or -EAGAIN: no page free, nothing kept.
 */
int dptr_prepare(struct nvme_request *req, u16 *status);
void dptr_release(struct nvme_request *req);
/* What there may be of data without pages. */
static inline void dptr_forget(struct dptr *data)
{
	data->size = data->prp1 = data->prp2 = 0;
	data->sgl_count = 0;
	data->is_sgl = false;
}
static inline bool dptr_has_pages(const struct dptr *data)
{
	return data->list_count || data->copy || data->bounce;
}
/* The guest's may not be given to the device: said in the log, counted. */
bool dptr_is_safe(struct nvme_host *host, u64 address, u64 size);
/*
 * The same of one address of a transfer after the other: most are where all
 * is safe. For one hold of a hub's lock.
 */
struct dptr_guard {
	struct nvme_host *host;
	struct span safe;	/* whole pages; empty at first */
};
bool dptr_look(struct dptr_guard *guard, u64 address, u64 size);
static inline bool dptr_passes(struct dptr_guard *guard, u64 address, u64 size)
{
	return span_has(&guard->safe, address, size) ||
		dptr_look(guard, address, size);
}
/* 0, or -EFAULT: outside the data, or not RAM. */
int dptr_read(struct nvme_request *req, u64 offset, void *to, size_t size);
int dptr_write(struct nvme_request *req, u64 offset, const void *from,
	       size_t size);
/*
 * Guest-physical address of the byte at `offset` < data->size; `*piece` is
 * how many of the `size` from there on follow it in memory. A bit bucket is
 * at DPTR_NOWHERE.
 */
#define DPTR_NOWHERE (~0ull)
u64 dptr_locate(const struct dptr *data, u64 offset, size_t size,
		size_t *piece);

/* ---- bounce.c ------------------------------------------------------------- */

int bounce_init_pool(struct page_pool *pages, size_t count);
/* `count` pages, to be got one by one; false: later, RUN_HUBS tells when. */
bool bounce_reserve(struct page_pool *pages, u32 count);
void *bounce_get_page(struct page_pool *pages);
void bounce_put_page(struct page_pool *pages, void *page);
/* After that many were put: somebody may wait for them. */
void bounce_give_back(struct nvme_host *host, struct page_pool *pages,
		      u32 count);

/* What to reserve for a copy of so many bytes. */
u32 bounce_pages(u64 size);
/* Of pages that are reserved: `data` has nothing yet. */
void bounce_make(struct dptr *data, struct page_pool *pages, u64 size);
void bounce_release(struct nvme_host *host, struct dptr *data);
/* In one page, up to its end. */
u8 *bounce_at(const struct dptr *data, u64 offset);
void bounce_read(const struct dptr *data, u64 offset, void *to, size_t size);
void bounce_write(const struct dptr *data, u64 offset, const void *from,
		  size_t size);

/*
 * A host request on its way, and when the device has answered: through what
 * stands below its sender. hub->lock held. 0, -EAGAIN: no pages free, or
 * -EIO: refused with *status.
 */
int bounce_begin(struct nvme_request *req, u16 *status);
void bounce_finish(struct nvme_request *req, u16 *status);

/* ---- sgl.c ---------------------------------------------------------------- */

/* Pages that the device's SGL may need, known before the guest's is read. */
u32 sgl_list_max(const struct nvme_request *req);
/*
 * The guest's SGL, read once, into data->lists and data->sgl. An NVMe status.
 * The pages from sgl_list_count() on are not used.
 */
u16 sgl_walk(struct nvme_request *req);
u32 sgl_list_count(const struct dptr *data);
/* As dptr_locate(). In time linear in the number of descriptors. */
u64 sgl_locate(const struct dptr *data, u64 offset, size_t size,
	       size_t *piece);

/* ---- chain.c ---------------------------------------------------------------- */

/* chain_order.c: of the plug-ins that take part; NULL: no more. After all
 * settings. */
const struct nvme_io_plugin *chain_order_get(u32 index);
int chain_attach(struct nvme_host *host);
/* From req->next_entry on. hub->lock held. */
enum nvme_io_verdict chain_submit(struct nvme_request *req);
/* Of a Read or Write that has just come, and only those of `asked`: a bit each,
 * who have a hook for it. */
enum nvme_io_verdict chain_ask(struct nvme_request *req, u32 asked);
#define CHAIN_ALL (~0u)
/* A Read or Write has passed: where around it are only some to be asked, and
 * who? False: nowhere. */
bool chain_passes(struct nvme_request *req, u64 *first, u64 *last,
		  u32 *asked);
/* Is the data to be copied before that? */
bool chain_wants_copy(struct nvme_host *host,
		      const struct nvme_io_command *cmd);
/* Could that be so, for any command? */
static inline bool chain_may_copy(const struct nvme_host *host)
{
	return READ_ONCE(host->hooked[CHAIN_WANTS_COPY]);
}
/* Does one of them ever look at data in Sluice's pages? */
bool chain_copies(const struct nvme_host *host);
/* A host request's data, in whole blocks of one page: interceptors from
 * `first` on before a write, from the last to `first` after a read. */
bool chain_has_host_data(const struct nvme_host *host, u32 first);
u16 chain_host_data(struct nvme_host *host, u32 first,
		    const struct nvme_io_host_data *data);
void chain_complete(struct nvme_request *req);
void chain_identify(struct nvme_host *host, const struct nvme_io_command *cmd,
		    void *data);
bool chain_needs(const struct nvme_host *host, u32 need);
/* From now on it is known who is called for what: the guest has no hub for I/O
 * yet that would go by what was before. */
void chain_settle(struct nvme_host *host);
/* host->lock held. on_init() of all, one after the other; either may fail the
 * controller. */
void chain_start(struct nvme_host *host);
bool chain_has_started(struct nvme_host *host);
bool chain_can_stop(struct nvme_host *host);
void chain_switch_off(struct nvme_host *host);
void chain_lock(struct nvme_host *host);
void chain_unlock(struct nvme_host *host);
const char *chain_name(const struct chain_entry *entry);
/* "gate trace" for the log. */
void chain_describe(const struct nvme_host *host, char *text, size_t size);

/* ---- admin.c ------------------------------------------------------------------ */

/* After the chain. true: issue it; false: answered. admin hub->lock held. */
COLD bool admin_submit(struct nvme_request *req);
/* The device has answered. true: post it; false: waits. */
bool admin_complete(struct nvme_request *req);

/* For short: the guest gets this status, with DNR. false. */
bool admin_refuse(struct nvme_request *req, u16 status);

/* ---- control.c ------------------------------------------------------------------ */

/* Is it for Sluice itself (control.h)? Then the decoding and, in place of the
 * chain and admin_submit(), the answer are control.c's. */
bool control_is_meant(const struct nvme_sqe *sqe);
u16 control_decode(struct nvme_request *req);
COLD bool control_submit(struct nvme_request *req);	/* false: answered */

/* ---- feature.c ------------------------------------------------------------------ */

/* As admin_submit(), and when the device has answered. */
bool feature_set(struct nvme_request *req);
bool feature_get(struct nvme_request *req);
void feature_complete(struct nvme_request *req);

/* ---- hmb.c ------------------------------------------------------------------------ */

void hmb_filter(struct nvme_id_ctrl *id);
bool hmb_set(struct nvme_request *req);
void hmb_set_done(struct nvme_request *req);
void hmb_get_done(struct nvme_request *req);
/* Has the device been lent any of this? Admin hub->lock held. */
bool hmb_has(const struct nvme_host *host, u64 address, u64 size);
/* The device is disabled. */
void hmb_forget(struct nvme_host *host);

/* ---- ns.c ----------------------------------------------------------------------- */

/* NULL, or hub->ns, which it stays until it is asked for another. I/O
 * hub->lock held. */
const struct nvme_namespace *ns_look_up(struct hub *hub, u32 nsid);
/* A copy. 0, or -ENOENT. */
int ns_find(struct nvme_host *host, u32 nsid, struct nvme_namespace *out);
int ns_at(struct nvme_host *host, u32 index, struct nvme_namespace *out);
u32 ns_count(struct nvme_host *host);
/* The new table becomes the one in use; the old is there to be refilled. */
void ns_swap(struct nvme_host *host, struct ns_table *next);
/* What hubs know of namespaces, and of blocks in them, is looked up anew. */
void ns_forget(struct nvme_host *host);
/* From Identify Namespace data. */
void ns_parse(struct nvme_namespace *ns, const struct nvme_id_ns *id);
/* After that, where guards of more than 16 bits are possible. */
void ns_parse_guard(struct nvme_namespace *ns,
		    const struct nvme_id_ns_nvm *id);

/* ---- doorbell.c ------------------------------------------------------------------ */

/* The guest has written it; the value is not yet checked. No lock held. */
void doorbell_ring(struct nvme_host *host, u16 id, bool is_cq, u32 value);

/* ---- run.c ------------------------------------------------------------------------ */

enum run_work {
	RUN_INBOX = 1,		/* requests let go by interceptors */
	RUN_OWN = 2,		/* descriptors to be issued */
	RUN_DONE = 4,		/* descriptors to be called back */
	RUN_HUBS = 8,		/* what hubs wait for may be there */
	RUN_STEP = 16,		/* ctrl_step() */
};

/* Of a host that is new. */
void run_init(struct nvme_host *host);
/* Moves everything that can move. No lock held. */
void run_work(struct nvme_host *host);
static inline void run_all(struct nvme_host *host)
{
	if (READ_ONCE(host->work))
		run_work(host);
}
/* The same after looking for completions of every hub. */
void run_poll(struct nvme_host *host);
/* The one or the other, as there may be something to be found. */
void run_exit(struct nvme_host *host);
void run_listen(void);
/* Any lock may be held in the following. */
void run_release(struct nvme_request *req);	/* into the inbox */
/* 0, or -ENODEV: the controller is not running. */
int run_submit(struct nvme_io_descriptor *desc, bool is_admin);
void run_done(struct nvme_io_descriptor *desc, u16 status, u32 result);
bool run_has_own(const struct hub *hub);	/* as a hint */
struct nvme_io_descriptor *run_next_own(struct hub *hub);
/* It is the next again. */
void run_return_own(struct hub *hub, struct nvme_io_descriptor *desc);
void run_wake(struct nvme_host *host, enum run_work work);
/* Host requests are taken, or (false) all that wait are aborted. */
void run_set_online(struct nvme_host *host, bool is_online);
/* Aborts those that wait for a queue which the guest will not create now. */
void run_abort_stranded(struct nvme_host *host);

#endif
