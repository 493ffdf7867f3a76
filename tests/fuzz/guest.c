/* SPDX-License-Identifier: BSD-2-Clause */
/* See guest.h. */
#include "fake_double.h"
#include "fake_guest.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "guest.h"
#include "page.h"
#include "spec/pci.h"

#include "../../drivers/nvme/nvme.h"

#define SECRET_PAGES 4
#define SECRET 0x5a

u8 *fuzz_ram;

static u8 *secret;
static u64 buffers, buffers_size;
static size_t pages_at_rest;
static u8 config_at_rest[sizeof(fake_machine.config)];

/* ---- What the device may be pointed at --------------------------------------- */

static bool may_reach(u64 address, u64 size)
{
	const struct nvme_host *host = fake_double.host;
	const struct pool *pool = &host->pages.pool;

	return !fake_is_sluice(address, size) ||
		range_inside(address - (u64)pool->memory, size,
			     pool->page_count * PAGE_SIZE) ||
		range_inside(address - (u64)host->own.page, size, PAGE_SIZE) ||
		range_inside(address - buffers, size, buffers_size);
}

void *fuzz_buffers(size_t page_count, u64 *address)
{
	void *pages = nvme_io_alloc_pages(fake_double.host, page_count,
					  address);

	buffers = *address;
	buffers_size = page_count * PAGE_SIZE;
	return pages;
}

/* ---- Begin and end ----------------------------------------------------------- */

bool fuzz_boot(void)
{
	if (secret)
		return false;
	guest_boot();
	fake_machine.config[0x80] = PCI_CAPABILITY_EXPRESS;
	fake_nvme.allows_nowhere = true;
	/* Inputs that wait for what never comes are through sooner. */
	fake_machine.us_per_look = 40;
	fake_double.needs = NVME_IO_NEEDS_COMPLETIONS |
		NVME_IO_NEEDS_HOST_REQUESTS;
	CHECK_EQ(fake_machine_attach(), 0);
	secret = page_alloc(SECRET_PAGES);
	memset(secret, SECRET, SECRET_PAGES * PAGE_SIZE);
	fake_nvme.may_reach = may_reach;
	memcpy(config_at_rest, fake_machine.config, sizeof(config_at_rest));
	return true;
}

static void restore_machine(void)
{
	u16 command;

	memcpy(&command, config_at_rest + PCI_COMMAND, 2);
	fake_config_write(PCI_COMMAND, 2, 0);
	memcpy(fake_machine.config, config_at_rest, sizeof(config_at_rest));
	memset(fake_machine.config + PCI_COMMAND, 0, 2);
	fake_config_write(PCI_COMMAND, 2, command);
}

static void restore_device(void)
{
	struct fake_namespace *ns = &fake_nvme.namespaces[0];

	ns->lba_shift = 9;
	ns->n_lbas = 16384;
	fake_nvme.ready_reads = 0;
	fake_nvme.is_gone = fake_nvme.is_stalled = false;
	fake_nvme.stalls_admin = fake_nvme.out_of_order = false;
	fake_nvme.fail_countdown = 0;
	fake_nvme_forget();
}

void fuzz_begin(void)
{
	/* The last of all RAM in use: an SGL can be for more than it has, and
	 * a guest that overwrites its own queues cannot be held to account. */
	if (!fuzz_ram)
		fuzz_ram = fake_ram(FUZZ_RAM_PAGES * PAGE_SIZE, PAGE_SIZE);
	pages_at_rest = fake_machine.sluice_pages;
	srand(1);
	memset(fuzz_ram, 0, FUZZ_RAM_PAGES * PAGE_SIZE);
	fake_double.answer = NULL;
	restore_device();
}

static void audit(const struct nvme_host *host)
{
	CHECK_EQ(fake_machine.sluice_pages, pages_at_rest);
	CHECK_EQ(host->pages.left, NVME_POOL_PAGES);
	CHECK_EQ(host->pages.pool.free_count, host->pages.pool.count);
	CHECK_EQ(host->descriptors.free_count, host->descriptors.count);
	CHECK_EQ(host->busy, 0);
	CHECK_EQ(host->own_count, 0);
	CHECK_EQ(host->event_count, 0);
	CHECK_EQ(fake_machine.watch_count, 0);
	for (u32 i = 0; i < SECRET_PAGES * PAGE_SIZE; i++)
		CHECK_EQ(secret[i], SECRET);
}

