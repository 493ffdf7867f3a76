/* SPDX-License-Identifier: BSD-2-Clause */
/* The last words. */
#include <stdarg.h>
#include <stdio.h>

#include "last_words_init.h"
#include "log.h"
#include "panic.h"
#include "x86/cpu.h"
#include "x86/smp.h"

static HOT_DATA u32 is_on;

bool panic_is_on(void)
{
	return __atomic_load_n(&is_on, __ATOMIC_RELAXED);
}

void panic(const char *format, ...)
{
	char text[200];
	va_list arguments;

	/* The first one speaks: others may have tripped over its mistake. */
	if (__atomic_exchange_n(&is_on, 1, __ATOMIC_SEQ_CST))
		cpu_halt();
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	log_error("panic: %s", text);
	last_words_write();
	log_error("panic: every CPU is stopped; please report the lines above");
	smp_stop_others();
	cpu_halt();
}
