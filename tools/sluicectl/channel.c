/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions and orders by the ioctl of an NVMe device. Whether Sluice is
 * there is asked by the log page first: a drive of its own that knows the
 * opcodes of control.h for something else must never be sent them.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/nvme_ioctl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sluicectl.h"

#define GET_LOG_PAGE 0x02
#define STATUS_MASK 0x7ff
#define DEVICES "/dev/nvme[0-9]*"

static int device = -1;
static struct control_identity identity;
static union {
	struct control_answer answer;
	u8 bytes[CONTROL_DATA_MAX + 1];		/* and a zero */
} buffer __attribute__((aligned(4096)));

const struct control_identity *channel_identity(void)
{
	return &identity;
}

static int submit(struct nvme_admin_cmd *command, void *data, u32 size)
{
	int status;

	command->addr = (u64)data;
	command->data_len = size;
	status = ioctl(device, NVME_IOCTL_ADMIN_CMD, command);
	return status < 0 ? -errno : status & STATUS_MASK;
}

/* ---- Opening --------------------------------------------------------- */

static bool is_sluice(void)
{
	struct nvme_admin_cmd command = {
		.opcode = GET_LOG_PAGE,
		.cdw10 = (sizeof(identity) / 4 - 1) << 16 |
			CONTROL_IDENTITY << 8 | CONTROL_LOG_PAGE,
		.cdw11 = CONTROL_LOG_MAGIC << 16,
	};

	return !submit(&command, &identity, sizeof(identity)) &&
		identity.magic == CONTROL_MAGIC;
}

static enum result try(const char *name)
{
	device = open(name, O_RDONLY | O_CLOEXEC);
	if (device < 0)
		return RESULT_FAILED;
	if (is_sluice())
		return RESULT_GOOD;
	close(device);
	return RESULT_ABSENT;
}

static enum result try_all(void)
{
	enum result result = RESULT_ABSENT;
	glob_t found;

	if (glob(DEVICES, 0, NULL, &found))
		return RESULT_ABSENT;
	for (size_t i = 0; i < found.gl_pathc && result; i++) {
		enum result one = try(found.gl_pathv[i]);

		if (!one || (one == RESULT_FAILED && errno == EACCES))
			result = one;
	}
	globfree(&found);
	return result;
}

enum result channel_open(const char *name)
{
	enum result result = name ? try(name) : try_all();

	if (result == RESULT_FAILED)
		return fail(result, "%s: %s", name ? name : DEVICES,
			    strerror(errno));
	if (result == RESULT_ABSENT)
		return fail(result, "%s%sSluice is not there: this system "
			    "does not run under it, or control = off",
			    name ? name : "", name ? ": " : "");
	if (identity.version != CONTROL_VERSION)
		return fail(RESULT_REFUSED, "Sluice %.64s speaks version %u of "
			    "the control channel, this program %u",
			    identity.sluice, identity.version,
			    CONTROL_VERSION);
	return RESULT_GOOD;
}

/* ---- Questions ------------------------------------------------------- */

static enum result explain(const char *what, int status)
{
	if (status < 0)
		return fail(RESULT_FAILED, "%s: %s", what, strerror(-status));
	if (status == CONTROL_UNKNOWN)
		return fail(RESULT_REFUSED, "%s: Sluice does not know this",
			    what);
	if (status == CONTROL_FORBIDDEN)
		return fail(RESULT_REFUSED, "%s: sluice.conf says control = "
			    "read", what);
	return fail(RESULT_REFUSED, "%s: status %#x", what, status);
}

static int ask(u32 target, u32 verb, u64 cursor)
{
	struct nvme_admin_cmd command = {
		.opcode = CONTROL_QUESTION,
		.cdw10 = CONTROL_DATA_MAX / 4,
		.cdw12 = CONTROL_MAGIC,
		.cdw13 = CONTROL_VERSION << 16 | verb << 8 | target,
		.cdw14 = (u32)cursor, .cdw15 = cursor >> 32,
	};
	int status = submit(&command, &buffer, CONTROL_DATA_MAX);

	if (!status && (buffer.answer.magic != CONTROL_MAGIC ||
			buffer.answer.size > CONTROL_DATA_MAX -
			sizeof(struct control_answer)))
		return -EPROTO;
	return status;
}

enum result channel_ask(u32 target, u32 verb, u64 cursor,
			struct control_answer *answer, const void **items)
{
	int status = ask(target, verb, cursor);

	if (status)
		return explain("question", status);
	buffer.bytes[sizeof(buffer.answer) + buffer.answer.size] = 0;
	*items = buffer.bytes + sizeof(buffer.answer);
	if (answer)
		*answer = buffer.answer;
	return RESULT_GOOD;
}

enum result channel_ask_all(u32 target, u32 verb,
			    void (*take)(const void *items, u32 size,
					 void *arg), void *arg)
{
	struct control_answer answer = { .size = 1 };
	const void *items;
	u64 cursor = 0;

	while (answer.size) {
		enum result result = channel_ask(target, verb, cursor,
						 &answer, &items);

		if (result)
			return result;
		take(items, answer.size, arg);
		cursor = answer.next;
	}
	return RESULT_GOOD;
}

/* ---- Plug-ins -------------------------------------------------------- */

struct search {
	const char *name;
	u32 target;		/* 0: not found */
};

static void look(const void *items, u32 size, void *arg)
{
	const struct control_plugin *plugin = items;
	struct search *search = arg;

	for (; size >= sizeof(*plugin); size -= sizeof(*plugin), plugin++)
		if (!strncmp(plugin->name, search->name,
			     sizeof(plugin->name)))
			search->target = plugin->target;
}

enum result channel_look_for(const char *plugin, u32 *target)
{
	struct search search = { .name = plugin };
	enum result result = channel_ask_all(0, CONTROL_PLUGINS, look,
					     &search);

	*target = search.target;
	return result;
}

enum result channel_find(const char *plugin, u32 *target)
{
	enum result result = channel_look_for(plugin, target);

	return result || *target ? result :
		fail(RESULT_REFUSED, "%s: no plug-in of this name is at work "
		     "on %.16s", plugin, identity.controller);
}

static enum result say_why(void)
{
	const void *why;
	enum result result = channel_ask(0, CONTROL_WHY, 0, NULL, &why);

	return result ? result : fail(RESULT_REFUSED, "%s",
				      (const char *)why);
}

enum result channel_order(u32 target, const char *text)
{
	u32 length = strlen(text), size = (length + 4) & ~3u;
	struct nvme_admin_cmd command = {
		.opcode = CONTROL_ORDER, .cdw10 = size / 4,
		.cdw12 = CONTROL_MAGIC,
		.cdw13 = CONTROL_VERSION << 16 | target, .cdw14 = length,
	};
	int status;

	if (length > CONTROL_TEXT_MAX)
		return fail(RESULT_USAGE, "an order has at most %u bytes",
			    CONTROL_TEXT_MAX);
	strcpy((char *)buffer.bytes, text);
	status = submit(&command, &buffer, size);
	if (status == CONTROL_REFUSED)
		return say_why();
	return status ? explain("order", status) : RESULT_GOOD;
}
