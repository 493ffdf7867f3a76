/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvme_io.h - what an interceptor plug-in is written against.
 *
 * A plug-in is one C file that includes this header and nothing else of
 * Sluice's (the C library's <string.h>, <stdlib.h>, <stdio.h> are there;
 * floating point is not). It is compiled in by naming it:
 *
 *	make INTERCEPTORS="gate trace mine"
 *	make INTERCEPTORS="gate /home/me/mine.c"
 *
 * or from a folder of its own, with a test beside it (tests/example), and
 * takes part when sluice.conf lists it, or has no such line:
 *
 *	chain = gate, mine
 *
 * The life of a plug-in:
 *
 *	configure()	every line of sluice.conf whose key is the plug-in's
 *			name or starts with "name.": before launch
 *	attach()	a controller was found. Keep state for it, call
 *			nvme_io_install_interceptor().
 *	on_init()	the guest has enabled the controller and it is ready;
 *			namespaces are known, host requests work. The guest
 *			sees "not ready" until every interceptor has called
 *			nvme_io_start_fetching_g_reqs(); that of an
 *			interceptor comes when those below it, later in the
 *			chain, have done so. Comes again after
 *			every controller reset, and may find another drive:
 *			one that is pulled out leaves its place, interceptors
 *			and all, to the next.
 *	on_...()	the guest's commands.
 *	can_stop()	the guest disables the controller.
 *
 * Where hooks run: on whichever CPU the guest's access came to, with the
 * guest stopped on that CPU, so a hook must not wait; what takes time is
 * done by a host request and its callback. Hooks and callbacks of one
 * interceptor are never run at the same time unless it declares
 * NVME_IO_CONCURRENT. They may call every function below.
 *
 * Memory: nvme_io_alloc_pages() at attach time. malloc() works in
 * configure() and attach() only.
 */
#ifndef NVME_IO_H
#define NVME_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef SLUICE_TYPES_H
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#endif

typedef u64 phys_t;		/* a host-physical address */

struct nvme_host;		/* a controller that Sluice stands before */
struct nvme_request;		/* one command of the guest */
struct nvme_io_descriptor;	/* one host request, before it is submitted */

/* ---- Status ---------------------------------------------------------- */

/*
 * A status is the completion's field without the phase bit: SC in bits 7:0,
 * SCT in 10:8, More in 13, Do Not Retry in 14 (NVMe 1.4, 4.6.1).
 */
#define NVME_IO_STATUS(sct, sc) ((u16)((sct) << 8 | (sc)))
#define NVME_IO_DNR ((u16)(1u << 14))

#define NVME_IO_SUCCESS NVME_IO_STATUS(0, 0x00)
#define NVME_IO_INVALID_OPCODE NVME_IO_STATUS(0, 0x01)
#define NVME_IO_INVALID_FIELD NVME_IO_STATUS(0, 0x02)
#define NVME_IO_TRANSFER_ERROR NVME_IO_STATUS(0, 0x04)
#define NVME_IO_INTERNAL_ERROR NVME_IO_STATUS(0, 0x06)
#define NVME_IO_ABORTED NVME_IO_STATUS(0, 0x07)
#define NVME_IO_INVALID_NAMESPACE NVME_IO_STATUS(0, 0x0b)
#define NVME_IO_WRITE_PROTECTED NVME_IO_STATUS(0, 0x20)
#define NVME_IO_LBA_OUT_OF_RANGE NVME_IO_STATUS(0, 0x80)
#define NVME_IO_CAPACITY_EXCEEDED NVME_IO_STATUS(0, 0x81)
#define NVME_IO_FEATURE_NOT_CHANGEABLE NVME_IO_STATUS(1, 0x0e)
#define NVME_IO_ACCESS_DENIED NVME_IO_STATUS(2, 0x86)

/* Not the device's: a host request that was not answered in time. */
#define NVME_IO_TIMED_OUT NVME_IO_STATUS(7, 0xff)

/* ---- The guest's commands -------------------------------------------- */

