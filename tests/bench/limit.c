/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * limit: what an exit costs a guest here, whoever the hypervisor is. CPUID
 * leaves for every hypervisor, and no handler is shorter than its.
 *
 *	limit touch ROUNDS PAGES	a CPUID, then PAGES pages touched
 *	limit read ROUNDS CPUIDS FILE	CPUIDs, then a read of 4 KiB
 *
 * Prints nanoseconds for one round.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define READABLE (32u << 20)

static unsigned long now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ul + time.tv_nsec;
}

static void leave(void)
{
	unsigned int a, b, c, d;

	__cpuid(0, a, b, c, d);
}

static char *pages(size_t count)
{
	char *memory = aligned_alloc(PAGE, (count + 1) * PAGE);

	if (!memory)
		err(1, "memory");
	memset(memory, 1, (count + 1) * PAGE);
	return memory;
}

static void touch(unsigned long rounds, size_t count)
{
	volatile char *memory = pages(count);

	while (rounds--) {
		leave();
		for (size_t i = 0; i < count; i++)
			memory[i * PAGE]++;
	}
}

static void read_blocks(unsigned long rounds, int cpuids, const char *path)
{
	int file = open(path, O_RDONLY | O_DIRECT);
	char *buffer = pages(0);

	if (file < 0)
		err(1, "%s", path);
	for (unsigned long i = 0; i < rounds; i++) {
		for (int n = 0; n < cpuids; n++)
			leave();
		if (pread(file, buffer, PAGE, i * PAGE % READABLE) != PAGE)
			err(1, "read");
	}
}

int main(int argc, char **argv)
{
	unsigned long rounds, started;

	if (argc < 4)
		errx(1, "touch ROUNDS PAGES | read ROUNDS CPUIDS FILE");
	rounds = strtoul(argv[2], NULL, 0);
	started = now_ns();
	if (argc == 5)
		read_blocks(rounds, atoi(argv[3]), argv[4]);
	else
		touch(rounds, strtoul(argv[3], NULL, 0));
	printf("%lu\n", (now_ns() - started) / rounds);
	return 0;
}
