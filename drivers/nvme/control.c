/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control channel (control.h): commands for Sluice itself among the admin
 * commands of a controller. All that the guest says is in the request's copy;
 * an answer is made in a zeroed page and copied to the guest's buffer from
 * there. Admin hub->lock held.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nvme.h"
#include "setting.h"

_Static_assert(CONTROL_DATA_MAX == PAGE_SIZE, "answers are made in a page");

static enum { MODE_ON, MODE_READ, MODE_OFF } mode;
static bool mode_is_given;

static int apply_mode(const struct setting *setting, char *why, size_t size)
{
	static const char *const names[] = { "on", "read", "off" };

	(void)why;
	(void)size;
	if (mode_is_given)
		return -EEXIST;
	mode_is_given = true;
	for (u32 i = 0; i < ARRAY_COUNT(names); i++) {
		if (strcmp(setting->value, names[i]))
			continue;
		mode = i;
		return 0;
	}
	return -EINVAL;
}

static const struct setting_handler mode_setting = {
	.key = "control",
	.expects = "on, read or off",
	.apply = apply_mode,
};
SETTING(mode_setting);

/* ---- What is meant for Sluice ---------------------------------------- */

static bool is_page(const struct nvme_sqe *sqe)
{
	return sqe->opcode == NVME_ADMIN_GET_LOG_PAGE &&
		FIELD_GET(NVME_LOG_ID, sqe->cdw10) == CONTROL_LOG_PAGE &&
		FIELD_GET(NVME_LOG_LSI, sqe->cdw11) == CONTROL_LOG_MAGIC;
}

bool control_is_meant(const struct nvme_sqe *sqe)
{
	bool is_command = sqe->opcode == CONTROL_ORDER ||
		sqe->opcode == CONTROL_QUESTION;

	return mode != MODE_OFF && (is_page(sqe) ||
		(is_command && sqe->cdw12 == CONTROL_MAGIC));
}

static u64 length_of(const struct nvme_sqe *sqe)
{
	if (is_page(sqe))
		return (FIELD_GET(NVME_LOG_NUMDU, sqe->cdw11) << 16 |
			FIELD_GET(NVME_LOG_NUMDL, sqe->cdw10)) * 4 + 4;
	return (u64)sqe->cdw10 * 4;
}

u16 control_decode(struct nvme_request *req)
{
	const struct nvme_sqe *sqe = &req->sqe;
	u64 length = length_of(sqe);
	u64 limit = is_page(sqe) ? MIN(CONTROL_PAGE_MAX,
				       req->sq->hub->host->transfer_max) :
		CONTROL_DATA_MAX;

	if (!length || length > limit || (!is_page(sqe) && sqe->cdw11))
		return NVME_SC_INVALID_FIELD | NVME_SC_DNR;
	req->is_control = true;
	req->cmd.data_size = length;
	req->cmd.direction = sqe->opcode == CONTROL_ORDER ?
		NVME_IO_TO_DEVICE : NVME_IO_FROM_DEVICE;
	return NVME_SC_SUCCESS;
}

/* ---- Whom it is for -------------------------------------------------- */

static u32 verb_of(const struct nvme_sqe *sqe)
{
	return FIELD_GET(CONTROL_CDW13_VERB, sqe->cdw13);
}

static u32 target_of(const struct nvme_sqe *sqe)
{
	return FIELD_GET(CONTROL_CDW13_TARGET, sqe->cdw13);
}

/* NULL: there is no such plug-in here. */
static struct nvme_io_interceptor *find(struct nvme_host *host, u32 target)
{
	if (!target || target > host->chain_count ||
	    host->chain[target - 1].is_off)
		return NULL;
	return host->chain[target - 1].interceptor;
}

/* ---- Questions ------------------------------------------------------- */

static bool ask_plugin(struct nvme_host *host, const struct nvme_sqe *sqe,
		       struct nvme_io_answer *answer)
{
	struct nvme_io_interceptor *it = find(host, target_of(sqe));
	bool is_known;

	if (!it || !it->control || !it->control->ask)
		return false;
	chain_lock(host);
	is_known = it->control->ask(it->interceptor, answer);
	chain_unlock(host);
	ASSERT(answer->size <= answer->size_max);
	return is_known;
}

static bool ask_sluice(struct nvme_host *host, struct nvme_io_answer *answer)
{
	u32 item_size = report_item_size(answer->verb);

	if (!item_size)
		return false;
	answer->size = report_items(host, answer->verb, &answer->first,
				    answer->data, answer->size_max);
	answer->next = answer->first + answer->size / item_size;
	return true;
}

