/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's descriptor tables. Exceptions in the host are our mistakes;
 * interrupts come only where svm_run.S opens a window for them, and NMIs there
 * or, under VMX, at any time.
 */
#ifndef SLUICE_IDT_H
#define SLUICE_IDT_H

#define HOST_CS 0x08
#define HOST_DS 0x10

void idt_init(void);

/* On each CPU: GDT, IDT and CS, DS, ES, SS. */
void idt_load(void);

#endif
