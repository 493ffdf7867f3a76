# SPDX-License-Identifier: BSD-2-Clause
"""A drive that misbehaves as sluice.conf says, and a kernel that copes."""
import json
import re

import pytest

from lab import NEXT, OPEN_ONLY, config

PART = "/dev/disk/by-partlabel/open"
QUEUE = "/sys/block/nvme0n1/queue"
RULES = """\
fault = error=0x281 on=read nth=3 PARTLABEL=other
fault = tear=all drop on=write times=1 {dropped}
fault = drop on=read times=1 {silent}
fault = error=0x281 on=read {bad}
fault = tear=3 on=write {torn}
fault = delay=50000 on=read {slow}
fault = delay=2000 on=write {slow}
fault.orders = on
"""
# MiB of the partition for each rule.
PLACES = {"bad": 1, "torn": 2, "dropped": 3, "silent": 4, "slow": 5,
          "ordered": 6}


@pytest.fixture(scope="module")
def faulty(lab):
    """The rules name blocks, so the disk is made first."""
    start = lab.disk("fault", config(**NEXT), OPEN_ONLY).start["open"] // 512
    lbas = {name: "lba={}-{}".format(start + mib * 2048,
                                     start + mib * 2048 + 2047)
            for name, mib in PLACES.items()}
    conf = config(**NEXT) + RULES.format(**lbas).encode()
    with lab.boot("fault", conf=conf, partitions=OPEN_ONLY) as system:
        system.guest.check(f"echo 3000 >{QUEUE}/io_timeout")
        system.guest.check(f"echo none >{QUEUE}/scheduler")
        yield system


def dd(where, direction):
    """4 KiB at a place, past the page cache."""
    seek = f"bs=4096 count=1 {{}}={PLACES[where] * 256}"
    if direction == "read":
        return f"dd if={PART} of=/dev/null iflag=direct {seek.format('skip')}"
    return (f"tr '\\0' x </dev/zero | dd of={PART} iflag=fullblock "
            f"oflag=direct {seek.format('seek')}")


def test_bad_blocks_give_an_error(faulty):
    assert "No data available" in faulty.guest.refuses(dd("bad", "read"))
    faulty.guest.check(dd("bad", "write"))


def test_a_torn_write_succeeds_and_is_torn(faulty):
    before = faulty.disk.read("open", PLACES["torn"] << 20, 4096)
    faulty.guest.check(dd("torn", "write"))
    after = faulty.disk.read("open", PLACES["torn"] << 20, 4096)
    assert after == b"x" * 1536 + before[1536:]


@pytest.mark.parametrize("where, direction", [("dropped", "write"),
                                              ("silent", "read")])
def test_the_kernel_gets_over_a_lost_answer(faulty, where, direction):
    """It waits, aborts, waits, resets the controller and asks again."""
    faulty.guest.check(dd(where, direction), 60)
    assert "reset controller" in faulty.guest.check("dmesg | tail -n 30")
    faulty.guest.check("dmesg -c >/dev/null")
    faulty.guest.check(dd(where, direction))


def test_delays_come_to_an_end(faulty):
    """By an idle guest, one after the other: never early. How late depends on
    how busy this machine is; nothing waits for another event, for seconds."""
    for direction, count, us in (("write", 100, 2000), ("read", 10, 50000)):
        taken = microseconds(faulty.guest, direction, count)
        assert count * us <= taken < count * (us + 1000000)


def microseconds(guest, direction, count):
    """What it takes, by the guest's clock."""
    line = dd("slow", direction).replace("count=1", f"count={count}")
    text = guest.check(f"cat /proc/uptime; {line} 2>/dev/null; "
                       "cat /proc/uptime", 60)
    before, after = re.findall(r"^([\d.]+) ", text, re.M)
    return (float(after) - float(before)) * 1e6


def test_a_rule_for_nothing_is_said(faulty):
    assert "fault: line 5: matches nothing here" in faulty.machine.log.text


def rules(guest):
    return json.loads(guest.check("sluicectl --json fault list"))


def test_a_rule_comes_and_goes_while_the_system_runs(faulty):
    guest = faulty.guest
    before = rules(guest)
    assert [rule["from"] for rule in before] == [
        f"line {line}" for line in range(5, 12)]
    guest.check(dd("ordered", "read"))
    guest.check("sluicectl fault error=0x281 on=read PARTLABEL=open")
    assert "No data available" in guest.refuses(dd("ordered", "read"))
    last = rules(guest)[-1]
    assert (last["number"], last["from"]) == (8, "order")
    assert last["rule"] == "error=0x281 on=read PARTLABEL=open"
    assert 1 <= last["fired"] == last["seen"]
    assert re.search(r"^ +8 +error=0x281 on=read PARTLABEL=open +order +\d",
                     guest.check("sluicectl fault list"), re.M)
    guest.check("sluicectl fault clear 8")
    guest.check(dd("ordered", "read"))
    assert [rule["rule"] for rule in rules(guest)] == [
        rule["rule"] for rule in before]


def test_an_order_that_is_none_says_what_was_expected(faulty):
    for order, why in (("drop lba=9-8", "expected lba="),
                       ("clear 8", "expected clear, or clear NUMBER")):
        result = faulty.guest.run(f"sluicectl fault {order}")
        assert result.status == 3 and why in result.output
