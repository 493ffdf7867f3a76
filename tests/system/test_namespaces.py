# SPDX-License-Identifier: BSD-2-Clause
"""Namespaces and controllers of every kind that QEMU has: each byte that the
guest reads or writes is where it belongs in the image."""
import hashlib
from typing import NamedTuple

import pytest
from lab import NEXT, NEXT_THREADED, config, pattern
from machine import namespace, nvme, subsystem
from mkdisk import MIB, Disk, Partition
from test_boot import check_disk_works, check_every_cpu_is_guest
from test_data import FIO, OPEN, TOOLS

SIZE = 16 * MIB
WIDE = ",logical_block_size=4096,physical_block_size=4096"


class Kind(NamedTuple):
    options: str
    block: int = 512
    metadata: int = 0
    is_inline: bool = False


KINDS = {
    1: Kind(""),
    2: Kind(WIDE, 4096),
    3: Kind(",ms=8", 512, 8),
    4: Kind(",ms=64,mset=1", 512, 64, True),
    5: Kind(",ms=8,pi=1", 512, 8),
    6: Kind(",ms=8,pi=2,mset=1", 512, 8, True),
    7: Kind(",ms=16,pi=3,pil=1" + WIDE, 4096, 16),
    8: Kind(",zoned=on,zoned.zone_size=4M,zoned.max_open=3,"
            "zoned.max_active=4"),
    9: Kind(",ms=16,pi=1,pif=2,mset=1" + WIDE, 4096, 16, True),
    10: Kind(",detached=on"),       # the last: Linux numbers what it sees
}
# Those whose blocks Linux can use; in others it sees no file system's blocks.
BLOCK_DEVICES = (1, 2, 3, 5, 6, 7, 9)
LBA, COUNT = 40, 16
# Each in a row of its own: QEMU's options, and for the machine.
CONTROLLERS = {
    "SMALL": ",mdts=1",
    "LARGE": ",mdts=9",
    "UNLIMITED": ",mdts=0",
    "ONEQUEUE": ",max_ioqpairs=1",
    "ONEVECTOR": ",msix_qsize=1",
    "CMB": ",cmb_size_mb=16",
    "PMR": ",pmrdev=pmr",
    "INTEL": ",use-intel-id=on",
    "BAR4": ",msix-exclusive-bar=on",
}
PMR = ["-object", "memory-backend-ram,id=pmr,size=16M,share=on"]


def image(lab, name, nsid):
    return lab.image(f"{name}-n{nsid}")


def kinds(lab, name, serial="QF1"):
    """A controller with all of them, new and full of bytes."""
    devices = subsystem(serial)
    for nsid, kind in KINDS.items():
        path = image(lab, name, nsid)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pattern(SIZE, nsid))
        devices += namespace(path, serial, nsid, kind.options)
    return devices


class Namespace:
    """One of KINDS: what is in its image, and the guest's commands."""

    def __init__(self, lab, system, nsid):
        self.kind = KINDS[nsid]
        self.guest = system.guest
        self.path = image(lab, "namespaces", nsid)
        self.device = f"{system.guest.controller('QF1')}n{nsid}"
        self.node = "/dev/" + self.device.replace("nvme", "ng", 1)

    def bytes(self, lba, count):
        """Data and metadata, as the guest transfers them. In the image all
        metadata stands after all data."""
        kind = self.kind
        whole = self.path.read_bytes()
        blocks = SIZE // (kind.block + kind.metadata)

        def part(start, size):
            return [whole[start + size * i:start + size * (i + 1)]
                    for i in range(lba, lba + count)]

        data = part(0, kind.block)
        metadata = part(blocks * kind.block, kind.metadata)
        if kind.is_inline:
            both = zip(data, metadata)
            return b"".join(a + b for a, b in both), b""
        return b"".join(data), b"".join(metadata)

    def transfer(self, verb, options=""):
        kind = self.kind
        size = COUNT * (kind.block + kind.metadata * kind.is_inline)
        own = COUNT * kind.metadata * (not kind.is_inline)
        words = f"-y {own} -M /tmp/metadata " if own else ""
        new = "rm -f /tmp/data /tmp/metadata; " if verb == "read" else ""
        return (f"{new}nvme {verb} {self.node} -s {LBA} -c {COUNT - 1} -z {size} "
                f"-d /tmp/data {words}{options}")

    def check_files(self):
        """What the guest has in its files is in the image."""
        data, metadata = self.bytes(LBA, COUNT)
        assert sha256(data) in self.guest.check("sha256sum /tmp/data")
        if metadata:
            assert (sha256(metadata) in
                    self.guest.check("sha256sum /tmp/metadata"))


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def system(lab):
    with lab.boot("namespaces", conf=config(**NEXT, memory=32),
                  partitions=lab.partitions(),
                  devices=kinds(lab, "namespaces")) as system:
        system.guest.check(TOOLS)
        yield system


@pytest.fixture
def one(lab, system, request):
    return Namespace(lab, system, request.param)


def each(*nsids):
    return pytest.mark.parametrize("one", nsids, indirect=True)


@each(1, 2, 3, 4, 5, 6, 7, 8, 9)
def test_guest_reads_what_is_in_the_image(one):
    one.guest.check(one.transfer("read"))
    one.check_files()