void fuzz_end(void)
{
	fake_double.answer = NULL;
	if (fake_nvme.is_gone)
		fake_nvme_reset();
	restore_device();
	restore_machine();
	CHECK(guest_disable());
	fake_interrupt();
	audit(fake_double.host);
}

bool fuzz_is_watched(u16 cq_id)
{
	const struct hub *hub = fake_double.host->hubs[cq_id];

	return hub && hub->is_watched;
}

/* ---- What a guest may write ------------------------------------------------------ */

u64 fuzz_address(struct input *in)
{
	u64 page = (u64)input_of(in, FUZZ_RAM_PAGES) * PAGE_SIZE;

	switch (input_of(in, 16)) {
	case 0:
		return (u64)secret + page % (SECRET_PAGES * PAGE_SIZE);
	case 1:
		return (u64)secret - 4 * input_byte(in);
	case 2:
		return (u64)secret + SECRET_PAGES * PAGE_SIZE -
			4 * input_byte(in);
	case 3:
		return input_number(in, 8);
	case 4:
		return -(u64)input_number(in, 2);
	case 5:
		return 0;
	case 6:
		return (u64)fuzz_ram + page + 8 * input_of(in, 512);
	case 7:
		return (u64)fuzz_ram + page + PAGE_SIZE - 8;
	default:
		return (u64)fuzz_ram + page;
	}
}

static u8 *any_page(struct input *in)
{
	return fuzz_ram + PAGE_SIZE * input_of(in, FUZZ_RAM_PAGES);
}

/* As a CPU does: a queue may have been made there, and its page be trapped. */
static void store(u8 *page, const void *content)
{
	const u64 *words = content;

	for (u32 i = 0; i < PAGE_SIZE / 8; i++)
		fake_guest_write((u64)page + 8 * i, 8, words[i]);
}

static u8 sgl_type(struct input *in)
{
	static const u8 types[] = {
		NVME_SGL_BIT_BUCKET, NVME_SGL_SEGMENT, NVME_SGL_LAST_SEGMENT,
		0x01, 0x0a, 0x40, 0x4f, 0x50, 0xf0,
	};
	u32 index = input_byte(in);

	return index < 192 ? NVME_SGL_DATA_BLOCK :
		types[index % ARRAY_COUNT(types)];
}

/* About as long as a transfer, or a segment, of some kind. */
static u32 sgl_length(struct input *in)
{
	switch (input_of(in, 8)) {
	case 0:
		return input_number(in, 4);
	case 1:
		return 512 * input_of(in, 20) + input_of(in, 9) - 4;
	case 2:
		return 16 * input_of(in, 40);
	default:
		return 512 * input_of(in, 20);
	}
}

static struct nvme_sgl any_sgl(struct input *in)
{
	return (struct nvme_sgl){
		.address = fuzz_address(in), .length = sgl_length(in),
		.type = sgl_type(in),
	};
}

/* Segments that end where the next may begin, here or in another page. */
static void fill_segments(struct input *in)
{
	struct nvme_sgl list[256] = { 0 };
	u8 *page = any_page(in);
	u32 count = input_of(in, 256);
	struct nvme_sgl sgl = any_sgl(in);

	for (u32 i = 0; i < count; i++)
		list[i] = sgl;
	for (u32 i = input_of(in, 8); i; i--)
		list[input_of(in, count + 1)] = any_sgl(in);
	list[count] = (struct nvme_sgl){
		.address = fuzz_address(in), .length = 16 * input_byte(in),
		.type = input_of(in, 2) ? NVME_SGL_SEGMENT :
			NVME_SGL_LAST_SEGMENT,
	};
	store(page, list);
}

static void fill_prps(struct input *in)
{
	u8 *page = any_page(in);
	u64 list[512], address = align_down(fuzz_address(in), PAGE_SIZE);

	for (u32 i = 0; i < 512; i++)
		list[i] = address;
	for (u32 i = input_of(in, 8); i; i--)
		list[input_of(in, 512)] = fuzz_address(in);
	list[511] = fuzz_address(in);
	store(page, list);
}

