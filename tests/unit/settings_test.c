/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of sluice.conf, those who want them, and what is said of mistakes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bits.h"
#include "settings.h"
#include "test.h"

static char applied[64];

static int accept(const struct setting *setting, char *why, size_t why_size)
{
	CHECK_STR(why, "");
	strncat(applied, setting->value,
		sizeof(applied) - 1 - strlen(applied));
	return 0;
}

static int answer_by_value(const struct setting *setting, char *why,
			   size_t why_size)
{
	if (!strcmp(setting->value, "bad"))
		return -EINVAL;
	if (!strcmp(setting->value, "twice"))
		return -EEXIST;
	if (!strcmp(setting->value, "unknown"))
		return -ENOENT;
	if (!strcmp(setting->value, "explained"))
		snprintf(why, why_size, "no partition \"%s\"", setting->value);
	if (!strcmp(setting->value, "long"))
		snprintf(why, why_size, "%0*d", 1000, 0);
	return *why ? -EINVAL : 0;
}

static int any_key(const struct setting *setting, char *why, size_t why_size)
{
	if (strncmp(setting->key, "plug.", 5))
		return -ENOENT;
	return answer_by_value(setting, why, why_size);
}

static const struct setting_handler plain = { "plain", "a word", accept };
static const struct setting_handler strict = {
	"strict", "a number from 1 to 64", answer_by_value,
};
static const struct setting_handler anything = { NULL, "a plug-in's word",
						 any_key };
SETTING(plain);
SETTING(strict);
SETTING(anything);

static struct boot_info info;

static void add(const char *key, const char *value)
{
	struct setting *setting =
		&info.config.settings[info.config.setting_count++];

	setting->line = 10 * info.config.setting_count;
	strcpy(setting->key, key);
	strcpy(setting->value, value);
}

static void start(void)
{
	memset(&info, 0, sizeof(info));
	applied[0] = '\0';
}

TEST(every_line_goes_to_the_handler_of_its_key_in_order)
{
	start();
	add("plain", "a");
	add("strict", "fine");
	add("plain", "b");
	add("plug.x", "fine");
	CHECK_EQ(settings_apply(&info), 0);
	CHECK_STR(applied, "ab");
	CHECK_EQ(info.error_line, 0);
}

static const struct {
	const char *key, *value, *error;
} mistakes[] = {
	{ "strict", "bad",
	  "strict: expected a number from 1 to 64, not \"bad\"" },
	{ "strict", "twice", "strict: given twice" },
	{ "strict", "explained", "strict: no partition \"explained\"" },
	{ "plug.x", "bad",
	  "plug.x: expected a plug-in's word, not \"bad\"" },
	{ "plug.x", "explained", "plug.x: no partition \"explained\"" },
	{ "other", "1", "other: no such key, and no plug-in of that name is "
			"built in" },
};

TEST(a_mistake_is_told_with_its_line_and_ends_the_reading)
{
	for (size_t i = 0; i < ARRAY_COUNT(mistakes); i++) {
		start();
		add("plain", "a");
		add(mistakes[i].key, mistakes[i].value);
		add("plain", "b");
		CHECK_EQ(settings_apply(&info), (u64)-EINVAL);
		CHECK_STR(info.error, mistakes[i].error);
		CHECK_EQ(info.error_line, 20);
		CHECK_STR(applied, "a");
	}
}

TEST(a_long_explanation_is_cut)
{
	start();
	add("strict", "long");
	CHECK_EQ(settings_apply(&info), (u64)-EINVAL);
	CHECK(strlen(info.error) > 100);
	CHECK(strlen(info.error) < sizeof(info.error));
}

TEST(fail_closed_is_what_the_loader_has_read)
{
	start();
	CHECK_EQ(settings_apply(&info), 0);
	CHECK(!config_fail_closed());
	info.config.fail_closed = true;
	CHECK_EQ(settings_apply(&info), 0);
	CHECK(config_fail_closed());
}
