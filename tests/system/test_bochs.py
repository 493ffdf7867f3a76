# SPDX-License-Identifier: BSD-2-Clause
"""Debian's unmodified kernel under Sluice in Bochs, which has VMX. There
is no NVMe drive: the initramfs does all the work, and its first process ends
the machine."""
import gzip
import hashlib
import re
import subprocess
from pathlib import Path

import acpi
import bochs
import initramfs
import kernel
import pytest
from guest import COMPLAINTS
from initramfs import MODE_CHAR, MODE_FILE, MODE_FOLDER, MODE_LINK
from lab import DISKS, NEXT, ROOT, config
from machine import BUILD
from mkdisk import bootable

DEADLINE = 900          # seconds; a quiet machine takes 40, with two CPUs 90
OUT = ROOT / "tests" / "system" / "out.c"
BUSYBOX = Path(initramfs.find_program("busybox"))
# Bochs 2.7 has the size of an XSAVE area wrong, with Sluice or without.
BOCHS_OWN = "fpu/xstate.c:606"
# The word that ends Bochs, byte by byte to its port.
END = "; ".join(f"out 1 0x8900 {byte}" for byte in b"Shutdown")
SCRIPT = f"""\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
dmesg -n 1
cpus=$(nproc)
echo "cpus: $cpus"
echo "with a hypervisor's flags: $(grep -cwE 'vmx|svm' /proc/cpuinfo)"
cd /sys/devices/system/cpu
for cpu in $(seq $((cpus - 1))); do
	echo 0 >cpu$cpu/online && echo 1 >cpu$cpu/online
	echo "again: $cpu of $(nproc)"
done
for cpu in $(seq 0 $((cpus - 1))); do
	taskset -c $cpu sha256sum /bin/busybox
done
for count in $(seq 100); do
	/bin/true
done
usleep 20000
dmesg | grep -E '{COMPLAINTS}' | grep -v '{BOCHS_OWN}'
echo "GUEST-DONE"
{END}
"""


def build_initramfs(path):
    out = path.parent / "out-bochs"
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-static", "-Os", "-s", "-o", out, OUT],
                   check=True)
    archive = initramfs.Archive()
    archive.add("dev/console", MODE_CHAR, device=(5, 1))
    for folder in ("proc", "sys"):
        archive.add(folder, MODE_FOLDER)
    archive.add_file("bin/busybox", BUSYBOX)
    archive.add_file("bin/out", out)
    archive.add("bin/sh", MODE_LINK, b"busybox")
    archive.add("init", MODE_FILE, SCRIPT.encode())
    path.write_bytes(gzip.compress(archive.finish(), 6, mtime=0))


def linux_disk(lab, name, options="", **keys):
    initrd = BUILD / "guest" / "bochs.gz"
    build_initramfs(initrd)
    conf = NEXT | {"next-options": NEXT["next-options"] + options}
    return bootable(DISKS / f"{name}.img", [],
                    {"EFI/BOOT/BOOTX64.EFI": lab.sluice_efi,
                     "EFI/sluice/sluice.conf": config(**conf, **keys),
                     "EFI/demo/vmlinuz": kernel.fetch("cloud-amd64").image,
                     "EFI/demo/initrd.gz": initrd})


def check_guest(console, cpus):
    """What the script has printed."""
    text = console.replace("\r", "")
    _, _, said = text.partition("Run /init as init process\n")
    digest = hashlib.sha256(BUSYBOX.read_bytes()).hexdigest()
    assert said.splitlines() == [
        f"cpus: {cpus}", "with a hypervisor's flags: 0",
        *[f"again: {cpu} of {cpus}" for cpu in range(1, cpus)],
        *[f"{digest}  /bin/busybox"] * cpus, "GUEST-DONE"], text[-2000:]


@pytest.mark.skipif(bochs.why_not(), reason=str(bochs.why_not()))
def test_linux_boots(lab):
    """With a PIC and no other processor: the firmware has no ACPI tables."""
    name = f"linux-{bochs.INTEL}-1"
    run = bochs.run(name, linux_disk(lab, name), bochs.INTEL,
                    deadline=DEADLINE)
    assert "Intel VMX" in run.log, run.tail()
    check_guest(run.console, 1)


# Bochs 2.7 leaves an INIT pending when it exits (cpu/event.cc: the event is
# cleared by a reset only), so a CPU that has been started exits again at once.
@pytest.mark.skipif(bochs.why_not(), reason=str(bochs.why_not()))
def test_linux_starts_the_other_cpu(lab):
    name = f"linux-{bochs.INTEL}-2"
    disk = linux_disk(lab, name, f" acpi_rsdp={acpi.BASE:#x}", apic="trap")
    run = bochs.run(name, disk, bochs.INTEL, 2, DEADLINE)
    assert re.search("Intel VMX, 2 CPUs", run.log), run.tail()
    check_guest(run.console, 2)