enum nvme_io_verdict {
	NVME_IO_PASS,	/* next interceptor, then the device */
	NVME_IO_HOLD,	/* mine until nvme_io_resume_guest_request(), or
			 * nvme_io_retry_..., or nvme_io_finish_... */
	NVME_IO_DONE,	/* answered: nvme_io_set_status() says with what; the
			 * device does not see the command */
};

enum nvme_io_direction {
	NVME_IO_NO_DATA, NVME_IO_TO_DEVICE, NVME_IO_FROM_DEVICE,
};

/* What the command wants of blocks; never trust the opcode alone. */
enum nvme_io_effect {
	NVME_IO_READS = 1,	/* content of [lba, lba + n_lbas) */
	NVME_IO_WRITES = 2,	/* changes [lba, lba + n_lbas) */
	NVME_IO_RANGES = 4,	/* touches ranges that stand in its data:
				 * see on_data_management, on_copy */
	NVME_IO_WHOLE = 8,	/* may change any block of the namespace or
				 * the controller (Format, Sanitize, ...) */
	NVME_IO_UNKNOWN = 16,	/* an opcode of no known meaning */
};

/* A command, decoded from Sluice's own copy: the guest cannot change it. */
struct nvme_io_command {
	bool admin;
	u8 opcode;
	u8 fuse;		/* 0, or 1/2: first/second of a fused pair */
	u16 queue_id;		/* submission queue */
	u16 cid;		/* the guest's */
	u32 nsid;
	u32 cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
	u32 effects;		/* of enum nvme_io_effect */
	u64 lba;		/* with READS or WRITES */
	u32 n_lbas;		/* a count: 1..65536 or more; 0: none */
	enum nvme_io_direction direction;
	u64 data_size;		/* bytes of the data buffer */
};

/* Blocks of a host request in Sluice's own memory. */
struct nvme_io_host_data {
	bool is_write;
	u32 nsid;
	u64 lba;
	u32 n_lbas;
	u32 lba_size;		/* bytes of one */
	u8 *bytes;		/* n_lbas * lba_size, in one page */
};

struct nvme_io_completion {
	u32 result;		/* dword 0 */
	u16 status;
};

/* Dataset Management range (NVMe 1.4, 6.7), as on the wire. */
struct nvme_io_range {
	u32 attributes;
	u32 n_lbas;
	u64 lba_start;
};

/* Copy source range (NVMe 2.0), taken from either descriptor format. */
struct nvme_io_copy_source {
	u64 lba_start;
	u32 n_lbas;
	u32 reserved;
};

/*
 * Classic void hooks decide by what they call: nothing (PASS),
 * nvme_io_pause_guest_request() (HOLD), nvme_io_finish_guest_request() or
 * nvme_io_change_g_req_to_flush() (DONE). Hooks may be NULL. `interceptor`
 * is the field of that name.
 */
struct nvme_io_interceptor {
	void *interceptor;

	/* See "life" above. Non-zero: initialised; zero: failed, and the
	 * controller is handled as `fail=` says. */
	u8 (*on_init)(void *interceptor);

	/* Read and Write of the NVM command set. */
	void (*on_read)(void *interceptor, struct nvme_request *req,
			u32 nsid, u64 lba_start, u32 n_lbas);
	void (*on_write)(void *interceptor, struct nvme_request *req,
			 u32 nsid, u64 lba_start, u32 n_lbas);

	/*
	 * Dataset Management. The buffer is Sluice's checked copy and what
	 * the device will be given: it may be edited. Returns the number of
	 * ranges to go on with, from the front (n_ranges: all; 0: the request
	 * succeeds without the device, unless finished otherwise).
	 */
	u32 (*on_data_management)(void *interceptor, struct nvme_request *req,
				  u32 nsid, struct nvme_io_range *ranges,
				  u32 buf_len, u32 n_ranges);

	/* The guest disables the controller. Zero: not yet (asked again at
	 * the next exit, at most for a second). */
	u8 (*can_stop)(void *interceptor);

	/* ---- beyond the classic interface ---- */

	const char *name;	/* for the log; NULL: the plug-in's */
	u32 needs;		/* of enum nvme_io_needs */

