/* SPDX-License-Identifier: BSD-2-Clause */
/* What sluicectl can ask and order. */
#include <stdio.h>
#include <string.h>

#include "overlay.h"

static bool is_committing(const struct overlay_volume *volume)
{
	return volume->store ? overlay_guest_is_committing(volume) :
			       volume->commit != COMMIT_NOT;
}

static const char *state_of(const struct overlay_volume *volume)
{
	return !volume->is_here ? "away" :
	       volume->is_closed ? "read-only" :
	       is_committing(volume) ? "committing" : "open";
}

static void count_chunks(const struct overlay_volume *volume, u64 *used,
			 u64 *count)
{
	const struct overlay_pages *pages = volume->map.pages;

	if (volume->store) {
		overlay_guest_count(volume, used, count);
		return;
	}
	*count = pages->count - 1;
	*used = *count - pages->free_count;
}

static bool ask(void *interceptor, struct nvme_io_answer *out)
{
	struct overlay *overlay = interceptor;

	if (out->verb)
		return false;
	for (u64 i = out->first; i < overlay->volume_count; i++) {
		const struct overlay_volume *volume = &overlay->volumes[i];
		u64 used = 0, count = 0;

		if (!volume->is_closed)
			count_chunks(volume, &used, &count);
		if (!nvme_io_answer_line(
			    out, "rule=%s\tnsid=%u\tfirst-lba=%lu\t"
			    "last-lba=%lu\tstate=%s\tused-kib=%lu\tof-kib=%lu",
			    volume->rule->text, volume->where.nsid,
			    volume->where.first_lba, volume->where.last_lba,
			    state_of(volume), used * 4, count * 4))
			break;
	}
	return true;
}

static void commit_all(struct overlay *overlay)
{
	for (u32 i = 0; i < overlay->volume_count; i++) {
		struct overlay_volume *volume = &overlay->volumes[i];

		if (!volume->is_here || volume->is_closed)
			continue;
		if (volume->store)
			overlay_guest_commit(volume);
		else
			overlay_commit_begin(volume);
	}
}

static void discard(struct overlay_volume *volume)
{
	if (volume->store) {
		overlay_guest_discard(volume);
		return;
	}
	overlay_map_clear(&volume->map);
	volume->warned_percent = 0;
	nvme_io_log(volume->overlay->host, NVME_IO_LOG_WARN,
		    "overlay: %s: discarded", volume->rule->text);
}

static void discard_all(struct overlay *overlay)
{
	for (u32 i = 0; i < overlay->volume_count; i++)
		if (!overlay->volumes[i].is_closed &&
		    !is_committing(&overlay->volumes[i]))
			discard(&overlay->volumes[i]);
}

static int order(void *interceptor, const char *text, char *why,
		 size_t why_size)
{
	if (!overlay_rules_allow_orders())
		snprintf(why, why_size,
			 "expected overlay.orders = on in sluice.conf");
	else if (!strcmp(text, "commit"))
		commit_all(interceptor);
	else if (!strcmp(text, "discard"))
		discard_all(interceptor);
	else
		snprintf(why, why_size, "expected commit or discard");
	return *why ? -1 : 0;
}

const struct nvme_io_control overlay_orders = { .ask = ask, .order = order };
