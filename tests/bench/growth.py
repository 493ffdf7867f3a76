# SPDX-License-Identifier: BSD-2-Clause
"""What a 4 KiB read costs as queues, namespaces and interceptors get more."""
import os
import re

import counts
from lab import Lab
from machine import ROOT, namespace
from rig import (DIRECT, FOLDER, HERE, PARTITIONS, at_once, machine,
                 say)
from test_plugin import build

STEPS = (1, 2, 4, 8)
SERIAL = "QF0"


def queues(count):
    """Linux makes one queue for each CPU that could be there."""
    return {}, {"cpus": f"1,maxcpus={count}"}


def namespaces(count):
    devices = []
    for nsid in range(2, count + 1):
        image = FOLDER / f"namespace-{count}-{nsid}.img"
        image.write_bytes(b"")
        os.truncate(image, 8 << 20)
        devices += namespace(image, SERIAL, nsid)
    return {}, {"devices": devices}


def interceptors(count):
    """gate, and others that look at each command."""
    chain = ["gate"] + [f"pass{i}" for i in range(1, count)]
    return {"chain": ", ".join(chain)}, {}


SEEN = {"queues": "expr $(cat /sys/class/nvme/nvme0/queue_count) - 1",
        "namespaces": "ls -d /sys/block/nvme0n* | wc -l"}
KINDS = {f.__name__: f for f in (queues, namespaces, interceptors)}


def build_chain():
    """A sluice.efi with all that chain = ... may name."""
    paths = []
    for i in range(1, STEPS[-1]):
        paths.append(FOLDER / f"pass{i}.c")
        paths[-1].write_text(f'#define PASS_NAME "pass{i}"\n'
                             f'#include "{HERE}/pass.c"\n')
    return build(ROOT / "build" / "bench-chain",
                 " ".join(["gate", *map(str, paths)]))


def how_many(system, kind):
    """There really are: as the guest or, of interceptors, the log says."""
    if kind == "interceptors":
        return len(re.findall(r" gate\b| pass\d", system.machine.expect_log(
            r"namespaces, \d+ queues.*")[0]))
    return int(system.guest.check(SEEN[kind]))


def measure(usual):
    say("build a chain of interceptors")
    long_chain = Lab(build_chain())

    def point(place):
        kind, count = place
        lab = long_chain if kind == "interceptors" else usual
        keys, options = KINDS[kind](count)
        with machine(lab, f"{kind}-{count}", DIRECT | keys, PARTITIONS,
                     **options) as system:
            assert how_many(system, kind) == count, place
            say(f"exits and instructions: {kind}: {count}")
            return counts.of_command(system, counts.READ)

    places = [(kind, count) for kind in KINDS for count in STEPS]
    found = dict(zip(places, at_once(point, places)))
    return {kind: {count: found[kind, count] for count in STEPS}
            for kind in KINDS}
