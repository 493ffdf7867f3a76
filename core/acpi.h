/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The firmware's ACPI tables: found and checked, not interpreted. Only until
 * launch, when they become memory the guest may overwrite: whoever needs a
 * fact later copies it. With no RSDP every answer is "not there".
 */
#ifndef SLUICE_ACPI_H
#define SLUICE_ACPI_H

#include "spec/acpi.h"
#include "types.h"

/* `rsdp` as in struct boot_info; 0: none. Logs what is wrong with it
 * and what follows. */
void acpi_init(u64 rsdp);

/*
 * The first table with these four characters whose length and checksum are
 * right; NULL: none. At least a header long, at most ACPI_TABLE_MAX.
 */
#define ACPI_TABLE_MAX (1u << 20)
const struct acpi_header *acpi_find(const char *signature);

/* Copies the FADT, zeroes where it ends early; false: there is none. */
bool acpi_read_fadt(struct acpi_fadt *fadt);

/*
 * The tables that hold AML: those the FADT calls DSDT, then every SSDT. `visit`
 * may change them if it keeps the sum. One with a wrong sum is shown as well:
 * operating systems take it.
 */
void acpi_for_each_aml(void (*visit)(struct acpi_header *table));

/* Memory-mapped config space of buses first_bus..last_bus of a segment. */
struct acpi_ecam {
	u64 base;		/* of bus 0; MiB-aligned */
	u16 segment;
	u8 first_bus, last_bus;
};

/* Copies the usable entries of MCFG, at most `max`; returns how many. */
size_t acpi_read_ecams(struct acpi_ecam *out, size_t max);

/*
 * Renames every table of that signature, so that no operating system knows
 * it any more, also those with a wrong sum; false: there was none.
 */
bool acpi_hide(const char *signature);

#endif
