# SPDX-License-Identifier: BSD-2-Clause
"""What test_suites.py sends to a controller, in this order, as shell commands
of the guest: $C is the controller, ${C}nN and ${G}nN its namespaces as
test_namespaces.py lists them, sweep is sweep.c. Every command that nvme-cli
knows for a PCIe drive stands here at least once.
"""

ADMIN, IO = "sweep /dev/$C admin", "sweep /dev/${C}n1 io"
BEYOND = "nsid=1 cdw10=0xffffffff cdw11=0xffffffff"
OUT, IN = "-d /tmp/out", "-d /tmp/in"
SHOW_IN = "; cat /tmp/in | sha256sum; rm -f /tmp/in"
ALL = range(1, 11)


def each(template, values):
    return [template.format(value) for value in values]


IDENTIFY = [
    "nvme id-ctrl /dev/$C -H",
    "nvme nvm-id-ctrl /dev/$C",
    "nvme zns id-ctrl /dev/$C",
    "nvme list-ns /dev/$C",
    "nvme list-ns /dev/$C -a",
    "nvme list-ns /dev/$C -y 2",
    "nvme list-ctrl /dev/$C",
    "nvme id-iocs /dev/$C",
    "nvme id-nvmset /dev/$C",
    "nvme id-uuid /dev/$C",
    "nvme id-domain /dev/$C",
    "nvme id-ns-granularity /dev/$C",
    "nvme list-endgrp /dev/$C",
    "nvme primary-ctrl-caps /dev/$C",
    "nvme list-secondary /dev/$C",
    "nvme get-ns-id /dev/${C}n2",
    *each("nvme id-ns /dev/$C -H -n {}", ALL),
    *each("nvme id-ns /dev/$C -f -n {}", (1, 10, 11, 0xffffffff)),
    *each("nvme ns-descs /dev/$C -n {}", ALL),
    *each("nvme cmdset-ind-id-ns /dev/$C -n {}", (1, 8, 10, 11)),
    *each("nvme nvm-id-ns /dev/$C -n {}", (1, 5, 9)),
    *each("nvme id-ns-lba-format /dev/$C -i {}", (0, 7, 99)),
    *each("nvme nvm-id-ns-lba-format /dev/$C -i {}", (0, 7, 99)),
    *each("nvme zns id-ns /dev/$C -n {}", (1, 8)),
    *each(ADMIN + " cdw10 0 255 1 opcode=6 data_len=4096 nsid={}",
          (0, 1, 8, 10, 11, 256, 257, 0xfffffffe, 0xffffffff)),
    *each(ADMIN + " cdw11 0 0x5000000 0x1000000 opcode=6 data_len=4096 "
          "nsid=1 cdw10={}", (5, 6, 7, 8, 0x1a, 0x1b, 0x1c)),
]

LOGS = [
    *each("nvme {} /dev/$C", (
        "smart-log", "error-log", "error-log -e 64", "fw-log", "effects-log",
        "effects-log -c 2", "changed-ns-list-log", "self-test-log",
        "sanitize-log", "fid-support-effects-log", "supported-log-pages",
        "mi-cmd-support-effects-log", "ana-log", "endurance-log -g 1",
        "predictable-lat-log -i 1", "pred-lat-event-agg-log -e 1",
        "endurance-event-agg-log -e 1", "lba-status-log", "resv-notif-log",
        "boot-part-log -f /tmp/boot", "persistent-event-log -a 0",
        "media-unit-stat-log", "supported-cap-config-log",
        "telemetry-log -o /tmp/telemetry", "zns changed-zone-list -n 8")),
    *each("nvme smart-log /dev/$C -n {}", (1, 2, 11)),
    "nvme get-log /dev/$C -i 3 -l 4",
    "nvme get-log /dev/$C -i 3 -l 516 -b | sha256sum",
    *each(ADMIN + " cdw10 0x7f0000 0x7f00ff 1 opcode=2 data_len=512 nsid={}",
          (0, 1, 0xffffffff)),
    *each(ADMIN + " cdw12 0 1024 1 opcode=2 data_len=64 nsid=0xffffffff "
          "cdw10={:#x}", (0xf0001, 0xf0003, 0xf0005)),
    *each(ADMIN + " cdw10 {0:#x} 0x3f000{0:x} 0x50000 opcode=2 "
          "data_len=4096 nsid=0xffffffff", (1, 3, 4, 5)),
]

ROUND_TRIPS = {1: 0x0f0f0f03, 2: 0, 4: 0x160, 5: 1, 6: 0, 8: 0x0101,
               9: 0x10001, 10: 1, 11: 0x100}

