# SPDX-License-Identifier: BSD-2-Clause
"""A guest that writes nonsense to registers and doorbells and looks for
Sluice in memory: what a real controller does, and the disk works after it."""
import re

import pytest
from lab import OPEN_ONLY
from test_boot import check_disk_works

FIND = "grep -l 0x010802 /sys/bus/pci/devices/*/class"
DRIVER = "/sys/bus/pci/drivers/nvme"
CC, CSTS, AQA, ASQ, ACQ, DOORBELLS = 0x14, 0x1c, 0x24, 0x28, 0x30, 0x1000
ENABLE, FATAL = 0x00460001, 2


class Registers:
    """BAR0 of the controller, through /dev/mem, without its driver."""

    def __init__(self, guest):
        self.guest = guest
        self.function = guest.check(FIND).split("/")[-2]
        text = guest.check("head -1 /sys/bus/pci/devices/"
                           f"{self.function}/resource")
        self.base = int(text.split()[0], 16)
        self.take()

    def take(self):
        """The driver leaves the controller enabled, and its queues in memory
        that is no longer its own."""
        device = f"/sys/bus/pci/devices/{self.function}"
        self.guest.check(f"echo {self.function} >{DRIVER}/unbind; "
                         f"echo 1 >{device}/enable")
        self.write(CC, 0)

    def read(self, offset, width=32):
        return int(self.guest.check(
            f"devmem {self.base + offset:#x} {width}"), 16)

    def write(self, offset, value, width=32):
        self.guest.check(f"devmem {self.base + offset:#x} {width} {value:#x}")

    def wait(self, offset, mask):
        self.guest.check(
            f"until [ $(($(devmem {self.base + offset:#x}) & {mask})) != 0 ];"
            " do usleep 10000; done")

    def give_back(self):
        """To the driver; the disk has to be whole."""
        self.write(CC, 0)
        self.guest.check(
            f"echo {self.function} >{DRIVER}/bind; "
            "until [ -b /dev/nvme0n1p2 ]; do usleep 10000; done")


@pytest.fixture(scope="module")
def victim(lab):
    with lab.boot("hostile", partitions=OPEN_ONLY) as system:
        yield system


@pytest.fixture
def registers(victim):
    found = Registers(victim.guest)
    yield found
    found.give_back()
    check_disk_works(victim)
    assert "panic" not in victim.machine.log.text


@pytest.mark.parametrize("width", [8, 16, 32, 64])
def test_doorbells_of_no_queue(registers, width):
    for offset in (0, 8, 0x40, 0x200, 0xff8):
        registers.write(DOORBELLS + offset, (1 << width) - 1, width)
        registers.read(DOORBELLS + offset, width)


def test_enabling_without_queues_is_fatal_status(registers):
    registers.write(AQA, 0)
    registers.write(CC, ENABLE)
    registers.wait(CSTS, FATAL)


@pytest.mark.parametrize("value", [0xffffffff, 0x000000f1, 0x00ff0001])
def test_nonsense_in_cc(registers, value):
    registers.write(CC, value)
    registers.read(CSTS)


def test_memory_of_sluice_reads_as_ones(victim):
    base = sluice_memory(victim)
    for width in (8, 32, 64):
        victim.guest.check(f"devmem {base:#x} {width} 0x5a")
        text = victim.guest.check(f"devmem {base:#x} {width}")
        assert int(text, 16) == (1 << width) - 1


def test_queues_in_the_memory_of_sluice(victim, registers):
    base = sluice_memory(victim)
    registers.write(AQA, 0x001f001f)
    registers.write(ASQ, base, 64)
    registers.write(ACQ, base + 0x1000, 64)
    registers.write(CC, ENABLE)
    registers.wait(CSTS, FATAL)


def sluice_memory(system):
    """The largest range that the firmware says is reserved RAM."""
    text = system.guest.check("grep -i reserved /proc/iomem")
    ranges = [(int(a, 16), int(b, 16)) for a, b in
              re.findall(r"([0-9a-f]+)-([0-9a-f]+)", text)]
    inside = [(b - a, a) for a, b in ranges if b < 1 << 30]
    size, base = max(inside)
    assert size + 1 >= 4 << 20
    return base
