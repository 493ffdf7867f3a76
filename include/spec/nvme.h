/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * NVM Express 1.4, with command sets (CSI) as in NVM Express 2.0. Section
 * numbers are those of revision 1.4 unless "2.0" stands before them.
 */
#ifndef SLUICE_SPEC_NVME_H
#define SLUICE_SPEC_NVME_H

#include "bits.h"
#include "types.h"

#define NVME_CLASS_CODE 0x010802u	/* 2.1.5 */

/* ---- Controller registers, 3.1 ---------------------------------------- */

#define NVME_REG_CAP 0x00
#define NVME_REG_VS 0x08
#define NVME_REG_INTMS 0x0c
#define NVME_REG_INTMC 0x10
#define NVME_REG_CC 0x14
#define NVME_REG_CSTS 0x1c
#define NVME_REG_NSSR 0x20
#define NVME_REG_AQA 0x24
#define NVME_REG_ASQ 0x28
#define NVME_REG_ACQ 0x30
#define NVME_REG_CMBLOC 0x38		/* first of what stays hidden: CMB, */
#define NVME_REG_CRTO 0x68		/* boot partitions, NSSD; 2.0: 3.1.4 */
#define NVME_REG_PMRCAP 0xe00
#define NVME_REG_PMR_END 0xe20
#define NVME_REG_DOORBELLS 0x1000	/* 3.1.24 */

#define NVME_CAP_MQES BITS(15, 0)
#define NVME_CAP_CQR BIT(16)
#define NVME_CAP_TO BITS(31, 24)	/* 500 ms */
#define NVME_CAP_DSTRD BITS(35, 32)	/* doorbell stride: 4 << n bytes */
#define NVME_CAP_NSSRS BIT(36)
#define NVME_CAP_CSS BITS(44, 37)
#define NVME_CAP_BPS BIT(45)
#define NVME_CAP_MPSMIN BITS(51, 48)	/* 4096 << n bytes */
#define NVME_CAP_MPSMAX BITS(55, 52)
#define NVME_CAP_PMRS BIT(56)
#define NVME_CAP_CMBS BIT(57)
#define NVME_CAP_NSSS BIT(58)		/* 2.0: 3.1.3.1 */
#define NVME_CAP_CRIMS BIT(60)

#define NVME_CC_EN BIT(0)
#define NVME_CC_CSS BITS(6, 4)
#define NVME_CC_MPS BITS(10, 7)
#define NVME_CC_AMS BITS(13, 11)
#define NVME_CC_SHN BITS(15, 14)
#define NVME_CC_IOSQES BITS(19, 16)
#define NVME_CC_IOCQES BITS(23, 20)
#define NVME_CC_CSS_ALL 6		/* 2.0: all supported I/O sets */

#define NVME_CSTS_RDY BIT(0)
#define NVME_CSTS_CFS BIT(1)
#define NVME_CSTS_SHST BITS(3, 2)
#define NVME_CSTS_NSSRO BIT(4)

#define NVME_AQA_ASQS BITS(11, 0)	/* 0's based */
#define NVME_AQA_ACQS BITS(27, 16)

/* ---- Queue entries, 4.2 and 4.6 ---------------------------------------- */

#define NVME_SQE_SIZE_LOG2 6
#define NVME_CQE_SIZE_LOG2 4

/* SGL descriptor, 4.4 */
struct nvme_sgl {
	u64 address;
	u32 length;		/* of a segment: bytes of its descriptors */
	u8 reserved[3];
	u8 type;
};
_Static_assert(sizeof(struct nvme_sgl) == 16, "4.4");
_Static_assert(offsetof(struct nvme_sgl, type) == 15, "4.4");

/* Type in 7:4, subtype 0 in 3:0: the address is one of memory. */
#define NVME_SGL_DATA_BLOCK 0x00
#define NVME_SGL_BIT_BUCKET 0x10
#define NVME_SGL_SEGMENT 0x20
#define NVME_SGL_LAST_SEGMENT 0x30

