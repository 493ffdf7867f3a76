/* SPDX-License-Identifier: BSD-2-Clause */
/* What belongs to an overlay's log, and which chunks of its store are free. */
#include <string.h>

#include "../../drivers/nvme/interceptors/overlay_log.h"
#include "../../drivers/nvme/interceptors/overlay_space.h"
#include "test.h"

static struct overlay_log_page pages[2];

static void seal(u32 index, u64 generation, u64 content, u64 chain)
{
	struct overlay_log_page *page = &pages[index];

	memset(page, 0, sizeof(*page));
	page->head = (struct overlay_log_head){
		.magic = OVERLAY_LOG_MAGIC, .generation = generation,
		.index = index, .count = 2,
	};
	page->runs[0].first = content;
	page->head.checksum = overlay_log_checksum(page, chain);
}

static bool continues(u32 index, u64 generation, u64 chain)
{
	struct overlay_log_head head = {
		.generation = generation, .index = index,
	};

	return overlay_log_continues(&pages[index], &head, chain);
}

TEST(a_page_continues_the_log_that_it_was_written_to)
{
	seal(0, 7, 1, OVERLAY_LOG_MAGIC);
	seal(1, 7, 2, pages[0].head.checksum);
	CHECK(continues(0, 7, OVERLAY_LOG_MAGIC));
	CHECK(continues(1, 7, pages[0].head.checksum));
	CHECK(!continues(0, 8, OVERLAY_LOG_MAGIC));
	CHECK(!continues(1, 7, OVERLAY_LOG_MAGIC));
}

TEST(what_an_earlier_attempt_has_left_continues_no_other)
{
	seal(0, 7, 1, OVERLAY_LOG_MAGIC);
	seal(1, 7, 2, pages[0].head.checksum);
	seal(0, 7, 3, OVERLAY_LOG_MAGIC);
	CHECK(!continues(1, 7, pages[0].head.checksum));
}

TEST(a_byte_that_is_another_makes_it_none)
{
	u8 *bytes = (u8 *)&pages[0];

	seal(0, 7, 1, OVERLAY_LOG_MAGIC);
	for (u32 i = 0; i < sizeof(pages[0]); i++) {
		bytes[i] ^= 0x10;
		CHECK(!continues(0, 7, OVERLAY_LOG_MAGIC));
		bytes[i] ^= 0x10;
	}
	CHECK(continues(0, 7, OVERLAY_LOG_MAGIC));
}

TEST(a_count_beyond_the_page_is_none)
{
	seal(0, 7, 1, OVERLAY_LOG_MAGIC);
	pages[0].head.count = OVERLAY_LOG_RUNS + 1;
	pages[0].head.checksum =
		overlay_log_checksum(&pages[0], OVERLAY_LOG_MAGIC);
	CHECK(!continues(0, 7, OVERLAY_LOG_MAGIC));
}

#define FIRST 70u
#define COUNT 300u

static u64 used[5], dropped[5];
static struct overlay_space space;

static u32 take_all(u32 wanted)
{
	u32 sum = 0, got;

	while (overlay_space_take(&space, wanted, &got)) {
		CHECK(got && got <= wanted);
		sum += got;
	}
	return sum;
}

TEST(each_chunk_is_given_once)
{
	overlay_space_init(&space, used, dropped, FIRST, COUNT);
	CHECK_EQ(take_all(7), COUNT - FIRST);
	CHECK_EQ(space.free_count, 0);
	CHECK(!overlay_space_mark(&space, FIRST));
}

TEST(what_is_given_up_is_free_when_it_is_reclaimed)
{
	u32 got;

	overlay_space_init(&space, used, dropped, FIRST, COUNT);
	take_all(64);
	for (u32 i = FIRST; i < COUNT; i += 2)
		overlay_space_drop(&space, i);
	CHECK_EQ(overlay_space_take(&space, 1, &got), 0);
	overlay_space_reclaim(&space);
	CHECK_EQ(space.free_count, (COUNT - FIRST) / 2);
	CHECK_EQ(take_all(64), (COUNT - FIRST) / 2);
}

TEST(what_the_log_says_is_marked_once_and_only_where_chunks_are)
{
	overlay_space_init(&space, used, dropped, FIRST, COUNT);
	CHECK(!overlay_space_mark(&space, FIRST - 1));
	CHECK(!overlay_space_mark(&space, COUNT));
	CHECK(overlay_space_mark(&space, COUNT - 1));
	CHECK(!overlay_space_mark(&space, COUNT - 1));
	CHECK_EQ(take_all(1000), COUNT - FIRST - 1);
}
