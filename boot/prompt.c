/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading the console (UEFI 2.10, 12.3). */
#include "gnu_efi.h"
#include "prompt.h"
#include "wipe.h"

#define WATCHDOG_SECONDS 300	/* as the boot manager sets it (3.1.2) */

static EFI_INPUT_KEY wait_for_key(void)
{
	EFI_INPUT_KEY key;
	UINTN index;

	do {
		BS->WaitForEvent(1, &ST->ConIn->WaitForKey, &index);
	} while (EFI_ERROR(ST->ConIn->ReadKeyStroke(ST->ConIn, &key)));
	return key;
}

/* A terminal's backspace key may be one or the other. */
static bool erases(EFI_INPUT_KEY key)
{
	return key.UnicodeChar == CHAR_BACKSPACE || key.ScanCode == SCAN_DELETE;
}

static size_t read_line(CHAR16 line[PROMPT_MAX])
{
	EFI_INPUT_KEY key = wait_for_key();
	size_t length = 0;

	for (; key.UnicodeChar != CHAR_CARRIAGE_RETURN; key = wait_for_key()) {
		if (erases(key))
			length -= length > 0;
		else if (key.UnicodeChar >= ' ' && length < PROMPT_MAX)
			line[length++] = key.UnicodeChar;
	}
	return length;
}

/* Of one UTF-16 unit: the console has no others. */
static char *encode(char *to, CHAR16 key)
{
	if (key < 0x80) {
		*to++ = key;
		return to;
	}
	if (key < 0x800) {
		*to++ = 0xc0 | key >> 6;
	} else {
		*to++ = 0xe0 | key >> 12;
		*to++ = 0x80 | (key >> 6 & 0x3f);
	}
	*to++ = 0x80 | (key & 0x3f);
	return to;
}

void prompt_secret(char to[PROMPT_SIZE])
{
	CHAR16 line[PROMPT_MAX];
	size_t length;

	BS->SetWatchdogTimer(0, 0, 0, NULL);
	length = read_line(line);
	BS->SetWatchdogTimer(WATCHDOG_SECONDS, 0, 0, NULL);
	for (size_t i = 0; i < length; i++)
		to = encode(to, line[i]);
	*to = 0;
	wipe(line, sizeof(line));
	Print(L"\n");
}
