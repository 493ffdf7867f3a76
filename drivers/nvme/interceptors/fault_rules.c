/* SPDX-License-Identifier: BSD-2-Clause */
/* The lines of sluice.conf: words, then perhaps a selector. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define WORD_MAX 48
#define DELAY_MAX_US 600000000ull

static struct fault_rule rules[RULE_MAX];
static u32 rule_count;
static u64 seed = 1;
static bool allows_orders;

u32 fault_rules_count(void)
{
	return rule_count;
}

const struct fault_rule *fault_rules_get(u32 index)
{
	return &rules[index];
}

u64 fault_rules_seed(void)
{
	return seed;
}

bool fault_rules_allow_orders(void)
{
	return allows_orders;
}

/* ---- Words ---------------------------------------------------------- */

static bool take_number(const char *text, u64 limit, u64 *out,
			const char **end)
{
	char *after;

	if (*text < '0' || *text > '9')
		return false;
	*out = strtoull(text, &after, 0);
	*end = after;
	return *out <= limit;
}

/* The number is all there is. */
static bool take_only(const char *text, u32 limit, u32 *out)
{
	const char *end;
	u64 number;

	if (!take_number(text, limit, &number, &end) || *end)
		return false;
	*out = (u32)number;
	return number;
}

static bool take_span(const char *text, u64 limit, u64 *first, u64 *last)
{
	const char *end;

	if (!take_number(text, limit, first, &end))
		return false;
	*last = *first;
	if (*end == '-' && !take_number(end + 1, limit, last, &end))
		return false;
	return !*end && *first <= *last;
}

static bool take_delay(struct fault_rule *rule, const char *text)
{
	rule->action.is_delayed = true;
	return take_span(text, DELAY_MAX_US, &rule->action.delay_min_us,
			 &rule->action.delay_max_us);
}

static bool take_drop(struct fault_rule *rule, const char *text)
{
	rule->action.is_dropped = true;
	return !*text;
}

static bool take_error(struct fault_rule *rule, const char *text)
{
	u32 status;

	if (!take_only(text, 0x7fff, &status))
		return false;
	rule->action.status = (u16)status;
	return true;
}

static bool take_tear(struct fault_rule *rule, const char *text)
{
	rule->action.is_torn = true;
	rule->action.tear = ALL_BLOCKS;
	if (!strcmp(text, "all"))
		return true;
	return take_only(text, 65535, &rule->action.tear) || !strcmp(text, "0");
}

static bool take_on(struct fault_rule *rule, const char *text)
{
	static const struct {
		const char *name;
		bool is_admin;
		int opcode;
	} kinds[] = {
		{ "io", false, -1 }, { "admin", true, -1 },
		{ "flush", false, 0x00 }, { "write", false, 0x01 },
		{ "read", false, 0x02 }, { "compare", false, 0x05 },
		{ "zeroes", false, 0x08 }, { "discard", false, 0x09 },
	};
	u64 opcode;
	const char *end;

	for (size_t i = 0; i < COUNT(kinds); i++) {
		if (strcmp(text, kinds[i].name))
			continue;
		rule->is_admin = kinds[i].is_admin;
		rule->opcode = kinds[i].opcode;
		return true;
	}
	rule->is_admin = !strncmp(text, "admin:", 6);
	if (!take_number(rule->is_admin ? text + 6 : text, 255, &opcode, &end))
		return false;
	rule->opcode = (int)opcode;
	return !*end;
}

static bool take_lba(struct fault_rule *rule, const char *text)
{
	rule->has_lbas = true;
	return take_span(text, ~0ull, &rule->first_lba, &rule->last_lba);
}

static bool take_nth(struct fault_rule *rule, const char *text)
{
	return take_only(text, 0xffffffff, &rule->nth);
}

static bool take_every(struct fault_rule *rule, const char *text)
{
	return take_only(text, 0xffffffff, &rule->every);
}

static bool take_one_in(struct fault_rule *rule, const char *text)
{
	return take_only(text, 0xffffffff, &rule->one_in);
}

static bool take_times(struct fault_rule *rule, const char *text)
{
	return take_only(text, 0xffffffff, &rule->times);
}

