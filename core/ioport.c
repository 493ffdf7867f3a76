/* SPDX-License-Identifier: BSD-2-Clause */
/* Trapped ports: registered before launch, so that no lock is needed. */
#include "ioport.h"
#include "bits.h"
#include "x86/io.h"

static struct list ranges = LIST_INIT(ranges);

void ioport_register(struct ioport_range *range)
{
	list_add_tail(&ranges, &range->node);
}

static const struct ioport_range *find(u16 port)
{
	struct list *node;

	list_for_each(node, &ranges) {
		const struct ioport_range *range =
			container_of(node, struct ioport_range, node);

		if (port >= range->first && port <= range->last)
			return range;
	}
	return NULL;
}

static void access_piece(u16 port, unsigned size, bool is_write, u32 *value)
{
	const struct ioport_range *range = find(port);

	if (range)
		range->access(port, size, is_write, value);
	else if (is_write)
		io_write(port, size, *value);
	else
		*value = io_read(port, size);
}

void ioport_access(u16 port, unsigned size, bool is_write, u32 *value)
{
	u32 all = 0;

	for (unsigned done = 0, piece; done < size; done += piece) {
		u16 at = port + done;
		u64 mask;
		u32 part = *value >> 8 * done;

		piece = aligned_piece(at, size - done);
		mask = BITS(8 * piece - 1, 0);
		part &= mask;
		access_piece(at, piece, is_write, &part);
		all |= (part & mask) << 8 * done;
	}
	if (!is_write)
		*value = all;
}

void ioport_for_each(void (*visit)(u16 first, u16 last, void *arg), void *arg)
{
	struct list *node;

	list_for_each(node, &ranges) {
		const struct ioport_range *range =
			container_of(node, struct ioport_range, node);

		visit(range->first, range->last, arg);
	}
}