FEATURES = [
    ADMIN + " cdw10 0 0x7ff 1 opcode=0x0a data_len=4096 nsid=1",
    *each(ADMIN + " cdw10 0 0xff 1 opcode=0x0a data_len=4096 nsid={}",
          (0, 11, 257, 0xffffffff)),
    *[f"nvme set-feature /dev/$C -f {fid} -v {value}; "
      f"nvme get-feature /dev/$C -f {fid} -H"
      for fid, value in ROUND_TRIPS.items()],
    ADMIN + " cdw10 0 255 1 opcode=9 data_len=4096 nsid=1",
    ADMIN + " cdw10 0x80000000 0x800000ff 1 opcode=9 data_len=4096 nsid=1",
    ADMIN + " cdw10 0 255 1 opcode=9 data_len=4096 nsid=0xffffffff "
    "cdw11=0xffffffff",
    ADMIN + " cdw10 0 255 1 opcode=0x0a data_len=4096 nsid=1",
    "nvme reset /dev/$C",
]

# Not among them: Asynchronous Event Request, which has no answer until
# something happens, and Doorbell Buffer Config, which would take its zeroes
# for the address of a buffer.
UNKNOWN = [
    *[ADMIN + f" opcode {first} {last} 1 nsid={nsid} data_len={size}"
      for nsid in ("0xfffffffe", "11") for size in (0, 4096)
      for first, last in ((0, 0x0b), (0x0d, 0x7b), (0x7d, 0xff))],
    *[f"{IO} opcode 0 255 1 {BEYOND} data_len={size}" for size in (512, 4096)],
    f"{IO} opcode 0x80 0xff 1 nsid=1",
    *each(ADMIN + " cdw10 {} 1 opcode=8",
          ("0 0x60", "0xffff0000 0xffff0008")),
    *each(ADMIN + " cdw10 0 3 1 opcode=0x15 nsid={} data_len=4096",
          (0, 1, 11, 0xffffffff)),
    *each(ADMIN + " cdw10 0 3 1 opcode=0x0d nsid={} data_len=4096",
          (0, 11, 0xffffffff)),
]

REFUSED = [
    *each("nvme {}", (
        "security-recv /dev/$C -n 1 -p 1 -s 1 -x 512",
        "security-send /dev/$C -n 1 -p 1 -s 1 -t 512 -f /tmp/out",
        "dir-receive /dev/$C -n 1 -D 0 -O 1",
        "dir-send /dev/$C -n 1 -D 0 -O 1 -T 1 -e 1",
        "sanitize /dev/$C -a 2",
        "device-self-test /dev/$C -n 1 -s 1",
        "fw-download /dev/$C -f /tmp/out",
        "fw-commit /dev/$C -s 1 -a 1",
        "virt-mgmt /dev/$C -c 0 -a 7 -r 0 -n 0",
        "lockdown /dev/$C -o 0 -f 0 -p 0 -s 0",
        "capacity-mgmt /dev/$C -o 0 -i 1",
        "get-lba-status /dev/$C -n 1 -s 0 -m 8 -a 0x10 -l 8",
        "io-mgmt-recv /dev/${C}n1 -n 1 -m 1 -l 64",
        "io-mgmt-send /dev/${C}n1 -n 1 -m 1 -l 64",
        "rpmb /dev/$C -c info",
        "create-ns /dev/$C -s 100 -c 100 -f 0",
        "delete-ns /dev/$C -n 2",
        "subsystem-reset /dev/$C",
        "format /dev/$C -n 1 -l 9 --force",
        "format /dev/$C -n 1 -l 63 --force",
        "format /dev/$C -n 11 -l 0 --force",
        "format /dev/$C -n 257 -l 0 --force",
        "format /dev/$C -n 8 -l 1 --force")),
]

