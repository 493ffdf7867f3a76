/* SPDX-License-Identifier: BSD-2-Clause */
/* An admin command by way of the firmware's driver. */
#include <efi.h>
#include <efilib.h>

#include "nvme_pass.h"

#define PASS_GUID                                             \
	{                                                     \
		0x52c78312, 0x8edc, 0x4233,                   \
		{ 0x98, 0xf2, 0x1a, 0x1a, 0xa5, 0xe3, 0x88, 0xa5 } \
	}
#define TIMEOUT 50000000ull	/* of 100 ns */
#define ADMIN_QUEUE 0

struct completion {
	u32 dw[4];
};

struct packet {
	u64 timeout;
	void *data;
	u32 size;
	void *metadata;
	u32 metadata_size;
	u8 queue_type;
	struct nvme_pass_command *command;
	struct completion *completion;
};

struct pass_thru {
	void *mode;
	EFI_STATUS (EFIAPI *pass_thru)(struct pass_thru *this, u32 nsid,
				       struct packet *packet, EFI_EVENT event);
};

EFI_STATUS nvme_pass_admin(struct nvme_pass_command *command, void *data,
			   u32 size)
{
	EFI_GUID guid = PASS_GUID;
	struct completion completion = { { 0 } };
	struct packet packet = {
		.timeout = TIMEOUT, .data = data, .size = size,
		.queue_type = ADMIN_QUEUE, .command = command,
		.completion = &completion,
	};
	struct pass_thru *pass;
	EFI_STATUS status;

	status = BS->LocateProtocol(&guid, NULL, (void **)&pass);
	return EFI_ERROR(status) ? status :
		pass->pass_thru(pass, 0, &packet, NULL);
}
