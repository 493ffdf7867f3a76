/* SPDX-License-Identifier: BSD-2-Clause */
/* An image for the loader with some of its fields changed, or any bytes. */
#include "../../boot/image.h"
#include "fuzz.h"
#include "spec/elf.h"

#define ROOM 0x4000
#define DATA_VADDR 0x1000

struct file {
	struct elf_header header;
	struct elf_segment segments[4];
	u8 code[32];
	u64 words[8];
	struct elf_rela relas[8];
	struct elf_dynamic dynamic[4];
};

#define VADDR(field) (DATA_VADDR + offsetof(struct file, field) - \
		      offsetof(struct file, words))

static void make_segments(struct file *file)
{
	u64 size = sizeof(*file) - offsetof(struct file, words);

	file->segments[0] = (struct elf_segment){
		.type = ELF_SEGMENT_LOAD, .filesz = sizeof(file->code),
		.memsz = sizeof(file->code),
		.offset = offsetof(struct file, code),
	};
	file->segments[1] = (struct elf_segment){
		.type = ELF_SEGMENT_LOAD, .vaddr = DATA_VADDR,
		.filesz = size, .memsz = size + 0x800,
		.offset = offsetof(struct file, words),
	};
	file->segments[2] = (struct elf_segment){
		.type = ELF_SEGMENT_DYNAMIC, .vaddr = VADDR(dynamic),
		.filesz = sizeof(file->dynamic),
		.memsz = sizeof(file->dynamic),
	};
}

static void make(struct file *file)
{
	*file = (struct file){
		.header = {
			.ident = ELF_IDENT, .type = ELF_TYPE_DYN,
			.machine = ELF_MACHINE_X86_64, .entry = 8,
			.phoff = offsetof(struct file, segments),
			.phentsize = sizeof(struct elf_segment), .phnum = 3,
		},
		.dynamic = {
			{ ELF_DYNAMIC_RELA, VADDR(relas) },
			{ ELF_DYNAMIC_RELASZ, sizeof(file->relas) },
		},
	};
	make_segments(file);
	for (u32 i = 0; i < ARRAY_COUNT(file->relas); i++)
		file->relas[i] = (struct elf_rela){
			VADDR(words[0]) + 8 * i, ELF_RELOCATION_RELATIVE, i };
}

static void place(const void *elf, size_t size)
{
	u8 *memory = malloc(ROOM);
	struct image image;

	if (!image_place(elf, size, memory, ROOM, &image)) {
		CHECK(is_aligned(image.size, PAGE_SIZE));
		CHECK(image.size <= ROOM);
		CHECK(range_inside((u64)image.entry - (u64)memory, 1,
				   image.size));
	}
	free(memory);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };
	struct file *file = malloc(sizeof(*file));
	void *rest;

	make(file);
	input_patch(&in, file, sizeof(*file));
	place(file, sizeof(*file));
	free(file);
	rest = input_rest(&in);
	place(rest, in.size);
	free(rest);
	return 0;
}
