/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest with a well-behaved driver and commands of any kind, before a
 * plug-in that passes, answers or holds them and has requests of its own,
 * and a device that completes out of order, stalls or fails. Each command is
 * completed once, with its own id, on the queue it came from.
 */
#include "fake_double.h"
#include "fake_guest.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "guest.h"
#include "nvme_io.h"
#include "spec/pci.h"

#define PAIRS 3			/* of I/O queues, ids from 1 */
#define QUEUES (PAIRS + 1)	/* and the admin queues */
#define LIVE_MAX 256		/* more than can be under way in a queue */
#define HELD_MAX 32
#define PATIENCE 4000
#define LARGE_PAGE 16384	/* the largest CC.MPS that is used */

/* A submission queue and its commands without a completion yet. */
struct queue {
	struct guest_sq *sq;
	bool is_live[LIVE_MAX];
	u32 live_count;
};

static struct guest_sq sqs[QUEUES];
static struct guest_cq cqs[QUEUES];
static struct queue queues[QUEUES];
static struct input *in;

/* ---- The plug-in ------------------------------------------------------------- */

static struct nvme_request *held[HELD_MAX];
static struct nvme_io_interceptor classic;	/* as it is at first */
static u32 held_count, submitted_count, called_back_count;
static phys_t *buffers, buffers_phys;

static void called_back(struct nvme_host *host, u16 status, void *arg)
{
	called_back_count++;
}

static void submit_own(void)
{
	struct nvme_host *host = fake_double.host;
	struct nvme_io_descriptor *desc = nvme_io_init_descriptor(host, 1, 0,
		input_byte(in), 1);
	u32 operation = input_of(in, 3);

	if (!desc)
		return;
	nvme_io_set_phys_buffers(host, desc, buffers, buffers_phys, 1, 0);
	submitted_count += nvme_io_submit(host, desc, operation, called_back,
					  NULL) != 0;
}

/* What hooks may do with a request, and what they then say. */
static enum nvme_io_verdict answer(struct nvme_request *req,
				   const struct nvme_io_command *cmd)
{
	u8 data[64] = { 0 };

	nvme_io_req_read(req, input_number(in, 2), data, sizeof(data));
	nvme_io_req_write(req, input_number(in, 2), data, sizeof(data));
	nvme_io_req_buf(fake_double.host, req, input_byte(in));
	fake_double.ranges_kept = input_byte(in);
	switch (input_of(in, 10)) {
	case 0:
		nvme_io_set_status(req, 0x4002, input_byte(in));
		return NVME_IO_DONE;
	case 1:
		nvme_io_finish_guest_request(fake_double.host, req, 0x4002);
		return NVME_IO_HOLD;
	case 2:
		nvme_io_change_g_req_to_flush(req);
		return NVME_IO_PASS;
	case 3:
	case 4:
		if (held_count == HELD_MAX)
			return NVME_IO_PASS;
		held[held_count++] = req;
		return NVME_IO_HOLD;
	case 5:
		submit_own();
	}
	return NVME_IO_PASS;
}

/* Blocks around that the plug-in need not be asked about again. */
static void on_passed(void *interceptor, const struct nvme_io_command *cmd,
		      u64 *first, u64 *last)
{
	*first = cmd->lba & ~63ull;
	*last = cmd->lba | 63;
}

static void let_one_go(void)
{
	struct nvme_request *req;

	if (!held_count)
		return;
	req = held[input_of(in, held_count)];
	for (u32 i = 0; i < held_count; i++)
		if (held[i] == req)
			held[i] = held[held_count - 1];
	held_count--;
	switch (input_of(in, 3)) {
	case 0:
		nvme_io_resume_guest_request(fake_double.host, req, 1);
		break;
	case 1:
		nvme_io_finish_guest_request(fake_double.host, req, 0x4281);
		break;
	case 2:
		nvme_io_retry_guest_request(fake_double.host, req);
	}
}

/* ---- Doorbells, or buffers for them --------------------------------------------- */

static bool has_buffers;
static u32 *words, *events;	/* by twice the queue's id, completions apart */

/* What the driver of Linux does (7.13): the word, and the doorbell when it
 * passes what is waited for. */
static bool is_told(u32 at, u32 value)
{
	u16 before = words[at];

	__atomic_store_n(&words[at], value, __ATOMIC_SEQ_CST);
	return (u16)(value - events[at] - 1) >= (u16)(value - before);
}

static void ring(const struct guest_sq *sq)
{
	if (!has_buffers || !sq->id || !is_told(2 * sq->id, sq->tail))
		guest_ring(sq);
}

static void ring_consumed(const struct guest_cq *cq)
{
	if (!has_buffers || !cq->id || !is_told(2 * cq->id + 1, cq->head))
		guest_consumed(cq);
}

