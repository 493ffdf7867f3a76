/* SPDX-License-Identifier: BSD-2-Clause */
/* Settings and their handlers, which appear through a linker section. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "settings.h"

#define WHY_MAX 160

extern const struct setting_handler *const __start_setting_handlers[];
extern const struct setting_handler *const __stop_setting_handlers[];

static bool fail_closed;
static struct boot_info *boot_info;	/* while settings are applied */

bool config_fail_closed(void)
{
	return fail_closed;
}

/* Not to be left out because nobody reads it again. */
static void wipe(void *memory, size_t size)
{
	memset(memory, 0, size);
	__asm__ volatile("" : : "r"(memory) : "memory");
}

static struct boot_secret *find_secret(u32 line)
{
	for (u32 i = 0; boot_info && i < boot_info->secret_count; i++)
		if (boot_info->secrets[i].line == line)
			return &boot_info->secrets[i];
	return NULL;
}

size_t config_take_secret(u32 line, void *to, size_t size_max)
{
	struct boot_secret *secret = find_secret(line);
	size_t size = secret ? secret->size : 0;

	if (!size || size > size_max)
		return 0;
	memcpy(to, secret->bytes, size);
	wipe(secret, sizeof(*secret));
	return size;
}

static const struct setting_handler *find(const char *key)
{
	const struct setting_handler *const *entry;

	for (entry = __start_setting_handlers; entry < __stop_setting_handlers;
	     entry++)
		if ((*entry)->key && !strcmp((*entry)->key, key))
			return *entry;
	return NULL;
}

/* Whoever has no key of its own is asked about any. */
static int ask_everybody(const struct setting *setting,
			 const struct setting_handler **who, char *why)
{
	const struct setting_handler *const *entry;
	int error = -ENOENT;

	for (entry = __start_setting_handlers; entry < __stop_setting_handlers;
	     entry++) {
		if ((*entry)->key)
			continue;
		error = (*entry)->apply(setting, why, WHY_MAX);
		*who = *entry;
		if (error != -ENOENT)
			break;
	}
	return error;
}

static void explain(struct boot_info *info, const struct setting *setting,
		    const struct setting_handler *who, int error,
		    const char *why)
{
	const char *expects = who && who->expects ? who->expects : "";

	info->error_line = setting->line;
	if (error == -EEXIST)
		snprintf(info->error, sizeof(info->error),
			 "%s: given twice", setting->key);
	else if (*why)
		snprintf(info->error, sizeof(info->error), "%s: %s",
			 setting->key, why);
	else if (error == -ENOENT)
		snprintf(info->error, sizeof(info->error),
			 "%s: no such key, and no plug-in of that name is built in",
			 setting->key);
	else
		snprintf(info->error, sizeof(info->error),
			 "%s: expected %s, not \"%s\"", setting->key, expects,
			 setting->value);
}

static int apply(struct boot_info *info, const struct setting *setting)
{
	const struct setting_handler *who = find(setting->key);
	char why[WHY_MAX] = "";
	int error;

	error = who ? who->apply(setting, why, sizeof(why))
		    : ask_everybody(setting, &who, why);
	if (error)
		explain(info, setting, who, error, why);
	return error ? -EINVAL : 0;
}

int settings_apply(struct boot_info *info)
{
	int error = 0;

	fail_closed = info->config.fail_closed;
	boot_info = info;
	for (u32 i = 0; i < info->config.setting_count && !error; i++)
		error = apply(info, &info->config.settings[i]);
	boot_info = NULL;
	wipe(info->secrets, sizeof(info->secrets));
	info->secret_count = 0;
	return error;
}
