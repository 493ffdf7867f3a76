/* SPDX-License-Identifier: BSD-2-Clause */
/* What a library of Debian's expects around it, beyond newlib. */
#ifndef SLUICE_BOOT_LIBC_H
#define SLUICE_BOOT_LIBC_H

/*
 * Its functions check a word of the thread's own, at fs:28h, when they
 * return. Firmware knows no threads: FS points to one between these two.
 */
void libc_enter_thread(void);
void libc_leave_thread(void);

#endif
