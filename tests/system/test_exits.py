# SPDX-License-Identifier: BSD-2-Clause
"""How often the guest leaves for Sluice, and for how long."""
import pytest
from exits import COMMANDS, INSTRUCTIONS, Exits
from lab import GATE, NEXT, config

READS = 500
STEPPED_READS = 20
# What there was last, and a margin: to be lowered whenever there is less.
INSTRUCTIONS_AT_MOST = 4400


def dd(reads):
    return ("dd if=/dev/disk/by-partlabel/open of=/dev/null bs=4k "
            f"count={reads} iflag=direct")


@pytest.fixture(scope="module", params=["auto", "relayed"])
def counted(lab, request):
    """A machine, and what counts its exits."""
    name = f"exits-{request.param}"
    exits = Exits(name)
    conf = config(*GATE, completions=request.param, **NEXT)
    with lab.boot(name, conf=conf, partitions=lab.partitions(), cpus=1,
                  devices=exits.arguments) as system:
        system.guest.check(dd(READS))
        yield request.param, system, exits


LIMITS = {"auto": {"memory": 1.05, "interrupt": 0.02},
          "relayed": {"memory": 1.05, "interrupt": 1.6}}


def test_exits_of_a_read(counted):
    """One doorbell; where nobody looks at completions, nothing else."""
    completions, system, exits = counted
    with exits.watch(system.machine, COMMANDS) as found:
        system.guest.check(dd(READS))
    assert found.commands == READS - 1, found
    for what, limit in LIMITS[completions].items():
        assert found.exits_per_command(what) <= limit, found
    # Fewer than one only where the drive was slower than the guest.
    assert found.exits_per_command("memory") > 0.5, found
    assert set(found.exits) <= {"memory", "interrupt", "apic", "cpuid"}, found


def test_data_of_a_read_is_not_copied(counted):
    _, system, exits = counted
    with exits.watch(system.machine, COMMANDS) as found:
        system.guest.check(dd(READS))
    assert found.data == found.commands * 4096, found
    assert found.copied == 0, found


def test_instructions_of_a_doorbell(counted):
    """With a read behind it. The guest's time is Sluice's instructions."""
    _, system, exits = counted
    with exits.watch(system.machine, COMMANDS, INSTRUCTIONS) as found:
        system.guest.check(dd(STEPPED_READS), 180)
    assert 0 < found.instructions_per_exit("memory") <= INSTRUCTIONS_AT_MOST, \
        found
