/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What core has to say to the control channel (control.h). Any lock may be
 * held. The structures are zeroed by whoever calls.
 */
#ifndef SLUICE_STATUS_H
#define SLUICE_STATUS_H

#include "control.h"

const char *status_version(void);
/* All but the count of controllers. */
void status_get(struct control_status *status);
/* False: there is no such CPU. */
bool status_get_cpu(u32 index, struct control_cpu *cpu);
/* Last words of the run before: bytes from `from` on, as many as there are. */
u32 status_read_panic_log(u64 from, void *to, u32 size);

#endif
