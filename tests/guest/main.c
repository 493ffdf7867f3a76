/* SPDX-License-Identifier: BSD-2-Clause */
/* Looks at the machine, runs every payload, shuts down. */
#include <efi.h>
#include <efilib.h>

#include "payload.h"
#include "spec/uefi.h"

struct guest_machine machine;

static bool has_failed;
static const char *skipped;

static const struct {
	const char *name;
	void (*run)(void);
} payloads[] = {
#define ROW(name) { #name, name },
	PAYLOADS(ROW)
};

static void tell_failure(const char *file, int line, const char *text)
{
	print("# ");
	print(file);
	print(":");
	print_number(line, 10);
	print(": ");
	print(text);
}

void payload_check(bool is_true, const char *file, int line, const char *text)
{
	if (!is_true && !has_failed) {
		tell_failure(file, line, text);
		print("\n");
	}
	has_failed = has_failed || !is_true;
}

void payload_check_equal(u64 value, u64 wanted, const char *file, int line,
			 const char *text)
{
	if (value != wanted && !has_failed) {
		tell_failure(file, line, text);
		print(" is 0x");
		print_number(value, 16);
		print(", not 0x");
		print_number(wanted, 16);
		print("\n");
	}
	has_failed = has_failed || value != wanted;
}

void payload_skip(const char *why)
{
	skipped = why;
}

static void run(unsigned index)
{
	has_failed = false;
	skipped = NULL;
	trap_install();
	payloads[index].run();
	trap_remove();
	print(has_failed ? "not ok " : "ok ");
	print_number(index + 1, 10);
	print(" - ");
	for (const char *name = payloads[index].name; *name; name++)
		print((char[]){ *name == '_' ? ' ' : *name, '\0' });
	if (skipped) {
		print(" # SKIP ");
		print(skipped);
	}
	print("\n");
}

/* ---- The machine ----------------------------------------------------------- */

static void count_cpus(void)
{
	EFI_GUID guid = MP_SERVICES_GUID;
	struct mp_services *services;
	UINTN count = 1, enabled;

	if (!EFI_ERROR(BS->LocateProtocol(&guid, NULL, (void **)&services)))
		services->get_number_of_processors(services, &count, &enabled);
	machine.cpu_count = count;
}

#define SLUICE_SIZE (64 << 20)	/* memory =, as test_payloads.py says */

/* What an operating system sees of it: memory that is reserved. */
static void find_sluice(void)
{
	UINTN size, key, step;
	UINT32 version;
	EFI_MEMORY_DESCRIPTOR *map = LibMemoryMap(&size, &key, &step, &version);

	for (UINTN i = 0; i < size; i++) {
		EFI_MEMORY_DESCRIPTOR *at = (void *)((u8 *)map + i * step);
		u64 bytes = at->NumberOfPages * EFI_PAGE_SIZE;

		if (at->Type == EfiReservedMemoryType && bytes == SLUICE_SIZE &&
		    is_aligned(at->PhysicalStart, 2 << 20)) {
			machine.sluice_base = at->PhysicalStart;
			machine.sluice_size = bytes;
		}
	}
}

/* NULL: there is no such memory. */
static u8 *take_pages(UINTN count, EFI_PHYSICAL_ADDRESS below)
{
	EFI_PHYSICAL_ADDRESS address = below - 1;

	if (EFI_ERROR(BS->AllocatePages(AllocateMaxAddress, EfiLoaderData,
					count, &address)))
		return NULL;
	return (u8 *)address;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	InitializeLib(image, table);
	count_cpus();
	find_sluice();
	machine.low_page = take_pages(1, 0xa0000);
	machine.pages = take_pages(PAYLOAD_PAGES, 1ull << 32);
	print("\nTAP version 13\n1..");
	print_number(ARRAY_COUNT(payloads), 10);
	print("\n");
	for (unsigned i = 0; i < ARRAY_COUNT(payloads); i++)
		run(i);
	print("# done\n");
	RT->ResetSystem(EfiResetShutdown, EFI_SUCCESS, 0, NULL);
	return EFI_SUCCESS;
}
