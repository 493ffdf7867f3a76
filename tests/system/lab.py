# SPDX-License-Identifier: BSD-2-Clause
"""Machines ready to be tested: disks with Sluice or without, and the guest on
them. The way from power-on to the shell is the same in both: sluice.efi of
the ESP starts the kernel, and without SVM it does so without Sluice.
"""
import fcntl
import functools
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from random import Random

from machine import BUILD, ROOT, Machine, Trouble, nvme

sys.path.insert(0, str(ROOT / "tools"))
import initramfs                                          # noqa: E402
import kernel                                             # noqa: E402
from guest import Guest                                   # noqa: E402
from mkdisk import MIB, Partition, bootable               # noqa: E402

HERE = Path(__file__).resolve().parent
DISKS = BUILD / "disks"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
OPTIONS = r"console=ttyS0,115200 initrd=\EFI\demo\initrd.gz"
NEXT = {"next": r"\EFI\demo\vmlinuz", "next-options": OPTIONS}
NEXT_THREADED = {"next": NEXT["next"],
                 "next-options": OPTIONS + " no_timer_check"}
GATE = ("ro PARTLABEL=readonly", "none PARTLABEL=hidden")
CPU = {"sluice": ",+svm,+npt", "plain": ",-svm"}


@functools.cache
def pattern(size, seed):
    """Bytes that no file system and no zeroing would produce."""
    return Random(seed).randbytes(size)


OPEN_ONLY = [Partition("open", 8 * MIB, pattern(8 * MIB, 7))]


def twin(name, number):
    """One of several partitions with the same label."""
    return Partition("twin", 8 * MIB, number=100 + number, name=name)


def once(path, make):
    """make(path), if no worker of this run has done it."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{path}.run", "a+") as last:
        fcntl.flock(last, fcntl.LOCK_EX)
        last.seek(0)
        if not run or last.read() != run:
            make(path)
            last.truncate(0)
            last.write(run)


def next_on(thread="single", **_):
    """What sluice.conf starts on a machine with this hardware. With a thread
    for each CPU and other machines beside it, a timer may be late for longer
    than a booting kernel's check of it waits. On KVM kernels leave the check
    out on their own."""
    return NEXT_THREADED if thread == "multi" else NEXT


def config(*gate, **keys):
    """sluice.conf; a key's underscore stands for the hyphen."""
    lines = {"log": "com2", "log-level": "debug"}
    lines |= {k.replace("_", "-"): v for k, v in keys.items()}
    text = "".join(f"{k} = {v}\n" for k, v in lines.items())
    return (text + "".join(f"gate = {rule}\n" for rule in gate)).encode()


class System:
    """A running machine, the guest in it and its boot disk."""

    def __init__(self, machine, disk):
        self.machine, self.disk = machine, disk
        self.guest = None

    def is_healthy(self):
        try:
            return (self.machine.process.poll() is None and
                    self.guest.run("true", 10).status == 0)
        except Trouble:
            return False

    def check_kernel_is_content(self):
        """Of a machine that still runs: one that does not has failed a test
        already, or has done its work and is off."""
        if self.is_healthy():
            self.guest.check_kernel_is_content()


class Lab:
    """What is made once for all tests."""

    def __init__(self, sluice_efi):
        self.sluice_efi = Path(sluice_efi)
        assert self.sluice_efi.exists(), f"no {sluice_efi}: run make"
        self.initramfs = {}
        self.shared = {}
        self.tools_image = None

    def files(self, conf, flavour="cloud-amd64"):
        """The ESP of a disk that boots Sluice and a kernel: of a flavour
        that kernel.py knows, or one that is there."""
        which = (flavour if isinstance(flavour, kernel.Kernel) else
                 kernel.fetch(flavour))
        if which.version not in self.initramfs:
            path = BUILD / "guest" / f"{which.version}.gz"
            once(path, functools.partial(initramfs.build, which))
            self.initramfs[which.version] = path
        return {"EFI/BOOT/BOOTX64.EFI": self.sluice_efi,
                "EFI/sluice/sluice.conf": conf,
                "EFI/demo/vmlinuz": which.image,
                "EFI/demo/initrd.gz": self.initramfs[which.version]}

    def partitions(self):
        return [Partition("open", 64 * MIB, pattern(64 * MIB, 1)),
                Partition("readonly", 16 * MIB, pattern(16 * MIB, 2)),
                Partition("hidden", 16 * MIB, pattern(16 * MIB, 3)),
                Partition("tools", 160 * MIB, self.tools().read_bytes())]

    def tools(self):
        """An ext4 image with fio, sgdisk and their libraries: too much for
        the firmware to load, little for a partition."""
        if not self.tools_image:
            self.tools_image = BUILD / "guest" / "tools.img"
            once(self.tools_image, make_tools)
        return self.tools_image

    def image(self, name):
        return DISKS / f"{name}.img"

    def disk(self, name, conf, partitions=(), flavour="cloud-amd64",
             files=None):
        """`files`: more of them on the ESP."""
        return bootable(self.image(name), partitions,
                        self.files(conf, flavour) | (files or {}))

    @contextmanager
    def machine(self, name, disk, devices=(), **hardware):
        with Machine(name, [*nvme(disk, bootindex=0), *devices],
                     **hardware) as machine:
            yield System(machine, disk)

    @contextmanager
    def boot(self, name, *, mode="sluice", model="EPYC", conf=None,
             partitions=(), flavour="cloud-amd64", files=None, devices=(),
             **hardware):
        """A machine up to the shell."""
        disk = self.disk(name, conf or config(**NEXT), partitions, flavour,
                         files)
        with self.machine(name, disk, devices, cpu=model + CPU[mode],
                          **hardware) as system:
            system.guest = Guest(system.machine)
            yield system
            system.check_kernel_is_content()

    def system(self, mode):
        """The machine that tests of data and policy share, one for each worker.
        One that a failed test has left in pieces is started anew."""
        context, system = self.shared.get(mode, (None, None))
        if system and not system.is_healthy():
            self.close(mode)
            system = None
        if not system:
            context = self.boot(f"shared-{mode}{WORKER}", mode=mode,
                                conf=config(*GATE, **NEXT),
                                partitions=self.partitions())
            self.shared[mode] = context, context.__enter__()
        return self.shared[mode][1]

    def close(self, mode):
        context, _ = self.shared.pop(mode)
        context.__exit__(None, None, None)


def make_tools(image):
    folder = image.parent / "tools"
    initramfs.copy_programs(("fio", "sgdisk"), folder)
    for name in ("sweep", "kexec"):
        subprocess.run(["gcc", "-static", "-O2", "-Wall", "-Wextra",
                        "-Werror", HERE / f"{name}.c", "-o", folder / name],
                       check=True)
    image.unlink(missing_ok=True)
    subprocess.run(["mkfs.ext4", "-q", "-d", folder, image, "150M"],
                   check=True, env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