	/*
	 * Every command, admin or I/O, that has no hook of its own above -
	 * also reads and writes when on_read or on_write is NULL. An admin
	 * command that Sluice answers itself (queue creation, doorbell
	 * buffers, number of queues) is shown too and may be refused.
	 */
	enum nvme_io_verdict (*on_command)(void *interceptor,
					   struct nvme_request *req,
					   const struct nvme_io_command *cmd);

	/*
	 * A Read or Write has come, and on_command let it PASS: of which
	 * blocks around its own need not be asked again? Narrows those from
	 * *first to *last to such that whatever does the same there (`cmd`
	 * says which of both) passes as well, until nvme_io_ask_again().
	 * None: *last < *first; all are asked about the next one, too. NULL,
	 * or without NVME_IO_CONCURRENT: this one is asked about every
	 * command, and the others need not be.
	 */
	void (*on_passed)(void *interceptor, const struct nvme_io_command *cmd,
			  u64 *first, u64 *last);

	/*
	 * Copy (I/O opcode 19h), before on_command: the source ranges, in
	 * Sluice's copy that the device will be given. cmd->lba and n_lbas
	 * are the destination. NULL: on_command decides with what it sees.
	 */
	enum nvme_io_verdict (*on_copy)(void *interceptor,
					struct nvme_request *req,
					const struct nvme_io_command *cmd,
					const struct nvme_io_copy_source *sources,
					u32 n_sources);

	/*
	 * The device (or an interceptor) has answered; called in reverse
	 * order of the chain. May change the completion. Needs
	 * NVME_IO_NEEDS_COMPLETIONS.
	 */
	void (*on_complete)(void *interceptor, struct nvme_request *req,
			    const struct nvme_io_command *cmd,
			    struct nvme_io_completion *completion);

	/*
	 * Identify data on its way to the guest, Sluice's copy: 4096 bytes.
	 * For policy (NSATTR, ONCS ...) rather than for hiding what Sluice
	 * itself hides.
	 */
	void (*on_identify)(void *interceptor, u8 cns, u32 nsid,
			    u16 controller_id, void *data);

	/*
	 * Is the data that this command brings (Write, Compare, Zone Append)
	 * to be copied? Asked of all interceptors before the first hook. If
	 * one wants that, the guest's data is read once into pages of
	 * Sluice's own, and they are the command's data from then on: for
	 * every interceptor, which may change them (nvme_io_req_buf() gives
	 * every block, nvme_io_req_write() any part), and for the device.
	 * The guest's own are not looked at again nor ever changed. Pages are
	 * Sluice's to find and to free; nothing is to be done on completion.
	 * Costs a copy, and makes transfers of this controller no longer
	 * than 512 KiB. Called without the lock of hooks: on several CPUs.
	 */
	bool (*wants_copy)(void *interceptor,
			   const struct nvme_io_command *cmd);

	/*
	 * A host request of an interceptor above this one, or of one that has
	 * not said where it stands (nvme_io_set_sender()): before a write and
	 * after a successful read, a few blocks at a time, in a copy of
	 * Sluice's own that may be changed: the sender's pages are not
	 * touched by what happens below it. Any status but NVME_IO_SUCCESS
	 * ends the request with it. Flushes are not shown. Blocks larger than
	 * 4 KiB cannot be: such requests end with NVME_IO_INVALID_FIELD.
	 */
	u16 (*on_host_data)(void *interceptor,
			    const struct nvme_io_host_data *data);

	/* What `sluicectl` can ask and order; NULL: nothing. */
	const struct nvme_io_control *control;
};

enum nvme_io_needs {
	/*
	 * on_complete is called; queues then take the relayed path, where
	 * each completion costs an exit or a part of one. May be changed
	 * until nvme_io_start_fetching_g_reqs(). Without it the device posts
	 * into the guest's own queue: a command that is held then keeps those
	 * behind it in the same submission queue, and one that is answered
	 * without the device costs a few exits more. Who holds commands until
	 * later ones come, or answers most of them, declares it as well.
	 */
	NVME_IO_NEEDS_COMPLETIONS = 1,
	/* Host requests, also with no guest command around. */
	NVME_IO_NEEDS_HOST_REQUESTS = 2,
	/* Hooks may run at the same time on several CPUs. */
	NVME_IO_CONCURRENT = 4,
};

