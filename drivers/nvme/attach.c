/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PCI side: taking a controller, where its registers are, what of its
 * config space the guest does not see, and what `fail=` does with one that
 * could not be taken.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "nvme.h"
#include "page.h"
#include "pci.h"
#include "setting.h"
#include "spec/pci.h"

struct attach_limits attach_limits;
struct list attach_hosts = LIST_INIT(attach_hosts);

/* ---- Settings -------------------------------------------------------------------- */

static int apply_number(const struct setting *setting, u32 min, u32 max,
			u32 *to)
{
	char *end;
	unsigned long value = strtoul(setting->value, &end, 10);

	if (*to)
		return -EEXIST;
	if (end == setting->value || *end || value < min || value > max)
		return -EINVAL;
	*to = value;
	return 0;
}

static int apply_max_queues(const struct setting *setting, char *why,
			    size_t size)
{
	(void)why;
	(void)size;
	return apply_number(setting, 1, NVME_QUEUE_MAX,
			    &attach_limits.max_queues);
}

static const struct setting_handler max_queues_setting = {
	.key = "max-queues",
	.expects = "I/O queue pairs, a number from 1 to 256",
	.apply = apply_max_queues,
};
SETTING(max_queues_setting);

static int apply_mdts(const struct setting *setting, char *why, size_t size)
{
	u32 value = 0;
	int error = apply_number(setting, 4, NVME_TRANSFER_MAX >> 10, &value);

	(void)why;
	(void)size;
	if (attach_limits.mdts_kb)
		return -EEXIST;
	if (error || value != (value & -value))
		return -EINVAL;
	attach_limits.mdts_kb = value;
	return 0;
}

static const struct setting_handler mdts_setting = {
	.key = "mdts-kb",
	.expects = "KiB of one transfer, a power of two from 4 to 8192",
	.apply = apply_mdts,
};
SETTING(mdts_setting);

/* ---- Where the registers are --------------------------------------------------------- */

/*
 * Untrapped registers would be a way around everything: when the place
 * cannot be trapped, the device decodes no memory.
 */
static int map(struct nvme_host *host, gpa_t base)
{
	int error;

	host->region.base = base;
	error = mmio_register(&host->region);
	if (error) {
		log_error("%s: registers at %#llx cannot be trapped: %d",
			  host->name, (unsigned long long)base.v, error);
		pci_config_write(host->pci, PCI_COMMAND, 2,
				 pci_config_read(host->pci, PCI_COMMAND, 2) &
				 ~PCI_COMMAND_MEMORY);
		return error;
	}
	host->has_region = true;
	WRITE_ONCE(host->bar, base.v);
	return 0;
}

static void follow_bar(struct nvme_host *host)
{
	gpa_t base = pci_bar_base(host->pci, 0);

	lock_acquire(&host->lock);
	if (base.v != host->bar) {
		WRITE_ONCE(host->bar, 0);
		if (host->has_region)
			mmio_unregister(&host->region);
		host->has_region = false;
		if (base.v && !map(host, base))
			log_debug("%s: registers at %#llx", host->name,
				  (unsigned long long)base.v);
	}
	lock_release(&host->lock);
}

/* ---- Config space ------------------------------------------------------------------------ */

static u16 sriov_of(struct pci_device *device)
{
	return pci_find_extended_capability(device, PCI_EXTENDED_SRIOV);
}

/* Virtual functions would be controllers that nobody stands before: the
 * capability becomes the null one, only its link stays (PCIe 7.6.3). */
static void config_read(struct pci_device *device, u16 offset, unsigned size,
			u32 *value)
{
	struct nvme_host *host = device->driver_data;
	u16 sriov = offset < PCI_EXTENDED_CAPABILITY_FIRST ? 0 :
		sriov_of(device);
	u16 at = offset - sriov;

	if (host->is_hidden)
		*value = ~0u >> (32 - 8 * size);
	else if (sriov && offset >= sriov && at < PCI_SRIOV_SIZE)
		*value &= at < 4 ? PCI_EXTENDED_CAPABILITY_LINK >> 8 * at : 0;
}

static bool config_write(struct pci_device *device, u16 offset, unsigned size,
			 u32 value)
{
	struct nvme_host *host = device->driver_data;
	u16 pcie = pci_find_capability(device, PCI_CAPABILITY_EXPRESS);
	u16 sriov = offset < PCI_EXTENDED_CAPABILITY_FIRST ? 0 : sriov_of(device);
	u16 control = pcie + PCI_EXPRESS_DEVICE_CONTROL;

	if (host->is_hidden ||
	    (sriov && ranges_overlap(offset, size, sriov, PCI_SRIOV_SIZE)))
		return false;
	/* Its high byte decides; the reset begins with this very write. */
	if (pcie && ranges_overlap(offset, size, control + 1, 1))
		host->is_being_reset = value >> 8 * (control + 1 - offset) &
			(PCI_EXPRESS_INITIATE_FLR >> 8);
	return true;
}

static void config_written(struct pci_device *device, u16 offset,
			   unsigned size)
{
	struct nvme_host *host = device->driver_data;

	if (ranges_overlap(offset, size, PCI_COMMAND, 2) ||
	    ranges_overlap(offset, size, PCI_BAR(0), 8))
		follow_bar(host);
	if (host->is_being_reset) {
		host->is_being_reset = false;
		ctrl_was_reset(host);
	}
}

/* ---- Attach ---------------------------------------------------------------------------------- */

