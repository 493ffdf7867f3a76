# SPDX-License-Identifier: BSD-2-Clause
"""What one exit costs here, and what ratio to the bare machine is left if
each doorbell is one exit and its handler takes no time. A guest that comes
back finds its TLB empty: the emulator's, like a processor's without ASIDs. So
the cost of an exit is that of what the guest touches again afterwards, too.
"""
from statistics import median

import jobs
from rig import OPEN, ROUNDS, say

CPUIDS, READS = 20000, 4000
PAGES = 128


def nanoseconds(systems, arguments):
    """Under Sluice, over what it takes without."""
    def run(system):
        return int(system.guest.check(f"/tmp/limit {arguments}", 180))

    runs = [(run(systems["direct"]), run(systems["bare"]))
            for _ in range(ROUNDS)]
    return median(a for a, _ in runs) - median(b for _, b in runs)


def measure(systems):
    say("what one exit costs")
    exit_only = nanoseconds(systems, f"touch {CPUIDS} 0")
    touching = nanoseconds(systems, f"touch {CPUIDS} {PAGES}")
    read = [nanoseconds(systems, f"read {READS} {n} {OPEN}") for n in (0, 1)]
    return {"exit_us": exit_only / 1000,
            "page_us": (touching - exit_only) / PAGES / 1000,
            "exit_in_read_us": (read[1] - read[0]) / 1000}


def ratios(results):
    """For each job: one exit for each doorbell, and nothing else."""
    cost = results["limit"]["exit_in_read_us"]
    return {job.name: 1 / (1 + cost / job.batch / 1e6 *
                           results["speed"][job.name]["iops"]["bare"])
            for job in jobs.JOBS}
