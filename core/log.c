/* SPDX-License-Identifier: BSD-2-Clause */
/* The log's ring and its way to the console. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bits.h"
#include "clock.h"
#include "console.h"
#include "lock.h"
#include "log.h"
#include "log_init.h"
#include "panic.h"

#define LINE_MAX 240
#define RING_SIZE 65536
#define WINDOW_US 1000000
#define LINES_PER_WINDOW 10

static struct lock lock;
static enum log_level level_shown = LOG_INFO;

/* Found in a dump of the machine's memory by its magic. */
static struct {
	char magic[8];
	u64 end;		/* bytes ever written */
	char text[RING_SIZE];
} ring __attribute__((used)) = { .magic = "SLUICELG" };

void log_init(enum log_level level)
{
	level_shown = level;
}

static void ring_write(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		ring.text[ring.end++ % RING_SIZE] = text[i];
}

u64 log_end(void)
{
	return __atomic_load_n(&ring.end, __ATOMIC_RELAXED);
}

u64 log_first(void)
{
	u64 end = log_end();

	return end > RING_SIZE ? end - RING_SIZE : 0;
}

u32 log_read(u64 *from, void *to, u32 size)
{
	char *text = to;
	u32 count = 0;

	if (!panic_is_on())
		lock_acquire(&lock);
	*from = MAX(*from, log_first());
	while (count < size && *from + count < ring.end) {
		text[count] = ring.text[(*from + count) % RING_SIZE];
		count++;
	}
	if (!panic_is_on())
		lock_release(&lock);
	return count;
}

static size_t format_line(char line[LINE_MAX], enum log_level level,
			  const char *format, va_list arguments)
{
	static const char *const prefixes[] = { "error: ", "warning: ", "",
						"debug: " };
	u64 now = clock_now_us();
	int start, length;

	start = snprintf(line, LINE_MAX, "[%5llu.%06llu] sluice: %s",
			 (unsigned long long)(now / 1000000),
			 (unsigned long long)(now % 1000000), prefixes[level]);
	length = vsnprintf(line + start, LINE_MAX - start - 1, format,
			   arguments);
	length = start + MIN(length, LINE_MAX - start - 2);
	line[length++] = '\n';
	return length;
}

/* The terminal may be in raw mode: a newline needs its carriage return. */
static void show(const char *line, size_t size)
{
	console_write(line, size - 1);
	console_write("\r\n", 2);
}

static void log_arguments(enum log_level level, const char *format,
			  va_list arguments)
{
	char line[LINE_MAX];
	size_t size = format_line(line, level, format, arguments);

	/* After a panic nobody else runs, but may have held the lock. */
	if (!panic_is_on())
		lock_acquire(&lock);
	ring_write(line, size);
	show(line, size);
	if (!panic_is_on())
		lock_release(&lock);
}

void log_line(enum log_level level, const char *format, ...)
{
	va_list arguments;

	if (level > level_shown)
		return;
	va_start(arguments, format);
	log_arguments(level, format, arguments);
	va_end(arguments);
}

bool log_allowed(struct log_limit *limit)
{
	u64 now = clock_now_us();
	u32 dropped = limit->dropped_count;

	if (now - limit->window_us < WINDOW_US &&
	    limit->line_count >= LINES_PER_WINDOW) {
		limit->dropped_count++;
		return false;
	}
	if (now - limit->window_us >= WINDOW_US) {
		limit->window_us = now;
		limit->line_count = 0;
		limit->dropped_count = 0;
		if (dropped)
			log_warn("%u more lines like the next were left out",
				 dropped);
	}
	limit->line_count++;
	return true;
}
