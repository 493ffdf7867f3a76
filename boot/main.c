/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The boot story, top to bottom: read the configuration, put the hypervisor
 * into memory, take every processor and every NVMe controller, go on as the
 * guest. What happens when a step fails is the owner's choice: `fail = open`
 * starts the operating system without Sluice, `fail = closed` none at all.
 */
#include <errno.h>
#include <string.h>

#include "config.h"
#include "firmware.h"
#include "image.h"
#include "secret.h"
#include "version.h"
#include "volume.h"

extern const u8 embedded_elf[], embedded_elf_end[];

static struct boot_info info;
static sluice_boot_fn sluice_boot;

/* ---- Configuration ----------------------------------------------------- */

static int parse_config(const char *text, size_t size)
{
	struct config_error error;
	int result = config_parse(text, size, &info.config, &error);

	if (result)
		Print(L"sluice.conf:%d: %a\n", error.line, error.text);
	return result;
}

/* A file that is there but cannot be read may say anything: fail closed. */
static int read_config(void)
{
	char *text = NULL;
	size_t size = 0;
	int error = volume_read(L"sluice.conf", CONFIG_FILE_MAX, &text, &size);

	if (error == -ENOENT) {
		Print(L"sluice.conf: not found, taking the defaults\n");
		return parse_config("", 0);
	}
	if (!error)
		error = parse_config(text, size);
	else {
		Print(L"sluice.conf: %s\n", error == -EFBIG ?
		      L"larger than 64 KiB" : L"cannot be read");
		info.config.fail_closed = true;
	}
	if (text)
		FreePool(text);
	return error;
}

/* ---- Into the hypervisor ----------------------------------------------- */

static int report(long result)
{
	if (!result)
		return 0;
	if (info.error_line)
		Print(L"sluice.conf:%d: %a\n", info.error_line, info.error);
	else if (info.error[0])
		Print(L"sluice: %a\n", info.error);
	else
		Print(L"sluice: error %d\n", (int)-result);
	return -EIO;
}

struct errand {
	enum boot_call call;
	long result;		/* of a processor that failed */
};

static void EFIAPI run_errand(void *argument)
{
	struct errand *errand = argument;
	long result = sluice_boot(errand->call, &info);

	if (result)
		__atomic_store_n(&errand->result, result, __ATOMIC_RELEASE);
}

/* The probe goes from one to the next, as they share info.error. */
static int on_every_cpu(enum boot_call call)
{
	struct errand errand = { .call = call };
	int error = firmware_on_other_cpus(run_errand, &errand,
					   call == BOOT_PROBE);

	if (error)
		return error;
	if (!errand.result)
		run_errand(&errand);
	return report(errand.result);
}

static int place(void)
{
	struct image image;
	int error;

	info.memory_size = (u64)info.config.memory_mib << 20;
	error = firmware_reserve(info.memory_size, &info.memory_base);
	if (error)
		return error;
	error = image_place(embedded_elf, embedded_elf_end - embedded_elf,
			    (void *)info.memory_base, info.memory_size, &image);
	if (error) {
		Print(L"sluice: the image inside this file is damaged\n");
		firmware_unreserve(info.memory_base, info.memory_size);
		return error;
	}
	info.image_size = image.size;
	sluice_boot = (sluice_boot_fn)image.entry;
	return 0;
}

/* Up to here, nothing of the machine has changed. */
static int prepare(void)
{
	int error = place();

	if (error)
		return error;
	error = on_every_cpu(BOOT_PROBE);
	if (!error)
		error = firmware_describe(&info);
	if (!error)
		error = report(sluice_boot(BOOT_PREPARE, &info));
	if (error)
		firmware_unreserve(info.memory_base, info.memory_size);
	return error;
}

/* With only some processors taken there is no way on and no way back. */
static void launch(void)
{
	if (on_every_cpu(BOOT_LAUNCH)) {
		Print(L"sluice: the machine is half taken: shutting down\n");
		firmware_shut_down();
	}
	Print(L"sluice: %d processor%s and this firmware are guests now\n",
	      info.cpu_count, info.cpu_count == 1 ? L"" : L"s");
}

static int take_machine(void)
{
	int error = prepare();

	if (error)
		return error;
	firmware_release_nvme();
	error = report(sluice_boot(BOOT_ATTACH, &info));
	if (!error)
		launch();
	firmware_return_nvme();
	return error;
}

/* ---- Onwards ----------------------------------------------------------- */

static void apply_fail_policy(void)
{
	if (info.config.fail_closed) {
		Print(L"sluice: fail = closed: no operating system is "
		      L"started; shutting down\n");
		firmware_shut_down();
	}
	Print(L"sluice: going on WITHOUT Sluice\n");
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	int error;

	InitializeLib(image, table);
	strncpy(info.version, SLUICE_VERSION, sizeof(info.version) - 1);
	Print(L"Sluice %a\n", SLUICE_VERSION);
	firmware_find_last_words(&info);
	volume_open(image);
	error = read_config();
	if (!error)
		error = secret_fetch(&info);
	if (!error)
		error = take_machine();
	secret_wipe(&info);
	if (error)
		apply_fail_policy();
	/*
	 * An error makes the firmware's boot manager go on with the next
	 * entry of BootOrder (UEFI 2.10, 3.1.1): what follows if `next` is
	 * not given, and as good a guess as any if it cannot be started.
	 */
	if (!info.config.next[0])
		return EFI_NOT_FOUND;
	return volume_start(info.config.next, info.config.next_options);
}
