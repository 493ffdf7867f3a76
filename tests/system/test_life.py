# SPDX-License-Identifier: BSD-2-Clause
"""What happens to CPUs and controllers while the machine runs: they are
switched off and on, reset, pulled out and put in."""
import pytest
from lab import NEXT, config, pattern
from machine import LOGS, drive, in_slot, slots
from mkdisk import MIB, Disk, Partition
from test_boot import check_disk_works, check_every_cpu_is_guest
from test_data import FIO, TOOLS
from test_hostile import sluice_memory

SECOND = [Partition("data", 8 * MIB, pattern(8 * MIB, 5)),
          Partition("hidden", 8 * MIB, pattern(8 * MIB, 6))]
CPU1 = "/sys/devices/system/cpu/cpu1/online"
READ = "dd if=/dev/{0} of=/dev/null bs=64k count=16 iflag=direct"
APPEARS = "until [ -b /dev/{0} ]; do usleep 10000; done"
COMMAND, BAR, BUS_NUMBERS, CAPABILITIES = 4, 0x10, 0x18, 0x34
POWER, EXPRESS = 1, 0x10
INTEL_ECAM = 0x60
DRIVER = "/sys/bus/pci/drivers/nvme"
DISAPPEARS = "while [ -e /sys/class/nvme/{0} ]; do usleep 10000; done"


@pytest.fixture(scope="module")
def second(lab):
    return Disk(lab.image("life-second"), SECOND).create()


@pytest.fixture(scope="module")
def system(lab, second):
    conf = config("none PARTLABEL=hidden", **NEXT)
    devices = [*slots("slot1", "slot2"), *drive(second, "second"),
               *in_slot("slot1", "QF1", "second"),
               "-trace", "pci_nvme_mmio_shutdown_set"]
    with lab.boot("life", conf=conf, partitions=lab.partitions(),
                  devices=devices) as system:
        system.guest.check(TOOLS)
        yield system


class Config:
    """Config space of a function, beside its driver."""

    def __init__(self, guest, path):
        self.guest, self.path = guest, path

    def read(self, offset, size):
        text = self.guest.check(f"od -An -v -tx1 -j{offset} -N{size} "
                                f"{self.path}/config")
        return int.from_bytes(bytes.fromhex(text), "little")

    def writing(self, offset, size, value):
        """The command that does it, in one access."""
        text = "".join(f"\\{byte:03o}"
                       for byte in value.to_bytes(size, "little"))
        return (f"printf '{text}' | dd of={self.path}/config bs={size} "
                f"oflag=seek_bytes seek={offset} conv=notrunc 2>/dev/null")

    def write(self, offset, size, value):
        self.guest.check(self.writing(offset, size, value))

    def find(self, capability):
        offset = self.read(CAPABILITIES, 1)
        while self.read(offset, 1) != capability:
            offset = self.read(offset + 1, 1)
            assert offset, f"no capability {capability}"
        return offset


def function_of(guest, serial):
    name = guest.controller(serial)
    path = guest.check(f"readlink -f /sys/class/nvme/{name}/device")
    return Config(guest, path)


def port_of(function):
    return Config(function.guest, function.path.rsplit("/", 1)[0])


def load(guest, command, deadline=120):
    """Runs a command while fio writes to the boot disk, and verifies it."""
    report = guest.check(f"( {FIO}--rw=randrw --bs=16k --iodepth=16 & "
                         f"{command} || exit 1; wait $! )", deadline)
    assert "err= 0" in report


def check_second_works(system, second):
    """It works, and its rule is still enforced."""
    guest = system.guest
    assert guest.sha256("/dev/nvme1n1p1") == second.sha256("data")
    guest.refuses(READ.format("nvme1n1p2"))


def test_cpu_leaves_and_comes_back(system):
    guest = system.guest
    for _ in range(2):
        guest.check(f"echo 0 >{CPU1}")
        check_disk_works(system)
        guest.check(f"echo 1 >{CPU1}")
        check_every_cpu_is_guest(guest, 2)
        guest.check("taskset 2 " + READ.format("nvme0n1"))


def test_function_level_reset_under_load(system):
    name = system.guest.controller("QF0")
    reset = f"/sys/class/nvme/{name}/device/reset"
    load(system.guest, f"for i in 1 2; do echo 1 >{reset} || exit 1; done")
    check_disk_works(system)


