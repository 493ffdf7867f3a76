/* SPDX-License-Identifier: BSD-2-Clause */
/* boot/image.c: a good image is placed, a hostile one is refused. */
#include <stdlib.h>
#include <string.h>

#include "../../boot/image.h"
#include "spec/elf.h"
#include "test.h"

#define ROOM 0x4000

/* Text page, data page with a dynamic section, one relocation, and bss. */
struct file {
	struct elf_header header;
	struct elf_segment text, data, dynamic;
	u8 code[16];
	struct {
		u64 pointer;
		struct elf_rela rela;
		struct elf_dynamic dynamic[3];
	} contents;
};

#define DATA_VADDR 0x1000
#define AT(field) (DATA_VADDR + offsetof(struct file, field) - \
		   offsetof(struct file, contents))

static struct file good_file(void)
{
	return (struct file){
		.header = {
			.ident = ELF_IDENT, .type = ELF_TYPE_DYN,
			.machine = ELF_MACHINE_X86_64, .entry = 8,
			.phoff = offsetof(struct file, text),
			.phentsize = sizeof(struct elf_segment), .phnum = 3,
		},
		.text = {
			.type = ELF_SEGMENT_LOAD,
			.offset = offsetof(struct file, code),
			.filesz = 16, .memsz = 16,
		},
		.data = {
			.type = ELF_SEGMENT_LOAD, .vaddr = DATA_VADDR,
			.offset = offsetof(struct file, contents),
			.filesz = sizeof(((struct file *)0)->contents),
			.memsz = 0x1800,
		},
		.dynamic = {
			.type = ELF_SEGMENT_DYNAMIC,
			.vaddr = AT(contents.dynamic),
			.filesz = 48, .memsz = 48,
		},
		.code = "0123456789abcde",
		.contents = {
			.pointer = 0x5555,
			.rela = { AT(contents.pointer),
				  ELF_RELOCATION_RELATIVE, 8 },
			.dynamic = {
				{ ELF_DYNAMIC_RELA, AT(contents.rela) },
				{ ELF_DYNAMIC_RELASZ, 24 },
				{ ELF_DYNAMIC_NULL, 0 },
			},
		},
	};
}

static u8 *memory;
static struct image image;

/* Exact copies in the heap, so that ASan sees every stray byte. */
static int place_in(const struct file *file, size_t size, size_t room)
{
	void *copy = malloc(size ? size : 1);
	int result;

	free(memory);
	memory = malloc(room);
	memset(memory, 0xaa, room);
	memcpy(copy, file, size);
	result = image_place(copy, size, memory, room, &image);
	free(copy);
	return result;
}

static int place(const struct file *file)
{
	return place_in(file, sizeof(*file), ROOM);
}

TEST(a_good_image_is_copied_cleared_and_relocated)
{
	struct file file = good_file();
	u64 pointer;

	CHECK_EQ(place(&file), 0);
	CHECK_EQ(image.size, 0x3000);
	CHECK(image.entry == memory + 8);
	CHECK(!memcmp(memory, "0123456789abcde", 16));
	CHECK_EQ(memory[16], 0);
	CHECK_EQ(memory[0x2fff], 0);
	CHECK_EQ(memory[0x3000], 0xaa);
	memcpy(&pointer, memory + AT(contents.pointer), 8);
	CHECK_EQ(pointer, (uintptr_t)memory + 8);
}

TEST(an_image_that_just_fits_is_placed_and_a_page_less_is_not_enough)
{
	struct file file = good_file();

	CHECK_EQ(place_in(&file, sizeof(file), 0x3000), 0);
	CHECK_EQ(place_in(&file, sizeof(file), 0x2fff), -12);
	CHECK_EQ(place_in(&file, sizeof(file), 0x2000), -12);
	CHECK_EQ(place_in(&file, sizeof(file), 8), -12);
}

TEST(a_file_cut_anywhere_is_refused)
{
	struct file file = good_file();

	for (size_t size = 0; size < sizeof(file); size++)
		CHECK_EQ(place_in(&file, size, ROOM), -8);
}

#define SPOIL(field, wrong, error) \
	{ #field " = " #wrong, offsetof(struct file, field), \
	  sizeof(((struct file *)0)->field), (wrong), (error) }

static const struct {
	const char *name;
	size_t offset, size;
	u64 value;
	int error;
} spoils[] = {
	SPOIL(header.ident[0], 0, -8),
	SPOIL(header.ident[4], 1, -8),
	SPOIL(header.ident[5], 2, -8),
	SPOIL(header.type, 2, -8),
	SPOIL(header.machine, 3, -8),
	SPOIL(header.phentsize, 32, -8),
	SPOIL(header.phnum, 17, -8),
	SPOIL(header.phnum, 0, -8),
	SPOIL(header.phoff, ~0ull, -8),
	SPOIL(header.phoff, sizeof(struct file) - 100, -8),
	SPOIL(header.entry, 0x3000, -8),
	SPOIL(header.entry, ~0ull, -8),
	SPOIL(text.offset, ~0ull - 4, -8),
	SPOIL(text.filesz, 17, -8),
	SPOIL(text.memsz, 0x1001, -8),
	SPOIL(text.vaddr, ~0ull - 7, -12),
	SPOIL(text.vaddr, 0x2000, -8),
	SPOIL(data.filesz, ~0ull, -8),
	SPOIL(data.offset, sizeof(struct file) - 8, -8),
	SPOIL(data.vaddr, ~0ull - 0xfff, -12),
	SPOIL(data.memsz, ~0ull, -12),
	SPOIL(data.memsz, 0x3001, -12),
	SPOIL(dynamic.vaddr, 0x3000, -8),
	SPOIL(dynamic.vaddr, ~0ull, -8),
	SPOIL(dynamic.memsz, ~0ull, -8),
	SPOIL(contents.dynamic[0].value, ~0ull - 10, -8),
	SPOIL(contents.dynamic[0].value, 0x3000 - 8, -8),
	SPOIL(contents.dynamic[1].value, ~0ull, -8),
	SPOIL(contents.rela.info, 6, -8),
	SPOIL(contents.rela.info, 8 | 1ull << 32, -8),
	SPOIL(contents.rela.offset, 0x3000 - 7, -8),
	SPOIL(contents.rela.offset, ~0ull, -8),
	SPOIL(contents.rela.addend, 0x3001, -8),
};

TEST(no_single_wrong_field_is_believed)
{
	for (size_t i = 0; i < ARRAY_COUNT(spoils); i++) {
		struct file file = good_file();
		int result;

		memcpy((u8 *)&file + spoils[i].offset, &spoils[i].value,
		       spoils[i].size);
		result = place(&file);
		if (result != spoils[i].error)
			FAIL("%s: %d", spoils[i].name, result);
	}
}

TEST(random_damage_is_survived)
{
	srand(1);
	for (int round = 0; round < 20000; round++) {
		struct file file = good_file();

		for (int i = 0; i < 3; i++)
			((u8 *)&file)[(size_t)rand() % sizeof(file)] =
				(u8)rand();
		if (!place(&file))
			CHECK(image.size <= ROOM);
	}
}
