/* SPDX-License-Identifier: BSD-2-Clause */
/* The gate plug-in: rules that are ordered while the system runs. */
#include <string.h>

#include "fake_gated.h"

static char why[200];
static char list[4064];

static int order(const char *text)
{
	struct nvme_io_interceptor *it = gated_host.interceptor;

	why[0] = '\0';
	return it->control->order(it->interceptor, text, why, sizeof(why));
}

static void check_refused(const char *text, const char *reason)
{
	CHECK_EQ(order(text), -1);
	if (!strstr(why, reason))
		FAIL("%s: %s", text, why);
}

static bool list_has(const char *line)
{
	struct nvme_io_interceptor *it = gated_host.interceptor;
	struct nvme_io_answer answer = {
		.data = (u8 *)list, .size_max = sizeof(list) - 1,
	};

	memset(list, 0, sizeof(list));
	CHECK(it->control->ask(it->interceptor, &answer));
	return strstr(list, line);
}

static void start(void)
{
	gated_start_with("ro PARTLABEL=open");
}

TEST(an_order_for_a_partition_holds_when_its_table_has_been_read)
{
	struct nvme_request read = { .command = {
		.opcode = 2, .nsid = 1, .lba = 150, .n_lbas = 1,
		.effects = NVME_IO_READS,
	} };

	start();
	CHECK_EQ(gated_read(150, 1), PASSED);
	CHECK_EQ(order("none PARTLABEL=data"), 0);
	fake_send(&gated_host, &read);
	CHECK(read.is_held);
	fake_complete_all();
	CHECK(!read.is_held);
	CHECK_EQ(read.completion.status, DENIED);
	CHECK_EQ(gated_read(50, 1), PASSED);
	CHECK_EQ(gated_write(250, 1), PASSED);
}

TEST(an_order_for_a_namespace_holds)
{
	start();
	CHECK_EQ(gated_io(1, 2, 0, 1), PASSED);
	CHECK_EQ(order("ro QF0:n2"), 0);
	fake_complete_all();
	CHECK_EQ(gated_io(1, 2, 0, 1), PROTECTED);
	CHECK_EQ(gated_io(2, 2, 0, 1), PASSED);
	CHECK_EQ(gated_write(150, 1), PASSED);
}

TEST(what_is_clear_ends_where_a_rule_begins)
{
	gated_start_with("ro QF0:n1 PARTLABEL=data");
	CHECK(gated_is_clear(1, 34, 34, 99));
	CHECK(gated_is_clear(1, 99, 34, 99));
	CHECK(gated_is_clear(1, 200, 200, 266));
	CHECK(gated_is_clear(2, 50, 0, ~0ull));
	CHECK(gated_is_clear(2, 150, 0, ~0ull));
}

TEST(where_a_rule_begins_with_the_first_block_nothing_is_clear)
{
	gated_start_with("none QF0:n1");
	CHECK(gated_is_clear(2, 0, 1, 0));
	CHECK(gated_is_clear(1, 150, 1, 0));
}

/* Another CPU, as soon as it may learn anew. */
static void find_nothing_clear(void)
{
	CHECK(gated_is_clear(1, 34, 1, 0));
}

TEST(nothing_is_clear_while_an_order_may_come_to_hold)
{
	gated_start_with("ro QF0:n1 PARTLABEL=data");
	CHECK(gated_is_clear(1, 50, 34, 99));
	fake_asked_again = 0;
	fake_asking_again = find_nothing_clear;
	CHECK_EQ(order("none PARTLABEL=open"), 0);
	CHECK_EQ(fake_asked_again, 1);
	find_nothing_clear();
	fake_complete_all();
	CHECK(fake_asked_again > 1);
}

TEST(what_an_order_leaves_is_clear_when_it_holds)
{
	gated_start_with("ro QF0:n1 PARTLABEL=data");
	CHECK_EQ(order("none PARTLABEL=open"), 0);
	fake_complete_all();
	CHECK(gated_is_clear(1, 34, 34, 39));
	CHECK(gated_is_clear(1, 200, 200, 266));
	CHECK(gated_is_clear(2, 150, 100, ~0ull));
}

