/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt commands: INIT and SIPI are answered by Sluice (smp.c), all
 * others go on to the APIC as they are. Sections: APM vol. 2.
 */
#include "apic.h"
#include "apic_page.h"
#include "barrier.h"
#include "clock.h"
#include "log.h"
#include "mmio.h"
#include "smp.h"
#include "spec/x86.h"

/* Delivery takes far less; the APM names no limit (16.5). */
#define DELIVERY_DEADLINE_US 10000

static u32 read_register(u32 offset)
{
	return mmio_read32(hpa(APIC_DEFAULT_BASE + offset));
}

static void write_register(u32 offset, u32 value)
{
	mmio_write32(hpa(APIC_DEFAULT_BASE + offset), value);
}

/* Where the registers are: on their page, in MSRs, or nowhere (16.9). */
static bool is_xapic(void)
{
	return (rdmsr(MSR_APIC_BASE) & APIC_BASE_MODE) == APIC_BASE_ENABLE;
}

static bool is_x2apic(void)
{
	return rdmsr(MSR_APIC_BASE) & APIC_BASE_X2APIC;
}

/* What the APIC says, not what the guest has written: some registers have
 * bits, and on some processors the whole id, that cannot be written. Other
 * CPUs look at it any time. */
static void note_identity(struct cpu *cpu)
{
	if (is_x2apic())
		WRITE_ONCE(cpu->apic_id, rdmsr(MSR_X2APIC_ID));
	if (!is_xapic())
		return;
	WRITE_ONCE(cpu->apic_id,
		   FIELD_GET(APIC_ID_FIELD, read_register(APIC_ID)));
	WRITE_ONCE(cpu->apic_ldr, read_register(APIC_LDR));
	WRITE_ONCE(cpu->apic_dfr, read_register(APIC_DFR));
}

void apic_identify(struct cpu *cpu)
{
	cpu->is_bsp = rdmsr(MSR_APIC_BASE) & APIC_BASE_BSP;
	cpu->apic_dfr = APIC_DFR_FLAT;
	note_identity(cpu);
}

static bool is_in_service(void)
{
	for (u32 offset = APIC_ISR; offset < APIC_ISR_END; offset += 0x10)
		if (read_register(offset))
			return true;
	return false;
}

/* INIT forgets what was in service. Left there, it would hold back every
 * interrupt that is not above it. */
static void end_interrupts(void)
{
	for (unsigned i = 0; i < VECTOR_COUNT && is_in_service(); i++)
		write_register(APIC_EOI, 0);
}

void apic_reset(struct cpu *cpu)
{
	static const u16 lvts[] = {
		APIC_LVT_TIMER, APIC_LVT_THERMAL, APIC_LVT_PERFMON,
		APIC_LVT_LINT0, APIC_LVT_LINT1,   APIC_LVT_ERROR,
	};

	WRITE_ONCE(cpu->has_kernel, false);
	if (!is_xapic())
		return;		/* INIT leaves x2APIC mode as it is, 16.10 */
	for (size_t i = 0; i < ARRAY_COUNT(lvts); i++)
		write_register(lvts[i], APIC_LVT_MASKED);
	end_interrupts();
	write_register(APIC_TIMER_COUNT, 0);
	write_register(APIC_TPR, 0);
	write_register(APIC_LDR, 0);
	write_register(APIC_DFR, APIC_DFR_FLAT);
	write_register(APIC_SVR, APIC_SVR_RESET);
	note_identity(cpu);
}

static void wait_delivered(void)
{
	u64 deadline = clock_deadline_us(DELIVERY_DEADLINE_US);

	while ((read_register(APIC_ICR_LOW) & ICR_PENDING) &&
	       !clock_is_past(deadline))
		;
}

void apic_send_nmi(const struct cpu *target)
{
	u32 command = FIELD_PREP(ICR_MODE, ICR_MODE_NMI) | ICR_ASSERT;
	u32 id = READ_ONCE(target->apic_id);
	u32 guest_high;

	if (is_x2apic()) {
		wrmsr(MSR_X2APIC_ICR, (u64)id << 32 | command);
		return;
	}
	/* The guest may be between its two writes of a command. */
	guest_high = read_register(APIC_ICR_HIGH);
	wait_delivered();
	write_register(APIC_ICR_HIGH, id << 24);
	write_register(APIC_ICR_LOW, command);
	wait_delivered();
	write_register(APIC_ICR_HIGH, guest_high);
}

/* Logical destinations of the xAPIC: flat and cluster model, 16.6.1. */
static bool logical_matches(const struct cpu *cpu, u32 destination)
{
	u32 id = FIELD_GET(APIC_LDR_FIELD, READ_ONCE(cpu->apic_ldr));

	if (READ_ONCE(cpu->apic_dfr) >> 28 == 0xf)
		return id & destination;
	return (destination >> 4 == 0xf || id >> 4 == destination >> 4) &&
	       (id & destination & 0xf);
}

/* Logical destinations of the x2APIC: the id names cluster and bit, 16.11. */
static bool x2apic_matches(const struct cpu *cpu, u32 destination)
{
	u32 id = READ_ONCE(cpu->apic_id);

	return destination >> 16 == id >> 4 && (destination & 1u << (id & 0xf));
}

struct command {
	u32 low;
	u32 destination;
	bool is_x2apic;
};