struct nvme_sqe {
	u8 opcode;
	u8 flags;		/* FUSE in 1:0, PSDT in 7:6 */
	u16 cid;
	u32 nsid;
	u32 cdw2, cdw3;
	u64 mptr;
	union {			/* PSDT says which */
		struct {
			u64 prp1, prp2;
		};
		struct nvme_sgl sgl;
	};
	u32 cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};
_Static_assert(sizeof(struct nvme_sqe) == 64, "4.2");
_Static_assert(offsetof(struct nvme_sqe, prp1) == 24, "4.2");
_Static_assert(offsetof(struct nvme_sqe, cdw10) == 40, "4.2");

#define NVME_SQE_FUSE BITS(1, 0)
#define NVME_SQE_PSDT BITS(7, 6)
#define NVME_PSDT_PRP 0
#define NVME_PSDT_SGL 1			/* MPTR is an address */

struct nvme_cqe {
	u32 result;
	u32 reserved;
	u16 sq_head;
	u16 sq_id;
	u16 cid;
	u16 status;		/* phase in bit 0 */
};
_Static_assert(sizeof(struct nvme_cqe) == 16, "4.6");
_Static_assert(offsetof(struct nvme_cqe, status) == 14, "4.6");

#define NVME_NSID_ALL 0xffffffffu

/* ---- Status: SCT << 8 | SC, 4.6.1 --------------------------------------- */

#define NVME_SC_SUCCESS 0x000
#define NVME_SC_INVALID_OPCODE 0x001
#define NVME_SC_INVALID_FIELD 0x002
#define NVME_SC_TRANSFER_ERROR 0x004
#define NVME_SC_INTERNAL_ERROR 0x006
#define NVME_SC_ABORTED 0x007
#define NVME_SC_INVALID_NAMESPACE 0x00b
#define NVME_SC_SEQUENCE_ERROR 0x00c
#define NVME_SC_SGL_SEGMENT_INVALID 0x00d
#define NVME_SC_SGL_COUNT_INVALID 0x00e
#define NVME_SC_SGL_LENGTH_INVALID 0x00f
#define NVME_SC_SGL_TYPE_INVALID 0x011
#define NVME_SC_PRP_OFFSET_INVALID 0x013
#define NVME_SC_LBA_OUT_OF_RANGE 0x080
#define NVME_SC_CQ_INVALID 0x100
#define NVME_SC_QUEUE_ID_INVALID 0x101
#define NVME_SC_QUEUE_SIZE_INVALID 0x102
#define NVME_SC_AER_LIMIT_EXCEEDED 0x105
#define NVME_SC_VECTOR_INVALID 0x108
#define NVME_SC_QUEUE_DELETION_INVALID 0x10c
#define NVME_SC_DNR 0x4000

/* ---- Opcodes, 5 and 6 ---------------------------------------------------- */

enum nvme_admin_opcode {
	NVME_ADMIN_DELETE_SQ = 0x00,
	NVME_ADMIN_CREATE_SQ = 0x01,
	NVME_ADMIN_GET_LOG_PAGE = 0x02,
	NVME_ADMIN_DELETE_CQ = 0x04,
	NVME_ADMIN_CREATE_CQ = 0x05,
	NVME_ADMIN_IDENTIFY = 0x06,
	NVME_ADMIN_ABORT = 0x08,
	NVME_ADMIN_SET_FEATURES = 0x09,
	NVME_ADMIN_GET_FEATURES = 0x0a,
	NVME_ADMIN_ASYNC_EVENT = 0x0c,
	NVME_ADMIN_NS_MANAGEMENT = 0x0d,
	NVME_ADMIN_FIRMWARE_COMMIT = 0x10,
	NVME_ADMIN_FIRMWARE_DOWNLOAD = 0x11,
	NVME_ADMIN_SELF_TEST = 0x14,
	NVME_ADMIN_NS_ATTACHMENT = 0x15,
	NVME_ADMIN_KEEP_ALIVE = 0x18,
	NVME_ADMIN_DIRECTIVE_SEND = 0x19,
	NVME_ADMIN_DIRECTIVE_RECEIVE = 0x1a,
	NVME_ADMIN_VIRTUALIZATION = 0x1c,
	NVME_ADMIN_MI_SEND = 0x1d,
	NVME_ADMIN_MI_RECEIVE = 0x1e,
	NVME_ADMIN_CAPACITY = 0x20,	/* 2.0 */
	NVME_ADMIN_LOCKDOWN = 0x24,	/* 2.0 */
	NVME_ADMIN_DOORBELL_BUFFER = 0x7c,
	NVME_ADMIN_FORMAT = 0x80,
	NVME_ADMIN_SECURITY_SEND = 0x81,
	NVME_ADMIN_SECURITY_RECEIVE = 0x82,
	NVME_ADMIN_SANITIZE = 0x84,
	NVME_ADMIN_GET_LBA_STATUS = 0x86,
	NVME_ADMIN_VENDOR = 0xc0,	/* and above */
};

