# SPDX-License-Identifier: BSD-2-Clause
"""What ends and begins again: machines, controllers and drivers."""
import os
import re

from lab import GATE, NEXT, OPEN_ONLY, config
from mkdisk import MIB, Partition
from test_boot import check_disk_works, check_every_cpu_is_guest
from test_data import FIO, OPEN, TOOLS

PCI = "$(basename $(readlink /sys/class/nvme/nvme0/device))"
DRIVER = "/sys/bus/pci/drivers/nvme"
# SLUICE_RESETS=1000 for a long storm.
RESETS = int(os.environ.get("SLUICE_RESETS", 150))
RESET = "/sys/class/nvme/nvme0/reset_controller"
FREE = r"nvme0: enabled with (\d+) pages free"


def test_reboots_come_up_under_sluice_again(lab):
    with lab.boot("reset-reboot", partitions=OPEN_ONLY,
                  reboot=True) as system:
        for _ in range(2):
            system.machine.send("reboot -f\n")
            system.guest.take_over()
            check_every_cpu_is_guest(system.guest, 2)
            check_disk_works(system)


def test_reset_button_under_load(lab):
    with lab.boot("reset-button", partitions=lab.partitions(),
                  conf=config(*GATE, **NEXT), reboot=True) as system:
        system.guest.begin(f"while dd if=/dev/urandom of={OPEN} bs=64k "
                           "count=64 oflag=direct; do true; done")
        system.machine.expect("records out")
        system.machine.reset()
        system.guest.take_over()
        check_every_cpu_is_guest(system.guest, 2)
        check_disk_works(system)


def test_controller_resets_under_load_lose_nothing(system):
    system.guest.check(TOOLS)
    load = "--rw=randrw --bs=16k --iodepth=16 --loops=4"
    report = system.guest.check(
        f"{FIO}{load} & for i in 1 2 3 4 5; do nvme reset /dev/nvme0 || "
        "exit 1; done; wait $!", 180)
    assert "err= 0" in report


def test_driver_can_leave_and_come_back(lab):
    with lab.boot("reset-driver", partitions=OPEN_ONLY) as system:
        system.guest.check(
            f"pci={PCI}; for i in 1 2 3; do echo $pci >{DRIVER}/unbind; "
            f"echo $pci >{DRIVER}/bind; "
            f"until [ -b /dev/nvme0n1p2 ]; do usleep 10000; done; done")
        check_disk_works(system)


def test_storm_of_resets_under_load_leaves_nothing_behind(lab):
    """fio as long as there are resets; then every page is free again."""
    load = "--rw=randrw --bsrange=4k-64k --iodepth=16 --size=8M"
    with lab.boot("reset-storm", partitions=lab.partitions()) as system:
        guest, log = system.guest, system.machine.log
        guest.check(TOOLS)
        guest.check(f"echo 1 >{RESET}")
        report = guest.check(
            f"( until [ -e /tmp/end ]; do {FIO}{load} || exit 1; done & "
            f"for i in $(seq {RESETS}); do echo 1 >{RESET} || exit 1; done; "
            "touch /tmp/end; wait $! )", 60 + 3 * RESETS)
        assert "err= 0" in report
        free = re.findall(FREE, log.text)[-RESETS:]
        assert len(free) == RESETS and free[0] <= free[-1]
        check_disk_works(system)


def test_kernel_starts_another(lab):
    """Without a reset, and with its CPUs and controllers as they are."""
    conf = config(*GATE, **NEXT)
    files = {name: path.read_bytes() for name, path in lab.files(conf).items()
             if name.startswith("EFI/demo")}
    kernel, initrd = (files["EFI/demo/" + n] for n in ("vmlinuz", "initrd.gz"))
    partitions = [*lab.partitions(), Partition("kernel", 16 * MIB, kernel),
                  Partition("initrd", 16 * MIB, initrd)]
    with lab.boot("reset-kexec", conf=conf, partitions=partitions) as system:
        guest = system.guest
        guest.check(f"{TOOLS}; cd /dev/disk/by-partlabel; "
                    f"head -c {len(kernel)} kernel >/tmp/kernel; "
                    f"head -c {len(initrd)} initrd >/tmp/initrd; cd /")
        system.machine.send('/tools/kexec /tmp/kernel /tmp/initrd '
                            '"$(cat /proc/cmdline)"\n')
        guest.take_over()
        check_every_cpu_is_guest(guest, 2)
        check_disk_works(system)
        guest.refuses("dd if=/dev/zero of=/dev/disk/by-partlabel/readonly "
                      "bs=4096 count=1 oflag=direct")
