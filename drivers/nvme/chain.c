/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chain of interceptors: how a command, its completion and Identify data
 * go through their hooks. Which take part, in what order: chain_order.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nvme.h"
#include "setting.h"

/* ---- Attach ------------------------------------------------------------------------- */

int chain_attach(struct nvme_host *host)
{
	const struct nvme_io_plugin *plugin;

	for (u32 i = 0; (plugin = chain_order_get(i)); i++) {
		host->attaching = plugin;
		if (!plugin->attach || !plugin->attach(host))
			continue;
		log_error("%s: plug-in %s cannot take part", host->name,
			  plugin->name);
		if (config_fail_closed())
			return -ENODEV;
	}
	host->attaching = NULL;
	return 0;
}

void nvme_io_install_interceptor(struct nvme_host *host,
				 struct nvme_io_interceptor *interceptor)
{
	if (!host->attaching || host->chain_count == NVME_CHAIN_MAX)
		panic("%s: interceptor %u installed %s", host->name,
		      host->chain_count, host->attaching ? "past the last" :
		      "after attach");
	host->chain[host->chain_count++] = (struct chain_entry){
		.interceptor = interceptor, .plugin = host->attaching,
	};
	if (!(interceptor->needs & NVME_IO_CONCURRENT))
		host->needs_serial = true;
}

bool chain_needs(const struct nvme_host *host, u32 need)
{
	for (u32 i = 0; i < host->chain_count; i++)
		if (host->chain[i].interceptor->needs & need)
			return true;
	return false;
}

const char *chain_name(const struct chain_entry *entry)
{
	return entry->interceptor->name ? entry->interceptor->name :
		entry->plugin->name;
}

void chain_describe(const struct nvme_host *host, char *text, size_t size)
{
	size_t used = 0;

	*text = '\0';
	for (u32 i = 0; i < host->chain_count && used < size; i++)
		if (!host->chain[i].is_off)
			used += snprintf(text + used, size - used, "%s%s",
					 used ? " " : "",
					 chain_name(&host->chain[i]));
}

/* ---- Life cycle ------------------------------------------------------------------------ */

void chain_lock(struct nvme_host *host)
{
	if (host->needs_serial)
		lock_acquire(&host->serial);
}

void chain_unlock(struct nvme_host *host)
{
	if (host->needs_serial)
		lock_release(&host->serial);
}

static bool init_entry(struct nvme_host *host, struct chain_entry *entry)
{
	bool is_good = true;

	entry->is_off = false;
	if (entry->interceptor->on_init) {
		chain_lock(host);
		is_good = entry->interceptor->on_init(
			entry->interceptor->interceptor);
		chain_unlock(host);
	}
	entry->is_off = !is_good;
	return is_good;
}

/* From the last to the first: what one asks of the disk then passes those
 * below it, which have to be ready for that. */
void chain_start(struct nvme_host *host)
{
	host->starting = host->chain_count;
	host->expected_count = 0;
	__atomic_store_n(&host->started_count, 0, __ATOMIC_RELEASE);
}

/* False: the controller has failed with it. */
static bool start_next(struct nvme_host *host)
{
	struct chain_entry *entry = &host->chain[--host->starting];

	if (init_entry(host, entry)) {
		host->expected_count += entry->interceptor->on_init != NULL;
		return true;
	}
	log_error("%s: %s failed to initialise", host->name,
		  chain_name(entry));
	if (!config_fail_closed())
		return true;
	ctrl_fail(host, "an interceptor is missing");
	return false;
}

bool chain_has_started(struct nvme_host *host)
{
	while (__atomic_load_n(&host->started_count, __ATOMIC_ACQUIRE) >=
	       host->expected_count) {
		if (!host->starting)
			return true;
		if (!start_next(host))
			return false;
	}
	return false;
}

void nvme_io_start_fetching_g_reqs(struct nvme_host *host)
{
	__atomic_fetch_add(&host->started_count, 1, __ATOMIC_RELEASE);
	run_wake(host, RUN_STEP);
}