static bool destination_matches(const struct cpu *cpu,
				const struct command *command)
{
	u32 destination = command->destination;
	u32 broadcast = command->is_x2apic ? ~0u : 0xff;

	if (destination == broadcast)
		return true;
	if (!(command->low & ICR_LOGICAL))
		return READ_ONCE(cpu->apic_id) == destination;
	return command->is_x2apic ? x2apic_matches(cpu, destination)
				  : logical_matches(cpu, destination);
}

static bool is_target(const struct cpu *cpu, const struct cpu *sender,
		      const struct command *command)
{
	switch (FIELD_GET(ICR_SHORTHAND, command->low)) {
	case ICR_TO_SELF:
		return cpu == sender;
	case ICR_TO_ALL:
		return true;
	case ICR_TO_OTHERS:
		return cpu != sender;
	default:
		return destination_matches(cpu, command);
	}
}

static void send(struct cpu *sender, const struct command *command)
{
	for (u32 i = 0; i < cpu_count(); i++) {
		struct cpu *cpu = cpu_get(i);

		if (!cpu->is_virtualized || !is_target(cpu, sender, command))
			continue;
		if (FIELD_GET(ICR_MODE, command->low) == ICR_MODE_INIT)
			smp_send_init(cpu);
		else
			smp_send_startup(cpu,
					 FIELD_GET(ICR_VECTOR, command->low));
	}
}

/* True when the command was for Sluice and must not reach the APIC. */
static bool answer(struct cpu *sender, const struct command *command)
{
	unsigned mode = FIELD_GET(ICR_MODE, command->low);
	bool is_deassert = (command->low & ICR_LEVEL) &&
			   !(command->low & ICR_ASSERT);

	if (mode != ICR_MODE_INIT && mode != ICR_MODE_STARTUP)
		return false;
	if (is_deassert)
		return true;
	apic_page_hold();
	send(sender, command);
	apic_page_release();
	return true;
}

/*
 * A SIPI can have gone to the APIC while the CPU it is for was on its way to
 * close the page: Linux sends it microseconds after the INIT. That APIC has
 * dropped it, because the processor behind it does not wait, and the command
 * is still there. The kick that smp_send_startup() sends takes its place.
 */
static void repeat_startup(struct cpu *cpu)
{
	struct command command = { .low = read_register(APIC_ICR_LOW) };

	if (FIELD_GET(ICR_MODE, command.low) != ICR_MODE_STARTUP)
		return;
	command.destination = read_register(APIC_ICR_HIGH) >> 24;
	send(cpu, &command);
}

void apic_look_back(struct cpu *cpu)
{
	if (!apic_page_opens())
		return;
	note_identity(cpu);
	if (is_xapic())
		repeat_startup(cpu);
}

static bool is_identity(u64 offset)
{
	return offset == APIC_ID || offset == APIC_LDR || offset == APIC_DFR;
}

static void apic_access(struct mmio_region *region, struct mmio_access *access)
{
	struct cpu *cpu = cpu_this();
	struct command command = { .low = access->value };

	/*
	 * Only aligned doublewords are defined (16.3.2). Anything else could
	 * spill into the command register on its way, so it goes nowhere.
	 */
	if (!is_xapic() || access->size != 4 ||
	    !is_aligned(access->offset, 16)) {
		log_limited(LOG_WARN,
			    "cpu%u: apic: dropped a %u-byte write at %#llx",
			    cpu->index, access->size,
			    (unsigned long long)access->offset);
		return;
	}
	if (access->offset == APIC_ICR_LOW) {
		command.destination = read_register(APIC_ICR_HIGH) >> 24;
		if (answer(cpu, &command))
			return;
	}
	write_register(access->offset, access->value);
	if (is_identity(access->offset))
		note_identity(cpu);
	apic_page_written(cpu);
}

static bool icr_msr_write(struct cpu *cpu, u64 value)
{
	struct command command = {
		.low = value, .destination = value >> 32, .is_x2apic = true,
	};

	if (!is_x2apic())
		return false;
	return answer(cpu, &command) || msr_write_safe(MSR_X2APIC_ICR, value);
}

/* Moving the page away from under its trap is refused as a reserved bit;
 * changes between modes that do not exist the processor itself refuses. */
static bool base_msr_write(struct cpu *cpu, u64 value)
{
	u64 known = APIC_BASE_BSP | APIC_BASE_MODE;
	bool was_on = rdmsr(MSR_APIC_BASE) & APIC_BASE_ENABLE;

	if ((value & ~known) != APIC_DEFAULT_BASE ||
	    !msr_write_safe(MSR_APIC_BASE, value))
		return false;
	note_identity(cpu);
	/* A kick that came to no APIC is not on its way any more, and what
	 * it was for is seen before the guest runs again. */
	if (!was_on)
		smp_take_kick(cpu);
	return true;
}

bool apic_msr_write(struct cpu *cpu, u32 index, u64 value)
{
	return index == MSR_APIC_BASE ? base_msr_write(cpu, value)
				      : icr_msr_write(cpu, value);
}

int apic_init(enum apic_policy policy)
{
	if (vt->wait_for_startup && policy != APIC_TRAP) {
		log_info("apic: not trapped: INIT and SIPI exit");
		return 0;
	}
	return apic_page_init(policy, apic_access);
}
