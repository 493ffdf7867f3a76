# SPDX-License-Identifier: BSD-2-Clause
"""What ends and begins again: machines, controllers and drivers."""
from lab import GATE, NEXT, OPEN_ONLY, config
from test_boot import check_disk_works, check_every_cpu_is_guest
from test_data import FIO, OPEN, TOOLS

PCI = "$(basename $(readlink /sys/class/nvme/nvme0/device))"
DRIVER = "/sys/bus/pci/drivers/nvme"


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
