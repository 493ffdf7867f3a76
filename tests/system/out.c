/* SPDX-License-Identifier: BSD-2-Clause */
/* out SIZE PORT VALUE: one write to an I/O port, of 1, 2 or 4 bytes. */
#include <stdlib.h>
#include <sys/io.h>

int main(int argc, char **argv)
{
	unsigned long port, value;

	if (argc != 4 || iopl(3))
		return 1;
	port = strtoul(argv[2], NULL, 0);
	value = strtoul(argv[3], NULL, 0);
	switch (argv[1][0]) {
	case '1':
		outb(value, port);
		return 0;
	case '2':
		outw(value, port);
		return 0;
	case '4':
		outl(value, port);
		return 0;
	}
	return 1;
}
