# SPDX-License-Identifier: BSD-2-Clause
"""What a machine does in Sluice while its guest works: QEMU's log tells of
every exit and, one instruction at a time, of what Sluice then executes; its
NVMe controller tells of the commands it gets and where their data is. Nothing
here is Sluice's own count.
"""
import os
import re
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field

from machine import COMMAND_DEADLINE, LOGS, Trouble

NAMES = {0x60: "interrupt", 0x61: "nmi", 0x72: "cpuid", 0x7b: "port",
         0x7c: "msr"}
APIC_PAGE = 0xfee00
# Sluice is in here; the guest's kernel and its programs are not.
SLUICE = "0x1000000..0x3fffffff"

EXITS = "in_asm"
EVENTS = ("pci_nvme_io_cmd", "pci_nvme_map_addr")
COMMANDS = ",".join(f"trace:{event}" for event in EVENTS)
INSTRUCTIONS = "exec,nochain"
POLL = 0.01     # seconds: a file wakes nobody up
COMMAND = b"pci_nvme_io_cmd "
LINE = re.compile(
    rb"vmexit\((?P<code>\w+), \w+, (?P<address>\w+), \w+\)|"
    rb"^Trace \d+: \S+ \[\w+/(?P<pc>\w+)/|"
    rb"pci_nvme_(?P<command>io_cmd) |"
    rb"pci_nvme_map_addr addr 0x(?P<data>\w+) len (?P<length>\d+)", re.M)


@dataclass
class Sample:
    """What happened between the first I/O command and the last."""
    commands: int = 0
    exits: Counter = field(default_factory=Counter)         # by cause
    lengths: dict = field(default_factory=dict)     # each exit's, by cause,
    #                             in instructions of Sluice's; if stepped
    data: int = 0               # bytes that the controller moved ...
    copied: int = 0             # ... to or from Sluice's memory

    def exits_per_command(self, *causes):
        chosen = causes or self.exits
        return sum(self.exits[c] for c in chosen) / self.commands

    def instructions_per_exit(self, cause):
        lengths = self.lengths.get(cause, [0])
        return sum(lengths) / len(lengths)

    def instructions_per_command(self, stepped):
        """Time goes on while a guest is stepped, and its timers with it: so
        there are more exits than here. Those too many are the shortest: there
        was nothing to do for Sluice."""
        total = 0
        for cause, count in self.exits.items():
            wanted = count * stepped.commands / self.commands
            chosen = sorted(stepped.lengths.get(cause, ()),
                            reverse=True)[:max(1, round(wanted))]
            total += sum(chosen) / max(1, len(chosen)) * wanted
        return total / stepped.commands


class Exits:
    """Of one machine; its QEMU is started with `arguments`."""

    def __init__(self, name):
        self.path = LOGS / f"{name}.exits.log"
        LOGS.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(b"")
        # What the log is for otherwise is of no interest.
        self.arguments = ["-dfilter", SLUICE, "-D", str(self.path)]

    @contextmanager
    def watch(self, machine, *what):
        """Fills the Sample that it gives with what happens meanwhile."""
        sample = Sample()
        single = INSTRUCTIONS in what
        machine.monitor(f"singlestep {'on' if single else 'off'}")
        machine.monitor("log " + ",".join((EXITS, *what)))
        try:
            yield sample
        finally:
            silence(machine)
        count(self.take(), sluice_memory(machine), sample)

    def expect_commands(self, count, deadline=COMMAND_DEADLINE):
        """As many more of the guest's, within watch()."""
        end = time.monotonic() + deadline
        with open(self.path, "rb") as log:
            log.seek(0, os.SEEK_END)
            while count > 0:
                count -= log.read().count(COMMAND)
                if time.monotonic() > end:
                    raise Trouble(f"{count} commands missing: {self.path}")
                time.sleep(POLL)

    def take(self):
        text = self.path.read_bytes()
        os.truncate(self.path, 0)
        return text


def silence(machine):
    """The events go on in the log after "log none", and what came between two
    samples would be commands of the second, without an exit."""
    for event in EVENTS:
        machine.monitor(f"trace-event {event} off")
    machine.monitor("log none")
    machine.monitor("singlestep off")


def sluice_memory(machine):
    """Empty where Sluice does not run."""
    found = re.search(r"(\d+) MiB at 0x(\w+)", machine.log.text)
    if not found:
        return range(0)
    start = int(found[2], 16)
    return range(start, start + (int(found[1]) << 20))


def count(text, memory, sample):
    """A command ends where the next one begins."""
    if COMMAND in text:
        text = text[text.index(COMMAND):
                    text.rindex(COMMAND)]
    current = None
    for line in LINE.finditer(text):
        if line["code"]:
            current = cause(int(line["code"], 16), int(line["address"], 16))
            sample.exits[current] += 1
            sample.lengths.setdefault(current, []).append(0)
        elif line["pc"]:
            if current and int(line["pc"], 16) in memory:
                sample.lengths[current][-1] += 1
        elif line["command"]:
            sample.commands += 1
        else:
            count_data(line, memory, sample)


def count_data(line, memory, sample):
    length = int(line["length"])
    sample.data += length
    sample.copied += length * (int(line["data"], 16) in memory)


def cause(code, address):
    if code == 0x400:
        return "apic" if address >> 12 == APIC_PAGE else "memory"
    return NAMES.get(code, hex(code))
