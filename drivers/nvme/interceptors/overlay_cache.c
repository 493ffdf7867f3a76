/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest is told of a drive with overlays: what they cannot do is not
 * offered, and where there is a store the drive has a volatile write cache,
 * whatever it has below: what the guest does not flush may get lost.
 */
#include "overlay.h"

#define SET_FEATURES 0x09
#define GET_FEATURES 0x0a
#define WRITE_CACHE 0x06	/* NVMe 1.4, 5.21.1.6 */
#define SELECT_CAPABILITIES 3u	/* CDW10 10:8 of Get Features */

static bool has_store(const struct overlay *overlay, u32 nsid)
{
	for (u32 i = 0; i < overlay->volume_count; i++)
		if (overlay->volumes[i].is_here && overlay->volumes[i].store &&
		    (nsid == ALL_NSIDS ||
		     nsid == overlay->volumes[i].where.nsid))
			return true;
	return false;
}

/* Identify Controller (NVMe 1.4, figure 247): VWC, and of what the power
 * fails in one block only is whole or not there. */
static void add_cache(u8 *data)
{
	data[525] |= 1;
	data[528] = data[529] = 0;
}

/* ONCS without Compare, Write Uncorrectable, reservations and Copy. */
static void remove_commands(u8 *data)
{
	data[520] &= (u8)~(1u << 0 | 1u << 1 | 1u << 5);
	data[521] &= (u8)~(1u << 0);
}

void overlay_cache_identify(void *interceptor, u8 cns, u32 nsid,
			    u16 controller_id, void *data)
{
	struct overlay *overlay = interceptor;
	u8 *bytes = data;

	if (cns == 0x01 && overlay_is_on(overlay, ALL_NSIDS))
		remove_commands(data);
	if (cns == 0x01 && has_store(overlay, ALL_NSIDS))
		add_cache(data);
	/* NSFEAT: the namespace says nothing else (figure 245). */
	if (cns == 0x00 && has_store(overlay, nsid))
		bytes[24] &= (u8)~(1u << 1);
}

static enum nvme_io_verdict answer(struct nvme_request *req, u16 status,
				   u32 result)
{
	nvme_io_set_status(req, status, result);
	return NVME_IO_DONE;
}

enum nvme_io_verdict overlay_cache_command(struct overlay *overlay,
					   struct nvme_request *req,
					   const struct nvme_io_command *cmd)
{
	u32 select = cmd->cdw10 >> 8 & 7;

	if ((cmd->cdw10 & 0xff) != WRITE_CACHE ||
	    !has_store(overlay, ALL_NSIDS))
		return NVME_IO_PASS;
	if (cmd->opcode == SET_FEATURES)
		return answer(req, NVME_IO_FEATURE_NOT_CHANGEABLE |
			      NVME_IO_DNR, 0);
	if (cmd->opcode == GET_FEATURES)
		return answer(req, NVME_IO_SUCCESS,
			      select != SELECT_CAPABILITIES);
	return NVME_IO_PASS;
}
