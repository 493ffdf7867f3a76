/* SPDX-License-Identifier: BSD-2-Clause */
/* See nvme_driver.h. */
#include <string.h>

#include "../device/device.h"
#include "nvme_driver.h"
#include "spec/pci.h"
#include "spec/x86.h"

#define QUEUE_SIZE 16
#define ENABLE (FIELD_PREP(NVME_CC_IOSQES, NVME_SQE_SIZE_LOG2) | \
		FIELD_PREP(NVME_CC_IOCQES, NVME_CQE_SIZE_LOG2) | NVME_CC_EN)
#define STATUS_DNR NVME_SC_DNR
#define POLLS 200000

u8 *driver_page(unsigned index)
{
	return machine.pages + index * PAGE_SIZE;
}

bool driver_is_there(void)
{
	bool is_there = pci_read(DEVICE_NVME, PCI_VENDOR_ID, 2) ==
		DEVICE_VENDOR;

	if (!is_there)
		payload_skip("no test device");
	driver_look();
	return is_there;
}

/* ---- Registers ---------------------------------------------------------- */

static u64 bar;

void driver_look(void)
{
	bar = pci_read(DEVICE_NVME, PCI_BAR(0), 4);
}

volatile u8 *nvme_bar(u32 offset)
{
	return (volatile u8 *)(bar + offset);
}

u32 nvme_read(u32 offset)
{
	return *(volatile u32 *)nvme_bar(offset);
}

void nvme_write(u32 offset, u32 value)
{
	*(volatile u32 *)nvme_bar(offset) = value;
}

void nvme_ring(u16 id, bool is_cq, u32 value)
{
	nvme_write(NVME_REG_DOORBELLS + (2 * id + is_cq) * 4, value);
}

bool nvme_wait_csts(u32 mask, u32 wanted)
{
	for (u32 i = 0; i < POLLS; i++)
		if ((nvme_read(NVME_REG_CSTS) & mask) == wanted)
			return true;
	return false;
}

/* ---- Queues ------------------------------------------------------------ */

static void init_pair(struct queue_pair *pair, u16 id, unsigned page)
{
	*pair = (struct queue_pair){
		.id = id, .size = QUEUE_SIZE, .phase = true,
		.next_cid = 0x1230 * (id + 1),
		.sqes = (void *)driver_page(page),
		.cqes = (void *)driver_page(page + 1),
	};
	memset(driver_page(page), 0, 2 * PAGE_SIZE);
}

bool driver_disable(void)
{
	nvme_write(NVME_REG_CC, 0);
	return nvme_wait_csts(NVME_CSTS_RDY, 0);
}

bool driver_start(struct queue_pair *admin)
{
	pci_write(DEVICE_NVME, PCI_COMMAND, 2,
		  PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER);
	if (!driver_disable())
		return false;
	init_pair(admin, 0, PAGE_ADMIN_SQ);
	nvme_write(NVME_REG_AQA, FIELD_PREP(NVME_AQA_ASQS, QUEUE_SIZE - 1) |
		   FIELD_PREP(NVME_AQA_ACQS, QUEUE_SIZE - 1));
	nvme_write(NVME_REG_ASQ, (u64)admin->sqes);
	nvme_write(NVME_REG_ASQ + 4, 0);
	*(volatile u64 *)nvme_bar(NVME_REG_ACQ) = (u64)admin->cqes;
	nvme_write(NVME_REG_CC, ENABLE);
	return nvme_wait_csts(NVME_CSTS_RDY | NVME_CSTS_CFS, NVME_CSTS_RDY);
}

u16 driver_create(struct queue_pair *admin, struct queue_pair *io, u16 id,
		  bool has_interrupt)
{
	u32 size_and_id = FIELD_PREP(NVME_QUEUE_SIZE, QUEUE_SIZE - 1) | id;
	u16 status;

	init_pair(io, id, id == 1 ? PAGE_SQ : PAGE_SQ_2);
	status = driver_run(admin, &(struct nvme_sqe){
		.opcode = NVME_ADMIN_CREATE_CQ, .prp1 = (u64)io->cqes,
		.cdw10 = size_and_id,
		.cdw11 = NVME_QUEUE_PC | (has_interrupt ? NVME_CQ_IEN : 0),
	});
	if (status)
		return status;
	return driver_run(admin, &(struct nvme_sqe){
		.opcode = NVME_ADMIN_CREATE_SQ, .prp1 = (u64)io->sqes,
		.cdw10 = size_and_id,
		.cdw11 = NVME_QUEUE_PC | FIELD_PREP(NVME_SQ_CQID, id),
	});
}

