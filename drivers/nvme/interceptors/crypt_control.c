/* SPDX-License-Identifier: BSD-2-Clause */
/* What root of the guest may know of the volumes: not a byte of a key. There
 * are no orders. */
#include "crypt.h"

struct sum {
	u32 ranges;
	u64 blocks;
	bool is_refused;
};

static struct sum add_up(const struct crypt *crypt,
			 const struct volume *volume)
{
	struct sum sum = { 0 };

	for (u32 i = 0; i < crypt->range_count; i++) {
		const struct range *range = &crypt->ranges[i];

		if (range->volume != volume)
			continue;
		sum.ranges++;
		sum.blocks += range->blocks;
		sum.is_refused |= range->is_refused;
	}
	return sum;
}

static const char *state_of(const struct crypt *crypt,
			    const struct volume *volume, const struct sum *sum)
{
	if (crypt->is_closed)
		return "closed";
	if (!sum->ranges)
		return "not here";
	if (volume->is_locked)
		return "no key";
	return sum->is_refused ? "refused" : "encrypted";
}

static bool ask(void *interceptor, struct nvme_io_answer *answer)
{
	const struct crypt *crypt = interceptor;
	const struct volume *volume;
	bool fits = !answer->verb;

	for (u64 i = answer->first;
	     fits && (volume = crypt_volumes_get(i)) != NULL; i++) {
		struct sum sum = add_up(crypt, volume);

		fits = nvme_io_answer_line(
			answer, "volume=%s\tfrom=line %u\tkey_bits=%u\t"
			"ranges=%u\tblocks=%lu\tstate=%s", volume->text,
			volume->line, volume->key.rounds == 14 ? 512 : 256,
			sum.ranges, sum.blocks,
			state_of(crypt, volume, &sum));
	}
	return !answer->verb;
}

const struct nvme_io_control crypt_control = { .ask = ask };
