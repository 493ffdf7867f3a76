/* SPDX-License-Identifier: BSD-2-Clause */
/* EFI_NVM_EXPRESS_PASS_THRU_PROTOCOL (UEFI 2.10, 13.17), for one command. */
#ifndef SLUICE_NVME_PASS_H
#define SLUICE_NVME_PASS_H

#include <efi.h>

#include "types.h"

#define NVME_PASS_CDWS 0xfcu	/* flags: CDW10 to CDW15 are meant */

struct nvme_pass_command {
	u32 opcode;
	u8 flags;
	u32 nsid;
	u32 cdw2, cdw3, cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

/* To the first controller there is. */
EFI_STATUS nvme_pass_admin(struct nvme_pass_command *command, void *data,
			   u32 size);

#endif
