# SPDX-License-Identifier: BSD-2-Clause
"""None, two, and disks whose partition table is broken."""
import pytest
from guest import Guest
from lab import NEXT, OPEN_ONLY, config, pattern
from machine import Machine, nvme, virtio
from mkdisk import MIB, Disk, Partition
from test_boot import check_disk_works

SECOND = [Partition("data", 8 * MIB, pattern(8 * MIB, 5)),
          Partition("hidden", 8 * MIB, pattern(8 * MIB, 6))]
READ = "dd if=/dev/nvme1n1p{0} of=/dev/null bs=64k iflag=direct"


@pytest.mark.parametrize("block", [512, 4096])
def test_two_controllers_have_their_own_rules(lab, block):
    second = Disk(lab.image(f"second-{block}"), SECOND, block).create()
    conf = config("ro QF1:n1", "none PARTLABEL=hidden", **NEXT)
    with lab.boot(f"controllers-{block}", conf=conf, partitions=OPEN_ONLY,
                  devices=nvme(second, serial="QF1")) as system:
        guest = system.guest
        system.machine.expect_log(r"nvme0: .*SN=QF0")
        system.machine.expect_log(r"nvme1: .*SN=QF1")
        assert guest.check("cat /sys/block/nvme1n1/ro") == "1"
        assert guest.sha256("/dev/nvme1n1p1") == second.sha256("data")
        guest.refuses(READ.format(2))
        guest.refuses(f"nvme write-zeroes /dev/nvme1n1 -s {MIB // block}")
        guest.check("dd if=/dev/nvme1n1p1 of=/dev/nvme0n1p2 bs=256k "
                    "iflag=direct oflag=direct")
        assert system.disk.read("open") == second.read("data")
    assert second.read("data") == SECOND[0].content


def broken(lab, name, **which):
    disk = Disk(lab.image(name), SECOND).create()
    disk.spoil_table(**which)
    return nvme(disk, serial="QF1", read_only=True)


def test_backup_table_serves_when_the_primary_is_broken(lab):
    """The image is read-only, or the firmware would repair it first."""
    devices = broken(lab, "second-primary", primary=True)
    conf = config("none PARTLABEL=hidden", **NEXT)
    with lab.boot("controllers-primary", conf=conf,
                  devices=devices) as system:
        system.machine.expect_log("nvme1: .*(primary|backup)")
        system.guest.refuses(READ.format(2))


def test_rules_cover_the_whole_disk_when_no_table_is_left(lab):
    devices = broken(lab, "second-none", primary=True, backup=True)
    conf = config("none PARTLABEL=hidden", **NEXT)
    with lab.boot("controllers-none", conf=conf, devices=devices,
                  partitions=OPEN_ONLY) as system:
        system.machine.expect_log("nvme1: gate: n1: .* not known")
        system.guest.refuses("dd if=/dev/nvme1n1 of=/dev/null bs=4k count=1")
        check_disk_works(system)


def test_machine_without_nvme(lab):
    """Sluice says so and is otherwise out of the way."""
    disk = lab.disk("controllers-virtio", config(**NEXT))
    with Machine("controllers-virtio", virtio(disk)) as machine:
        guest = Guest(machine)
        machine.expect_log("no driver found a device")
        assert guest.run("grep -w svm /proc/cpuinfo").status == 1
