/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every command can do, for gate.c alone: the list of what it lets pass
 * and what it looks at, admin and I/O. Whatever is not here is refused where
 * there is policy, also what later revisions of NVMe add (Capacity
 * Management, Lockdown ...).
 */
#ifndef GATE_OPERATIONS_H
#define GATE_OPERATIONS_H

#include <string.h>

#include "gate.h"

enum reach {
	RANGE,		/* the blocks of the command */
	NAMESPACE,	/* any block of its namespace */
	CONTROLLER,	/* any block of any namespace, whatever its nsid */
};

struct operation {
	u8 opcode;
	enum reach reach;
	enum mode mode;		/* the least that forbids it */
	u16 status;		/* 0: what the rule's mode says */
	const char *name;
};

#define WRITES RO
#define READS NONE

#define FLUSH 0x00
#define WRITE_ZEROES 0x08
#define WHOLE_NAMESPACE (1u << 23)	/* NSZ: whatever the range says */
#define SET_FEATURES 0x09
#define FORMAT 0x80

/* NVM command set 1.0, 3; zoned namespace command set 1.1, 3. */
static const struct operation io_operations[] = {
	{ 0x02, RANGE, READS, 0, "Read" },
	{ 0x01, RANGE, WRITES, 0, "Write" },
	{ 0x04, RANGE, WRITES, 0, "Write Uncorrectable" },
	{ 0x05, RANGE, READS, 0, "Compare" },
	{ WRITE_ZEROES, RANGE, WRITES, 0, "Write Zeroes" },
	{ 0x09, NAMESPACE, WRITES, 0, "Dataset Management" },
	{ 0x0c, RANGE, READS, 0, "Verify" },
	{ 0x0e, NAMESPACE, READS, 0, "Reservation Report" },
	{ 0x19, RANGE, WRITES, 0, "Copy" },
	/* Zones have sizes that gate does not know. */
	{ 0x79, NAMESPACE, WRITES, 0, "Zone Management Send" },
	{ 0x7a, NAMESPACE, READS, 0, "Zone Management Receive" },
	{ 0x7d, NAMESPACE, WRITES, 0, "Zone Append" },
};

static const struct operation admin_operations[] = {
	{ 0x0d, CONTROLLER, WRITES, 0, "Namespace Management" },
	{ 0x15, CONTROLLER, WRITES, 0, "Namespace Attachment" },
	{ FORMAT, CONTROLLER, WRITES, 0, "Format NVM" },
	{ 0x84, CONTROLLER, WRITES, 0, "Sanitize" },
	{ 0x86, NAMESPACE, READS, 0, "Get LBA Status" },
};

/*
 * Admin commands that touch no block and no policy, as Flush does not: queues, log pages, Identify, Abort, Get Features, AER, Keep Alive and the
 * doorbell buffer. Security, firmware, directives, self-test, NVMe-MI,
 * virtualization, reservations and a vendor's own are not among them: nobody
 * outside the drive can tell what they do to its blocks.
 */
static const u8 harmless_admin[] = {
	0x00, 0x01, 0x02, 0x04, 0x05, 0x06, 0x08, 0x0a, 0x0c, 0x18, 0x7c,
};

/*
 * Likewise features. Not here: namespace write protection (84h), which is
 * the owner's and may be for ever; LBA ranges, sanitize, a vendor's own.
 */
static const u8 harmless_features[] = {
	0x01, 0x02, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d,
	0x0e, 0x0f, 0x10, 0x11, 0x16, 0x80, 0x81, 0x82, 0x83,
};

static const struct operation unknown_io = {
	0, NAMESPACE, WRITES, NVME_IO_INVALID_OPCODE, "I/O opcode",
};
static const struct operation unknown_admin = {
	0, CONTROLLER, WRITES, NVME_IO_INVALID_OPCODE, "admin opcode",
};
static const struct operation set_other_feature = {
	SET_FEATURES, CONTROLLER, WRITES, NVME_IO_FEATURE_NOT_CHANGEABLE,
	"Set Features",
};
static const struct operation zero_namespace = {
	WRITE_ZEROES, NAMESPACE, WRITES, 0, "Write Zeroes",
};
static const struct operation local_format = {
	FORMAT, NAMESPACE, WRITES, 0, "Format NVM",
};
static const struct operation fused = {
	0, CONTROLLER, WRITES, NVME_IO_INVALID_FIELD, "fused command",
};
static const struct operation discard_range = {
	0x09, RANGE, WRITES, 0, "Dataset Management",
};
static const struct operation copy_source = {
	0x19, RANGE, READS, 0, "Copy from",
};
/* Descriptor formats 2 and 3 name other namespaces (NVM 1.1, 3.3.2). */
static const struct operation copy_across = {
	0x19, CONTROLLER, WRITES, NVME_IO_INVALID_FIELD, "Copy across",
};

#define IS_AMONG(opcode, list) (memchr(list, opcode, sizeof(list)) != NULL)

static const struct operation *find(const struct operation *list, size_t count,
				    u8 opcode, const struct operation *unknown)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].opcode == opcode)
			return &list[i];
	return unknown;
}

static __attribute__((cold)) const struct operation *
classify_admin(const struct nvme_io_command *cmd, bool format_is_local)
{
	if (IS_AMONG(cmd->opcode, harmless_admin))
		return NULL;
	if (cmd->opcode == SET_FEATURES)
		return IS_AMONG((u8)cmd->cdw10, harmless_features) ?
		       NULL : &set_other_feature;
	if (cmd->opcode == FORMAT && format_is_local)
		return &local_format;
	return find(admin_operations, COUNT(admin_operations), cmd->opcode,
		    &unknown_admin);
}

/*
 * NULL: harmless. Half of a fused pair cannot be refused without the other,
 * which may have passed: where there is policy, pairs are not taken at all.
 */
static inline const struct operation *
classify(const struct nvme_io_command *cmd, bool format_is_local)
{
	if (cmd->fuse)
		return &fused;
	if (cmd->admin)
		return classify_admin(cmd, format_is_local);
	if (cmd->effects & NVME_IO_UNKNOWN)	/* another command set */
		return &unknown_io;
	if (cmd->opcode == FLUSH)
		return NULL;
	if (cmd->opcode == WRITE_ZEROES && cmd->cdw12 & WHOLE_NAMESPACE)
		return &zero_namespace;
	return find(io_operations, COUNT(io_operations), cmd->opcode,
		    &unknown_io);
}

/* Identify Controller (base 2.0, figure 275), by byte. */
#define OACS 256		/* of its 8 bits, 1 is Format NVM */
#define OACS_LOCKDOWN 0x04	/* in the byte after */
#define HMPRE 272		/* 4 bytes, and HMMIN 4 */
#define SANICAP 328		/* 4 bytes */
#define ONCS 520
#define ONCS_RESERVATIONS 0x20
#define FUSES 522		/* 2 bytes */
#define FNA 524
#define FNA_ALL_NAMESPACES 0x03	/* Format, and secure erase */

static bool formats_locally(const u8 *data)
{
	return !(data[FNA] & FNA_ALL_NAMESPACES);
}

/* What is refused anyway is not offered. */
static void withdraw(u8 *data, bool format_is_local)
{
	data[OACS] &= format_is_local ? 0x02 : 0;
	data[OACS + 1] &= (u8)~OACS_LOCKDOWN;
	data[ONCS] &= (u8)~ONCS_RESERVATIONS;
	memset(&data[SANICAP], 0, 4);
	memset(&data[FUSES], 0, 2);
	/* What the device keeps there may be what nobody may read. */
	memset(&data[HMPRE], 0, 8);
}

#endif
