/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvme_io_read_partitions(): a namespace's GUID partition table by host
 * requests. The primary copy is read first, then the backup: to check it, or
 * to use it when anything is wrong with the primary. Each step submits one
 * read and is continued by its callback.
 */
#include <errno.h>
#include <string.h>

#include "bits.h"
#include "gpt.h"
#include "nvme_io.h"

/* Tables that can be read at the same time, on all controllers together. */
#define READER_COUNT 16

/* The smallest transfer limit a controller can have (MDTS 1, pages of 4 KiB)
 * and a multiple of every block and entry size. */
#define CHUNK_PAGES 2
#define CHUNK_SIZE (CHUNK_PAGES * PAGE_SIZE)

#define LBA_SIZE_MIN 512
#define LBA_SIZE_MAX 4096

enum copy { PRIMARY, BACKUP, COPY_COUNT };

typedef void done_fn(struct nvme_host *host, u32 nsid,
		     const struct nvme_io_table_info *info, void *arg);

/* One table being read. The buffers stay with the reader for the next. */
struct reader {
	struct nvme_host *host;
	struct nvme_io_namespace ns;
	done_fn *done;
	void *arg;

	u8 *data;			/* CHUNK_SIZE */
	phys_t *list, list_phys;	/* the addresses of its pages */
	struct nvme_io_partition *partitions;
	u32 partition_capacity;

	void (*next)(struct reader *reader);	/* when the read is done */
	enum copy copy;
	const char *fault[COPY_COUNT];
	bool had_table;			/* something says there was one */
	bool was_unreadable;
	bool has_mbr;			/* a protective one */
	bool has_primary;		/* good: the backup is only checked */
	struct gpt_header header;	/* of the copy in use */
	u64 backup_lba;
	u32 crc;
	u32 entry_count;		/* looked at so far */
	u32 bad_entry_count;
	u32 partition_count;
};

static struct reader readers[READER_COUNT];
static bool reader_is_busy[READER_COUNT];	/* atomic */

static void copy_failed(struct reader *reader, const char *fault);
static void next_copy(struct reader *reader);
static void finish(struct reader *reader, enum nvme_io_table state);

bool nvme_io_uuid_parse(const char *text, u8 uuid[16])
{
	return gpt_uuid_parse(text, uuid);
}

void nvme_io_uuid_format(const u8 uuid[16], char text[GPT_UUID_TEXT])
{
	gpt_uuid_format(uuid, text);
}

/* ---- Buffers --------------------------------------------------------- */

static bool alloc_chunk(struct reader *reader)
{
	phys_t phys;
	u8 *pages;

	if (reader->data)
		return true;
	pages = nvme_io_alloc_pages(reader->host, CHUNK_PAGES + 1, &phys);
	if (!pages)
		return false;
	reader->data = pages;
	reader->list = (void *)(pages + CHUNK_SIZE);
	reader->list_phys = phys + CHUNK_SIZE;
	for (u32 i = 0; i < CHUNK_PAGES; i++)
		reader->list[i] = phys + i * PAGE_SIZE;
	return true;
}

/* Pages are never given back; doubling bounds what growing leaves behind. */
static bool alloc_partitions(struct reader *reader, u32 count)
{
	size_t n_pages = 8;
	phys_t phys;
	void *pages;

	if (count <= reader->partition_capacity)
		return true;
	while (n_pages * PAGE_SIZE / sizeof(*reader->partitions) < count)
		n_pages *= 2;
	pages = nvme_io_alloc_pages(reader->host, n_pages, &phys);
	if (!pages)
		return false;
	reader->partitions = pages;
	reader->partition_capacity =
		(u32)(n_pages * PAGE_SIZE / sizeof(*reader->partitions));
	return true;
}

static struct reader *reader_get(void)
{
	for (int i = 0; i < READER_COUNT; i++)
		if (!__atomic_exchange_n(&reader_is_busy[i], true,
					 __ATOMIC_ACQUIRE))
			return &readers[i];
	return NULL;
}

