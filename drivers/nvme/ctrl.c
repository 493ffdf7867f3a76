/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The controller's life: enable, prepare, ready, disable, reset - the
 * guest's view of it and the device's, each at its own pace. host->lock held.
 */
#include "clock.h"
#include "gmem.h"
#include "nvme.h"
#include "page.h"
#include "setting.h"

#define ADMIN_CQ_SIZE (PAGE_SIZE / sizeof(struct nvme_cqe))
#define PREPARE_US_MIN 2000000
#define CAN_STOP_US 1000000

static void set_state(struct nvme_host *host, enum ctrl_state state)
{
	WRITE_ONCE(host->state, state);
}

static bool is_enabled(const struct nvme_host *host)
{
	return host->cc & NVME_CC_EN;
}

/* What the device gets of the guest's CC: pages and entries are ours. */
static void write_device_cc(struct nvme_host *host, bool enable)
{
	u32 cc = host->cc & (NVME_CC_CSS | NVME_CC_AMS | NVME_CC_SHN);

	cc |= FIELD_PREP(NVME_CC_IOSQES, NVME_SQE_SIZE_LOG2) |
		FIELD_PREP(NVME_CC_IOCQES, NVME_CQE_SIZE_LOG2) | enable;
	host->device_cc = cc;
	regs_write32(host, NVME_REG_CC, cc);
}

/* CAP.TO is for the slowest change of CSTS.RDY (3.1.1). */
static u64 ready_deadline(const struct nvme_host *host)
{
	u64 limit_us = FIELD_GET(NVME_CAP_TO, host->cap) * 500000;

	return clock_deadline_us(MAX(limit_us, PREPARE_US_MIN));
}

/* ---- Enable --------------------------------------------------------------------- */

static void *map_queue(struct nvme_host *host, u64 base, u32 count, size_t size)
{
	if (count < 2 || !is_aligned(base, 1ull << host->page_shift))
		return NULL;
	return gmem_map(gpa(base), count * size);
}

static bool make_admin_hub(struct nvme_host *host)
{
	u32 sq_size = FIELD_GET(NVME_AQA_ASQS, host->aqa) + 1;
	u32 cq_size = FIELD_GET(NVME_AQA_ACQS, host->aqa) + 1;
	void *sq_base = map_queue(host, host->asq, sq_size,
				  sizeof(struct nvme_sqe));
	void *cq_base = map_queue(host, host->acq, cq_size,
				  sizeof(struct nvme_cqe));
	struct hub *hub;
	struct sq *sq;

	if (!sq_base || !cq_base)
		return false;
	hub = hub_alloc(host, 0, ADMIN_CQ_SIZE, cq_base, cq_size);
	sq = sq_alloc(0, NVME_ADMIN_SLOTS - 1, sq_base, sq_size);
	if (!hub || !sq) {
		hub_put(hub);
		sq_free(sq);
		return false;
	}
	/* Drivers poll it, as firmware does, or wait for its few commands. */
	hub->is_polled = true;
	ASSERT(!hub_publish(hub));
	lock_acquire(&hub->lock);
	ASSERT(!sq_publish(hub, sq));
	lock_release(&hub->lock);
	return true;
}

static bool take_page_size(struct nvme_host *host)
{
	u32 mps = FIELD_GET(NVME_CC_MPS, host->cc);

	host->page_shift = PAGE_SHIFT + mps;
	return mps <= FIELD_GET(NVME_CAP_MPSMAX, host->cap);
}

/* What the guest got wrong is a fatal status, as a device shows it. */
static void start(struct nvme_host *host)
{
	struct sq *sq;

	log_debug("%s: enabled with %zu pages free", host->name,
		  page_free_count());
	if (!take_page_size(host) || !make_admin_hub(host)) {
		log_limited(LOG_WARN, "%s: cannot be enabled: CC %08x AQA %08x "
			    "ASQ %llx ACQ %llx", host->name, host->cc,
			    host->aqa, (unsigned long long)host->asq,
			    (unsigned long long)host->acq);
		set_state(host, CTRL_FAILED);
		return;
	}
	sq = host->sqs[0];
	regs_write32(host, NVME_REG_AQA,
		     FIELD_PREP(NVME_AQA_ASQS, sq->shadow.size - 1) |
		     FIELD_PREP(NVME_AQA_ACQS, ADMIN_CQ_SIZE - 1));
	regs_write64(host, NVME_REG_ASQ, page_hpa(sq->shadow.entries).v);
	regs_write64(host, NVME_REG_ACQ,
		     page_hpa(host->hubs[0]->shadow.entries).v);
	write_device_cc(host, true);
	set_state(host, CTRL_STARTING);
}

