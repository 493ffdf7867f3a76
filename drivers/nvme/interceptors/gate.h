/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of gate share: rules, the blocks that they restrict, and a
 * controller's share of both. The plug-in itself is gate.c.
 */
#ifndef GATE_H
#define GATE_H

#include "nvme_io.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define RULE_MAX 64
#define NAMESPACE_MAX 1024
#define EXTENT_MAX 512
#define ALL_NSIDS 0xffffffffu
#define LAST_LBA (~0ul)

enum mode { RW, RO, NONE };	/* the stricter, the greater */

struct rule {
	enum mode mode;
	u32 line;		/* 0: not from sluice.conf */
	char text[193];		/* as it stands there */
	struct nvme_io_selector selector;
	u64 refused, told;	/* atomic: commands, and as last logged */
	struct nvme_host *matched;	/* atomic: the last controller */
	struct gate *only;	/* ordered there; NULL: of sluice.conf */
};

/* Blocks the guest has no rw access to. Extents may overlap. */
struct extent {
	u32 nsid;
	u64 first, last;
	struct rule *rule;
};

/* A namespace that is known, or being looked at. */
struct space {
	u32 nsid;
	_Atomic enum mode strictest;	/* of the rules for any of its blocks:
					 * raised by each extent */
	_Atomic bool is_open;	/* its table may be written and bring a rule */
	_Atomic u32 write_count;	/* of its table, completed */
	_Atomic u32 read_count;	/* of those, before the table was read */
	_Atomic bool is_ordered;	/* rules came since it was read */
	_Atomic u64 head, tail;	/* a write before or from here on counts */
	u64 waiting;		/* atomic: the last request, the next one in
				 * its private word */
};

/*
 * A controller, as on_init() builds it. While the guest's commands come,
 * extents are added at the end, by one CPU at a time: the one that has read
 * `reading`. Few extents are usual: they are looked through from end to end.
 */
struct gate {
	struct nvme_host *host;
	struct nvme_io_interceptor interceptor;
	_Atomic bool is_watched;	/* some rule may restrict something */
	_Atomic bool format_is_local;	/* Format reaches one namespace only */
	_Atomic bool has_started;	/* the guest's commands come */
	_Atomic bool may_delay;	/* a table was open, or an order came */
	struct space *reading;	/* atomic: its table, again */
	u32 begun_count;	/* write_count when that began */
	u32 match_counts[RULE_MAX];
	_Atomic u32 extent_count;
	struct extent extents[EXTENT_MAX + 1];
	u32 space_count;
	struct space spaces[NAMESPACE_MAX];	/* by nsid */
};

/* ---- gate_rules.c ------------------------------------------------------- */

/* What refuses without a line of its own. */
extern struct rule gate_rules_table, gate_rules_stranger;

int gate_rules_configure(u32 line, const char *key, const char *value,
			 char *why, size_t why_size);
/* Does gate take part: is there a rule, or may there be orders? */
bool gate_rules_exist(void);
u32 gate_rules_count(void);
struct rule *gate_rules_get(u32 index);
/* One more rule for this controller. NULL, or what was expected. */
const char *gate_rules_order(struct gate *gate, const char *text);
/* May one restrict something on this controller? */
bool gate_rules_may_restrict(struct gate *gate);
/* Is there one, of at least this mode, that goes by the namespace's table? */
bool gate_rules_want_table(struct gate *gate, u32 nsid, enum mode mode);
/* Those for all blocks of the namespace. */
void gate_rules_apply(struct gate *gate, u32 nsid);
/*
 * Where there is policy, the table that it goes by stays as it is - when the
 * guest is not about to write the rest of it, or is_final. True: from now on.
 */
bool gate_rules_apply_to_table(struct gate *gate, u32 nsid,
			       const struct nvme_io_table_info *info,
			       bool is_final);
/* No partition can be told: those that name one are for all blocks. */
void gate_rules_lock(struct gate *gate, u32 nsid);
/* " (line 3)", or nothing. */
const char *gate_rules_where(const struct rule *rule, char text[24]);
void gate_rules_tell_unmatched(struct gate *gate);
void gate_rules_tell_refused(struct gate *gate);

/* ---- gate_extents.c ----------------------------------------------------- */

/* False: known from an earlier reading. Without room for all extents, all
 * blocks of the controller are refused. */
bool gate_extents_add(struct gate *gate, u32 nsid, u64 first, u64 last,
		      struct rule *rule);
/* The strictest rule of at least this mode over any of the blocks, or NULL.
 * A range past the last LBA ends there: last < first. */
struct rule *gate_extents_find(const struct gate *gate, u32 nsid, u64 first,
			       u64 last, enum mode mode);
/* What is around a range that none of them is over: from where to where? */
void gate_extents_narrow(const struct gate *gate,
			 const struct nvme_io_command *cmd, enum mode mode,
			 u64 *first, u64 *last);
/* Of a new namespace: by the extents that there are already. */
void gate_extents_weigh(const struct gate *gate, struct space *space);
/* Is all of the namespace under one rule? */
bool gate_extents_cover(const struct gate *gate, u32 nsid);

/* ---- gate_table.c ------------------------------------------------------- */

/* NULL: the namespace is not known. */
struct space *gate_table_find(struct gate *gate, u32 nsid);
/* From now on the guest may write this table, and its writes count. */
void gate_table_open(struct gate *gate, struct space *space,
		     const struct nvme_io_table_info *info);
/* The one that a command waits for, which has been written since it was read;
 * or NULL. */
struct space *gate_table_awaited(struct gate *gate,
				 const struct nvme_io_command *cmd);
/* A command has completed. */
void gate_table_note(struct gate *gate, const struct nvme_io_command *cmd);
/* Does a command that comes now wait until a table has been read? It is then
 * held, and asked about again. */
bool gate_table_delays(struct gate *gate, struct nvme_request *req);
/* A rule was ordered: no command passes until it holds. */
void gate_table_apply_order(struct gate *gate);

/* ---- gate_control.c ----------------------------------------------------- */

extern const struct nvme_io_control gate_control;

#endif
