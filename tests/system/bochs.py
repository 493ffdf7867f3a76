# SPDX-License-Identifier: BSD-2-Clause
"""Another emulator: Bochs has VMX, and an SVM that is stricter than QEMU's.
It has no NVMe, no ACPI tables from the firmware and no way to be asked
anything: a run is started, ends by itself, and leaves two logs.
"""
import os
import shutil
import subprocess
from pathlib import Path

import acpi
from machine import LOGS, Trouble

FIRMWARE = "/usr/share/ovmf/OVMF.fd"
VIDEO = "/usr/share/seabios/vgabios-stdvga.bin"
INTEL, AMD = "corei7_skylake_x", "ryzen"
DEADLINE = 300          # seconds; a quiet machine takes 20

# The display is a VNC server that nobody may reach: no network at all.
ALONE = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]

SETTINGS = """\
plugin_ctrl: unmapped=true, biosdev=true, serial=true, extfpuirq=true, \
speaker=false, parallel=false
config_interface: textconfig
display_library: rfb, options="timeout=0"
cpu: model={model}, count={cpus}, ips=20000000, reset_on_triple_fault=0, \
ignore_bad_msrs=1
memory: guest=512, host=512
romimage: file="{firmware}", address=0xffe00000, options=none
vgaromimage: file="{video}"
optromimage1: file="{folder}/rom", address={rom:#x}
pci: enabled=1, chipset=i440fx
ata0: enabled=true, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path="{disk}", mode=flat
boot: disk
clock: sync=none, time0=local
com1: enabled=true, mode=file, dev="{folder}/console"
com2: enabled=true, mode=file, dev="{folder}/log"
log: {folder}/bochs
debug: action=ignore
info: action=ignore
error: action=report
panic: action=fatal
"""


def why_not():
    """Why it cannot be run here, or None."""
    missing = [p for p in (FIRMWARE, VIDEO) if not Path(p).exists()]
    if not shutil.which("bochs-bin"):
        missing.append("bochs-bin")
    return f"missing: {', '.join(missing)}: make deps" if missing else None


class Run:
    """What is left of a machine that has been switched off."""

    def __init__(self, folder):
        def read(name):
            path = folder / name
            return path.read_text(errors="replace") if path.exists() else ""

        self.console, self.log = read("console"), read("log")
        self.bochs = read("bochs")

    def tail(self):
        return "\n".join([*self.console.splitlines()[-15:], "---- log",
                          *self.log.splitlines()[-15:], "---- bochs",
                          *self.bochs.splitlines()[-8:]])


def run(name, disk, model, cpus=1, deadline=DEADLINE):
    """From power-on until the machine switches itself off. The firmware does
    not look at the ROM: a kernel does that is told to."""
    folder = LOGS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "bochsrc").write_text(SETTINGS.format(
        model=model, cpus=cpus, firmware=FIRMWARE, video=VIDEO,
        disk=disk.path, folder=folder, rom=acpi.BASE))
    (folder / "rom").write_bytes(acpi.rom(cpus))
    (folder / "go").write_text("c\n")        # to its debugger's prompt
    Path(f"{disk.path}.lock").unlink(missing_ok=True)
    try:
        subprocess.run([*ALONE, "bochs-bin", "-q", "-f", folder / "bochsrc",
                        "-rc", folder / "go"], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       timeout=deadline, check=False)
    except subprocess.TimeoutExpired:
        raise Trouble(f"{name}: still on after {deadline} s\n"
                      f"{Run(folder).tail()}") from None
    return Run(folder)
