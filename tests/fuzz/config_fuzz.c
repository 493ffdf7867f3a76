/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as sluice.conf. */
#include <errno.h>

#include "../../boot/config.h"
#include "fuzz.h"

static void check_settings(const struct config *config)
{
	CHECK(config->setting_count <= BOOT_SETTING_MAX);
	for (u32 i = 0; i < config->setting_count; i++) {
		const struct setting *setting = &config->settings[i];

		CHECK(setting->line);
		CHECK(memchr(setting->key, 0, sizeof(setting->key)));
		CHECK(memchr(setting->value, 0, sizeof(setting->value)));
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct config config;
	struct input in = { data, size };
	struct config_error error;
	char *text = input_rest(&in);
	int result;

	memset(&config, 0xff, sizeof(config));
	memset(&error, 0xff, sizeof(error));
	result = config_parse(text, size, &config, &error);
	CHECK(!result || result == -EINVAL);
	if (result)
		CHECK(memchr(error.text, 0, sizeof(error.text)));
	CHECK(memchr(config.next, 0, sizeof(config.next)));
	CHECK(memchr(config.next_options, 0, sizeof(config.next_options)));
	CHECK(config.log_sink <= LOG_SINK_NONE);
	check_settings(&config);
	free(text);
	return 0;
}
