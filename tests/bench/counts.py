# SPDX-License-Identifier: BSD-2-Clause
"""Exits, instructions of Sluice's and copied bytes for one I/O operation."""
import jobs
from exits import COMMANDS, INSTRUCTIONS
from rig import OPEN, say

COUNTED = 5000
DEADLINE = 300
SKIPPED, STEPPED = 50, 24
READ = f"dd if={OPEN} of=/dev/null bs=4k iflag=direct count={COUNTED}"


def of_jobs(systems, chosen):
    found = {}
    for job in chosen:
        command = f"{jobs.FIO}{job.options} --number_ios={COUNTED}"
        for name in ("direct", "relayed"):
            say(f"exits and instructions: {job.name}: {name}")
            found.setdefault(job.name, {})[name] = of_command(systems[name],
                                                              command)
    return found


def of_command(system, command):
    """Of one that starts COUNTED operations."""
    with system.exits.watch(system.machine, COMMANDS) as sample:
        system.guest.check(command, DEADLINE)
    stepped = step(system, command)
    return {
        "exits": {cause: count / sample.commands
                  for cause, count in sample.exits.items()},
        "instructions_per_exit": {
            cause: stepped.instructions_per_exit(cause)
            for cause in stepped.exits},
        "instructions": sample.instructions_per_command(stepped),
        "copied_bytes": sample.copied / sample.commands,
    }


def step(system, command):
    """Some operations in the middle; what is before them takes too long."""
    exits, machine = system.exits, system.machine
    system.guest.begin(command)
    with exits.watch(machine, COMMANDS):
        exits.expect_commands(SKIPPED)
    with exits.watch(machine, COMMANDS, INSTRUCTIONS) as stepped:
        exits.expect_commands(STEPPED)
    system.guest.finish(DEADLINE)
    return stepped