static void check_started(struct nvme_host *host)
{
	u32 csts = regs_read32(host, NVME_REG_CSTS);

	if (csts == ~0u || !(csts & NVME_CSTS_RDY))
		return;
	set_state(host, CTRL_PREPARING);
	host->deadline_us = ready_deadline(host);
	run_set_online(host, true);
	own_prepare(host);
}

static void say_ready(struct nvme_host *host)
{
	char chain[80];

	if (host->was_ready)
		return;
	host->was_ready = true;
	chain_describe(host, chain, sizeof(chain));
	log_limited(LOG_INFO, "%s: %s SN=%s %u namespaces, %u queues, mdts %u KiB%s%s",
		 host->name, host->model, host->serial_number, ns_count(host),
		 host->guest_queues_max, host->transfer_max >> 10,
		 *chain ? ", " : "", chain);
}

void ctrl_fail(struct nvme_host *host, const char *why)
{
	bool is_closed = config_fail_closed();

	log_error("%s: %s: %s", host->name, why, is_closed ?
		  "not given to the guest" : "goes on without interceptors");
	own_stop(host);
	chain_switch_off(host);
	if (is_closed)
		set_state(host, CTRL_FAILED);
	else if (own_give_back(host))
		host->deadline_us = ready_deadline(host);
	else
		set_state(host, CTRL_READY);
}

static void check_prepared(struct nvme_host *host)
{
	own_step(host);
	if (host->state != CTRL_PREPARING)
		return;
	if (own_is_idle(host)) {
		chain_settle(host);
		set_state(host, CTRL_READY);
		WRITE_ONCE(host->start_count, host->start_count + 1);
		say_ready(host);
	} else if (clock_is_past(host->deadline_us)) {
		ctrl_fail(host, "not prepared in time");
	}
}

/* ---- Disable --------------------------------------------------------------------- */

/* All that the guest has set up, and its memory. */
static void retire(struct nvme_host *host)
{
	own_stop(host);
	run_set_online(host, false);
	/* The admin hub first: after it nobody makes another. */
	for (u32 id = 0; id < NVME_QUEUE_IDS; id++)
		if (host->hubs[id])
			hub_retire(host->hubs[id]);
	dbbuf_forget(host);
	hmb_forget(host);
	WRITE_ONCE(host->event_count, 0);
	WRITE_ONCE(host->reshape_count, 0);
	host->own_id = 0;
	host->is_refreshing = host->wants_refresh = false;
	for (u32 i = 0; i < ARRAY_COUNT(host->doorbells); i++)
		WRITE_ONCE(host->doorbells[i], 0);
}

/* The device has let go of all memory it was given. */
static void release(struct nvme_host *host)
{
	retire(host);
	host->is_lost = host->device_stops = false;
	queue_free_limbo(host);
	set_state(host, CTRL_DISABLED);
}

/*
 * Ones or zeros say nothing: the device may be pulled out, or behind a bridge
 * that the guest has closed and go on with its DMA. Then PCI has to tell.
 */
static bool is_heard(struct nvme_host *host)
{
	return regs_read32(host, NVME_REG_CAP) == (u32)host->cap;
}

static bool is_stopped(struct nvme_host *host)
{
	return !(regs_read32(host, NVME_REG_CSTS) & NVME_CSTS_RDY) &&
		is_heard(host);
}

/* Do the interceptors agree, or have they had their time? */
static bool may_leave(struct nvme_host *host)
{
	run_abort_stranded(host);
	return chain_can_stop(host) || clock_is_past(host->deadline_us);
}

/* First the interceptors agree, then the device, then memory is freed. */
static void stop(struct nvme_host *host)
{
	if (host->state != CTRL_STOPPING) {
		host->deadline_us = clock_deadline_us(CAN_STOP_US);
		set_state(host, CTRL_STOPPING);
	}
	if (!host->device_stops) {
		if (!may_leave(host))
			return;
		host->device_stops = true;
		run_set_online(host, false);
	}
	/* Again, when it was out of reach the last time. */
	if (regs_read32(host, NVME_REG_CC) & NVME_CC_EN)
		write_device_cc(host, false);
	if (is_stopped(host))
		release(host);
}

