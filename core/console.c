/* SPDX-License-Identifier: BSD-2-Clause */
/* Polled output to a 16550 UART, or to the debug port of Bochs and QEMU. */
#include "clock.h"
#include "console.h"
#include "spec/uart.h"
#include "x86/io.h"

#define DEBUG_PORT 0xe9		/* reads back as itself where it exists */
#define CHARACTER_DEADLINE_US 5000

static u16 port;

static u8 uart_read(unsigned offset)
{
	return io_read(port + offset, 1);
}

static void uart_write(unsigned offset, u8 value)
{
	io_write(port + offset, 1, value);
}

/* 115200 8N1, when nobody has set the port up before us. */
static void uart_init(void)
{
	if (uart_read(UART_LCR) == UART_LCR_8N1)
		return;
	uart_write(UART_IER, 0);
	uart_write(UART_LCR, UART_LCR_8N1 | UART_LCR_DLAB);
	uart_write(UART_DLL, 1);
	uart_write(UART_DLM, 0);
	uart_write(UART_LCR, UART_LCR_8N1);
	uart_write(UART_FCR, UART_FCR_ENABLE);
}

void console_init(enum log_sink sink)
{
	static const u16 ports[] = {
		[LOG_SINK_COM1] = UART_COM1, [LOG_SINK_COM2] = UART_COM2,
		[LOG_SINK_DEBUG] = DEBUG_PORT, [LOG_SINK_NONE] = 0,
	};
	u16 chosen = ports[sink];

	port = chosen;
	if (chosen == DEBUG_PORT && uart_read(0) != DEBUG_PORT)
		port = 0;
	if (chosen == UART_COM1 || chosen == UART_COM2) {
		/* All ones: no such port. */
		if (uart_read(UART_LSR) == 0xff)
			port = 0;
		else
			uart_init();
	}
}

/* With DLAB on, the data register is the guest's divisor: wait until the
 * guest has set its speed. */
static bool uart_wait_ready(void)
{
	u64 deadline = clock_deadline_us(CHARACTER_DEADLINE_US);

	while (!(uart_read(UART_LSR) & UART_LSR_THRE) ||
	       (uart_read(UART_LCR) & UART_LCR_DLAB))
		if (clock_is_past(deadline))
			return false;
	return true;
}

void console_write(const char *text, size_t size)
{
	if (!port)
		return;
	for (size_t i = 0; i < size; i++) {
		if (port != DEBUG_PORT && !uart_wait_ready())
			return;
		uart_write(0, text[i]);
	}
}
