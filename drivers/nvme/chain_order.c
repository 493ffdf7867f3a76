/* SPDX-License-Identifier: BSD-2-Clause */
/* Which plug-ins take part and in what order, and their own settings. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nvme.h"
#include "setting.h"

/* The linker's: empty when no plug-in was compiled in. */
extern const struct nvme_io_plugin *const __start_nvme_io_plugins[]
	__attribute__((weak));
extern const struct nvme_io_plugin *const __stop_nvme_io_plugins[]
	__attribute__((weak));

/* `chain =`; without it, every plug-in in the order of linking. */
static const struct nvme_io_plugin *order[NVME_CHAIN_MAX];
static u32 order_count;
static bool order_is_given;

#define for_each_plugin(p) \
	for ((p) = __start_nvme_io_plugins; (p) < __stop_nvme_io_plugins; (p)++)

static const struct nvme_io_plugin *find_plugin(const char *name, size_t length)
{
	const struct nvme_io_plugin *const *p;

	for_each_plugin(p)
		if (strlen((*p)->name) == length &&
		    !strncmp((*p)->name, name, length))
			return *p;
	return NULL;
}

static bool is_in_order(const struct nvme_io_plugin *plugin)
{
	for (u32 i = 0; i < order_count; i++)
		if (order[i] == plugin)
			return true;
	return false;
}

static int add_word(const char *word, size_t length, char *why, size_t size)
{
	const struct nvme_io_plugin *plugin = find_plugin(word, length);

	if (!plugin) {
		snprintf(why, size, "no plug-in '%.*s' is compiled in",
			 (int)length, word);
		return -ENOENT;
	}
	if (is_in_order(plugin) || order_count == NVME_CHAIN_MAX) {
		snprintf(why, size, "'%s' once, and at most %d plug-ins",
			 plugin->name, NVME_CHAIN_MAX);
		return -EINVAL;
	}
	order[order_count++] = plugin;
	return 0;
}

static int apply_chain(const struct setting *setting, char *why, size_t size)
{
	const char *separators = ", \t";
	const char *word = setting->value;
	int error = 0;

	if (order_is_given)
		return -EEXIST;
	order_is_given = true;
	for (word += strspn(word, separators); *word && !error;
	     word += strspn(word, separators)) {
		size_t length = strcspn(word, separators);

		error = add_word(word, length, why, size);
		word += length;
	}
	return error;
}

static const struct setting_handler chain_setting = {
	.key = "chain",
	.expects = "names of plug-ins, in order: gate, trace",
	.apply = apply_chain,
};
SETTING(chain_setting);

/* "name" and "name.something" are the plug-in's own. */
static int apply_plugin(const struct setting *setting, char *why, size_t size)
{
	const struct nvme_io_plugin *plugin =
		find_plugin(setting->key, strcspn(setting->key, "."));

	if (!plugin || !plugin->configure)
		return -ENOENT;
	return plugin->configure(setting->line, setting->key, setting->value,
				 why, size) ? -EINVAL : 0;
}

static const struct setting_handler plugin_setting = {
	.apply = apply_plugin,
};
SETTING(plugin_setting);

static void use_default_order(void)
{
	const struct nvme_io_plugin *const *p;

	if (order_is_given)
		return;
	order_is_given = true;
	for_each_plugin(p)
		if (order_count < NVME_CHAIN_MAX)
			order[order_count++] = *p;
}

const struct nvme_io_plugin *chain_order_get(u32 index)
{
	use_default_order();
	return index < order_count ? order[index] : NULL;
}
