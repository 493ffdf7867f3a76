# SPDX-License-Identifier: BSD-2-Clause
"""QEMU is killed while a guest writes to an overlay on a store, and commits:
what the guest has flushed is there when it comes back, whole, and the base is
as it was until there is a commit. The guest is tests/journal, which needs no
operating system: a life takes seconds. SLUICE_POWERCUTS=200 for many."""
import os
import re
import struct
from random import Random

from lab import BUILD, config
from machine import BOOT_DEADLINE
from mkdisk import MIB, Partition, bootable

JOURNAL = BUILD / "journal.efi"
CUTS = int(os.environ.get("SLUICE_POWERCUTS", 4))
CONF = config(next=r"\EFI\test\journal.efi", chain="overlay") + b"""\
overlay = memory=4 PARTLABEL=data
overlay.store = PARTLABEL=store
overlay.boot = keep
overlay.orders = on
"""
SLOTS, SLOT_BLOCKS = 96, 5
BLOCKS = SLOTS * SLOT_BLOCKS
MULTIPLIER = 0x9e3779b97f4a7c15
ALL = 2 ** 64 - 1


def block_of(version, block):
    return struct.pack("<64Q", version, *(
        (version << 32 | block << 8 | i) * MULTIPLIER & ALL
        for i in range(1, 64)))


def slot_of(version):
    return ((version * MULTIPLIER & ALL) >> 40) % SLOTS


def base_versions(disk):
    """Of each block; it is whole."""
    content = disk.read("data", 0, BLOCKS * 512)
    blocks = [content[i * 512:i * 512 + 512] for i in range(BLOCKS)]
    versions = [struct.unpack_from("<Q", block)[0] for block in blocks]
    return [version if block_of(version, i) == block else None
            for i, (version, block) in enumerate(zip(versions, blocks))]


class Journal:
    """What is known of the versions in each slot."""

    def __init__(self):
        self.safe = [0] * SLOTS
        self.known = 0

    def flushed(self, version):
        for number in range(self.known + 1, version + 1):
            self.safe[slot_of(number)] = number
        self.known = max(self.known, version)

    def found(self, versions):
        for block, version in enumerate(versions):
            slot = block // SLOT_BLOCKS
            assert version is not None and version >= self.safe[slot]
            assert version == 0 or slot_of(version) == slot
        for slot in range(SLOTS):
            self.safe[slot] = min(versions[slot * SLOT_BLOCKS:]
                                  [:SLOT_BLOCKS])
        self.known = max(versions)


def make_disk(lab, name):
    base = b"".join(block_of(0, i) for i in range(BLOCKS))
    return bootable(lab.image(name), [
        Partition("data", 3 * MIB, base), Partition("store", 2 * MIB)],
        {"EFI/BOOT/BOOTX64.EFI": lab.sluice_efi,
         "EFI/sluice/sluice.conf": CONF,
         "EFI/test/journal.efi": JOURNAL})


def begin(machine, journal):
    found = machine.expect(r"^FOUND([ \d]+) \.$", BOOT_DEADLINE)
    versions = [int(word) for word in found[1].split()]
    assert len(versions) == BLOCKS
    journal.found(versions)
    return versions


def live(lab, disk, journal, flushes):
    """Until it has flushed so often; then the power fails. What it has said
    about commits."""
    with lab.machine("overlay-power", disk) as system:
        begin(system.machine, journal)
        for _ in range(flushes):
            journal.flushed(int(system.machine.expect(
                r"^FLUSHED (\d+)$")[1]))
        system.machine.process.kill()
        system.machine.process.wait()
        text = system.machine.console.text
        for version in re.findall(r"^FLUSHED (\d+)\n", text, re.M):
            journal.flushed(int(version))
        assert "STOPPED" not in text
        return "ORDERED" in text or "commit" in system.machine.log.text


def test_what_was_flushed_is_there_after_the_power_has_failed(lab):
    disk, journal, chance = make_disk(lab, "overlay-power"), Journal(), \
        Random(CUTS)
    before = base_versions(disk)
    for _ in range(CUTS):
        commits = live(lab, disk, journal, chance.choice((0, 1, 5, 20, 60)))
        after = base_versions(disk)
        assert commits or after == before
        before = after
    with lab.machine("overlay-power", disk) as system:
        begin(system.machine, journal)
        system.machine.expect("^ORDERED$", 300)
        system.machine.expect_log("PARTLABEL=data: committed", 120)
        journal.found(base_versions(disk))
