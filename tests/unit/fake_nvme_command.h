/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the two files of the fake controller: carrying out a command. */
#ifndef FAKE_NVME_COMMAND_H
#define FAKE_NVME_COMMAND_H

#include "fake_nvme.h"

/* An NVMe status. */
u16 fake_execute_admin(const struct nvme_sqe *sqe, u32 *result);
u16 fake_execute_io(const struct fake_record *record);

#endif