void driver_set_message(u8 vector)
{
	u32 id = apic_read(APIC_ID) >> 24;

	pci_write(DEVICE_NVME, DEVICE_MSI + 4, 4, APIC_DEFAULT_BASE | id << 12);
	pci_write(DEVICE_NVME, DEVICE_MSI + 8, 2, vector);
	pci_write(DEVICE_NVME, DEVICE_MSI + 2, 2, 1);
}

void driver_stop_messages(void)
{
	pci_write(DEVICE_NVME, DEVICE_MSI + 2, 2, 0);
}

/* ---- Commands ---------------------------------------------------------- */

u16 driver_put(struct queue_pair *pair, struct nvme_sqe *sqe)
{
	sqe->cid = pair->next_cid++;
	pair->sqes[pair->tail] = *sqe;
	pair->tail = (pair->tail + 1) % pair->size;
	return sqe->cid;
}

void driver_ring(const struct queue_pair *pair)
{
	__asm__ volatile("" ::: "memory");	/* entries, then the doorbell */
	nvme_ring(pair->id, false, pair->tail);
}

bool driver_poll(struct queue_pair *pair, struct nvme_cqe *cqe)
{
	volatile struct nvme_cqe *at = &pair->cqes[pair->head];

	if ((at->status & 1) != pair->phase)
		return false;
	*cqe = *at;
	pair->head = (pair->head + 1) % pair->size;
	pair->phase ^= !pair->head;
	nvme_ring(pair->id, true, pair->head);
	return true;
}

/* A driver that waits looks after the controller's health. */
static bool wait(struct queue_pair *pair, struct nvme_cqe *cqe)
{
	for (u32 i = 0; i < POLLS; i++) {
		if (driver_poll(pair, cqe))
			return true;
		if (nvme_read(NVME_REG_CSTS) & NVME_CSTS_CFS)
			return false;
	}
	return false;
}

u16 driver_run(struct queue_pair *pair, struct nvme_sqe *sqe)
{
	u16 cid = driver_put(pair, sqe);
	struct nvme_cqe cqe = { 0 };

	driver_ring(pair);
	CHECK(wait(pair, &cqe));
	CHECK_EQ(cqe.cid, cid);
	CHECK_EQ(cqe.sq_id, pair->id);
	CHECK_EQ(cqe.sq_head, pair->tail);
	return cqe.status >> 1 & ~STATUS_DNR;
}

void driver_set_prps(struct nvme_sqe *sqe, u8 *data, u32 size, u64 *list)
{
	u64 next = align_down((u64)data, PAGE_SIZE) + PAGE_SIZE;
	u64 end = (u64)data + size;

	sqe->prp1 = (u64)data;
	sqe->prp2 = 0;
	if (end <= next)
		return;
	sqe->prp2 = end <= next + PAGE_SIZE ? next : (u64)list;
	for (; end > next; next += PAGE_SIZE) {
		bool is_last = !(((u64)list + 8) & PAGE_MASK);

		if (is_last && end > next + PAGE_SIZE) {
			*list = (u64)driver_page(PAGE_LIST_2);
			list = (u64 *)driver_page(PAGE_LIST_2);
		}
		*list++ = next;
	}
}

u16 driver_rw(struct queue_pair *io, u8 opcode, u64 lba, u8 *data, u32 size)
{
	struct nvme_sqe sqe = {
		.opcode = opcode, .nsid = 1, .cdw10 = lba,
		.cdw12 = size / 512 - 1,
	};

	driver_set_prps(&sqe, data, size, (u64 *)driver_page(PAGE_LIST));
	return driver_run(io, &sqe);
}
