# SPDX-License-Identifier: BSD-2-Clause
"""The second row: a newer kernel on a newer QEMU. (The two belong together:
QEMU 7.2's cmpxchg16b changes flags that it should not, and Linux 6.12 dies
of that with Sluice and without.)"""
import backports
import pytest
from lab import GATE, config, next_on
from test_boot import check_disk_works, check_every_cpu_is_guest
from test_data import FIO, TOOLS


@pytest.fixture(scope="module")
def row():
    try:
        return backports.fetch()
    except backports.Unreachable as why:
        pytest.skip(str(why))


@pytest.mark.parametrize("hardware", [
    {"model": "EPYC", "cpus": 2},
    {"model": "max", "cpus": 4, "thread": "multi"},
], ids=["epyc", "max"])
def test_newer_kernel_and_emulator(lab, row, hardware):
    name = f"backports-{hardware['model']}"
    conf = config(*GATE, **next_on(**hardware))
    with lab.boot(name, conf=conf, flavour=row.kernel,
                  partitions=lab.partitions(), program=row.qemu,
                  **hardware) as system:
        guest = system.guest
        assert guest.check("uname -r") == row.kernel.version
        check_every_cpu_is_guest(guest, hardware["cpus"])
        check_disk_works(system)
        guest.refuses("dd if=/dev/disk/by-partlabel/hidden of=/dev/null "
                      "bs=4k count=1 iflag=direct")
        guest.check("nvme reset /dev/nvme0")
        guest.check(TOOLS)
        assert "err= 0" in guest.check(f"{FIO}--rw=randrw --bs=16k "
                                       "--iodepth=16", 120)
