/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gate: which partitions and namespaces the guest may change or see.
 *
 *	gate = ro PARTUUID=1b2c0f6a-...		rw | ro | none, and what
 *	gate = none PARTLABEL="my data"		quoted: it has a space
 *	gate = ro QF0:n1			all of a namespace: SERIAL:nNSID
 *	gate = ro QF0:n1 PARTLABEL=data		a partition, there only
 *	gate = ro QF0:n1:p3			the third, whatever its names
 *
 * Where rules overlap, the strictest wins. Every command, admin and I/O, is
 * looked up in a list of what it can do; what is not on the list is refused
 * where a rule restricts anything, and so is what reaches across a boundary.
 * A namespace whose table cannot be used while rules name partitions is
 * restricted as a whole: the guest could have broken the table itself.
 *
 * A table that no rule restricts yet may be written, and is then read again
 * before any later command passes: a rule holds as soon as the primary copy
 * is good and says so; the table is closed when the backup agrees. While the
 * guest is in between, what held before goes on to hold.
 */
#include <stdio.h>
#include <string.h>

#include "gate_operations.h"
#include "nvme_io.h"

#define RULE_MAX 64
#define NAMESPACE_MAX 1024
#define EXTENT_MAX 512
#define TOLD_MAX 16		/* partitions of a namespace in the log */
#define ALL_NSIDS 0xffffffffu
#define LAST_LBA (~0ul)
#define SEQ_CST __ATOMIC_SEQ_CST
#define NEEDS (NVME_IO_NEEDS_HOST_REQUESTS | NVME_IO_CONCURRENT)

struct rule {
	enum mode mode;
	u32 line;		/* 0: not from sluice.conf */
	char text[193];		/* as it stands there */
	struct nvme_io_selector selector;
	u64 refused, told;	/* atomic: commands, and as last logged */
	struct nvme_host *matched;	/* atomic: the last controller */
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
	_Atomic bool is_open;	/* its table may be written and bring a rule */
	_Atomic u32 write_count;	/* of its table, completed */
	_Atomic u32 read_count;	/* of those, before the table was read */
	_Atomic u64 head, tail;	/* a write before or from here on counts */
	u64 waiting;		/* atomic: the last request, the next one in
				 * its private word */
};

/*
 * A controller, as on_init() builds it. While the guest's commands come,
 * extents are added at the end, by one CPU at a time: the one that has read
 * `reading`. A few extents and namespaces are usual: they are looked through
 * from end to end.
 */
struct gate {
	struct nvme_host *host;
	struct nvme_io_interceptor interceptor;
	bool is_watched;	/* some rule may restrict something here */
	_Atomic bool format_is_local;	/* Format reaches one namespace only */
	bool has_started;	/* the guest's commands come */
	struct space *reading;	/* atomic: its table, again */
	u32 begun_count;	/* write_count when that began */
	u32 match_counts[RULE_MAX];
	_Atomic u32 extent_count;
	struct extent extents[EXTENT_MAX + 1];
	u32 space_count;
	struct space spaces[NAMESPACE_MAX];
};

static const char *const mode_names[] = { "rw", "ro", "none" };

static struct rule rules[RULE_MAX];
static u32 rule_count;

/* What refuses without a line of its own. */
static struct rule table_rule = { .mode = RO, .text = "partition table" };
static struct rule full_rule = { .mode = NONE, .text = "too many extents" };
static struct rule stranger_rule = {
	.mode = NONE, .text = "namespace not known",
};

/* ---- sluice.conf ---------------------------------------------------- */

/* NULL, or what was expected. */
static const char *take_rule(struct rule *rule, const char *text)
{
	size_t size = strcspn(text, " \t");

	snprintf(rule->text, sizeof(rule->text), "%s", text);
	for (size_t i = 0; i < COUNT(mode_names); i++) {
		if (strlen(mode_names[i]) != size ||
		    memcmp(text, mode_names[i], size))
			continue;
		rule->mode = (enum mode)i;
		return nvme_io_selector_parse(text + size, &rule->selector);
	}
	return "expected rw, ro or none, then " NVME_IO_SELECTORS;
}

