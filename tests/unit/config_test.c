/* SPDX-License-Identifier: BSD-2-Clause */
/* boot/config.c: what each line means, and what each mistake is told. */
#include <stdlib.h>
#include <string.h>

#include "../../boot/config.h"
#include "test.h"

static struct config config;
static struct config_error error;

/* An exact copy, so that ASan sees a read past the end. */
static int parse_bytes(const char *text, size_t size)
{
	char *copy = malloc(size ? size : 1);
	int result;

	memcpy(copy, text, size);
	memset(&error, 0xff, sizeof(error));
	result = config_parse(copy, size, &config, &error);
	free(copy);
	return result;
}

static int parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

TEST(an_empty_file_gives_the_defaults)
{
	CHECK_EQ(parse(""), 0);
	CHECK_STR(config.next, "");
	CHECK_STR(config.next_options, "");
	CHECK_EQ(config.fail_closed, false);
	CHECK_EQ(config.log_sink, LOG_SINK_COM1);
	CHECK_EQ(config.log_level, LOG_INFO);
	CHECK_EQ(config.apic, APIC_AUTO);
	CHECK_EQ(config.iommu_off, false);
	CHECK_EQ(config.memory_mib, 16);
	CHECK_EQ(config.setting_count, 0);
}

TEST(every_key_of_the_loader_is_taken)
{
	CHECK_EQ(parse("next = /EFI/demo/vmlinuz\n"
		       "next-options = console=ttyS0 initrd=\\EFI\\i.gz\n"
		       "fail = closed\n"
		       "log = debug\n"
		       "log-level = warn\n"
		       "apic = intercept\n"
		       "iommu = off\n"
		       "memory = 64\n"), 0);
	CHECK_STR(config.next, "\\EFI\\demo\\vmlinuz");
	CHECK_STR(config.next_options, "console=ttyS0 initrd=\\EFI\\i.gz");
	CHECK_EQ(config.fail_closed, true);
	CHECK_EQ(config.log_sink, LOG_SINK_DEBUG);
	CHECK_EQ(config.log_level, LOG_WARN);
	CHECK_EQ(config.apic, APIC_INTERCEPT);
	CHECK_EQ(config.iommu_off, true);
	CHECK_EQ(config.memory_mib, 64);
}

TEST(a_plug_in_s_line_adds_the_memory_it_names)
{
	CHECK_EQ(parse("overlay = memory=100 PARTLABEL=a\n"
		       "memory = 20\n"
		       "overlay = PARTLABEL=b\tmemory=30\n"
		       "gate = ro PARTLABEL=memory=5\n"
		       "gate = ro PARTLABEL=\"a memory=x\"\n"), 0);
	CHECK_EQ(config.memory_mib, 150);
}

TEST(other_keys_are_kept_with_their_lines)
{
	CHECK_EQ(parse("# policy\n\ngate = label:open rw\n"
		       "gate\t=  label:a=b # no comment \t\n"
		       "trace.level ="), 0);
	CHECK_EQ(config.setting_count, 3);
	CHECK_EQ(config.settings[0].line, 3);
	CHECK_STR(config.settings[0].key, "gate");
	CHECK_STR(config.settings[0].value, "label:open rw");
	CHECK_EQ(config.settings[1].line, 4);
	CHECK_STR(config.settings[1].value, "label:a=b # no comment");
	CHECK_STR(config.settings[2].key, "trace.level");
	CHECK_STR(config.settings[2].value, "");
}

TEST(windows_line_ends_and_byte_order_mark_do_not_matter)
{
	CHECK_EQ(parse("\xef\xbb\xbflog = com2\r\n\r\n# hm\r\nmemory=8\r"), 0);
	CHECK_EQ(config.log_sink, LOG_SINK_COM2);
	CHECK_EQ(config.memory_mib, 8);
}

