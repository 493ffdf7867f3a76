# SPDX-License-Identifier: BSD-2-Clause
"""What fio does, and how many I/O operations a second came of it."""
import time
from statistics import median
from typing import NamedTuple

from rig import OPEN, ROUNDS, SECONDS, say

BATCHES = "--iodepth_batch_submit=8 --iodepth_batch_complete_min=8"
FIO = ("LD_LIBRARY_PATH=/mnt/lib /mnt/fio --name=bench --ioengine=libaio "
       f"--direct=1 --thread --norandommap --minimal --filename={OPEN} ")
# After so long, in seconds, the guest's driver does without an interrupt.
GUEST_DEADLINE = 25
STALLS = 3                      # in a row
# Of fio's terse lines, version 3.
READ_IOPS, WRITE_IOPS = 7, 48


class Job(NamedTuple):
    name: str
    options: str
    kib: int = 4                # of one operation
    cpus: int = 1
    batch: int = 1              # commands that one doorbell can announce


JOBS = [
    Job("4 KiB random read, QD1", "--rw=randread --iodepth=1"),
    Job("4 KiB random read, QD32", "--rw=randread --iodepth=32"),
    Job("4 KiB random read, QD32, by 8",
        f"--rw=randread --iodepth=32 {BATCHES}", batch=8),
    Job("128 KiB sequential read, QD8", "--rw=read --iodepth=8", kib=128),
    Job("4 KiB random write, QD1", "--rw=randwrite --iodepth=1"),
    Job("4 KiB random write, QD32", "--rw=randwrite --iodepth=32"),
    Job("4 KiB 70/30, QD32, 2 CPUs", "--rw=randrw --rwmixread=70 "
        "--iodepth=32 --numjobs=2 --group_reporting", cpus=2),
]


def command(job, limit):
    return f"{FIO}{job.options} --bs={job.kib}k {limit}"


def run(system, job):
    """I/O operations a second."""
    limit = f"--time_based --runtime={round(SECONDS * 1000)}ms"
    text = system.guest.check(f"LD_PRELOAD={system.preload} "
                              f"{command(job, limit)}", 300)
    fields = next(line for line in text.splitlines()
                  if line.count(";") > WRITE_IOPS).split(";")
    return float(fields[READ_IOPS]) + float(fields[WRITE_IOPS])


def run_in(seat, job):
    """Again in a new machine, should this one have stalled."""
    for _ in range(STALLS):
        started = time.monotonic()
        found = run(seat.system, job)
        if time.monotonic() - started < SECONDS + GUEST_DEADLINE:
            return found
        say(f"{seat.system.machine.name} has lost a command: a new one")
        seat.exchange()
    raise RuntimeError(f"no run of '{job.name}' has come to its end: "
                       f"see build/logs/{seat.system.machine.name}.*")


def compare(seats, jobs):
    """Runs that take turns: what disturbs one disturbs all."""
    found = {job.name: {name: [] for name in seats} for job in jobs}
    for number in range(1, ROUNDS + 1):
        for job in jobs:
            for name, seat in seats.items():
                found[job.name][name].append(run_in(seat, job))
            say(f"round {number} of {ROUNDS}: {job.name}: " + ", ".join(
                f"{name} {runs[-1]:.0f}/s"
                for name, runs in found[job.name].items()))
    return {job: summary(runs) for job, runs in found.items()}


def summary(runs):
    return {"iops": {name: median(values) for name, values in runs.items()},
            "runs": runs,
            "ratio": {name: ratio(values, runs["bare"])
                      for name, values in runs.items() if name != "bare"}}


def ratio(runs, bare_runs):
    """Round by round: a machine that gets slower does so for both."""
    return median(run / bare for run, bare in zip(runs, bare_runs))
