/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: subject, fact, numbers - "nvme0: sq3: tail 70 of 64". Lines go to
 * a memory ring and to the sink that `log=` names; level `log-level=` and
 * above only. Callable on any CPU in the hypervisor, with any lock held.
 */
#ifndef SLUICE_LOG_H
#define SLUICE_LOG_H

#include "types.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* One line, without its newline; longer than 200 characters is cut. */
void log_line(enum log_level level, const char *format, ...)
	__attribute__((cold, format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/*
 * The ring of lines, by the number of each byte since launch: the oldest that
 * is kept, and the next to be written.
 */
u64 log_first(void);
u64 log_end(void);
/* At most `size` bytes from `*from` on, which is moved up to what is kept:
 * as many as there are. */
u32 log_read(u64 *from, void *to, u32 size);

/*
 * What a guest can cause again and again is logged through a limit: at most
 * ten lines a second each, then one line with the number left out.
 */
struct log_limit {
	u64 window_us;
	u32 line_count;
	u32 dropped_count;
};

bool log_allowed(struct log_limit *limit) __attribute__((cold));

#define log_limited(level, ...)                          \
	do {                                             \
		static struct log_limit limit_;          \
		if (log_allowed(&limit_))                \
			log_line((level), __VA_ARGS__);  \
	} while (0)

/*
 * Our own mistake: say the value that surprised us, stop every CPU. Never
 * for anything the guest, the device or the firmware does.
 */
_Noreturn void panic(const char *format, ...)
	__attribute__((cold, format(printf, 1, 2)));

#define ASSERT(condition)                                              \
	do {                                                           \
		if (__builtin_expect(!(condition), 0))                 \
			panic("%s:%d: %s", __FILE__, __LINE__, #condition); \
	} while (0)

#endif