static const struct {
	const char *text;
	u32 line;
	const char *message;
} mistakes[] = {
	{ "log = com3", 1,
	  "log: expected com1, com2, debug or none, not \"com3\"" },
	{ "\n#\nlog-level = loud", 3,
	  "log-level: expected error, warn, info or debug, not \"loud\"" },
	{ "fail = maybe", 1, "fail: expected open or closed, not \"maybe\"" },
	{ "apic = open", 1,
	  "apic: expected auto, trap or intercept, not \"open\"" },
	{ "iommu = yes\n", 1, "iommu: expected on or off, not \"yes\"" },
	{ "a = memory=65000\nb = memory=537 c", 2,
	  "b: expected memory=MIB, at most 65536 in all" },
	{ "a = memory=99999999999999999999999", 1,
	  "a: expected memory=MIB, at most 65536 in all" },
	{ "memory = 3", 1,
	  "memory: expected a number of MiB from 4 to 1024, not \"3\"" },
	{ "memory = 1025", 1,
	  "memory: expected a number of MiB from 4 to 1024, not \"1025\"" },
	{ "memory = 99999999999", 1, "memory: expected a number of MiB from "
	  "4 to 1024, not \"99999999999\"" },
	{ "memory = 16M", 1,
	  "memory: expected a number of MiB from 4 to 1024, not \"16M\"" },
	{ "memory =", 1,
	  "memory: expected a number of MiB from 4 to 1024, not \"\"" },
	{ "next = vmlinuz", 1, "next: expected a path from the root of this "
	  "volume, such as \\EFI\\debian\\grubx64.efi, not \"vmlinuz\"" },
	{ "next = \\", 1, "next: expected a path from the root of this "
	  "volume, such as \\EFI\\debian\\grubx64.efi, not \"\\\"" },
	{ "next-options = gr\xc3\xb6\xc3\x9f" "e", 1, "next-options: expected "
	  "at most 255 ASCII characters, not \"gr\xc3\xb6\xc3\x9f" "e\"" },
	{ "log = com1\nlog = com1", 2, "log: expected one such line" },
	{ "hello", 1, "expected key = value, not \"hello\"" },
	{ "= x", 1, "expected a key of at most 31 lower-case letters, digits "
	  "and - . _, not \"\"" },
	{ "Log = com1", 1, "expected a key of at most 31 lower-case letters, "
	  "digits and - . _, not \"Log\"" },
	{ "a23456789012345678901234567890123 = 1", 1,
	  "expected a key of at most 31 lower-case letters, digits and - . _,"
	  " not \"a23456789012345678901234567890123\"" },
	{ "log = com1\x1a", 1,
	  "expected UTF-8 text, and no control characters" },
	{ "bad\nlog = com3", 1, "expected key = value, not \"bad\"" },
};

TEST(each_mistake_is_reported_with_its_line_and_what_was_expected)
{
	for (size_t i = 0; i < ARRAY_COUNT(mistakes); i++) {
		CHECK_EQ(parse(mistakes[i].text), -22);
		CHECK_EQ(error.line, mistakes[i].line);
		CHECK_STR(error.text, mistakes[i].message);
	}
}

TEST(lines_up_to_the_limits_are_taken_and_longer_ones_refused)
{
	char text[400] = "gate =";

	memset(text + 6, 'v', 191);
	CHECK_EQ(parse(text), 0);
	CHECK_EQ(strlen(config.settings[0].value), 191);
	text[6 + 191] = 'v';
	CHECK_EQ(parse(text), -22);
	CHECK_STR(error.text, "gate: expected at most 191 characters");
	memset(text + 6, 'v', 319 - 6);
	text[319] = 'v';
	CHECK_EQ(parse(text), -22);
	CHECK_STR(error.text, "expected at most 319 characters in a line");
}

TEST(sixty_four_settings_are_kept_and_one_more_refused)
{
	char text[65 * 7 + 1] = "";

	for (int i = 0; i < 64; i++)
		strcat(text, "gate=x\n");
	CHECK_EQ(parse(text), 0);
	CHECK_EQ(config.setting_count, 64);
	strcat(text, "gate=x\n");
	CHECK_EQ(parse(text), -22);
	CHECK_EQ(error.line, 65);
	CHECK_STR(error.text, "gate: expected at most 64 lines like this");
}

TEST(a_long_wrong_value_cannot_overrun_the_message)
{
	char text[300] = "next = ";

	memset(text + 7, 'x', 290);
	CHECK_EQ(parse(text), -22);
	CHECK_EQ(strlen(error.text), sizeof(error.text) - 1);
}

static const struct {
	const char *text;
	size_t size;
	bool closed;
} broken_files[] = {
#define BROKEN(text, closed) { text, sizeof(text) - 1, closed }
	BROKEN("oops\n", false),
	BROKEN("oops\nfail = open\n", false),
	BROKEN("oops\nfail = closed\n", true),
	BROKEN("fail = closed\noops\n", true),
	BROKEN("fail = close\n", true),
	BROKEN("fail closed\n", true),
	BROKEN("  FAIL = closed\n", true),
	BROKEN("fail = closed\x1a", true),
	BROKEN("fail = open\nfail = closed\n", true),
	BROKEN("fail = closed\nfail = open\n", true),
	BROKEN("# fail = closed would be safer\noops\n", false),
	BROKEN("f\0a\0i\0l\0=\0c\0l\0o\0s\0e\0d\0", true),
};

TEST(a_broken_file_fails_closed_when_it_may_want_to)
{
	for (size_t i = 0; i < ARRAY_COUNT(broken_files); i++) {
		CHECK_EQ(parse_bytes(broken_files[i].text,
				     broken_files[i].size), -22);
		CHECK_EQ(config.fail_closed, broken_files[i].closed);
	}
}

TEST(other_lines_of_a_broken_file_still_count)
{
	CHECK_EQ(parse("oops\nnext = \\vmlinuz\n"), -22);
	CHECK_STR(config.next, "\\vmlinuz");
}
