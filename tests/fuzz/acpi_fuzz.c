/* SPDX-License-Identifier: BSD-2-Clause */
/* Firmware tables with some bytes changed and their checksums right again. */
#include <stdarg.h>

#include "../../core/acpi.h"
#include "fuzz.h"
#include "gmem.h"
#include "log.h"

#define RAM_BASE 0x7f000000ull
#define RAM_SIZE 0x400u
#define XSDT 0x103		/* odd on purpose: nothing is aligned */
#define RSDT 0x185
#define MCFG 0x207
#define ECAM_MAX 4

static u8 *ram;

void *gmem_map(gpa_t base, size_t size)
{
	if (!range_inside(base.v - RAM_BASE, size, RAM_SIZE))
		return NULL;
	return ram + (base.v - RAM_BASE);
}

void log_line(enum log_level level, const char *format, ...)
{
	CHECK_EQ(level, LOG_WARN);
}

static void put(size_t offset, u64 value, size_t size)
{
	memcpy(ram + offset, &value, size);
}

static void put_table(size_t offset, const char *signature, size_t length)
{
	memcpy(ram + offset, signature, 4);
	put(offset + 4, length, 4);
}

static void build(void)
{
	memcpy(ram, "RSD PTR ", 8);
	ram[15] = 2;
	put(16, RAM_BASE + RSDT, 4);
	put(20, 36, 4);
	put(24, RAM_BASE + XSDT, 8);
	put(XSDT + 36, RAM_BASE + MCFG, 8);
	put(RSDT + 36, RAM_BASE + MCFG, 4);
	put_table(XSDT, "XSDT", 44);
	put_table(RSDT, "RSDT", 40);
	put_table(MCFG, "MCFG", 76);
	put(MCFG + 44, 0xb0000000, 8);
	put(MCFG + 54, 0xff00, 2);
}

static void seal(size_t offset, size_t size, size_t checksum)
{
	u8 sum = 0;

	ram[offset + checksum] = 0;
	for (size_t i = 0; i < size; i++)
		sum += ram[offset + i];
	ram[offset + checksum] = -sum;
}

/* With the length it says, so far as that is there. */
static void seal_table(size_t offset)
{
	u32 length;

	memcpy(&length, ram + offset + 4, sizeof(length));
	seal(offset, MIN(length, RAM_SIZE - offset), 9);
}

static void check(void)
{
	struct acpi_ecam ecams[ECAM_MAX];
	size_t count;

	acpi_init(RAM_BASE);
	count = acpi_read_ecams(ecams, ECAM_MAX);
	CHECK(count <= ECAM_MAX);
	for (size_t i = 0; i < count; i++) {
		CHECK(ecams[i].base && is_aligned(ecams[i].base, 1 << 20));
		CHECK(ecams[i].first_bus <= ecams[i].last_bus);
	}
	acpi_find("FACP");
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };

	ram = calloc(1, RAM_SIZE);
	build();
	input_patch(&in, ram, RAM_SIZE);
	seal(0, 20, 8);
	seal(0, 36, 32);
	seal_table(MCFG);
	seal_table(XSDT);
	seal_table(RSDT);
	check();
	free(ram);
	return 0;
}