static void reader_put(struct reader *reader)
{
	__atomic_store_n(&reader_is_busy[reader - readers], false,
			 __ATOMIC_RELEASE);
}

/* ---- One read -------------------------------------------------------- */

static void blocks_read(struct nvme_host *host, u16 status, void *arg)
{
	struct reader *reader = arg;

	if (status == NVME_IO_SUCCESS) {
		reader->next(reader);
		return;
	}
	reader->was_unreadable = true;
	if (status == NVME_IO_ABORTED) {	/* on_init() comes again */
		finish(reader, NVME_IO_TABLE_UNREAD);
		return;
	}
	nvme_io_log_limited(host, NVME_IO_LOG_WARN,
		    "n%u: reading the partition table: status %04x",
		    (unsigned)reader->ns.nsid, status);
	copy_failed(reader, "cannot be read");
}

/* Zeroed first: a device that moves no data must not show the last table. */
static bool submit(struct reader *reader, u64 lba, u64 n_lbas,
		   void (*next)(struct reader *reader))
{
	u64 size = n_lbas * reader->ns.lba_size;
	struct nvme_io_descriptor *desc;

	memset(reader->data, 0, CHUNK_SIZE);
	reader->next = next;
	desc = nvme_io_init_descriptor(reader->host, reader->ns.nsid, 0, lba,
				       (u16)n_lbas);
	if (!desc)
		return false;
	/* Refused where metadata is in the way; submitting then says no and
	 * gives desc back. */
	nvme_io_set_phys_buffers(reader->host, desc, reader->list,
				 reader->list_phys,
				 align_up(size, PAGE_SIZE) / PAGE_SIZE, 0);
	return nvme_io_submit(reader->host, desc, NVME_IO_READ, blocks_read,
			      reader);
}

static void read_blocks(struct reader *reader, u64 lba, u64 n_lbas,
			void (*next)(struct reader *reader))
{
	if (submit(reader, lba, n_lbas, next))
		return;
	reader->was_unreadable = true;
	copy_failed(reader, "cannot be asked for");
}

/* ---- Entries --------------------------------------------------------- */

static void take_entry(struct reader *reader, const u8 *entry)
{
	struct nvme_io_partition *out =
		&reader->partitions[reader->partition_count];
	struct gpt_partition partition;
	int error = gpt_parse_entry(&reader->header, entry, &partition);

	if (error == -EINVAL)
		reader->bad_entry_count++;
	if (error)
		return;
	*out = (struct nvme_io_partition){
		.index = reader->entry_count + 1,
		.first_lba = partition.first_lba,
		.last_lba = partition.last_lba,
	};
	memcpy(out->type, partition.type, sizeof(out->type));
	memcpy(out->uuid, partition.uuid, sizeof(out->uuid));
	memcpy(out->label, partition.label, sizeof(partition.label));
	reader->partition_count++;
}

static void entries_complete(struct reader *reader)
{
	if (reader->crc != reader->header.entries_crc) {
		copy_failed(reader, "CRC of the entries is wrong");
	} else if (reader->copy == PRIMARY) {
		reader->has_primary = true;
		next_copy(reader);
	} else {
		finish(reader, reader->has_primary ? NVME_IO_TABLE_GOOD :
						     NVME_IO_TABLE_BACKUP);
	}
}

static u64 bytes_left(const struct reader *reader)
{
	return gpt_entries_size(&reader->header) -
	       (u64)reader->entry_count * reader->header.entry_size;
}

static void entries_read(struct reader *reader);

static void read_entries(struct reader *reader)
{
	const struct gpt_header *header = &reader->header;
	u64 done = (u64)reader->entry_count * header->entry_size;
	u64 size = MIN(bytes_left(reader), CHUNK_SIZE);
	u32 lba_size = reader->ns.lba_size;

	if (!size)
		entries_complete(reader);
	else
		read_blocks(reader, header->entries_lba + done / lba_size,
			    (size + lba_size - 1) / lba_size, entries_read);
}