static void configure_buffers(void)
{
	struct nvme_sqe sqe = {
		.opcode = NVME_ADMIN_DOORBELL_BUFFER,
		.prp1 = (u64)words, .prp2 = (u64)events,
	};

	fake_machine.config[0x80] = PCI_CAPABILITY_MSIX;
	fake_config_write(0x80 + PCI_MSIX_CONTROL, 2, PCI_MSIX_ENABLE);
	memset(words, 0, LARGE_PAGE);
	memset(events, 0, LARGE_PAGE);
	CHECK_EQ(guest_run(&guest.admin, &sqe, NULL), 0);
	has_buffers = true;
}

/* ---- The account ---------------------------------------------------------------- */

static void take_cqe(const struct nvme_cqe *cqe)
{
	u32 at = cqe->cid % LIVE_MAX;
	struct queue *queue;

	/* Of a queue that a command of the input has created. */
	if (cqe->sq_id >= QUEUES)
		return;
	queue = &queues[cqe->sq_id];
	CHECK(queue->is_live[at]);
	CHECK((u16)(queue->sq->next_cid - 1 - cqe->cid) < LIVE_MAX);
	CHECK(cqe->sq_head < queue->sq->size);
	queue->is_live[at] = false;
	queue->live_count--;
	queue->sq->head = cqe->sq_head;
}

static void consume(u32 id)
{
	struct guest_cq *cq = queues[id].sq->cq;
	struct nvme_cqe cqe;

	while (guest_poll(cq, &cqe))
		take_cqe(&cqe);
	ring_consumed(cq);
}

static bool has_room(const struct queue *queue)
{
	const struct guest_sq *sq = queue->sq;

	return (sq->tail + 1) % sq->size != sq->head &&
		!queue->is_live[sq->next_cid % LIVE_MAX];
}

static void put(struct queue *queue, struct nvme_sqe *sqe)
{
	queue->is_live[guest_put(queue->sq, sqe) % LIVE_MAX] = true;
	queue->live_count++;
}

static void put_any(u32 id)
{
	struct nvme_sqe sqe = { 0 };

	if (!has_room(&queues[id]))
		return;
	fuzz_fill_sqe(in, &sqe, !id);
	put(&queues[id], &sqe);
}

/* As most are, of a few blocks that are soon known. */
static void put_plain(u32 id)
{
	u8 choice = input_byte(in);
	struct nvme_sqe sqe = guest_rw(choice & 1 ? NVME_CMD_WRITE :
				       NVME_CMD_READ, choice, 1, fuzz_ram);

	if (id && has_room(&queues[id]))
		put(&queues[id], &sqe);
}

/* Anything but the id, in entries that may be fetched already or be next. */
static void scribble(u32 id)
{
	struct guest_sq *sq = queues[id].sq;

	fuzz_fill_sqe(in, &sq->entries[input_of(in, sq->size)], !id);
}

/*
 * Where the device posts, a guest may try to be quicker: nobody believes it.
 * What has been posted and not been read is its own to spoil: it reads first.
 */
static void forge(u32 id)
{
	const struct guest_cq *cq = queues[id].sq->cq;
	unsigned size = 1u << input_of(in, 4);
	u32 at = align_down(input_of(in, 16 * cq->size), size);

	do
		consume(id);
	while ((cq->entries[cq->head].status & 1) == cq->phase);
	if (fuzz_is_watched(cq->id))
		fake_guest_write((u64)cq->entries + at, size,
				 input_number(in, 2));
}

/* ---- Queues ------------------------------------------------------------------------ */

static void make_rings(void)
{
	for (u32 i = 1; i < QUEUES; i++) {
		cqs[i].entries = fake_ram(PAGE_SIZE, LARGE_PAGE);
		sqs[i].entries = fake_ram(PAGE_SIZE, LARGE_PAGE);
	}
	words = fake_ram(LARGE_PAGE, LARGE_PAGE);
	events = fake_ram(LARGE_PAGE, LARGE_PAGE);
	buffers = fuzz_buffers(2, &buffers_phys);
	buffers[0] = buffers_phys + PAGE_SIZE;
}

static void create_cq(u32 id, u32 size)
{
	struct guest_cq *cq = &cqs[id];

	memset((void *)cq->entries, 0, PAGE_SIZE);
	*cq = (struct guest_cq){ .id = id, .size = size, .phase = true,
				 .entries = cq->entries };
	CHECK_EQ(guest_admin(NVME_ADMIN_CREATE_CQ, 0, (size - 1) << 16 | id,
			     id << 16 | (id & 1 ? 3 : 1),
			     (void *)cq->entries), 0);
}

static void create_sq(u32 id, u32 size, u32 cq_id)
{
	struct guest_sq *sq = &sqs[id];

	*sq = (struct guest_sq){ .id = id, .size = size, .cq = &cqs[cq_id],
				 .next_cid = input_byte(in),
				 .entries = sq->entries };
	queues[id] = (struct queue){ .sq = sq };
	CHECK_EQ(guest_admin(NVME_ADMIN_CREATE_SQ, 0, (size - 1) << 16 | id,
			     cq_id << 16 | 1, sq->entries), 0);
}

