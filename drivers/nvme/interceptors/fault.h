/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of fault share: rules, a controller's share of them, and
 * commands that are kept. The plug-in itself is fault.c.
 */
#ifndef FAULT_H
#define FAULT_H

#include "nvme_io.h"

#define RULE_MAX 32
#define EXTENT_MAX 16		/* of all rules, on one controller */
#define HELD_MAX 1024		/* commands, on one controller */
#define ALL_BLOCKS 0xffffffffu

/* ---- Rules: fault_rules.c ----------------------------------------------- */

/* What is done, in this order. */
struct fault_action {
	u64 delay_min_us, delay_max_us;
	bool is_delayed, is_torn, is_dropped;
	u32 tear;		/* blocks that the device is given */
	u16 status;		/* with is_torn: success is one, too */
};

struct fault_rule {
	u32 line;		/* 0: an order */
	char text[160];		/* its beginning, for the list */
	struct fault_action action;
	/* To which commands: */
	bool is_admin;
	int opcode;		/* -1: any */
	u64 first_lba, last_lba;
	bool has_lbas;
	bool has_selector;
	struct nvme_io_selector selector;
	/* To which of those. 0: to all. */
	u32 nth, every, one_in, times;
};

int fault_rules_configure(u32 line, const char *key, const char *value,
			  char *why, size_t why_size);
/* NULL, or what was expected. */
const char *fault_rules_parse(struct fault_rule *rule, const char *text);
/* Those of sluice.conf. */
u32 fault_rules_count(void);
const struct fault_rule *fault_rules_get(u32 index);
u64 fault_rules_seed(void);
/* May root of the guest change them? */
bool fault_rules_allow_orders(void);

/* ---- A controller ------------------------------------------------------- */

/* How far a rule has come. Resets do not set it back. */
struct fault_count {
	u64 seen, fired;
	u64 random;		/* state of the generator */
};

struct fault_extent {
	u32 rule;
	struct nvme_io_extent where;
};

enum fault_state {
	HELD_NOT,		/* the entry is free */
	HELD_DELAYED,		/* until due_us */
	HELD_TO_TEAR,
	HELD_TEARING,		/* fault_tear.c works on it */
	HELD_FOR_EVER,		/* until the controller is reset */
};

struct fault_held {
	enum fault_state state;
	struct nvme_request *req;
	struct fault_action action;
	u64 due_us;
};

struct fault {
	struct nvme_host *host;
	struct nvme_io_interceptor interceptor;
	u32 rule_count;
	struct fault_rule rules[RULE_MAX];
	struct nvme_io_search search;
	bool is_looking, has_started;
	const struct nvme_io_selector *selectors[RULE_MAX];
	u32 selected[RULE_MAX];	/* the rule of each selector */
	struct fault_count counts[RULE_MAX];
	u32 extent_count;
	struct fault_extent extents[EXTENT_MAX];
	struct fault_held held[HELD_MAX];
	u64 wake_us;		/* 0: no call of fault_delay.c is to come */
	/* A torn write under way: one at a time. */
	struct fault_held *tearing;
	u32 torn_blocks;	/* written so far */
	u32 lba_size;
	void *data;
	phys_t *list, list_phys;
};

/* ---- fault_where.c ------------------------------------------------------ */

/* Begins to look for what the rules name; the first time in a life of the
 * controller it then starts fetching. Not while it is_looking. */
void fault_where_look(struct fault *fault);
/* Is this command, on this controller, the rule's? */
bool fault_where_matches(const struct fault *fault, u32 rule,
			 const struct nvme_io_command *cmd);

/* ---- fault_tear.c ------------------------------------------------------- */

/* -1: no memory. */
int fault_tear_attach(struct fault *fault);
/* Goes on with the next that waits, when none is under way. */
void fault_tear_next(struct fault *fault);

/* ---- fault_delay.c ------------------------------------------------------ */

/* held->due_us says when it goes on. */
void fault_delay_begin(struct fault *fault, struct fault_held *held);

/* ---- fault.c ------------------------------------------------------------ */

/* A kept command goes on after its delay. */
void fault_go_on(struct fault *fault, struct fault_held *held);
/* It has had what was before its end. */
void fault_end(struct fault *fault, struct fault_held *held);

#endif
