/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A static position-independent ELF, linked at 0 by core/sluice.ld: loaded
 * segments, a dynamic section, R_X86_64_RELATIVE relocations.
 */
#include <errno.h>
#include <string.h>

#include "bits.h"
#include "image.h"
#include "spec/elf.h"

#define SEGMENT_MAX 16

struct source {
	const u8 *bytes;
	size_t size;
	u32 segment_count;
	struct elf_segment segments[SEGMENT_MAX];
};

struct target {
	u8 *bytes;
	size_t size;	/* there is room for */
	u64 used;
};

static int read_header(const struct source *from, struct elf_header *header)
{
	if (from->size < sizeof(*header))
		return -ENOEXEC;
	memcpy(header, from->bytes, sizeof(*header));
	if (memcmp(header->ident, ELF_IDENT, ELF_IDENT_SIZE) ||
	    header->type != ELF_TYPE_DYN ||
	    header->machine != ELF_MACHINE_X86_64 ||
	    header->phentsize != sizeof(struct elf_segment) ||
	    header->phnum > SEGMENT_MAX)
		return -ENOEXEC;
	return 0;
}

static int read_segments(struct source *from, const struct elf_header *header)
{
	u64 size = header->phnum * sizeof(struct elf_segment);

	if (!range_inside(header->phoff, size, from->size))
		return -ENOEXEC;
	memcpy(from->segments, from->bytes + header->phoff, size);
	from->segment_count = header->phnum;
	return 0;
}

/* Segments come in ascending order (gABI 5), which rules out overlap. */
static int load_segment(const struct source *from,
			const struct elf_segment *segment, struct target *to)
{
	if (segment->filesz > segment->memsz ||
	    !range_inside(segment->offset, segment->filesz, from->size) ||
	    segment->vaddr < to->used)
		return -ENOEXEC;
	if (!range_inside(segment->vaddr, segment->memsz, to->size))
		return -ENOMEM;
	memcpy(to->bytes + segment->vaddr, from->bytes + segment->offset,
	       segment->filesz);
	to->used = segment->vaddr + segment->memsz;
	return 0;
}

static u64 image_end(const struct source *from)
{
	u64 end = 0;

	for (u32 i = 0; i < from->segment_count; i++) {
		const struct elf_segment *segment = &from->segments[i];

		if (segment->type == ELF_SEGMENT_LOAD)
			end = MAX(end, segment->vaddr + segment->memsz);
	}
	return align_up(end, PAGE_SIZE);
}

static int load(const struct source *from, struct target *to)
{
	u64 end = image_end(from);
	int error;

	memset(to->bytes, 0, MIN(end, to->size));
	for (u32 i = 0; i < from->segment_count; i++) {
		if (from->segments[i].type != ELF_SEGMENT_LOAD)
			continue;
		error = load_segment(from, &from->segments[i], to);
		if (error)
			return error;
	}
	if (!to->used)
		return -ENOEXEC;
	if (end > to->size)
		return -ENOMEM;
	to->used = end;
	return 0;
}

/* In the loaded image. An image without the table needs no relocation. */
static int find_relocations(const struct target *in,
			    const struct elf_segment *dynamic, u64 *table,
			    u64 *table_size)
{
	struct elf_dynamic entry;

	if (!range_inside(dynamic->vaddr, dynamic->memsz, in->used))
		return -ENOEXEC;
	for (u64 at = 0; at + sizeof(entry) <= dynamic->memsz;
	     at += sizeof(entry)) {
		memcpy(&entry, in->bytes + dynamic->vaddr + at, sizeof(entry));
		if (entry.tag == ELF_DYNAMIC_NULL)
			break;
		if (entry.tag == ELF_DYNAMIC_RELA)
			*table = entry.value;
		if (entry.tag == ELF_DYNAMIC_RELASZ)
			*table_size = entry.value;
	}
	return range_inside(*table, *table_size, in->used) ? 0 : -ENOEXEC;
}

static int relocate_one(const struct target *in, const struct elf_rela *rela)
{
	u64 value = (u64)(uintptr_t)in->bytes + rela->addend;

	if (rela->info != ELF_RELOCATION_RELATIVE ||
	    !range_inside(rela->offset, sizeof(value), in->used) ||
	    rela->addend > in->used)
		return -ENOEXEC;
	memcpy(in->bytes + rela->offset, &value, sizeof(value));
	return 0;
}

static int relocate(const struct target *in, const struct elf_segment *dynamic)
{
	u64 table = 0, table_size = 0;
	struct elf_rela rela;
	int error = find_relocations(in, dynamic, &table, &table_size);

	for (u64 at = 0; !error && at + sizeof(rela) <= table_size;
	     at += sizeof(rela)) {
		memcpy(&rela, in->bytes + table + at, sizeof(rela));
		error = relocate_one(in, &rela);
	}
	return error;
}

static int relocate_all(const struct source *from, const struct target *in)
{
	int error = 0;

	for (u32 i = 0; !error && i < from->segment_count; i++)
		if (from->segments[i].type == ELF_SEGMENT_DYNAMIC)
			error = relocate(in, &from->segments[i]);
	return error;
}

int image_place(const void *elf, size_t elf_size, void *to, size_t to_size,
		struct image *out)
{
	struct source from = { .bytes = elf, .size = elf_size };
	struct target target = { .bytes = to, .size = to_size };
	struct elf_header header;
	int error;

	error = read_header(&from, &header);
	if (!error)
		error = read_segments(&from, &header);
	if (!error)
		error = load(&from, &target);
	if (!error)
		error = relocate_all(&from, &target);
	if (!error && header.entry >= target.used)
		error = -ENOEXEC;
	if (error)
		return error;
	out->size = target.used;
	out->entry = target.bytes + header.entry;
	return 0;
}
