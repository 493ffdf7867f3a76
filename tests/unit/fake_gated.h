/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's two disks with gate before them: namespace 1 has the partitions
 * "open" (blocks 40..99) and "data" (100..199) of 300 blocks, the table in
 * 0..33 and 267..299; namespace 2 has as many blocks and no table.
 */
#ifndef FAKE_GATED_H
#define FAKE_GATED_H

#include "fake_gpt.h"
#include "fake_nvme_io.h"
#include "test.h"

#define PASSED NVME_IO_SUCCESS
#define PROTECTED (NVME_IO_WRITE_PROTECTED | NVME_IO_DNR)
#define DENIED (NVME_IO_ACCESS_DENIED | NVME_IO_DNR)
#define NO_OPCODE (NVME_IO_INVALID_OPCODE | NVME_IO_DNR)
#define NO_FIELD (NVME_IO_INVALID_FIELD | NVME_IO_DNR)
#define NO_NAMESPACE (NVME_IO_INVALID_NAMESPACE | NVME_IO_DNR)
#define NO_CHANGE (NVME_IO_FEATURE_NOT_CHANGEABLE | NVME_IO_DNR)

extern struct nvme_host gated_host;	/* nvme0, with the serial QF0 */

struct fake_gpt gated_make(void);

/* The next line of sluice.conf, from 1: "gate = value". */
void gated_rule(const char *value);

/* The guest enables the controller. */
void gated_start(struct nvme_host *on);

/* The disks, one rule, and the start. */
struct fake_gpt gated_start_with(const char *rule);

/* Commands of the guest, and the status they are refused with. */
u16 gated_io(u8 opcode, u32 nsid, u64 lba, u32 n_lbas);
u16 gated_write(u64 lba, u32 n_lbas);
u16 gated_read(u64 lba, u32 n_lbas);
u16 gated_admin(u8 opcode, u32 nsid, u32 cdw10);

/* Around a Read (2) or Write (1) of this block, gate lets pass unseen what is
 * within [first, last]; first > last: nothing. */
bool gated_is_clear(u8 opcode, u64 lba, u64 first, u64 last);

#endif
