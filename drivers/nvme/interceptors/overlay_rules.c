/* SPDX-License-Identifier: BSD-2-Clause */
/* The lines of sluice.conf: words, then a selector. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "overlay.h"

#define MEMORY_MIB_MAX 65536u	/* sluice.conf's limit, too */
#define WARN_PERCENT 80

static struct overlay_rule rules[VOLUME_MAX];
static u32 rule_count;
static bool allows_orders;

bool overlay_rules_allow_orders(void)
{
	return allows_orders;
}

u32 overlay_rules_count(void)
{
	return rule_count;
}

struct overlay_rule *overlay_rules_get(u32 index)
{
	return &rules[index];
}

/* "name=NUMBER" at the start; what follows, or NULL. */
static const char *take_number(const char *text, const char *name, u32 limit,
			       u32 *out)
{
	size_t size = strlen(name);
	unsigned long number;
	char *end;

	if (strncmp(text, name, size) || text[size] < '1' || text[size] > '9')
		return NULL;
	number = strtoul(text + size, &end, 10);
	if (number > limit || (*end && *end != ' ' && *end != '\t'))
		return NULL;
	*out = (u32)number;
	return end + strspn(end, " \t");
}

/* NULL, or what was expected. */
static const char *take_rule(struct overlay_rule *rule, const char *text)
{
	const char *after = take_number(text, "memory=", MEMORY_MIB_MAX,
					&rule->memory_mib);

	if (!after)
		return "expected memory=MIB, from 1 to 65536, then "
		       NVME_IO_SELECTORS;
	text = after;
	after = take_number(text, "warn=", 100, &rule->warn_percent);
	if (!after && !strncmp(text, "warn=", 5))
		return "expected warn=PERCENT from 1 to 100";
	return nvme_io_selector_parse(after ? after : text, &rule->selector);
}

static const char *take_orders(const char *text)
{
	allows_orders = !strcmp(text, "on");
	return allows_orders || !strcmp(text, "off") ? NULL :
		"expected on or off";
}

/* A line of the overlay before it. NULL, or what was expected. */
static const char *take_more(const char *key, const char *text)
{
	struct overlay_rule *rule;

	if (!rule_count)
		return "expected after a line overlay = ...";
	rule = &rules[rule_count - 1];
	if (!strcmp(key, "overlay.store")) {
		if (rule->has_store)
			return "expected one store for each overlay";
		rule->has_store = true;
		return nvme_io_selector_parse(text, &rule->store);
	}
	rule->keeps = !strcmp(text, "keep");
	return rule->keeps || !strcmp(text, "discard") ? NULL :
		"expected keep or discard";
}

static const char *take_line(u32 line, const char *key, const char *value)
{
	struct overlay_rule *rule = &rules[rule_count];
	const char *why;

	if (!strcmp(key, "overlay.orders"))
		return take_orders(value);
	if (!strcmp(key, "overlay.store") || !strcmp(key, "overlay.boot"))
		return take_more(key, value);
	if (strcmp(key, "overlay"))
		return "expected the key overlay, or that with .store, .boot "
		       "or .orders";
	if (rule_count == VOLUME_MAX)
		return "expected at most 16 lines";
	*rule = (struct overlay_rule){
		.line = line, .warn_percent = WARN_PERCENT,
	};
	snprintf(rule->text, sizeof(rule->text), "%s", value);
	why = take_rule(rule, value);
	rule_count += !why;
	return why;
}

int overlay_rules_configure(u32 line, const char *key, const char *value,
			    char *why, size_t why_size)
{
	const char *expected = take_line(line, key, value);

	if (!expected)
		return 0;
	snprintf(why, why_size, "%s", expected);
	return -1;
}
