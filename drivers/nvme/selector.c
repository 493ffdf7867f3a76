/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvme_io_selector_...(): the names that sluice.conf has for partitions and
 * namespaces, the same for every plug-in. Pure but for the serial number.
 */
#include <stdlib.h>
#include <string.h>

#include "nvme_io.h"

#define WORD_MAX 192
#define LABEL_UNITS 36

#define ONE_PARTITION "expected one PARTUUID=..., PARTLABEL=... or :pNUMBER"

/* Quotes hold a word together and are dropped. NULL: open or too long. */
static const char *take_word(const char *text, char word[WORD_MAX])
{
	bool is_quoted = false;
	size_t size = 0;

	while (*text == ' ' || *text == '\t')
		text++;
	for (; *text; text++) {
		if (!is_quoted && (*text == ' ' || *text == '\t'))
			break;
		if (*text == '"')
			is_quoted = !is_quoted;
		else if (size < WORD_MAX - 1)
			word[size++] = *text;
		else
			return NULL;
	}
	word[size] = '\0';
	return is_quoted ? NULL : text;
}

static const char *take_uuid(struct nvme_io_selector *out, const char *word)
{
	out->by = NVME_IO_BY_UUID;
	if (nvme_io_uuid_parse(word, out->uuid))
		return NULL;
	return "expected PARTUUID=xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
}

/* Units of UTF-16 (UEFI 2.10, 5.3.3): one for each first byte, and another
 * one for a first byte of four. */
static size_t unit_count(const char *label)
{
	size_t count = 0;

	for (; *label; label++)
		count += (((u8)*label & 0xc0) != 0x80) + ((u8)*label >= 0xf0);
	return count;
}

static const char *take_label(struct nvme_io_selector *out, const char *word)
{
	out->by = NVME_IO_BY_LABEL;
	if (!*word || strlen(word) >= sizeof(out->label) ||
	    unit_count(word) > LABEL_UNITS)
		return "expected a label of 1 to 36 characters";
	strcpy(out->label, word);
	return NULL;
}

/* The number after a letter, to the end of the word. 0: it is not one. */
static u32 take_number(const char *text, char letter)
{
	unsigned long number;
	char *end;

	if (text[0] != letter || text[1] < '1' || text[1] > '9')
		return 0;
	number = strtoul(text + 1, &end, 10);
	return *end || number >= 0xffffffff ? 0 : (u32)number;
}

/* Cut off the word: nNSID may stand before it. */
static const char *take_index(struct nvme_io_selector *out, char *colon)
{
	out->index = take_number(colon + 1, 'p');
	if (!out->index)
		return "expected a partition as in SERIAL:n1:p2";
	if (out->by != NVME_IO_BY_NAMESPACE)
		return ONE_PARTITION;
	out->by = NVME_IO_BY_INDEX;
	*colon = '\0';
	return NULL;
}

/* The namespace stands after the last colon: a serial is free text. */
static const char *take_place(struct nvme_io_selector *out, char *word)
{
	char *colon = strrchr(word, ':');
	const char *fault = NULL;
	size_t size;

	if (colon && colon[1] == 'p') {
		fault = take_index(out, colon);
		colon = strrchr(word, ':');
	}
	size = colon ? (size_t)(colon - word) : 0;
	if (fault)
		return fault;
	if (!size || size >= sizeof(out->serial))
		return "expected " NVME_IO_SELECTORS ", in quotes with spaces";
	out->nsid = take_number(colon + 1, 'n');
	if (!out->nsid)
		return "expected a namespace as in SERIAL:n1";
	if (*out->serial)
		return "expected one SERIAL:nNSID, not two";
	memcpy(out->serial, word, size);
	return NULL;
}

static const char *take_part(struct nvme_io_selector *out, char *word)
{
	bool is_uuid = !strncmp(word, "PARTUUID=", 9);
	bool is_label = !strncmp(word, "PARTLABEL=", 10);

	if (!is_uuid && !is_label)
		return take_place(out, word);
	if (out->by != NVME_IO_BY_NAMESPACE)
		return ONE_PARTITION;
	return is_uuid ? take_uuid(out, word + 9) :
			 take_label(out, word + 10);
}

static bool is_blank(const char *text)
{
	return !text[strspn(text, " \t")];
}

const char *nvme_io_selector_parse(const char *text,
				   struct nvme_io_selector *out)
{
	const char *fault = NULL;
	char word[WORD_MAX];

	memset(out, 0, sizeof(*out));
	if (is_blank(text))
		return "expected " NVME_IO_SELECTORS;
	while (!fault && !is_blank(text)) {
		text = take_word(text, word);
		if (!text)
			return "expected a closing quote";
		fault = take_part(out, word);
	}
	return fault;
}

bool nvme_io_selector_is_on(const struct nvme_io_selector *selector,
			    struct nvme_host *host)
{
	return !*selector->serial ||
	       !strcmp(selector->serial, nvme_io_serial(host));
}

bool nvme_io_selector_is_in(const struct nvme_io_selector *selector,
			    struct nvme_host *host, u32 nsid)
{
	return !*selector->serial ||
	       (nvme_io_selector_is_on(selector, host) &&
		selector->nsid == nsid);
}

bool nvme_io_selector_names(const struct nvme_io_selector *selector,
			    const struct nvme_io_partition *partition)
{
	switch (selector->by) {
	case NVME_IO_BY_UUID:
		return !memcmp(selector->uuid, partition->uuid,
			       sizeof(selector->uuid));
	case NVME_IO_BY_LABEL:
		return !strcmp(selector->label, partition->label);
	case NVME_IO_BY_INDEX:
		return selector->index == partition->index;
	default:
		return false;
	}
}
