/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What libnettle.a expects of glibc and newlib does not have. It looks at the
 * environment when it chooses its code, and would print which; neither is
 * there.
 */
#include "firmware.h"
#include "gnu_efi.h"
#include "libc.h"
#include "spec/x86.h"
#include "types.h"

static u8 thread[64];
static u64 firmware_fs;

static u64 rdmsr(u32 msr)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (u64)high << 32 | low;
}

static void wrmsr(u32 msr, u64 value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)value),
			 "d"((u32)(value >> 32)) : "memory");
}

void libc_enter_thread(void)
{
	firmware_fs = rdmsr(MSR_FS_BASE);
	wrmsr(MSR_FS_BASE, (u64)thread);
}

void libc_leave_thread(void)
{
	wrmsr(MSR_FS_BASE, firmware_fs);
}

/* ---- By the names that the library uses -------------------------------- */

void *stderr;

char *getenv(const char *name);
char *secure_getenv(const char *name);
int __fprintf_chk(void *file, int flag, const char *format, ...);
size_t fwrite(const void *from, size_t size, size_t count, void *file);
_Noreturn void __stack_chk_fail(void);
_Noreturn void __assert_fail(const char *what, const char *file,
			     unsigned line, const char *function);

char *getenv(const char *name)
{
	(void)name;
	return NULL;
}

char *secure_getenv(const char *name)
{
	(void)name;
	return NULL;
}

int __fprintf_chk(void *file, int flag, const char *format, ...)
{
	(void)file;
	(void)flag;
	(void)format;
	return 0;
}

size_t fwrite(const void *from, size_t size, size_t count, void *file)
{
	(void)from;
	(void)size;
	(void)file;
	return count;
}

void __stack_chk_fail(void)
{
	Print(L"sluice: a key derivation overran its stack\n");
	firmware_shut_down();
}

void __assert_fail(const char *what, const char *file, unsigned line,
		   const char *function)
{
	(void)function;
	Print(L"sluice: %a:%d: %a\n", file, line, what);
	firmware_shut_down();
}