static int configure(u32 line, const char *key, const char *value, char *why,
		     size_t why_size)
{
	struct rule *rule = &rules[rule_count];
	const char *fault = "expected the key gate";

	if (rule_count == RULE_MAX) {
		fault = "expected at most 64 rules";
	} else if (!strcmp(key, "gate")) {
		rule->line = line;
		fault = take_rule(rule, value);
	}
	if (!fault) {
		rule_count++;
		return 0;
	}
	snprintf(why, why_size, "%s", fault);
	return -1;
}

/* ---- Extents -------------------------------------------------------- */

static bool is_same(const struct extent *a, const struct extent *b)
{
	return a->nsid == b->nsid && a->first == b->first &&
	       a->last == b->last && a->rule == b->rule;
}

/* False: known from an earlier reading. Without room for all extents, all
 * blocks of the controller are refused. */
static bool restrict_blocks(struct gate *gate, u32 nsid, u64 first, u64 last,
			    struct rule *rule)
{
	struct extent extent = { nsid, first, last, rule };
	u32 count = gate->extent_count;

	if (rule->mode == RW)
		return !gate->has_started;
	for (u32 i = 0; i < count; i++)
		if (is_same(&gate->extents[i], &extent))
			return false;
	if (count > EXTENT_MAX)
		return true;
	if (count == EXTENT_MAX) {
		nvme_io_log(gate->host, NVME_IO_LOG_ERROR, "gate: more than "
			    "%u extents: all is refused", EXTENT_MAX);
		extent = (struct extent){ ALL_NSIDS, 0, LAST_LBA, &full_rule };
	}
	/* The extent before the count that makes it valid. */
	gate->extents[count] = extent;
	gate->extent_count = count + 1;
	return true;
}

static bool is_in(const struct extent *extent, u32 nsid)
{
	return nsid == ALL_NSIDS || extent->nsid == ALL_NSIDS ||
	       extent->nsid == nsid;
}

/* The strictest rule of at least this mode over any of the blocks, or NULL.
 * A range past the last LBA ends there: last < first. */
static struct rule *rule_over(const struct gate *gate, u32 nsid, u64 first,
			      u64 last, enum mode mode)
{
	u32 count = gate->extent_count;
	struct rule *found = NULL;

	if (last < first)
		last = LAST_LBA;
	for (u32 i = 0; i < count; i++) {
		const struct extent *extent = &gate->extents[i];

		if (extent->rule->mode < mode || !is_in(extent, nsid) ||
		    extent->last < first || extent->first > last)
			continue;
		if (!found || extent->rule->mode > found->mode)
			found = extent->rule;
	}
	return found;
}

static bool is_read_only(const struct gate *gate, u32 nsid)
{
	u32 count = gate->extent_count;

	for (u32 i = 0; i < count; i++) {
		const struct extent *extent = &gate->extents[i];

		if (is_in(extent, nsid) && !extent->first &&
		    extent->last == LAST_LBA)
			return true;
	}
	return false;
}

/* ---- From rules to extents ------------------------------------------ */

static bool is_here(const struct rule *rule, struct gate *gate)
{
	return nvme_io_selector_is_on(&rule->selector, gate->host);
}

static bool is_for(const struct rule *rule, struct gate *gate, u32 nsid)
{
	return nvme_io_selector_is_in(&rule->selector, gate->host, nsid);
}

static bool names_partition(const struct rule *rule)
{
	return rule->selector.by != NVME_IO_BY_NAMESPACE;
}

static void count_match(struct gate *gate, struct rule *rule)
{
	u32 count = ++gate->match_counts[rule - rules];
	struct nvme_host *before = __atomic_exchange_n(
		&rule->matched, gate->host, __ATOMIC_RELAXED);

	if (count == 2 || (count == 1 && before && before != gate->host))
		nvme_io_log(gate->host, NVME_IO_LOG_WARN,
			    "gate: %s: matches more than once and applies "
			    "everywhere (line %u)", rule->text, rule->line);
}

