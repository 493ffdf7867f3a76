# SPDX-License-Identifier: BSD-2-Clause
"""Partition tables that the guest writes while it runs: as long as no rule is
for anything on the disk they are its own, and from then on they are not."""
import pytest
from lab import NEXT, config
from machine import nvme
from mkdisk import MIB, Disk, Partition
from test_data import TOOLS

SGDISK = "LD_LIBRARY_PATH=/tools/lib /tools/sgdisk"
WRITE = "dd if=/dev/urandom of={0} bs=64k count=8 oflag=direct"
READ = "dd if={0} of=/dev/null bs=64k count=8 iflag=direct"
ACCESS_DENIED, WRITE_PROTECTED = "0x4286", "0x4020"
AGAINST = {
    "rename": SGDISK + " -c 2:open {0}",
    "delete": SGDISK + " -d 2 {0}",
    "zap": SGDISK + " -Z {0}",
    "new identifiers": SGDISK + " -G {0}",
    "wipe the protective record": "dd if=/dev/zero of={0} bs=512 count=1 "
                                  "conv=fsync",
    "wipe the backup": "dd if=/dev/zero of={0} bs=512 count=1 conv=fsync "
                       "seek=$(($(blockdev --getsz {0}) - 1))",
    "discard": "blkdiscard {0}",
}


@pytest.fixture(scope="module")
def system(lab):
    """Two more disks with nothing on them, and rules for what is to come."""
    disks = {serial: Disk(lab.image(f"table-{serial}"),
                          [Partition("room", 30 * MIB)]).create_blank()
             for serial in ("QF1", "QF2")}
    conf = config("none PARTLABEL=late", "ro QF2:n1:p3", **NEXT)
    devices = [argument for serial, disk in disks.items()
               for argument in nvme(disk, serial=serial)]
    with lab.boot("table", conf=conf, partitions=lab.partitions(),
                  devices=devices) as system:
        system.guest.check(TOOLS)
        system.blank = disks
        yield system


def device(system, serial):
    return f"/dev/{system.guest.controller(serial)}n1"


def partition(guest, disk, *changes):
    """sgdisk makes the kernel read the table again, too."""
    options = " ".join(changes)
    guest.check(f"{SGDISK} {options} {disk}")
    guest.check(f"blockdev --rereadpt {disk}")


def check_denied(guest, path):
    for template in (READ, WRITE):
        guest.refuses(template.format(path))
    output = guest.refuses(f"nvme read {path} -c 0 -z 512 -d /tmp/seen -s "
                           f"$(cat /sys/class/block/$(basename {path})/start)")
    assert ACCESS_DENIED in output


def test_partition_made_on_an_empty_disk_has_its_rule(system):
    guest, disk = system.guest, device(system, "QF1")
    partition(guest, disk, "-n 1:0:+8M -c 1:open", "-n 2:0:+8M -c 2:late")
    check_denied(guest, disk + "p2")
    guest.check(WRITE.format(disk + "p1"))
    system.machine.expect_log('none PARTUUID=.* PARTLABEL="late"')


@pytest.mark.parametrize("template", AGAINST.values(), ids=AGAINST)
def test_table_is_closed_when_its_rule_holds(system, template):
    """sgdisk does not notice that its writes fail: the image is asked."""
    guest, disk = system.guest, device(system, "QF1")
    before = system.blank["QF1"].table()
    guest.run(template.format(disk))
    guest.check("sync; echo 3 >/proc/sys/vm/drop_caches")
    assert system.blank["QF1"].table() == before
    assert WRITE_PROTECTED in guest.refuses(
        f"nvme write-zeroes {disk} -s 0 -c 0")
    check_denied(guest, disk + "p2")


def test_rule_that_came_at_run_time_outlives_a_reset(system):
    guest = system.guest
    guest.check(f"nvme reset /dev/{guest.controller('QF1')}")
    check_denied(guest, device(system, "QF1") + "p2")


def test_table_that_no_rule_is_for_is_the_guests(system):
    guest, disk = system.guest, device(system, "QF2")
    partition(guest, disk, "-n 1:0:+4M -c 1:one", "-n 2:0:+4M -c 2:two")
    for round in range(3):
        partition(guest, disk, f"-c 1:one{round}", "-G")
        partition(guest, disk, "-d 2")
        partition(guest, disk, "-n 2:0:+4M")
        guest.check(WRITE.format(disk + "p2"))


def test_partition_by_number_has_its_rule_when_it_comes(system):
    guest, disk = system.guest, device(system, "QF2")
    partition(guest, disk, "-n 3:0:+4M")
    guest.check(READ.format(disk + "p3"))
    guest.refuses(WRITE.format(disk + "p3"))
    guest.check(WRITE.format(disk + "p2"))
    before = system.blank["QF2"].table()
    guest.run(f"{SGDISK} -d 3 {disk}; sync")
    assert system.blank["QF2"].table() == before
