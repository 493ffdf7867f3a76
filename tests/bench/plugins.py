#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What each plug-in costs where it is the only one: exits, instructions and
copied bytes for one I/O operation, and its speed beside the bare machine's.
Run by itself it prints this alone.
"""
from typing import NamedTuple

import counts
import jobs
from lab import ROOT, Lab, pattern
from rig import FOLDER, ROUNDS, Seat, machine, say

# At queue depth 1, where each operation pays for itself.
JOBS = [job for job in jobs.JOBS if job.options.endswith("--iodepth=1")]
MOUNT = "mkdir -p /mnt && mount -o ro /dev/disk/by-partlabel/tools /mnt"
KEY = "EFI/sluice/disk.key"


class Plugin(NamedTuple):
    name: str
    chain: str
    lines: str = ""             # of sluice.conf


PLUGINS = [
    Plugin("no plug-in", ""),
    Plugin("gate", "gate", "gate = ro QF0:n1 PARTLABEL=readonly"),
    Plugin("trace: counts", "trace"),
    Plugin("trace: ring", "trace", "trace.ring = 16384"),
    Plugin("trace: ring, latency", "trace",
           "trace.ring = 16384\ntrace.latency = on"),
    Plugin("fault: errors", "fault", "fault = error=0x281 on=read lba=40-47"),
    Plugin("fault: orders", "fault", "fault.orders = on"),
    Plugin("overlay", "overlay", "overlay = memory=80 PARTLABEL=open"),
    Plugin("crypt", "crypt",
           "crypt = PARTLABEL=open key-file=\\" + KEY.replace("/", "\\")),
]


def boot(lab, name, plugin, **options):
    """A machine with this plug-in alone; None: without Sluice."""
    keys = {"chain": plugin.chain if plugin else "", "apic": "intercept"}
    lines = plugin.lines + "\n" if plugin else ""
    return machine(lab, f"plugins-{name}", keys, lab.partitions(),
                   lines=lines, files={KEY: pattern(64, 51)}, **options)


def speed(bare, seat, job):
    runs = [[jobs.run_in(one, job) for one in (seat, bare)]
            for _ in range(ROUNDS)]
    return jobs.ratio(*zip(*runs))


def measure_one(bare, seat, path):
    found = {}
    for job in JOBS:
        command = jobs.command(job, f"--io_size={counts.COUNTED * job.kib}k")
        found[job.name] = {"path": path, "ratio": speed(bare, seat, job),
                           **counts.of_command(seat.system, command)}
    return found


def path_of(system):
    """What sluicectl stats says of the I/O queues."""
    text = system.guest.check("sluicectl --json stats")
    return "relayed" if '"relayed": 0' not in text else "direct"


def measure(lab):
    results = {}
    with Seat(lambda: boot(lab, "bare", None, mode="plain"), MOUNT) as bare:
        for number, plugin in enumerate(PLUGINS):
            say(f"plug-ins: {plugin.name}")
            with Seat(lambda: boot(lab, f"{number}", plugin), MOUNT) as seat:
                results[plugin.name] = measure_one(bare, seat,
                                                   path_of(seat.system))
    return results


def main():
    import table
    FOLDER.mkdir(parents=True, exist_ok=True)
    results = {"plugins": measure(Lab(ROOT / "build" / "sluice.efi"))}
    print("\n".join(table.plugins(results)))


if __name__ == "__main__":
    main()