/* The label is a stranger's: nothing in it may move the cursor. */
static void tell_partition(struct gate *gate, u32 nsid,
			   const struct nvme_io_partition *partition)
{
	struct rule *rule = rule_over(gate, nsid, partition->first_lba,
				      partition->last_lba, RO);
	char label[sizeof(partition->label)], uuid[37];

	strcpy(label, partition->label);
	for (char *c = label; *c; c++)
		if ((u8)*c < ' ' || *c == 0x7f)
			*c = '?';
	nvme_io_uuid_format(partition->uuid, uuid);
	nvme_io_log(gate->host, NVME_IO_LOG_INFO,
		    "gate: n%u: %s PARTUUID=%s PARTLABEL=\"%s\"", nsid,
		    rule ? mode_names[rule->mode] : "rw", uuid, label);
}

static void tell_table(struct gate *gate, u32 nsid,
		       const struct nvme_io_table_info *info)
{
	for (u32 i = 0; i < info->n_partitions && i < TOLD_MAX; i++)
		tell_partition(gate, nsid, &info->partitions[i]);
}

/* True: by a rule that is stricter than rw. */
static bool apply_to_partition(struct gate *gate, u32 nsid,
			       const struct nvme_io_partition *partition)
{
	bool is_restricted = false;

	for (u32 i = 0; i < rule_count; i++) {
		if (!is_for(&rules[i], gate, nsid) ||
		    !nvme_io_selector_names(&rules[i].selector, partition))
			continue;
		is_restricted |= rules[i].mode != RW;
		if (restrict_blocks(gate, nsid, partition->first_lba,
				    partition->last_lba, &rules[i]))
			count_match(gate, &rules[i]);
	}
	return is_restricted;
}

/*
 * Where there is policy, the table that it goes by stays as it is - when the
 * guest is not about to write the rest of it. True: from now on.
 */
static bool apply_to_table(struct gate *gate, u32 nsid,
			   const struct nvme_io_table_info *info)
{
	u32 count = gate->extent_count;
	bool is_restricted = false;

	for (u32 i = 0; i < info->n_partitions; i++)
		is_restricted |= apply_to_partition(gate, nsid,
						    &info->partitions[i]);
	if (!gate->has_started || gate->extent_count != count)
		tell_table(gate, nsid, info);
	if (!is_restricted || (gate->has_started && !info->is_complete))
		return false;
	restrict_blocks(gate, nsid, 0, info->head_lbas - 1, &table_rule);
	restrict_blocks(gate, nsid, info->tail_lba, LAST_LBA, &table_rule);
	return true;
}

/* Rules for all blocks; for every rule when no partition can be told. */
static void apply_to_all(struct gate *gate, u32 nsid, bool is_blind)
{
	for (u32 i = 0; i < rule_count; i++) {
		if (!is_for(&rules[i], gate, nsid) ||
		    is_blind != names_partition(&rules[i]))
			continue;
		if (is_blind)
			gate->match_counts[i]++;
		else
			count_match(gate, &rules[i]);
		restrict_blocks(gate, nsid, 0, LAST_LBA, &rules[i]);
	}
}

/* Is there a rule, of at least this mode, that goes by its table? */
static bool wants_table(struct gate *gate, u32 nsid, enum mode mode)
{
	for (u32 i = 0; i < rule_count; i++)
		if (names_partition(&rules[i]) && rules[i].mode >= mode &&
		    is_for(&rules[i], gate, nsid))
			return true;
	return false;
}

static void lock_namespace(struct gate *gate, u32 nsid)
{
	nvme_io_log(gate->host, NVME_IO_LOG_ERROR,
		    "gate: n%u: rules name partitions, but where they are is "
		    "not known: the rules apply to all of n%u", nsid, nsid);
	apply_to_all(gate, nsid, true);
}

