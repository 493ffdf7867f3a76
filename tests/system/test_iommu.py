# SPDX-License-Identifier: BSD-2-Clause
"""A device that the guest has told to read and write Sluice's memory, with an
IOMMU and without; and the drive, whose DMA has to get through. What is in
memory is asked of the machine, behind everybody's back."""
import pytest
from lab import NEXT, OPEN_ONLY, config
from machine import drive, slots
from mkdisk import Disk
from test_boot import check_disk_works, check_every_cpu_is_guest
from test_data import FIO, TOOLS
from test_hostile import sluice_memory

SCRATCH, PATTERN = 0x10000000, 0x5a17c0de5a17c0de
# The kernel leaves this page to us.
KEPT = dict(NEXT, **{"next-options":
                     f"{NEXT['next-options']} memmap=64K${SCRATCH:#x}"})
EDU = ["-device", "edu,dma_mask=0xffffffff"]
SOURCE, TARGET, COUNT, COMMAND, BUFFER = 0x80, 0x88, 0x90, 0x98, 0x40000
FROM_MEMORY, TO_MEMORY = 1, 3
# Unit, how Sluice calls it, and where its registers are.
UNITS = {"amd": (["-device", "amd-iommu"], "AMD-Vi", 0xfed80000),
         "intel": (["-device", "intel-iommu"], "VT-d", 0xfed90000),
         "intel-48": (["-device", "intel-iommu,aw-bits=48"], "VT-d",
                      0xfed90000)}


class Edu:
    """QEMU's device for teaching: a buffer, and DMA to and from it."""

    def __init__(self, guest):
        self.guest = guest
        path = guest.check("grep -l 0x11e8 /sys/bus/pci/devices/*/device")
        self.folder = path.rsplit("/", 1)[0]
        guest.check(f"printf '\\6' | dd of={self.folder}/config bs=1 seek=4 "
                    "conv=notrunc 2>/dev/null")
        line = guest.check(f"head -1 {self.folder}/resource")
        self.base = int(line.split()[0], 16)

    def move(self, source, target, command):
        for offset, value in ((SOURCE, source), (TARGET, target),
                              (COUNT, 64), (COMMAND, command)):
            self.guest.check(f"devmem {self.base + offset:#x} 64 {value:#x}")
        self.guest.check(
            f"until [ $(($(devmem {self.base + COMMAND:#x} 64) & 1)) = 0 ];"
            " do usleep 10000; done")

    def copy(self, source, target):
        self.move(source, BUFFER, FROM_MEMORY)
        self.move(BUFFER, target, TO_MEMORY)


def memory(system, address):
    text = system.machine.qmp("human-monitor-command", **{
        "command-line": f"xp /8gx {address:#x}"})
    return [int(word, 16) for line in text.splitlines()
            for word in line.split(":")[1].split()]


def fill(system, address):
    for at in range(address, address + 64, 8):
        system.guest.check(f"devmem {at:#x} 64 {PATTERN:#x}")


def attack(system):
    """What a device can read of Sluice's memory, and write to it: both."""
    guest, base = system.guest, sluice_memory(system)
    edu, secret = Edu(guest), memory(system, base)
    fill(system, SCRATCH)
    edu.copy(SCRATCH, SCRATCH + 0x1000)
    assert memory(system, SCRATCH + 0x1000) == [PATTERN] * 8
    edu.copy(base, SCRATCH + 0x1000)
    is_read = memory(system, SCRATCH + 0x1000) == secret
    victim = base + (8 << 20)
    edu.copy(SCRATCH, victim)
    return any(secret) and is_read, memory(system, victim) == [PATTERN] * 8


@pytest.fixture(scope="module", params=UNITS)
def unit(lab, request):
    devices, _, _ = UNITS[request.param]
    later = Disk(lab.image(f"iommu-{request.param}-later"), OPEN_ONLY).create()
    with lab.boot(f"iommu-{request.param}", conf=config(**KEPT),
                  partitions=lab.partitions(),
                  devices=[*devices, *EDU, *slots("slot1"),
                           *drive(later, "later")]) as system:
        system.kind, system.later = request.param, later
        yield system


def test_every_unit_is_switched_on(unit):
    _, name, base = UNITS[unit.kind]
    unit.machine.expect_log(f"iommu: {name} at {base:#x} keeps devices of "
                            "segment 0 out")
    check_every_cpu_is_guest(unit.guest, 2)
    assert unit.guest.check("ls /sys/class/iommu") == ""


def test_the_drive_reaches_memory(unit):
    check_disk_works(unit)
    unit.guest.check(TOOLS)
    assert "err= 0" in unit.guest.check(
        f"{FIO} --rw=randrw --bsrange=512-256k --iodepth=32", 180)


def test_a_drive_that_comes_later_does_too(unit):
    unit.machine.put_in("slot1", "QF1", "later")
    unit.guest.check("until [ -b /dev/nvme1n1p1 ]; do usleep 100000; done")
    assert unit.guest.sha256("/dev/nvme1n1p1") == unit.later.sha256("open")


def test_other_devices_do_not_reach_sluice(unit):
    assert attack(unit) == (False, False)


def test_nobody_switches_it_off(unit):
    """Its registers read as ones, and what is written is dropped."""
    _, _, base = UNITS[unit.kind]
    for offset in (0x18, 0x20):
        unit.guest.check(f"devmem {base + offset:#x} 64 0")
        text = unit.guest.check(f"devmem {base + offset:#x} 64")
        assert int(text, 16) == (1 << 64) - 1
    unit.machine.expect_log("iommu: the guest looks for it")
    assert attack(unit) == (False, False)
    check_disk_works(unit)


@pytest.mark.parametrize("devices, keys", [
    ([], {}), (UNITS["amd"][0], {"iommu": "off"})], ids=["none", "off"])
def test_without_it_a_device_reaches_sluice(lab, request, devices, keys):
    """The attack is one: a test that it fails says something."""
    name = f"iommu-{request.node.callspec.id}"
    with lab.boot(name, conf=config(**KEPT, **keys), partitions=OPEN_ONLY,
                  devices=[*devices, *EDU]) as system:
        assert attack(system) == (True, True)