@each(1, 2, 3, 4, 5, 6, 7, 9)
def test_guest_writes_into_the_image(one):
    one.guest.check("head -c 131072 /dev/urandom >/tmp/data; "
                    "head -c 2048 /dev/urandom >/tmp/metadata")
    one.guest.check(one.transfer("write"))
    one.guest.check(one.transfer("compare"))
    one.guest.check(one.transfer("read"))
    one.check_files()


@each(5, 6, 7, 9)
def test_controller_makes_and_checks_protection_information(one):
    """PRACT: where PI is all of the metadata, none is transferred."""
    guest, kind = one.guest, one.kind
    size = COUNT * kind.block
    words = f"{one.node} -s {LBA} -c {COUNT - 1} -z {size} -p 12"
    own = "-y 256 -M /tmp/zeroes" if not kind.is_inline else ""
    guest.check(f"head -c {size} /dev/urandom >/tmp/out; "
                "head -c 256 /dev/zero >/tmp/zeroes")
    guest.check(f"nvme write {words} -d /tmp/out {own} -r {LBA}")
    guest.check(f"nvme read {words} -d /tmp/in {own} -r {LBA}; "
                "cmp /tmp/in /tmp/out")
    blocks = one.path.read_bytes()[LBA * kind.block:][:size]
    assert sha256(blocks) in guest.check("sha256sum /tmp/out")


@each(*BLOCK_DEVICES)
def test_linux_uses_it_as_a_disk(one):
    fio = FIO.replace(OPEN, f"/dev/{one.device}")
    assert "err= 0" in one.guest.check(
        f"{fio} --rw=randwrite --bs=16k --iodepth=16 --size=4M", 120)


@each(8)
def test_zone_append_lands_at_the_write_pointer(one):
    guest = one.guest
    zone = 4 * MIB // one.kind.block
    guest.check("head -c 65536 /dev/urandom >/tmp/out")
    for lba in (0, 128):
        output = guest.check(f"nvme zns zone-append /dev/{one.device} "
                             f"-s {zone:#x} -z 65536 -d /tmp/out")
        assert f"LBA {zone + lba:x}" in output
    both = one.path.read_bytes()[4 * MIB:][:131072]
    assert sha256(both[:65536]) in guest.check("sha256sum /tmp/out")
    assert both[65536:] == both[:65536]
    report = f"nvme zns report-zones /dev/{one.device} -s {zone:#x} -d 1"
    assert f"WP: {zone + 256:#x}" in guest.check(report)
    guest.check(f"nvme zns reset-zone /dev/{one.device} -s {zone:#x}")
    assert f"WP: {zone:#x}" in guest.check(report)


@each(10)
def test_namespace_is_attached_and_detached(one):
    guest, device = one.guest, f"/dev/{one.device}"
    controller = device.rpartition("n")[0]
    for _ in range(2):
        assert guest.run(f"[ -e {device} ]").status == 1
        guest.check(f"nvme attach-ns {controller} -n 10 -c 0; "
                    f"nvme ns-rescan {controller}; "
                    f"until [ -b {device} ]; do usleep 10000; done")
        assert guest.sha256(device) == sha256(one.path.read_bytes())
        guest.check(f"nvme detach-ns {controller} -n 10 -c 0; "
                    f"nvme ns-rescan {controller}; "
                    f"while [ -e {device} ]; do usleep 10000; done")


# ---- Controllers ---------------------------------------------------------


def controllers(lab, name):
    devices = PMR
    for serial, options in CONTROLLERS.items():
        disk = Disk(lab.image(f"{name}-{serial}"),
                    [Partition("data", 8 * MIB)]).create()
        devices = devices + nvme(disk, serial=serial, options=options)
    return devices


@pytest.fixture(scope="module", params=["msix", "intx"])
def row(lab, request):
    """A machine with all of CONTROLLERS, with and without MSI-X."""
    name = f"controllers-{request.param}"
    options = NEXT_THREADED["next-options"]
    if request.param == "intx":
        options += " pci=nomsi"
    conf = config(**NEXT | {"next-options": options}, memory=64)
    with lab.boot(name, conf=conf, partitions=lab.partitions(),
                  devices=controllers(lab, name), model="max", cpus=4,
                  thread="multi") as system:
        system.guest.check(TOOLS)
        yield system


@pytest.mark.parametrize("serial", CONTROLLERS)
def test_controller_loses_nothing(row, serial):
    device = row.guest.controller(serial) + "n1"
    fio = FIO.replace(OPEN, f"/dev/{device}")
    assert "err= 0" in row.guest.check(
        f"{fio} --rw=randrw --bsrange=4k-1m --iodepth=16 --size=4M", 120)


def test_without_msi_interrupts_are_lines(row):
    """And the vectors of MSI-X are used where they may be."""
    lines = row.guest.check("grep nvme /proc/interrupts").splitlines()
    is_line = ["IO-APIC" in line for line in lines]
    nomsi = "pci=nomsi" in row.guest.check("cat /proc/cmdline")
    assert len(lines) > 1 and is_line == [nomsi] * len(lines)


def test_iommu_is_hidden(lab):
    """A kernel that used it would have no disk."""
    with lab.boot("namespaces-iommu", flavour="amd64",
                  partitions=lab.partitions(),
                  devices=["-device", "amd-iommu"]) as system:
        system.machine.expect_log("iommu: hidden")
        assert system.guest.check("ls /sys/class/iommu") == ""
        check_every_cpu_is_guest(system.guest, 2)
        check_disk_works(system)