TEST(the_table_is_closed_with_the_partition)
{
	gated_rule("ro PARTLABEL=nowhere");
	gated_make();
	gated_start(&gated_host);
	CHECK_EQ(gated_write(150, 1), PASSED);
	CHECK_EQ(order("ro PARTLABEL=data"), 0);
	fake_complete_all();
	CHECK_EQ(gated_write(150, 1), PROTECTED);
	CHECK_EQ(gated_write(0, 1), PROTECTED);
	CHECK_EQ(gated_write(299, 1), PROTECTED);
	CHECK_EQ(gated_write(50, 1), PASSED);
}

TEST(an_order_never_opens_anything)
{
	start();
	check_refused("rw PARTLABEL=open", "cannot open what is closed");
	CHECK_EQ(order("none PARTLABEL=open"), 0);
	CHECK_EQ(order("ro PARTLABEL=open"), 0);
	fake_complete_all();
	CHECK_EQ(gated_read(50, 1), DENIED);
}

TEST(what_is_no_rule_of_this_controller_is_refused)
{
	start();
	check_refused("", "expected rw, ro or none");
	check_refused("ro", "expected PARTUUID");
	check_refused("hide PARTLABEL=data", "expected rw, ro or none");
	check_refused("ro OTHER:n1", "of this controller");
	for (int i = 0; i < 63; i++) {
		char text[40];

		sprintf(text, "ro QF0:n%d", 100 + i);
		CHECK_EQ(order(text), 0);
	}
	check_refused("ro PARTLABEL=data", "at most 64 rules");
}

TEST(the_same_order_twice_is_one_rule)
{
	start();
	for (int i = 0; i < 100; i++)
		CHECK_EQ(order("ro PARTLABEL=data"), 0);
	fake_complete_all();
	CHECK(list_has("rule=ro PARTLABEL=data\tfrom=order\tmatches=1"));
	CHECK(strstr(list, "PARTLABEL=data") == strrchr(list, 'P'));
}

TEST(a_table_that_cannot_be_read_closes_all_of_the_namespace)
{
	start();
	gated_host.refuses_requests = true;
	CHECK_EQ(order("ro PARTLABEL=data"), 0);
	fake_complete_all();
	CHECK_EQ(gated_write(250, 1), PROTECTED);
}

TEST(an_order_outlives_a_reset_of_the_controller)
{
	start();
	CHECK_EQ(order("none PARTLABEL=data"), 0);
	fake_complete_all();
	gated_start(&gated_host);
	CHECK_EQ(gated_read(150, 1), DENIED);
}

TEST(orders_are_taken_without_a_rule_where_sluice_conf_says_so)
{
	char text[100];

	CHECK_EQ(fake_plugin()->configure(1, "gate.orders", "maybe", text,
					  sizeof(text)), -1);
	CHECK_STR(text, "expected on or off");
	CHECK_EQ(fake_plugin()->configure(1, "gate.orders", "on", text,
					  sizeof(text)), 0);
	gated_make();
	gated_start(&gated_host);
	CHECK_EQ(gated_read(150, 1), PASSED);
	CHECK_EQ(order("none PARTLABEL=data"), 0);
	fake_complete_all();
	CHECK_EQ(gated_read(150, 1), DENIED);
}

TEST(the_list_counts_what_was_refused)
{
	start();
	gated_write(50, 1);
	gated_write(60, 1);
	gated_write(0, 1);
	CHECK(list_has("rule=ro PARTLABEL=open\tfrom=line 1\tmatches=1\t"
		       "hits=2\n"));
	CHECK(list_has("rule=partition table\tfrom=sluice\tmatches=0\t"
		       "hits=1\n"));
	CHECK(list_has("rule=namespace not known\tfrom=sluice"));
}
