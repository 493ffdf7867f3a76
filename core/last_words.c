/* SPDX-License-Identifier: BSD-2-Clause */
/* The last words of this Sluice, and of the one before it. */
#include <string.h>

#include "bits.h"
#include "boot_info.h"
#include "last_words_init.h"
#include "log.h"
#include "status.h"
#include "x86/cpu.h"

static struct last_words *mine;
static char previous[LAST_WORDS_MAX];
static u32 previous_size;

void last_words_init(const struct boot_info *info)
{
	u64 end = info->memory_base + info->memory_size;

	mine = (struct last_words *)(end - sizeof(*mine));
	previous_size = MIN(info->last_words_size, LAST_WORDS_MAX);
	memcpy(previous, info->last_words, previous_size);
	if (previous_size)
		log_warn("the run before this one ended in a panic: sluicectl "
			 "panic-log has its last words");
}

/* A reset throws away what the caches have not written. */
void last_words_write(void)
{
	u64 end = log_end(), from = end - MIN(end, LAST_WORDS_MAX);

	if (!mine)
		return;
	memset(mine, 0, sizeof(*mine));
	mine->size = log_read(&from, mine->text, LAST_WORDS_MAX);
	mine->checksum = last_words_checksum(mine);
	memcpy(mine->magic, LAST_WORDS_MAGIC, sizeof(mine->magic));
	cpu_write_back_caches();
}

u32 status_read_panic_log(u64 from, void *to, u32 size)
{
	u32 count;

	if (from >= previous_size)
		return 0;
	count = MIN(size, previous_size - from);
	memcpy(to, previous + from, count);
	return count;
}