/* ---- Control from the operating system --------------------------------- */

/* What a question is answered with: fill it in and return. */
struct nvme_io_answer {
	u8 verb;		/* 0: the list; others are the plug-in's own */
	u64 first;		/* the item to begin with; raise it when that
				 * and some after it are lost */
	u64 next;		/* the item to go on with; `first`, as given */
	u8 *data;		/* zeroed */
	u32 size, size_max;	/* bytes of data, 0 at first; left 0: there
				 * are no more items */
};

/*
 * include/control.h, by way of which root of the guest talks to a plug-in
 * while the system runs: `sluicectl fault list`, `sluicectl fault clear`.
 * These are called like hooks, never wait, and what they are given may come
 * from an enemy: an order may do no more than its plug-in's page in README
 * says root can do. What takes time is begun, and the list says how far it is.
 */
struct nvme_io_control {
	/*
	 * The list is text, a line with nvme_io_answer_line() for each item
	 * from `first` on. False: there is no such verb.
	 */
	bool (*ask)(void *interceptor, struct nvme_io_answer *answer);
	/*
	 * A line of text as in sluice.conf, printable or tabs; it lives for
	 * this call. 0, or -1 with a message in `why` that says what was
	 * expected.
	 */
	int (*order)(void *interceptor, const char *text, char *why,
		     size_t why_size);
};

/*
 * Adds a line of `key=value` words with tabs between, without its newline,
 * and counts `next` up. A control character in it becomes a question mark.
 * False: it does not fit, and comes with the next question.
 */
bool nvme_io_answer_line(struct nvme_io_answer *answer, const char *format,
			 ...) __attribute__((format(printf, 2, 3)));

/* ---- Plug-in and installation ---------------------------------------- */

struct nvme_io_plugin {
	const char *name;	/* of the file: drivers/.../gate.c is "gate" */
	/*
	 * Line `line` of sluice.conf: key is "name" or "name.something".
	 * 0, or -1 with a message in `why` that says what was expected.
	 */
	int (*configure)(u32 line, const char *key, const char *value,
			 char *why, size_t why_size);
	/* A controller. 0, or -1: it is handled as `fail=` says. */
	int (*attach)(struct nvme_host *host);
};

#define NVME_IO_PLUGIN(symbol)                                            \
	static const struct nvme_io_plugin *const symbol##_entry          \
		__attribute__((used, section("nvme_io_plugins"))) = &symbol

/* In attach() only. The structure stays the plug-in's and must live on. */
void nvme_io_install_interceptor(struct nvme_host *host,
				 struct nvme_io_interceptor *interceptor);

/* This interceptor has finished its initialisation. From on_init() itself or
 * from a callback later. */
void nvme_io_start_fetching_g_reqs(struct nvme_host *host);

/* ---- What to do with a guest request ---------------------------------- */

/* HOLD, from within a hook. */
void nvme_io_pause_guest_request(struct nvme_request *req);

/*
 * Goes on with the interceptors after the one that held it, then the device.
 * trigger_submit: non-zero rings the doorbell now, zero with the next one.
 */
void nvme_io_resume_guest_request(struct nvme_host *host,
				  struct nvme_request *req, u8 trigger_submit);

/* As if the command had just come, for the interceptor that held it: the same
 * hook is called again. */
void nvme_io_retry_guest_request(struct nvme_host *host,
				 struct nvme_request *req);

/* What on_passed has said does not hold any more: commands that come after
 * this are asked about. */
void nvme_io_ask_again(struct nvme_host *host);

/* Answers a request that is held, or from within a hook: the guest gets this
 * status with its own command id; the device never sees the command. */
void nvme_io_finish_guest_request(struct nvme_host *host,
				  struct nvme_request *req, u16 status);

/* What DONE answers with; success when not called. */
void nvme_io_set_status(struct nvme_request *req, u16 status, u32 result);

