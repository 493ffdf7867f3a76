/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log as tests see it: lines kept, also those of a process that a test
 * made, panics fatal. FAKE_LOG=1 prints.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fake_log.h"
#include "log.h"

static struct kept {
	char lines[64 * 1024];
	size_t used;
} *kept;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void keep(void)
{
	kept = mmap(NULL, sizeof(*kept), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (kept == MAP_FAILED)
		abort();
}

void log_line(enum log_level level, const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (getenv("FAKE_LOG"))
		fprintf(stderr, "[%d] %s\n", level, line);
	pthread_mutex_lock(&lock);
	if (kept->used + strlen(line) + 2 > sizeof(kept->lines))
		kept->used = 0;
	kept->used += sprintf(kept->lines + kept->used, "%s\n", line);
	pthread_mutex_unlock(&lock);
}

/* As many as are kept, from the first. */
u32 log_read(u64 *from, void *to, u32 size)
{
	u32 count = 0;

	while (count < size && *from + count < kept->used) {
		((char *)to)[count] = kept->lines[*from + count];
		count++;
	}
	return count;
}

bool log_allowed(struct log_limit *limit)
{
	return __atomic_fetch_add(&limit->line_count, 1, __ATOMIC_RELAXED) < 10;
}

bool fake_log_has(const char *text)
{
	return strstr(kept->lines, text);
}

/* Weak: a test may bring fake_panic.c. */
__attribute__((weak)) _Noreturn void panic(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}
