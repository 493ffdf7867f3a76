# SPDX-License-Identifier: BSD-2-Clause
"""Debian's unmodified kernel under Sluice in Bochs, which has VMX. There is no
NVMe drive, but Sluice with test devices has one. The initramfs does all the
work, and its first process ends the machine."""
import gzip
import hashlib
import json
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
TEST_SLUICE = BUILD / "sluice-test.efi"
BUSYBOX = Path(initramfs.find_program("busybox"))
# Bochs 2.7 has the size of an XSAVE area wrong, with Sluice or without.
BOCHS_OWN = "fpu/xstate.c:606"
# The word that ends Bochs, byte by byte to its port.
END = "; ".join(f"out 1 0x8900 {byte}" for byte in b"Shutdown")
BEGIN = """\
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
"""
CPUS = """\
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
"""
# The test devices' drive has no protective MBR: the kernel is told gpt.
DRIVE = """\
for entry in /sys/class/block/nvme0n1p*; do
	echo "$(sed -n 's/^PARTNAME=//p' $entry/uevent): $(cat $entry/size)"
done
write() {
	dd if=/bin/busybox of=/dev/nvme0n1p$1 bs=4k count=16 conv=fsync \\
		2>/dev/null
	echo "written: $?"
}
write 1
write 2
echo 3 >/proc/sys/vm/drop_caches
dd if=/dev/nvme0n1p1 bs=4k count=16 2>/dev/null | sha256sum
echo $(sluicectl --json stats)
"""
FINISH = f"""\
dmesg | grep -E '{COMPLAINTS}' | grep -v '{BOCHS_OWN}'
echo "GUEST-DONE"
{END}
"""


def build_initramfs(path, script):
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
    archive.add_file("bin/sluicectl", initramfs.SLUICECTL)
    archive.add("bin/sh", MODE_LINK, b"busybox")
    archive.add("init", MODE_FILE, (BEGIN + script + FINISH).encode())
    path.write_bytes(gzip.compress(archive.finish(), 6, mtime=0))


def linux_conf(options, *gate, **keys):
    """sluice.conf that starts the kernel with more options."""
    more = {"next-options": f"{NEXT['next-options']} {options}"}
    return config(*gate, **NEXT | more, **keys)


def linux_disk(name, sluice, script, conf):
    initrd = BUILD / "guest" / f"{name}.gz"
    build_initramfs(initrd, script)
    return bootable(DISKS / f"{name}.img", [],
                    {"EFI/BOOT/BOOTX64.EFI": sluice,
                     "EFI/sluice/sluice.conf": conf,
                     "EFI/demo/vmlinuz": kernel.fetch("cloud-amd64").image,
                     "EFI/demo/initrd.gz": initrd})


def said(console):
    """By the script, line by line."""
    text = console.replace("\r", "")
    return text.partition("Run /init as init process\n")[2].splitlines()


def digest(size=None):
    return hashlib.sha256(BUSYBOX.read_bytes()[:size]).hexdigest()


@pytest.mark.skipif(bochs.why_not(), reason=str(bochs.why_not()))
def test_linux_uses_a_drive():
    """One CPU and a PIC: the firmware has no ACPI tables, and Sluice says
    what that means."""
    assert TEST_SLUICE.exists(), f"no {TEST_SLUICE}: run make system"
    name = f"linux-{bochs.INTEL}-1"
    disk = linux_disk(name, TEST_SLUICE, DRIVE,
                      linux_conf("gpt", "ro PARTLABEL=readonly", memory=64))
    run = bochs.run(name, disk, bochs.INTEL, deadline=DEADLINE)
    lines = said(run.console)
    exits = [line for line in lines if line.startswith("{")]
    assert "Intel VMX, 1 CPUs" in run.log, run.tail()
    assert "acpi: no usable tables at 0: no IOMMU is found, no" in run.log
    assert "pci: no MCFG, config space through ports" in run.log
    assert [line for line in lines if line not in exits] == [
        "cpus: 1", "with a hypervisor's flags: 0", "open: 1984",
        "readonly: 1024", "hidden: 928", "written: 0", "written: 1",
        f"{digest(16 * 4096)}  -", "GUEST-DONE"], run.tail()
    assert json.loads(exits[0])["cpus"][0]["unknown"] == 0


# Bochs 2.7 leaves an INIT pending when it exits (cpu/event.cc: the event is
# cleared by a reset only), so a CPU that has been started exits again at once.
@pytest.mark.skipif(bochs.why_not(), reason=str(bochs.why_not()))
def test_linux_starts_the_other_cpu(lab):
    name = f"linux-{bochs.INTEL}-2"
    disk = linux_disk(name, lab.sluice_efi, CPUS,
                      linux_conf(f"acpi_rsdp={acpi.BASE:#x}", apic="trap"))
    run = bochs.run(name, disk, bochs.INTEL, 2, DEADLINE)
    assert "Intel VMX, 2 CPUs" in run.log, run.tail()
    assert said(run.console) == [
        "cpus: 2", "with a hypervisor's flags: 0", "again: 1 of 2",
        *[f"{digest()}  /bin/busybox"] * 2, "GUEST-DONE"], run.tail()
