#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A newer kernel and a newer QEMU, from Debian's backports suite.

Both are downloaded with lists of their own and unpacked under
build/backports/; nothing is installed, and the system's sources stay as they
are.
"""
import subprocess
from dataclasses import dataclass

from kernel import ROOT, Kernel

CACHE = ROOT / "build" / "backports"
SUITE = "bookworm-backports"
SOURCE = ("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
          f"http://deb.debian.org/debian {SUITE} main\n")
META = "linux-image-cloud-amd64"
QEMU = ("qemu-system-x86", "qemu-system-common", "qemu-system-data")
DEADLINE = 300


class Unreachable(Exception):
    """There is no such suite here; says why."""


@dataclass(frozen=True)
class Backports:
    kernel: Kernel
    qemu: tuple         # the program and where its data is


def fetch():
    """From the cache when it is there. Without modules: the cloud kernel has
    what a guest with a disk needs."""
    stamp = CACHE / "version"
    if not stamp.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        apt("apt-get", "update", "-q")
        image = newest_image()
        for package in (image, *QEMU):
            unpack(package)
        stamp.write_text(image.removeprefix("linux-image-"))
    version = stamp.read_text()
    program = CACHE / "usr" / "bin" / "qemu-system-x86_64"
    return Backports(Kernel(version, CACHE / "boot" / f"vmlinuz-{version}",
                            CACHE / "no-modules"),
                     (str(program), "-L", str(CACHE / "usr/share/qemu"),
                      "-L", "/usr/share/qemu"))


def newest_image():
    for line in apt("apt-cache", "depends", META).splitlines():
        word = line.strip().removeprefix("Depends: ")
        if word.startswith("linux-image-") and word != META:
            return word
    raise Unreachable(f"{SUITE} has no {META}")


def unpack(package):
    print(f"  UNPACK  {package} of {SUITE}", flush=True)
    folder = CACHE / package
    folder.mkdir(exist_ok=True)
    apt("apt-get", "download", package, cwd=folder)
    deb = next(folder.glob("*.deb"))
    run("dpkg-deb", "-x", deb, CACHE)
    deb.unlink()
    folder.rmdir()


def apt(program, *words, cwd=None):
    sources = CACHE / "sources.list"
    (CACHE / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (CACHE / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    sources.write_text(SOURCE)
    options = {"Dir::Etc::sourcelist": sources, "Dir::Etc::sourceparts": "-",
               "Dir::State::lists": CACHE / "lists", "Dir::Cache": CACHE,
               "APT::Update::Error-Mode": "any"}
    settings = [word for key, value in options.items()
                for word in ("-o", f"{key}={value}")]
    return run(program, *settings, *words, cwd=cwd)


def run(*command, cwd=None):
    try:
        done = subprocess.run(command, cwd=cwd, text=True, timeout=DEADLINE,
                              capture_output=True)
    except subprocess.TimeoutExpired:
        raise Unreachable(f"{SUITE}: no answer in {DEADLINE} s") from None
    if done.returncode:
        raise Unreachable(f"{SUITE}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    try:
        found = fetch()
    except Unreachable as why:
        raise SystemExit(f"backports: {why}") from None
    print(found.kernel.image, found.qemu[0])
