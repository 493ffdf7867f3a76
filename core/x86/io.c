/* SPDX-License-Identifier: BSD-2-Clause */
/* IN and OUT. */
#include "io.h"

u32 io_read(u16 port, unsigned size)
{
	u32 value = 0;

	switch (size) {
	case 1:
		__asm__ volatile("inb %1, %b0" : "+a"(value) : "Nd"(port));
		break;
	case 2:
		__asm__ volatile("inw %1, %w0" : "+a"(value) : "Nd"(port));
		break;
	default:
		__asm__ volatile("inl %1, %0" : "+a"(value) : "Nd"(port));
	}
	return value;
}

void io_write(u16 port, unsigned size, u32 value)
{
	switch (size) {
	case 1:
		__asm__ volatile("outb %b0, %1" : : "a"(value), "Nd"(port));
		break;
	case 2:
		__asm__ volatile("outw %w0, %1" : : "a"(value), "Nd"(port));
		break;
	default:
		__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
	}
}
