// SPDX-License-Identifier: BSD-2-Clause
/*
 * Are the vector registers ours over direct I/O? `registers DEVICE COUNT`
 * writes and reads with all of them full, while a child on the same processor
 * does nothing but look at its own: what is computed at a doorbell meets the
 * one, at an interrupt the other. Prints which registers there are.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define REGISTERS 16
#define SIZE 16384
#define SPINS 1000000

struct file {
	unsigned char bytes[REGISTERS][32];
};

#define EACH(op, base)                                                    \
	op(0, base) op(1, base) op(2, base) op(3, base) op(4, base)       \
	op(5, base) op(6, base) op(7, base) op(8, base) op(9, base)       \
	op(10, base) op(11, base) op(12, base) op(13, base) op(14, base)  \
	op(15, base)
#define LOAD_YMM(n, base) "vmovups " #n "*32(%[" #base "]), %%ymm" #n "\n\t"
#define STORE_YMM(n, base) "vmovups %%ymm" #n ", " #n "*32(%[" #base "])\n\t"
#define LOAD_XMM(n, base) "movups " #n "*32(%[" #base "]), %%xmm" #n "\n\t"
#define STORE_XMM(n, base) "movups %%xmm" #n ", " #n "*32(%[" #base "])\n\t"

#define CLOBBERS                                                          \
	"rcx", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3",     \
	"xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", \
	"xmm12", "xmm13", "xmm14", "xmm15"

/* What is done with full registers. */
#define CALL "syscall\n\t"
#define SPIN "mov %%rdx, %%rcx\n1: dec %%rcx\n\tjnz 1b\n\t"
#define WITH_FULL(load, store, what)                                      \
	__asm__ volatile(EACH(load, from) what EACH(store, to)            \
			 : "+a"(result)                                   \
			 : [from] "r"(from), [to] "r"(to), "D"(fd),       \
			   "S"(data), "d"(size), "r"(r10)                 \
			 : CLOBBERS)

static bool has_ymm;

static long call(long number, int fd, void *data, struct file *from,
		 struct file *to)
{
	register long r10 __asm__("r10") = 0;	/* at the beginning */
	long result = number, size = SIZE;

	if (has_ymm)
		WITH_FULL(LOAD_YMM, STORE_YMM, CALL);
	else
		WITH_FULL(LOAD_XMM, STORE_XMM, CALL);
	return result;
}

static void spin(struct file *from, struct file *to)
{
	register long r10 __asm__("r10") = 0;
	long result = 0, size = SPINS;
	void *data = NULL;
	int fd = 0;

	if (has_ymm)
		WITH_FULL(LOAD_YMM, STORE_YMM, SPIN);
	else
		WITH_FULL(LOAD_XMM, STORE_XMM, SPIN);
}

static void fill(struct file *file, unsigned seed)
{
	for (size_t i = 0; i < sizeof(*file); i++)
		((unsigned char *)file)[i] = seed * 31 + i * 7 + 1;
}

static void check(const struct file *from, const struct file *to,
		  const char *who)
{
	size_t width = has_ymm ? 32 : 16;

	for (int i = 0; i < REGISTERS; i++)
		if (memcmp(from->bytes[i], to->bytes[i], width)) {
			printf("%s: register %d has changed\n", who, i);
			exit(1);
		}
}

static void look_on(volatile bool *is_over)
{
	struct file from, to;

	fill(&from, 99);
	while (!*is_over) {
		spin(&from, &to);
		check(&from, &to, "beside");
	}
	exit(0);
}

static void transfer(int fd, void *data, int count)
{
	struct file from, to;

	for (int i = 0; i < count; i++) {
		long number = i % 2 ? SYS_pread64 : SYS_pwrite64;

		fill(&from, i);
		memset(data, i | 1, SIZE);
		if (call(number, fd, data, &from, &to) != SIZE) {
			printf("the transfer has failed\n");
			exit(1);
		}
		check(&from, &to, "over I/O");
	}
}

int main(int argc, char **argv)
{
	cpu_set_t one;
	bool *is_over = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	void *data = aligned_alloc(SIZE, SIZE);
	int fd = argc == 3 ? open(argv[1], O_RDWR | O_DIRECT) : -1;
	int status = 1;

	if (fd < 0 || is_over == MAP_FAILED || !data)
		return 2;
	has_ymm = __builtin_cpu_supports("avx");
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	if (!fork())
		look_on(is_over);
	transfer(fd, data, atoi(argv[2]));
	*is_over = true;
	wait(&status);
	printf("%s\n", has_ymm ? "ymm" : "xmm");
	return status != 0;
}
