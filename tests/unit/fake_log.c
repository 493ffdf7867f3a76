/* SPDX-License-Identifier: BSD-2-Clause */
/* The log as tests see it: lines kept, panics fatal. FAKE_LOG=1 prints. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_log.h"
#include "log.h"

static char lines[64 * 1024];
static size_t used;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

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
	if (used + strlen(line) + 2 > sizeof(lines))
		used = 0;
	used += sprintf(lines + used, "%s\n", line);
	pthread_mutex_unlock(&lock);
}

/* As many as are kept, from the first. */
u32 log_read(u64 *from, void *to, u32 size)
{
	u32 count = 0;

	while (count < size && *from + count < used) {
		((char *)to)[count] = lines[*from + count];
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
	return strstr(lines, text);
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