static void entries_read(struct reader *reader)
{
	u64 size = MIN(bytes_left(reader), CHUNK_SIZE);
	u32 entry_size = reader->header.entry_size;

	reader->crc = gpt_crc32(reader->crc, reader->data, size);
	for (u64 at = 0; at < size; at += entry_size) {
		if (!reader->has_primary)
			take_entry(reader, reader->data + at);
		reader->entry_count++;
	}
	read_entries(reader);
}

/* ---- Headers --------------------------------------------------------- */

/* Do two headers describe the same table? */
static bool is_same(const struct gpt_header *a, const struct gpt_header *b)
{
	return a->entry_count == b->entry_count &&
	       a->entry_size == b->entry_size &&
	       a->entries_crc == b->entries_crc &&
	       a->first_usable_lba == b->first_usable_lba &&
	       a->last_usable_lba == b->last_usable_lba;
}

static const char *parse(struct reader *reader, const u8 *block, u64 lba,
			 struct gpt_header *header)
{
	const char *fault = NULL;

	gpt_parse_header(block, reader->ns.lba_size, lba, reader->ns.n_lbas,
			 header, &fault);
	if (!fault && reader->has_primary &&
	    !is_same(header, &reader->header))
		fault = "differs from the primary";
	return fault;
}

static void take_header(struct reader *reader, const u8 *block, u64 lba)
{
	struct gpt_header header;
	const char *fault = parse(reader, block, lba, &header);

	if (gpt_has_signature(block))
		reader->had_table = true;
	if (fault) {
		copy_failed(reader, fault);
		return;
	}
	reader->header = header;
	if (reader->copy == PRIMARY)
		reader->backup_lba = header.alternate_lba;
	if (!alloc_partitions(reader, header.entry_count)) {
		reader->was_unreadable = true;
		copy_failed(reader, "no memory for its entries");
		return;
	}
	reader->crc = reader->entry_count = 0;
	if (!reader->has_primary)
		reader->bad_entry_count = reader->partition_count = 0;
	read_entries(reader);
}

/* Block 0 is the MBR and block 1 the header, when there is a block 1. */
static void head_read(struct reader *reader)
{
	reader->has_mbr = gpt_mbr_is_protective(reader->data);
	reader->had_table = reader->has_mbr;
	take_header(reader, reader->data + reader->ns.lba_size, 1);
}

static void backup_read(struct reader *reader)
{
	take_header(reader, reader->data, reader->backup_lba);
}

/* ---- The outcome ----------------------------------------------------- */

static enum nvme_io_table state_without_table(const struct reader *reader)
{
	if (reader->had_table)
		return NVME_IO_TABLE_BAD;
	return reader->was_unreadable ? NVME_IO_TABLE_UNREAD :
					NVME_IO_TABLE_NONE;
}

static void next_copy(struct reader *reader)
{
	reader->copy = BACKUP;
	read_blocks(reader, reader->backup_lba, 1, backup_read);
}

static void copy_failed(struct reader *reader, const char *fault)
{
	reader->fault[reader->copy] = fault;
	if (reader->copy == PRIMARY)
		next_copy(reader);
	else if (reader->has_primary)
		finish(reader, NVME_IO_TABLE_GOOD);
	else
		finish(reader, state_without_table(reader));
}

static void log_outcome(const struct reader *reader, enum nvme_io_table state)
{
	unsigned nsid = reader->ns.nsid;

	if (state == NVME_IO_TABLE_GOOD && reader->fault[BACKUP])
		nvme_io_log_limited(reader->host, NVME_IO_LOG_WARN,
			    "n%u: backup of the partition table: %s", nsid,
			    reader->fault[BACKUP]);
	else if (state == NVME_IO_TABLE_BACKUP)
		nvme_io_log_limited(reader->host, NVME_IO_LOG_WARN,
			    "n%u: partition table taken from the backup: "
			    "primary: %s", nsid, reader->fault[PRIMARY]);
	else if (state == NVME_IO_TABLE_BAD)
		nvme_io_log_limited(reader->host, NVME_IO_LOG_ERROR,
			    "n%u: no usable partition table: primary: %s; "
			    "backup: %s", nsid, reader->fault[PRIMARY],
			    reader->fault[BACKUP]);
	else if (state == NVME_IO_TABLE_NONE)
		nvme_io_log_limited(reader->host, NVME_IO_LOG_INFO,
			    "n%u: no partition table", nsid);
	else if (state == NVME_IO_TABLE_UNREAD)
		nvme_io_log_limited(reader->host, NVME_IO_LOG_ERROR,
			    "n%u: the partition table was not read", nsid);
}