static void tell_unmatched(struct gate *gate)
{
	for (u32 i = 0; i < rule_count; i++) {
		bool is_elsewhere = __atomic_load_n(&rules[i].matched,
						    __ATOMIC_RELAXED);

		if (gate->match_counts[i] || !is_here(&rules[i], gate))
			continue;
		nvme_io_log(gate->host, is_elsewhere ? NVME_IO_LOG_INFO :
						       NVME_IO_LOG_WARN,
			    "gate: %s: matches nothing here (line %u)",
			    rules[i].text, rules[i].line);
	}
}

/* ---- Tables that the guest writes ------------------------------------ */

/* While there is half a table, its other half may be anywhere. */
static void watch(struct space *space, const struct nvme_io_table_info *info)
{
	bool is_half = info->state == NVME_IO_TABLE_BAD ||
		       info->state == NVME_IO_TABLE_UNREAD;

	space->head = is_half ? LAST_LBA : info->head_lbas;
	space->tail = is_half ? LAST_LBA : info->tail_lba;
}

static bool is_waited_for(const struct space *space)
{
	return space->write_count != space->read_count;
}

static void wait_for(struct gate *gate, struct space *space,
		     struct nvme_request *req)
{
	u64 *link = nvme_io_req_private(req, &gate->interceptor);

	*link = __atomic_load_n(&space->waiting, SEQ_CST);
	while (!__atomic_compare_exchange_n(&space->waiting, link, (u64)req,
					    true, SEQ_CST, SEQ_CST))
		;
}

/* The last first: commands have no order among each other. */
static void let_go(struct gate *gate, struct space *space)
{
	struct nvme_request *req, *next;

	req = (void *)__atomic_exchange_n(&space->waiting, 0, SEQ_CST);
	for (; req; req = next) {
		next = (void *)*nvme_io_req_private(req, &gate->interceptor);
		nvme_io_retry_guest_request(gate->host, req);
	}
}

/* Whatever is no good primary copy changes no rule: the guest may be in the
 * middle of writing it. */
static void finish_reading(struct gate *gate, struct space *space,
			   const struct nvme_io_table_info *info)
{
	watch(space, info);
	if (info->state == NVME_IO_TABLE_GOOD &&
	    apply_to_table(gate, space->nsid, info))
		space->is_open = false;
	space->read_count = gate->begun_count;
	__atomic_store_n(&gate->reading, NULL, SEQ_CST);
	if (!is_waited_for(space))
		let_go(gate, space);
}

static struct space *find_space(struct gate *gate, u32 nsid)
{
	for (u32 i = 0; i < gate->space_count; i++)
		if (gate->spaces[i].nsid == nsid)
			return &gate->spaces[i];
	return NULL;
}

static void table_read_again(struct nvme_host *host, u32 nsid,
			     const struct nvme_io_table_info *info, void *arg);

/* One at a time. NULL: none, or whoever is reading goes on with it. */
static struct space *begin_reading(struct gate *gate)
{
	struct space *space = gate->spaces, *end = space + gate->space_count;
	struct space *nobody = NULL;

	while (space < end && !is_waited_for(space))
		space++;
	if (space == end ||
	    !__atomic_compare_exchange_n(&gate->reading, &nobody, space,
					 false, SEQ_CST, SEQ_CST))
		return NULL;
	gate->begun_count = space->write_count;
	return space;
}

static void read_written(struct gate *gate)
{
	struct nvme_io_table_info unread = { .state = NVME_IO_TABLE_UNREAD };
	struct space *space;

	while ((space = begin_reading(gate))) {
		if (nvme_io_read_partitions(gate->host, space->nsid,
					    table_read_again, gate))
			return;
		finish_reading(gate, space, &unread);
	}
}

static void table_read_again(struct nvme_host *host, u32 nsid,
			     const struct nvme_io_table_info *info, void *arg)
{
	struct gate *gate = arg;

	finish_reading(gate, find_space(gate, nsid), info);
	read_written(gate);
}

static bool is_meant(const struct space *space,
		     const struct nvme_io_command *cmd)
{
	return cmd->admin || !cmd->nsid || cmd->nsid == ALL_NSIDS ||
	       cmd->nsid == space->nsid;
}

