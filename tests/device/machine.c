/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers and time as Sluice sees them in the test build: the machine's,
 * with the controller among them, which works whenever a clock is read.
 */
#include "clock.h"
#include "config.h"
#include "mmio.h"

/* DEVICE_NVME_SIZE: not the controller's. */
static u64 offset_of(hpa_t address, unsigned size)
{
	u64 bar = config_bar(DEVICE_NVME);

	if (bar && address.v >= bar &&
	    range_inside(address.v - bar, size, DEVICE_NVME_SIZE))
		return address.v - bar;
	return DEVICE_NVME_SIZE;
}

u64 mmio_read(hpa_t address, unsigned size)
{
	u64 offset = offset_of(address, size);

	return offset < DEVICE_NVME_SIZE ? device_nvme_read(offset, size)
					 : machine_mmio_read(address, size);
}

void mmio_write(hpa_t address, unsigned size, u64 value)
{
	u64 offset = offset_of(address, size);

	if (offset < DEVICE_NVME_SIZE)
		device_nvme_write(offset, size, value);
	else
		machine_mmio_write(address, size, value);
}

u32 mmio_read32(hpa_t address)
{
	return mmio_read(address, 4);
}

void mmio_write32(hpa_t address, u32 value)
{
	mmio_write(address, 4, value);
}

u64 clock_now_us(void)
{
	device_nvme_tick();
	return machine_clock_now_us();
}
