/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest at the registers: accesses of any width to the BAR, doorbells, CC
 * with anything in the admin queue's registers, resets, config writes, while
 * the device takes its time or is pulled out.
 */
#include "fake_guest.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "guest.h"
#include "spec/pci.h"

static u32 register_offset(struct input *in)
{
	static const u16 offsets[] = {
		NVME_REG_CAP, NVME_REG_VS, NVME_REG_INTMS, NVME_REG_CC,
		NVME_REG_CSTS, NVME_REG_NSSR, NVME_REG_AQA, NVME_REG_ASQ,
		NVME_REG_ASQ + 4, NVME_REG_ACQ, NVME_REG_ACQ + 4,
		NVME_REG_CMBLOC, NVME_REG_PMRCAP, NVME_REG_DOORBELLS,
		NVME_REG_DOORBELLS + 4, NVME_REG_DOORBELLS + 8,
		NVME_REG_DOORBELLS + 12,
	};
	u8 index = input_byte(in);

	return index < 224 ? offsets[index % ARRAY_COUNT(offsets)] :
		input_of(in, NVME_REG_DOORBELLS + 0x800);
}

static u64 register_value(struct input *in)
{
	switch (input_of(in, 8)) {
	case 0:
		return input_number(in, 8);
	case 1:
		return 0x001f001f;
	case 2:
		return fuzz_address(in);
	case 3:
		return NVME_CC_EN | FIELD_PREP(NVME_CC_IOSQES, 6) |
			FIELD_PREP(NVME_CC_IOCQES, 4);
	case 4:
		return FIELD_PREP(NVME_CC_SHN, input_of(in, 4)) |
			input_of(in, 2);
	default:
		return input_of(in, 40);
	}
}

static void access_register(struct input *in, bool is_write)
{
	u64 address = fake_bar() + register_offset(in);
	unsigned size = 1u << input_of(in, 4);

	if (!fake_bar())
		return;
	if (is_write)
		fake_guest_write(address, size, register_value(in));
	else
		fake_guest_read(address, size);
}

/* A driver that means well, with the admin queue in RAM. */
static void enable(struct input *in)
{
	u32 patience = guest.patience;

	if (!fake_bar())
		return;
	guest_begin_enable(FIELD_PREP(NVME_CC_MPS, input_of(in, 6)));
	guest.patience = input_of(in, 64);
	guest_wait_ready(true);
	guest.patience = patience;
}

static void put_commands(struct input *in)
{
	for (u32 i = 0; i < guest.admin.size; i++)
		fuzz_fill_sqe(in, &guest.admin.entries[i], true);
}

/* The function is reset by that very write; so is the device. */
static void write_config(struct input *in)
{
	static const u16 offsets[] = { PCI_COMMAND, PCI_BAR(0),
		PCI_BAR(0) + 4, 0x88, 0x80 };
	u32 index = input_byte(in);
	unsigned size = 1u << input_of(in, 3);
	u16 offset = index < 224 ? offsets[index % ARRAY_COUNT(offsets)] :
		align_down(input_of(in, 4096), size);
	u32 value = input_of(in, 2) ? input_number(in, size) : 0xffff;

	if (offset <= 0x89 && offset + size > 0x89 &&
	    value >> 8 * (0x89 - offset) & PCI_EXPRESS_INITIATE_FLR >> 8)
		fake_nvme_reset();
	fake_config_write(offset, size, value);
	fake_config_read(offset, size);
}

static void disturb_device(struct input *in)
{
	switch (input_of(in, 5)) {
	case 0:
		fake_nvme.ready_reads = input_of(in, 8);
		break;
	case 1:
		fake_nvme.stalls_admin = input_of(in, 2);
		break;
	case 2:
		fake_nvme_reset();
		break;
	case 3:
		/* It does not come back as it went. */
		fake_nvme.is_gone = !fake_nvme.is_gone;
		fake_nvme_reset();
		break;
	case 4:
		fake_nvme_event(input_number(in, 4));
	}
}

static void step(struct input *in)
{
	switch (input_of(in, 12)) {
	case 0:
		enable(in);
		break;
	case 1:
		put_commands(in);
		break;
	case 2:
		write_config(in);
		break;
	case 3:
		disturb_device(in);
		break;
	case 4:
		guest_idle(input_of(in, 16));
		break;
	case 5:
	case 6:
	case 7:
		access_register(in, false);
		break;
	default:
		access_register(in, true);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };

	fuzz_boot();
	fuzz_begin();
	while (!input_is_over(&in))
		step(&in);
	fuzz_end();
	return 0;
}