/* Does a command that comes now wait until a table has been read? */
static bool waits(struct gate *gate, struct nvme_request *req)
{
	const struct nvme_io_command *cmd = nvme_io_req_command(req);
	struct space *space = gate->spaces, *end = space + gate->space_count;

	while (space < end && !(is_waited_for(space) && is_meant(space, cmd)))
		space++;
	if (space == end)
		return false;
	nvme_io_pause_guest_request(req);
	wait_for(gate, space, req);
	/* Whoever has read it meanwhile may not have seen this one. */
	if (!is_waited_for(space))
		let_go(gate, space);
	read_written(gate);
	return true;
}

/*
 * Discards make no table; of other sets, only what names its blocks. First
 * of all: what is being read may not have had this, and what is to be watched
 * from then on is not known yet.
 */
static bool may_change_table(const struct gate *gate,
			     const struct space *space,
			     const struct nvme_io_command *cmd)
{
	bool is_read = __atomic_load_n(&gate->reading, SEQ_CST) == space;
	u64 last = cmd->lba + cmd->n_lbas - 1;

	if (cmd->effects & NVME_IO_UNKNOWN ||
	    (cmd->admin && cmd->effects & NVME_IO_WHOLE))
		return true;
	return cmd->effects & NVME_IO_WRITES &&
	       (is_read || cmd->lba < space->head || last >= space->tail ||
		last < cmd->lba);
}

static void on_complete(void *interceptor, struct nvme_request *req,
			const struct nvme_io_command *cmd,
			struct nvme_io_completion *completion)
{
	struct gate *gate = interceptor;

	for (u32 i = 0; i < gate->space_count; i++) {
		struct space *space = &gate->spaces[i];

		if (space->is_open && is_meant(space, cmd) &&
		    may_change_table(gate, space, cmd))
			space->write_count++;
	}
}

/* ---- on_init -------------------------------------------------------- */

static void next_namespace(struct gate *gate);

static void table_read(struct nvme_host *host, u32 nsid,
		       const struct nvme_io_table_info *info, void *arg)
{
	struct gate *gate = arg;
	struct space *space = find_space(gate, nsid);

	if (info->state == NVME_IO_TABLE_BAD ||
	    info->state == NVME_IO_TABLE_UNREAD) {
		lock_namespace(gate, nsid);
	} else if (!apply_to_table(gate, nsid, info) &&
		   wants_table(gate, nsid, RO)) {
		watch(space, info);
		space->is_open = true;
		gate->interceptor.needs |= NVME_IO_NEEDS_COMPLETIONS;
	}
	next_namespace(gate);
}

/* One after the other, each table's callback going on with the next. */
static void next_namespace(struct gate *gate)
{
	struct nvme_io_namespace ns;

	while (gate->space_count < NAMESPACE_MAX &&
	       !nvme_io_namespace_get(gate->host, gate->space_count, &ns)) {
		gate->spaces[gate->space_count++] =
			(struct space){ .nsid = ns.nsid };
		apply_to_all(gate, ns.nsid, false);
		if (!wants_table(gate, ns.nsid, RW))
			continue;
		if (nvme_io_read_partitions(gate->host, ns.nsid, table_read,
					    gate))
			return;
		lock_namespace(gate, ns.nsid);
	}
	tell_unmatched(gate);
	gate->has_started = true;
	nvme_io_start_fetching_g_reqs(gate->host);
}

static u8 on_init(void *interceptor)
{
	struct gate *gate = interceptor;

	gate->format_is_local = gate->is_watched = gate->has_started = false;
	gate->interceptor.needs = NEEDS;
	gate->extent_count = gate->space_count = 0;
	memset(gate->match_counts, 0, sizeof(gate->match_counts));
	for (u32 i = 0; i < rule_count; i++)
		if (rules[i].mode != RW && is_here(&rules[i], gate))
			gate->is_watched = true;
	next_namespace(gate);
	return 1;
}

