/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs in the guest: one NVMe command through the kernel's passthrough again
 * and again, one field of it counting, and for each answer a line with the
 * status (negative: the kernel's own errno), CDW0 and a sum of the data.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define USAGE "DEVICE admin|io FIELD FIRST LAST STEP [FIELD=VALUE]..."
#define FIELD(name) { #name, offsetof(struct nvme_passthru_cmd, name) }

static uint8_t data[65536] __attribute__((aligned(4096)));

static const struct {
	const char *name;
	size_t offset;
} fields[] = {
	FIELD(nsid), FIELD(cdw2), FIELD(cdw3), FIELD(data_len), FIELD(cdw10),
	FIELD(cdw11), FIELD(cdw12), FIELD(cdw13), FIELD(cdw14), FIELD(cdw15),
};

static void fail(const char *what, const char *which)
{
	fprintf(stderr, "sweep: %s %s\n", what, which);
	exit(2);
}

static void set(struct nvme_passthru_cmd *cmd, const char *name, uint32_t value)
{
	if (!strcmp(name, "opcode")) {
		cmd->opcode = value;
		return;
	}
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		if (!strcmp(name, fields[i].name)) {
			memcpy((char *)cmd + fields[i].offset, &value,
			       sizeof(value));
			return;
		}
	fail("no field", name);
}

/* FNV-1a. */
static uint32_t sum(const uint8_t *bytes, size_t size)
{
	uint32_t hash = 2166136261;

	while (size--)
		hash = (hash ^ *bytes++) * 16777619;
	return hash;
}

static void send(int device, unsigned long kind, struct nvme_passthru_cmd cmd)
{
	int status;

	memset(data, 0xa5, sizeof(data));
	cmd.addr = cmd.data_len ? (uintptr_t)data : 0;
	status = ioctl(device, kind, &cmd);
	printf("%x %x %08x\n", status < 0 ? -errno : status, cmd.result,
	       sum(data, cmd.data_len));
}

/* FIELD=VALUE */
static void assign(struct nvme_passthru_cmd *cmd, char *word)
{
	char *value = strchr(word, '=');

	if (!value)
		fail("no value in", word);
	*value = 0;
	set(cmd, word, strtoul(value + 1, NULL, 0));
}

int main(int argc, char **argv)
{
	struct nvme_passthru_cmd cmd = { 0 };
	unsigned long kind, last, step;
	int device;

	if (argc < 7)
		fail("usage:", USAGE);
	device = open(argv[1], O_RDWR);
	if (device < 0)
		fail("cannot open", argv[1]);
	kind = strcmp(argv[2], "io") ? NVME_IOCTL_ADMIN_CMD :
		NVME_IOCTL_IO_CMD;
	last = strtoul(argv[5], NULL, 0);
	step = strtoul(argv[6], NULL, 0);
	for (int i = 7; i < argc; i++)
		assign(&cmd, argv[i]);
	for (unsigned long value = strtoul(argv[4], NULL, 0); value <= last;
	     value += step) {
		set(&cmd, argv[3], value);
		printf("%s %lx: ", argv[3], value);
		send(device, kind, cmd);
	}
	return 0;
}