/* The original command is not needed: the device gets a Flush in its place,
 * and the guest the Flush's status. */
void nvme_io_change_g_req_to_flush(struct nvme_request *req);

/* The command as decoded. Lives as long as the request. */
const struct nvme_io_command *nvme_io_req_command(struct nvme_request *req);

/* A word of this interceptor's own in the request; zero at first. */
u64 *nvme_io_req_private(struct nvme_request *req,
			 const struct nvme_io_interceptor *interceptor);

/*
 * The request's data, in the guest's own memory: one logical block, counted
 * from the first of the command. NULL when the request has no such block, or
 * when the block is not one piece of RAM: in a bit bucket, or spread over
 * pages or SGL data blocks that are not adjacent, which nvme_io_req_read()
 * reaches. The guest can change it at any time: look at it once. Where an
 * interceptor wanted a copy (wants_copy) it is that copy, and every block of
 * up to 4 KiB is in one piece.
 */
u8 *nvme_io_req_buf(struct nvme_host *host, struct nvme_request *req,
		    u64 lba_offset);

/* Any part of the data, by byte offset. 0 or -1 (outside the data or RAM);
 * what is written to a bit bucket is gone, as it should be. */
int nvme_io_req_read(struct nvme_request *req, u64 offset, void *to,
		     size_t size);
int nvme_io_req_write(struct nvme_request *req, u64 offset, const void *from,
		      size_t size);

/* ---- Host requests: Sluice's own commands to the device ----------------- */

/*
 * Callbacks come later, never from within the call that submits. When the
 * guest resets the controller they all come, with NVME_IO_ABORTED, before
 * on_init() comes again.
 */

/*
 * A descriptor for one transfer. queue_id is not needed: Sluice has a queue
 * of its own, or shares the guest's where the device has only one. n_lbas is
 * a count, at least 1. NULL when too many are under way: try again from a
 * callback. The submitting call consumes it whatever it returns.
 */
struct nvme_io_descriptor *
nvme_io_init_descriptor(struct nvme_host *host, u32 nsid, u16 queue_id,
			u64 lba_start, u16 n_lbas);

/*
 * Whose request it is: it passes the interceptors below this one in the chain
 * (on_host_data). Without this call, all of them.
 */
void nvme_io_set_sender(struct nvme_io_descriptor *desc,
			const struct nvme_io_interceptor *sender);

/*
 * Where the data goes: an array of n_pages_accessed page addresses of
 * Sluice's own memory (nvme_io_alloc_pages()), which the device may read as
 * a PRP list at pagebuf_arr_phys; the array must not cross a page boundary,
 * and has to stay, as the pages have, until the callback.
 * first_page_offset: bytes into the first page, a multiple of 4. Non-zero:
 * accepted; zero: does not fit the transfer, and submitting it is refused.
 */
u8 nvme_io_set_phys_buffers(struct nvme_host *host,
			    struct nvme_io_descriptor *desc,
			    phys_t *pagebuf_arr, phys_t pagebuf_arr_phys,
			    u64 n_pages_accessed, u64 first_page_offset);

/* Classic, asynchronous. Non-zero: accepted, the callback will come exactly
 * once; zero: refused, it will not. */
u8 nvme_io_read_request(struct nvme_host *host,
			struct nvme_io_descriptor *desc,
			void (*callback)(struct nvme_host *host, void *arg1,
					 void *arg2, void *arg3),
			void *arg1, void *arg2, void *arg3);
u8 nvme_io_write_request(struct nvme_host *host,
			 struct nvme_io_descriptor *desc,
			 void (*callback)(struct nvme_host *host, void *arg1,
					  void *arg2, void *arg3),
			 void *arg1, void *arg2, void *arg3);
/* n_lbas and buffers of the descriptor are not used. */
u8 nvme_io_flush_request(struct nvme_host *host,
			 struct nvme_io_descriptor *desc,
			 void (*callback)(struct nvme_host *host, void *arg1,
					  void *arg2, void *arg3),
			 void *arg1, void *arg2, void *arg3);

