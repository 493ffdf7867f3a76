/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A double of nvme_io.h around one plug-in, with a drive that keeps what was
 * written but not flushed in a cache, until the power fails. Then each block
 * of it is on the disk, or is not, or is torn, as chance will have it.
 */
#ifndef FAKE_POWER_H
#define FAKE_POWER_H

#include "types.h"

#include "nvme_io.h"

#define POWER_LBAS 2048u
#define POWER_BLOCK 512u
#define POWER_CACHE 4096u		/* blocks */

/* The same for all processes: what outlives a machine. */
struct power_drive {
	u8 disk[POWER_LBAS * POWER_BLOCK];
	struct power_cached {
		u32 lba;
		u8 bytes[POWER_BLOCK];
	} cache[POWER_CACHE];
	u32 cached;
	u64 random;
	u32 steps_left;		/* until the power fails; 0: it does not */
	u32 step_count;
	/* How it treats what is in the cache when that happens. */
	enum power_fate { FATE_CHANCE, FATE_ALL, FATE_NONE } fate;
};

struct nvme_request {
	struct nvme_io_command command;
	struct nvme_host *host;
	u8 *bytes;
	bool is_over, is_held;
	u16 status;
	u64 private;
	struct nvme_io_range *ranges;
};

struct nvme_host {
	struct power_drive *drive;
	struct nvme_io_interceptor *interceptor;
	bool has_started;
	/* Extents by the label of their selector. */
	struct nvme_io_extent data, store;
	void (*said)(const char *line);
};
extern struct nvme_host power_host;

u32 power_random(struct power_drive *drive, u32 limit);

/* One thing happens. False: nothing is under way. */
bool power_step(void);
/* Sends a command: it may be over when this returns. */
void power_send(struct nvme_request *req);
/* What the disk has, or would have if all went well. */
void power_read(u32 lba, u8 *bytes, bool with_cache);
/* The plug-in is started as by a machine. Steps until it is ready. */
void power_start(void);

#endif
