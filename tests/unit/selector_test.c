/* SPDX-License-Identifier: BSD-2-Clause */
/* How sluice.conf names partitions and namespaces. */
#include <string.h>

#include "fake_nvme_io.h"
#include "test.h"

#define UUID "00112233-4455-6677-8899-aabbccddeeff"
#define UPPER "00112233-4455-6677-8899-AABBCCDDEEFF"
#define ONE_PARTITION "expected one PARTUUID=..., PARTLABEL=... or :pNUMBER"
#define NINE_EUROS "\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac"
#define NINE_CLEFS "\U0001d11e\U0001d11e\U0001d11e\U0001d11e\U0001d11e" \
		   "\U0001d11e\U0001d11e\U0001d11e\U0001d11e"
#define LABEL_112 "0123456789012345678901234567890123456789012345678901234" \
		  "567890123456789012345678901234567890123456789012345678901"

static const u8 uuid[16] = {
	0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66,
	0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
};

TEST(what_is_no_selector_is_answered_with_what_was_expected)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "expected " NVME_IO_SELECTORS },
		{ " \t ", "expected " NVME_IO_SELECTORS },
		{ "data", "expected " NVME_IO_SELECTORS
			  ", in quotes with spaces" },
		{ "PARTLABEL=my data", "expected " NVME_IO_SELECTORS
				       ", in quotes with spaces" },
		{ ":n1", "expected " NVME_IO_SELECTORS
			 ", in quotes with spaces" },
		{ "012345678901234567890:n1", "expected " NVME_IO_SELECTORS
					      ", in quotes with spaces" },
		{ "partlabel=data", "expected " NVME_IO_SELECTORS
				    ", in quotes with spaces" },
		{ "PARTLABEL=", "expected a label of 1 to 36 characters" },
		{ "PARTLABEL=" LABEL_112,
		  "expected a label of 1 to 36 characters" },
		{ "PARTLABEL=0123456789012345678901234567890123456",
		  "expected a label of 1 to 36 characters" },
		{ "PARTLABEL=" NINE_CLEFS NINE_CLEFS "a",
		  "expected a label of 1 to 36 characters" },
		{ "PARTLABEL=\"my data", "expected a closing quote" },
		{ "PARTLABEL=a PARTLABEL=b",
		  ONE_PARTITION },
		{ "PARTUUID=" UUID " PARTLABEL=b",
		  ONE_PARTITION },
		{ "PARTUUID=", "expected PARTUUID="
			       "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" },
		{ "PARTUUID=" UUID "0", "expected PARTUUID="
				"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" },
		{ "QF0:1", "expected a namespace as in SERIAL:n1" },
		{ "QF0:n", "expected a namespace as in SERIAL:n1" },
		{ "QF0:n0", "expected a namespace as in SERIAL:n1" },
		{ "QF0:n-1", "expected a namespace as in SERIAL:n1" },
		{ "QF0:n1x", "expected a namespace as in SERIAL:n1" },
		{ "QF0:n4294967295", "expected a namespace as in SERIAL:n1" },
		{ "QF0:n99999999999999999999",
		  "expected a namespace as in SERIAL:n1" },
		{ "QF0:n1:p", "expected a partition as in SERIAL:n1:p2" },
		{ "QF0:n1:p0", "expected a partition as in SERIAL:n1:p2" },
		{ "QF0:n1:p1x", "expected a partition as in SERIAL:n1:p2" },
		{ "QF0:n1:p4294967295",
		  "expected a partition as in SERIAL:n1:p2" },
		{ "QF0:p1", "expected " NVME_IO_SELECTORS
			    ", in quotes with spaces" },
		{ ":n1:p1", "expected " NVME_IO_SELECTORS
			    ", in quotes with spaces" },
		{ "QF0:1:p1", "expected a namespace as in SERIAL:n1" },
		{ "QF0:n1:p1 PARTLABEL=a", ONE_PARTITION },
		{ "PARTLABEL=a QF0:n1:p1", ONE_PARTITION },
		{ "QF0:n1:p1:p2", "expected a namespace as in SERIAL:n1" },
		{ "QF0:n1 QF1:n1", "expected one SERIAL:nNSID, not two" },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct nvme_io_selector selector;
		const char *why = nvme_io_selector_parse(rows[i].text,
							 &selector);

		CHECK(why);
		CHECK_STR(why, rows[i].why);
	}
}

TEST(a_word_longer_than_any_selector_is_refused)
{
	struct nvme_io_selector selector;
	char text[400] = "PARTLABEL=";

	memset(text + 10, 'a', sizeof(text) - 11);
	CHECK(nvme_io_selector_parse(text, &selector));
}

