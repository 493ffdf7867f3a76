/* SPDX-License-Identifier: BSD-2-Clause */
/* What a log line looks like, which are shown, and how many. */
#include <string.h>

#include "clock.h"
#include "console.h"
#include "log.h"
#include "log_init.h"
#include "panic.h"
#include "test.h"

static char shown[4096];
static size_t shown_size;
static u64 now_us;

u64 clock_now_us(void)
{
	return now_us;
}

void console_write(const char *text, size_t size)
{
	CHECK(shown_size + size < sizeof(shown));
	memcpy(shown + shown_size, text, size);
	shown_size += size;
	shown[shown_size] = '\0';
}

bool panic_is_on(void)
{
	return false;
}

static void start(enum log_level level)
{
	shown_size = 0;
	shown[0] = '\0';
	log_init(level);
}

static unsigned line_count(void)
{
	unsigned count = 0;

	for (const char *at = shown; (at = strstr(at, "\r\n")); at += 2)
		count++;
	return count;
}

TEST(a_line_says_when_who_and_how_bad)
{
	start(LOG_DEBUG);
	now_us = 12003456;
	log_info("nvme0: sq%u: tail %u of %u", 3u, 70u, 64u);
	CHECK_STR(shown,
		  "[   12.003456] sluice: nvme0: sq3: tail 70 of 64\r\n");
	start(LOG_DEBUG);
	now_us = 1;
	log_error("a");
	log_warn("b");
	log_debug("c");
	CHECK_STR(shown, "[    0.000001] sluice: error: a\r\n"
			 "[    0.000001] sluice: warning: b\r\n"
			 "[    0.000001] sluice: debug: c\r\n");
}

TEST(only_the_chosen_levels_are_shown)
{
	for (enum log_level level = LOG_ERROR; level <= LOG_DEBUG; level++) {
		start(level);
		log_error("e");
		log_warn("w");
		log_info("i");
		log_debug("d");
		CHECK_EQ(line_count(), level + 1u);
	}
}

TEST(a_long_line_is_cut_after_200_characters_and_still_ends)
{
	static const enum log_level levels[] = { LOG_ERROR, LOG_WARN, LOG_INFO,
						 LOG_DEBUG };
	char text[1000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	now_us = 99999ull * 1000000;
	for (size_t i = 0; i < 4; i++) {
		start(LOG_DEBUG);
		log_line(levels[i], "%s", text);
		CHECK_EQ(line_count(), 1);
		CHECK(strspn(strchr(shown, 'x'), "x") >= 200);
		CHECK(shown_size < 256);
	}
}

/* ---- Limits -------------------------------------------------------------- */

static void log_many(struct log_limit *limit, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (log_allowed(limit))
			log_info("again");
}

TEST(ten_lines_a_second_and_then_the_number_left_out)
{
	struct log_limit limit = { 0 };

	start(LOG_INFO);
	now_us = 5000000;
	log_many(&limit, 25);
	CHECK_EQ(line_count(), 10);
	start(LOG_INFO);
	now_us += 999999;
	log_many(&limit, 1);
	CHECK_EQ(line_count(), 0);
	now_us += 1;
	log_many(&limit, 1);
	CHECK_EQ(line_count(), 2);
	CHECK(strstr(shown, "16 more lines like the next were left out"));
}

TEST(each_place_that_logs_has_a_limit_of_its_own)
{
	start(LOG_INFO);
	now_us = 5000000;
	for (unsigned i = 0; i < 25; i++)
		log_limited(LOG_INFO, "again");
	log_limited(LOG_INFO, "another");
	CHECK_EQ(line_count(), 11);
	CHECK(strstr(shown, "another"));
}

TEST(a_quiet_second_leaves_nothing_out)
{
	struct log_limit limit = { 0 };

	start(LOG_INFO);
	for (int second = 0; second < 5; second++) {
		now_us += 1000000;
		log_many(&limit, 10);
	}
	CHECK_EQ(line_count(), 50);
	CHECK(!strstr(shown, "left out"));
}

TEST(the_ring_is_read_from_a_cursor)
{
	char text[100];
	u64 from = 0;
	u32 size;

	start(LOG_INFO);
	now_us = 0;
	log_info("one");
	size = log_read(&from, text, sizeof(text));
	CHECK_EQ(from, 0);
	CHECK_EQ(size, strlen("[    0.000000] sluice: one\n"));
	CHECK(!memcmp(text, "[    0.000000] sluice: one\n", size));
	from = size - 4;
	CHECK_EQ(log_read(&from, text, 2), 2);
	CHECK(!memcmp(text, "on", 2));
	from = size;
	CHECK_EQ(log_read(&from, text, sizeof(text)), 0);
	from = ~0ull;
	CHECK_EQ(log_read(&from, text, sizeof(text)), 0);
}

TEST(a_cursor_is_moved_up_to_what_is_kept)
{
	char text[8];
	u64 from = 0;

	for (int i = 0; i < 3000; i++) {
		start(LOG_INFO);
		log_info("line %d", i);
	}
	CHECK(log_end() > 65536);
	CHECK_EQ(log_end() - log_first(), 65536);
	CHECK_EQ(log_read(&from, text, sizeof(text)), sizeof(text));
	CHECK_EQ(from, log_first());
}
