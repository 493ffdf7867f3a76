# SPDX-License-Identifier: BSD-2-Clause
"""Every byte arrives: between guest and host, through files and by fio."""
import hashlib
import subprocess

import pytest
from lab import DISKS
from mkdisk import MIB

OPEN = "/dev/disk/by-partlabel/open"
FILL = "dd if=/dev/urandom of=/tmp/noise bs=1M count=8 2>/dev/null"
TOOLS = ("mkdir -p /tools; [ -x /tools/fio ] || "
         "mount -o ro /dev/disk/by-partlabel/tools /tools")
FIO = ("LD_LIBRARY_PATH=/tools/lib /tools/fio --name=t --thread --group_report"
       f"ing --filename={OPEN} --direct=1 --ioengine=libaio --size=32M "
       "--verify=crc32c --verify_fatal=1 ")


@pytest.mark.parametrize("block", [512, 4096, 98304, MIB, 4 * MIB])
def test_guest_reads_what_the_host_wrote(system, block):
    count = 4 * MIB // block
    text = system.guest.check(
        f"dd iflag=direct bs={block} count={count} 2>/dev/null "
        "if=/dev/disk/by-partlabel/readonly | sha256sum")
    content = system.disk.read("readonly", 0, count * block)
    assert text.split()[0] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("block", [512, 4096, 98304, MIB, 4 * MIB])
def test_host_reads_what_the_guest_wrote(system, block):
    count = min(4 * MIB // block, 512)
    size = count * block
    system.guest.check(f"[ -f /tmp/noise ] || {FILL}")
    system.guest.check(f"dd if=/tmp/noise of={OPEN} bs={block} "
                       f"count={count} oflag=direct")
    text = system.guest.check(f"head -c {size} /tmp/noise | sha256sum")
    content = system.disk.read("open", 0, size)
    assert text.split()[0] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("load", [
    "--rw=randrw --bsrange=512-256k --iodepth=32",
    "--rw=write --bs=1M --iodepth=4",
    "--rw=randwrite --bs=4k --iodepth=64 --numjobs=4 --offset_increment=8M "
    "--size=8M --io_size=4M"])
def test_fio_verifies_what_it_wrote(system, load):
    system.guest.check(TOOLS)
    report = system.guest.check(FIO + load, 180)
    assert "err= 0" in report


def test_file_system_made_by_the_guest_is_sound(system):
    guest = system.guest
    guest.check(f"mkfs.ext4 -q -F {OPEN} && mount {OPEN} /mnt")
    guest.check("cp -a /bin/busybox /lib /mnt/; sync; umount /mnt")
    guest.check(f"e2fsck -f -n {OPEN}")
    image = DISKS / "open-extracted.img"
    image.write_bytes(system.disk.read("open"))
    subprocess.run(["/sbin/e2fsck", "-f", "-n", image], check=True,
                   stdout=subprocess.DEVNULL)
    guest.check(f"mount -o ro {OPEN} /mnt")
    assert guest.check("cmp /bin/busybox /mnt/busybox; umount /mnt") == ""


def test_discarded_blocks_leave_their_neighbours_alone(system):
    guest, disk = system.guest, system.disk
    guest.check(f"{FILL}; dd if=/tmp/noise of={OPEN} bs=1M oflag=direct")
    before = disk.read("open", 0, 8 * MIB)
    guest.check(f"blkdiscard -o {2 * MIB} -l {MIB} {OPEN}")
    after = disk.read("open", 0, 8 * MIB)
    assert after[:2 * MIB] == before[:2 * MIB]
    assert after[3 * MIB:] == before[3 * MIB:]
