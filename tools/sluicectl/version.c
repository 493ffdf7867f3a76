/* SPDX-License-Identifier: BSD-2-Clause */
/* sluicectl version: of Sluice, of the channel and of this program. */
#include <string.h>

#include "sluicectl.h"
#include "version.h"

static enum result run(int argc, char **argv)
{
	const struct control_identity *identity = channel_identity();

	(void)argv;
	if (argc)
		return wrong_usage(&version_command);
	return output(json_pack("{s:s%, s:s, s:i}", "sluice", identity->sluice,
				strnlen(identity->sluice,
					sizeof(identity->sluice)),
				"sluicectl", SLUICE_VERSION, "channel",
				identity->version));
}

const struct command version_command = {
	.name = "version", .usage = "", .what = "who is there", .run = run,
};