static void fill_header(struct control_answer *header,
			const struct nvme_io_answer *answer)
{
	*header = (struct control_answer){
		.magic = CONTROL_MAGIC, .version = CONTROL_VERSION,
		.size = answer->size, .first = answer->first,
		.next = answer->next,
	};
}

static u16 write_back(struct nvme_request *req, u64 offset, u64 size)
{
	return dptr_write(req, offset, req->data.copy, size) ?
		NVME_SC_TRANSFER_ERROR : NVME_SC_SUCCESS;
}

/* Made in req->data.copy; an NVMe status. */
static u16 answer_question(struct nvme_host *host, struct nvme_request *req)
{
	const struct nvme_sqe *sqe = &req->sqe;
	struct control_answer *header = req->data.copy;
	u64 cursor = (u64)sqe->cdw15 << 32 | sqe->cdw14;
	struct nvme_io_answer answer = {
		.verb = verb_of(sqe), .first = cursor, .next = cursor,
		.data = (u8 *)(header + 1),
	};

	if (req->data.size < sizeof(*header))
		return NVME_SC_INVALID_FIELD;
	answer.size_max = req->data.size - sizeof(*header);
	if (!(target_of(sqe) ? ask_plugin(host, sqe, &answer) :
	      ask_sluice(host, &answer)))
		return CONTROL_UNKNOWN;
	fill_header(header, &answer);
	return write_back(req, 0, req->data.size);
}

/* Page by page, each made in the same zeroed one. */
static u16 answer_page(struct nvme_host *host, struct nvme_request *req)
{
	u32 verb = FIELD_GET(NVME_LOG_LSP, req->sqe.cdw10);
	u64 offset = (u64)req->sqe.cdw13 << 32 | req->sqe.cdw12;
	u32 item_size = report_item_size(verb), used;
	u64 first, size;
	u16 status = NVME_SC_SUCCESS;

	if (!item_size || !is_aligned(offset, item_size))
		return NVME_SC_INVALID_FIELD;
	first = offset / item_size;
	for (u64 at = 0; at < req->data.size && !status; at += size) {
		size = MIN(req->data.size - at, PAGE_SIZE);
		memset(req->data.copy, 0, PAGE_SIZE);
		used = report_items(host, verb, &first, req->data.copy, size);
		first += used / item_size;
		status = write_back(req, at, size);
	}
	return status;
}

/* ---- Orders ---------------------------------------------------------- */

/* What is logged, and parsed by plug-ins, has no surprises in it. */
static bool is_text(const char *text, u32 length)
{
	for (u32 i = 0; i < length; i++)
		if (text[i] != '\t' && (text[i] < ' ' || text[i] > '~'))
			return false;
	return true;
}

static u16 order_plugin(struct nvme_host *host, struct nvme_io_interceptor *it,
			const char *text)
{
	int error;

	host->why[0] = '\0';
	chain_lock(host);
	error = it->control->order(it->interceptor, text, host->why,
				   sizeof(host->why));
	chain_unlock(host);
	log_limited(error ? LOG_WARN : LOG_INFO, "%s: %s: \"%s\"%s%s",
		    host->name, error ? "refused order" : "order", text,
		    error ? ": " : "", error ? host->why : "");
	return error ? CONTROL_REFUSED : NVME_SC_SUCCESS;
}

static u16 take_order(struct nvme_host *host, struct nvme_request *req)
{
	const struct nvme_sqe *sqe = &req->sqe;
	struct nvme_io_interceptor *it = find(host, target_of(sqe));
	u32 length = sqe->cdw14;
	char *text = req->data.copy;

	if (mode != MODE_ON)
		return CONTROL_FORBIDDEN;
	if (!it || verb_of(sqe) || !it->control || !it->control->order)
		return CONTROL_UNKNOWN;
	if (length > MIN(req->data.size, CONTROL_TEXT_MAX) || sqe->cdw15 ||
	    !is_text(text, length))
		return NVME_SC_INVALID_FIELD;
	/* The page is longer than any text. */
	text[length] = '\0';
	return order_plugin(host, it, text);
}

/* ---- Both ------------------------------------------------------------ */

static u16 handle(struct nvme_host *host, struct nvme_request *req)
{
	if (is_page(&req->sqe))
		return answer_page(host, req);
	if (FIELD_GET(CONTROL_CDW13_VERSION, req->sqe.cdw13) !=
	    CONTROL_VERSION)
		return CONTROL_UNKNOWN;
	return req->sqe.opcode == CONTROL_ORDER ? take_order(host, req) :
		answer_question(host, req);
}

bool control_submit(struct nvme_request *req)
{
	u16 status = handle(req->sq->hub->host, req);

	hub_answer(req, status ? status | NVME_SC_DNR : status, 0);
	return false;
}
