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

static int check_capabilities(struct nvme_host *host, u64 cap)
{
	if (cap == ~0ull) {
		log_limited(LOG_ERROR, "%s: does not answer", host->name);
		return -ENODEV;
	}
	if (FIELD_GET(NVME_CAP_MPSMIN, cap) || !FIELD_GET(NVME_CAP_MQES, cap)) {
		log_limited(LOG_ERROR, "%s: CAP is %#llx, needs pages of 4 KiB "
			    "and queues of 2", host->name,
			    (unsigned long long)cap);
		return -ENODEV;
	}
	return 0;
}

/* Nobody but us sees it decode: all of the BAR is trapped, and whoever
 * accesses it waits for host->lock. */
static int look(struct nvme_host *host)
{
	struct pci_device *pci = host->pci;
	u32 command = pci_config_read(pci, PCI_COMMAND, 2);
	u64 cap;
	int error;

	pci_config_write(pci, PCI_COMMAND, 2, command | PCI_COMMAND_MEMORY);
	WRITE_ONCE(host->bar, host->region.base.v);
	cap = regs_read32(host, NVME_REG_CAP) |
		(u64)regs_read32(host, NVME_REG_CAP + 4) << 32;
	error = check_capabilities(host, cap);
	if (!error) {
		regs_set_cap(host, cap);
		ctrl_look(host);
	}
	WRITE_ONCE(host->bar, 0);
	pci_config_write(pci, PCI_COMMAND, 2, command);
	return error;
}

static int trap(struct nvme_host *host, gpa_t base, u64 size)
{
	int error;

	host->region.base = base;
	WRITE_ONCE(host->region.size, size);
	error = mmio_register(&host->region);
	if (error)
		log_limited(LOG_ERROR, "%s: registers at %#llx cannot be "
			    "trapped: %d", host->name,
			    (unsigned long long)base.v, error);
	return error;
}

/* What lies behind the doorbells, a MSI-X table say, is not trapped. */
static int place(struct nvme_host *host, gpa_t base, u64 bar_size)
{
	int error = trap(host, base, bar_size);

	if (error)
		return error;
	error = look(host);
	mmio_unregister(&host->region);
	if (error)
		return error;
	error = trap(host, base, MIN(bar_size, align_up(
		regs_doorbell_end(host), PAGE_SIZE)));
	if (error)
		return error;
	host->has_region = true;
	WRITE_ONCE(host->bar, base.v);
	log_debug("%s: %s has registers at %#llx", host->name,
		  host->pci->name, (unsigned long long)base.v);
	return 0;
}

/* Config space is not for the I/O path: see pci.h. */
static void note_msix(struct nvme_host *host)
{
	u16 at = pci_find_capability(host->pci, PCI_CAPABILITY_MSIX);

	WRITE_ONCE(host->has_msix, at &&
		   pci_config_read(host->pci, at + PCI_MSIX_CONTROL, 2) &
		   PCI_MSIX_ENABLE);
}

static int map(struct pci_device *device)
{
	struct nvme_host *host = device->driver_data;
	u64 bar_size = align_up(pci_bar_size(device, 0), PAGE_SIZE);
	gpa_t base = pci_bar_base(device, 0);
	int error = 0;

	lock_acquire(&host->lock);
	note_msix(host);
	if (base.v && bar_size)
		error = place(host, base, bar_size);
	lock_release(&host->lock);
	run_all(host);
	return error;
}

static void unmap(struct pci_device *device)
{
	struct nvme_host *host = device->driver_data;

	lock_acquire(&host->lock);
	WRITE_ONCE(host->bar, 0);
	if (host->has_region)
		mmio_unregister(&host->region);
	host->has_region = false;
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
	u16 sriov = offset < PCI_EXTENDED_CAPABILITY_FIRST ? 0 :
		sriov_of(device);
	u16 at = offset - sriov;

	if (sriov && offset >= sriov && at < PCI_SRIOV_SIZE)
		*value &= at < 4 ? PCI_EXTENDED_CAPABILITY_LINK >> 8 * at : 0;
}

static bool config_write(struct pci_device *device, u16 offset, unsigned size,
			 u32 value)
{
	u16 sriov = offset < PCI_EXTENDED_CAPABILITY_FIRST ? 0 :
		sriov_of(device);

	(void)value;
	return !sriov || !ranges_overlap(offset, size, sriov, PCI_SRIOV_SIZE);
}

