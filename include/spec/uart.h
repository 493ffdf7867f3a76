/* SPDX-License-Identifier: BSD-2-Clause */
/* The 16550A UART (National Semiconductor PC16550D data sheet, 8.0). */
#ifndef SLUICE_SPEC_UART_H
#define SLUICE_SPEC_UART_H

#define UART_COM1 0x3f8
#define UART_COM2 0x2f8

#define UART_DLL 0		/* with DLAB */
#define UART_IER 1
#define UART_DLM 1		/* with DLAB */
#define UART_FCR 2
#define UART_LCR 3
#define UART_LSR 5

#define UART_FCR_ENABLE 0x01
#define UART_LCR_8N1 0x03
#define UART_LCR_DLAB 0x80
#define UART_LSR_THRE 0x20

#endif
