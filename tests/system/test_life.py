# SPDX-License-Identifier: BSD-2-Clause
"""What happens to CPUs and controllers while the machine runs: they are
switched off and on, reset, pulled out and put in."""
import pytest
from lab import NEXT, config, pattern
from machine import LOGS, drive, in_slot, slots
from mkdisk import MIB, Disk, Partition
from test_boot import check_disk_works, check_every_cpu_is_guest
from test_data import FIO, TOOLS

SECOND = [Partition("data", 8 * MIB, pattern(8 * MIB, 5)),
          Partition("hidden", 8 * MIB, pattern(8 * MIB, 6))]
CPU1 = "/sys/devices/system/cpu/cpu1/online"
READ = "dd if=/dev/{0} of=/dev/null bs=64k count=16 iflag=direct"
APPEARS = "until [ -b /dev/{0} ]; do usleep 10000; done"
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


def test_controller_in_an_empty_slot(system, second):
    machine, guest = system.machine, system.guest
    name = guest.controller("QF1")
    machine.pull_out("QF1")
    guest.check(DISAPPEARS.format(name))
    machine.put_in("slot2", "QF1", "second")
    guest.check(APPEARS.format("nvme1n1p1"))
    check_second_works(system, second)


def test_power_off_tells_every_controller(system):
    log = LOGS / "life.qemu.log"
    before = log.read_text().count("shutdown_set")
    system.guest.power_off()
    assert log.read_text().count("shutdown_set") == before + 2
