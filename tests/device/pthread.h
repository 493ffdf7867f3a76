/* SPDX-License-Identifier: BSD-2-Clause */
/* As much of POSIX threads as the fake controller uses, without them. */
#ifndef SLUICE_DEVICE_PTHREAD_H
#define SLUICE_DEVICE_PTHREAD_H

#include <sys/types.h>

#include "lock.h"

/* newlib names the types, and has none of the functions. */
#define pthread_mutex_t struct lock
#define PTHREAD_MUTEX_INITIALIZER { 0 }
#define pthread_mutex_lock lock_acquire
#define pthread_mutex_unlock lock_release

#endif