BLOCKS = [
    f"nvme write /dev/${{C}}n1 -s 64 -c 7 -z 4096 {OUT}",
    f"nvme read /dev/${{C}}n1 -s 64 -c 7 -z 4096 {IN}{SHOW_IN}",
    f"nvme compare /dev/${{C}}n1 -s 64 -c 7 -z 4096 {OUT}",
    "nvme compare /dev/${C}n1 -s 64 -c 7 -z 4096 -d /dev/zero",
    "nvme compare /dev/${C}n1 -s 65 -c 0 -z 512 -d /tmp/out",
    f"nvme write /dev/${{C}}n1 -s 72 -c 7 -z 4096 {OUT} -f; "
    f"nvme read /dev/${{C}}n1 -s 70 -c 3 -z 2048 {IN} -f{SHOW_IN}",
    "nvme copy /dev/${C}n1 -d 200 -s 64,72 -b 3,7; "
    f"nvme read /dev/${{C}}n1 -s 200 -c 11 -z 6144 {IN}{SHOW_IN}",
    "nvme copy /dev/${C}n1 -d 200 -s 64 -b 200",
    "nvme copy /dev/${C}n1 -d 0xfffffff -s 64 -b 7",
    "nvme copy /dev/${C}n1 -d 200 -s 0xfffffff -b 7",
    "nvme copy /dev/${C}n1 -d 200 -s 64 -b 7 -F 1",
    "nvme copy /dev/${C}n1 -d 200 -s 64 -b 7 -F 2",
    "nvme verify /dev/${C}n1 -s 64 -c 7",
    "nvme verify /dev/${C}n1 -s 0xfffffff -c 7",
    "nvme write-zeroes /dev/${C}n1 -s 66 -c 1; "
    f"nvme read /dev/${{C}}n1 -s 64 -c 7 -z 4096 {IN}{SHOW_IN}",
    "nvme write-zeroes /dev/${C}n1 -s 70 -c 1 -d; "
    f"nvme read /dev/${{C}}n1 -s 64 -c 7 -z 4096 {IN}{SHOW_IN}",
    "nvme write-uncor /dev/${C}n1 -s 64 -c 7",
    "nvme dsm /dev/${C}n1 -d -s 64 -b 8; "
    f"nvme read /dev/${{C}}n1 -s 60 -c 15 -z 8192 {IN}{SHOW_IN}",
    "nvme dsm /dev/${C}n1 -w -r -s 64 -b 8",
    "nvme dsm /dev/${C}n1 -d -s 64,0xfffffff -b 8,8",
    "nvme flush /dev/${C}n1",
    "nvme flush /dev/${C}n1 -n 0xffffffff",
    *each("nvme resv-{}", (
        "report /dev/${C}n1 -d 16", "register /dev/${C}n1 --nrkey=3 -r 0",
        "acquire /dev/${C}n1 -c 3 -t 1 -a 0",
        "release /dev/${C}n1 -c 3 -t 1 -a 0")),
    *[f"{IO} cdw10 32760 32776 1 opcode={opcode} nsid=1 data_len=4096 cdw12=7"
      for opcode in (1, 2, 5, 8, 0x0c)],
    *[f"{IO} cdw12 0x400 0xffff 0x3ff opcode={opcode} nsid=1 data_len=4096"
      for opcode in (1, 2, 5)],
    *[f"{IO} cdw12 7 0xff000007 0x1000000 opcode={opcode} nsid=1 "
      "data_len=4096" for opcode in (1, 2, 5, 8, 0xc)],
    f"{IO} cdw12 0x7fff 0xffff 0x1000 opcode=8 nsid=1",
    f"{IO} cdw12 0x7fff 0xffff 0x1000 opcode=0xc nsid=1",
    "sha256sum /dev/${C}n1",
]


def metadata(nsid, block, size, options=""):
    """Round trips in namespace `nsid`: metadata of `size` bytes in a buffer
    of its own, or (size 0) behind each block."""
    own = f" -y {4 * size} -M /tmp/{{}}" if size else ""
    words = f"-s 20 -c 3 -z {4 * block}{options}"
    return [f"nvme write /dev/${{G}}n{nsid} {words} -d /tmp/out"
            f"{own.format('metaout')}",
            f"nvme read /dev/${{G}}n{nsid} {words} {IN}"
            f"{own.format('metain')}{SHOW_IN}; "
            "[ ! -f /tmp/metain ] || sha256sum /tmp/metain",
            f"nvme compare /dev/${{G}}n{nsid} {words} -d /tmp/out"
            f"{own.format('metaout')}",
            f"nvme verify /dev/${{G}}n{nsid} -s 20 -c 3",
            f"nvme write-zeroes /dev/${{G}}n{nsid} -s 21 -c 1",
            f"nvme read /dev/${{G}}n{nsid} {words} {IN}"
            f"{own.format('metain')}{SHOW_IN}"]


PRACT = " -p 8"
KINDS = [
    *metadata(2, 4096, 0), *metadata(3, 512, 8), *metadata(4, 576, 0),
    *metadata(5, 512, 8, PRACT), *metadata(5, 512, 8),
    *metadata(6, 512, 0, PRACT), *metadata(6, 520, 0),
    *metadata(7, 4096, 16), *metadata(7, 4096, 16, PRACT),
    *metadata(9, 4112, 0), *metadata(9, 4096, 0, PRACT),
    # Two pages, as PRPs.
    "nvme write /dev/${G}n9 -s 30 -c 1 -z 8192 -p 8 -d /tmp/out",
    f"nvme read /dev/${{G}}n9 -s 30 -c 1 -z 8192 -p 8 {IN}{SHOW_IN}",
]

