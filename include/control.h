/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control channel: how a program of the operating system talks to
 * Sluice, by two vendor specific admin commands and a log page of any NVMe
 * controller that Sluice stands before. The device never sees them. Linux
 * lets root send them (NVME_IOCTL_ADMIN_CMD); no kernel module is needed:
 *
 *	nvme get-log /dev/nvme0 -i 0xef -S 0x4c53 -l 256
 *	nvme admin-passthru /dev/nvme0 -o 0xc2 -r -l 4096 \
 *		--cdw10=1024 --cdw12=0x43554c53 --cdw13=0x10100
 *
 * Both commands have the standard format of a vendor's (NVMe 1.4, 4.2.1):
 * CDW10 is the number of dwords transferred, CDW11 is 0. CDW12 has to be
 * CONTROL_MAGIC: without it, the opcode is the drive's own, and is treated
 * as if Sluice knew nothing of it. CDW13 says the version of this page, the
 * verb and whom it is for: 0, Sluice itself, or a plug-in by the target that
 * CONTROL_PLUGINS tells. All numbers are little-endian.
 *
 *	CONTROL_QUESTION  The answer is a struct control_answer and the items
 *		after it, together at most CONTROL_DATA_MAX bytes and what
 *		CDW10 has room for; the rest is zeros. CDW14 and CDW15 (its
 *		upper half) are the cursor: the item to begin with, from 0.
 *		Whoever wants all asks again from `next` on until `size` is 0.
 *	CONTROL_ORDER  The data is a line of text, at most CONTROL_TEXT_MAX
 *		bytes; CDW14 says its length, and CDW15 is 0. Success: it is
 *		done, or well on its way. CONTROL_REFUSED: the question
 *		CONTROL_WHY answers with the reason.
 *
 * The log page answers the questions for Sluice itself without the header:
 * LSI (CDW11 31:16) is CONTROL_LOG_MAGIC, LSP (CDW10 11:8) the verb, the
 * offset a multiple of the item's size; what there is not reads as zeros. At
 * most CONTROL_PAGE_MAX bytes at a time.
 *
 * Structures grow into their reserved bytes, which are zeros. Anything else
 * that changes counts up CONTROL_VERSION.
 */
#ifndef SLUICE_CONTROL_H
#define SLUICE_CONTROL_H

#include "types.h"

#define CONTROL_VERSION 1

#define CONTROL_ORDER 0xc1
#define CONTROL_QUESTION 0xc2
#define CONTROL_LOG_PAGE 0xef

#define CONTROL_MAGIC 0x43554c53u	/* "SLUC" in memory */
#define CONTROL_LOG_MAGIC 0x4c53u	/* "SL" */

/* CDW13 */
#define CONTROL_CDW13_TARGET 0x000000ffu
#define CONTROL_CDW13_VERB 0x0000ff00u
#define CONTROL_CDW13_VERSION 0xffff0000u

#define CONTROL_DATA_MAX 4096u
#define CONTROL_PAGE_MAX 65536u
#define CONTROL_TEXT_MAX 1023u

/* Statuses of a type of their own, vendor specific; always with DNR. */
#define CONTROL_REFUSED 0x7c0u		/* see CONTROL_WHY */
#define CONTROL_UNKNOWN 0x7c1u		/* no such target, verb or version */
#define CONTROL_FORBIDDEN 0x7c2u	/* `control =` in sluice.conf */

/* Questions for Sluice itself, and their items. */
enum control_verb {
	CONTROL_IDENTITY,	/* one struct control_identity */
	CONTROL_STATUS,		/* one struct control_status */
	CONTROL_CPUS,		/* struct control_cpu, by number */
	CONTROL_CONTROLLERS,	/* struct control_controller, by number */
	CONTROL_PLUGINS,	/* struct control_plugin, of this controller */
	CONTROL_LOG,		/* bytes of text, counted since launch */
	CONTROL_WHY,		/* bytes: why the last order to this controller
				 * was refused */
	CONTROL_PANIC_LOG,	/* bytes: the end of the log of the run
				 * before, if that panicked */
	CONTROL_VERBS,
};

/*
 * Questions for a plug-in. Other verbs are its own. Its text is lines of
 * KEY=VALUE words with a tab between; a cursor counts lines.
 */
#define CONTROL_LIST 0

struct control_answer {
	u32 magic;		/* CONTROL_MAGIC */
	u16 version;		/* CONTROL_VERSION */
	u16 reserved;
	u32 size;		/* bytes that follow */
	u32 reserved2;
	u64 first;		/* what they begin with; later than the cursor:
				 * what is between has been lost */
	u64 next;		/* the cursor to go on with */
};

struct control_identity {
	u32 magic;
	u16 version;
	u16 reserved;
	char sluice[64];	/* what `git describe` said */
	char controller[16];	/* "nvme0": Sluice's name of this one */
	u8 reserved2[168];
};

struct control_status {
	u64 uptime_us;
	u64 memory_size, memory_free;	/* bytes */
	u64 log_first, log_end;		/* cursors */
	u32 cpu_count, controller_count;
	u32 fails_closed;		/* fail = closed */
	u8 reserved[204];
};

/* Why the processor left the guest. */
enum control_exit {
	CONTROL_EXIT_OTHER,
	CONTROL_EXIT_MEMORY,		/* a page that is trapped */
	CONTROL_EXIT_CPUID,
	CONTROL_EXIT_MSR,
	CONTROL_EXIT_IO,
	CONTROL_EXIT_INTERRUPT,
	CONTROL_EXIT_INVD,
	CONTROL_EXIT_HIDDEN,		/* instructions that are not shown */
	CONTROL_EXIT_SHUTDOWN,
	CONTROL_EXIT_UNKNOWN,
	CONTROL_EXITS,
};

struct control_cpu {
	u32 index, apic_id;
	u64 exits[16];			/* by enum control_exit */
	u8 reserved[120];
};

struct control_controller {
	char name[16], serial[32], model[48];
	u32 state;			/* 0: disabled, 1: ready, 2: between */
	u32 namespace_count;
	u32 transfer_max;		/* bytes */
	u32 queues_max;			/* I/O pairs the guest may have */
	u32 relayed_count, direct_count;	/* completion queues */
	u64 fetched[2];			/* commands of the guest: admin, I/O */
	u64 carried[2];			/* of their answers, Sluice's: not the
					 * device's, or later than its */
	u64 own;			/* Sluice's commands to the device */
	u64 resets;			/* times the guest has enabled it */
	u64 unsafe;			/* addresses refused */
	u8 reserved[336];
};

enum control_plugin_flags {
	CONTROL_PLUGIN_ASKS = 1,	/* takes questions */
	CONTROL_PLUGIN_ORDERS = 2,
	CONTROL_PLUGIN_OFF = 4,		/* could not start; fail = open */
	CONTROL_PLUGIN_COMPLETIONS = 8,	/* its queues are relayed */
};

struct control_plugin {
	u32 target;
	u32 flags;
	char name[24];
	u8 reserved[32];
};

_Static_assert(sizeof(struct control_answer) == 32, "control_answer");
_Static_assert(sizeof(struct control_identity) == 256, "control_identity");
_Static_assert(sizeof(struct control_status) == 256, "control_status");
_Static_assert(sizeof(struct control_cpu) == 256, "control_cpu");
_Static_assert(sizeof(struct control_controller) == 512,
	       "control_controller");
_Static_assert(sizeof(struct control_plugin) == 64, "control_plugin");

#endif
