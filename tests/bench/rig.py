# SPDX-License-Identifier: BSD-2-Clause
"""The machines that are compared: one without Sluice, one where the drive
posts completions to the guest itself, one where Sluice relays them, and one
where it stands before no drive.
"""
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))
from exits import Exits                                   # noqa: E402
from lab import NEXT, Lab, config                         # noqa: E402
from machine import BUILD, ROOT, Trouble                  # noqa: E402
from mkdisk import MIB, Partition                         # noqa: E402
from test_plugin import build                             # noqa: E402

FOLDER = BUILD / "bench"
OPEN = "/dev/disk/by-partlabel/open"
ROUNDS = int(os.environ.get("BENCH_ROUNDS", 5))
SECONDS = float(os.environ.get("BENCH_SECONDS", 2))
# Enough for dd, and for gate to have rules.
PARTITIONS = [Partition("open", 32 * MIB), Partition("readonly", MIB),
              Partition("hidden", MIB)]
EMPTY_EXIT = "/tmp/empty_exit.so"
PREPARE = f"""
mkdir -p /mnt && mount -o ro /dev/disk/by-partlabel/tools /mnt &&
dd if=/dev/disk/by-partlabel/empty_exit of={EMPTY_EXIT} bs=1M"""
STARTED = time.monotonic()

# Of one namespace: a rule that has not found its partition watches every table
# that it might appear in, and what it watches is relayed.
GATE = ("ro QF0:n1 PARTLABEL=readonly", "none QF0:n1 PARTLABEL=hidden")
# The page is open on processors that redirect INIT. This QEMU's do not, and
# `intercept` is sound as long as nobody sends one after the operating system
# has started its CPUs: nothing here does.
DIRECT = {"chain": "gate", "apic": "intercept"}


class Kind(NamedTuple):
    keys: dict
    lines: str = None           # as machine() has them
    mode: str = "sluice"
    preload: str = ""           # into what does the work


# What the last one does is the least that any hypervisor can do to a guest
# that leaves for each doorbell.
MACHINES = {
    "bare": Kind({}, mode="plain"),
    "direct": Kind(DIRECT),
    "relayed": Kind(DIRECT | {"chain": "gate, trace", "trace": "time",
                              "completions": "relayed"}),
    "empty": Kind({"apic": "intercept"}, lines="", preload=EMPTY_EXIT),
}


def say(text):
    """What is going on, to whoever waits."""
    minutes, seconds = divmod(int(time.monotonic() - STARTED), 60)
    print(f"  {minutes:2}:{seconds:02}  {text}", file=sys.stderr, flush=True)


def at_once(function, values):
    """Where only the result counts, not the time it takes."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, values))


def empty_exit():
    """Small enough to be a partition's content."""
    path = FOLDER / "empty_exit.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-s", "-Wall", "-Wextra",
                    "-Werror", HERE / "empty_exit.c", "-o", path], check=True)
    return Partition("empty_exit", MIB, path.read_bytes())


def without_drivers():
    """A lab whose Sluice stands before no drive."""
    return Lab(build(BUILD / "bench-empty", "", "DRIVERS="))


@contextmanager
def machine(lab, name, keys, partitions, *, lines=None, **options):
    """Up to the shell, and ready to have its exits counted. `lines` are for
    sluice.conf, in place of gate's."""
    name = f"bench-{name}"
    exits = Exits(name)
    devices = [*options.pop("devices", ()), *exits.arguments]
    rules = GATE if lines is None else ()
    conf = config(*rules, **keys, **NEXT) + (lines or "").encode()
    preload = options.pop("preload", "")
    with lab.boot(name, conf=conf, partitions=partitions, devices=devices,
                  **{"cpus": 1, **options}) as system:
        if options.get("mode") != "plain":
            system.machine.expect_log("apic: open$")
        system.exits, system.preload = exits, preload
        yield system


class Seat:
    """A machine that can be exchanged for a new one like it: the emulator's
    drive has been seen to lose a command, and then all that come after."""

    def __init__(self, boot, prepare):
        self.boot, self.prepare = boot, prepare
        self.stack = ExitStack()

    def __enter__(self):
        self.system = self.stack.enter_context(self.boot())
        self.system.guest.check(self.prepare)
        return self

    def __exit__(self, *error):
        return self.stack.__exit__(*error)

    def exchange(self):
        stalled = Trouble("it has stalled")
        self.stack.__exit__(Trouble, stalled, None)
        self.__enter__()


@contextmanager
def machines(lab, cpus):
    """All of MACHINES, side by side; one at a time has work to do."""
    say(f"boot {len(MACHINES)} machines, CPUs: {cpus}")
    partitions = [*lab.partitions(), empty_exit()]
    labs = {"empty": without_drivers()}

    def boot(name):
        kind = MACHINES[name]._asdict()
        return machine(labs.get(name, lab), f"{name}-{cpus}",
                       kind.pop("keys"), partitions, cpus=cpus, **kind)

    with ExitStack() as stack:
        seats = [Seat(lambda name=name: boot(name), PREPARE)
                 for name in MACHINES]
        yield dict(zip(MACHINES, at_once(stack.enter_context, seats)))
