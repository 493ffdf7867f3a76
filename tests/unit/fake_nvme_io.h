/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A double of nvme_io.h for plug-ins: controllers with namespaces in memory,
 * host requests that complete when the test says so, and a log that can be
 * searched. There is no chain and no queue: one plug-in is asked directly.
 */
#ifndef FAKE_NVME_IO_H
#define FAKE_NVME_IO_H

#include "types.h"

#include "nvme_io.h"

#define FAKE_NAMESPACE_MAX 4

struct fake_namespace {
	struct nvme_io_namespace info;
	u8 *disk;
};

/* Reads that touch block `lba` end with `status`. */
struct fake_fault {
	u64 lba;
	u16 status;
};

struct nvme_host {
	const char *name, *serial;
	struct fake_namespace namespaces[FAKE_NAMESPACE_MAX];
	u32 namespace_count;
	struct nvme_io_interceptor *interceptor;	/* once installed */
	u32 start_count;	/* calls of nvme_io_start_fetching_g_reqs() */
	struct fake_fault faults[2];
	bool refuses_requests;
	u32 read_count;		/* host requests completed */
};

struct nvme_request {
	struct nvme_io_command command;
	struct nvme_io_completion completion;
	struct nvme_host *host;
	bool was_finished;
	bool is_held, is_retried;
	u64 private;
};

/* Blocks of zeros; the disk is returned. In order of nsid. */
u8 *fake_add_namespace(struct nvme_host *host, u32 nsid, u64 n_lbas,
		       u32 lba_size);

/* The plug-in linked into this program. */
const struct nvme_io_plugin *fake_plugin(void);

/* Completes host requests, also those that callbacks submit, and sends what
 * is to be asked about again. */
void fake_complete_all(void);
void fake_complete_one(void);
u32 fake_pending_count(void);

/* What the guest is answered: NVME_IO_SUCCESS when the command passes. */
u16 fake_command(struct nvme_host *host, const struct nvme_io_command *cmd);
u16 fake_copy(struct nvme_host *host, const struct nvme_io_command *cmd,
	      const struct nvme_io_copy_source *sources, u32 n_sources);
u16 fake_discard(struct nvme_host *host, const struct nvme_io_command *cmd,
		 struct nvme_io_range *ranges, u32 n_ranges);

/* The same in two steps, for a command that may be held: asks the plug-in, and
 * again whenever it wants to be asked. */
void fake_send(struct nvme_host *host, struct nvme_request *req);

/* The plug-in's completion hook, where it asked for it. */
void fake_complete_command(struct nvme_host *host, struct nvme_request *req,
			   u16 status);

/* Lines that contain `text`; each begins with the host's name. */
u32 fake_log_count(const char *text);
void fake_log_clear(void);

/* nvme_io_ask_again(): how often, and what others do at once; or NULL. */
extern u32 fake_asked_again;
extern void (*fake_asking_again)(void);
extern u64 fake_now_us;

#endif