static const struct {
	const char *name;	/* with the = that ends it */
	bool (*take)(struct fault_rule *rule, const char *text);
	const char *expects;
} words[] = {
	{ "delay=", take_delay, "expected delay=US or delay=US-US, at most "
	  "600000000" },
	{ "drop", take_drop, "expected drop" },
	{ "error=", take_error, "expected error=0x1 to 0x7fff, SCT and SC" },
	{ "tear=", take_tear, "expected tear=BLOCKS, 0 to 65535, or all" },
	{ "on=", take_on, "expected on=read, write, flush, discard, zeroes, "
	  "compare, io, admin, 0xOPCODE or admin:0xOPCODE" },
	{ "lba=", take_lba, "expected lba=FIRST or lba=FIRST-LAST" },
	{ "nth=", take_nth, "expected nth=NUMBER from 1" },
	{ "every=", take_every, "expected every=NUMBER from 1" },
	{ "one-in=", take_one_in, "expected one-in=NUMBER from 1" },
	{ "times=", take_times, "expected times=NUMBER from 1" },
};

/* Copied without the blank that ends it; what follows it, or NULL: it is
 * longer than any of ours. */
static const char *next_word(const char *text, char word[WORD_MAX])
{
	size_t size = strcspn(text, " \t");

	if (size >= WORD_MAX)
		return NULL;
	memcpy(word, text, size);
	word[size] = '\0';
	return text + size + strspn(text + size, " \t");
}

static int find_word(const char *word)
{
	for (size_t i = 0; i < COUNT(words); i++) {
		size_t size = strlen(words[i].name);

		if (!strncmp(word, words[i].name, size) &&
		    (words[i].name[size - 1] == '=' || !word[size]))
			return (int)i;
	}
	return -1;
}

/* ---- Lines ---------------------------------------------------------- */

/* What makes no sense together. */
static const char *check_rule(struct fault_rule *rule)
{
	if (!rule->action.is_delayed && !rule->action.is_dropped && !rule->action.is_torn &&
	    !rule->action.status)
		return "expected what is to happen: delay=, drop, error= or "
		       "tear=";
	if (rule->action.is_dropped && rule->action.status)
		return "expected drop or error=, not both";
	if (rule->action.is_torn && (rule->is_admin || rule->opcode != 0x01))
		return "expected on=write with tear=";
	return NULL;
}

const char *fault_rules_parse(struct fault_rule *rule, const char *text)
{
	char word[WORD_MAX];
	const char *after, *why = NULL;
	int found;

	*rule = (struct fault_rule){ .opcode = -1 };
	snprintf(rule->text, sizeof(rule->text), "%s", text);
	while (*text && (after = next_word(text, word)) &&
	       (found = find_word(word)) >= 0) {
		if (!words[found].take(rule, word + strlen(words[found].name)))
			return words[found].expects;
		text = after;
	}
	rule->has_selector = *text;
	if (*text)
		why = nvme_io_selector_parse(text, &rule->selector);
	return why ? why : check_rule(rule);
}

static const char *take_seed(const char *text)
{
	const char *end;

	return take_number(text, ~0ull, &seed, &end) && !*end ? NULL :
		"expected a number";
}

static const char *take_orders(const char *text)
{
	allows_orders = !strcmp(text, "on");
	return allows_orders || !strcmp(text, "off") ? NULL :
		"expected on or off";
}

static const char *take_line(u32 line, const char *key, const char *value)
{
	const char *why;

	if (!strcmp(key, "fault.seed"))
		return take_seed(value);
	if (!strcmp(key, "fault.orders"))
		return take_orders(value);
	if (strcmp(key, "fault"))
		return "expected the key fault, fault.seed or fault.orders";
	if (rule_count == RULE_MAX)
		return "expected at most 32 rules";
	why = fault_rules_parse(&rules[rule_count], value);
	rules[rule_count].line = line;
	rule_count += !why;
	return why;
}

int fault_rules_configure(u32 line, const char *key, const char *value,
			  char *why, size_t why_size)
{
	const char *expected = take_line(line, key, value);

	if (!expected)
		return 0;
	snprintf(why, why_size, "%s", expected);
	return -1;
}
