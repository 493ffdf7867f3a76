# SPDX-License-Identifier: BSD-2-Clause
"""Drives that fail or are slow: the guest sees what the device said, and with
Sluice it sees the same as without."""
import time

import pytest
from lab import CPU, NEXT, config
from machine import failing_nvme, slow_nvme, throttled_nvme
from mkdisk import MIB, Disk, Partition
from test_data import FIO, OPEN, TOOLS

BAD_READ, BAD_WRITE = 20000, 24000      # sectors, 512 bytes each
IOPS = 200
# 256 blocks written and read again; a bucket of a tenth of a second at most.
THROTTLED_SECONDS_MIN = 2 * 256 / IOPS - 0.5
LATENCY_US = 30000
NVME = "nvme {0} /dev/{1} -s {2} -c 0 -z 512 -d /tmp/sector"


def devices(lab, mode):
    """Besides the boot disk: bad sectors, a throttle, a long latency."""
    def disk(name):
        content = [Partition("data", 32 * MIB)]
        return Disk(lab.image(f"errors-{name}-{mode}"), content).create()

    return [*failing_nvme(disk("bad"), "BAD", read=BAD_READ,
                          write=BAD_WRITE),
            *throttled_nvme(disk("throttled"), "THROTTLED", IOPS),
            *slow_nvme(64 * MIB, "SLOW", LATENCY_US)]


@pytest.fixture(scope="module", params=CPU)
def guest(lab, request):
    mode = request.param
    conf = config(**NEXT, memory=32)
    with lab.boot(f"errors-{mode}", mode=mode, conf=conf,
                  partitions=lab.partitions(),
                  devices=devices(lab, mode)) as system:
        system.guest.check(TOOLS)
        yield system.guest


def disk(guest, serial):
    return guest.controller(serial) + "n1"


def fio(guest, serial, options):
    """FIO of another disk than the one it is for."""
    device = "/dev/" + disk(guest, serial)
    return guest.check(FIO.replace(OPEN, device) + options, 120)


@pytest.mark.parametrize("verb, sector, status",
                         [("read", BAD_READ, "0x281"),
                          ("write", BAD_WRITE, "0x280")])
def test_status_of_a_bad_sector_is_the_devices(guest, verb, sector, status):
    bad = disk(guest, "BAD")
    guest.check("head -c 512 /dev/zero >/tmp/sector")
    assert status in guest.refuses(NVME.format(verb, bad, sector))
    guest.check(NVME.format(verb, bad, sector + 1))


def test_bad_sectors_do_not_hold_up_good_ones(guest):
    bad = disk(guest, "BAD")
    read = NVME.format("read", bad, BAD_READ)
    failures = guest.check(
        f"( dd if=/dev/{bad} of=/dev/null bs=4k count=500 iflag=direct & "
        f"for i in $(seq 20); do {read}; done 2>&1 | grep -c 0x281; wait $! )")
    assert "20" in failures.splitlines()
    assert "500+0 records in" in failures


def test_throttled_drive_loses_nothing(guest):
    started = time.monotonic()
    report = fio(guest, "THROTTLED", "--size=1M --rw=randwrite --bs=4k "
                 "--iodepth=32")
    assert "err= 0" in report
    assert time.monotonic() - started > THROTTLED_SECONDS_MIN


def test_slow_drive_is_kept_busy(guest):
    """One by one, 500 reads would take fifteen seconds."""
    report = guest.check(
        "LD_LIBRARY_PATH=/tools/lib /tools/fio --name=t --thread --direct=1 "
        f"--ioengine=libaio --filename=/dev/{disk(guest, 'SLOW')} --bs=4k "
        "--rw=randread --iodepth=32 --number_ios=500 --size=64M "
        "--output-format=terse --terse-version=3")
    total_us = int(report.splitlines()[-1].split(";")[8]) * 1000
    assert total_us < 500 * LATENCY_US
