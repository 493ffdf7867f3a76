/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An overlay on a store, and the power fails: at every step of a piece of
 * work, and at any step of thousands of lives, each of which begins with what
 * the one before has left. What was flushed is there, what was not is there as
 * it was at some time since, the base is as it was, and a commit that was
 * begun comes to its end.
 */
#include "fake_world.h"
#include "test.h"

/* ---- Every step ---------------------------------------------------------- */

static void work(void)
{
	world_change(3, 40, false, false);
	world_flush();
	world_change(10, 3, false, false);
	world_change(60, 64, false, true);
	world_trim(20, 60);
	world_flush();
	world_change(11, 9, true, false);
	world_order_commit();
	world_change(100, 17, false, false);
	world_flush();
	while (world->commits)
		CHECK(power_step());
	world_change(5, 5, false, false);
	world_order_discard();
	world_change(690, 11, false, false);
	world_flush();
}

static void check_every_step(bool keeps, enum power_fate fate)
{
	static struct world before;
	u32 steps;

	world_make(keeps);
	CHECK(world_live(world_check, 0));
	before = *world;
	CHECK(world_live(work, 0));
	steps = world->drive.step_count;
	CHECK(steps > 60);
	for (u32 i = 1; i <= steps; i++) {
		u32 lives = world->lives;

		*world = before;
		world->lives = lives;
		world->drive.fate = fate;
		world->drive.random = i;
		if (!world_live(work, i) || !world_live(world_check, 0))
			FAIL("power failed at step %u of %u", i, steps);
	}
}

TEST(at_every_step_with_a_cache_that_gets_lost)
{
	check_every_step(true, FATE_NONE);
}

TEST(at_every_step_with_a_cache_that_is_kept)
{
	check_every_step(true, FATE_ALL);
}

TEST(at_every_step_with_a_cache_that_is_torn)
{
	check_every_step(true, FATE_CHANCE);
}

TEST(at_every_step_where_a_start_forgets)
{
	check_every_step(false, FATE_CHANCE);
}

/* ---- Any step ------------------------------------------------------------ */

static void do_anything(void)
{
	u32 count = 1 + power_random(&world->drive, 64);
	u32 block = power_random(&world->drive, BLOCKS - count);

	switch (power_random(&world->drive, 20)) {
	case 0 ... 7:
		world_change(block, count, false, false);
		break;
	case 8:
		world_change(block, count, false, true);
		break;
	case 9:
		world_change(block, count, true, false);
		break;
	case 10:
		world_trim(block, count);
		break;
	case 11 ... 13:
		world_check();
		break;
	case 14:
		if (!power_random(&world->drive, 4))
			world_order_commit();
		break;
	case 15:
		if (!power_random(&world->drive, 8))
			world_order_discard();
		break;
	default:
		world_flush();
	}
}

static void do_much(void)
{
	for (u32 i = 0; i < 400; i++) {
		if (!world_has_room())
			world_flush();
		do_anything();
	}
}

static void check_lives(bool keeps, u32 count)
{
	world_make(keeps);
	for (u32 i = 0; i < count; i++) {
		u32 long_life = i % 4 ? 150 : 1500;

		world->drive.random = i;
		world->drive.fate = power_random(&world->drive, 8) ?
			FATE_CHANCE : FATE_NONE;
		if (!world_live(do_much, 1 + power_random(&world->drive,
						    long_life)))
			FAIL("life %u", i);
	}
	fprintf(stderr, "%u lives, %u commits, %u discards\n", world->lives,
		world->commit_count, world->discard_count);
	CHECK(world->commit_count > count / 100);
	CHECK(world->discard_count > count / 100);
}

TEST(at_any_step_of_many_lives)
{
	check_lives(true, 1000);
}

TEST(at_any_step_of_many_lives_that_forget)
{
	check_lives(false, 500);
}