/* Shutdown leaves the controller enabled; interceptors are asked as well. */
static void forward_shutdown(struct nvme_host *host)
{
	bool is_due = (host->cc ^ host->device_cc) & NVME_CC_SHN;

	/* First, so that what ends after the question leads to the next. */
	WRITE_ONCE(host->shutdown_waits, is_due);
	if (!is_due || (host->cc & NVME_CC_SHN && !may_leave(host)))
		return;
	WRITE_ONCE(host->shutdown_waits, false);
	write_device_cc(host, true);
}

/* ---- Reset from outside --------------------------------------------------------------- */

static void clear_registers(struct nvme_host *host)
{
	host->was_ready = false;
	host->cc = host->aqa = 0;
	host->asq = host->acq = 0;
}

static void forget(struct nvme_host *host)
{
	log_limited(LOG_INFO, "%s: was reset", host->name);
	clear_registers(host);
	release(host);
}

/* Then it is stopped when it is heard of again. */
static void lose(struct nvme_host *host)
{
	log_limited(LOG_WARN, "%s: does not answer: given up", host->name);
	clear_registers(host);
	host->is_lost = host->device_stops = true;
	set_state(host, CTRL_STOPPING);
	retire(host);
}

bool ctrl_gives_up(struct nvme_host *host)
{
	bool is_lost;

	lock_acquire(&host->lock);
	if (!host->is_lost && host->state != CTRL_DISABLED && !is_heard(host))
		lose(host);
	is_lost = host->is_lost;
	lock_release(&host->lock);
	return is_lost;
}

void ctrl_is_gone(struct nvme_host *host)
{
	lock_acquire(&host->lock);
	if (host->state != CTRL_DISABLED)
		forget(host);
	lock_release(&host->lock);
	run_all(host);
}

/* Enabled by whoever had it before us. Nobody waits for it here. */
static void stop_stranger(struct nvme_host *host)
{
	write_device_cc(host, false);
	host->device_stops = true;
	set_state(host, CTRL_STOPPING);
}

void ctrl_look(struct nvme_host *host)
{
	bool is_enabled = regs_read32(host, NVME_REG_CC) & NVME_CC_EN;

	lock_assert_held(&host->lock);
	if (is_enabled && host->state == CTRL_DISABLED)
		stop_stranger(host);
	else if (!is_enabled && host->state != CTRL_DISABLED &&
		 is_stopped(host))
		forget(host);
}

/* By a bus reset, say, that nobody tells us of. */
static bool is_lost(struct nvme_host *host)
{
	return host->state != CTRL_DISABLED && host->state != CTRL_FAILED &&
		!host->device_stops &&
		!(regs_read32(host, NVME_REG_CC) & NVME_CC_EN) &&
		is_heard(host);
}

/* ---- The guest's view --------------------------------------------------------------------- */

void ctrl_step(struct nvme_host *host)
{
	lock_assert_held(&host->lock);
	if (is_lost(host))
		forget(host);
	if (host->state != CTRL_DISABLED && !is_enabled(host))
		stop(host);
	switch (host->state) {
	case CTRL_DISABLED:
		if (is_enabled(host))
			start(host);
		break;
	case CTRL_STARTING:
		check_started(host);
		break;
	case CTRL_PREPARING:
		check_prepared(host);
		break;
	case CTRL_READY:
		own_step(host);
		forward_shutdown(host);
		break;
	case CTRL_STOPPING:
		stop(host);
		break;
	}
}

void ctrl_write_cc(struct nvme_host *host, u32 value)
{
	if ((value ^ host->cc) & value & NVME_CC_SHN)
		host->deadline_us = clock_deadline_us(CAN_STOP_US);
	host->cc = value;
	ctrl_step(host);
}

u32 ctrl_read_csts(struct nvme_host *host)
{
	u32 csts = regs_read32(host, NVME_REG_CSTS);

	/* A device that is not there any more reads as ones. */
	if (csts == ~0u)
		return csts;
	csts &= NVME_CSTS_RDY | NVME_CSTS_CFS | NVME_CSTS_SHST;
	if (host->state == CTRL_STOPPING)
		return csts | NVME_CSTS_RDY;
	if (host->state == CTRL_FAILED)
		csts |= NVME_CSTS_CFS;
	return host->state == CTRL_READY ? csts : csts & ~NVME_CSTS_RDY;
}
