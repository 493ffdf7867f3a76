/* SPDX-License-Identifier: BSD-2-Clause */
/* sluicectl log: the lines that Sluice has kept, and with -f those to come. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "sluicectl.h"

#define PAUSE_NS 200000000	/* there is nothing that tells of a line */

static void pause_a_while(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
}

static enum result print(u64 *cursor, u32 *size)
{
	struct control_answer answer;
	const void *text;
	enum result result = channel_ask(0, CONTROL_LOG, *cursor, &answer,
					 &text);

	if (result)
		return result;
	if (*cursor && answer.first > *cursor)
		fail(RESULT_GOOD, "%llu bytes were lost",
		     (unsigned long long)(answer.first - *cursor));
	fwrite(text, 1, answer.size, stdout);
	*cursor = answer.next;
	*size = answer.size;
	return RESULT_GOOD;
}

static enum result run(int argc, char **argv)
{
	bool follows = argc == 1 && !strcmp(argv[0], "-f");
	enum result result = RESULT_GOOD;
	u64 cursor = 0;
	u32 size = 1;

	if (argc && !follows)
		return wrong_usage(&log_command);
	while (!result && (size || follows)) {
		result = print(&cursor, &size);
		if (fflush(stdout))
			return RESULT_FAILED;
		if (!size)
			pause_a_while();
	}
	return result;
}

const struct command log_command = {
	.name = "log", .usage = "[-f]", .what = "Sluice's log; -f: and goes on",
	.run = run,
};
