/* SPDX-License-Identifier: BSD-2-Clause */
/* Core's side of include/log.h. */
#ifndef SLUICE_LOG_INIT_H
#define SLUICE_LOG_INIT_H

#include "log.h"

void log_init(enum log_level level);

#endif