static void choose_namespace(void)
{
	struct fake_namespace *ns = &fake_nvme.namespaces[0];
	u8 kind = input_byte(in);

	ns->metadata_size = kind & 1 ? kind & 2 ? 64 : 8 : 0;
	ns->is_inline = kind & 4;
	ns->command_set = kind & 8 ? 2 : 0;
}

/* Who is shown completions gets the relayed path. */
static void choose_path(void)
{
	u32 choice = input_of(in, 4);

	fake_interceptor = classic;
	fake_interceptor.needs = NVME_IO_NEEDS_HOST_REQUESTS |
		(choice & 1 ? NVME_IO_NEEDS_COMPLETIONS : 0);
	if (!(choice & 2))
		return;
	fake_interceptor.needs |= NVME_IO_CONCURRENT;
	fake_interceptor.on_read = NULL;
	fake_interceptor.on_write = NULL;
	fake_interceptor.on_passed = on_passed;
}

static void start(void)
{
	u32 buffers_come = input_of(in, 3);

	has_buffers = false;
	queues[0] = (struct queue){ .sq = &guest.admin };
	choose_namespace();
	choose_path();
	CHECK(guest_enable(FIELD_PREP(NVME_CC_MPS, input_of(in, 3))));
	if (buffers_come == 1)
		configure_buffers();
	for (u32 id = 1; id < QUEUES; id++)
		create_cq(id, 2 + input_of(in, 30));
	for (u32 id = 1; id < QUEUES; id++)
		create_sq(id, 2 + input_of(in, 30), 1 + input_of(in, id));
	if (buffers_come == 2)
		configure_buffers();
	fake_double.answer = answer;
}

static void stop(void)
{
	fake_double.answer = NULL;
	fake_nvme.is_stalled = fake_nvme.stalls_admin = false;
	CHECK(guest_disable());
}

/* ---- Steps ------------------------------------------------------------------------- */

static void disturb_device(void)
{
	switch (input_of(in, 5)) {
	case 0:
		fake_nvme.out_of_order = input_of(in, 2);
		break;
	case 1:
		fake_nvme.is_stalled = input_of(in, 2);
		break;
	case 2:
		fake_nvme.stalls_admin = input_of(in, 2);
		break;
	case 3:
		fake_nvme.fail_countdown = input_byte(in);
		fake_nvme.fail_status = input_number(in, 2) & 0x7fff;
		break;
	case 4:
		fake_nvme_event(input_number(in, 4));
	}
}

/* Of queues that are not there, or that commands have created. */
static void ring_others(void)
{
	guest_write32(NVME_REG_DOORBELLS + 8 * QUEUES + 4 * input_of(in, 16),
		      input_byte(in));
}

static void idle(u32 ticks)
{
	if (!ticks)
		nvme_io_ask_again(fake_double.host);
	guest_idle(ticks);
}

/* What is no command of the guest. */
static void happen(u32 what)
{
	switch (what) {
	case 0:
		fuzz_fill_list(in);
		break;
	case 2:
		disturb_device();
		break;
	case 3:
		ring_others();
		break;
	case 4:
		let_one_go();
		break;
	case 5:
		submit_own();
		break;
	case 6:
		fake_interrupt();
		break;
	case 7:
		idle(input_of(in, 32));
		break;
	case 11:
		if (!input_of(in, 8)) {
			stop();
			start();
		}
	}
}

static void step(void)
{
	u32 id = input_of(in, QUEUES), what = input_of(in, 16);

	switch (what) {
	case 1:
		scribble(id);
		break;
	case 8:
		put_plain(id);
		break;
	case 9:
	case 10:
		consume(id);
		break;
	case 12:
		ring(queues[id].sq);
		break;
	case 13:
		forge(id);
		break;
	case 14:
	case 15:
		put_any(id);
		break;
	default:
		happen(what);
	}
}

/* ---- The end ------------------------------------------------------------------------- */

static bool are_finished(void)
{
	for (u32 id = 0; id < QUEUES; id++)
		if (queues[id].live_count)
			return false;
	return true;
}

/* Nobody stands in the way any more: all comes to its end, event requests by
 * an event each. */
static void finish(void)
{
	fake_double.answer = NULL;
	fake_nvme.is_stalled = fake_nvme.stalls_admin = false;
	while (held_count)
		let_one_go();
	for (u32 id = 0; id < QUEUES; id++)
		ring(queues[id].sq);
	for (u32 i = 0; i < PATIENCE && !are_finished(); i++) {
		fake_nvme_event(0);
		guest_idle(1);
		fake_interrupt();
		for (u32 id = 0; id < QUEUES; id++)
			consume(id);
	}
	CHECK(are_finished());
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input input = { data, size };

	in = &input;
	if (fuzz_boot()) {
		make_rings();
		classic = fake_interceptor;
	}
	fuzz_begin();
	start();
	while (!input_is_over(in))
		step();
	finish();
	fuzz_end();
	CHECK_EQ(called_back_count, submitted_count);
	return 0;
}
