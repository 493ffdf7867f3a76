/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_panic.h. */
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_panic.h"
#include "log.h"

#define PANIC_STATUS 99

void panic(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputs(": panic\n", stderr);
	_exit(PANIC_STATUS);
}

bool fake_panics(void (*attempt)(void))
{
	pid_t child;
	int status;

	fflush(stdout);
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		attempt();
		_exit(0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	return WIFEXITED(status) && WEXITSTATUS(status) == PANIC_STATUS;
}