enum nvme_io_opcode {
	NVME_CMD_FLUSH = 0x00,
	NVME_CMD_WRITE = 0x01,
	NVME_CMD_READ = 0x02,
	NVME_CMD_WRITE_UNCORRECTABLE = 0x04,
	NVME_CMD_COMPARE = 0x05,
	NVME_CMD_WRITE_ZEROES = 0x08,
	NVME_CMD_DSM = 0x09,
	NVME_CMD_VERIFY = 0x0c,
	NVME_CMD_RESERVATION_REGISTER = 0x0d,
	NVME_CMD_RESERVATION_REPORT = 0x0e,
	NVME_CMD_RESERVATION_ACQUIRE = 0x11,
	NVME_CMD_RESERVATION_RELEASE = 0x15,
	NVME_CMD_COPY = 0x19,			/* 2.0 */
	NVME_CMD_ZONE_MANAGEMENT_SEND = 0x79,	/* Zoned Namespaces 1.1 */
	NVME_CMD_ZONE_MANAGEMENT_RECEIVE = 0x7a,
	NVME_CMD_ZONE_APPEND = 0x7d,
	NVME_CMD_VENDOR = 0x80,			/* and above */
};

/* Opcode bits 1:0 of vendor commands: transfer direction, 4.2.1. */
#define NVME_OPCODE_DIRECTION BITS(1, 0)
#define NVME_OPCODE_NO_DATA 0
#define NVME_OPCODE_TO_DEVICE 1
#define NVME_OPCODE_FROM_DEVICE 2
#define NVME_OPCODE_BOTH 3

/* Get Log Page, 5.14: CDW10 and CDW11. */
#define NVME_LOG_ID BITS(7, 0)
#define NVME_LOG_LSP BITS(11, 8)
#define NVME_LOG_NUMDL BITS(31, 16)
#define NVME_LOG_NUMDU BITS(15, 0)
#define NVME_LOG_LSI BITS(31, 16)

#define NVME_COPY_FORMAT BITS(11, 8)	/* CDW12 */
#define NVME_COPY_LBA 8		/* bytes into a source descriptor */
#define NVME_COPY_BLOCKS 16
#define NVME_RW_PRACT BIT(29)		/* CDW12, 6.9 */
#define NVME_ZONE_SEND_ACTION BITS(7, 0)	/* CDW13 */
#define NVME_ZONE_SET_EXTENSION 0x10

/* ---- Create and delete queues, 5.3 to 5.6 --------------------------------- */

#define NVME_QUEUE_ID BITS(15, 0)	/* CDW10 */
#define NVME_QUEUE_SIZE BITS(31, 16)	/* CDW10, 0's based */
#define NVME_QUEUE_PC BIT(0)		/* CDW11 */
#define NVME_CQ_IEN BIT(1)		/* CDW11 */
#define NVME_CQ_IV BITS(31, 16)		/* CDW11 */
#define NVME_SQ_CQID BITS(31, 16)	/* CDW11 */

#define NVME_ABORT_SQID BITS(15, 0)	/* CDW10, 5.1 */
#define NVME_ABORT_CID BITS(31, 16)
#define NVME_ABORT_NOT_DONE BIT(0)	/* result */

/* ---- Features, 5.21 -------------------------------------------------------- */

