/* SPDX-License-Identifier: BSD-2-Clause */
/* The encodings of ACPI 6.4, 20.2, as far as aml.h needs them. */
#include <string.h>

#include "aml.h"
#include "bits.h"
#include "spec/acpi.h"

/* ---- Definitions --------------------------------------------------------- */

/* Does an opcode and the length of what it opens end at `end`? */
static bool is_opened(const u8 *code, size_t end, u8 opcode)
{
	for (size_t size = 1; size <= 4 && size < end; size++)
		if (FIELD_GET(AML_LENGTH_MORE, code[end - size]) == size - 1 &&
		    code[end - size - 1] == opcode)
			return true;
	return false;
}

static bool is_prefix(u8 byte)
{
	return byte == AML_ROOT || byte == AML_PARENT;
}

static bool is_definition(const u8 *code, size_t name_at)
{
	size_t at = name_at;

	while (at && is_prefix(code[at - 1]))
		at--;
	return (at && code[at - 1] == AML_NAME) ||
	       is_opened(code, at, AML_METHOD);
}

size_t aml_find_definition(const struct aml *aml, const char *name,
			   size_t start)
{
	for (size_t at = start; range_inside(at, AML_NAME_SIZE, aml->size);
	     at++)
		if (!memcmp(aml->code + at, name, AML_NAME_SIZE) &&
		    is_definition(aml->code, at))
			return at;
	return aml->size;
}

/* ---- Values -------------------------------------------------------------- */

struct reader {
	const u8 *code;
	size_t at, end;
};

static bool take(struct reader *reader, size_t size, u64 *value)
{
	if (!range_inside(reader->at, size, reader->end))
		return false;
	*value = 0;
	memcpy(value, reader->code + reader->at, size);
	reader->at += size;
	return true;
}

static bool take_length(struct reader *reader, u64 *length)
{
	u64 first, more;

	if (!take(reader, 1, &first) ||
	    !take(reader, FIELD_GET(AML_LENGTH_MORE, first), &more))
		return false;
	*length = first & AML_LENGTH_ALONE;
	if (first & AML_LENGTH_MORE)
		*length = (first & AML_LENGTH_LOW) |
			  more << AML_LENGTH_LOW_WIDTH;
	return true;
}

static bool take_integer(struct reader *reader, u64 *value)
{
	u64 opcode;

	if (!take(reader, 1, &opcode))
		return false;
	*value = opcode;
	switch (opcode) {
	case AML_ZERO:
	case AML_ONE:
		return true;
	case AML_ONES:
		*value = ~0ull;
		return true;
	case AML_BYTE:
		return take(reader, 1, value);
	case AML_WORD:
		return take(reader, 2, value);
	case AML_DWORD:
		return take(reader, 4, value);
	case AML_QWORD:
		return take(reader, 8, value);
	}
	return false;
}

/* The length counts its own bytes. */
static bool enter_package(struct reader *reader, u64 *count)
{
	u64 opcode, length;
	size_t start;

	if (!take(reader, 1, &opcode) || opcode != AML_PACKAGE)
		return false;
	start = reader->at;
	if (!take_length(reader, &length) ||
	    !range_inside(start, length, reader->end))
		return false;
	reader->end = start + length;
	return take(reader, 1, count);
}

size_t aml_read_package(const struct aml *aml, size_t name_at, u64 *values,
			size_t max)
{
	struct reader reader = { aml->code, name_at + AML_NAME_SIZE,
				 aml->size };
	size_t count = 0;
	u64 element_count;

	if (!enter_package(&reader, &element_count))
		return 0;
	while (count < MIN(max, element_count) &&
	       take_integer(&reader, &values[count]))
		count++;
	return count;
}
