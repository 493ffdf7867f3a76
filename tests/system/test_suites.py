# SPDX-License-Identifier: BSD-2-Clause
"""Outside suites with Sluice and without: the same answers, line by line,
but for the differences that stand here with their reasons."""
import re
from itertools import zip_longest
from typing import NamedTuple

import pytest
from lab import CPU, NEXT, config
from mkdisk import MIB, Partition
from suite import GROUPS
from test_data import FIO, OPEN, TOOLS
from test_namespaces import kinds

RESULTS = 16 * MIB
DEADLINE = 300


class Difference(NamedTuple):
    command: str        # it stands in this command
    line: str           # what either says
    reason: str


IDENTIFY, GET_LOG, GET_FEATURES = " opcode=6 ", " opcode=2 ", "opcode=0x0a "
SUM = " [0-9a-f]{8}"
ALLOWED = [Difference(*words) for words in (
    ("id-ns|format", r"msrc +: (127|101)",
     "the source ranges of a Copy are looked at in one page"),
    (IDENTIFY, "cdw10 (0|11): 0 0" + SUM, "the one above, as a sum"),
    ("smart-log", "host_read_commands.*",
     "the drive counts Sluice's reads of partition tables, too"),
    (GET_LOG, "cdw10 7f0002: 0 0" + SUM, "the one above, as a sum"),
    (GET_FEATURES, "cdw10 ([1-7]0)?7: 0 (3f003f|10001)" + SUM,
     "QEMU says how many queues it has, Sluice how many the guest asked for"),
    ("opcode=9 ", "cdw10 (8000000)?[7d]: 4... 0" + SUM,
     "of several mistakes in setting features 7 and Dh another is said"),
    (GET_FEATURES, "cdw10 ([1-7]0)?e: 0 0" + SUM, "time goes by"),
    (" opcode 0 ", "opcode 4: 410[01] 0" + SUM,
     "deleting CQ 0 is Invalid Queue Identifier (5.5); QEMU says otherwise"),
    (" opcode 13 ", "opcode 1c: 400[12] 0" + SUM,
     "SR-IOV is hidden and with it Virtualization Management"),
    ("virt-mgmt", ".*(Invalid Controller Identifier|Invalid Command Opcode).*",
     "the same"),
    ("io opcode 0 255", "opcode e: 400[12] 0" + SUM,
     "of two mistakes, the length of this Reservation Report is seen first"),
    (" opcode=8", "cdw10 .*: (0|4002) 1" + SUM,
     "what is no queue has no command to abort: not an error (5.1)"),
)]

SCRIPT = r"""
PATH=$PATH:/tools
C=$(basename $(dirname $(grep -l '^QF1 *$' /sys/class/nvme/*/serial)))
G=ng${C#nvme}
seq 100000 | head -c 65536 >/tmp/out
seq 200000 | tail -c 4096 >/tmp/metaout
run() {
	echo "<<< $1"
	eval "$1" </dev/null
	echo "status $?"
}
"""
RUN = ("tr -d '\\0' </dev/disk/by-partlabel/suite >/tmp/suite; "
       "sh /tmp/suite >/tmp/results 2>&1; dd if=/tmp/results conv=fsync "
       "of=/dev/disk/by-partlabel/results 2>/dev/null")


def script():
    lines = [f"echo '### {name}'\n" +
             "".join(f"run '{command}'\n" for command in group)
             for name, group in GROUPS.items()]
    return (SCRIPT + "".join(lines)).encode()


def answers(lab, mode):
    """What the controller said: {group: text}."""
    name = f"suites-{mode}"
    partitions = [*lab.partitions(), Partition("results", RESULTS),
                  Partition("suite", MIB, script())]
    with lab.boot(name, mode=mode, conf=config(**NEXT, memory=32),
                  partitions=partitions, devices=kinds(lab, name)) as system:
        system.guest.check(TOOLS)
        system.guest.check(RUN, DEADLINE)
        text = system.disk.read("results").rstrip(b"\0").decode(
            errors="backslashreplace")
    groups = re.split(r"^### (\w+)\n", text, flags=re.M)
    return dict(zip(groups[1::2], groups[2::2]))


@pytest.fixture(scope="module")
def both(lab):
    return {mode: answers(lab, mode) for mode in CPU}


def commands(text):
    """[(command, its output as lines)]; a number tells equal ones apart."""
    parts = re.split(r"^<<< (.*)\n", text, flags=re.M)
    return list(zip(parts[1::2], map(str.splitlines, parts[2::2])))


def is_allowed(command, lines):
    return any(re.search(difference.command, command) and
               all(re.fullmatch(difference.line, line) for line in lines)
               for difference in ALLOWED)


def differences(plain, sluice):
    """What one says and the other does not, command by command."""
    for (command, before), (same, after) in zip(commands(plain),
                                                commands(sluice), strict=True):
        assert command == same
        for lines in zip_longest(before, after, fillvalue=""):
            if lines[0] != lines[1]:
                yield command, lines


@pytest.mark.parametrize("group", GROUPS)
def test_controller_answers_as_it_does_without_sluice(both, group):
    plain, sluice = (both[mode][group] for mode in ("plain", "sluice"))
    assert len(commands(plain)) == len(GROUPS[group])
    assert [] == [(command, lines)
                  for command, lines in differences(plain, sluice)
                  if not is_allowed(command, lines)]


def test_every_allowed_difference_is_there(both):
    """One that is gone must not hide another."""
    seen = [found for group in GROUPS for found in
            differences(both["plain"][group], both["sluice"][group])]
    for difference in ALLOWED:
        assert any(re.search(difference.command, command) and
                   all(re.fullmatch(difference.line, line) for line in lines)
                   for command, lines in seen), difference.reason


@pytest.mark.parametrize("load", [
    "--rw=randwrite --bs=8k --iodepth=32 --verify=md5 --size=8M",
    "--rw=write --bsrange=4k-128k --verify=pattern "
    "--verify_pattern=0xdeadbeef%o",
    "--rw=randtrimwrite --bs=64k",
    "--rw=trimwrite --bs=32k --iodepth=8 --size=16M"])
def test_fio_verifies_patterns_and_trims(system, load):
    system.guest.check(TOOLS)
    assert "err= 0" in system.guest.check(FIO + load, 180)


def test_ext4_with_discards_keeps_its_files(system):
    guest = system.guest
    guest.check(f"mkfs.ext4 -q -F -E discard {OPEN} && "
                f"mount -o discard {OPEN} /mnt")
    guest.check("mkdir /mnt/a /mnt/b; tar -c /bin /sbin /lib | "
                "tar -x -C /mnt/a; cp -a /mnt/a/. /mnt/b; rm -r /mnt/a; sync")
    guest.check(f"fstrim /mnt; umount /mnt; e2fsck -f -n {OPEN}")
    guest.check("echo 3 >/proc/sys/vm/drop_caches; "
                f"mount -o ro {OPEN} /mnt")
    guest.check("for i in bin sbin lib; do diff -r /$i /mnt/b/$i || exit 1; "
                "done; umount /mnt")
