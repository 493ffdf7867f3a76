/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_machine.h. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../../core/iommu/iommu.h"
#include "../../core/pci_bus.h"
#include "../../core/pci_config.h"
#include "barrier.h"
#include "bits.h"
#include "clock.h"
#include "fake_machine.h"
#include "gmem.h"
#include "irq.h"
#include "mmio.h"
#include "page.h"
#include "settings.h"
#include "spec/pci.h"
#include "status.h"
#include "test.h"

#define RAM_SIZE (256ull << 20)
#define ALLOCATION_MAX 1024

struct fake_machine fake_machine;

static u8 *ram;
static size_t ram_used;
static struct allocation {
	u64 base, size;
} allocations[ALLOCATION_MAX];
static int allocation_end;	/* behind the last that was ever used */
static pthread_mutex_t memory_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t region_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mmio_region *regions[256];
static size_t region_count;
static struct list listeners = LIST_INIT(listeners);

void fake_machine_init(void)
{
	struct fake_machine *m = &fake_machine;

	ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(ram != MAP_FAILED);
	m->sluice_page_limit = 1 << 20;
	m->us_per_look = 1;
	fake_plug(0x10, FAKE_NVME);
	fake_set_bar(FAKE_BAR);
	m->config[PCI_COMMAND] = PCI_COMMAND_MEMORY;
}

int fake_configure(const char *key, const char *value)
{
	struct config *config = &fake_machine.boot_info.config;
	struct setting *setting = &config->settings[0];

	config->fail_closed = fake_machine.fail_closed;
	config->setting_count = key ? 1 : 0;
	if (key) {
		setting->line = 1;
		strcpy(setting->key, key);
		strcpy(setting->value, value);
	}
	return settings_apply(&fake_machine.boot_info);
}

void fake_relayed(void)
{
	if (!getenv("COMPLETIONS"))
		CHECK_EQ(fake_configure("completions", "relayed"), 0);
}

int fake_machine_attach(void)
{
	/* Whole programs are run on either path: test_unit.py. */
	if (getenv("COMPLETIONS"))
		fake_configure("completions", getenv("COMPLETIONS"));
	else
		fake_configure(NULL, NULL);
	return pci_bus_attach() ? 0 : -ENODEV;
}

/* ---- Memory ------------------------------------------------------------------ */

void *fake_ram(size_t size, size_t align)
{
	size_t start;

	pthread_mutex_lock(&memory_lock);
	start = align_up(ram_used, align);
	CHECK(start + size <= RAM_SIZE);
	ram_used = start + size;
	pthread_mutex_unlock(&memory_lock);
	return ram + start;
}

bool fake_is_ram(u64 address, u64 size)
{
	return range_inside(address - (u64)ram, size, RAM_SIZE);
}

bool fake_is_sluice(u64 address, u64 size)
{
	bool overlaps = false;

	pthread_mutex_lock(&memory_lock);
	for (int i = 0; i < allocation_end && !overlaps; i++)
		overlaps = ranges_overlap(address, size, allocations[i].base,
					  allocations[i].size);
	pthread_mutex_unlock(&memory_lock);
	return overlaps;
}

int gmem_read(void *to, gpa_t from, size_t size)
{
	if (!fake_is_ram(from.v, size))
		return -EFAULT;
	memcpy(to, (void *)from.v, size);
	return 0;
}

int gmem_write(gpa_t to, const void *from, size_t size)
{
	if (!fake_is_ram(to.v, size))
		return -EFAULT;
	memcpy((void *)to.v, from, size);
	return 0;
}

void *gmem_map(gpa_t base, size_t size)
{
	return fake_is_ram(base.v, size) ? (void *)base.v : NULL;
}

bool gmem_is_dma_safe(gpa_t base, u64 size)
{
	return !fake_is_sluice(base.v, size) && base.v + size >= base.v;
}

struct span gmem_dma_span(gpa_t at)
{
	struct span span = { 0, ~0ull };