bool chain_can_stop(struct nvme_host *host)
{
	bool can_stop = true;

	chain_lock(host);
	for (u32 i = 0; i < host->chain_count; i++) {
		struct nvme_io_interceptor *it = host->chain[i].interceptor;

		if (it->can_stop && !host->chain[i].is_off)
			can_stop = it->can_stop(it->interceptor) && can_stop;
	}
	chain_unlock(host);
	return can_stop;
}

void chain_switch_off(struct nvme_host *host)
{
	for (u32 i = 0; i < host->chain_count; i++)
		host->chain[i].is_off = true;
	chain_settle(host);
}

/* ---- Commands --------------------------------------------------------------------------- */

/* What a classic hook, or a call it made, has decided. */
static enum nvme_io_verdict decision(struct nvme_request *req,
				     enum nvme_io_verdict verdict)
{
	bool is_held = req->is_paused || READ_FIRST(req->in_inbox);

	req->is_paused = false;
	return is_held ? NVME_IO_HOLD : req->is_flush ? NVME_IO_PASS : verdict;
}

static enum nvme_io_verdict ask_dsm(struct nvme_io_interceptor *it,
				    struct nvme_request *req)
{
	u32 count = FIELD_GET(NVME_DSM_COUNT, req->sqe.cdw10) + 1;
	u32 kept = it->on_data_management(it->interceptor, req, req->cmd.nsid,
					  req->data.copy, req->data.size,
					  count);

	if (!kept)
		return NVME_IO_DONE;
	req->sqe.cdw10 = FIELD_SET(NVME_DSM_COUNT, req->sqe.cdw10,
				   MIN(kept, count) - 1);
	return NVME_IO_PASS;
}

/* Formats 0 and 1 have the block and the 0's based count at one place. */
static u32 read_sources(struct nvme_request *req)
{
	u32 count = FIELD_GET(NVME_DSM_COUNT, req->sqe.cdw12) + 1;
	size_t size = req->data.size / count;
	struct nvme_io_copy_source *sources = req->data.scratch;
	u16 blocks;

	req->cmd.n_lbas = 0;
	for (u32 i = 0; i < count; i++) {
		const u8 *from = (const u8 *)req->data.copy + i * size;

		memcpy(&sources[i].lba_start, from + NVME_COPY_LBA, 8);
		memcpy(&blocks, from + NVME_COPY_BLOCKS, 2);
		sources[i].n_lbas = blocks + 1;
		sources[i].reserved = 0;
		req->cmd.n_lbas += sources[i].n_lbas;
	}
	return count;
}

static enum nvme_io_verdict ask_copy(struct nvme_io_interceptor *it,
				     struct nvme_request *req)
{
	u32 count = read_sources(req);
	enum nvme_io_verdict verdict = NVME_IO_PASS;

	if (it->on_copy)
		verdict = it->on_copy(it->interceptor, req, &req->cmd,
				      req->data.scratch, count);
	if (verdict == NVME_IO_PASS && decision(req, verdict) == verdict &&
	    it->on_command)
		verdict = it->on_command(it->interceptor, req, &req->cmd);
	return verdict;
}

static enum chain_hook hook_of(const struct nvme_io_command *cmd)
{
	static const u8 hooks[] = {
		[NVME_CMD_READ] = CHAIN_READ, [NVME_CMD_WRITE] = CHAIN_WRITE,
		[NVME_CMD_DSM] = CHAIN_DSM, [NVME_CMD_COPY] = CHAIN_COPY,
	};

	return cmd->admin || cmd->effects & NVME_IO_UNKNOWN ||
		cmd->opcode >= ARRAY_COUNT(hooks) ?
		CHAIN_COMMAND : hooks[cmd->opcode];
}

