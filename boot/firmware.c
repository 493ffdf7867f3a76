/* SPDX-License-Identifier: BSD-2-Clause */
/* The few services of the firmware that the loader uses (UEFI 2.10, PI 1.7). */
#include <errno.h>

#include "bits.h"
#include "firmware.h"
#include "last_words.h"
#include "ram.h"
#include "spec/uefi.h"

#define ALIGNMENT (2ull << 20)
#define NVME_CLASS 0x010802	/* NVM Express 1.4, 2.1.5 */
#define STALL_US 10000
#define STALL_ROUNDS 5
#define SECOND 10000000ull	/* in the 100 ns units of timers, 7.1 */
#define PATIENCE_S 10

/* ---- Memory ------------------------------------------------------------ */

/* The firmware aligns to pages only: ask for more, hand back both ends. */
int firmware_reserve(u64 size, u64 *base)
{
	u64 start, slack = ALIGNMENT - PAGE_SIZE;
	EFI_STATUS status;

	status = BS->AllocatePages(AllocateAnyPages, EfiReservedMemoryType,
				   (size + slack) / PAGE_SIZE, &start);
	if (EFI_ERROR(status)) {
		Print(L"sluice: no %ld MiB of memory: %r\n", size >> 20,
		      status);
		return -ENOMEM;
	}
	*base = align_up(start, ALIGNMENT);
	firmware_unreserve(start, *base - start);
	firmware_unreserve(*base + size, start + slack - *base);
	return 0;
}

void firmware_unreserve(u64 base, u64 size)
{
	if (size)
		BS->FreePages(base, size / PAGE_SIZE);
}

/*
 * Memory for what follows is what can be cached as memory: some firmware
 * reserves ranges of registers (ECAM, say) with the type it reserves RAM by.
 */
static bool is_ram(const EFI_MEMORY_DESCRIPTOR *range)
{
	return range->Type != EfiUnusableMemory &&
	       range->Type != EfiMemoryMappedIO &&
	       range->Type != EfiMemoryMappedIOPortSpace &&
	       range->Attribute & EFI_MEMORY_WB;
}

/* What the next one may use, and so can read. */
static bool is_free(const EFI_MEMORY_DESCRIPTOR *range)
{
	return range->Type == EfiConventionalMemory ||
	       range->Type == EfiBootServicesData ||
	       range->Type == EfiLoaderData;
}

void firmware_find_last_words(struct boot_info *info)
{
	UINTN count, key, size;
	UINT32 version;
	u8 *map = (u8 *)LibMemoryMap(&count, &key, &size, &version);

	for (UINTN i = 0; map && i < count; i++) {
		EFI_MEMORY_DESCRIPTOR *range = (void *)(map + i * size);

		if (is_free(range))
			last_words_look(info, range->PhysicalStart,
					range->NumberOfPages * PAGE_SIZE);
	}
	if (map)
		FreePool(map);
}

static int describe_ram(struct boot_info *info)
{
	UINTN count, key, size;
	UINT32 version;
	u8 *map = (u8 *)LibMemoryMap(&count, &key, &size, &version);
	int error = map ? 0 : -ENOMEM;

	info->ram_count = 0;
	for (UINTN i = 0; !error && i < count; i++) {
		EFI_MEMORY_DESCRIPTOR *range = (void *)(map + i * size);

		if (is_ram(range))
			error = ram_add(info, range->PhysicalStart,
					range->NumberOfPages * PAGE_SIZE);
	}
	if (map)
		FreePool(map);
	if (error)
		Print(L"sluice: memory map: too many separate ranges\n");
	return error;
}

/* ---- Tables, time ------------------------------------------------------ */

static u64 find_rsdp(void)
{
	EFI_GUID guids[] = { ACPI_20_TABLE_GUID, ACPI_TABLE_GUID };
	void *rsdp;

	for (size_t i = 0; i < ARRAY_COUNT(guids); i++)
		if (!EFI_ERROR(LibGetSystemConfigurationTable(&guids[i],
							      &rsdp)))
			return (u64)rsdp;
	return 0;
}