	pthread_mutex_lock(&memory_lock);
	for (int i = 0; i < allocation_end; i++)
		span = span_beside(span, at.v, allocations[i].base,
				   allocations[i].size);
	pthread_mutex_unlock(&memory_lock);
	return span;
}

static struct allocation *find_allocation(u64 base)
{
	int i = 0;

	while (i < ALLOCATION_MAX && allocations[i].base != base)
		i++;
	CHECK(i < ALLOCATION_MAX);
	return &allocations[i];
}

void *page_alloc(size_t count)
{
	struct allocation *allocation;
	void *pages = NULL;

	pthread_mutex_lock(&memory_lock);
	if (fake_machine.sluice_pages + count <=
	    fake_machine.sluice_page_limit) {
		pages = aligned_alloc(PAGE_SIZE, count * PAGE_SIZE);
		allocation = find_allocation(0);
		if (allocation == &allocations[allocation_end])
			allocation_end++;
		allocation->base = (u64)pages;
		allocation->size = count * PAGE_SIZE;
		fake_machine.sluice_pages += count;
	}
	pthread_mutex_unlock(&memory_lock);
	return pages ? memset(pages, 0, count * PAGE_SIZE) : NULL;
}

void page_free(void *pages, size_t count)
{
	struct allocation *allocation;

	pthread_mutex_lock(&memory_lock);
	allocation = find_allocation((u64)pages);
	CHECK_EQ(allocation->size, count * PAGE_SIZE);
	*allocation = (struct allocation){ 0 };
	fake_machine.sluice_pages -= count;
	pthread_mutex_unlock(&memory_lock);
	free(pages);
}

void *page_pointer(hpa_t address)
{
	return (void *)address.v;
}

hpa_t page_hpa(const void *memory)
{
	CHECK(fake_is_sluice((u64)memory, 1));
	return hpa((u64)memory);
}

size_t page_free_count(void)
{
	size_t used;

	pthread_mutex_lock(&memory_lock);
	used = fake_machine.sluice_pages;
	pthread_mutex_unlock(&memory_lock);
	return fake_machine.sluice_page_limit - used;
}

/* ---- Clock, policy, interrupts -------------------------------------------------- */

const char *status_version(void)
{
	return "test";
}

void status_get(struct control_status *status)
{
	status->uptime_us = fake_machine.now_us;
	status->cpu_count = FAKE_CPUS;
}

bool status_get_cpu(u32 index, struct control_cpu *cpu)
{
	if (index >= FAKE_CPUS)
		return false;
	cpu->index = index;
	cpu->exits[CONTROL_EXIT_IO] = 1000 + index;
	return true;
}

u32 status_read_panic_log(u64 from, void *to, u32 size)
{
	static const char words[] = "panic: seven\n";
	u32 count = from < strlen(words) ? strlen(words) - from : 0;

	memcpy(to, words + strlen(words) - count, MIN(count, size));
	return MIN(count, size);
}

u64 clock_now_us(void)
{
	if (fake_machine.tick)
		fake_machine.tick();
	return __atomic_add_fetch(&fake_machine.now_us,
				  fake_machine.us_per_look, __ATOMIC_RELAXED);
}

int iommu_trust(const struct pci_device *at, bool is_trusted)
{
	fake_machine.trust_count += is_trusted ? 1 : -1;
	return 0;
}

bool iommu_is_unit(const struct pci_device *at)
{
	return false;
}

void irq_watch_get(void)
{
	__atomic_add_fetch(&fake_machine.watch_count, 1, __ATOMIC_SEQ_CST);
}

void irq_watch_put(void)
{
	CHECK(__atomic_fetch_sub(&fake_machine.watch_count, 1,
				 __ATOMIC_SEQ_CST) > 0);
}

void irq_listen(struct irq_listener *listener)
{
	list_add_tail(&listeners, &listener->node);
}

