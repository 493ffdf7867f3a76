/* SPDX-License-Identifier: BSD-2-Clause */
/* The volumes of sluice.conf, their keys, and where they are on a controller. */
#include <stdio.h>
#include <string.h>

#include "crypt.h"

#define KEY_MIN 32		/* bytes: AES-128, and the tweak's */
#define KEY_MAX 64
#define EXPECTED \
	"expected " NVME_IO_SELECTORS ", then key-file= or passphrase=PATH"

static struct volume volumes[VOLUME_MAX];
static u32 volume_count;

/* ---- sluice.conf ---------------------------------------------------- */

/* Not to be left out because nobody reads it again. */
static void wipe(void *memory, size_t size)
{
	memset(memory, 0, size);
	__asm__ volatile("" : : "r"(memory) : "memory");
}

/* NULL, or what is wrong with it. */
static const char *take_key(struct volume *volume)
{
	struct sse_state guest;
	u8 bytes[KEY_MAX];
	size_t size = nvme_io_take_secret(volume->line, bytes, sizeof(bytes));
	const char *fault = NULL;

	volume->is_locked = !size;
	if (!size)
		return NULL;
	if (size != KEY_MIN && size != KEY_MAX) {
		fault = "expected a key of 32 or 64 bytes";
	} else if (!memcmp(bytes, bytes + size / 2, size / 2)) {
		fault = "expected a key of two different halves";
	} else {
		sse_begin(&guest);
		xts_expand(&volume->key, bytes, size);
		sse_end(&guest);
	}
	wipe(bytes, sizeof(bytes));
	return fault;
}

/* What comes before it is the selector; what it names, the loader reads. */
static const char *find_word(const char *value)
{
	const char *word = strstr(value, "key-file=");

	return word ? word : strstr(value, "passphrase=");
}

const char *crypt_volumes_parse(struct volume *volume, const char *value)
{
	const char *word = find_word(value);
	size_t length = word ? (size_t)(word - value) : 0;

	while (length && (value[length - 1] == ' ' ||
			  value[length - 1] == '\t'))
		length--;
	if (!length || length >= sizeof(volume->text))
		return EXPECTED;
	snprintf(volume->text, sizeof(volume->text), "%.*s", (int)length,
		 value);
	return nvme_io_selector_parse(volume->text, &volume->selector);
}

static const char *take_volume(struct volume *volume, const char *value)
{
	const char *fault = crypt_volumes_parse(volume, value);

	return fault ? fault : take_key(volume);
}

int crypt_volumes_configure(u32 line, const char *key, const char *value,
			    char *why, size_t why_size)
{
	struct volume *volume = &volumes[volume_count];
	const char *fault;

	if (strcmp(key, "crypt")) {
		fault = "expected the key crypt";
	} else if (volume_count == VOLUME_MAX) {
		fault = "expected at most 8 such lines";
	} else if (!sse_has_aes()) {
		fault = "this processor has no AES instructions";
	} else {
		volume->line = line;
		fault = take_volume(volume, value);
	}
	if (!fault) {
		volume_count++;
		return 0;
	}
	snprintf(why, why_size, "%s", fault);
	return -1;
}

const struct volume *crypt_volumes_get(u64 index)
{
	return index < volume_count ? &volumes[index] : NULL;
}

bool crypt_volumes_may_be_in(struct crypt *crypt, u32 nsid)
{
	for (u32 i = 0; i < volume_count; i++)
		if (nvme_io_selector_is_in(&volumes[i].selector, crypt->host,
					   nsid))
			return true;
	return false;
}

/* ---- Ranges ----------------------------------------------------------- */

/* NULL, or why nobody may use these blocks. */
static const char *refuse(const struct nvme_io_namespace *ns,
			  const struct volume *volume)
{
	if (volume->is_locked)
		return "there is no key";
	if (ns->metadata_size)
		return "blocks with metadata";
	if (ns->lba_size > BLOCK_MAX || ns->lba_size % 512)
		return "blocks that dm-crypt does not have";
	if (ns->command_set)
		return "another command set than NVM";
	return NULL;
}

/* A block has one key, or nobody knows what is in it. */
static const char *refuse_overlap(struct crypt *crypt,
				  const struct range *range)
{
	const char *why = NULL;

	for (u32 i = 0; i < crypt->range_count; i++) {
		struct range *other = &crypt->ranges[i];

		if (other->nsid != range->nsid ||
		    other->first > range->last || other->last < range->first)
			continue;
		other->is_refused = true;
		why = "another line is for the same blocks";
	}
	return why;
}

static void found(void *arg, u32 index, const struct nvme_io_extent *extent)
{
	struct crypt *crypt = arg;
	struct range range = {
		.nsid = extent->nsid, .first = extent->first_lba,
		.last = extent->last_lba, .volume = &volumes[index],
	};
	struct nvme_io_namespace ns = { 0 };
	const char *why = "it is gone";

	range.blocks = range.last - range.first + 1;
	if (range.volume->selector.by == NVME_IO_BY_NAMESPACE)
		range.last = CRYPT_LAST_LBA;
	if (!nvme_io_namespace_find(crypt->host, extent->nsid, &ns))
		why = refuse(&ns, range.volume);
	if (!why)
		why = refuse_overlap(crypt, &range);
	range.lba_size = ns.lba_size;
	range.is_refused = why;
	if (crypt->range_count == RANGE_MAX) {
		crypt->is_closed = true;
		return;
	}
	crypt->ranges[crypt->range_count++] = range;
	nvme_io_log(crypt->host, why ? NVME_IO_LOG_ERROR : NVME_IO_LOG_INFO,
		    "crypt: n%u: lba %lu to %lu: %s%s (line %u)", extent->nsid,
		    extent->first_lba, extent->last_lba,
		    why ? "refused: " : "encrypted", why ? why : "",
		    volumes[index].line);
}

/* Commands of a controller without a volume need not be looked at. */
static void done(void *arg, bool is_complete)
{
	struct crypt *crypt = arg;

	if (!is_complete)
		crypt->is_closed = true;
	if (crypt->is_closed)
		nvme_io_log(crypt->host, NVME_IO_LOG_ERROR,
			    "crypt: where the partitions are is not known: "
			    "all of the disk is refused");
	if (crypt->range_count || crypt->is_closed)
		crypt->interceptor.needs |= NVME_IO_NEEDS_COMPLETIONS;
	nvme_io_start_fetching_g_reqs(crypt->host);
}

static void note_namespaces(struct crypt *crypt)
{
	struct nvme_io_namespace ns;

	crypt->nsid_count = 0;
	while (crypt->nsid_count < NAMESPACE_MAX &&
	       !nvme_io_namespace_get(crypt->host, crypt->nsid_count, &ns))
		crypt->nsids[crypt->nsid_count++] = ns.nsid;
}

void crypt_volumes_find(struct crypt *crypt)
{
	crypt->is_closed = false;
	crypt->range_count = 0;
	note_namespaces(crypt);
	for (u32 i = 0; i < volume_count; i++)
		crypt->selectors[i] = &volumes[i].selector;
	crypt->search = (struct nvme_io_search){
		.selectors = crypt->selectors, .n_selectors = volume_count,
		.found = found, .done = done, .arg = crypt,
	};
	nvme_io_find(crypt->host, &crypt->search);
}