void fuzz_fill_list(struct input *in)
{
	if (input_of(in, 2))
		fill_segments(in);
	else
		fill_prps(in);
}

static u32 field(struct input *in)
{
	u8 kind = input_byte(in);

	return kind < 128 ? kind % 16 : kind < 192 ? input_number(in, 2) :
		input_number(in, 4);
}

/*
 * Of queues other than those the target looks after: from 4 on. Doorbell
 * buffers where an input writes anything would ring for those, too.
 */
static void aim_at_other_queues(struct nvme_sqe *sqe)
{
	switch (sqe->opcode) {
	case NVME_ADMIN_DOORBELL_BUFFER:
		sqe->prp1 = 1;
		break;
	case NVME_ADMIN_DELETE_SQ:
	case NVME_ADMIN_DELETE_CQ:
	case NVME_ADMIN_CREATE_SQ:
	case NVME_ADMIN_CREATE_CQ:
		sqe->cdw10 |= 4;
	}
}

static u8 choose_opcode(struct input *in, bool is_admin)
{
	static const u8 admin_opcodes[] = { 0, 1, 2, 4, 5, 6, 8, 9, 0xa, 0xc,
		0xd, 0x10, 0x11, 0x15, 0x18, 0x80, 0x81, 0x82, 0x84 };
	static const u8 io_opcodes[] = { 0, 1, 1, 2, 2, 4, 5, 8, 9, 9, 0xc,
		0xd, 0xe, 0x11, 0x15, 0x19, 0x19, 0x79, 0x7a, 0x7d, 0x80,
		0x81 };
	u32 index = input_byte(in);

	if (index > 240)
		return input_byte(in);
	return is_admin ? admin_opcodes[index % ARRAY_COUNT(admin_opcodes)] :
		io_opcodes[index % ARRAY_COUNT(io_opcodes)];
}

/* A list of it is like a segment of an SGL, but for the unit of a length. */
static void lend_memory(struct input *in, struct nvme_sqe *sqe)
{
	u64 list = fuzz_address(in);

	sqe->cdw10 = NVME_FEATURE_HOST_MEMORY;
	sqe->cdw11 = input_of(in, 4) != 0;
	sqe->cdw13 = (u32)list;
	sqe->cdw14 = list >> 32;
	sqe->cdw15 = input_of(in, 8);
}

static u8 choose_flags(struct input *in, bool is_admin)
{
	u32 kind = input_of(in, 8);

	if (!kind)
		return input_byte(in);
	return kind > 4 && !is_admin ?
		FIELD_PREP(NVME_SQE_PSDT, NVME_PSDT_SGL) : 0;
}

void fuzz_fill_sqe(struct input *in, struct nvme_sqe *sqe, bool is_admin)
{
	u16 cid = sqe->cid;

	*sqe = (struct nvme_sqe){ .cid = cid };
	sqe->opcode = choose_opcode(in, is_admin);
	sqe->flags = choose_flags(in, is_admin);
	sqe->nsid = input_of(in, 8) ? 1 : field(in);
	sqe->mptr = input_of(in, 4) ? 0 : fuzz_address(in);
	if (sqe->flags & NVME_SQE_PSDT) {
		sqe->sgl = any_sgl(in);
	} else {
		sqe->prp1 = fuzz_address(in);
		sqe->prp2 = fuzz_address(in);
	}
	sqe->cdw10 = field(in);
	sqe->cdw11 = input_of(in, 2) ? 0 : field(in);
	sqe->cdw12 = field(in);
	sqe->cdw13 = input_of(in, 4) ? 0 : field(in);
	sqe->cdw14 = input_of(in, 4) ? 0 : field(in);
	sqe->cdw15 = input_of(in, 4) ? 0 : field(in);
	if (is_admin && sqe->opcode == NVME_ADMIN_SET_FEATURES &&
	    input_of(in, 2))
		lend_memory(in, sqe);
	if (is_admin)
		aim_at_other_queues(sqe);
}
