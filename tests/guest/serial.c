/* SPDX-License-Identifier: BSD-2-Clause */
/* COM1 as the firmware has set it up. */
#include "payload.h"

#define DATA 0x3f8
#define LINE_STATUS 0x3fd
#define TRANSMITTER_EMPTY 0x20

static void out(u16 port, u8 value)
{
	__asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static u8 in(u16 port)
{
	u8 value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

void print(const char *text)
{
	for (; *text; text++) {
		while (!(in(LINE_STATUS) & TRANSMITTER_EMPTY))
			;
		out(DATA, *text);
	}
}

void print_number(u64 value, unsigned base)
{
	char text[21], *at = text + sizeof(text) - 1;

	*at = '\0';
	do
		*--at = "0123456789abcdef"[value % base];
	while (value /= base);
	print(at);
}
