# SPDX-License-Identifier: BSD-2-Clause
"""From power-on to a shell, the memory that is left, the file on the ESP."""
import re
from statistics import median

from jobs import ratio
from rig import DIRECT, PARTITIONS, ROUNDS, machine, say


def boot(lab, mode):
    """Seconds to the shell, and the guest's memory in bytes."""
    with machine(lab, f"startup-{mode}", DIRECT, PARTITIONS,
                 mode=mode) as system:
        text = system.guest.check("cat /proc/meminfo")
        kib = int(re.search(r"MemTotal: +(\d+) kB", text)[1])
        return system.guest.boot_seconds, kib * 1024


def measure(lab):
    seconds = {"bare": [], "direct": []}
    memory = {}
    for number in range(1, ROUNDS + 1):
        for name, mode in (("bare", "plain"), ("direct", "sluice")):
            taken, memory[name] = boot(lab, mode)
            seconds[name].append(taken)
        say(f"round {number} of {ROUNDS}: power-on to shell: " + ", ".join(
            f"{name} {runs[-1]:.1f} s" for name, runs in seconds.items()))
    medians = {name: median(runs) for name, runs in seconds.items()}
    return {"seconds": medians, "runs": seconds,
            "ratio": ratio(seconds["direct"], seconds["bare"]),
            "memory_taken": memory["bare"] - memory["direct"],
            "image_size": lab.sluice_efi.stat().st_size}
