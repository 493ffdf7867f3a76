# SPDX-License-Identifier: BSD-2-Clause
"""sluicectl and nvme-cli in the guest: what the control channel answers, and
what is said where Sluice is not."""
import json
import re

import pytest
from lab import NEXT, OPEN_ONLY, config

GOOD, USAGE, ABSENT, REFUSED, FAILED = range(5)
QUESTION = ("nvme admin-passthru /dev/nvme0 -o 0xc2 -r -b -l 4096 "
            "--cdw10=1024 --cdw12=0x43554c53 --cdw13={:#x} --cdw14={}")
STATUS, PLUGINS = 0x10100, 0x10400
LOG_PAGE = "nvme get-log /dev/nvme0 -i 0xef -S 0x4c53 -s {} -o {} -l {} -b"


def ask(guest, command):
    return json.loads(guest.check(f"sluicectl --json {command}"))


def test_version_and_status(sluice):
    version = ask(sluice.guest, "version")
    assert version["sluice"] == version["sluicectl"]
    status = ask(sluice.guest, "status")
    assert status["cpus"] == 2 and status["controllers"] == 1
    assert status["memory_kib"] == 16 << 10
    assert 0 < status["memory_free_kib"] < status["memory_kib"]
    later = ask(sluice.guest, "status")
    assert later["uptime_s"] > status["uptime_s"]


def test_controllers_and_plug_ins_are_listed(sluice):
    found = ask(sluice.guest, "list")
    assert found["controllers"][0]["serial"] == "QF0"
    assert found["controllers"][0]["state"] == "ready"
    assert "gate" in [plugin["name"] for plugin in found["plugins"]]
    text = sluice.guest.check("sluicectl list")
    assert re.search(r"^nvme0 +QF0 +QEMU NVMe Ctrl +ready +1", text, re.M)


def test_commands_and_exits_are_counted(sluice):
    before = ask(sluice.guest, "stats")
    sluice.guest.check("dd if=/dev/nvme0n1 of=/dev/null bs=4k count=100 "
                       "iflag=direct 2>/dev/null")
    after = ask(sluice.guest, "stats")
    assert (after["controllers"][0]["io"] -
            before["controllers"][0]["io"]) >= 100
    assert len(after["cpus"]) == 2
    exits = [sum(cpu["exits"] for cpu in stats["cpus"])
             for stats in (before, after)]
    assert exits[1] > exits[0]


def test_the_log_is_the_one_on_the_console(sluice):
    lines = sluice.guest.check("sluicectl log").splitlines()
    seen = [line.strip() for line in sluice.machine.log.text.splitlines()]
    # Before that the firmware writes there, too, between what are lines.
    kernel = max(n for n, line in enumerate(lines) if "enabled with" in line)
    lines = lines[kernel:]
    assert len(lines) > 2
    assert [line for line in lines if line.strip() in seen] == lines


def test_the_log_is_followed(sluice):
    refused = "of=/dev/disk/by-partlabel/readonly bs=4k count=1 oflag=direct"
    sluice.guest.check(
        f"( sluicectl log -f >/tmp/log & dd if=/dev/zero {refused}; "
        "until grep -q 'refused Write' /tmp/log; do usleep 10000; done; "
        "kill $! )")


def test_nvme_cli_reads_the_same(sluice):
    """The identity by its log page, and the plug-ins by the command."""
    version = ask(sluice.guest, "version")["sluice"]
    page = sluice.guest.check(LOG_PAGE.format(0, 0, 256) + " | strings")
    assert version in page and "nvme0" in page
    text = sluice.guest.check(QUESTION.format(PLUGINS, 0) + " | strings")
    assert "gate" in text
    log = sluice.guest.check(LOG_PAGE.format(5, 0, 8192) +
                             " | tr -d '\\0' | head -3")
    assert sluice.guest.check("sluicectl log | head -3") == log


def test_mistakes_are_said(sluice):
    def fails(command, status, text):
        result = sluice.guest.run(f"sluicectl {command}")
        assert result.status == status
        assert text in result.output

    fails("", USAGE, "a command is missing")
    fails("status now", USAGE, "usage: sluicectl status")
    fails("nonsense list", REFUSED, "nonsense: no plug-in of this name")
    fails("-d /dev/nvme7 status", FAILED, "No such file")
    fails("-d /dev/null status", ABSENT, "Sluice is not there")


def test_without_sluice_it_says_so(lab):
    result = lab.system("plain").guest.run("sluicectl status")
    assert result.status == ABSENT
    assert "Sluice is not there" in result.output


@pytest.fixture(scope="module")
def victim(lab):
    with lab.boot("control", partitions=OPEN_ONLY,
                  conf=config(**NEXT, **{"gate.orders": "on"})) as system:
        yield system


def test_nonsense_is_refused_and_harms_nothing(victim):
    """Every verb and target, and lengths that do not fit."""
    victim.guest.run(
        "i=0; while [ $i -lt 65536 ]; do "
        "nvme admin-passthru /dev/nvme0 -o 0xc2 -r -b -l 64 --cdw10=16 "
        "--cdw12=0x43554c53 --cdw13=$((65536 + i)) --cdw14=4294967295 "
        "--cdw15=4294967295; i=$((i + 257)); done >/dev/null")
    for dwords in (0, 7, 1025, 0xffffffff):
        victim.guest.refuses(
            "nvme admin-passthru /dev/nvme0 -o 0xc2 -r -b -l 4096 "
            f"--cdw10={dwords} --cdw12=0x43554c53 --cdw13=0x10100")
    assert "panic" not in victim.machine.log.text
    assert ask(victim.guest, "status")["cpus"] == 2


def test_a_partition_is_closed_while_the_system_runs(victim):
    write = "dd if=/dev/zero of=/dev/disk/by-partlabel/open bs=4k count=1 " \
        "seek=4 oflag=direct"
    victim.guest.check(write)
    before = victim.guest.sha256("/dev/disk/by-partlabel/open")
    victim.guest.check("sluicectl gate ro PARTLABEL=open")
    victim.guest.refuses(write.replace("zero", "urandom"))
    assert victim.guest.sha256("/dev/disk/by-partlabel/open") == before
    rule = ask(victim.guest, "gate list")[0]
    assert rule["rule"] == "ro PARTLABEL=open" and rule["from"] == "order"
    assert rule["matches"] == 1 and rule["hits"] >= 1
    result = victim.guest.run("sluicectl gate rw PARTLABEL=open")
    assert result.status == REFUSED
    assert "cannot open what is closed" in result.output