TEST(every_form_of_selector_is_understood)
{
	static const struct {
		const char *text, *serial;
		u32 nsid;
		enum nvme_io_selects by;
		const char *label;
	} rows[] = {
		{ "PARTUUID=" UUID, "", 0, NVME_IO_BY_UUID, "" },
		{ "PARTLABEL=data", "", 0, NVME_IO_BY_LABEL, "data" },
		{ "  PARTLABEL=data  ", "", 0, NVME_IO_BY_LABEL, "data" },
		{ "PARTLABEL=\"my # data\"", "", 0, NVME_IO_BY_LABEL,
		  "my # data" },
		{ "\"PARTLABEL=my data\"", "", 0, NVME_IO_BY_LABEL,
		  "my data" },
		{ "PARTLABEL=a=b", "", 0, NVME_IO_BY_LABEL, "a=b" },
		{ "QF0:n1", "QF0", 1, NVME_IO_BY_NAMESPACE, "" },
		{ "a:b:n4294967294", "a:b", 4294967294, NVME_IO_BY_NAMESPACE,
		  "" },
		{ "\"S 1 2\":n3", "S 1 2", 3, NVME_IO_BY_NAMESPACE, "" },
		{ "01234567890123456789:n1", "01234567890123456789", 1,
		  NVME_IO_BY_NAMESPACE, "" },
		{ "QF0:n2 PARTLABEL=x", "QF0", 2, NVME_IO_BY_LABEL, "x" },
		{ "PARTUUID=" UUID "\tQF0:n2", "QF0", 2, NVME_IO_BY_UUID, "" },
		{ "PARTUUID=" UPPER, "", 0, NVME_IO_BY_UUID, "" },
		{ "PARTLABEL=" NINE_EUROS NINE_EUROS NINE_EUROS NINE_EUROS, "",
		  0, NVME_IO_BY_LABEL,
		  NINE_EUROS NINE_EUROS NINE_EUROS NINE_EUROS },
		{ "PARTLABEL=" NINE_CLEFS NINE_CLEFS, "", 0, NVME_IO_BY_LABEL,
		  NINE_CLEFS NINE_CLEFS },
		{ "QF0:n1:p12", "QF0", 1, NVME_IO_BY_INDEX, "" },
		{ "S:n1:p2:n3:p12", "S:n1:p2", 3, NVME_IO_BY_INDEX, "" },
		{ "\"S 1\":n3:p12", "S 1", 3, NVME_IO_BY_INDEX, "" },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct nvme_io_selector selector;

		CHECK(!nvme_io_selector_parse(rows[i].text, &selector));
		CHECK_STR(selector.serial, rows[i].serial);
		CHECK_EQ(selector.nsid, rows[i].nsid);
		CHECK_EQ(selector.by, rows[i].by);
		CHECK_STR(selector.label, rows[i].label);
		if (rows[i].by == NVME_IO_BY_UUID)
			CHECK(!memcmp(selector.uuid, uuid, sizeof(uuid)));
		CHECK_EQ(selector.index,
			 rows[i].by == NVME_IO_BY_INDEX ? 12 : 0);
	}
}

TEST(a_serial_ties_a_selector_to_one_namespace)
{
	struct nvme_host host = { .name = "nvme0", .serial = "QF0" };
	static const struct {
		const char *text;
		bool is_on, is_in_1, is_in_2;
	} rows[] = {
		{ "PARTLABEL=a", true, true, true },
		{ "QF0:n1", true, true, false },
		{ "QF0:n2 PARTLABEL=a", true, false, true },
		{ "QF0:n2:p1", true, false, true },
		{ "QF1:n1", false, false, false },
		{ "QF:n1", false, false, false },
		{ "QF00:n1", false, false, false },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct nvme_io_selector it;

		CHECK(!nvme_io_selector_parse(rows[i].text, &it));
		CHECK_EQ(nvme_io_selector_is_on(&it, &host), rows[i].is_on);
		CHECK_EQ(nvme_io_selector_is_in(&it, &host, 1),
			 rows[i].is_in_1);
		CHECK_EQ(nvme_io_selector_is_in(&it, &host, 2),
			 rows[i].is_in_2);
	}
}

TEST(names_match_exactly_and_namespaces_name_no_partition)
{
	struct nvme_io_partition partition = { .index = 12, .label = "data" };
	static const struct {
		const char *text;
		bool result;
	} rows[] = {
		{ "PARTLABEL=data", true }, { "PARTLABEL=Data", false },
		{ "PARTLABEL=dat", false }, { "PARTLABEL=data1", false },
		{ "PARTLABEL=\"data \"", false },
		{ "PARTUUID=" UUID, true }, { "QF0:n1", false },
		{ "QF0:n1:p12", true }, { "QF0:n1:p1", false },
		{ "PARTUUID=10112233-4455-6677-8899-aabbccddeeff", false },
	};

	memcpy(partition.uuid, uuid, sizeof(uuid));
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct nvme_io_selector it;

		CHECK(!nvme_io_selector_parse(rows[i].text, &it));
		CHECK_EQ(nvme_io_selector_names(&it, &partition),
			 rows[i].result);
	}
}
