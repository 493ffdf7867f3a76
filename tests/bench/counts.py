# SPDX-License-Identifier: BSD-2-Clause
"""Exits, instructions of Sluice's and copied bytes for one I/O operation."""
import jobs
from exits import COMMANDS, INSTRUCTIONS
from machine import Trouble
from rig import OPEN, say

COUNTED = 3000
DEADLINE = 300
# A direct queue of 63 is looked through for what is done every 32 commands.
SKIPPED, STEPPED = 50, 64
READ = f"dd if={OPEN} of=/dev/null bs=4k iflag=direct count={COUNTED}"


def of_jobs(systems, chosen):
    found = {}
    for job in chosen:
        command = jobs.command(job, f"--io_size={COUNTED * job.kib}k")
        say(f"exits and instructions: {job.name}")
        found[job.name] = {name: of_command(systems[name], command)
                           for name in ("direct", "relayed")}
    return found


def of_command(system, command):
    """Of one that starts COUNTED operations. The exits only, when the guest,
    which timers and the drive overtake while it is stepped, gets nowhere."""
    sample = count(system, command)
    try:
        stepped = step(system, command)
    except Trouble as trouble:
        say(f"no instructions: {trouble}")
        return per_command(sample)
    return per_command(sample) | {
        "instructions_per_exit": {
            cause: stepped.instructions_per_exit(cause)
            for cause in stepped.exits},
        "instructions": sample.instructions_per_command(stepped),
    }


def count(system, command):
    with system.exits.watch(system.machine, COMMANDS) as sample:
        system.guest.check(command, DEADLINE)
    return sample


def per_command(sample):
    return {"exits": {cause: count / sample.commands
                      for cause, count in sample.exits.items()},
            "copied_bytes": sample.copied / sample.commands}


def step(system, command):
    """Some operations in the middle; what is before them takes too long."""
    exits, machine = system.exits, system.machine
    system.guest.begin(command)
    try:
        with exits.watch(machine, COMMANDS):
            exits.expect_commands(SKIPPED)
        with exits.watch(machine, COMMANDS, INSTRUCTIONS) as stepped:
            exits.expect_commands(STEPPED)
    finally:
        system.guest.finish(DEADLINE)
    return stepped
