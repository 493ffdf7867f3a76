/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the loader (boot/) tells the hypervisor (core/), and the calls it
 * makes into it. Both are built from this header and travel in one file, so
 * there is no version to negotiate.
 */
#ifndef SLUICE_BOOT_INFO_H
#define SLUICE_BOOT_INFO_H

#include "last_words.h"
#include "log.h"
#include "setting.h"
#include "types.h"

#define BOOT_RAM_RANGE_MAX 128
#define BOOT_SETTING_MAX 64
#define BOOT_PATH_MAX 256
#define BOOT_SECRET_MAX 8
#define BOOT_SECRET_SIZE 64
#define BOOT_VERSION_MAX 64

enum apic_policy { APIC_AUTO, APIC_TRAP, APIC_INTERCEPT };
enum log_sink { LOG_SINK_COM1, LOG_SINK_COM2, LOG_SINK_DEBUG, LOG_SINK_NONE };

/* The keys of sluice.conf that concern the loader or the core. */
struct config {
	char next[BOOT_PATH_MAX];		/* "": firmware's next entry */
	char next_options[BOOT_PATH_MAX];	/* load options of `next` */
	bool fail_closed;
	enum log_sink log_sink;
	enum log_level log_level;
	enum apic_policy apic;
	bool iommu_off;
	u32 memory_mib;				/* taken from the machine */
	u32 setting_count;
	struct setting settings[BOOT_SETTING_MAX];	/* everybody else's */
};

/* What a line of sluice.conf names and only the hypervisor may keep. */
struct boot_secret {
	u32 line;
	u32 size;
	u8 bytes[BOOT_SECRET_SIZE];
};

struct ram_range {
	u64 base, size;				/* bytes */
};

struct boot_info {
	/* Reserved memory: the relocated image first, free after it. */
	u64 memory_base, memory_size;		/* 2 MiB-aligned base */
	u64 image_size;
	u64 rsdp;				/* 0: firmware has none */
	u64 tsc_hz;
	u32 cpu_count;
	/* Everything the firmware calls memory, sorted, merged; includes
	 * Sluice's own range. */
	u32 ram_count;
	struct ram_range ram[BOOT_RAM_RANGE_MAX];
	char version[BOOT_VERSION_MAX];		/* of Sluice */
	/* Of the run before, if it panicked and the memory has kept it. */
	u32 last_words_size;
	char last_words[LAST_WORDS_MAX];
	struct config config;
	/* Wiped, here too, when the settings have been applied. */
	u32 secret_count;
	struct boot_secret secrets[BOOT_SECRET_MAX];
	/* Filled in by BOOT_PREPARE and BOOT_PROBE on failure: what is wrong
	 * and what to do, for the console. error_line: in sluice.conf, or 0. */
	u32 error_line;
	char error[256];
};

/*
 * The ELF's entry point is one function, called in the firmware's context
 * (identity-mapped, System V ABI):
 *
 *	long sluice_boot(enum boot_call call, struct boot_info *info);
 *
 * In this order; 0 or -Exxx. `info` stays where it is until the last launch.
 */
enum boot_call {
	BOOT_PROBE,	/* every CPU, before PREPARE: can it be virtualized?
			 * touches no state, needs no prepared image */
	BOOT_PREPARE,	/* BSP: settings, page tables; devices untouched */
	BOOT_ATTACH,	/* BSP: firmware's drivers have let go: take devices */
	BOOT_LAUNCH,	/* every CPU, the BSP last: returns as the guest */
};

typedef long (*sluice_boot_fn)(enum boot_call call, struct boot_info *info);

#endif
