/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One line of sluice.conf that is not the loader's own, "key = value", given
 * to whoever declared the key: before launch, while the console can still
 * show a mistake.
 */
#ifndef SLUICE_SETTING_H
#define SLUICE_SETTING_H

#include "types.h"

#define SETTING_KEY_MAX 32
#define SETTING_VALUE_MAX 192

struct setting {
	u32 line;			/* in the file, from 1 */
	char key[SETTING_KEY_MAX];
	char value[SETTING_VALUE_MAX];	/* spaces around it removed */
};

struct setting_handler {
	/* NULL: asked, last, about every key that nobody names; answers
	 * -ENOENT when it does not know it either. */
	const char *key;
	/* What a value looks like, for messages: "a number from 1 to 64". */
	const char *expects;
	/*
	 * 0, or -EINVAL: the line is reported with `why` when that was filled
	 * in, else with `expects`; -EEXIST: given twice; -ENOENT: names
	 * something unknown. `why` is an empty string at first.
	 */
	int (*apply)(const struct setting *setting, char *why,
		     size_t why_size);
};

/*
 * While settings are applied: the secret that the loader has fetched for this
 * line. Returns its size, at most size_max; 0: there is none, or it does not
 * fit. It is given once.
 */
size_t config_take_secret(u32 line, void *to, size_t size_max);

/* Does `fail = closed` stand in sluice.conf? Core's answer. */
bool config_fail_closed(void);

#define SETTING(symbol)                                                  \
	static const struct setting_handler *const symbol##_entry        \
		__attribute__((used, section("setting_handlers"))) = &symbol

#endif
