/* SPDX-License-Identifier: BSD-2-Clause */
/* What is kept is what would be decoded. */
#include <string.h>

#include "test.h"
#include "x86/insn_cache.h"

static struct insn_cache cache;
static u8 code[INSN_CACHE_BYTES];

static const struct insn *decode(u64 rip, const char *bytes, size_t count,
				 enum insn_mode mode)
{
	memset(code, 0, sizeof(code));
	memcpy(code, bytes, count);
	return insn_cache_decode(&cache, rip, code, count, mode);
}

/* A store of eax, ecx to (%rbx). */
#define STORE_EAX "\x89\x03"
#define STORE_ECX "\x89\x0b"
#define MODE INSN_MODE_64

TEST(the_same_bytes_at_the_same_place_are_decoded_once)
{
	const struct insn *first = decode(0x1000, STORE_EAX, 2, MODE);

	CHECK(first && first->reg == INSN_RAX);
	CHECK(decode(0x1000, STORE_EAX, 2, MODE) == first);
}

TEST(bytes_that_have_changed_are_decoded_anew)
{
	CHECK_EQ(decode(0x1000, STORE_EAX, 2, MODE)->reg, INSN_RAX);
	CHECK_EQ(decode(0x1000, STORE_ECX, 2, MODE)->reg, INSN_RCX);
	CHECK_EQ(decode(0x1000, STORE_EAX, 2, MODE)->reg, INSN_RAX);
}

TEST(the_mode_is_part_of_the_question)
{
	CHECK_EQ(decode(0x1000, STORE_EAX, 2, MODE)->operand_size, 4);
	CHECK_EQ(decode(0x1000, STORE_EAX, 2, INSN_MODE_16)->operand_size, 2);
}

TEST(more_bytes_may_make_what_fewer_did_not)
{
	CHECK(!decode(0x1000, STORE_EAX, 1, MODE));
	CHECK(decode(0x1000, STORE_EAX, 2, MODE));
	CHECK(!decode(0x1000, STORE_EAX, 1, MODE));
	CHECK(!decode(0x1000, STORE_EAX, 0, MODE));
}

TEST(places_that_share_an_entry_do_not_mix)
{
	for (u64 rip = 0; rip < 4096; rip++) {
		bool is_eax = rip * 7 & 4;

		CHECK_EQ(decode(rip, is_eax ? STORE_EAX : STORE_ECX, 2,
				MODE)->reg, is_eax ? INSN_RAX : INSN_RCX);
	}
}
