/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects in AML, found by how they are encoded. Nothing is interpreted, so
 * what a condition would leave out at run time is found as well.
 */
#ifndef SLUICE_AML_H
#define SLUICE_AML_H

#include "types.h"

struct aml {
	u8 *code;
	size_t size;
};

/*
 * Where the name stands in the next definition of an object by Name() or
 * Method(), from `start` on; aml->size: there is none. `name` has the four
 * characters of a segment, "_S5_", and stands alone or behind "\" or "^".
 */
size_t aml_find_definition(const struct aml *aml, const char *name,
			   size_t start);

/*
 * The integers that begin the package whose name stands at `name_at`, at most
 * `max`; returns how many, 0 also when the object is no package.
 */
size_t aml_read_package(const struct aml *aml, size_t name_at, u64 *values,
			size_t max);

#endif
