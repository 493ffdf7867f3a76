# SPDX-License-Identifier: BSD-2-Clause
"""What one exit costs here, and what ratio to the bare machine is left if
each doorbell is one exit and its handler takes no time. A guest that comes
back finds its TLB empty: the emulator's, like a processor's without ASIDs. So
the cost of an exit is that of what the guest touches again afterwards, too.
"""
from statistics import median

import jobs
from rig import OPEN, ROUNDS, say

CPUIDS, READS = 20000, 2000
PAGES = 128
QD1 = jobs.JOBS[0].name


def nanoseconds(systems, arguments):
    """Of one round with Sluice, and of one without."""
    return [int(systems[name].guest.check(f"/tmp/limit {arguments}", 180))
            for name in ("direct", "bare")]


def over_bare(systems, arguments):
    runs = [nanoseconds(systems, arguments) for _ in range(ROUNDS)]
    return median(direct - bare for direct, bare in runs)


def exit_in_read(systems):
    """In bare reads of 4 KiB, as the next minute may be a slower one."""
    def once():
        (direct, bare), (direct_1, bare_1) = (
            nanoseconds(systems, f"read {READS} {cpuids} {OPEN}")
            for cpuids in (0, 1))
        return ((direct_1 - direct) - (bare_1 - bare)) / bare

    return median(once() for _ in range(2 * ROUNDS))


def measure(systems):
    say("what one exit costs")
    exit_only = over_bare(systems, f"touch {CPUIDS} 0")
    touching = over_bare(systems, f"touch {CPUIDS} {PAGES}")
    return {"exit_us": exit_only / 1000,
            "page_us": (touching - exit_only) / PAGES / 1000,
            "exit_in_read": exit_in_read(systems)}


def ratios(results):
    """Of each job, were its exits all there is: one for each doorbell, and
    those for interrupts where completions are relayed."""
    def bare_us(job):
        return 1e6 / results["speed"][job]["iops"]["bare"]

    exit_us = results["limit"]["exit_in_read"] * bare_us(QD1)

    def limit(job, exits):
        return 1 / (1 + exits * exit_us / bare_us(job.name))

    def relayed_exits(job):
        return sum(results["counts"][job.name]["relayed"]["exits"].values())

    return {"exit_in_read_us": exit_us,
            "direct": {job.name: limit(job, 1 / job.batch)
                       for job in jobs.JOBS},
            "relayed": {job.name: limit(job, relayed_exits(job))
                        for job in jobs.JOBS}}
