/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys that lines of sluice.conf name: as they are in a file, or sealed with
 * a passphrase. They are wiped here as soon as the hypervisor has them: the
 * loader's memory is the guest's.
 */
#include <errno.h>
#include <string.h>

#include "libc.h"
#include "prompt.h"
#include "sealed.h"
#include "secret.h"
#include "volume.h"
#include "wipe.h"

#define KEY_MIN 32		/* bytes */
#define KEY_MAX 64
#define TRIES 3
#define STACK_USED 4096		/* by the library, at most */

static int complain(const struct setting *setting, const CHAR16 *what)
{
	Print(L"sluice.conf:%d: %a: %s\n", setting->line, setting->key, what);
	return -EINVAL;
}

/* The value of the word "name=", or false. */
static bool find_word(const struct setting *setting, const char *name,
		      char value[SETTING_VALUE_MAX])
{
	const char *at = strstr(setting->value, name);

	if (!at)
		return false;
	strcpy(value, at + strlen(name));
	value[strcspn(value, " \t")] = 0;
	return true;
}

/* ---- As it is -------------------------------------------------------------- */

static int take_file(const struct setting *setting, const char *path,
		     struct boot_secret *secret)
{
	char *text = NULL;
	size_t size = 0;
	int error = volume_read_path(path, sizeof(secret->bytes), &text,
				     &size);

	if (!error && size != KEY_MIN && size != KEY_MAX)
		error = -EFBIG;
	if (!error) {
		memcpy(secret->bytes, text, size);
		secret->size = size;
	}
	if (text) {
		wipe(text, size);
		FreePool(text);
	}
	return !error ? 0 : complain(setting, error == -EFBIG ?
				     L"a key file has 32 or 64 bytes" :
				     L"the key file cannot be read");
}

/* ---- Sealed ------------------------------------------------------------------ */

/* What the library has left of the passphrase below our own frame. */
static void __attribute__((noinline)) wipe_stack(void)
{
	u8 used[STACK_USED];

	wipe(used, sizeof(used));
}

static bool try_passphrase(const struct sealed *sealed,
			   struct boot_secret *secret)
{
	char passphrase[PROMPT_SIZE];
	bool is_open;

	prompt_secret(passphrase);
	libc_enter_thread();
	is_open = sealed_open(sealed, passphrase, secret->bytes);
	libc_leave_thread();
	wipe(passphrase, sizeof(passphrase));
	wipe_stack();
	if (is_open)
		secret->size = sealed->key_size;
	return is_open;
}

static int read_sealed(const char *path, struct sealed *sealed)
{
	char *text = NULL;
	size_t size = 0;
	int error = volume_read_path(path, SEALED_TEXT_MAX, &text, &size);

	if (!error)
		error = sealed_parse(text, size, sealed);
	if (text)
		FreePool(text);
	return error;
}

static int take_sealed(const struct setting *setting, const char *path,
		       struct boot_secret *secret)
{
	struct sealed sealed;
	int error = read_sealed(path, &sealed);

	if (error)
		return complain(setting, error == -EINVAL ?
				L"passphrase= names no file of sealkey.py" :
				L"the file that passphrase= names cannot be "
				L"read");
	for (int i = 0; i < TRIES; i++) {
		Print(L"Passphrase for %a: ", path);
		if (try_passphrase(&sealed, secret))
			return 0;
		Print(L"That is not it.\n");
	}
	return complain(setting, L"no passphrase, no key");
}

/* ---- Both ----------------------------------------------------------------------- */

static int fetch(struct boot_info *info, const struct setting *setting)
{
	struct boot_secret *secret = &info->secrets[info->secret_count];
	char path[SETTING_VALUE_MAX];
	bool is_file = find_word(setting, "key-file=", path);

	if (!is_file && !find_word(setting, "passphrase=", path))
		return 0;
	if (info->secret_count == BOOT_SECRET_MAX)
		return complain(setting, L"at most 8 lines with a key");
	secret->line = setting->line;
	info->secret_count++;
	return is_file ? take_file(setting, path, secret) :
		take_sealed(setting, path, secret);
}

int secret_fetch(struct boot_info *info)
{
	for (u32 i = 0; i < info->config.setting_count; i++) {
		int error = fetch(info, &info->config.settings[i]);

		if (!error)
			continue;
		if (info->config.fail_closed)
			return error;
		Print(L"What it is for stays closed.\n");
	}
	return 0;
}

void secret_wipe(struct boot_info *info)
{
	wipe(info->secrets, sizeof(info->secrets));
	info->secret_count = 0;
}
