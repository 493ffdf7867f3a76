/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A state is entered by SLP_EN with the SLP_TYP that the object of that state
 * names (ACPI 6.4, 7.4.2). Once S2 and S3 are renamed the operating system
 * does not know their types; who tries any that Sluice does not know to be
 * harmless finds the write dropped.
 */
#include <errno.h>

#include "sleep.h"
#include "acpi.h"
#include "aml.h"
#include "bits.h"
#include "ioport.h"
#include "log.h"
#include "mmio.h"
#include "setting.h"
#include "x86/io.h"

#define HIDDEN_LETTER 'X'	/* "_S3_" becomes "XS3_" */
#define PORT_LAST 0xffff
#define ALL_TYPES 0xff

enum block { BLOCK_A, BLOCK_B, BLOCK_COUNT };

/* types: a bit for each SLP_TYP that enters it, by PM1 register block. */
static struct state {
	const char *name;
	bool is_hidden;
	unsigned count;		/* of definitions */
	u8 types[BLOCK_COUNT];
} states[] = {
	{ "_S1_", .is_hidden = false },
	{ "_S2_", .is_hidden = true },
	{ "_S3_", .is_hidden = true },
	{ "_S4_", .is_hidden = false },
	{ "_S5_", .is_hidden = false },
};

#define STATE_OFF (&states[ARRAY_COUNT(states) - 1])

/* One register: what matters is the byte with SLP_EN and SLP_TYP. */
struct control {
	u8 space;		/* ACPI_SPACE_x */
	u8 types;		/* that pass */
	u64 at;			/* port or address of the byte */
	struct ioport_range ports;
	struct mmio_region page;
};

/* PM1a and PM1b in both forms, sleep control; fixed before launch. */
static struct control controls[5];
static unsigned control_count;

/* ---- The tables ---------------------------------------------------------- */

/* A package of one integer has both types in it, a byte each. */
static void learn(struct state *state, const struct aml *aml, size_t name_at)
{
	u64 values[BLOCK_COUNT];
	size_t count = aml_read_package(aml, name_at, values, BLOCK_COUNT);

	if (!count)
		return;
	if (count == 1)
		values[BLOCK_B] = values[BLOCK_A] >> 8;
	for (unsigned i = 0; i < BLOCK_COUNT; i++)
		state->types[i] |=
			BIT(values[i] & FIELD_GET(ACPI_SLP_TYP, ~0ull));
}

static void hide(struct acpi_header *table, u8 *letter)
{
	table->checksum += *letter - HIDDEN_LETTER;
	*letter = HIDDEN_LETTER;
}

static void search_for(struct state *state, struct acpi_header *table)
{
	struct aml aml = { (u8 *)(table + 1), table->length - sizeof(*table) };
	size_t at = aml_find_definition(&aml, state->name, 0);

	while (at < aml.size) {
		state->count++;
		learn(state, &aml, at);
		if (state->is_hidden)
			hide(table, &aml.code[at]);
		at = aml_find_definition(&aml, state->name, at + 1);
	}
}

static void search(struct acpi_header *table)
{
	for (struct state *state = states; state <= STATE_OFF; state++)
		search_for(state, table);
}

static void report(void)
{
	for (struct state *state = states; state <= STATE_OFF; state++)
		if (state->is_hidden && state->count)
			log_info("sleep: %.2s is hidden", state->name + 1);
		else
			log_debug("sleep: %.2s: %u definitions",
				  state->name + 1, state->count);
	if (!STATE_OFF->types[BLOCK_A])
		log_warn("sleep: S5 was not found: the guest %s",
			 config_fail_closed() ? "cannot switch off"
					      : "may try any unknown type");
}

/*
 * Those of S1, S4 and S5. If even S5's is unknown, `fail` decides whether a
 * machine that cannot be switched off is better than one that might sleep.
 */
static u8 passing_types(enum block block)
{
	u8 hidden = 0, known = 0;

	for (struct state *state = states; state <= STATE_OFF; state++)
		if (state->is_hidden)
			hidden |= state->types[block];
		else
			known |= state->types[block];
	if (!STATE_OFF->types[block] && !config_fail_closed())
		known = ALL_TYPES;
	return known & ~hidden;
}

/* ---- The registers ------------------------------------------------------- */

