#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Disk images: a GPT (UEFI 2.10, 5.3) and an ESP, made without root.

The partitions "open", "readonly" and "hidden" carry fixed GUIDs, so that a
sluice.conf can name them.
"""
import hashlib
import os
import struct
import subprocess
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
ENTRY_COUNT, ENTRY_SIZE = 128, 128
TYPE_ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
TYPE_DATA = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
DISK_GUID = uuid.UUID("51d1ce00-0000-4000-8000-000000000000")


def fixed_uuid(number):
    return uuid.UUID(f"51d1ce00-0000-4000-8000-{number:012x}")


@dataclass(frozen=True)
class Partition:
    label: str
    size: int                   # bytes, whole MiB
    content: bytes = b""        # at its start; zeroes after it
    number: int = 0             # of its fixed GUID; 0: its place
    type: uuid.UUID = TYPE_DATA
    name: str = ""              # in this program; "": the label

    def __post_init__(self):
        object.__setattr__(self, "name", self.name or self.label)


class Disk:
    """An image file and where its partitions are."""

    def __init__(self, path, partitions, block_size=512):
        self.path = Path(path)
        self.block_size = block_size
        self.partitions = list(partitions)
        self.start = {}
        place = MIB
        for partition in self.partitions:
            self.start[partition.name] = place
            place += partition.size
        self.size = place + MIB

    def create(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "wb") as image:
            image.truncate(self.size)
            for lba, blocks in self._tables():
                image.seek(lba * self.block_size)
                image.write(blocks)
            for partition in self.partitions:
                image.seek(self.start[partition.name])
                image.write(partition.content)
        return self

    def create_blank(self):
        """As large, but with nothing on it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(b"")
        os.truncate(self.path, self.size)
        return self

    def partition(self, name):
        return next(p for p in self.partitions if p.name == name)

    def read(self, name, offset=0, size=None):
        if size is None:
            size = self.partition(name).size - offset
        with open(self.path, "rb") as image:
            image.seek(self.start[name] + offset)
            return image.read(size)

    def table(self):
        """Whatever the partition tables are now: both ends of the disk."""
        with open(self.path, "rb") as image:
            head = image.read(34 * self.block_size)
            image.seek(-33 * self.block_size, os.SEEK_END)
            return head, image.read()

    def sha256(self, name):
        return hashlib.sha256(self.read(name)).hexdigest()

    def spoil_table(self, primary=False, backup=False):
        """Makes the chosen copies of the GPT fail their CRC."""
        with open(self.path, "r+b") as image:
            for is_chosen, lba in ((primary, 1), (backup, self._last_lba())):
                if is_chosen:
                    image.seek(lba * self.block_size + 16)
                    image.write(b"\xde\xad\xbe\xef")

    def _last_lba(self):
        return self.size // self.block_size - 1

    def _tables(self):
        last = self._last_lba()
        entries = b"".join(self._entry(i, p)
                           for i, p in enumerate(self.partitions, 1))
        entries = entries.ljust(ENTRY_COUNT * ENTRY_SIZE, b"\0")
        count = len(entries) // self.block_size
        return ((0, _protective_mbr(last)),
                (1, self._header(1, last, 2, entries)),
                (2, entries),
                (last - count, entries),
                (last, self._header(last, 1, last - count, entries)))

    def _entry(self, place, partition):
        first = self.start[partition.name] // self.block_size
        last = first + partition.size // self.block_size - 1
        guid = fixed_uuid(partition.number or place)
        return struct.pack("<16s16sQQQ72s", partition.type.bytes_le,
                           guid.bytes_le, first, last, 0,
                           partition.label.encode("utf-16-le"))

    def _header(self, lba, alternate, entries_lba, entries):
        count = len(entries) // self.block_size
        def pack(crc):
            return struct.pack(
                "<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, crc, 0, lba,
                alternate, 2 + count, self._last_lba() - count - 1,
                DISK_GUID.bytes_le, entries_lba, ENTRY_COUNT, ENTRY_SIZE,
                zlib.crc32(entries))
        return pack(zlib.crc32(pack(0)))


def _protective_mbr(last_lba):
    entry = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xee, b"\xff\xff\xff", 1,
                        min(last_lba, 0xffffffff))
    return bytes(446) + entry + bytes(48) + b"\x55\xaa"


class Esp:
    """The FAT file system in a disk's partition "esp"."""

    def __init__(self, disk):
        self.disk = disk
        self.image = f"{disk.path}@@{disk.start['esp']}"

    def format(self):
        sectors = self.disk.partition("esp").size // 512
        self._mtool("mformat", "-F", "-T", str(sectors), "-h", "16",
                    "-s", "63", "-H", str(self.disk.start["esp"] // 512),
                    "::")

    def put(self, files):
        """files: {"EFI/demo/vmlinuz": Path or bytes}."""
        folders = {str(p) for name in files for p in Path(name).parents}
        for folder in sorted(folders - {"."}):
            self._mtool("mmd", "-D", "s", f"::/{folder}", may_fail=True)
        for name, content in files.items():
            source = "-" if isinstance(content, bytes) else str(content)
            given = content if isinstance(content, bytes) else None
            self._mtool("mcopy", "-o", source, f"::/{name}", given=given)

    def get(self, name):
        return self._mtool("mtype", f"::/{name}")

    def _mtool(self, tool, *arguments, given=None, may_fail=False):
        done = subprocess.run(
            (tool, "-i", self.image, *arguments), input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True, env=os.environ | {"MTOOLS_SKIP_CHECK": "1"})
        if done.returncode and not may_fail:
            raise RuntimeError(f"{tool} {arguments}: {done.stderr.decode()}")
        return done.stdout


def esp_partition(size=64 * MIB):
    return Partition("esp", size, type=TYPE_ESP)


def bootable(path, partitions, files):
    """A disk with an ESP holding `files`, and `partitions` after it."""
    disk = Disk(path, [esp_partition(), *partitions]).create()
    esp = Esp(disk)
    esp.format()
    esp.put(files)
    return disk
