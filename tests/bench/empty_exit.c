/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preloaded into fio: an exit after each submission, when the drive has the
 * commands. CPUID leaves for every hypervisor, and no handler is shorter.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <stddef.h>

int io_submit(void *context, long count, void **commands);

int io_submit(void *context, long count, void **commands)
{
	static int (*submit)(void *, long, void **);
	unsigned int a, b, c, d;
	int result;

	if (!submit)
		*(void **)&submit = dlsym(RTLD_NEXT, "io_submit");
	result = submit(context, count, commands);
	__cpuid(0, a, b, c, d);
	return result;
}
