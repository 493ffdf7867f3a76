/* SPDX-License-Identifier: BSD-2-Clause */
/* Chooses the back end. */
#include "vt.h"
#include "svm.h"

const struct vt *vt = &svm;

const char *vt_select(void)
{
	return vt->probe();
}
