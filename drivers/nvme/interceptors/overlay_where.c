/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which blocks have an overlay. One keeps what it holds over resets, from the
 * firmware to the operating system; it belongs to the first place that its
 * rule has named. What cannot have one, though a rule wants it, is read-only.
 */
#include <stdio.h>
#include <string.h>

#include "overlay.h"

static bool is_same_place(const struct overlay_volume *volume,
			  const struct nvme_io_extent *where, u32 lba_size)
{
	return volume->where.nsid == where->nsid &&
	       volume->where.first_lba == where->first_lba &&
	       volume->where.last_lba == where->last_lba &&
	       volume->lba_size == lba_size &&
	       !strcmp(volume->serial,
		       nvme_io_serial(volume->overlay->host));
}

static struct overlay_volume *find(struct overlay *overlay,
				   const struct overlay_rule *rule,
				   const struct nvme_io_extent *where,
				   u32 lba_size)
{
	for (u32 i = 0; i < overlay->volume_count; i++) {
		struct overlay_volume *volume = &overlay->volumes[i];

		if (volume->rule == rule &&
		    is_same_place(volume, where, lba_size))
			return volume;
	}
	return NULL;
}

/* Why there can be no overlay; NULL: it can. */
static const char *obstacle(struct overlay *overlay,
			    struct overlay_rule *rule,
			    const struct nvme_io_extent *where,
			    const struct nvme_io_namespace *ns)
{
	if (rule->is_taken)
		return "matches more than once";
	if (ns->lba_size < 512 || ns->lba_size > CHUNK_SIZE ||
	    ns->metadata_size || ns->command_set)
		return "wants blocks of 512 to 4096 bytes without metadata";
	for (u32 i = 0; i < overlay->volume_count; i++) {
		const struct overlay_volume *other = &overlay->volumes[i];

		if (other->is_here &&
		    overlay_extents_overlap(&other->where, where))
			return "is over another one";
	}
	return NULL;
}

static void open_volume(struct overlay_volume *volume)
{
	struct overlay_rule *rule = volume->rule;

	rule->is_taken = true;
	volume->map.pages = &rule->pages;
	if (rule->has_store)
		return;
	nvme_io_log(volume->overlay->host, NVME_IO_LOG_INFO,
		    "overlay: n%u: lba %lu to %lu: writes go to %u MiB of "
		    "memory (line %u)", volume->where.nsid,
		    volume->where.first_lba, volume->where.last_lba,
		    rule->memory_mib, rule->line);
}

static void add(struct overlay *overlay, struct overlay_rule *rule,
		const struct nvme_io_extent *where,
		const struct nvme_io_namespace *ns)
{
	struct overlay_volume *volume =
		&overlay->volumes[overlay->volume_count];
	const char *why = obstacle(overlay, rule, where, ns);

	*volume = (struct overlay_volume){
		.overlay = overlay, .rule = rule, .where = *where,
		.lba_size = ns->lba_size, .is_here = true, .is_closed = why,
	};
	snprintf(volume->serial, sizeof(volume->serial), "%s",
		 nvme_io_serial(overlay->host));
	overlay->volume_count++;
	if (why)
		nvme_io_log(overlay->host, NVME_IO_LOG_ERROR,
			    "overlay: n%u: lba %lu to %lu: read-only: %s %s "
			    "(line %u)", where->nsid, where->first_lba,
			    where->last_lba, rule->text, why, rule->line);
	else
		open_volume(volume);
}

static void found_store(struct overlay *overlay, struct overlay_rule *rule,
			const struct nvme_io_extent *extent)
{
	if (overlay->place_count < VOLUME_MAX)
		overlay->places[overlay->place_count++] =
			(struct overlay_place){ rule, *extent };
	else
		overlay->is_closed = true;
}

static void found_volume(struct overlay *overlay, struct overlay_rule *rule,
			 const struct nvme_io_extent *extent)
{
	struct overlay_volume *volume;
	struct nvme_io_namespace ns;

	if (nvme_io_namespace_find(overlay->host, extent->nsid, &ns))
		return;
	volume = find(overlay, rule, extent, ns.lba_size);
	if (volume)
		volume->is_here = true;
	else if (overlay->volume_count < VOLUME_MAX)
		add(overlay, rule, extent, &ns);
	else
		overlay->is_closed = true;
}

static void found(void *arg, u32 index, const struct nvme_io_extent *extent)
{
	struct overlay *overlay = arg;
	struct overlay_rule *rule = overlay->rules[index];

	if (overlay->selectors[index] == &rule->store)
		found_store(overlay, rule, extent);
	else
		found_volume(overlay, rule, extent);
}

bool overlay_where_is_store(const struct overlay *overlay, u32 nsid, u64 lba,
			    u64 n_lbas)
{
	u64 last = lba + (n_lbas - 1);
	struct nvme_io_extent blocks = { nsid, lba, last < lba ? ~0ull : last };

	for (u32 i = 0; n_lbas && i < overlay->place_count; i++)
		if (overlay_extents_overlap(&overlay->places[i].where, &blocks))
			return true;
	return false;
}

static bool is_anywhere(const struct overlay *overlay)
{
	for (u32 i = 0; i < overlay->volume_count; i++)
		if (overlay->volumes[i].is_here)
			return true;
	return overlay->is_closed || overlay->place_count;
}

/* Stores are opened when all places are known. */
static void use_stores(struct overlay *overlay)
{
	overlay->opening = 1;
	for (u32 i = 0; i < overlay->volume_count; i++)
		if (overlay->volumes[i].is_here)
			overlay_place_use(&overlay->volumes[i]);
	overlay_place_opened(overlay);
}

static void done(void *arg, bool is_complete)
{
	struct overlay *overlay = arg;

	overlay->is_closed |= !is_complete;
	if (overlay->is_closed)
		nvme_io_log(overlay->host, NVME_IO_LOG_ERROR,
			    "overlay: where the rules' blocks are is not "
			    "known: all is read-only");
	else if (!is_anywhere(overlay))
		nvme_io_log(overlay->host, NVME_IO_LOG_INFO,
			    "overlay: no rule matches here");
	if (is_anywhere(overlay))
		overlay->interceptor.needs |= NVME_IO_NEEDS_COMPLETIONS;
	use_stores(overlay);
}

static void look_for(struct overlay *overlay, struct overlay_rule *rule,
		     const struct nvme_io_selector *selector)
{
	overlay->rules[overlay->selector_count] = rule;
	overlay->selectors[overlay->selector_count++] = selector;
}

void overlay_where_look(struct overlay *overlay)
{
	for (u32 i = 0; i < overlay->volume_count; i++)
		overlay->volumes[i].is_here = false;
	overlay->is_closed = false;
	overlay->selector_count = overlay->place_count = 0;
	for (u32 i = 0; i < overlay_rules_count(); i++) {
		struct overlay_rule *rule = overlay_rules_get(i);

		look_for(overlay, rule, &rule->selector);
		if (rule->has_store)
			look_for(overlay, rule, &rule->store);
	}
	overlay->search = (struct nvme_io_search){
		.selectors = overlay->selectors,
		.n_selectors = overlay->selector_count,
		.found = found, .done = done, .arg = overlay,
	};
	nvme_io_find(overlay->host, &overlay->search);
}
