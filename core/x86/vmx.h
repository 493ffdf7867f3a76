/* SPDX-License-Identifier: BSD-2-Clause */
/* Intel's back end of include/vt.h; only vt.c includes this. */
#ifndef SLUICE_VMX_H
#define SLUICE_VMX_H

#include "vt.h"

extern const struct vt vmx;

#endif
