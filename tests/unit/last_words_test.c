/* SPDX-License-Identifier: BSD-2-Clause */
/* Last words in memory: found once, and only when they are whole. */
#include <string.h>

#include "../../boot/last_words.h"
#include "last_words.h"
#include "test.h"

#define SIZE (4 * LAST_WORDS_STEP)

static struct boot_info info;
static _Alignas(LAST_WORDS_STEP) u8 memory[SIZE];

static struct last_words *put(u32 mib, const char *text)
{
	struct last_words *words = (void *)(memory +
		(mib + 1) * LAST_WORDS_STEP - PAGE_SIZE);

	memcpy(words->magic, LAST_WORDS_MAGIC, sizeof(words->magic));
	words->size = strlen(text);
	memcpy(words->text, text, words->size);
	words->checksum = last_words_checksum(words);
	return words;
}

static void start(void)
{
	memset(memory, 0, SIZE);
}

static void look(u64 from, u64 size)
{
	last_words_look(&info, (u64)memory + from, size);
}

TEST(words_are_found_at_the_end_of_a_mib)
{
	for (u32 mib = 0; mib < 4; mib++) {
		start();
		put(mib, "panic: seven\n");
		info.last_words_size = 0;
		look(0, SIZE);
		CHECK_EQ(info.last_words_size, 13);
		CHECK(!memcmp(info.last_words, "panic: seven\n", 13));
	}
}

TEST(words_are_found_once)
{
	start();
	put(2, "panic: seven\n");
	look(0, SIZE);
	info.last_words_size = 0;
	look(0, SIZE);
	CHECK_EQ(info.last_words_size, 0);
}

TEST(a_range_is_not_looked_at_past_its_ends)
{
	start();
	put(0, "one");
	put(2, "two");
	look(LAST_WORDS_STEP - PAGE_SIZE / 2, LAST_WORDS_STEP);
	look(2 * LAST_WORDS_STEP, LAST_WORDS_STEP - 1);
	look(0, 100);
	look(0, 0);
	CHECK_EQ(info.last_words_size, 0);
	look(LAST_WORDS_STEP - PAGE_SIZE, PAGE_SIZE);
	CHECK_EQ(info.last_words_size, 3);
}

TEST(what_is_not_whole_or_no_text_is_left_alone)
{
	struct last_words *words;

	start();
	put(0, "one")->checksum++;
	put(1, "two")->magic[15] = 'X';
	words = put(2, "three");
	words->size = ~0u;
	words->checksum = last_words_checksum(words);
	put(3, "\x1b[2Jfour");
	look(0, SIZE);
	CHECK_EQ(info.last_words_size, 0);
}
