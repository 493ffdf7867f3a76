# SPDX-License-Identifier: BSD-2-Clause
"""What Sluice promises beside what it has reached."""
from typing import NamedTuple

import jobs

QD1, QD32, BATCHES, SEQUENTIAL, WRITE = (job.name for job in jobs.JOBS[:5])
MIB = 1 << 20


class Goal(NamedTuple):
    name: str
    sign: str                   # ">=", "<=" or "<"
    bound: float
    found: float
    limit: float = None         # of one exit for each doorbell

    def is_reached(self):
        return {">=": self.found >= self.bound,
                "<=": self.found <= self.bound,
                "<": self.found < self.bound}[self.sign]


def judge(results):
    """All of them, in the order of the table."""
    def ratio(job, name="direct"):
        ratios = results["speed"][job]["ratio"]
        return ratios[name], ratios["empty"]

    def count(job):
        return results["counts"][job]["direct"]

    def exits(job):
        return sum(count(job)["exits"].values())

    startup = results["startup"]
    rows = [
        (f"{QD1}: of bare", ">=", 0.80, *ratio(QD1)),
        (f"{QD32}: of bare", ">=", 0.75, *ratio(QD32)),
        (f"{BATCHES}: of bare", ">=", 0.92, *ratio(BATCHES)),
        (f"{SEQUENTIAL}: of bare", ">=", 0.95, *ratio(SEQUENTIAL)),
        (f"{WRITE}: of bare", ">=", 0.75, *ratio(WRITE)),
        (f"{QD32}, relayed: of bare", ">=", 0.60, *ratio(QD32, "relayed")),
        (f"{QD1}: exits", "<=", 1.05, exits(QD1)),
        (f"{QD32}: exits", "<=", 1.05, exits(QD32)),
        (f"{BATCHES}: exits", "<=", 0.20, exits(BATCHES)),
        ("bytes of data copied, by any of them", "<=", 0,
         max(count(job.name)["copied_bytes"] for job in jobs.JOBS)),
        (f"{QD1}: instructions", "<=", 900, count(QD1)["instructions"]),
        ("idle: exits/s of one CPU", "<", 5,
         max(sum(exits.values()) for exits in results["idle"].values())),
        ("memory taken, MiB", "<=", 16, startup["memory_taken"] / MIB),
        ("sluice.efi, KiB", "<=", 512, startup["image_size"] / 1024),
        ("power-on to shell: of bare", "<=", 1.10, startup["ratio"]),
    ]
    return [Goal(*row) for row in rows]
