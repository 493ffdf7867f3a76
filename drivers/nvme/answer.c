/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of a plug-in's answer to a question of control.h. */
#include <stdarg.h>
#include <stdio.h>

#include "bits.h"
#include "nvme_io.h"
#include "types.h"

#define LINE_MAX 512

/* A label is a stranger's: nothing in it may end a line or a word. */
static void copy_line(u8 *to, const char *line, u32 length)
{
	for (u32 i = 0; i < length; i++) {
		u8 c = line[i];

		to[i] = (c < ' ' && c != '\t') || c == 0x7f ? '?' : c;
	}
	to[length] = '\n';
}

bool nvme_io_answer_line(struct nvme_io_answer *answer, const char *format,
			 ...)
{
	char line[LINE_MAX];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	length = MIN(MAX(length, 0), LINE_MAX - 1);
	if (!range_inside(answer->size, length + 1, answer->size_max))
		return false;
	copy_line(answer->data + answer->size, line, length);
	answer->size += length + 1;
	answer->next++;
	return true;
}
