/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gate: which partitions and namespaces the guest may change or see.
 *
 *	gate = ro PARTUUID=1b2c0f6a-...		rw | ro | none, and what
 *	gate = none PARTLABEL="my data"		quoted: it has a space
 *	gate = ro QF0:n1			all of a namespace: SERIAL:nNSID
 *	gate = ro QF0:n1 PARTLABEL=data		a partition, there only
 *
 * Where rules overlap, the strictest wins. Every command, admin and I/O, is
 * looked up in a list of what it can do; what is not on the list is refused
 * where a rule restricts anything, and so is what reaches across a boundary.
 * A namespace whose table cannot be used while rules name partitions is
 * restricted as a whole: the guest could have broken the table itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme_io.h"

#define RULE_MAX 64
#define NAMESPACE_MAX 1024
#define EXTENT_MAX 512
#define TOLD_MAX 16		/* partitions of a namespace in the log */
#define ALL_NSIDS 0xffffffffu
#define LAST_LBA (~0ul)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum mode { RW, RO, NONE };	/* the stricter, the greater */

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

/*
 * A controller. Built by on_init(); while the guest's commands come only
 * format_is_local changes, which is atomic. A few extents and namespaces are
 * usual: they are looked through from end to end.
 */
struct gate {
	struct nvme_host *host;
	struct nvme_io_interceptor interceptor;
	bool is_watched;	/* some rule may restrict something here */
	bool format_is_local;	/* Format reaches one namespace only */
	u32 match_counts[RULE_MAX];
	u32 extent_count;
	struct extent extents[EXTENT_MAX];
	u32 nsid_count;
	u32 nsids[NAMESPACE_MAX];	/* looked at, or being looked at */
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

/* Without room for all of them, all blocks of the controller are refused. */
static void refuse_all(struct gate *gate)
{
	if (gate->extents[0].rule == &full_rule)
		return;
	gate->extents[0] = (struct extent){
		ALL_NSIDS, 0, LAST_LBA, &full_rule,
	};
	nvme_io_log(gate->host, NVME_IO_LOG_ERROR,
		    "gate: more than %u extents: all is refused", EXTENT_MAX);
}

static void restrict_blocks(struct gate *gate, u32 nsid, u64 first, u64 last,
			    struct rule *rule)
{
	if (rule->mode == RW)
		return;
	if (gate->extent_count == EXTENT_MAX)
		refuse_all(gate);
	else
		gate->extents[gate->extent_count++] =
			(struct extent){ nsid, first, last, rule };
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
	struct rule *found = NULL;

