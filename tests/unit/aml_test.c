/* SPDX-License-Identifier: BSD-2-Clause */
/* Names and packages in pieces of AML, written down by hand. */
#include <stdlib.h>
#include <string.h>

#include "../../core/aml.h"
#include "bits.h"
#include "test.h"

#define CODE(...) (const u8[]){ __VA_ARGS__ }, sizeof((u8[]){ __VA_ARGS__ })
#define S3 '_', 'S', '3', '_'

/* On the heap, so that ASan sees a byte too far. */
static struct aml copy(const u8 *code, size_t size)
{
	u8 *bytes = malloc(size);

	memcpy(bytes, code, size);
	return (struct aml){ bytes, size };
}

static const struct {
	const u8 *code;
	size_t size;
	size_t found;
} names[] = {
	{ CODE(0x08, S3, 0x12), 1 },
	{ CODE(0x08, '\\', S3, 0x12), 2 },
	{ CODE(0x08, '^', '^', S3, 0x12), 3 },
	{ CODE(0x10, 0x0d, '\\', 0x00, 0x08, S3, 0x12), 5 },
	/* Method (\_S3, 0) with a length of one byte, of two and of four */
	{ CODE(0x14, 0x07, '\\', S3, 0x00), 3 },
	{ CODE(0x14, 0x48, 0x01, S3, 0x00), 3 },
	{ CODE(0x14, 0xc8, 0x01, 0x00, 0x00, S3, 0x00), 5 },
	/* The second one, inside If (One) */
	{ CODE(0xa0, 0x0d, 0x01, S3, 0x08, S3, 0x12, 0x03), 8 },
	/* Not the definition: a string, a reference, parts of other names */
	{ CODE(0x0d, S3, 0x00), 6 },
	{ CODE(0x08, 'S', 'S', '3', '_', 0x12), 6 },
	{ CODE(S3), 4 },
	{ CODE('\\', S3), 5 },
	{ CODE(0x08, 'G', 'P', 'I', S3, '_'), 9 },
	{ CODE(0x14, 0x48, S3, 0x00), 7 },
	/* Cut off */
	{ CODE(0x08, '_', 'S', '3'), 4 },
	{ CODE(0x08), 1 },
};

TEST(a_definition_is_told_from_a_mention)
{
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		struct aml aml = copy(names[i].code, names[i].size);

		CHECK_EQ(aml_find_definition(&aml, "_S3_", 0), names[i].found);
		free(aml.code);
	}
}

TEST(a_search_goes_on_behind_what_was_found)
{
	struct aml aml = copy(CODE(0x08, S3, 0x08, S3));

	CHECK_EQ(aml_find_definition(&aml, "_S3_", 1), 1);
	CHECK_EQ(aml_find_definition(&aml, "_S3_", 2), 6);
	CHECK_EQ(aml_find_definition(&aml, "_S3_", 7), aml.size);
	CHECK_EQ(aml_find_definition(&aml, "_S3_", aml.size + 1), aml.size);
	free(aml.code);
}

static const struct {
	const u8 *code;
	size_t size;
	size_t count;
	u64 values[2];
} packages[] = {
	/* q35's, and the other ways to write it */
	{ CODE(S3, 0x12, 0x06, 0x04, 0x01, 0x01, 0x00, 0x00), 2, { 1, 1 } },
	{ CODE(S3, 0x12, 0x06, 0x02, 0x0a, 0x05, 0x0a, 0x06), 2, { 5, 6 } },
	{ CODE(S3, 0x12, 0x47, 0x00, 0x02, 0x0a, 0x05, 0x0a, 0x06), 2,
	  { 5, 6 } },
	{ CODE(S3, 0x12, 0x06, 0x02, 0x0b, 0x05, 0x01, 0xff), 2,
	  { 0x105, ~0ull } },
	{ CODE(S3, 0x12, 0x0f, 0x02, 0x0c, 1, 2, 3, 4,
	       0x0e, 1, 2, 3, 4, 5, 6, 7, 8), 1, { 0x04030201 } },
	{ CODE(S3, 0x12, 0x10, 0x02, 0x0c, 1, 2, 3, 4,
	       0x0e, 1, 2, 3, 4, 5, 6, 7, 8), 2,
	  { 0x04030201, 0x0807060504030201 } },
	{ CODE(S3, 0x12, 0x05, 0x01, 0x0b, 0x05, 0x06), 1, { 0x605 } },
	/* Fewer values than elements, a name among them, none at all */
	{ CODE(S3, 0x12, 0x03, 0x04, 0x01), 1, { 1 } },
	{ CODE(S3, 0x12, 0x07, 0x02, 0x01, 'S', 'S', '3', '_'), 1, { 1 } },
	{ CODE(S3, 0x12, 0x02, 0x00), 0, { 0 } },
	/* No package, and lengths that cannot be */
	{ CODE(S3, 0x0a, 0x05), 0, { 0 } },
	{ CODE(S3), 0, { 0 } },
	{ CODE(S3, 0x12), 0, { 0 } },
	{ CODE(S3, 0x12, 0x00, 0x02, 0x01, 0x01), 0, { 0 } },
	{ CODE(S3, 0x12, 0x05, 0x02, 0x01, 0x01), 0, { 0 } },
	{ CODE(S3, 0x12, 0xff, 0xff, 0xff, 0xff, 0x01), 0, { 0 } },
	{ CODE(S3, 0x12, 0xc4, 0x00), 0, { 0 } },
	{ CODE(S3, 0x12, 0x41, 0x00, 0x02, 0x01), 0, { 0 } },
};

TEST(a_package_gives_the_integers_it_begins_with)
{
	for (size_t i = 0; i < ARRAY_COUNT(packages); i++) {
		struct aml aml = copy(packages[i].code, packages[i].size);
		u64 values[2] = { 0 };

		CHECK_EQ(aml_read_package(&aml, 0, values, 2),
			 packages[i].count);
		for (size_t j = 0; j < packages[i].count; j++)
			CHECK_EQ(values[j], packages[i].values[j]);
		free(aml.code);
	}
}

TEST(no_more_values_are_given_than_asked_for)
{
	struct aml aml = copy(CODE(S3, 0x12, 0x04, 0x02, 0x01, 0x01));
	u64 values[2] = { 7, 7 };

	CHECK_EQ(aml_read_package(&aml, 0, values, 1), 1);
	CHECK_EQ(values[1], 7);
	free(aml.code);
}
