/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sleep states that Sluice does not survive. From S3 (suspend to RAM) and S2
 * the firmware wakes the operating system on CPUs that have forgotten Sluice,
 * so they are hidden; S1 keeps the CPUs as they are, S4 (hibernation) and S5
 * (off) end in a start of the whole machine, S0 idle loses no power.
 */
#ifndef SLUICE_SLEEP_H
#define SLUICE_SLEEP_H

/*
 * At BOOT_ATTACH, after acpi_init(): takes S2 and S3 out of the firmware's
 * tables and stands before the registers that enter a state. -Exxx when one
 * of them cannot be watched and `fail = closed`. What a guest can still do is
 * move the registers elsewhere in the chipset, or ask SMM.
 */
int sleep_init(void);

#endif
