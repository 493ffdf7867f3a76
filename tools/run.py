#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""make run: a demo machine under Sluice.

On a terminal it is yours; otherwise a tour runs by itself and its exit status
says whether everything was as promised. `run.py --no-svm` shows the same
machine without Sluice. `--do COMMAND` runs only that in the guest, and ends as
it does; `--conf FILE`, if there is one, is added to sluice.conf.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import initramfs
import kernel
from mkdisk import MIB, Partition, bootable

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "system"))
from guest import Guest                                   # noqa: E402
from machine import (BUILD, VARIABLES, Machine,            # noqa: E402
                     base_arguments, nvme)

RUN = BUILD / "run"

CONFIG = r"""# The demo's sluice.conf
next = \EFI\demo\vmlinuz
next-options = console=ttyS0,115200 quiet sluice.demo initrd=\EFI\demo\initrd.gz
log = com1

gate = ro PARTLABEL=readonly
gate = none PARTLABEL=hidden
"""
FILES = {"open": "Everybody may change this.\n",
         "readonly": "Everybody may read this.\n",
         "hidden": "Nobody in the guest reads this.\n"}


class Step(NamedTuple):
    title: str
    command: str
    succeeds: bool
    says: str           # a pattern, on the console


TOUR = (
    Step("The disk, as an unmodified Linux sees it",
         "nvme list", True, "QEMU NVMe Ctrl"),
    Step("No processor offers SVM: Sluice has it",
         "grep -cw svm /proc/cpuinfo", False, "^0$"),
    Step("The open partition is the guest's own",
         "mount /dev/nvme0n1p2 /mnt && date >>/mnt/file && "
         "cat /mnt/file && umount /mnt", True, "Everybody may change"),
    Step("The read-only one can be read",
         "mount -o ro /dev/nvme0n1p3 /mnt && cat /mnt/file && umount /mnt",
         True, "Everybody may read"),
    Step("... and not be written, not even by root",
         "dd if=/dev/zero of=/dev/nvme0n1p3 bs=4k count=1 oflag=direct",
         False, "gate: ro PARTLABEL=readonly: refused Write "),
    Step("... nor discarded",
         "blkdiscard /dev/nvme0n1p3", False,
         "gate: ro PARTLABEL=readonly: refused "),
    Step("The hidden one gives no byte",
         "dd if=/dev/nvme0n1p4 bs=4k count=1 iflag=direct | strings", True,
         "gate: none PARTLABEL=hidden: refused Read "),
    Step("... and the disk cannot be formatted around it",
         "nvme format /dev/nvme0n1 --force -l 0", False, "refused Format"),
)


def file_system(text):
    """A small ext4 file system with one file."""
    with tempfile.TemporaryDirectory() as folder:
        content = Path(folder, "content")
        content.mkdir()
        Path(content, "file").write_text(text)
        image = Path(folder, "image")
        subprocess.run(["mkfs.ext4", "-q", "-d", content, image, "16M"],
                       check=True, stdout=subprocess.DEVNULL,
                       env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
        return image.read_bytes()


def make_disk(conf):
    which = kernel.fetch("cloud-amd64")
    print(f"  DISK    {RUN / 'demo.img'}", flush=True)
    archive = RUN / "initrd.gz"
    initramfs.build(which, archive)
    partitions = [Partition(label, 16 * MIB, file_system(text))
                  for label, text in FILES.items()]
    return bootable(RUN / "demo.img", partitions, {
        "EFI/BOOT/BOOTX64.EFI": BUILD / "sluice.efi",
        "EFI/sluice/sluice.conf": (CONFIG + conf).encode(),
        "EFI/demo/vmlinuz": which.image, "EFI/demo/initrd.gz": archive})


def interactive(disk, cpu):
    """Becomes QEMU; the console's copy stays in build/run."""
    variables = RUN / "vars.fd"
    variables.write_bytes(VARIABLES.read_bytes())
    command = [*base_arguments(variables, cpu=cpu),
               *nvme(disk, bootindex=0), "-no-reboot", "-chardev",
               f"stdio,id=console,mux=on,signal=off,"
               f"logfile={RUN / 'console.log'}",
               "-serial", "chardev:console",
               "-mon", "chardev=console,mode=readline"]
    print("  QEMU    Ctrl-A X leaves; it takes a few seconds to the shell",
          flush=True)
    os.execvp(command[0], command)


def tour(disk, cpu):
    """Runs every step; the number of those that went otherwise."""
    print("  QEMU    not a terminal: a tour instead", flush=True)
    with Machine("demo", nvme(disk, bootindex=0), cpu=cpu) as machine:
        guest = Guest(machine)
        print("\n" + machine.console.text.partition("GUEST-READY")[0])
        print(f"At the shell {guest.boot_seconds:.1f} s after power-on.")
        wrong = sum(not is_as_promised(guest, step) for step in TOUR)
        guest.power_off()
    print(f"\n{len(TOUR) - wrong} of {len(TOUR)} steps as promised")
    return wrong


def is_as_promised(guest, step):
    print(f"\n== {step.title}\n# {step.command}", flush=True)
    result = guest.run(step.command)
    print(result.output)
    said = re.search(step.says, result.output, re.M)
    good = bool(said) and (result.status == 0) == step.succeeds
    print("-- as promised" if good else
          f"-- NOT AS PROMISED: status {result.status}, /{step.says}/ "
          f"{'seen' if said else 'not seen'}", flush=True)
    return good


def do(disk, cpu, command):
    """The command's status; its output, and what Sluice says meanwhile."""
    with Machine("demo", nvme(disk, bootindex=0), cpu=cpu) as machine:
        guest = Guest(machine)
        print(f"# {command}")
        result = guest.run(command)
        print(result.output)
        guest.power_off()
    return result.status


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--no-svm", action="store_true")
    parser.add_argument("--do")
    parser.add_argument("--conf", type=Path)
    return parser.parse_args()


def main():
    words = arguments()
    RUN.mkdir(parents=True, exist_ok=True)
    cpu = "EPYC,-svm" if words.no_svm else "EPYC,+svm,+npt"
    has_conf = words.conf and words.conf.exists()
    disk = make_disk(words.conf.read_text() if has_conf else "")
    if words.do:
        sys.exit(do(disk, cpu, words.do))
    if sys.stdin.isatty():
        interactive(disk, cpu)
    sys.exit(1 if tour(disk, cpu) else 0)


if __name__ == "__main__":
    main()