#define NVME_FEATURE_ID BITS(7, 0)	/* CDW10 */
#define NVME_FEATURE_SELECT BITS(10, 8)	/* CDW10 of Get Features */
#define NVME_FEATURE_SELECT_SUPPORTED 3
#define NVME_FEATURE_IS_CHANGEABLE BIT(2)	/* result of that */

#define NVME_FEATURE_ARBITRATION 0x01
#define NVME_FEATURE_LBA_RANGE 0x03
#define NVME_FEATURE_QUEUE_COUNT 0x07
#define NVME_FEATURE_POWER_TRANSITION 0x0c
#define NVME_FEATURE_HOST_MEMORY 0x0d
#define NVME_FEATURE_TIMESTAMP 0x0e
#define NVME_FEATURE_PREDICTABLE 0x13
#define NVME_FEATURE_HOST_BEHAVIOR 0x16
#define NVME_FEATURE_COMMAND_SETS 0x19	/* 2.0 */
#define NVME_FEATURE_ENHANCED_METADATA 0x7d
#define NVME_FEATURE_NS_METADATA 0x7f
#define NVME_FEATURE_HOST_ID 0x81
#define NVME_HOST_ID_EXTENDED BIT(0)	/* CDW11 */
#define NVME_FEATURE_VENDOR 0xc0	/* and above */

#define NVME_HOST_MEMORY_ENABLE BIT(0)	/* CDW11, 5.21.1.13 */

/* Host memory descriptor: address and size in pages of CC.MPS. */
struct nvme_host_memory {
	u64 address;
	u32 size, reserved;
};
_Static_assert(sizeof(struct nvme_host_memory) == 16, "5.21.1.13");

/* What Get Features tells of it, the beginning of 4096 bytes. */
struct nvme_host_memory_attributes {
	u32 size, list_low, list_high, count;
};

#define NVME_QUEUE_COUNT_SQ BITS(15, 0)	/* CDW11 and result, 0's based */
#define NVME_QUEUE_COUNT_CQ BITS(31, 16)

/* Asynchronous event, completion dword 0, 5.2.1 */
#define NVME_EVENT_TYPE BITS(2, 0)
#define NVME_EVENT_INFO BITS(15, 8)
#define NVME_EVENT_NOTICE 2
#define NVME_EVENT_NS_CHANGED 0

/* ---- Identify, 5.15 ---------------------------------------------------------- */

#define NVME_IDENTIFY_SIZE 4096
#define NVME_IDENTIFY_CNS BITS(7, 0)	/* CDW10 */
#define NVME_IDENTIFY_CNTID BITS(31, 16)	/* CDW10 */

#define NVME_CNS_NAMESPACE 0x00
#define NVME_CNS_CONTROLLER 0x01
#define NVME_CNS_ACTIVE_NAMESPACES 0x02
#define NVME_CNS_DESCRIPTORS 0x03
#define NVME_CNS_NVM_NAMESPACE 0x05	/* with CSI 0; NVM 1.0, 4.1.5.3 */
#define NVME_CNS_ALLOCATED_NAMESPACE 0x11

struct nvme_id_ctrl {
	u16 vid, ssvid;
	char serial[20], model[40], firmware[8];
	u8 rab, ieee[3], cmic, mdts;
	u16 cntlid;
	u32 version;
	u8 reserved84[12];
	u32 ctratt;		/* 96 */
	u8 reserved100[156];
	u16 oacs;		/* 256 */
	u8 acl, aerl, frmw, lpa, elpe, npss;
	u8 avscc, apsta;
	u16 wctemp, cctemp, mtfa;
	u32 hmpre, hmmin;	/* 272 */
	u8 reserved280[52];
	u32 hmminds;		/* 332 */
	u16 hmmaxd;
	u8 reserved338[174];
	u8 sqes, cqes;		/* 512 */
	u16 maxcmd;
	u32 nn;
	u16 oncs, fuses;
	u8 fna, vwc;
	u16 awun, awupf;
	u8 icsvscc, nwpc;
	u16 acwu, ocfs;
	u32 sgls;		/* 536 */
	u32 mnan;
	u8 reserved544[3552];
};
_Static_assert(sizeof(struct nvme_id_ctrl) == 4096, "5.15.2.2");
_Static_assert(offsetof(struct nvme_id_ctrl, ctratt) == 96, "5.15.2.2");
_Static_assert(offsetof(struct nvme_id_ctrl, oacs) == 256, "5.15.2.2");
_Static_assert(offsetof(struct nvme_id_ctrl, hmpre) == 272, "5.15.2.2");
_Static_assert(offsetof(struct nvme_id_ctrl, hmminds) == 332, "5.15.2.2");
_Static_assert(offsetof(struct nvme_id_ctrl, sgls) == 536, "5.15.2.2");

