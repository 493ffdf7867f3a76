/* SPDX-License-Identifier: BSD-2-Clause */
/* Any text as the name of a partition or namespace in sluice.conf. */
#include "fuzz.h"
#include "nvme_io.h"

static void check(const struct nvme_io_selector *selector, struct input *in)
{
	struct nvme_io_partition partition;

	CHECK(memchr(selector->serial, 0, sizeof(selector->serial)));
	CHECK(memchr(selector->label, 0, sizeof(selector->label)));
	input_bytes(in, &partition, sizeof(partition));
	partition.label[sizeof(partition.label) - 1] = 0;
	nvme_io_selector_names(selector, &partition);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };
	size_t length = MIN(input_byte(&in), in.size);
	struct nvme_io_selector selector;
	char *text = malloc(length + 1);
	const char *why;

	input_bytes(&in, text, length);
	text[length] = 0;
	memset(&selector, 0xff, sizeof(selector));
	why = nvme_io_selector_parse(text, &selector);
	if (!why)
		check(&selector, &in);
	else
		CHECK(*why);
	free(text);
	return 0;
}
