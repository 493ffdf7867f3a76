# SPDX-License-Identifier: BSD-2-Clause
"""Records of every command, from the firmware's first to the system's last."""
import csv
import json

import pytest
from lab import NEXT, OPEN_ONLY, config

READ_100 = ("dd if=/dev/disk/by-partlabel/open of=/dev/null bs=4k count=100 "
            "iflag=direct 2>/dev/null")


@pytest.fixture(scope="module", params=["on", "off"])
def traced(lab, request):
    keys = {"trace.ring": 16384, "trace.latency": request.param}
    with lab.boot(f"trace-{request.param}", partitions=OPEN_ONLY,
                  conf=config(**NEXT, **keys)) as system:
        system.has_latency = request.param == "on"
        yield system


def rows(guest):
    return list(csv.DictReader(
        guest.check("sluicectl trace export csv /tmp/saved", 120)
        .splitlines()))


def test_every_command_has_a_record(traced):
    guest = traced.guest
    before = json.loads(guest.check("sluicectl --json trace list"))[0]
    assert before["lost"] == 0 and before["records"] > 100
    guest.check(READ_100 + "; sluicectl trace stop; "
                "sluicectl trace save /tmp/saved; sluicectl trace start")
    found = rows(guest)
    # Before the kernel there was the firmware, which has one I/O queue.
    assert found[0]["kind"] == "admin" and found[0]["queue"] == "0"
    assert [row for row in found[:2000] if row["kind"] == "read"]
    reads = [row for row in found[-110:]
             if row["kind"] == "read" and row["bytes"] == "4096"]
    assert len(reads) >= 100
    lbas = [int(row["lba"]) for row in reads[-100:]]
    assert lbas == [lbas[0] + 8 * i for i in range(100)]
    for row in reads:
        assert bool(row["latency_us"]) == traced.has_latency
        assert row["status"] == ("0" if traced.has_latency else "")


def test_queues_stay_direct_without_latency(traced):
    stats = json.loads(traced.guest.check("sluicectl --json stats"))
    controller = stats["controllers"][0]
    assert bool(controller["relayed"]) == traced.has_latency
    assert bool(controller["direct"]) != traced.has_latency


def test_a_summary_in_the_guest(traced):
    traced.guest.check(READ_100)
    found = json.loads(traced.guest.check("sluicectl --json trace summary"))
    reads = [row for row in found["kinds"] if row["kind"] == "read"][0]
    assert reads["commands"] >= 100
    assert ("p99_us" in reads) == traced.has_latency


def test_commands_are_followed(traced):
    traced.guest.check(
        f"( sluicectl trace follow >/tmp/seen & {READ_100}; "
        "until [ $(grep -c ' read 02 n1 lba .*+8' /tmp/seen) -ge 100 ]; do "
        "usleep 10000; done; kill $! )")
