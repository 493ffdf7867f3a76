/* SPDX-License-Identifier: BSD-2-Clause */
/* AMD's back end of include/vt.h; only vt.c includes this. */
#ifndef SLUICE_SVM_H
#define SLUICE_SVM_H

#include "vt.h"

extern const struct vt svm;

#endif
