/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as the code of a DSDT, behind the name of a sleep state. */
#include "../../core/aml.h"
#include "fuzz.h"

#define NAME "_S3_"
#define VALUE_MAX 2

static void check_each(const struct aml *aml)
{
	size_t at = aml_find_definition(aml, NAME, 0);
	u64 values[VALUE_MAX];

	while (at < aml->size) {
		CHECK(range_inside(at, strlen(NAME), aml->size));
		CHECK(!memcmp(aml->code + at, NAME, strlen(NAME)));
		CHECK(aml_read_package(aml, at, values, VALUE_MAX) <=
		      VALUE_MAX);
		at = aml_find_definition(aml, NAME, at + 1);
	}
	CHECK_EQ(at, aml->size);
}

/* The first byte says how much of the rest stands before the name. */
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };
	size_t before = input_byte(&in);
	struct aml aml = { malloc(in.size + strlen(NAME)),
			   in.size + strlen(NAME) };

	before = MIN(before, in.size);
	input_bytes(&in, aml.code, before);
	memcpy(aml.code + before, NAME, strlen(NAME));
	memcpy(aml.code + before + strlen(NAME), in.data, in.size);
	check_each(&aml);
	free(aml.code);
	return 0;
}
