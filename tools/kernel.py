#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Debian's kernels for the guest, unmodified and never installed here.

The package that a meta package names today is downloaded with apt-get and
unpacked under build/kernel/. A kernel that this machine already has in /boot
is copied instead.
"""
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "build" / "kernel"
FLAVOURS = ("cloud-amd64", "amd64")
# What a guest with a disk may need; the other 300 MB stay in the package.
MODULE_FOLDERS = ("arch", "block", "crypto", "drivers/md", "drivers/nvme", "fs",
                  "lib")


@dataclass(frozen=True)
class Kernel:
    version: str
    image: Path
    modules: Path       # the folder that has kernel/drivers/...


def fetch(flavour):
    """The kernel of linux-image-FLAVOUR, from the cache when it is there."""
    folder = CACHE / flavour
    stamp = folder / "version"
    content = folder / "folders"        # of an older tree: not the same
    wanted = " ".join(MODULE_FOLDERS)
    if not (stamp.exists() and content.exists() and
            content.read_text() == wanted):
        package = _package_of(flavour)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        version = package.removeprefix("linux-image-")
        if not _copy_installed(version, folder):
            _unpack(_download(package, folder), folder)
        stamp.write_text(version)
        content.write_text(wanted)
    version = stamp.read_text()
    return Kernel(version, folder / "boot" / f"vmlinuz-{version}",
                  folder / "lib" / "modules" / version)


def _package_of(flavour):
    meta = f"linux-image-{flavour}"
    text = _run("apt-cache", "depends", "--important", meta)
    for line in text.splitlines():
        word = line.strip().removeprefix("Depends: ")
        if word.startswith("linux-image-") and word != meta:
            return word
    raise SystemExit(f"kernel: apt knows no {meta}: run apt-get update")


def _copy_installed(version, folder):
    image = Path("/boot") / f"vmlinuz-{version}"
    modules = Path("/lib/modules") / version / "kernel"
    if not (image.exists() and modules.exists()):
        return False
    print(f"  KERNEL  {image} (installed here)", flush=True)
    (folder / "boot").mkdir()
    shutil.copy(image, folder / "boot")
    target = folder / "lib" / "modules" / version
    target.mkdir(parents=True)
    (target / "kernel").symlink_to(modules)
    return True


def _download(package, folder):
    print(f"  KERNEL  downloading {package}", flush=True)
    _run("apt-get", "download", package, cwd=folder)
    return next(folder.glob("*.deb"))


def _unpack(deb, folder):
    """The image and the modules; /boot and /lib stay inside `folder`."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb],
                          stdout=subprocess.PIPE) as unpacker:
        with tarfile.open(fileobj=unpacker.stdout, mode="r|") as archive:
            for member in archive:
                if _is_wanted(member):
                    archive.extract(member, folder)
    deb.unlink()


def _is_wanted(member):
    if not member.isfile():
        return False
    top, _, inside = member.name.partition("/kernel/")
    if top.startswith("./boot/vmlinuz-"):
        return True
    return inside.endswith(".ko") and inside.startswith(MODULE_FOLDERS)


def _run(*command, cwd=None):
    done = subprocess.run(command, cwd=cwd, text=True, capture_output=True)
    if done.returncode:
        raise SystemExit(f"kernel: {' '.join(command)}: {done.stderr.strip()}"
                         "\nkernel: apt-get update may help")
    return done.stdout


if __name__ == "__main__":
    for name in sys.argv[1:] or FLAVOURS:
        print(fetch(name).image)