def test_controller_pulled_out_and_put_in_again(system, second):
    machine, guest = system.machine, system.guest
    for _ in range(2):
        name = guest.controller("QF1")
        machine.pull_out("QF1")
        guest.check(DISAPPEARS.format(name))
        check_disk_works(system)
        machine.put_in("slot1", "QF1", "second")
        guest.check(APPEARS.format("nvme1n1p1"))
        check_second_works(system, second)


def test_slot_loses_power_in_the_middle_of_io(system, second):
    """Nobody was asked: commands are under way, the device is not there."""
    guest = system.guest
    function = function_of(guest, "QF1")
    port = port_of(function)
    control = port.find(EXPRESS) + 0x18
    on = port.read(control, 2)
    off = port.writing(control, 2, on | 0x700)
    read = READ.format("nvme1n1p1")
    readers = f"while {read}; do :; done & " * 4
    guest.check(f"( {readers} {read}; {off}; "
                f"echo 1 >{function.path}/remove; wait ) 2>/dev/null")
    check_disk_works(system)
    port.write(control, 2, on)
    guest.check("echo 1 >/sys/bus/pci/rescan; " + APPEARS.format("nvme1n1p1"))
    check_second_works(system, second)


def test_controller_in_an_empty_slot(system, second):
    machine, guest = system.machine, system.guest
    name = guest.controller("QF1")
    machine.pull_out("QF1")
    guest.check(DISAPPEARS.format(name))
    machine.put_in("slot2", "QF1", "second")
    guest.check(APPEARS.format("nvme1n1p1"))
    check_second_works(system, second)


def test_sleep_under_load(system):
    """D3hot and D0 behind the driver's back. QEMU keeps the registers."""
    function = function_of(system.guest, "QF0")
    control = function.find(POWER) + 4
    sleep, wake = (function.writing(control, 2, state) for state in (3, 0))
    load(system.guest, f"for i in 1 2 3; do {sleep}; {wake}; done")
    assert function.read(control, 2) & 3 == 0
    check_disk_works(system)


def test_bus_is_renumbered(system, second):
    function = function_of(system.guest, "QF1")
    port = port_of(function)
    numbers = port.read(BUS_NUMBERS, 4)
    port.write(BUS_NUMBERS, 4, numbers & 0xff | 0x303000)
    system.machine.expect_log("its bus is 30 now")
    assert function.read(0, 4) == 0xffffffff
    port.write(BUS_NUMBERS, 4, numbers)
    check_second_works(system, second)


def test_bus_is_not_renumbered_out_of_sight(system, second):
    function = function_of(system.guest, "QF1")
    port = port_of(function)
    numbers = port.read(BUS_NUMBERS, 4)
    for hidden in (0, 0x000100, 0x003130):
        port.write(BUS_NUMBERS, 4, hidden)
        assert port.read(BUS_NUMBERS, 4) == numbers
    system.machine.expect_log("would hide a controller: dropped")
    check_second_works(system, second)


def test_config_space_is_not_moved(system):
    bridge = Config(system.guest, "/sys/bus/pci/devices/0000:00:00.0")
    base = bridge.read(INTEL_ECAM, 4)
    bridge.write(INTEL_ECAM, 4, base ^ 0x10000000)
    bridge.write(INTEL_ECAM, 1, 0)
    assert bridge.read(INTEL_ECAM, 4) == base
    system.machine.expect_log("config space cannot be moved")


def test_registers_are_not_put_onto_sluice(system, second):
    """They decode nothing there, and it stays hidden when they are gone."""
    guest = system.guest
    function = function_of(guest, "QF1")
    name = function.path.rsplit("/", 1)[1]
    memory = sluice_memory(system)
    guest.check(f"echo {name} >{DRIVER}/unbind")
    bar = function.read(BAR, 8)
    function.write(COMMAND, 2, 6)
    function.write(BAR + 4, 4, 0)
    function.write(BAR, 4, memory)
    assert function.read(COMMAND, 2) & 2 == 0
    function.write(COMMAND, 2, 6)
    assert function.read(COMMAND, 2) & 2 == 0
    function.write(BAR, 4, bar & 0xffffffff)
    function.write(BAR + 4, 4, bar >> 32)
    assert int(guest.check(f"devmem {memory:#x} 32"), 16) == 0xffffffff
    guest.check(f"echo {name} >{DRIVER}/bind")
    guest.check(APPEARS.format("nvme1n1p1"))
    check_second_works(system, second)


def test_power_off_tells_every_controller(system):
    log = LOGS / "life.qemu.log"
    before = log.read_text().count("shutdown_set")
    system.guest.power_off()
    assert log.read_text().count("shutdown_set") == before + 2
