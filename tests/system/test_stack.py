# SPDX-License-Identifier: BSD-2-Clause
"""All at once: trace sees what the guest asks for, gate judges it, overlay
keeps it from the base, and crypt makes of the base what dm-crypt reads."""
import csv
import json

import pytest
from lab import CPU, GATE, NEXT, config, pattern
from mkdisk import MIB, Partition
from test_crypt import (KEYS, LOAD, SIZE, check_file, dm_open, fill, secret,
                        start, tools)
from test_data import FIO, OPEN

BLOCK = 512
SETTINGS = {"chain": "trace, gate, overlay, crypt", "trace.ring": 32768,
            "trace.latency": "on", "overlay.orders": "on", "memory": 24}
LINES = rf"""
crypt = PARTLABEL=secret{BLOCK} key-file=\EFI\sluice\disk.key
crypt = PARTLABEL=store key-file=\EFI\sluice\store.key
"""
LAYERS = {"memory": f"overlay = memory=40 PARTLABEL=secret{BLOCK}",
          "store": f"overlay = memory=8 PARTLABEL=secret{BLOCK}\n"
                   "overlay.store = PARTLABEL=store"}
FILES = {"EFI/sluice/disk.key": KEYS[BLOCK],
         "EFI/sluice/store.key": pattern(64, 64)}
WRITE_PROTECTED, ACCESS_DENIED = 0x20, 0x286
STATUS = 0x7ff


PARTITIONS = [Partition(f"secret{BLOCK}", SIZE, pattern(SIZE, 61)),
              Partition("readonly", MIB, pattern(MIB, 62)),
              Partition("hidden", MIB, pattern(MIB, 63)),
              Partition("store", 48 * MIB)]


@pytest.fixture(scope="module", params=LAYERS)
def stack(lab, request):
    conf = config(*GATE, **NEXT, **SETTINGS) + (
        LINES + LAYERS[request.param] + "\n").encode()
    disk = lab.disk("stack", conf, [*PARTITIONS, tools()], files=FILES)
    with lab.machine("stack", disk, cpu="EPYC" + CPU["sluice"]) as system:
        system.has_store = request.param == "store"
        start(system)
        yield system


@pytest.fixture
def kept(stack):
    """The base is as it was, whatever a test has done."""
    before = stack.disk.sha256(f"secret{BLOCK}")
    yield stack
    stack.guest.check("sync")
    assert stack.disk.sha256(f"secret{BLOCK}") == before


def ask(guest, command):
    return json.loads(guest.check(f"sluicectl --json {command}"))


def records(guest):
    text = guest.check("sluicectl trace stop; sluicectl trace export csv "
                       "| grep -v ,admin,; sluicectl trace start", 120)
    return list(csv.DictReader(text.splitlines()))


def written(rows):
    """Bytes, by commands that have succeeded."""
    return sum(int(row["bytes"]) for row in rows
               if (row["kind"], row["status"]) == ("write", "0"))


def test_verified_load_leaves_the_base_alone(kept):
    before = written(records(kept.guest))
    report = kept.guest.check(
        FIO.replace(OPEN, secret(BLOCK)).replace("32M", "16M") +
        "--rw=randrw --bsrange=4k-64k --iodepth=16", 300)
    assert "err= 0" in report
    seen = written(records(kept.guest)) - before
    used = ask(kept.guest, "overlay list")[0]["used-kib"]
    assert 4096 < used <= seen // 1024 + 1024


def test_what_gate_refuses_has_a_record_and_goes_no_further(kept):
    device = "/dev/disk/by-partlabel/"
    before = {name: kept.disk.sha256(name) for name in ("readonly", "hidden")}
    kept.guest.refuses(f"dd if=/dev/zero of={device}readonly bs=4k count=1 "
                       "oflag=direct")
    kept.guest.refuses(f"dd if={device}hidden of=/dev/null bs=4k count=1 "
                       "iflag=direct")
    assert {name: kept.disk.sha256(name) for name in before} == before
    failed = {(row["kind"], int(row["status"]) & STATUS)
              for row in records(kept.guest) if row["status"] != "0"}
    assert failed == {("write", WRITE_PROTECTED), ("read", ACCESS_DENIED)}
    hits = {rule["rule"]: rule["hits"] for rule in ask(kept.guest,
                                                       "gate list")}
    assert hits[GATE[0]] >= 1 and hits[GATE[1]] >= 1


def test_each_knows_its_part(kept):
    plugins = [plugin["name"] for plugin in ask(kept.guest, "list")["plugins"]]
    assert plugins == ["trace", "gate", "overlay", "crypt"]
    volume = ask(kept.guest, "crypt list")[0]
    assert (volume["state"], volume["blocks"]) == ("encrypted", SIZE // BLOCK)
    layer = ask(kept.guest, "overlay list")[0]
    assert layer["last-lba"] - layer["first-lba"] + 1 == volume["blocks"]
    assert ask(kept.guest, "trace list")[0]["lost"] == 0


def test_what_is_kept_is_on_the_store_and_not_in_plain(kept):
    kept.guest.check("yes nobody\\'s business | head -c 65536 | "
                     f"dd of={secret(BLOCK)} bs=4k conv=fsync")
    store = kept.disk.read("store")
    assert any(store) == kept.has_store
    assert b"nobody's business" not in store


def test_what_is_committed_is_what_dm_crypt_reads(stack, lab):
    guest = stack.guest
    guest.check("sluicectl overlay discard")
    guest.check(f"mkfs.ext4 -q -F -O ^has_journal {secret(BLOCK)} 8M")
    digest = fill(guest, secret(BLOCK), "ours")
    count = len(records(guest))
    guest.check("sluicectl overlay commit")
    guest.check("until sluicectl overlay list | grep -q 'open *0 '; "
                "do true; done", 300)
    # Sluice's own commands are none of the guest's.
    assert len(records(guest)) == count
    guest.power_off()
    assert stack.disk.read(f"secret{BLOCK}", 1080, 2) != b"\x53\xef"
    with lab.machine("stack-plain", stack.disk,
                           cpu="EPYC" + CPU["plain"]) as plain:
        start(plain)
        plain.guest.check(LOAD)
        check_file(plain.guest, dm_open(plain.guest, BLOCK), "ours", digest)
        plain.guest.power_off()