static bool has_hook(const struct nvme_io_interceptor *it,
		     enum chain_hook hook)
{
	switch (hook) {
	case CHAIN_READ:
		return it->on_read || it->on_command;
	case CHAIN_WRITE:
		return it->on_write || it->on_command;
	case CHAIN_DSM:
		return it->on_data_management || it->on_command;
	case CHAIN_COPY:	/* its blocks are counted on the way */
		return it->on_copy || it->on_command || it->on_complete;
	case CHAIN_COMPLETE:
		return it->on_complete && it->needs & NVME_IO_NEEDS_COMPLETIONS;
	case CHAIN_WANTS_COPY:
		return it->wants_copy;
	default:
		return it->on_command;
	}
}

void chain_settle(struct nvme_host *host)
{
	for (u32 hook = 0; hook < CHAIN_HOOKS; hook++) {
		u32 entries = 0;

		for (u32 i = 0; i < host->chain_count; i++)
			if (!host->chain[i].is_off &&
			    has_hook(host->chain[i].interceptor, hook))
				entries |= 1u << i;
		WRITE_ONCE(host->hooked[hook], entries);
	}
}

static enum nvme_io_verdict ask(struct nvme_io_interceptor *it,
				struct nvme_request *req, enum chain_hook hook)
{
	const struct nvme_io_command *cmd = &req->cmd;

	if (hook == CHAIN_READ && it->on_read)
		it->on_read(it->interceptor, req, cmd->nsid, cmd->lba,
			    cmd->n_lbas);
	else if (hook == CHAIN_WRITE && it->on_write)
		it->on_write(it->interceptor, req, cmd->nsid, cmd->lba,
			     cmd->n_lbas);
	else if (hook == CHAIN_DSM && it->on_data_management)
		return ask_dsm(it, req);
	else if (hook == CHAIN_COPY)
		return ask_copy(it, req);
	else
		return it->on_command(it->interceptor, req, cmd);
	return NVME_IO_PASS;
}

static enum nvme_io_verdict ask_locked(struct nvme_host *host,
				       struct nvme_request *req,
				       enum chain_hook hook, u32 place)
{
	struct nvme_io_interceptor *it = host->chain[place].interceptor;
	bool is_concurrent = it->needs & NVME_IO_CONCURRENT;
	enum nvme_io_verdict verdict;

	if (!is_concurrent)
		lock_acquire(&host->serial);
	verdict = ask(it, req, hook);
	if (!is_concurrent)
		lock_release(&host->serial);
	return decision(req, verdict);
}

/* Who has no hook for it sees its completion all the same, unless somebody
 * before has decided. */
static enum nvme_io_verdict ask_some(struct nvme_request *req,
				     enum chain_hook hook, u32 left)
{
	struct nvme_host *host = req->sq->hub->host;
	enum nvme_io_verdict verdict;

	for (; left; left &= left - 1) {
		u32 place = __builtin_ctz(left);

		verdict = ask_locked(host, req, hook, place);
		if (verdict == NVME_IO_PASS && !req->is_flush)
			continue;
		req->next_entry = place + 1;
		return verdict;
	}
	req->next_entry = host->chain_count;
	return NVME_IO_PASS;
}

enum nvme_io_verdict chain_submit(struct nvme_request *req)
{
	const struct nvme_host *host = req->sq->hub->host;
	enum chain_hook hook = hook_of(&req->cmd);
	u32 first = req->next_entry - req->is_retried;

	req->is_retried = false;
	if (req->is_flush)
		return NVME_IO_PASS;
	return ask_some(req, hook, READ_ONCE(host->hooked[hook]) &
			~0u << first);
}

enum nvme_io_verdict chain_ask(struct nvme_request *req, u32 asked)
{
	return ask_some(req, req->cmd.opcode == NVME_CMD_WRITE ? CHAIN_WRITE :
			CHAIN_READ, asked);
}

/* Under no lock of its own. */
static bool is_asked_once(const struct nvme_io_interceptor *it)
{
	return it->on_passed && !it->on_read && !it->on_write &&
		it->needs & NVME_IO_CONCURRENT;
}