void fake_interrupt(void)
{
	struct list *node;

	if (!READ_ONCE(fake_machine.watch_count)) {
		__atomic_add_fetch(&fake_machine.direct_irq_count, 1,
				   __ATOMIC_RELAXED);
		return;
	}
	list_for_each(node, &listeners) {
		struct irq_listener *listener =
			container_of(node, struct irq_listener, node);

		listener->interrupt(listener);
	}
}

/* ---- Memory-mapped I/O ------------------------------------------------------------ */

u64 fake_bar(void)
{
	struct pci_device device = { .device = FAKE_DEVICE };

	return fake_machine.config[PCI_COMMAND] & PCI_COMMAND_MEMORY ?
		pci_bar_base(&device, 0).v : 0;
}

/* Nobody else's registers are there: reads as ones. */
u64 mmio_read(hpa_t address, unsigned size)
{
	u64 bar = fake_bar();

	if (!bar || !range_inside(address.v - bar, size, FAKE_BAR_SIZE))
		return ~0ull >> (64 - 8 * size);
	return fake_machine.read(address.v - bar, size);
}

void mmio_write(hpa_t address, unsigned size, u64 value)
{
	u64 bar = fake_bar();

	if (bar && range_inside(address.v - bar, size, FAKE_BAR_SIZE))
		fake_machine.write(address.v - bar, size, value);
}

u32 mmio_read32(hpa_t address)
{
	return mmio_read(address, 4);
}

void mmio_write32(hpa_t address, u32 value)
{
	mmio_write(address, 4, value);
}

static struct mmio_region *find_region(u64 base, u64 size)
{
	for (size_t i = 0; i < region_count; i++)
		if (ranges_overlap(base, size, regions[i]->base.v,
				   regions[i]->size))
			return regions[i];
	return NULL;
}

int mmio_register(struct mmio_region *region)
{
	int error = 0;

	if (region->base.v == fake_machine.untrappable)
		return -EPERM;
	pthread_mutex_lock(&region_lock);
	if (find_region(region->base.v, region->size))
		error = -EEXIST;
	else
		regions[region_count++] = region;
	CHECK(region_count < ARRAY_COUNT(regions));
	pthread_mutex_unlock(&region_lock);
	return error;
}

void mmio_unregister(struct mmio_region *region)
{
	size_t i = 0;

	pthread_mutex_lock(&region_lock);
	while (regions[i] != region)
		CHECK(++i < region_count);
	regions[i] = regions[--region_count];
	pthread_mutex_unlock(&region_lock);
}

void mmio_set_traps(struct mmio_region *region, enum mmio_traps traps)
{
	WRITE_ONCE(region->traps, traps);
}

static bool is_trapped(const struct mmio_region *region, bool is_write)
{
	enum mmio_traps traps = READ_ONCE(region->traps);

	return traps == MMIO_TRAPS_ALL ||
		(traps == MMIO_TRAPS_WRITES && is_write);
}

static void access_ram(void *memory, struct mmio_access *access)
{
	if (access->is_write)
		memcpy(memory, &access->value, access->size);
	else if (access->size == 2)
		access->value = READ_FIRST(*(u16 *)memory);
	else
		memcpy(&access->value, memory, access->size);
}

static void guest_access(u64 address, struct mmio_access *access)
{
	struct mmio_region *region;

	pthread_mutex_lock(&region_lock);
	region = find_region(address, 1);
	pthread_mutex_unlock(&region_lock);
	if (region && is_trapped(region, access->is_write)) {
		__atomic_add_fetch(&fake_machine.trap_count, 1,
				   __ATOMIC_RELAXED);
		access->offset = address - region->base.v;
		region->access(region, access);
	} else if (fake_is_ram(address, access->size)) {
		access_ram((void *)address, access);
	} else if (access->is_write) {
		mmio_write(hpa(address), access->size, access->value);
	} else {
		access->value = mmio_read(hpa(address), access->size);
	}
}

u64 fake_guest_read(u64 address, unsigned size)
{
	struct mmio_access access = { .size = size };

	guest_access(address, &access);
	return access.value;
}