/* ---- Refusing ------------------------------------------------------- */

/* A namespace that came after on_init() was not looked at for partitions: it
 * is closed until the guest resets the controller. */
static struct rule *judge(struct gate *gate,
			  const struct nvme_io_command *cmd,
			  const struct operation *operation)
{
	u32 nsid = cmd->nsid ? cmd->nsid : ALL_NSIDS;
	bool has_range = cmd->n_lbas &&
			 cmd->effects & (NVME_IO_READS | NVME_IO_WRITES);

	if (operation->reach == CONTROLLER)
		nsid = ALL_NSIDS;
	if (nsid != ALL_NSIDS && !find_space(gate, nsid))
		return &stranger_rule;
	if (operation->reach == RANGE && has_range)
		return rule_over(gate, nsid, cmd->lba,
				 cmd->lba + cmd->n_lbas - 1, operation->mode);
	return rule_over(gate, nsid, 0, LAST_LBA, operation->mode);
}

static void tell(struct gate *gate, const struct nvme_io_command *cmd,
		 const struct operation *operation, const struct rule *rule)
{
	char detail[48], line[24] = "";

	if (operation->status == NVME_IO_INVALID_OPCODE)
		snprintf(detail, sizeof(detail), " %02xh", cmd->opcode);
	else if (operation->reach == RANGE)
		snprintf(detail, sizeof(detail), " lba %lu+%u of n%u",
			 cmd->lba, cmd->n_lbas, cmd->nsid);
	else
		snprintf(detail, sizeof(detail), " for n%u", cmd->nsid);
	if (rule->line)
		snprintf(line, sizeof(line), " (line %u)", rule->line);
	nvme_io_log_limited(gate->host, NVME_IO_LOG_WARN,
			    "gate: %s: refused %s%s%s", rule->text,
			    operation->name, detail, line);
}

static u16 status_of(const struct operation *operation,
		     const struct rule *rule)
{
	if (operation->status)
		return operation->status;
	if (rule == &stranger_rule)
		return NVME_IO_INVALID_NAMESPACE;
	return rule->mode == NONE ? NVME_IO_ACCESS_DENIED :
				    NVME_IO_WRITE_PROTECTED;
}

/* The status to refuse with; NVME_IO_SUCCESS: let it pass. */
static u16 police(struct gate *gate, const struct nvme_io_command *cmd,
		  const struct operation *operation)
{
	struct rule *rule = NULL;

	if (gate->is_watched && operation)
		rule = judge(gate, cmd, operation);
	if (!rule)
		return NVME_IO_SUCCESS;
	__atomic_fetch_add(&rule->refused, 1, __ATOMIC_RELAXED);
	tell(gate, cmd, operation, rule);
	return status_of(operation, rule) | NVME_IO_DNR;
}

/* One of the ranges that stand in the command's data. */
static u16 police_range(struct gate *gate, const struct nvme_io_command *cmd,
			u64 lba, u32 n_lbas, const struct operation *operation)
{
	struct nvme_io_command part = *cmd;

	if (!n_lbas)
		return NVME_IO_SUCCESS;
	part.lba = lba;
	part.n_lbas = n_lbas;
	part.effects = NVME_IO_READS | NVME_IO_WRITES;
	return police(gate, &part, operation);
}

/* ---- Hooks ---------------------------------------------------------- */

static enum nvme_io_verdict answer(struct nvme_request *req, u16 status)
{
	if (status == NVME_IO_SUCCESS)
		return NVME_IO_PASS;
	nvme_io_set_status(req, status, 0);
	return NVME_IO_DONE;
}

static enum nvme_io_verdict on_command(void *interceptor,
				       struct nvme_request *req,
				       const struct nvme_io_command *cmd)
{
	struct gate *gate = interceptor;
	const struct operation *operation =
		classify(cmd, gate->format_is_local);

	if (operation && waits(gate, req))
		return NVME_IO_HOLD;
	return answer(req, police(gate, cmd, operation));
}

