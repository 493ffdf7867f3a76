/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What newlib asks of a system below it. There are no files, no processes
 * and no standard streams: text goes to the log, an exit is our own mistake.
 * malloc() lives in one arena and is for one CPU at a time: at set-up time,
 * later in the attach() of a device, under the lock of config space.
 */
#include <errno.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "log.h"
#include "page.h"

#define HEAP_PAGES 64
#define HEAP_SIZE (HEAP_PAGES * PAGE_SIZE)

void *sbrk(ptrdiff_t increment);
int write(int file, const char *text, int size);
int read(int file, char *to, int size);
int close(int file);
int fstat(int file, struct stat *out);
int isatty(int file);
off_t lseek(int file, off_t offset, int from);
int getpid(void);
int kill(int process, int signal);
_Noreturn void _exit(int status);

/* A decrement below 0 wraps and is refused as well. */
void *sbrk(ptrdiff_t increment)
{
	static char *heap;
	static size_t used;

	if (!heap)
		heap = page_alloc(HEAP_PAGES);
	if (!heap || used + increment > HEAP_SIZE) {
		errno = ENOMEM;
		return (void *)-1;
	}
	used += increment;
	return heap + used - increment;
}

int write(int file, const char *text, int size)
{
	int length = size;

	while (length > 0 && text[length - 1] == '\n')
		length--;
	if (length > 0)
		log_info("libc: %.*s", length, text);
	return size;
}

int read(int file, char *to, int size)
{
	return 0;
}

int close(int file)
{
	errno = EBADF;
	return -1;
}

int fstat(int file, struct stat *out)
{
	*out = (struct stat){ .st_mode = S_IFCHR };
	return 0;
}

int isatty(int file)
{
	return 1;
}

off_t lseek(int file, off_t offset, int from)
{
	errno = ESPIPE;
	return -1;
}

int getpid(void)
{
	return 1;
}

/* abort() and failed assertions come here. */
int kill(int process, int signal)
{
	panic("libc: signal %d", signal);
}

_Noreturn void _exit(int status)
{
	panic("libc: exit %d", status);
}
