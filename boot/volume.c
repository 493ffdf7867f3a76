/* SPDX-License-Identifier: BSD-2-Clause */
/* Files of the volume this application came from (UEFI 2.10, 9 and 13). */
#include <errno.h>
#include <string.h>

#include "boot_info.h"
#include "volume.h"

static EFI_HANDLE application;
static EFI_LOADED_IMAGE *loaded;
static EFI_DEVICE_PATH *device_path;

void volume_open(EFI_HANDLE image)
{
	EFI_DEVICE_PATH *path;

	application = image;
	/* Every image has this protocol (9.1). */
	BS->HandleProtocol(image, &LoadedImageProtocol, (void **)&loaded);
	path = DevicePathFromHandle(loaded->DeviceHandle);
	if (path)
		device_path = DuplicateDevicePath(path);
}

static CHAR16 *widen(const char *text)
{
	size_t length = strlen(text);
	CHAR16 *wide = AllocateZeroPool((length + 1) * sizeof(CHAR16));

	for (size_t i = 0; wide && i < length; i++)
		wide[i] = (CHAR16)text[i];
	return wide;
}

/* ---- Reading ----------------------------------------------------------- */

static int read_file(EFI_FILE_HANDLE file, size_t size_max, char **text,
		     size_t *size)
{
	EFI_FILE_INFO *info = LibFileInfo(file);
	int error = -EIO;

	if (!info)
		return -EIO;
	*size = info->FileSize;
	if (info->FileSize > size_max)
		error = -EFBIG;
	else if ((*text = AllocatePool(info->FileSize + 1)) &&
		 !EFI_ERROR(file->Read(file, size, *text)) &&
		 *size == info->FileSize)
		error = 0;
	FreePool(info);
	return error;
}

static int read_path(EFI_FILE_HANDLE root, CHAR16 *path, size_t size_max,
		     char **text, size_t *size)
{
	EFI_FILE_HANDLE file;
	EFI_STATUS status;
	int error;

	status = root->Open(root, &file, path, EFI_FILE_MODE_READ, 0);
	if (status == EFI_NOT_FOUND)
		return -ENOENT;
	if (EFI_ERROR(status))
		return -EIO;
	error = read_file(file, size_max, text, size);
	file->Close(file);
	return error;
}

/* "\EFI\BOOT\BOOTX64.EFI" to "\EFI\BOOT\name", from the pool. */
static CHAR16 *path_beside(const CHAR16 *name)
{
	CHAR16 *path = DevicePathToStr(loaded->FilePath), *beside;
	UINTN length = path ? StrLen(path) : 0;

	while (length && path[length - 1] != '\\')
		length--;
	beside = AllocateZeroPool((length + StrLen(name) + 1) *
				  sizeof(CHAR16));
	if (beside) {
		memcpy(beside, path, length * sizeof(CHAR16));
		StrCpy(beside + length, name);
	}
	if (path)
		FreePool(path);
	return beside;
}

int volume_read(const CHAR16 *name, size_t size_max, char **text,
		size_t *size)
{
	EFI_FILE_HANDLE root = LibOpenRoot(loaded->DeviceHandle);
	CHAR16 *path = PoolPrint(L"\\EFI\\sluice\\%s", name);
	int error;

	if (!root || !path)
		return -ENOENT;
	error = read_path(root, path, size_max, text, size);
	FreePool(path);
	if (error == -ENOENT && (path = path_beside(name))) {
		error = read_path(root, path, size_max, text, size);
		FreePool(path);
	}
	root->Close(root);
	return error;
}

int volume_read_path(const char *path, size_t size_max, char **text,
		     size_t *size)
{
	EFI_FILE_HANDLE root = LibOpenRoot(loaded->DeviceHandle);
	CHAR16 *wide = widen(path);
	int error;

	if (!root || !wide)
		return -ENOENT;
	error = read_path(root, wide, size_max, text, size);
	FreePool(wide);
	root->Close(root);
	return error;
}

/* ---- Starting ---------------------------------------------------------- */

static EFI_STATUS load(const char *path, EFI_HANDLE *program)
{
	EFI_DEVICE_PATH *rest = device_path;
	CHAR16 *wide = widen(path);
	EFI_HANDLE volume;
	EFI_STATUS status;

	if (!wide || !device_path)
		return EFI_NOT_FOUND;
	status = BS->LocateDevicePath(&FileSystemProtocol, &rest, &volume);
	if (!EFI_ERROR(status))
		status = BS->LoadImage(FALSE, application,
				       FileDevicePath(volume, wide), NULL, 0,
				       program);
	FreePool(wide);
	return status;
}

static void set_options(EFI_HANDLE program, const char *options)
{
	EFI_LOADED_IMAGE *image;

	if (!*options ||
	    EFI_ERROR(BS->HandleProtocol(program, &LoadedImageProtocol,
					 (void **)&image)))
		return;
	image->LoadOptions = widen(options);
	image->LoadOptionsSize = (strlen(options) + 1) * sizeof(CHAR16);
}

EFI_STATUS volume_start(const char *path, const char *options)
{
	EFI_HANDLE program;
	EFI_STATUS status = load(path, &program);

	if (EFI_ERROR(status)) {
		Print(L"sluice: next = %a: %r\n", path, status);
		return status;
	}
	set_options(program, options);
	status = BS->StartImage(program, NULL, NULL);
	Print(L"sluice: %a came back: %r\n", path, status);
	return status;
}
