/* SPDX-License-Identifier: BSD-2-Clause */
/* What is to be done later is done once, in order, not too early. */
#include "bits.h"
#include "clock.h"
#include "test.h"
#include "timer.h"

static u64 now_us;
static char fired[16];
static u32 fired_count;

u64 clock_now_us(void)
{
	return now_us;
}

struct letter {
	struct timer timer;
	char name;
	u64 again_us;		/* 0: once */
};

static void fire(struct timer *timer)
{
	struct letter *letter = container_of(timer, struct letter, timer);

	fired[fired_count++] = letter->name;
	if (letter->again_us)
		timer_set(timer, now_us + letter->again_us);
}

static struct letter a = { .timer.fire = fire, .name = 'a' };
static struct letter b = { .timer.fire = fire, .name = 'b' };
static struct letter c = { .timer.fire = fire, .name = 'c' };

static void check_at(u64 us, const char *expected)
{
	now_us = us;
	timer_run();
	CHECK_STR(fired, expected);
}

TEST(timers_fire_once_in_order_of_their_deadlines)
{
	CHECK(!timer_is_pending());
	timer_set(&a.timer, 300);
	timer_set(&b.timer, 100);
	timer_set(&c.timer, 200);
	CHECK(timer_is_pending());
	check_at(99, "");
	check_at(100, "b");
	check_at(1000, "bca");
	CHECK(!timer_is_pending());
	check_at(2000, "bca");
}

TEST(a_timer_that_is_set_again_has_its_last_deadline)
{
	timer_set(&a.timer, 100);
	timer_set(&b.timer, 150);
	timer_set(&a.timer, 200);
	check_at(150, "b");
	timer_set(&a.timer, 160);
	check_at(160, "ba");
	CHECK(!timer_is_pending());
}

TEST(a_timer_may_set_itself_again)
{
	a.again_us = 10;
	timer_set(&a.timer, 10);
	check_at(10, "a");
	check_at(19, "a");
	check_at(50, "aa");
	CHECK(timer_is_pending());
}

TEST(one_that_is_late_does_not_keep_the_others)
{
	a.again_us = 1;
	timer_set(&a.timer, 10);
	timer_set(&b.timer, 10);
	check_at(1000, "ab");
}
