/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks RSDP -> XSDT or RSDT -> table. Firmware tables are RAM of the guest,
 * and gmem_map() says no to anything else, so a wild pointer or length in
 * them ends in "not there".
 */
#include <string.h>

#include "acpi.h"
#include "bits.h"
#include "gmem.h"
#include "log.h"

#define HIDDEN_LETTER 'X'	/* "IVRS" becomes "XVRS" */

/* The table of tables: entry_size 8 is an XSDT, 4 an RSDT, 0 is neither. */
static struct {
	const struct acpi_header *table;
	size_t entry_size;
} root;

static bool sums_to_zero(const void *memory, size_t size)
{
	const u8 *bytes = memory;
	u8 sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += bytes[i];
	return sum == 0;
}

/* Table at a physical address, all of it RAM; NULL: none that can be used. */
static struct acpi_header *map_any_table(u64 address)
{
	struct acpi_header *table = gmem_map(gpa(address), sizeof(*table));
	u32 length;

	if (!table)
		return NULL;
	length = table->length;
	if (length < sizeof(*table) || length > ACPI_TABLE_MAX ||
	    !gmem_map(gpa(address), length))
		return NULL;
	return table;
}

static const struct acpi_header *map_table(u64 address)
{
	const struct acpi_header *table = map_any_table(address);

	return table && sums_to_zero(table, table->length) ? table : NULL;
}

static bool has_signature(const struct acpi_header *table, const char *wanted)
{
	return !memcmp(table->signature, wanted, sizeof(table->signature));
}

static const struct acpi_header *map_root(u64 address, const char *signature)
{
	const struct acpi_header *table = map_table(address);

	return table && has_signature(table, signature) ? table : NULL;
}

static const struct acpi_rsdp *map_rsdp(u64 address)
{
	const struct acpi_rsdp *rsdp = gmem_map(gpa(address),
						ACPI_RSDP_SIZE_1);

	if (!rsdp ||
	    memcmp(rsdp->signature, ACPI_RSDP_SIGNATURE,
		   sizeof(rsdp->signature)) ||
	    !sums_to_zero(rsdp, ACPI_RSDP_SIZE_1))
		return NULL;
	return rsdp;
}

static bool has_xsdt(const struct acpi_rsdp *rsdp, u64 address)
{
	return rsdp->revision >= 2 && gmem_map(gpa(address), sizeof(*rsdp)) &&
	       sums_to_zero(rsdp, sizeof(*rsdp)) && rsdp->xsdt;
}

static void find_root(const struct acpi_rsdp *rsdp, u64 address)
{
	if (has_xsdt(rsdp, address)) {
		root.table = map_root(rsdp->xsdt, "XSDT");
		root.entry_size = sizeof(u64);
	}
	if (!root.table) {
		root.table = map_root(rsdp->rsdt, "RSDT");
		root.entry_size = sizeof(u32);
	}
}

void acpi_init(u64 address)
{
	const struct acpi_rsdp *rsdp = address ? map_rsdp(address) : NULL;

	root.table = NULL;
	if (rsdp)
		find_root(rsdp, address);
	if (!root.table)
		log_warn("acpi: no usable tables at %#llx: no IOMMU is found, "
			 "no sleep register watched",
			 (unsigned long long)address);
}

static size_t entry_count(void)
{
	if (!root.table)
		return 0;
	return (root.table->length - sizeof(*root.table)) / root.entry_size;
}

/* Entries are not aligned: memcpy. */
static u64 entry_address(size_t i)
{
	const u8 *entries = (const u8 *)(root.table + 1);
	u64 address = 0;

	memcpy(&address, entries + i * root.entry_size, root.entry_size);
	return address;
}

const struct acpi_header *acpi_find(const char *signature)
{
	for (size_t i = 0; i < entry_count(); i++) {
		const struct acpi_header *table = map_table(entry_address(i));

		if (table && has_signature(table, signature))
			return table;
	}
	return NULL;
}

static bool is_usable(const struct acpi_mcfg_entry *entry)
{
	return entry->base && is_aligned(entry->base, 1 << 20) &&
	       entry->first_bus <= entry->last_bus &&
	       range_inside(entry->base, 256ull << 20, 1ull << 52);
}

size_t acpi_read_ecams(struct acpi_ecam *out, size_t max)
{
	const struct acpi_header *mcfg = acpi_find(ACPI_MCFG_SIGNATURE);
	size_t offset = ACPI_MCFG_ENTRIES, count = 0;
	struct acpi_mcfg_entry entry;

	for (; mcfg && count < max &&
	       range_inside(offset, sizeof(entry), mcfg->length);
	     offset += sizeof(entry)) {
		memcpy(&entry, (const u8 *)mcfg + offset, sizeof(entry));
		if (is_usable(&entry))
			out[count++] = (struct acpi_ecam){
				entry.base, entry.segment, entry.first_bus,
				entry.last_bus };
	}
	return count;
}

bool acpi_read_fadt(struct acpi_fadt *fadt)
{
	const struct acpi_header *table = acpi_find(ACPI_FADT_SIGNATURE);

	memset(fadt, 0, sizeof(*fadt));
	if (table)
		memcpy(fadt, table, MIN(table->length, sizeof(*fadt)));
	return table;
}

static void visit_if(u64 address, const char *signature,
		     void (*visit)(struct acpi_header *table))
{
	struct acpi_header *table = map_any_table(address);

	if (table && has_signature(table, signature))
		visit(table);
}

void acpi_for_each_aml(void (*visit)(struct acpi_header *table))
{
	struct acpi_fadt fadt;

	acpi_read_fadt(&fadt);
	visit_if(fadt.x_dsdt, ACPI_DSDT_SIGNATURE, visit);
	if (fadt.dsdt != fadt.x_dsdt)
		visit_if(fadt.dsdt, ACPI_DSDT_SIGNATURE, visit);
	for (size_t i = 0; i < entry_count(); i++)
		visit_if(entry_address(i), ACPI_SSDT_SIGNATURE, visit);
}

bool acpi_hide(const char *signature)
{
	bool is_there = false;

	for (size_t i = 0; i < entry_count(); i++) {
		struct acpi_header *table = map_any_table(entry_address(i));

		if (!table || !has_signature(table, signature))
			continue;
		table->checksum += table->signature[0] - HIDDEN_LETTER;
		table->signature[0] = HIDDEN_LETTER;
		is_there = true;
	}
	return is_there;
}
