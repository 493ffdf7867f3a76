/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preloaded into fio: an exit before each submission. CPUID leaves for every
 * hypervisor, and no handler is shorter than its.
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

	if (!submit)
		*(void **)&submit = dlsym(RTLD_NEXT, "io_submit");
	__cpuid(0, a, b, c, d);
	return submit(context, count, commands);
}