#define NVME_CTRATT_ELBAS BIT(15)	/* struct nvme_id_ns_nvm; 2.0 */
#define NVME_OCFS_KNOWN BITS(1, 0)	/* Copy formats 0 and 1 */
#define NVME_SGLS_SUPPORT BITS(1, 0)
#define NVME_SGLS_THRESHOLD BITS(15, 8)
#define NVME_SGLS_BIT_BUCKET BIT(16)
#define NVME_SGLS_METADATA_BYTES BIT(17)	/* MPTR of any alignment */
#define NVME_SGLS_LONGER BIT(18)	/* than the transfer */
#define NVME_OACS_MI BIT(6)
#define NVME_OACS_VIRTUALIZATION BIT(7)
#define NVME_OACS_DOORBELL_BUFFER BIT(8)

struct nvme_id_ns {
	u64 nsze, ncap, nuse;
	u8 nsfeat, nlbaf, flbas, mc, dpc, dps, nmic, rescap;
	u8 reserved32[42];
	u16 mssrl;		/* 74; 2.0 */
	u32 mcl;
	u8 msrc;		/* 80; 0's based */
	u8 reserved81[18];
	u8 nsattr;		/* 99 */
	u8 reserved100[28];
	struct nvme_lba_format {
		u16 ms;
		u8 lbads;	/* log2 of bytes */
		u8 rp;
	} lbaf[64];		/* 128; more than 16: 2.0 */
	u8 vendor[3712];
};
_Static_assert(sizeof(struct nvme_id_ns) == 4096, "5.15.2.1");
_Static_assert(offsetof(struct nvme_id_ns, msrc) == 80, "5.15.2.1");
_Static_assert(offsetof(struct nvme_id_ns, nsattr) == 99, "5.15.2.1");
_Static_assert(offsetof(struct nvme_id_ns, lbaf) == 128, "5.15.2.1");

#define NVME_FLBAS_FORMAT BITS(3, 0)
#define NVME_FLBAS_INLINE BIT(4)
#define NVME_FLBAS_FORMAT_HIGH BITS(6, 5)	/* 2.0 */
#define NVME_DPS_TYPE BITS(2, 0)
#define NVME_PI_SIZE 8
#define NVME_PI_SIZE_LONG 16	/* a guard of 32 or 64 bits; NVM 1.0, 5.2.1 */

/* NVM command set 1.0, 4.1.5.3 */
struct nvme_id_ns_nvm {
	u64 lbstm;
	u8 pic;
	u8 reserved9[3];
	u32 elbaf[64];		/* 12 */
	u8 reserved268[3828];
};
_Static_assert(sizeof(struct nvme_id_ns_nvm) == 4096, "4.1.5.3");
_Static_assert(offsetof(struct nvme_id_ns_nvm, elbaf) == 12, "4.1.5.3");

#define NVME_ELBAF_GUARD BITS(8, 7)	/* 0: of 16 bits */

/* Namespace identification descriptor, 5.15.2.4: type, length, 2 reserved */
#define NVME_NIDT_CSI 4			/* 2.0 */
#define NVME_CSI_NVM 0
#define NVME_CSI_ZONED 2

/* Dataset Management range, 6.7 */
struct nvme_dsm_range {
	u32 attributes, n_lbas;
	u64 lba;
};
_Static_assert(sizeof(struct nvme_dsm_range) == 16, "6.7");

#define NVME_DSM_COUNT BITS(7, 0)	/* CDW10, 0's based; Copy: CDW12 */

#endif