static u32 on_data_management(void *interceptor, struct nvme_request *req,
			      u32 nsid, struct nvme_io_range *ranges,
			      u32 buf_len, u32 n_ranges)
{
	const struct nvme_io_command *cmd = nvme_io_req_command(req);
	struct gate *gate = interceptor;
	u16 status;

	if (waits(gate, req))
		return n_ranges;
	status = police(gate, cmd, cmd->fuse ? &fused : NULL);
	for (u32 i = 0; i < n_ranges && !status; i++)
		status = police_range(gate, cmd, ranges[i].lba_start,
				      ranges[i].n_lbas, &discard_range);
	if (!status)
		return n_ranges;
	nvme_io_finish_guest_request(gate->host, req, status);
	return 0;
}

static enum nvme_io_verdict on_copy(void *interceptor,
				    struct nvme_request *req,
				    const struct nvme_io_command *cmd,
				    const struct nvme_io_copy_source *sources,
				    u32 n_sources)
{
	u32 descriptor_format = cmd->cdw12 >> 8 & 15;
	struct gate *gate = interceptor;
	u16 status;

	if (waits(gate, req))
		return NVME_IO_HOLD;
	status = police(gate, cmd, descriptor_format > 1 ?
			&copy_across : classify(cmd, false));
	for (u32 i = 0; i < n_sources && !status; i++)
		status = police_range(gate, cmd, sources[i].lba_start,
				      sources[i].n_lbas, &copy_source);
	return answer(req, status);
}

static void identify_controller(struct gate *gate, u8 *data)
{
	bool is_local = formats_locally(data);

	gate->format_is_local = is_local;
	if (rule_over(gate, ALL_NSIDS, 0, LAST_LBA, RO))
		withdraw(data, is_local);
}

/* NSATTR bit 0: the OS mounts read-only instead of failing later. */
static void on_identify(void *interceptor, u8 cns, u32 nsid, u16 controller_id,
			void *data)
{
	struct gate *gate = interceptor;
	u8 *bytes = data;

	if (cns == 0x01)
		identify_controller(gate, bytes);
	else if ((cns == 0x00 || cns == 0x11) && is_read_only(gate, nsid))
		bytes[99] |= 1;
	else if (cns == 0x08 && is_read_only(gate, nsid))
		bytes[8] |= 1;
}

static void tell_count(struct gate *gate, struct rule *rule)
{
	u64 refused = __atomic_load_n(&rule->refused, __ATOMIC_RELAXED);
	u64 told = __atomic_exchange_n(&rule->told, refused, __ATOMIC_RELAXED);

	if (refused != told)
		nvme_io_log(gate->host, NVME_IO_LOG_INFO,
			    "gate: %s: %lu commands refused so far",
			    rule->text, refused);
}

static u8 can_stop(void *interceptor)
{
	struct gate *gate = interceptor;

	for (u32 i = 0; i < rule_count; i++)
		tell_count(gate, &rules[i]);
	tell_count(gate, &table_rule);
	tell_count(gate, &stranger_rule);
	return 1;
}

/* Without a rule there is nothing to stand in the way for. */
static int attach(struct nvme_host *host)
{
	struct gate *gate;
	phys_t phys;

	if (!rule_count)
		return 0;
	gate = nvme_io_alloc_pages(host, (sizeof(*gate) + 4095) / 4096, &phys);
	if (!gate)
		return -1;
	gate->host = host;
	gate->interceptor = (struct nvme_io_interceptor){
		.interceptor = gate,
		.on_init = on_init,
		.on_data_management = on_data_management,
		.can_stop = can_stop,
		.needs = NEEDS,
		.on_command = on_command,
		.on_copy = on_copy,
		.on_complete = on_complete,
		.on_identify = on_identify,
	};
	nvme_io_install_interceptor(host, &gate->interceptor);
	return 0;
}

static const struct nvme_io_plugin plugin = {
	.name = "gate",
	.configure = configure,
	.attach = attach,
};
NVME_IO_PLUGIN(plugin);
