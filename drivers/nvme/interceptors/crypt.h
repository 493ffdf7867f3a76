/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of crypt share: volumes, as sluice.conf lists them, and the
 * blocks of a controller that they turned out to be. The plug-in: crypt.c.
 */
#ifndef CRYPT_H
#define CRYPT_H

#include "crypt_xts.h"
#include "nvme_io.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define VOLUME_MAX 8
#define RANGE_MAX 32
#define NAMESPACE_MAX 1024
#define CRYPT_LAST_LBA (~0ul)
#define BLOCK_MAX 4096		/* bytes; dm-crypt's limit, too */

/* With the same key for the whole life of Sluice. */
struct volume {
	u32 line;
	char text[200];		/* the selector, as it was written */
	struct nvme_io_selector selector;
	bool is_locked;		/* there is no key */
	struct xts_key key;
};

/* Blocks of a volume, numbered in its key's tweak from the first. */
struct range {
	u32 nsid;
	u64 first, last;	/* of a whole namespace, whatever its size */
	u64 blocks;		/* for the list */
	u32 lba_size;
	const struct volume *volume;
	bool is_refused;	/* it cannot be used: no access at all */
};

/* A controller, as on_init() builds it; it does not change while commands
 * come. Few ranges are usual: they are looked through. */
struct crypt {
	struct nvme_host *host;
	struct nvme_io_interceptor interceptor;
	struct nvme_io_search search;
	const struct nvme_io_selector *selectors[VOLUME_MAX];
	bool is_closed;		/* where volumes are is not known */
	u32 range_count;
	struct range ranges[RANGE_MAX];
	u32 nsid_count;
	u32 nsids[NAMESPACE_MAX];	/* that were looked at */
};

/* ---- crypt_volumes.c ---------------------------------------------------- */

int crypt_volumes_configure(u32 line, const char *key, const char *value,
			    char *why, size_t why_size);
/* What a line names, without its key. NULL, or what was expected. */
const char *crypt_volumes_parse(struct volume *volume, const char *value);
/* NULL: there are not as many. */
const struct volume *crypt_volumes_get(u64 index);
/* Looks for all of them; nvme_io_start_fetching_g_reqs() when it knows. */
void crypt_volumes_find(struct crypt *crypt);
/* Could there be one in a namespace that was not looked at? */
bool crypt_volumes_may_be_in(struct crypt *crypt, u32 nsid);

/* ---- crypt_control.c ---------------------------------------------------- */

extern const struct nvme_io_control crypt_control;

/* ---- crypt_data.c ------------------------------------------------------- */

/* The first range with any of these blocks, or NULL. A range past the last LBA
 * ends there: last < first. */
const struct range *crypt_data_find(const struct crypt *crypt, u32 nsid,
				    u64 first, u64 last);
/* Is one of them where a volume is that cannot be used? */
bool crypt_data_is_refused(const struct crypt *crypt, u32 nsid, u64 first,
			   u64 last);
/* Blocks in memory, those of them that are encrypted. */
void crypt_data_transform(const struct crypt *crypt,
			  const struct nvme_io_host_data *data);
/* All blocks of a command. -1: they are not where they can be changed. */
int crypt_data_encrypt(const struct crypt *crypt, struct nvme_request *req);
void crypt_data_decrypt(const struct crypt *crypt, struct nvme_request *req);

#endif
