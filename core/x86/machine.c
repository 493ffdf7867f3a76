/* SPDX-License-Identifier: BSD-2-Clause */
/* Resetting the machine, where a real CPU would shut down. */
#include "clock.h"
#include "cpu.h"
#include "io.h"
#include "machine.h"

#define RESET_CONTROL 0xcf9	/* of PCI chipsets since the PIIX */
#define RESET_SYSTEM 0x02
#define RESET_GO 0x04
#define KEYBOARD_COMMAND 0x64
#define KEYBOARD_PULSE_RESET 0xfe
#define DEADLINE_US 100000

static void wait(void)
{
	u64 deadline = clock_deadline_us(DEADLINE_US);

	while (!clock_is_past(deadline))
		;
}

void machine_reset(void)
{
	io_write(RESET_CONTROL, 1, RESET_SYSTEM);
	io_write(RESET_CONTROL, 1, RESET_SYSTEM | RESET_GO);
	wait();
	io_write(KEYBOARD_COMMAND, 1, KEYBOARD_PULSE_RESET);
	wait();
	cpu_halt();
}