static void take_outcome(const struct reader *reader,
			 struct nvme_io_table_info *info)
{
	info->n_partitions = reader->partition_count;
	info->partitions = reader->partitions;
	info->head_lbas = reader->header.first_usable_lba;
	info->tail_lba = reader->header.last_usable_lba + 1;
	info->is_complete = reader->has_primary && !reader->fault[BACKUP] &&
			    reader->has_mbr;
	if (reader->bad_entry_count)
		nvme_io_log_limited(reader->host, NVME_IO_LOG_WARN,
			    "n%u: partition entries outside the usable "
			    "blocks: %u left out", (unsigned)reader->ns.nsid,
			    (unsigned)reader->bad_entry_count);
}

static void finish(struct reader *reader, enum nvme_io_table state)
{
	struct nvme_io_table_info info = { .state = state };

	log_outcome(reader, state);
	if (state == NVME_IO_TABLE_GOOD || state == NVME_IO_TABLE_BACKUP) {
		take_outcome(reader, &info);
	} else if (state == NVME_IO_TABLE_NONE) {
		info.head_lbas = 2;
		info.tail_lba = reader->ns.n_lbas - 1;
	}
	reader->done(reader->host, reader->ns.nsid, &info, reader->arg);
	reader_put(reader);
}

/* ---- Start ----------------------------------------------------------- */

/* What keeps the namespace from being read; NULL: nothing. */
static const char *obstacle(const struct nvme_io_namespace *ns)
{
	if (ns->lba_size < LBA_SIZE_MIN || ns->lba_size > LBA_SIZE_MAX ||
	    (ns->lba_size & (ns->lba_size - 1)))
		return "its blocks are not of 512 to 4096 bytes";
	if (!ns->n_lbas)
		return "it has no blocks";
	return NULL;
}

static const char *start(struct reader *reader)
{
	const char *fault = obstacle(&reader->ns);

	if (fault)
		return fault;
	if (!alloc_chunk(reader))
		return "memory is short";
	reader->backup_lba = reader->ns.n_lbas - 1;
	if (submit(reader, 0, MIN(reader->ns.n_lbas, 2), head_read))
		return NULL;
	return reader->ns.metadata_size ? "its blocks carry metadata" :
					  "the controller takes no request";
}

/* Everything of the reader's but its buffers begins anew. */
static void prepare(struct reader *reader, struct nvme_host *host,
		    done_fn *done, void *arg)
{
	*reader = (struct reader){
		.host = host,
		.done = done,
		.arg = arg,
		.data = reader->data,
		.list = reader->list,
		.list_phys = reader->list_phys,
		.partitions = reader->partitions,
		.partition_capacity = reader->partition_capacity,
	};
}

u8 nvme_io_read_partitions(struct nvme_host *host, u32 nsid, done_fn *done,
			   void *arg)
{
	struct reader *reader = reader_get();
	const char *fault = "too many tables are being read";

	if (reader) {
		prepare(reader, host, done, arg);
		fault = nvme_io_namespace_find(host, nsid, &reader->ns) ?
			"there is no such namespace" : start(reader);
		if (!fault)
			return 1;
		reader_put(reader);
	}
	nvme_io_log_limited(host, NVME_IO_LOG_ERROR,
		    "n%u: the partition table is not read: %s",
		    (unsigned)nsid, fault);
	return 0;
}