/* A function level reset, say: what it has done shows in the registers. */
static void config_written(struct pci_device *device, u16 offset,
			   unsigned size)
{
	struct nvme_host *host = device->driver_data;

	(void)offset;
	(void)size;
	note_msix(host);
	lock_acquire(&host->lock);
	ctrl_step(host);
	lock_release(&host->lock);
	run_all(host);
}

/* ---- Attach ---------------------------------------------------------------------------------- */

static int alloc_memory(struct nvme_host *host)
{
	size_t size = NVME_NAMESPACE_MAX * sizeof(struct nvme_namespace);
	size_t pages = (size + PAGE_MASK) >> PAGE_SHIFT;

	host->own.page = page_alloc(1);
	host->ns.entries = page_alloc(pages);
	host->own.next.entries = page_alloc(pages);
	if (!host->own.page || !host->ns.entries || !host->own.next.entries ||
	    bounce_init_pool(&host->pages, NVME_POOL_PAGES) ||
	    pool_init(&host->descriptors, sizeof(struct nvme_io_descriptor),
		      NVME_HOST_REQUEST_MAX) ||
	    pool_init(&host->laters, sizeof(struct nvme_later),
		      NVME_LATER_MAX)) {
		log_error("%s: no memory: raise memory=", host->name);
		return -ENOMEM;
	}
	return 0;
}

static void free_memory(struct nvme_host *host)
{
	size_t size = NVME_NAMESPACE_MAX * sizeof(struct nvme_namespace);
	size_t pages = (size + PAGE_MASK) >> PAGE_SHIFT;

	if (host->laters.memory)
		pool_fini(&host->laters);
	if (host->descriptors.memory)
		pool_fini(&host->descriptors);
	if (host->pages.pool.memory)
		pool_fini(&host->pages.pool);
	if (host->own.next.entries)
		page_free(host->own.next.entries, pages);
	if (host->ns.entries)
		page_free(host->ns.entries, pages);
	if (host->own.page)
		page_free(host->own.page, 1);
}

static size_t host_pages(void)
{
	return (sizeof(struct nvme_host) + PAGE_MASK) >> PAGE_SHIFT;
}

static struct nvme_host *alloc_host(void)
{
	static u32 count;
	struct nvme_host *host = page_alloc(host_pages());

	if (!host)
		return NULL;
	if (alloc_memory(host)) {
		free_memory(host);
		page_free(host, host_pages());
		return NULL;
	}
	snprintf(host->name, sizeof(host->name), "nvme%u", count++);
	host->transfer_max = PAGE_SIZE;
	host->page_shift = PAGE_SHIFT;
	host->region.name = host->name;
	host->region.access = regs_access;
	run_init(host);
	return host;
}

/*
 * A host is never freed: another CPU may be in a handler of its, and its
 * interceptors are there for good. The next controller gets it.
 */
static struct nvme_host *find_spare(void)
{
	struct list *node;

	list_for_each(node, &attach_hosts) {
		struct nvme_host *host =
			container_of(node, struct nvme_host, node);

		if (!host->pci)
			return host;
	}
	return NULL;
}

/* Known when the interceptors are. */
static int alloc_own_pages(struct nvme_host *host)
{
	if (!chain_has_host_data(host, 0) ||
	    !bounce_init_pool(&host->own_pages, NVME_OWN_PAGES))
		return 0;
	log_error("%s: no memory: raise memory=", host->name);
	return -ENOMEM;
}

static struct nvme_host *make_host(int *error)
{
	struct nvme_host *host = alloc_host();

	*error = host ? chain_attach(host) : -ENOMEM;
	if (!host)
		return NULL;
	if (!*error)
		*error = alloc_own_pages(host);
	if (*error) {
		/* An interceptor that is installed may go on knowing it. */
		free_memory(host);
		return NULL;
	}
	if (list_is_empty(&attach_hosts))
		run_listen();
	list_add_tail(&attach_hosts, &host->node);
	return host;
}

static int attach(struct pci_device *device)
{
	struct nvme_host *host = find_spare();
	int error = 0;

	if (!host)
		host = make_host(&error);
	if (error)
		return error;
	host->pci = device;
	device->driver_data = host;
	log_debug("%s: is %s", host->name, device->name);
	return 0;
}

static void detach(struct pci_device *device)
{
	struct nvme_host *host = device->driver_data;

	ctrl_is_gone(host);
	host->pci = NULL;
}

static const struct pci_driver nvme_driver = {
	.name = "nvme",
	.class_code = NVME_CLASS_CODE,
	.attach = attach,
	.detach = detach,
	.map = map,
	.unmap = unmap,
	.config_read = config_read,
	.config_write = config_write,
	.config_written = config_written,
};
PCI_DRIVER(nvme_driver);
