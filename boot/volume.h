/* SPDX-License-Identifier: BSD-2-Clause */
/* The volume this application was loaded from: files to read and to start. */
#ifndef SLUICE_BOOT_VOLUME_H
#define SLUICE_BOOT_VOLUME_H

#include "gnu_efi.h"
#include "types.h"

/*
 * Remembers the volume by its device path: its handle goes when the driver
 * of the disk is disconnected. Whoever came over the network has no volume,
 * and later finds no file on it.
 */
void volume_open(EFI_HANDLE image);

/* \EFI\sluice\NAME, else NAME beside the application. The text is the
 * caller's to FreePool(). 0, -ENOENT, -EFBIG or -EIO. */
int volume_read(const CHAR16 *name, size_t size_max, char **text,
		size_t *size);

/* The same of a path from the root of the volume. */
int volume_read_path(const char *path, size_t size_max, char **text,
		     size_t *size);

/* Loads and starts a program of this volume; says on the console what went
 * wrong. Comes back when the program does. */
EFI_STATUS volume_start(const char *path, const char *options);

#endif
