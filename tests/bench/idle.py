# SPDX-License-Identifier: BSD-2-Clause
"""How often a guest that waits at its prompt leaves for Sluice."""
import time

from rig import say

SECONDS = 10


def measure(system, cpus):
    """Exits per second and CPU, by cause. Nothing is asked of the guest
    meanwhile: the time is measured here."""
    say(f"idle for {SECONDS} s, CPUs: {cpus}")
    with system.exits.watch(system.machine) as sample:
        time.sleep(SECONDS)
    return {cause: count / SECONDS / cpus
            for cause, count in sample.exits.items()}
