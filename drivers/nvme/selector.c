/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvme_io_selector_...(): the names that sluice.conf has for partitions and
 * namespaces, the same for every plug-in. Pure but for the serial number.
 */
#include <stdlib.h>
#include <string.h>

#include "nvme_io.h"

#define WORD_MAX 192

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

static const char *take_label(struct nvme_io_selector *out, const char *word)
{
	out->by = NVME_IO_BY_LABEL;
	if (!*word || strlen(word) >= sizeof(out->label))
		return "expected a label of 1 to 36 characters";
	strcpy(out->label, word);
	return NULL;
}

/* The namespace stands after the last colon: a serial is free text. */
static const char *take_place(struct nvme_io_selector *out, const char *word)
{
	const char *colon = strrchr(word, ':');
	size_t size = colon ? (size_t)(colon - word) : 0;
	unsigned long nsid;
	char *end;

	if (!size || size >= sizeof(out->serial))
		return "expected " NVME_IO_SELECTORS ", in quotes with spaces";
	if (colon[1] != 'n' || colon[2] < '1' || colon[2] > '9')
		return "expected a namespace as in SERIAL:n1";
	nsid = strtoul(colon + 2, &end, 10);
	if (*end || nsid >= 0xffffffff)
		return "expected a namespace as in SERIAL:n1";
	if (*out->serial)
		return "expected one SERIAL:nNSID, not two";
	memcpy(out->serial, word, size);
	out->nsid = (u32)nsid;
	return NULL;
}

static const char *take_part(struct nvme_io_selector *out, const char *word)
{
	bool is_uuid = !strncmp(word, "PARTUUID=", 9);
	bool is_label = !strncmp(word, "PARTLABEL=", 10);

	if (!is_uuid && !is_label)
		return take_place(out, word);
	if (out->by != NVME_IO_BY_NAMESPACE)
		return "expected one PARTUUID=... or PARTLABEL=..., not two";
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
	if (selector->by == NVME_IO_BY_UUID)
		return !memcmp(selector->uuid, partition->uuid,
			       sizeof(selector->uuid));
	return selector->by == NVME_IO_BY_LABEL &&
	       !strcmp(selector->label, partition->label);
}
