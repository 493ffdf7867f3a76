# SPDX-License-Identifier: BSD-2-Clause
"""Suspend to RAM would wake up without Sluice: the guest is not offered it
and cannot bring it about by hand. Without Sluice it can do both."""
import subprocess

import pytest
from lab import OPEN_ONLY
from machine import BUILD, ROOT, Trouble
from mkdisk import MIB, Partition
from test_boot import check_disk_works, check_every_cpu_is_guest

STATES = "dmesg | grep -o 'supports S.*'"
CONTROL = "awk -F- '/PM1a_CNT/ { print $1 }' /proc/ioports"
TAKE_OUT = "cp /dev/disk/by-partlabel/out /tmp/out && chmod +x /tmp/out"
WAKE_BY_KEY = "/sys/class/tty/ttyS0/power/wakeup"
# SLP_EN, and q35's types of S3, S4 and nothing.
SLEEP, S3, S4, UNKNOWN = 1 << 13, 1 << 10, 2 << 10, 5 << 10


@pytest.fixture(scope="module")
def partitions():
    """The last one is a program."""
    program = BUILD / "guest" / "out"
    program.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-static", "-Os", "-s", "-o", program,
                    ROOT / "tests" / "system" / "out.c"], check=True)
    return [*OPEN_ONLY, Partition("out", MIB, program.read_bytes())]


@pytest.fixture(scope="module")
def sluice(lab, partitions):
    with lab.boot("sleep", partitions=partitions) as system:
        system.guest.check(TAKE_OUT)
        yield system


def write_by_hand(guest, size, offset, value):
    port = int(guest.check(CONTROL), 16) + offset
    guest.begin(f"/tmp/out {size} {port} {value}")


def test_without_sluice_there_is_s3(lab, partitions):
    with lab.boot("sleep-plain", mode="plain",
                  partitions=partitions) as system:
        assert "S3" in system.guest.check(STATES)
        assert "deep" in system.guest.check("cat /sys/power/mem_sleep")
        system.guest.check(TAKE_OUT)
        write_by_hand(system.guest, 2, 0, SLEEP | S3)
        system.machine.expect_event("SUSPEND")


def test_guest_is_offered_no_s3(sluice):
    assert sluice.guest.check(STATES) == "supports S0 S4 S5)"
    assert sluice.guest.check("cat /sys/power/mem_sleep") == "[s2idle]"
    sluice.machine.expect_log("sleep: S3 is hidden")


@pytest.mark.parametrize("size, offset, value", [
    (2, 0, SLEEP | S3), (4, 0, SLEEP | S3), (4, -2, (SLEEP | S3) << 16),
    (1, 1, (SLEEP | S3) >> 8), (2, 0, SLEEP | UNKNOWN)])
def test_s3_by_hand_is_dropped(sluice, size, offset, value):
    write_by_hand(sluice.guest, size, offset, value)
    assert sluice.guest.finish().status == 0
    machine = sluice.machine
    machine.expect("sleep: .*dropped", stream=machine.log)
    assert machine.qmp("query-status")["status"] == "running"
    check_disk_works(sluice)


def wake(system, presses=20):
    """A key that comes while devices fall asleep wakes nobody."""
    for _ in range(presses):
        system.machine.send("\n")
        try:
            return system.guest.finish(3).status
        except Trouble:
            pass
    return None


def test_idle_suspend_comes_back(sluice):
    log = sluice.machine.log
    sluice.guest.check(f"echo enabled >{WAKE_BY_KEY}")
    log.seen = len(log.text)
    sluice.guest.begin("echo freeze >/sys/power/state")
    sluice.machine.expect("nvme0: trace: ", stream=log)
    assert wake(sluice) == 0
    check_disk_works(sluice)
    check_every_cpu_is_guest(sluice.guest, 2)


def test_hibernation_passes(sluice):
    """As power-off does, with which most tests end."""
    write_by_hand(sluice.guest, 2, 0, SLEEP | S4)
    sluice.machine.expect_event("SUSPEND_DISK")
    sluice.machine.expect_end()
