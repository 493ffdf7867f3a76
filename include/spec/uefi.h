/* SPDX-License-Identifier: BSD-2-Clause */
/* What gnu-efi leaves out: UEFI PI 1.7, volume 2. Needs gnu-efi's <efi.h>. */
#ifndef SLUICE_SPEC_UEFI_H
#define SLUICE_SPEC_UEFI_H

#include <efi.h>

/* EFI_MP_SERVICES_PROTOCOL, 13.4; only the members that are called. */
#define MP_SERVICES_GUID                                                  \
	{                                                                 \
		0x3fdda605, 0xa76e, 0x4f46,                               \
		{ 0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08 }        \
	}

struct mp_services {
	EFI_STATUS (EFIAPI *get_number_of_processors)(	/* 13.4.1 */
		struct mp_services *this, UINTN *count, UINTN *enabled_count);
	void *get_processor_info;
	EFI_STATUS (EFIAPI *startup_all_aps)(		/* 13.4.3 */
		struct mp_services *this, void (EFIAPI *procedure)(void *),
		BOOLEAN single_thread, EFI_EVENT wait_event, UINTN timeout_us,
		void *argument, UINTN **failed_cpus);
};

#endif
