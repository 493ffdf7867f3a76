#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The guest's initramfs: busybox, nvme-cli and e2fsprogs from this machine,
the kernel modules that reach an NVMe disk, and tools/guest/init.

Written directly as a cpio archive ("newc", see cpio(5)), so neither root nor
cpio is needed.
"""
import gzip
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kernel

ROOT = Path(__file__).resolve().parent.parent
GUEST = ROOT / "tools" / "guest"
SLUICECTL = ROOT / "build" / "sluicectl"
PROGRAMS = ("nvme", "mke2fs", "e2fsck")
LINKS = {"bin/sh": "busybox", "sbin/mkfs.ext4": "mke2fs",
         "sbin/fsck.ext4": "e2fsck"}
# Some are found by the kernel at run time only, through an alias.
MODULES = ("crc32c_generic", "crct10dif_common", "crct10dif_generic",
           "nvme", "ext4")
MODE_FOLDER, MODE_FILE, MODE_LINK, MODE_CHAR = (
    0o040755, 0o100755, 0o120777, 0o020600)


class Archive:
    """A cpio archive in the making."""

    def __init__(self):
        self.data = bytearray()
        self.names = set()

    def add(self, name, mode, content=b"", device=(0, 0)):
        if name in self.names:
            return
        if "/" in name:
            self.add(name.rpartition("/")[0], MODE_FOLDER)
        self.names.add(name)
        encoded = name.encode() + b"\0"
        fields = (len(self.names), mode, 0, 0, 1, 0, len(content), 0, 0,
                  *device, len(encoded), 0)
        self.data += b"070701" + b"".join(b"%08X" % f for f in fields)
        self._append(encoded)
        self._append(content)

    def add_file(self, name, path):
        self.add(name, MODE_FILE, Path(path).read_bytes())

    def finish(self):
        self.add("TRAILER!!!", 0)
        return bytes(self.data)

    def _append(self, content):
        self.data += content
        self.data += bytes(-len(self.data) % 4)


def shared_objects(program):
    """What the dynamic linker would load for it, itself included."""
    text = subprocess.run(["ldd", program], text=True, check=True,
                          capture_output=True).stdout
    return re.findall(r"(/\S+) \(0x", text)


def find_program(name):
    path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if not path:
        raise SystemExit(f"initramfs: no {name} here: run make deps")
    return path


def copy_programs(names, folder):
    """To `folder`, with what the dynamic linker loads for them in lib/."""
    (folder / "lib").mkdir(parents=True, exist_ok=True)
    for program in map(find_program, names):
        place = folder / Path(program).name
        place.write_bytes(Path(program).read_bytes())
        place.chmod(0o755)
        for path in shared_objects(program):
            (folder / "lib" / Path(path).name).write_bytes(
                Path(path).read_bytes())


def load_order(modules, wanted):
    """The files of `wanted` modules, dependencies first. A module that is not
    there is built into the kernel."""
    found = {f.stem.replace("-", "_"): f
             for f in (modules / "kernel").rglob("*.ko")}
    order = []

    def visit(name):
        path = found.get(name.replace("-", "_"))
        if not path or path in order:
            return
        depends = re.search(rb"\0depends=([^\0]*)", path.read_bytes())
        for other in depends[1].decode().split(",") if depends else ():
            visit(other)
        order.append(path)

    for name in wanted:
        visit(name)
    return order


def build(which, target):
    """Writes the initramfs for kernel `which` to `target`."""
    archive = Archive()
    archive.add("dev/console", MODE_CHAR, device=(5, 1))
    for folder in ("proc", "sys", "mnt", "tmp", "root"):
        archive.add(folder, MODE_FOLDER)
    archive.add_file("bin/busybox", find_program("busybox"))
    for name in PROGRAMS:
        _add_program(archive, find_program(name))
    archive.add_file("sbin/sluicectl", SLUICECTL)
    for link, to in LINKS.items():
        archive.add(link, MODE_LINK, to.encode())
    for number, path in enumerate(load_order(which.modules, MODULES)):
        archive.add_file(f"modules/{number:02}-{path.name}", path)
    for path in GUEST.iterdir():
        archive.add_file(path.name, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.compress(archive.finish(), 6, mtime=0))


def _add_program(archive, path):
    archive.add_file(f"sbin/{Path(path).name}", path)
    for library in shared_objects(path):
        archive.add_file(library.lstrip("/"), library)


if __name__ == "__main__":
    build(kernel.fetch(sys.argv[1]), Path(sys.argv[2]))