enum nvme_io_operation { NVME_IO_READ, NVME_IO_WRITE, NVME_IO_FLUSH };

/*
 * The same with the command's status: the device's, or NVME_IO_TIMED_OUT
 * after five seconds, or NVME_IO_ABORTED when the controller was reset, or is
 * being left by the guest with no queue to send the request to.
 */
u8 nvme_io_submit(struct nvme_host *host, struct nvme_io_descriptor *desc,
		  enum nvme_io_operation operation,
		  void (*done)(struct nvme_host *host, u16 status, void *arg),
		  void *arg);

/*
 * Calls `call` once, `us` microseconds from now, like the callback of a host
 * request, also when the controller has been reset meanwhile. While anything
 * waits, a CPU that has nothing to do waits in Sluice, so that a call is on
 * time to some tens of microseconds; on busy CPUs it comes with their next
 * exit or interrupt. Non-zero: accepted; zero: too many wait.
 */
u8 nvme_io_call_after(struct nvme_host *host, u64 us,
		      void (*call)(struct nvme_host *host, void *arg),
		      void *arg);

/* Contiguous zeroed pages of 4 KiB; NULL when memory is short. */
void *nvme_io_alloc_pages(struct nvme_host *host, size_t n_pages,
			  phys_t *phys);

/* ---- What there is to know about a controller -------------------------- */

const char *nvme_io_host_name(struct nvme_host *host);	/* "nvme0" */
const char *nvme_io_serial(struct nvme_host *host);	/* spaces trimmed */
/* Bytes of one command's data, the guest's or a host request's: at least a
 * page. Known from on_init() on. */
u64 nvme_io_transfer_max(struct nvme_host *host);

struct nvme_io_namespace {
	u32 nsid;
	u64 n_lbas;
	u32 lba_size;		/* bytes of data in one block */
	u16 metadata_size;	/* bytes; 0: none */
	bool metadata_inline;	/* follows each block's data in the buffer */
	u8 command_set;		/* CSI: 0 NVM, 2 zoned */
};

/* Active namespaces, in order of nsid; known from on_init() on. */
u32 nvme_io_namespace_count(struct nvme_host *host);
/* 0, or -1 when there is no such one. */
int nvme_io_namespace_get(struct nvme_host *host, u32 index,
			  struct nvme_io_namespace *out);
/* By nsid. 0, or -1 when it is not active. */
int nvme_io_namespace_find(struct nvme_host *host, u32 nsid,
			   struct nvme_io_namespace *out);

struct nvme_io_partition {
	u32 index;		/* from 1, as operating systems count */
	u8 type[16], uuid[16];	/* as on disk */
	u64 first_lba, last_lba;
	char label[112];	/* UTF-8 */
};

enum nvme_io_table {
	NVME_IO_TABLE_NONE,	/* no partition table: neither copy is there */
	NVME_IO_TABLE_BAD,	/* there is one, but no copy is usable */
	NVME_IO_TABLE_BACKUP,	/* read from the backup: the primary is bad */
	NVME_IO_TABLE_GOOD,
	NVME_IO_TABLE_UNREAD,	/* the device did not answer or said no */
};

struct nvme_io_table_info {
	enum nvme_io_table state;
	u32 n_partitions;
	const struct nvme_io_partition *partitions;
	/* Where both copies of the table are, protective MBR included:
	 * [0, head_lbas) and [tail_lba, end of the namespace), all that the
	 * table keeps from partitions. With NONE: where its headers would be.
	 * With BAD and UNREAD: not known. */
	u64 head_lbas, tail_lba;
	/* GOOD, the backup says the same, and the MBR is protective: nobody
	 * is in the middle of writing it. */
	bool is_complete;
};

/*
 * Reads a namespace's GPT by host requests, both copies; says in the log what
 * is wrong with it. `info` and the partitions live until `done` returns.
 * Non-zero: `done` will come exactly once, later. Zero: this namespace cannot
 * be read, and the log says why.
 */
u8 nvme_io_read_partitions(struct nvme_host *host, u32 nsid,
			   void (*done)(struct nvme_host *host, u32 nsid,
					const struct nvme_io_table_info *info,
					void *arg),
			   void *arg);

