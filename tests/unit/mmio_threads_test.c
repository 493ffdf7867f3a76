/* SPDX-License-Identifier: BSD-2-Clause */
/* CPUs whose accesses exit while others come and go in the table. */
#include <pthread.h>

#include "../../core/mmio_dispatch.h"
#include "../../core/x86/cpu.h"
#include "../../core/x86/slat.h"
#include "../../core/x86/smp.h"
#include "barrier.h"
#include "test.h"

#define CPUS 3
#define ROUNDS 2000
#define STAYS 0x100000ull	/* between two that come and go */
#define OTHERS 500		/* behind them: a change takes its time */

int slat_set_access(gpa_t base, u64 size, enum slat_access access)
{
	return 0;
}

void smp_flush_all(void)
{
}

void smp_flush_later(void)
{
}

u64 cpu_physical_limit(void)
{
	return 1ull << 40;
}

static void handle(struct mmio_region *region, struct mmio_access *access)
{
	access->value = region->base.v + access->offset;
}

static struct mmio_region
	stays = { .name = "stays", .base = { STAYS }, .size = PAGE_SIZE,
		  .access = handle },
	below = { .name = "below", .base = { STAYS - PAGE_SIZE },
		  .size = PAGE_SIZE, .access = handle },
	above = { .name = "above", .base = { STAYS + PAGE_SIZE },
		  .size = PAGE_SIZE, .access = handle };
static bool is_over;

/* A place that was found is one to write to, or is looked for again. */
static bool access_at(gpa_t at, struct mmio_access *access)
{
	struct mmio_place place;

	if (at.v & 0x800) {
		access->is_write = true;
		if (mmio_find_place(at, &place) &&
		    mmio_write_at(&place, at, access))
			return true;
	}
	return mmio_dispatch(at, access);
}

/* What is trapped always is found always, and what comes and goes as itself
 * or not at all. */
static void *run_cpu(void *unused)
{
	while (!READ_ONCE(is_over))
		for (u64 at = STAYS - 0xff8; at < STAYS + 0x2000; at += 0x800) {
			struct mmio_access access = { .size = 4 };
			bool is_found = access_at(gpa(at), &access);

			CHECK(is_found || at / PAGE_SIZE != STAYS / PAGE_SIZE);
			CHECK_EQ(access.value, is_found ? at : 0);
		}
	return NULL;
}

TEST(a_region_is_found_while_its_neighbours_come_and_go)
{
	static struct mmio_region others[OTHERS];
	pthread_t cpus[CPUS];

	CHECK_EQ(mmio_register(&stays), 0);
	for (u32 i = 0; i < OTHERS; i++) {
		others[i] = stays;
		others[i].base.v += 2 * (i + 1) * PAGE_SIZE;
		CHECK_EQ(mmio_register(&others[i]), 0);
	}
	for (u32 i = 0; i < CPUS; i++)
		CHECK(!pthread_create(&cpus[i], NULL, run_cpu, NULL));
	for (u32 round = 0; round < ROUNDS; round++) {
		CHECK_EQ(mmio_register(&below), 0);
		CHECK_EQ(mmio_register(&above), 0);
		mmio_unregister(&below);
		mmio_unregister(&above);
	}
	WRITE_ONCE(is_over, true);
	for (u32 i = 0; i < CPUS; i++)
		CHECK(!pthread_join(cpus[i], NULL));
}
