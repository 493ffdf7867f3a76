/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice.conf: the loader's own keys are checked here, all others kept for
 * the hypervisor, which knows who they belong to. The file may be anything.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bits.h"
#include "config.h"

#define LINE_MAX 320
#define MEMORY_MIB_MIN 4
#define MEMORY_MIB_MAX 1024
#define EXTRA_MIB_MAX 65536u

static const char key_characters[] =
	"abcdefghijklmnopqrstuvwxyz0123456789-._";

struct parser {
	struct config *out;
	struct config_error *error;
	u32 line;
	u32 seen;	/* bit per loader key */
	u32 extra_mib;	/* memory for plug-ins */
	bool failed;
};

struct key {
	const char *name;
	const char *expects;
	bool (*apply)(struct config *out, const char *value);
};

static void append(struct config_error *error, const char *part)
{
	size_t used = strlen(error->text);
	size_t room = sizeof(error->text) - 1 - used;
	size_t length = strlen(part);

	length = length < room ? length : room;
	memcpy(error->text + used, part, length);
	error->text[used + length] = 0;
}

/* Keeps the first mistake: later ones are often its consequence. */
static void refuse(struct parser *p, const char *key, const char *expects,
		   const char *found)
{
	if (p->failed)
		return;
	p->failed = true;
	p->error->line = p->line;
	p->error->text[0] = 0;
	if (key) {
		append(p->error, key);
		append(p->error, ": ");
	}
	append(p->error, "expected ");
	append(p->error, expects);
	if (found) {
		append(p->error, ", not \"");
		append(p->error, found);
		append(p->error, "\"");
	}
}

/* ---- The loader's keys ------------------------------------------------- */

static bool copy_path(char to[BOOT_PATH_MAX], const char *value)
{
	if (strlen(value) >= BOOT_PATH_MAX)
		return false;
	for (const char *c = value; *c; c++)
		if (*c & 0x80)
			return false;
	strcpy(to, value);
	return true;
}

static bool apply_next(struct config *out, const char *value)
{
	if (!copy_path(out->next, value))
		return false;
	for (char *c = out->next; *c; c++)
		if (*c == '/')
			*c = '\\';
	if (out->next[0] == '\\' && out->next[1])
		return true;
	out->next[0] = 0;
	return false;
}

static bool apply_next_options(struct config *out, const char *value)
{
	return copy_path(out->next_options, value);
}

static bool choose(const char *const names[], const char *value, u32 *choice)
{
	for (u32 i = 0; names[i]; i++) {
		if (!strcmp(names[i], value)) {
			*choice = i;
			return true;
		}
	}
	return false;
}

static bool apply_fail(struct config *out, const char *value)
{
	static const char *const names[] = { "open", "closed", NULL };
	u32 choice = 1;
	bool known = choose(names, value, &choice);

	out->fail_closed |= choice;	/* also in a second such line */
	return known;
}

static bool apply_log(struct config *out, const char *value)
{
	static const char *const names[] = {
		[LOG_SINK_COM1] = "com1", [LOG_SINK_COM2] = "com2",
		[LOG_SINK_DEBUG] = "debug", [LOG_SINK_NONE] = "none", NULL
	};
	u32 choice = out->log_sink;
	bool known = choose(names, value, &choice);

	out->log_sink = choice;
	return known;
}

static bool apply_log_level(struct config *out, const char *value)
{
	static const char *const names[] = {
		[LOG_ERROR] = "error", [LOG_WARN] = "warn",
		[LOG_INFO] = "info", [LOG_DEBUG] = "debug", NULL
	};
	u32 choice = out->log_level;
	bool known = choose(names, value, &choice);

	out->log_level = choice;
	return known;
}

static bool apply_apic(struct config *out, const char *value)
{
	static const char *const names[] = {
		[APIC_AUTO] = "auto", [APIC_TRAP] = "trap",
		[APIC_INTERCEPT] = "intercept", NULL
	};
	u32 choice = out->apic;
	bool known = choose(names, value, &choice);

	out->apic = choice;
	return known;
}

static bool apply_iommu(struct config *out, const char *value)
{
	static const char *const names[] = { "on", "off", NULL };
	u32 choice = out->iommu_off;
	bool known = choose(names, value, &choice);

	out->iommu_off = choice;
	return known;
}

static bool apply_memory(struct config *out, const char *value)
{
	size_t digits = strspn(value, "0123456789");
	u32 mib = 0;

	if (!digits || digits > 4 || value[digits])
		return false;
	for (size_t i = 0; i < digits; i++)
		mib = mib * 10 + (u32)(value[i] - '0');
	if (mib < MEMORY_MIB_MIN || mib > MEMORY_MIB_MAX)
		return false;
	out->memory_mib = mib;
	return true;
}

