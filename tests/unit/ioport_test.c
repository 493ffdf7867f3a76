/* SPDX-License-Identifier: BSD-2-Clause */
/* Trapped ports, and what becomes of accesses beside and across them. */
#include "../../core/ioport.h"
#include "../../core/x86/io.h"
#include "bits.h"
#include "test.h"

struct access {
	u16 port;
	unsigned size;
	u32 value;
	bool is_trapped;
};

static struct access seen[8];
static unsigned seen_count;

static void see(u16 port, unsigned size, u32 value, bool is_trapped)
{
	CHECK(seen_count < ARRAY_COUNT(seen));
	seen[seen_count++] = (struct access){ port, size, value, is_trapped };
}

/* A byte of the machine's ports reads as the port's low byte. */
static u32 read_ports(u16 port, unsigned size)
{
	u32 value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (u32)(u8)(port + i) << 8 * i;
	return value;
}

u32 io_read(u16 port, unsigned size)
{
	see(port, size, 0, false);
	return read_ports(port, size);
}

void io_write(u16 port, unsigned size, u32 value)
{
	see(port, size, value, false);
}

/* The upper bytes of what a handler returns must not spill over. */
static void trapped(u16 port, unsigned size, bool is_write, u32 *value)
{
	see(port, size, is_write ? *value : 0, true);
	if (!is_write)
		*value = size < 4 ? 0xeeeeeeee << 8 * size |
				    (0xdddddddd >> (32 - 8 * size))
				  : 0xdddddddd;
}

static void trap_config_ports(void)
{
	static struct ioport_range range = { .first = 0xcfc, .last = 0xcff };

	if (!range.access)
		ioport_register(&range);
	range.access = trapped;
}

static const struct {
	u16 port;
	unsigned size;
	u32 read;
	unsigned piece_count;
	struct access pieces[4];
} cases[] = {
	{ 0xcfc, 4, 0xdddddddd, 1, { { 0xcfc, 4, 0x44332211, true } } },
	{ 0xcfe, 2, 0xdddd, 1, { { 0xcfe, 2, 0x2211, true } } },
	{ 0xcff, 1, 0xdd, 1, { { 0xcff, 1, 0x11, true } } },
	{ 0xcf8, 4, 0xfbfaf9f8, 1, { { 0xcf8, 4, 0x44332211, false } } },
	{ 0xcfa, 4, 0xddddfbfa, 2, { { 0xcfa, 2, 0x2211, false },
				     { 0xcfc, 2, 0x4433, true } } },
	{ 0xcfd, 4, 0x00dddddd, 3, { { 0xcfd, 1, 0x11, true },
				     { 0xcfe, 2, 0x3322, true },
				     { 0xd00, 1, 0x44, false } } },
	{ 0xcfb, 2, 0xddfb, 2, { { 0xcfb, 1, 0x11, false },
				 { 0xcfc, 1, 0x22, true } } },
	{ 0xffff, 2, 0x00ff, 2, { { 0xffff, 1, 0x11, false },
				  { 0x0000, 1, 0x22, false } } },
};

TEST(an_access_is_taken_apart_where_the_bus_would)
{
	trap_config_ports();
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		u32 value = 0x44332211 & BITS(8 * cases[i].size - 1, 0);

		seen_count = 0;
		ioport_access(cases[i].port, cases[i].size, true, &value);
		CHECK_EQ(seen_count, cases[i].piece_count);
		for (unsigned j = 0; j < seen_count; j++) {
			CHECK_EQ(seen[j].port, cases[i].pieces[j].port);
			CHECK_EQ(seen[j].size, cases[i].pieces[j].size);
			CHECK_EQ(seen[j].value, cases[i].pieces[j].value);
			CHECK_EQ(seen[j].is_trapped,
				 cases[i].pieces[j].is_trapped);
		}
	}
}

TEST(a_read_is_put_together_from_its_pieces)
{
	trap_config_ports();
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		u32 value = 0xa5a5a5a5;

		seen_count = 0;
		ioport_access(cases[i].port, cases[i].size, false, &value);
		CHECK_EQ(value, cases[i].read);
	}
}

static void note_range(u16 first, u16 last, void *arg)
{
	u32 *noted = arg;

	*noted = (u32)first << 16 | last;
}

TEST(the_back_end_learns_every_range)
{
	u32 noted = 0;

	ioport_for_each(note_range, &noted);
	trap_config_ports();
	ioport_for_each(note_range, &noted);
	CHECK_EQ(noted, 0x0cfc0cff);
}