void fake_guest_write(u64 address, unsigned size, u64 value)
{
	struct mmio_access access = {
		.size = size, .is_write = true, .value = value,
	};

	guest_access(address, &access);
}

/* ---- One PCI function ------------------------------------------------------------- */

void fake_set_bar(u64 base)
{
	base |= PCI_BAR_TYPE_64 << 1;
	memcpy(fake_machine.config + PCI_BAR(0), &base, sizeof(base));
}

static bool is_there(const struct pci_device *device)
{
	return !device->segment && !device->bus && !device->function &&
		device->device == FAKE_DEVICE && !fake_machine.is_empty;
}

u32 pci_config_read(struct pci_device *device, u16 offset, unsigned size)
{
	u32 value = BITS(8 * size - 1, 0);

	if (is_there(device))
		memcpy(&value, fake_machine.config + offset, size);
	return value;
}

static bool is_read_only(u16 offset)
{
	return offset < PCI_COMMAND || (offset >= PCI_STATUS &&
					offset < PCI_BAR(0));
}

/* Another CPU may come at any moment: a controller decodes with a trap. */
void pci_config_write(struct pci_device *device, u16 offset, unsigned size,
		      u32 value)
{
	if (is_there(device) && !is_read_only(offset))
		memcpy(fake_machine.config + offset, &value, size);
	CHECK(!fake_bar() || fake_machine.is_bare || find_region(fake_bar(), 1));
}

void fake_plug(u16 device_id, u32 class_code)
{
	fake_machine.is_empty = false;
	memset(fake_machine.config, 0, sizeof(fake_machine.config));
	memcpy(fake_machine.config + PCI_VENDOR_ID, "\x36\x1b", 2);
	memcpy(fake_machine.config + PCI_DEVICE_ID, &device_id, 2);
	class_code <<= 8;
	memcpy(fake_machine.config + PCI_CLASS_REVISION, &class_code, 4);
}

void pci_config_port(u16 port, unsigned size, bool is_write, u32 *value)
{
	FAIL("port %x, %u bytes, %d, %x", port, size, is_write, *value);
}

const struct acpi_ecam *pci_config_ecam(size_t index)
{
	(void)index;
	return NULL;
}

void pci_config_for_each_segment(void (*visit)(u16 segment, u8 first_bus,
					       u8 last_bus))
{
	visit(0, 0, 0);
}

static struct pci_access access_to(u16 offset, unsigned size, u32 value)
{
	return (struct pci_access){
		.at = { .device = FAKE_DEVICE }, .offset = offset,
		.size = size, .value = value,
	};
}

u32 fake_config_read(u16 offset, unsigned size)
{
	struct pci_access access = access_to(offset, size, 0);

	return pci_bus_read(&access);
}

void fake_config_write(u16 offset, unsigned size, u32 value)
{
	struct pci_access access = access_to(offset, size, value);

	pci_bus_write(&access);
}

gpa_t pci_bar_base(struct pci_device *device, unsigned index)
{
	u64 base;

	CHECK(!index);
	base = pci_config_read(device, PCI_BAR(0), 4) |
		(u64)pci_config_read(device, PCI_BAR(0) + 4, 4) << 32;
	return gpa(base >> 32 == 0xffffffff ? 0 : base & ~PCI_BAR_MEMORY_FLAGS);
}

u64 pci_bar_size(struct pci_device *device, unsigned index)
{
	CHECK(!index);
	return is_there(device) ? FAKE_BAR_SIZE : 0;
}

/* A capability stands where its id says: tests write it there. */
u16 pci_find_capability(struct pci_device *device, u8 id)
{
	return device->driver && fake_machine.config[0x80] == id ? 0x80 : 0;
}

u16 pci_find_extended_capability(struct pci_device *device, u16 id)
{
	return device->driver && fake_machine.config[0x100] == id ? 0x100 : 0;
}