static bool would_sleep(const struct control *control, u64 at, unsigned size,
			u64 value)
{
	u8 byte;

	if (!ranges_overlap(at, size, control->at, 1))
		return false;
	byte = value >> 8 * (control->at - at);
	return byte & ACPI_SLP_EN &&
	       !(control->types & BIT(FIELD_GET(ACPI_SLP_TYP, byte)));
}

/* A write of any size, shown to every register in that space. */
static bool is_dropped(u8 space, u64 at, unsigned size, u64 value)
{
	for (unsigned i = 0; i < control_count; i++) {
		if (controls[i].space != space ||
		    !would_sleep(&controls[i], at, size, value))
			continue;
		log_limited(LOG_WARN, "sleep: %#llx to %s %#llx: would sleep "
			    "and wake up without Sluice: dropped",
			    (unsigned long long)value,
			    space == ACPI_SPACE_PORT ? "port" : "address",
			    (unsigned long long)at);
		return true;
	}
	return false;
}

static void access_port(u16 port, unsigned size, bool is_write, u32 *value)
{
	if (!is_write)
		*value = io_read(port, size);
	else if (!is_dropped(ACPI_SPACE_PORT, port, size, *value))
		io_write(port, size, *value);
}

static void access_page(struct mmio_region *region, struct mmio_access *access)
{
	u64 at = region->base.v + access->offset;

	if (!is_dropped(ACPI_SPACE_MEMORY, at, access->size, access->value))
		mmio_write(hpa(at), access->size, access->value);
}

static int watch_port(struct control *control)
{
	if (control->at > PORT_LAST)
		return -EINVAL;
	control->ports = (struct ioport_range){
		.first = align_down(control->at, 4),
		.last = align_down(control->at, 4) + 3,
		.access = access_port,
	};
	ioport_register(&control->ports);
	return 0;
}

/* One region does for all registers in a page. */
static int watch_page(struct control *control)
{
	u64 page = align_down(control->at, PAGE_SIZE);

	for (struct control *other = controls; other < control; other++)
		if (other->page.base.v == page && other->page.size)
			return 0;
	control->page = (struct mmio_region){
		.name = "sleep control",
		.base = gpa(page),
		.size = PAGE_SIZE,
		.traps = MMIO_TRAPS_WRITES,
		.access = access_page,
	};
	return mmio_register(&control->page);
}

static int watch(u8 space, u64 at, u8 types)
{
	struct control *control = &controls[control_count++];
	int error = -ENOTSUP;

	*control = (struct control){ .space = space, .types = types, .at = at };
	if (space == ACPI_SPACE_PORT)
		error = watch_port(control);
	else if (space == ACPI_SPACE_MEMORY)
		error = watch_page(control);
	if (!error)
		return 0;
	log_warn("sleep: register at %#llx of space %u cannot be watched: %d",
		 (unsigned long long)at, space, error);
	return config_fail_closed() ? error : 0;
}

static int watch_register(const struct acpi_register *control, u8 sleep_byte,
			  u8 types)
{
	if (!control->address)
		return 0;
	return watch(control->space, control->address + sleep_byte, types);
}

static int watch_pm1(u32 port, const struct acpi_register *extended, u8 types)
{
	struct acpi_register control = { .space = ACPI_SPACE_PORT,
					 .address = port };
	int error = watch_register(&control, ACPI_PM1_SLEEP_BYTE, types);

	if (error || (extended->space == ACPI_SPACE_PORT &&
		      extended->address == port))
		return error;
	return watch_register(extended, ACPI_PM1_SLEEP_BYTE, types);
}

static int watch_all(const struct acpi_fadt *fadt)
{
	u8 types_a = passing_types(BLOCK_A), types_b = passing_types(BLOCK_B);
	int error;

	error = watch_pm1(fadt->pm1a_control, &fadt->x_pm1a_control, types_a);
	if (!error)
		error = watch_pm1(fadt->pm1b_control, &fadt->x_pm1b_control,
				  types_b);
	if (!error)
		error = watch_register(&fadt->sleep_control, 0, types_a);
	return error;
}

int sleep_init(void)
{
	struct acpi_fadt fadt;

	if (!acpi_read_fadt(&fadt)) {
		log_debug("sleep: no FADT, so nothing to hide");
		return 0;
	}
	acpi_for_each_aml(search);
	report();
	return watch_all(&fadt);
}