/* Interrupts and system management only lengthen a stall: the shortest of
 * several is the best. */
static u64 measure_tsc_hz(void)
{
	u64 shortest = ~0ull;

	for (int i = 0; i < STALL_ROUNDS; i++) {
		u64 start = __builtin_ia32_rdtsc();

		BS->Stall(STALL_US);
		shortest = MIN(shortest, __builtin_ia32_rdtsc() - start);
	}
	return shortest * (1000000 / STALL_US);
}

/* ---- Processors -------------------------------------------------------- */

/* NULL where there is one processor only, as far as the firmware knows. */
static struct mp_services *mp_services(void)
{
	EFI_GUID guid = MP_SERVICES_GUID;
	void *services;

	if (EFI_ERROR(LibLocateProtocol(&guid, &services)))
		return NULL;
	return services;
}

static u32 count_cpus(void)
{
	struct mp_services *mp = mp_services();
	UINTN count, enabled_count;

	if (!mp || EFI_ERROR(mp->get_number_of_processors(mp, &count,
							  &enabled_count)))
		return 1;
	return (u32)enabled_count;
}

int firmware_on_other_cpus(void (EFIAPI *procedure)(void *), void *argument,
			   bool one_by_one)
{
	struct mp_services *mp = mp_services();
	EFI_STATUS status;

	if (!mp)
		return 0;
	status = mp->startup_all_aps(mp, procedure, one_by_one, NULL, 0,
				     argument, NULL);
	/* EFI_NOT_STARTED: there are none (PI 1.7, vol. 2, 13.4.3) */
	if (!EFI_ERROR(status) || status == EFI_NOT_STARTED)
		return 0;
	Print(L"sluice: the other processors do not start: %r\n", status);
	return -EIO;
}

int firmware_describe(struct boot_info *info)
{
	info->rsdp = find_rsdp();
	info->tsc_hz = measure_tsc_hz();
	info->cpu_count = count_cpus();
	return describe_ram(info);
}

/* ---- NVMe -------------------------------------------------------------- */

static EFI_HANDLE *nvme_handles;
static UINTN nvme_count;

static bool is_nvme(EFI_HANDLE handle)
{
	EFI_PCI_IO_PROTOCOL *pci;
	u32 revision_and_class;		/* PCI 3.0, 6.2.1: offset 8 */

	if (EFI_ERROR(BS->HandleProtocol(handle, &PciIoProtocol,
					 (void **)&pci)) ||
	    EFI_ERROR(pci->Pci.Read(pci, EfiPciIoWidthUint32, 8, 1,
				    &revision_and_class)))
		return false;
	return revision_and_class >> 8 == NVME_CLASS;
}

void firmware_release_nvme(void)
{
	EFI_STATUS status;
	UINTN count;

	if (EFI_ERROR(LibLocateHandle(ByProtocol, &PciIoProtocol, NULL,
				      &count, &nvme_handles)))
		return;
	for (UINTN i = 0; i < count; i++) {
		if (!is_nvme(nvme_handles[i]))
			continue;
		status = BS->DisconnectController(nvme_handles[i], NULL, NULL);
		if (EFI_ERROR(status))
			Print(L"sluice: an NVMe driver stays: %r\n", status);
		nvme_handles[nvme_count++] = nvme_handles[i];
	}
}

void firmware_return_nvme(void)
{
	for (UINTN i = 0; i < nvme_count; i++)
		BS->ConnectController(nvme_handles[i], NULL, NULL, TRUE);
	if (nvme_handles)
		FreePool(nvme_handles);
	nvme_handles = NULL;
	nvme_count = 0;
}

/* ---- The end ----------------------------------------------------------- */

_Noreturn void firmware_shut_down(void)
{
	ST->ConIn->Reset(ST->ConIn, FALSE);
	WaitForSingleEvent(ST->ConIn->WaitForKey, PATIENCE_S * SECOND);
	ST->RuntimeServices->ResetSystem(EfiResetShutdown, EFI_SUCCESS, 0,
					 NULL);
	for (;;)
		__asm__ volatile("hlt");
}