/* Its driver let go without disabling it, perhaps. Nothing runs but us. */
static int quiesce(struct nvme_host *host)
{
	u64 limit_us = FIELD_GET(NVME_CAP_TO, host->cap) * 500000;
	u64 deadline_us = clock_deadline_us(MAX(limit_us, 500000));

	if (!(regs_read32(host, NVME_REG_CC) & NVME_CC_EN))
		return 0;
	regs_write32(host, NVME_REG_CC, 0);
	while (regs_read32(host, NVME_REG_CSTS) & NVME_CSTS_RDY) {
		if (clock_is_past(deadline_us)) {
			log_error("%s: does not stop", host->name);
			return -ETIMEDOUT;
		}
		cpu_relax();
	}
	return 0;
}

static int read_capabilities(struct nvme_host *host)
{
	host->cap = regs_read32(host, NVME_REG_CAP) |
		(u64)regs_read32(host, NVME_REG_CAP + 4) << 32;
	if (host->cap == ~0ull) {
		log_error("%s: does not answer", host->name);
		return -ENODEV;
	}
	if (FIELD_GET(NVME_CAP_MPSMIN, host->cap) ||
	    !FIELD_GET(NVME_CAP_MQES, host->cap)) {
		log_error("%s: CAP is %#llx, needs pages of 4 KiB and queues "
			  "of 2", host->name, (unsigned long long)host->cap);
		return -ENODEV;
	}
	return 0;
}

static int alloc_memory(struct nvme_host *host)
{
	size_t size = NVME_NAMESPACE_MAX * sizeof(struct nvme_namespace);
	size_t pages = (size + PAGE_MASK) >> PAGE_SHIFT;

	host->own.page = page_alloc(1);
	host->ns.entries = page_alloc(pages);
	host->own.next.entries = page_alloc(pages);
	if (!host->own.page || !host->ns.entries || !host->own.next.entries ||
	    pool_init(&host->pages, PAGE_SIZE, NVME_POOL_PAGES) ||
	    pool_init(&host->descriptors, sizeof(struct nvme_io_descriptor),
		      NVME_HOST_REQUEST_MAX)) {
		log_error("%s: no memory: raise memory=", host->name);
		return -ENOMEM;
	}
	return 0;
}

static void free_memory(struct nvme_host *host)
{
	size_t size = NVME_NAMESPACE_MAX * sizeof(struct nvme_namespace);
	size_t pages = (size + PAGE_MASK) >> PAGE_SHIFT;

	if (host->descriptors.memory)
		pool_fini(&host->descriptors);
	if (host->pages.memory)
		pool_fini(&host->pages);
	if (host->own.next.entries)
		page_free(host->own.next.entries, pages);
	if (host->ns.entries)
		page_free(host->ns.entries, pages);
	if (host->own.page)
		page_free(host->own.page, 1);
}

static struct nvme_host *alloc_host(struct pci_device *device)
{
	static u32 count;
	struct nvme_host *host =
		page_alloc((sizeof(*host) + PAGE_MASK) >> PAGE_SHIFT);

	if (!host)
		return NULL;
	snprintf(host->name, sizeof(host->name), "nvme%u", count++);
	host->pci = device;
	host->pages_left = NVME_POOL_PAGES;
	host->transfer_max = PAGE_SIZE;
	host->page_shift = PAGE_SHIFT;
	list_init(&host->inbox);
	list_init(&host->own_io);
	list_init(&host->own_admin);
	list_init(&host->done);
	return host;
}

/* Memory decode and bus mastering may be off since the firmware let go. */
static int find_registers(struct nvme_host *host)
{
	u32 command = pci_config_read(host->pci, PCI_COMMAND, 2);
	u64 bar_size = pci_bar_size(host->pci, 0);
	u64 size;

	pci_config_write(host->pci, PCI_COMMAND, 2, command |
			 PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER);
	host->bar = pci_bar_base(host->pci, 0).v;
	if (!host->bar) {
		log_error("%s: BAR 0 is not assigned", host->name);
		return -ENODEV;
	}
	if (read_capabilities(host))
		return -ENODEV;
	size = align_up(regs_doorbell_end(host), PAGE_SIZE);
	host->region = (struct mmio_region){
		.name = host->name, .access = regs_access,
		.size = bar_size ? MIN(size, align_up(bar_size, PAGE_SIZE)) :
			size,
	};
	return quiesce(host);
}

static int take(struct nvme_host *host)
{
	int error = find_registers(host);

	if (error)
		return error;
	error = alloc_memory(host);
	if (error)
		goto memory;
	error = chain_attach(host);
	if (error)
		goto memory;
	error = map(host, gpa(host->bar));
	if (error)
		goto memory;
	return 0;
memory:
	free_memory(host);
	return error;
}

/* Out of the guest's sight, and its registers out of reach. */
static void hide(struct nvme_host *host)
{
	log_error("%s: %s is hidden: fail = closed", host->name,
		  host->pci->name);
	host->is_hidden = true;
	pci_config_write(host->pci, PCI_COMMAND, 2,
			 pci_config_read(host->pci, PCI_COMMAND, 2) &
			 ~(PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER));
}

static int attach(struct pci_device *device)
{
	struct nvme_host *host = alloc_host(device);
	int error;

	if (!host)
		return -ENOMEM;
	device->driver_data = host;
	error = take(host);
	if (error && config_fail_closed()) {
		hide(host);
		return 0;
	}
	if (error) {
		log_error("%s: %s stays the guest's alone", host->name,
			  device->name);
		page_free(host, (sizeof(*host) + PAGE_MASK) >> PAGE_SHIFT);
		return error;
	}
	if (list_is_empty(&attach_hosts))
		run_listen();
	list_add_tail(&attach_hosts, &host->node);
	return 0;
}

static const struct pci_driver nvme_driver = {
	.name = "nvme",
	.class_code = NVME_CLASS_CODE,
	.attach = attach,
	.config_read = config_read,
	.config_write = config_write,
	.config_written = config_written,
};
PCI_DRIVER(nvme_driver);
