/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys that lines of sluice.conf name. They are wiped here as soon as the
 * hypervisor has them: the loader's memory is the guest's.
 */
#include <errno.h>
#include <string.h>

#include "secret.h"
#include "volume.h"

static const char word[] = "key-file=";

/* Not to be left out because nobody reads it again. */
static void wipe(void *memory, size_t size)
{
	memset(memory, 0, size);
	__asm__ volatile("" : : "r"(memory) : "memory");
}

static int complain(const struct setting *setting, const CHAR16 *what)
{
	Print(L"sluice.conf:%d: %a: %s\n", setting->line, setting->key, what);
	return -EINVAL;
}

static int read_file(const char *path, struct boot_secret *secret)
{
	char *text = NULL;
	size_t size = 0;
	int error = volume_read_path(path, sizeof(secret->bytes), &text,
				     &size);

	if (!error) {
		memcpy(secret->bytes, text, size);
		secret->size = size;
	}
	if (text) {
		wipe(text, size);
		FreePool(text);
	}
	return error;
}

static int fetch(struct boot_info *info, const struct setting *setting)
{
	const char *at = strstr(setting->value, word);
	struct boot_secret *secret = &info->secrets[info->secret_count];
	char path[SETTING_VALUE_MAX];
	int error;

	if (!at)
		return 0;
	if (info->secret_count == BOOT_SECRET_MAX)
		return complain(setting, L"at most 8 lines with a key");
	strcpy(path, at + strlen(word));
	path[strcspn(path, " \t")] = 0;
	secret->line = setting->line;
	info->secret_count++;
	error = read_file(path, secret);
	return !error ? 0 : complain(setting, error == -EFBIG ?
				     L"the key file has more than 64 bytes" :
				     L"the key file cannot be read");
}

int secret_fetch(struct boot_info *info)
{
	int error = 0;

	for (u32 i = 0; i < info->config.setting_count && !error; i++)
		error = fetch(info, &info->config.settings[i]);
	return error;
}

void secret_wipe(struct boot_info *info)
{
	wipe(info->secrets, sizeof(info->secrets));
	info->secret_count = 0;
}