static const struct key keys[] = {
	{ "next", "a path from the root of this volume, such as "
		  "\\EFI\\debian\\grubx64.efi", apply_next },
	{ "next-options", "at most 255 ASCII characters",
	  apply_next_options },
	{ "fail", "open or closed", apply_fail },
	{ "log", "com1, com2, debug or none", apply_log },
	{ "log-level", "error, warn, info or debug", apply_log_level },
	{ "apic", "auto, trap or intercept", apply_apic },
	{ "iommu", "on or off", apply_iommu },
	{ "memory", "a number of MiB from 4 to 1024", apply_memory },
};

/* ---- Lines ------------------------------------------------------------- */

/* A word "memory=MIB" of a plug-in's line: it needs so much. What is wrong
 * with the line, the plug-in will say. */
static void take_memory(struct parser *p, const char *key, const char *value)
{
	const char *word = strstr(value, "memory=");
	unsigned long mib;
	char *end;

	if (!word || (word != value && word[-1] != ' ' && word[-1] != '\t'))
		return;
	mib = strtoul(word + strlen("memory="), &end, 10);
	if (mib > EXTRA_MIB_MAX - p->extra_mib)
		refuse(p, key, "memory=MIB, at most 65536 in all", NULL);
	else
		p->extra_mib += (u32)mib;
}

static void take_setting(struct parser *p, const char *key, const char *value)
{
	struct setting *setting = &p->out->settings[p->out->setting_count];

	if (p->out->setting_count == BOOT_SETTING_MAX)
		return refuse(p, key, "at most 64 lines like this", NULL);
	if (strlen(value) >= SETTING_VALUE_MAX)
		return refuse(p, key, "at most 191 characters", NULL);
	setting->line = p->line;
	strcpy(setting->key, key);
	strcpy(setting->value, value);
	p->out->setting_count++;
	take_memory(p, key, value);
}

static void take_pair(struct parser *p, const char *key, const char *value)
{
	size_t length = strspn(key, key_characters);

	if (!length || key[length] || length >= SETTING_KEY_MAX)
		return refuse(p, NULL, "a key of at most 31 lower-case letters, "
			      "digits and - . _", key);
	for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
		if (strcmp(key, keys[i].name))
			continue;
		if (!keys[i].apply(p->out, value))
			refuse(p, key, keys[i].expects, value);
		else if (p->seen & 1u << i)
			refuse(p, key, "one such line", NULL);
		p->seen |= 1u << i;
		return;
	}
	take_setting(p, key, value);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static char *trim(char *text)
{
	size_t length;

	while (is_blank(*text))
		text++;
	length = strlen(text);
	while (length && is_blank(text[length - 1]))
		length--;
	text[length] = 0;
	return text;
}

static void take_line(struct parser *p, char *line)
{
	char *text = trim(line), *equals;

	if (!*text || *text == '#')
		return;
	equals = strchr(text, '=');
	if (!equals)
		return refuse(p, NULL, "key = value", text);
	*equals = 0;
	take_pair(p, trim(text), trim(equals + 1));
}

static bool has_control(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (((u8)text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f)
			return true;
	return false;
}

static void copy_line(struct parser *p, const char *text, size_t size)
{
	char line[LINE_MAX];

	if (size && text[size - 1] == '\r')
		size--;
	if (size >= sizeof(line))
		return refuse(p, NULL, "at most 319 characters in a line", NULL);
	if (has_control(text, size))
		return refuse(p, NULL, "UTF-8 text, and no control characters",
			      NULL);
	memcpy(line, text, size);
	line[size] = 0;
	take_line(p, line);
}

static size_t line_length(const char *text, size_t size)
{
	const char *newline = memchr(text, '\n', size);

	return newline ? (size_t)(newline - text) : size;
}

/*
 * Of a file with mistakes: nobody writes a line "fail" to ask for what he
 * has anyway. NUL bytes are UTF-16 or no text at all: it may say anything.
 */
static bool may_want_closed(const char *text, size_t size)
{
	char line[LINE_MAX];
	size_t length;

	if (memchr(text, 0, size))
		return true;
	for (size_t at = 0; at < size; at += length + 1) {
		length = line_length(text + at, size - at);
		memset(line, 0, sizeof(line));
		memcpy(line, text + at, MIN(length, sizeof(line) - 1));
		if (!strncasecmp(trim(line), "fail", 4) &&
		    !strstr(line, "open"))
			return true;
	}
	return false;
}

static void set_defaults(struct config *out)
{
	memset(out, 0, sizeof(*out));
	out->log_sink = LOG_SINK_COM1;
	out->log_level = LOG_INFO;
	out->memory_mib = 16;
}

int config_parse(const char *text, size_t size, struct config *out,
		 struct config_error *error)
{
	struct parser p = { .out = out, .error = error };
	size_t at = 0, length;

	set_defaults(out);
	if (size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		at = 3;
	for (; at < size; at += length + 1) {
		length = line_length(text + at, size - at);
		p.line++;
		copy_line(&p, text + at, length);
	}
	out->memory_mib += p.extra_mib;
	if (!p.failed)
		return 0;
	out->fail_closed |= may_want_closed(text, size);
	return -EINVAL;
}