	if (last < first)
		last = LAST_LBA;
	for (u32 i = 0; i < gate->extent_count; i++) {
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
	for (u32 i = 0; i < gate->extent_count; i++) {
		const struct extent *extent = &gate->extents[i];

		if (is_in(extent, nsid) && !extent->first &&
		    extent->last == LAST_LBA)
			return true;
	}
	return false;
}

/* ---- on_init: from rules to extents --------------------------------- */

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

static void apply_to_partition(struct gate *gate, u32 nsid,
			       const struct nvme_io_partition *partition)
{
	for (u32 i = 0; i < rule_count; i++) {
		if (!is_for(&rules[i], gate, nsid) ||
		    !nvme_io_selector_names(&rules[i].selector, partition))
			continue;
		count_match(gate, &rules[i]);
		restrict_blocks(gate, nsid, partition->first_lba,
				partition->last_lba, &rules[i]);
	}
}

/* Where there is policy, the table that it goes by stays as it is. */
static void apply_to_table(struct gate *gate, u32 nsid,
			   const struct nvme_io_table_info *info)
{
	u32 count = gate->extent_count;

	for (u32 i = 0; i < info->n_partitions; i++)
		apply_to_partition(gate, nsid, &info->partitions[i]);
	if (gate->extent_count != count) {
		restrict_blocks(gate, nsid, 0, info->head_lbas - 1,
				&table_rule);
		restrict_blocks(gate, nsid, info->tail_lba, LAST_LBA,
				&table_rule);
	}
	for (u32 i = 0; i < info->n_partitions && i < TOLD_MAX; i++)
		tell_partition(gate, nsid, &info->partitions[i]);
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

static bool wants_table(struct gate *gate, u32 nsid)
{
	for (u32 i = 0; i < rule_count; i++)
		if (names_partition(&rules[i]) &&
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

static void next_namespace(struct gate *gate);

static void table_read(struct nvme_host *host, u32 nsid,
		       const struct nvme_io_table_info *info, void *arg)
{
	struct gate *gate = arg;

	(void)host;
	if (info->state == NVME_IO_TABLE_BAD ||
	    info->state == NVME_IO_TABLE_UNREAD)
		lock_namespace(gate, nsid);
	else
		apply_to_table(gate, nsid, info);
	next_namespace(gate);
}

/* One after the other, each table's callback going on with the next. */
static void next_namespace(struct gate *gate)
{
	struct nvme_io_namespace ns;

	while (gate->nsid_count < NAMESPACE_MAX &&
	       !nvme_io_namespace_get(gate->host, gate->nsid_count, &ns)) {
		gate->nsids[gate->nsid_count++] = ns.nsid;
		apply_to_all(gate, ns.nsid, false);
		if (!wants_table(gate, ns.nsid))
			continue;
		if (nvme_io_read_partitions(gate->host, ns.nsid, table_read,
					    gate))
			return;
		lock_namespace(gate, ns.nsid);
	}
	tell_unmatched(gate);
	nvme_io_start_fetching_g_reqs(gate->host);
}

static u8 on_init(void *interceptor)
{
	struct gate *gate = interceptor;

	gate->is_watched = gate->format_is_local = false;
	gate->extent_count = gate->nsid_count = 0;
	memset(gate->match_counts, 0, sizeof(gate->match_counts));
	for (u32 i = 0; i < rule_count; i++)
		if (rules[i].mode != RW && is_here(&rules[i], gate))
			gate->is_watched = true;
	next_namespace(gate);
	return 1;
}

/* ---- What commands can do ------------------------------------------- */

enum reach {
	RANGE,		/* the blocks of the command */
	NAMESPACE,	/* any block of its namespace */
	CONTROLLER,	/* any block of any namespace, whatever its nsid */
};

struct operation {
	u8 opcode;
	enum reach reach;
	enum mode mode;		/* the least that forbids it */
	u16 status;		/* 0: what the rule's mode says */
	const char *name;
};

#define WRITES RO
#define READS NONE

#define WRITE_ZEROES 0x08
#define WHOLE_NAMESPACE (1u << 23)	/* NSZ: whatever the range says */
#define SET_FEATURES 0x09
#define FORMAT 0x80

/* NVM command set 1.0, 3; zoned namespace command set 1.1, 3. */
static const struct operation io_operations[] = {
	{ 0x02, RANGE, READS, 0, "Read" },
	{ 0x01, RANGE, WRITES, 0, "Write" },
	{ 0x04, RANGE, WRITES, 0, "Write Uncorrectable" },
	{ 0x05, RANGE, READS, 0, "Compare" },
	{ WRITE_ZEROES, RANGE, WRITES, 0, "Write Zeroes" },
	{ 0x09, NAMESPACE, WRITES, 0, "Dataset Management" },
	{ 0x0c, RANGE, READS, 0, "Verify" },
	{ 0x0e, NAMESPACE, READS, 0, "Reservation Report" },
	{ 0x19, RANGE, WRITES, 0, "Copy" },
	/* Zones have sizes that gate does not know. */
	{ 0x79, NAMESPACE, WRITES, 0, "Zone Management Send" },
	{ 0x7a, NAMESPACE, READS, 0, "Zone Management Receive" },
	{ 0x7d, NAMESPACE, WRITES, 0, "Zone Append" },
};

static const struct operation admin_operations[] = {
	{ 0x0d, CONTROLLER, WRITES, 0, "Namespace Management" },
	{ 0x15, CONTROLLER, WRITES, 0, "Namespace Attachment" },
	{ FORMAT, CONTROLLER, WRITES, 0, "Format NVM" },
	{ 0x84, CONTROLLER, WRITES, 0, "Sanitize" },
	{ 0x86, NAMESPACE, READS, 0, "Get LBA Status" },
};

/*
 * Commands that touch no block and no policy: Flush, and of the admin set
 * queues, log pages, Identify, Abort, Get Features, AER, Keep Alive and the
 * doorbell buffer. Security, firmware, directives, self-test, NVMe-MI,
 * virtualization, reservations and a vendor's own are not among them: nobody
 * outside the drive can tell what they do to its blocks.
 */
static const u8 harmless_io[] = { 0x00 };
static const u8 harmless_admin[] = {
	0x00, 0x01, 0x02, 0x04, 0x05, 0x06, 0x08, 0x0a, 0x0c, 0x18, 0x7c,
};

/*
 * Likewise features. Not here: namespace write protection (84h), which is
 * the owner's and may be for ever; LBA ranges, sanitize, a vendor's own.
 */
static const u8 harmless_features[] = {
	0x01, 0x02, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d,
	0x0e, 0x0f, 0x10, 0x11, 0x16, 0x80, 0x81, 0x82, 0x83,
};

static const struct operation unknown_io = {
	0, NAMESPACE, WRITES, NVME_IO_INVALID_OPCODE, "I/O opcode",
};
static const struct operation unknown_admin = {
	0, CONTROLLER, WRITES, NVME_IO_INVALID_OPCODE, "admin opcode",
};
static const struct operation set_other_feature = {
	SET_FEATURES, CONTROLLER, WRITES, NVME_IO_FEATURE_NOT_CHANGEABLE,
	"Set Features",
};
static const struct operation zero_namespace = {
	WRITE_ZEROES, NAMESPACE, WRITES, 0, "Write Zeroes",
};
static const struct operation local_format = {
	FORMAT, NAMESPACE, WRITES, 0, "Format NVM",
};
static const struct operation fused = {
	0, CONTROLLER, WRITES, NVME_IO_INVALID_FIELD, "fused command",
};
static const struct operation discard_range = {
	0x09, RANGE, WRITES, 0, "Dataset Management",
};
static const struct operation copy_source = {
	0x19, RANGE, READS, 0, "Copy from",
};
/* Descriptor formats 2 and 3 name other namespaces (NVM 1.1, 3.3.2). */
static const struct operation copy_across = {
	0x19, CONTROLLER, WRITES, NVME_IO_INVALID_FIELD, "Copy across",
};

#define IS_AMONG(opcode, list) (memchr(list, opcode, sizeof(list)) != NULL)

static const struct operation *find(const struct operation *list, size_t count,
				    u8 opcode, const struct operation *unknown)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].opcode == opcode)
			return &list[i];
	return unknown;
}

static const struct operation *classify_admin(struct gate *gate,
					      const struct nvme_io_command *cmd)
{
	if (IS_AMONG(cmd->opcode, harmless_admin))
		return NULL;
	if (cmd->opcode == SET_FEATURES)
		return IS_AMONG((u8)cmd->cdw10, harmless_features) ?
		       NULL : &set_other_feature;
	if (cmd->opcode == FORMAT &&
	    __atomic_load_n(&gate->format_is_local, __ATOMIC_RELAXED))
		return &local_format;
	return find(admin_operations, COUNT(admin_operations), cmd->opcode,
		    &unknown_admin);
}

/*
 * NULL: harmless. Half of a fused pair cannot be refused without the other,
 * which may have passed: where there is policy, pairs are not taken at all.
 */
static const struct operation *classify(struct gate *gate,
					const struct nvme_io_command *cmd)
{
	if (cmd->fuse)
		return &fused;
	if (cmd->admin)
		return classify_admin(gate, cmd);
	if (cmd->effects & NVME_IO_UNKNOWN)	/* another command set */
		return &unknown_io;
	if (IS_AMONG(cmd->opcode, harmless_io))
		return NULL;
	if (cmd->opcode == WRITE_ZEROES && cmd->cdw12 & WHOLE_NAMESPACE)
		return &zero_namespace;
	return find(io_operations, COUNT(io_operations), cmd->opcode,
		    &unknown_io);
}

/* ---- Refusing ------------------------------------------------------- */

static bool is_known(const struct gate *gate, u32 nsid)
{
	for (u32 i = 0; i < gate->nsid_count; i++)
		if (gate->nsids[i] == nsid)
			return true;
	return nsid == ALL_NSIDS;
}

/* A namespace that came after on_init() was not looked at for partitions: it
 * is closed until the guest resets the controller. */
static struct rule *judge(const struct gate *gate,
			  const struct nvme_io_command *cmd,
			  const struct operation *operation)
{
	u32 nsid = cmd->nsid ? cmd->nsid : ALL_NSIDS;
	bool has_range = cmd->n_lbas &&
			 cmd->effects & (NVME_IO_READS | NVME_IO_WRITES);

	if (operation->reach == CONTROLLER)
		nsid = ALL_NSIDS;
	if (!is_known(gate, nsid))
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
	struct rule *rule;

	if (!gate->is_watched || !operation)
		return NVME_IO_SUCCESS;
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

	return answer(req, police(gate, cmd, classify(gate, cmd)));
}

static u32 on_data_management(void *interceptor, struct nvme_request *req,
			      u32 nsid, struct nvme_io_range *ranges,
			      u32 buf_len, u32 n_ranges)
{
	const struct nvme_io_command *cmd = nvme_io_req_command(req);
	struct gate *gate = interceptor;
	u16 status = police(gate, cmd, cmd->fuse ? &fused : NULL);

	(void)nsid;
	(void)buf_len;
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
	u16 status = police(gate, cmd, descriptor_format > 1 ?
			    &copy_across : classify(gate, cmd));

	for (u32 i = 0; i < n_sources && !status; i++)
		status = police_range(gate, cmd, sources[i].lba_start,
				      sources[i].n_lbas, &copy_source);
	return answer(req, status);
}

/* Identify Controller (base 2.0, figure 275), by byte. */
#define OACS 256		/* of its 8 bits, 1 is Format NVM */
#define OACS_LOCKDOWN 0x04	/* in the byte after */
#define SANICAP 328		/* 4 bytes */
#define ONCS 520
#define ONCS_RESERVATIONS 0x20
#define FUSES 522		/* 2 bytes */
#define FNA 524
#define FNA_ALL_NAMESPACES 0x03	/* Format, and secure erase */

/* What is refused anyway is not offered. */
static void identify_controller(struct gate *gate, u8 *data)
{
	bool is_local = !(data[FNA] & FNA_ALL_NAMESPACES);

	__atomic_store_n(&gate->format_is_local, is_local, __ATOMIC_RELAXED);
	if (!rule_over(gate, ALL_NSIDS, 0, LAST_LBA, RO))
		return;
	data[OACS] &= is_local ? 0x02 : 0;
	data[OACS + 1] &= (u8)~OACS_LOCKDOWN;
	data[ONCS] &= (u8)~ONCS_RESERVATIONS;
	memset(&data[SANICAP], 0, 4);
	memset(&data[FUSES], 0, 2);
}

/* NSATTR bit 0: the OS mounts read-only instead of failing later. */
static void on_identify(void *interceptor, u8 cns, u32 nsid, u16 controller_id,
			void *data)
{
	struct gate *gate = interceptor;
	u8 *bytes = data;

	(void)controller_id;
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

	if (!rule_count)
		return 0;
	gate = calloc(1, sizeof(*gate));
	if (!gate)
		return -1;
	gate->host = host;
	gate->interceptor = (struct nvme_io_interceptor){
		.interceptor = gate,
		.on_init = on_init,
		.on_data_management = on_data_management,
		.can_stop = can_stop,
		.needs = NVME_IO_NEEDS_HOST_REQUESTS | NVME_IO_CONCURRENT,
		.on_command = on_command,
		.on_copy = on_copy,
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