ZONES = [
    *each("nvme zns {}", (
        "report-zones /dev/${C}n8 -d 4",
        "report-zones /dev/${C}n8 -d 4 -p -s 1 -S 2",
        "zone-append /dev/${C}n8 -s 0 -z 4096 -d /tmp/out",
        "zone-append /dev/${C}n8 -s 0 -z 512 -d /tmp/out",
        "zone-append /dev/${C}n8 -s 1 -z 512 -d /tmp/out",
        "open-zone /dev/${C}n8 -s 0x2000",
        "close-zone /dev/${C}n8 -s 0x2000",
        "finish-zone /dev/${C}n8 -s 0x4000",
        "offline-zone /dev/${C}n8 -s 0x6000",
        "set-zone-desc /dev/${C}n8 -s 0x6000 -z 64 -d /tmp/out",
        "zone-mgmt-send /dev/${C}n8 -s 0x6000 -z 0x11",
        "zone-mgmt-recv /dev/${C}n8 -s 0 -z 0 -l 512",
        "zrwa-flush-zone /dev/${C}n8 -l 7",
        "report-zones /dev/${C}n8 -d 4",
        "reset-zone /dev/${C}n8 -s 0x4000",
        "reset-zone /dev/${C}n8 -s 0x4001",
        "reset-zone /dev/${C}n8 -s 0xfffffff",
        "report-zones /dev/${C}n8 -d 4")),
    "nvme write /dev/${C}n8 -s 9 -c 7 -z 4096 -d /tmp/out",
    "nvme write /dev/${C}n8 -s 0x100 -c 7 -z 4096 -d /tmp/out",
    f"nvme read /dev/${{C}}n8 -s 0 -c 16 -z 8704 {IN}{SHOW_IN}",
    "nvme zns reset-zone /dev/${C}n8 -a",
    "nvme zns report-zones /dev/${C}n8 -d 4",
]

LIFE = [
    "nvme attach-ns /dev/$C -n 10 -c 0",
    "nvme attach-ns /dev/$C -n 10 -c 0",
    "nvme attach-ns /dev/$C -n 10 -c 5",
    "nvme attach-ns /dev/$C -n 11 -c 0",
    "nvme ns-rescan /dev/$C; nvme list-ns /dev/$C",
    "sha256sum /dev/${C}n10",
    "nvme changed-ns-list-log /dev/$C",
    "nvme detach-ns /dev/$C -n 10 -c 0",
    "nvme detach-ns /dev/$C -n 10 -c 0",
    "nvme ns-rescan /dev/$C; nvme list-ns /dev/$C",
    "nvme format /dev/$C -n 1 -l 4 --force",
    "nvme id-ns /dev/$C -n 1; cat /sys/block/${C}n1/size",
    f"nvme write /dev/${{C}}n1 -s 3 -c 0 -z 4096 {OUT}; "
    f"nvme read /dev/${{C}}n1 -s 2 -c 2 -z 12288 {IN}{SHOW_IN}",
    "nvme format /dev/$C -n 1 -l 1 -i 1 --force; nvme id-ns /dev/$C -n 1",
    "nvme format /dev/$C -n 1 -l 0 --force; nvme id-ns /dev/$C -n 1",
    "nvme format /dev/$C -n 2 -l 4 -s 1 --force",
    "sha256sum /dev/${C}n2",
    "nvme reset /dev/$C; nvme list-ns /dev/$C",
    "nvme reset /dev/$C; sha256sum /dev/${C}n3",
]

# The driver keeps others away from the registers of its controller. Not
# among them: ASQ and ACQ, which hold addresses, and doorbells and bytes, for
# whose reading there is no rule (NVMe 1.4, 3.1).
WORDS = "$(seq 0 4 36) $(seq 52 4 128) $(seq 3584 4 3620) 4092"
REGISTERS = [
    "P=$(cat /sys/class/nvme/$C/address); F=/sys/bus/pci/devices/$P; "
    "echo $P >/sys/bus/pci/drivers/nvme/unbind; echo 1 >$F/enable",
    "B=$(head -1 $F/resource | cut -d\" \" -f 1)",
    f"for i in {WORDS}; do devmem $((B + i)); done",
    "for i in 0 4 12 56 60; do devmem $((B + i)) 16; done",
    "for i in 0 8 56 4088; do devmem $((B + i)) 64; done",
    "hexdump -C $F/config",
]

GROUPS = {"identify": IDENTIFY, "logs": LOGS, "features": FEATURES,
          "blocks": BLOCKS, "kinds": KINDS, "zones": ZONES,
          "refused": REFUSED, "unknown": UNKNOWN, "life": LIFE,
          "registers": REGISTERS}
