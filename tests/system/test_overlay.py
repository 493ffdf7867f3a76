# SPDX-License-Identifier: BSD-2-Clause
"""What the guest writes is above the base: it sees it, the image does not."""
from dataclasses import replace

import pytest

from lab import NEXT, config
from mkdisk import MIB
from test_data import FIO, OPEN, TOOLS

RULES = b"""\
overlay = memory=48 PARTLABEL=open
overlay = memory=1 PARTLABEL=readonly
overlay.orders = on
"""
SMALL = "/dev/disk/by-partlabel/readonly"


@pytest.fixture(scope="module")
def machine(lab):
    with lab.boot("overlay", conf=config(**NEXT) + RULES,
                  partitions=lab.partitions(), reboot=True) as system:
        yield system


@pytest.fixture
def layered(machine):
    """The base is as it was, whatever a test has done."""
    before = machine.disk.sha256("open")
    yield machine
    machine.guest.check("sync")
    assert machine.disk.sha256("open") == before


def test_verified_load_leaves_the_base_alone(layered):
    layered.guest.check(TOOLS)
    report = layered.guest.check(
        FIO + "--rw=randrw --bsrange=4k-64k --iodepth=16", 300)
    assert "err= 0" in report


def test_a_file_system_outlives_controller_resets(layered):
    layered.guest.check(f"mkfs.ext4 -q -F {OPEN} 24M && mount {OPEN} /mnt")
    layered.guest.check("dd if=/dev/urandom of=/mnt/noise bs=1M count=8")
    before = layered.guest.check("sync; sha256sum </mnt/noise")
    layered.guest.check("umount /mnt; nvme reset /dev/nvme0")
    layered.guest.check(f"mount {OPEN} /mnt; echo 3 >/proc/sys/vm/drop_caches")
    assert layered.guest.check("sha256sum </mnt/noise") == before
    layered.guest.check(f"umount /mnt; e2fsck -f -n {OPEN}")


def test_discarded_blocks_are_zero_not_the_base(layered):
    layered.guest.check(f"blkdiscard -o {32 * MIB} -l {16 * MIB} {OPEN}")
    assert layered.guest.check(
        f"dd if={OPEN} bs=1M skip=32 count=16 iflag=direct 2>/dev/null | "
        "tr -d '\\0' | wc -c") == "0"


def test_a_full_overlay_fails_writes_and_keeps_the_base(layered):
    before = layered.disk.sha256("readonly")
    assert "No space left" in layered.guest.refuses(
        f"dd if=/dev/urandom of={SMALL} bs=64k count=32 oflag=direct")
    layered.guest.check(f"dd if={SMALL} of=/dev/null bs=1M iflag=direct")
    layered.machine.expect_log("PARTLABEL=readonly: 8.% of the memory")
    assert layered.disk.sha256("readonly") == before


def test_order_to_discard_shows_the_base_again(layered):
    layered.guest.check("sluicectl overlay discard")
    assert layered.guest.sha256(OPEN) == layered.disk.sha256("open")


def test_order_to_commit_makes_the_base_what_the_guest_sees(machine):
    machine.guest.check(f"dd if=/dev/urandom of={OPEN} bs=64k count=8 "
                        "seek=3 oflag=direct")
    seen = machine.guest.sha256(OPEN)
    assert machine.disk.sha256("open") != seen
    machine.guest.check("sluicectl overlay commit")
    machine.machine.expect_log("PARTLABEL=open: committed", 120)
    assert machine.disk.sha256("open") == seen
    assert machine.guest.sha256(OPEN) == seen


def test_a_reboot_rolls_back(layered):
    base = layered.disk.sha256("open")
    layered.guest.check(f"dd if=/dev/urandom of={OPEN} bs=64k count=16 "
                        "oflag=direct")
    assert layered.guest.sha256(OPEN) != base
    layered.machine.send("reboot -f\n")
    layered.guest.take_over()
    assert layered.guest.sha256(OPEN) == base


# ---- A store ---------------------------------------------------------------

STORED = b"""\
overlay = memory=8 PARTLABEL=open
overlay.store = PARTLABEL=hidden
overlay.boot = keep
overlay.orders = on
"""
STORE = "/dev/disk/by-partlabel/hidden"


@pytest.fixture(scope="module")
def stored(lab):
    parts = [replace(p, size=48 * MIB) if p.label == "hidden" else p
             for p in lab.partitions()]
    with lab.boot("overlay-store", conf=config(**NEXT) + STORED,
                  partitions=parts, reboot=True) as system:
        system.base = system.disk.sha256("open")
        yield system


def test_verified_load_goes_to_the_store(stored):
    stored.guest.check(TOOLS)
    report = stored.guest.check(
        FIO + "--rw=randrw --bsrange=4k-64k --iodepth=16 --fsync=32", 300)
    assert "err= 0" in report
    assert stored.disk.sha256("open") == stored.base


def test_the_store_is_out_of_reach(stored):
    before = stored.disk.sha256("hidden")
    stored.guest.refuses(f"dd if={STORE} of=/dev/null bs=4k count=1 "
                         "iflag=direct")
    stored.guest.refuses(f"dd if=/dev/zero of={STORE} bs=4k count=1 "
                         "oflag=direct")
    assert stored.disk.sha256("hidden") == before


def test_a_file_system_outlives_a_reset_of_the_machine(stored):
    """What it has not flushed is what its journal is for."""
    stored.guest.check("sluicectl overlay discard; "
                       f"mkfs.ext4 -q -F {OPEN} 24M && mount {OPEN} /mnt")
    before = stored.guest.check(
        "dd if=/dev/urandom of=/mnt/noise bs=1M count=8 2>/dev/null; "
        "sync; sha256sum </mnt/noise")
    stored.guest.begin("while dd if=/dev/urandom of=/mnt/more bs=64k "
                       "count=64; do true; done")
    stored.machine.expect("records out")
    stored.machine.reset()
    stored.guest.take_over()
    assert stored.guest.check(
        f"mount {OPEN} /mnt && sha256sum </mnt/noise") == before
    stored.guest.check(f"umount /mnt; e2fsck -f -n {OPEN}")
    assert stored.disk.sha256("open") == stored.base


def test_a_full_store_fails_writes_and_keeps_the_base(stored):
    assert "No space left" in stored.guest.refuses(
        f"dd if=/dev/urandom of={OPEN} bs=64k oflag=direct", 300)
    stored.machine.expect_log("PARTLABEL=open: 8.% of the store")
    assert stored.disk.sha256("open") == stored.base
    stored.guest.check(f"blkdiscard {OPEN}")
    stored.guest.check(f"dd if=/dev/urandom of={OPEN} bs=64k count=16 "
                       "oflag=direct")


def test_a_commit_from_the_store_ends_while_the_guest_is_idle(stored):
    stored.guest.check("sluicectl overlay discard; "
                       f"dd if=/dev/urandom of={OPEN} bs=64k count=64 "
                       "oflag=direct")
    seen = stored.guest.sha256(OPEN)
    assert stored.disk.sha256("open") != seen
    stored.guest.check("sluicectl overlay commit")
    stored.machine.expect_log("PARTLABEL=open: committed", 120)
    assert stored.disk.sha256("open") == seen
    assert stored.guest.sha256(OPEN) == seen
