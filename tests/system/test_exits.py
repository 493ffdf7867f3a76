# SPDX-License-Identifier: BSD-2-Clause
"""How often the guest leaves for Sluice: QEMU's log tells of every exit."""
import re
from collections import Counter

import pytest
from lab import GATE, NEXT, config
from machine import LOGS

READS = 500
DD = f"dd if=/dev/disk/by-partlabel/open of=/dev/null bs=4k count={READS} " \
     "iflag=direct"
EXIT = re.compile(rb"vmexit\((\w+), \w+, (\w+), \w+\)")
NAMES = {0x60: "interrupt", 0x72: "cpuid", 0x7b: "port", 0x7c: "msr"}
APIC_PAGE = 0xfee00


class Exits:
    """Of a machine, by cause, since it was last asked."""

    def __init__(self, name):
        self.path = LOGS / f"{name}.exits.log"
        self.seen = 0
        # The filter leaves out what the log is for otherwise.
        self.arguments = ["-d", "in_asm", "-dfilter", "0x1..0x2",
                          "-D", str(self.path)]

    def take(self):
        with open(self.path, "rb") as log:
            log.seek(self.seen)
            text = log.read()
        self.seen += len(text)
        return Counter(cause(int(code, 16), int(address, 16))
                       for code, address in EXIT.findall(text))


def cause(code, address):
    if code == 0x400:
        return "apic" if address >> 12 == APIC_PAGE else "memory"
    return NAMES.get(code, hex(code))


@pytest.mark.parametrize("completions, at_most",
                         [("auto", {"memory": 1.05, "interrupt": 0.02}),
                          ("relayed", {"memory": 1.05, "interrupt": 1.6})])
def test_exits_of_a_read(lab, completions, at_most):
    """One doorbell; where nobody looks at completions, nothing else."""
    name = f"exits-{completions}"
    exits = Exits(name)
    conf = config(*GATE, completions=completions, **NEXT)
    with lab.boot(name, conf=conf, partitions=lab.partitions(), cpus=1,
                  devices=exits.arguments) as system:
        system.guest.check(DD)
        exits.take()
        system.guest.check(DD)
        found = exits.take()
    for what, limit in at_most.items():
        assert found[what] <= READS * limit, found
    assert found["memory"] >= READS
    assert set(found) <= {"memory", "interrupt", "apic", "cpuid"}, found