/* "8-4-4-4-12" either case, to the form on disk; and back, lower case. */
bool nvme_io_uuid_parse(const char *text, u8 uuid[16]);
void nvme_io_uuid_format(const u8 uuid[16], char text[37]);

/* ---- Selectors: how sluice.conf names partitions and namespaces -------- */

enum nvme_io_selects {
	NVME_IO_BY_NAMESPACE,	/* all of it */
	NVME_IO_BY_UUID,
	NVME_IO_BY_LABEL,
	NVME_IO_BY_INDEX,	/* always with a serial */
};

struct nvme_io_selector {
	char serial[21];	/* empty: any controller and namespace */
	u32 nsid;		/* with a serial */
	enum nvme_io_selects by;
	u8 uuid[16];		/* as on disk */
	u32 index;		/* as in struct nvme_io_partition */
	char label[112];	/* UTF-8 */
};

/* For messages about what is expected. */
#define NVME_IO_SELECTORS \
	"PARTUUID=..., PARTLABEL=... or SERIAL:nNSID[:pNUMBER]"

/*
 * One of NVME_IO_SELECTORS, or SERIAL:nNSID and one of the first two: that
 * partition, there only. Double quotes hold words with spaces together.
 * A UUID may be of either case. A label is compared byte by byte as UTF-8:
 * case and spaces count, also at its end. On disk it is 36 units of UTF-16
 * and ends before the first zero; what follows that is padding, whatever it
 * is. Half a surrogate pair reads as U+FFFD. NULL, or what was expected.
 */
const char *nvme_io_selector_parse(const char *text,
				   struct nvme_io_selector *out);

/* May it select something of this controller; of this namespace? */
bool nvme_io_selector_is_on(const struct nvme_io_selector *selector,
			    struct nvme_host *host);
bool nvme_io_selector_is_in(const struct nvme_io_selector *selector,
			    struct nvme_host *host, u32 nsid);

/* Does it name this partition, wherever that is? */
bool nvme_io_selector_names(const struct nvme_io_selector *selector,
			    const struct nvme_io_partition *partition);

/* Blocks that a selector names: of a namespace, or of a partition. */
struct nvme_io_extent {
	u32 nsid;
	u64 first_lba, last_lba;
};

/*
 * Finds on this controller what selectors name: `found` for each extent, with
 * the index of its selector, then `done` - from within nvme_io_find() when no
 * partition is named, else later. is_complete: no table was in the way. The
 * structure stays the plug-in's and lives until then. From on_init() on.
 */
struct nvme_io_search {
	const struct nvme_io_selector *const *selectors;
	u32 n_selectors;
	void (*found)(void *arg, u32 index,
		      const struct nvme_io_extent *extent);
	void (*done)(void *arg, bool is_complete);
	void *arg;
	u32 next;		/* Sluice's own, as what follows */
	bool is_incomplete;
};

void nvme_io_find(struct nvme_host *host, struct nvme_io_search *search);

/* ---- Secrets ----------------------------------------------------------- */

/*
 * In configure() only: the content of the file that this line of sluice.conf
 * names with a word key-file=, or the key in the file that passphrase= names,
 * opened by the loader. It is given once and then wiped. Returns its size, at
 * most size_max; 0: the line names none, or it is longer.
 */
size_t nvme_io_take_secret(u32 line, void *to, size_t size_max);

/* ---- Log --------------------------------------------------------------- */

enum nvme_io_log_level {
	NVME_IO_LOG_ERROR, NVME_IO_LOG_WARN, NVME_IO_LOG_INFO,
	NVME_IO_LOG_DEBUG,
};

/* "nvme0: " and the line. host may be NULL. */
void nvme_io_log(struct nvme_host *host, enum nvme_io_log_level level,
		 const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same for what a guest can cause again and again: ten lines a second
 * for each controller, the rest counted and summed up. */
void nvme_io_log_limited(struct nvme_host *host, enum nvme_io_log_level level,
			 const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Microseconds since launch. */
u64 nvme_io_now_us(void);

#endif
