/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console on a UART of make-believe: the guest owns the port, so what
 * matters is what is not written to it. Each access takes a microsecond.
 */
#include <string.h>

#include "../../core/x86/io.h"
#include "clock.h"
#include "console.h"
#include "spec/uart.h"
#include "test.h"

#define DEBUG_PORT 0xe9
#define NEVER (~0u)

static struct {
	u16 base;
	bool exists;
	u8 lcr, ier, fcr;
	u16 divisor;
	u32 busy_reads;		/* LSR says busy this often after a character */
	u32 busy_left;
	u32 dlab_reads;		/* the guest sets DLAB back after so many */
	u32 setup_writes;
	char output[64];
	unsigned output_count;
	bool debug_port_exists;
} uart;
static u64 now_us;

u64 clock_now_us(void)
{
	return now_us;
}

static bool has_dlab(void)
{
	return uart.lcr & UART_LCR_DLAB;
}

static u8 read_lcr(void)
{
	if (has_dlab() && uart.dlab_reads != NEVER && !uart.dlab_reads--)
		uart.lcr &= ~UART_LCR_DLAB;
	return uart.lcr;
}

static u8 read_lsr(void)
{
	if (!uart.busy_left)
		return UART_LSR_THRE;
	if (uart.busy_left != NEVER)
		uart.busy_left--;
	return 0;
}

static unsigned offset_of(u16 port)
{
	return (u16)(port - uart.base);
}

u32 io_read(u16 port, unsigned size)
{
	CHECK_EQ(size, 1);
	now_us++;
	if (port == DEBUG_PORT)
		return uart.debug_port_exists ? DEBUG_PORT : 0xff;
	if (!uart.exists || offset_of(port) > 7)
		return 0xff;
	switch (offset_of(port)) {
	case UART_LCR:
		return read_lcr();
	case UART_LSR:
		return read_lsr();
	default:
		return 0;
	}
}

static void put(u8 character)
{
	CHECK(uart.output_count < sizeof(uart.output) - 1);
	uart.output[uart.output_count++] = character;
	uart.busy_left = uart.busy_reads;
}

static void write_data(u8 value)
{
	if (has_dlab())
		uart.divisor = (uart.divisor & 0xff00) | value;
	else
		put(value);
}

static void write_ier(u8 value)
{
	if (has_dlab())
		uart.divisor = (uart.divisor & 0xff) | value << 8;
	else
		uart.ier = value;
}

void io_write(u16 port, unsigned size, u32 value)
{
	CHECK_EQ(size, 1);
	now_us++;
	if (port == DEBUG_PORT) {
		put(value);
		return;
	}
	CHECK(uart.exists && offset_of(port) <= 7);
	uart.setup_writes += port != uart.base;
	switch (offset_of(port)) {
	case 0:
		write_data(value);
		break;
	case UART_IER:
		write_ier(value);
		break;
	case UART_FCR:
		uart.fcr = value;
		break;
	case UART_LCR:
		uart.lcr = value;
		break;
	default:
		FAIL("write to register %u", offset_of(port));
	}
}

/* As the firmware leaves a port that it uses. */
static void start(u16 base)
{
	memset(&uart, 0, sizeof(uart));
	uart.base = base;
	uart.exists = true;
	uart.lcr = UART_LCR_8N1;
	uart.ier = 0x0f;
	uart.divisor = 1;
}

static void say(const char *text)
{
	console_write(text, strlen(text));
}

TEST(a_port_somebody_has_set_up_is_left_as_it_is)
{
	static const struct { enum log_sink sink; u16 base; } sinks[] = {
		{ LOG_SINK_COM1, UART_COM1 }, { LOG_SINK_COM2, UART_COM2 },
	};

	for (size_t i = 0; i < ARRAY_COUNT(sinks); i++) {
		start(sinks[i].base);
		console_init(sinks[i].sink);
		say("hello");
		CHECK_STR(uart.output, "hello");
		CHECK_EQ(uart.setup_writes, 0);
		CHECK_EQ(uart.ier, 0x0f);
	}
}

TEST(a_port_nobody_has_set_up_becomes_115200_8n1)
{
	start(UART_COM2);
	uart.lcr = 0;
	uart.divisor = 0;
	console_init(LOG_SINK_COM2);
	CHECK_EQ(uart.lcr, UART_LCR_8N1);
	CHECK_EQ(uart.divisor, 1);
	CHECK_EQ(uart.ier, 0);
	CHECK_EQ(uart.fcr, UART_FCR_ENABLE);
	say("x");
	CHECK_STR(uart.output, "x");
}

TEST(a_port_that_is_not_there_is_never_written)
{
	start(UART_COM1);
	uart.exists = false;
	console_init(LOG_SINK_COM1);
	say("lost");
	CHECK_EQ(uart.output_count, 0);
}

TEST(every_character_waits_for_the_transmitter)
{
	start(UART_COM1);
	uart.busy_reads = 20;
	console_init(LOG_SINK_COM1);
	say("slow");
	CHECK_STR(uart.output, "slow");
}

TEST(a_transmitter_that_stays_busy_costs_one_deadline)
{
	u64 before;

	start(UART_COM1);
	console_init(LOG_SINK_COM1);
	uart.busy_reads = NEVER;
	before = now_us;
	say("a long line of which one character fits");
	CHECK_STR(uart.output, "a");
	CHECK(now_us - before < 6000);
}

TEST(a_character_never_becomes_the_guests_divisor)
{
	start(UART_COM1);
	console_init(LOG_SINK_COM1);
	uart.lcr |= UART_LCR_DLAB;
	uart.dlab_reads = 10;
	say("ok");
	CHECK_STR(uart.output, "ok");
	CHECK_EQ(uart.divisor, 1);
}

TEST(a_guest_that_leaves_the_divisor_selected_loses_lines_only)
{
	u64 before;

	start(UART_COM1);
	console_init(LOG_SINK_COM1);
	uart.lcr |= UART_LCR_DLAB;
	uart.dlab_reads = NEVER;
	before = now_us;
	say("lost");
	CHECK_EQ(uart.output_count, 0);
	CHECK_EQ(uart.divisor, 1);
	CHECK(now_us - before < 6000);
}

TEST(the_debug_port_is_used_only_where_it_answers)
{
	for (int exists = 0; exists < 2; exists++) {
		start(UART_COM1);
		uart.debug_port_exists = exists;
		console_init(LOG_SINK_DEBUG);
		say("bochs");
		CHECK_STR(uart.output, exists ? "bochs" : "");
	}
}

TEST(no_sink_means_no_output)
{
	start(UART_COM1);
	console_init(LOG_SINK_NONE);
	say("nothing");
	CHECK_EQ(uart.output_count, 0);
}
