/* SPDX-License-Identifier: BSD-2-Clause */
/* Any text as a line of fault, which root of the guest may give at any time,
 * or of crypt. */
#include "../../drivers/nvme/interceptors/crypt.h"
#include "../../drivers/nvme/interceptors/fault.h"
#include "fuzz.h"

static void check_selector(const struct nvme_io_selector *selector)
{
	CHECK(memchr(selector->serial, 0, sizeof(selector->serial)));
	CHECK(memchr(selector->label, 0, sizeof(selector->label)));
}

static const char *take_fault(const char *text)
{
	struct fault_rule rule;
	const char *why;

	memset(&rule, 0xff, sizeof(rule));
	why = fault_rules_parse(&rule, text);
	CHECK(memchr(rule.text, 0, sizeof(rule.text)));
	if (why)
		return why;
	CHECK(rule.action.is_delayed || rule.action.is_torn ||
	      rule.action.is_dropped || rule.action.status);
	CHECK(rule.action.delay_min_us <= rule.action.delay_max_us);
	CHECK(rule.first_lba <= rule.last_lba);
	if (rule.has_selector)
		check_selector(&rule.selector);
	return NULL;
}

static const char *take_crypt(const char *text)
{
	struct volume volume;
	const char *why;

	memset(&volume, 0xff, sizeof(volume));
	why = crypt_volumes_parse(&volume, text);
	if (why)
		return why;
	CHECK(memchr(volume.text, 0, sizeof(volume.text)));
	CHECK(volume.text[0]);
	check_selector(&volume.selector);
	return NULL;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };
	bool is_fault = input_byte(&in) & 1;
	size_t length = in.size;
	char *text = malloc(length + 1);
	const char *why;

	input_bytes(&in, text, length);
	text[length] = 0;
	why = is_fault ? take_fault(text) : take_crypt(text);
	if (why)
		CHECK(*why);
	free(text);
	return 0;
}