bool chain_passes(struct nvme_request *req, u64 *first, u64 *last, u32 *asked)
{
	struct nvme_host *host = req->sq->hub->host;
	u32 left = READ_ONCE(host->hooked[hook_of(&req->cmd)]);

	for (; left; left &= left - 1) {
		u32 place = __builtin_ctz(left);
		struct nvme_io_interceptor *it = host->chain[place].interceptor;

		if (is_asked_once(it))
			it->on_passed(it->interceptor, &req->cmd, first, last);
		else
			*asked |= 1u << place;
	}
	return *first <= *last;
}

static void complete_entry(struct nvme_host *host, struct chain_entry *entry,
			   struct nvme_request *req)
{
	struct nvme_io_interceptor *it = entry->interceptor;
	bool is_concurrent = it->needs & NVME_IO_CONCURRENT;

	if (!is_concurrent)
		lock_acquire(&host->serial);
	it->on_complete(it->interceptor, req, &req->cmd, &req->completion);
	if (!is_concurrent)
		lock_release(&host->serial);
}

void chain_complete(struct nvme_request *req)
{
	struct nvme_host *host = req->sq->hub->host;
	u32 hooked = READ_ONCE(host->hooked[CHAIN_COMPLETE]);

	while (req->next_entry)
		if (hooked & 1u << --req->next_entry)
			complete_entry(host, &host->chain[req->next_entry],
				       req);
}

void chain_identify(struct nvme_host *host, const struct nvme_io_command *cmd,
		    void *data)
{
	u8 cns = FIELD_GET(NVME_IDENTIFY_CNS, cmd->cdw10);
	u16 controller = FIELD_GET(NVME_IDENTIFY_CNTID, cmd->cdw10);

	chain_lock(host);
	for (u32 i = 0; i < host->chain_count; i++) {
		struct nvme_io_interceptor *it = host->chain[i].interceptor;

		if (it->on_identify && !host->chain[i].is_off)
			it->on_identify(it->interceptor, cns, cmd->nsid,
					controller, data);
	}
	chain_unlock(host);
}

/* ---- Data in Sluice's pages ------------------------------------------------------------- */

bool chain_wants_copy(struct nvme_host *host, const struct nvme_io_command *cmd)
{
	u32 left = READ_ONCE(host->hooked[CHAIN_WANTS_COPY]);

	for (; left; left &= left - 1) {
		struct nvme_io_interceptor *it =
			host->chain[__builtin_ctz(left)].interceptor;

		if (it->wants_copy(it->interceptor, cmd))
			return true;
	}
	return false;
}

bool chain_copies(const struct nvme_host *host)
{
	for (u32 i = 0; i < host->chain_count; i++)
		if (host->chain[i].interceptor->wants_copy)
			return true;
	return chain_has_host_data(host, 0);
}

bool chain_has_host_data(const struct nvme_host *host, u32 first)
{
	for (u32 i = first; i < host->chain_count; i++)
		if (host->chain[i].interceptor->on_host_data)
			return true;
	return false;
}

static u16 show_entry(struct nvme_host *host, struct chain_entry *entry,
		      const struct nvme_io_host_data *data)
{
	struct nvme_io_interceptor *it = entry->interceptor;
	bool is_concurrent = it->needs & NVME_IO_CONCURRENT;
	u16 status;

	if (entry->is_off || !it->on_host_data)
		return NVME_IO_SUCCESS;
	if (!is_concurrent)
		lock_acquire(&host->serial);
	status = it->on_host_data(it->interceptor, data);
	if (!is_concurrent)
		lock_release(&host->serial);
	return status;
}

u16 chain_host_data(struct nvme_host *host, u32 first,
		    const struct nvme_io_host_data *data)
{
	u16 status = NVME_IO_SUCCESS;

	for (u32 i = first; i < host->chain_count && !status; i++) {
		u32 place = data->is_write ? i : first + host->chain_count -
			1 - i;

		status = show_entry(host, &host->chain[place], data);
	}
	return status;
}
