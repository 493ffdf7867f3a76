/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Placing the hypervisor's ELF in memory. Pure. The file comes with the
 * loader, yet nothing in it is believed: a build that went wrong shall say
 * so and not run.
 */
#ifndef SLUICE_BOOT_IMAGE_H
#define SLUICE_BOOT_IMAGE_H

#include "types.h"

struct image {
	u64 size;	/* bytes used from the start, whole pages */
	void *entry;
};

/*
 * Copies the segments of `elf` to `to`, clears what they leave between them,
 * and relocates for `to`. 0; -ENOEXEC: not an image of this kind; -ENOMEM:
 * larger than to_size.
 */
int image_place(const void *elf, size_t elf_size, void *to, size_t to_size,
		struct image *out);

#endif
