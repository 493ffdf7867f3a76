# SPDX-License-Identifier: BSD-2-Clause
"""How often the guest leaves for Sluice, and for how long: the counting, then
what is counted."""
import pytest
from exits import COMMANDS, INSTRUCTIONS, Exits, Sample, count
from lab import GATE, NEXT, config

# Two commands, the first with half of its data in Sluice's memory.
MEMORY = range(0x3ce00000, 0x3de00000)
LOG = b"""vmexit(00000072, 0, 0, ffffffff81000000)!
pci_nvme_io_cmd cid 1 nsid 0x1 sqid 1 opc 0x2 opname 'NVME_NVM_CMD_READ'
pci_nvme_map_addr addr 0x3cdff000 len 4096
pci_nvme_map_addr addr 0x3ce00000 len 4096
vmexit(00000400, 0000000100000007, 00000000fee000b0, ffffffff81000000)!
Trace 0: 0x7f0000000100 [00000000/000000003ce00010/00000000/ff200201]
Trace 0: 0x7f0000000200 [00000000/000000003ce00014/00000000/ff200201]
Trace 0: 0x7f0000000300 [00000000/0000000001000000/00000000/ff200201]
vmrun! 000000003ce4d000
vmexit(00000400, 0000000100000007, 000000e000001008, ffffffff81000000)!
Trace 0: 0x7f0000000100 [00000000/000000003ce00010/00000000/ff200201]
vmrun! 000000003ce4d000
pci_nvme_io_cmd cid 2 nsid 0x1 sqid 1 opc 0x2 opname 'NVME_NVM_CMD_READ'
vmexit(00000072, 0, 0, ffffffff81000000)!
"""

def test_exits_that_stepping_adds_are_the_short_ones():
    found = Sample(commands=100, exits={"memory": 100, "interrupt": 150})
    stepped = Sample(commands=2, lengths={
        "memory": [1000, 2000], "interrupt": [9, 800, 10, 700, 11, 8, 600]})
    assert found.instructions_per_command(stepped) == 1500 + 1.5 * 700


READS = 500
STEPPED_READS = 20
# What there was last, and a margin: to be lowered whenever there is less.
INSTRUCTIONS_AT_MOST = {"auto": 1700, "relayed": 2600}
INTERRUPT_AT_MOST = 1400


def dd(reads):
    return ("dd if=/dev/disk/by-partlabel/open of=/dev/null bs=4k "
            f"count={reads} iflag=direct")


def test_what_is_between_two_commands_is_counted():
    found = Sample()
    count(LOG, MEMORY, found)
    assert found == Sample(commands=1, exits={"apic": 1, "memory": 1},
                           lengths={"apic": [2], "memory": [1]},
                           data=8192, copied=4096)


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
    completions, system, exits = counted
    with exits.watch(system.machine, COMMANDS, INSTRUCTIONS) as found:
        system.guest.check(dd(STEPPED_READS), 180)
    assert (0 < found.instructions_per_exit("memory") <=
            INSTRUCTIONS_AT_MOST[completions]), found


def test_instructions_of_an_interrupt(counted):
    """Of those with a completion behind them: they are the longest."""
    completions, system, exits = counted
    if completions != "relayed":
        pytest.skip("the drive posts, and no interrupt exits")
    with exits.watch(system.machine, COMMANDS, INSTRUCTIONS) as found:
        system.guest.check(dd(STEPPED_READS), 180)
    longest = sorted(found.lengths["interrupt"])[-found.commands // 2:]
    assert sum(longest) / len(longest) <= INTERRUPT_AT_MOST, found
