# SPDX-License-Identifier: BSD-2-Clause
"""What fio does, and how many I/O operations a second came of it."""
from statistics import median
from typing import NamedTuple

from rig import OPEN, ROUNDS, SECONDS, say

BATCHES = "--iodepth_batch_submit=8 --iodepth_batch_complete_min=8"
FIO = ("LD_LIBRARY_PATH=/mnt/lib /mnt/fio --name=bench --ioengine=libaio "
       f"--direct=1 --thread --norandommap --minimal --filename={OPEN} ")
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


def run(system, job, limit):
    """I/O operations a second."""
    text = system.guest.check(command(job, limit), 300)
    fields = next(line for line in text.splitlines()
                  if line.count(";") > WRITE_IOPS).split(";")
    return float(fields[READ_IOPS]) + float(fields[WRITE_IOPS])


def compare(systems, jobs):
    """Medians of runs that take turns: what disturbs one disturbs all."""
    limit = f"--time_based --runtime={round(SECONDS * 1000)}ms"
    found = {job.name: {name: [] for name in systems} for job in jobs}
    for number in range(1, ROUNDS + 1):
        for job in jobs:
            for name, system in systems.items():
                found[job.name][name].append(run(system, job, limit))
            say(f"round {number} of {ROUNDS}: {job.name}: " + ", ".join(
                f"{name} {runs[-1]:.0f}/s"
                for name, runs in found[job.name].items()))
    return {job: summary(runs) for job, runs in found.items()}


def summary(runs):
    medians = {name: median(values) for name, values in runs.items()}
    return {"iops": medians, "runs": runs,
            "ratio": {name: medians[name] / medians["bare"]
                      for name in medians if name != "bare"}}
