# SPDX-License-Identifier: BSD-2-Clause
"""Read-only and hidden partitions are: root in the guest tries everything,
and the host looks at the image. Each attempt is first made on the open
partition, where it has to succeed, so that a refusal means something."""
import re

import pytest

DISK = "/dev/nvme0n1"
PART = "/dev/disk/by-partlabel/"
WRITE_PROTECTED, ACCESS_DENIED = "0x4020", "0x4286"
DATA = "-z 4096 -d /tmp/data --force"

# {lba}: the block aimed at; {spare}: one that is open.
WRITES = {
    "write": f"nvme write {DISK} -s {{lba}} -c 7 {DATA}",
    "write zeroes": f"nvme write-zeroes {DISK} -s {{lba}} -c 7",
    "deallocate": f"nvme dsm {DISK} -d -s {{lba}} -b 8",
    "deallocate the second range":
        f"nvme dsm {DISK} -d -s {{spare}},{{lba}} -b 8,8",
    "copy onto": f"nvme copy {DISK} -d {{lba}} -s {{spare}} -b 7",
}
READS = {
    "read": f"nvme read {DISK} -s {{lba}} -c 7 -z 4096 -d /tmp/seen",
    "verify": f"nvme verify {DISK} -s {{lba}} -c 7",
    "copy from": f"nvme copy {DISK} -d {{spare}} -s {{lba}} -b 7",
    "copy from the second range":
        f"nvme copy {DISK} -d {{spare}} -s {{spare}},{{lba}} -b 0,7",
}
# QEMU's controller does not know these; the gate has to refuse them on its
# own, before the device can.
UNKNOWN = {
    "write uncorrectable": f"nvme write-uncor {DISK} -s {{lba}} -c 7",
    "a vendor's opcode":
        f"nvme io-passthru {DISK} -o 0x99 -n 1 --cdw10={{lba}} --cdw12=7",
    "zone append":
        f"nvme io-passthru {DISK} -o 0x7d -n 1 --cdw10={{lba}} -l 4096 -w "
        "-i /tmp/data",
}
WHOLE = {
    "format": f"nvme format {DISK} --force -l 0",
    "format all": "nvme format /dev/nvme0 -n 0xffffffff --force -l 0",
    "sanitize": "nvme sanitize /dev/nvme0 -a 2",
    "detach": "nvme detach-ns /dev/nvme0 -n 1 -c 0",
    "delete": "nvme delete-ns /dev/nvme0 -n 1",
    "security send":
        "nvme security-send /dev/nvme0 -n 1 -p 1 -s 1 -t 512 -f /tmp/data",
    "firmware": "nvme fw-download /dev/nvme0 -f /tmp/data",
    "a vendor's admin opcode":
        "nvme admin-passthru /dev/nvme0 -o 0xc1 -n 1",
}
FILES = {
    "dd": "dd if=/tmp/data of={part} bs=4096 count=1 oflag=direct",
    "dd through the cache":
        "dd if=/tmp/data of={part} bs=4096 count=1 conv=fsync",
    "discard": "blkdiscard {part}",
    "mkfs": "mkfs.ext4 -q -F {part}",
}


@pytest.fixture
def policed(sluice):
    """The guest, and afterwards the proof that nothing has happened."""
    before = [sluice.disk.sha256(p) for p in ("readonly", "hidden")]
    sluice.guest.check("dd if=/dev/urandom of=/tmp/data bs=4096 count=1")
    yield sluice
    sluice.guest.check("sync")
    assert before == [sluice.disk.sha256(p) for p in ("readonly", "hidden")]


def blocks(system, label, offset=2048):
    """What a template needs: a block in `label` and one in open."""
    start = system.disk.start
    return {"lba": start[label] // 512 + offset,
            "spare": start["open"] // 512 + 64}


@pytest.mark.parametrize("template", (WRITES | READS).values(),
                         ids=WRITES | READS)
def test_open_partition_accepts(policed, template):
    policed.guest.check(template.format(**blocks(policed, "open")))


@pytest.mark.parametrize("template", WRITES.values(), ids=WRITES)
def test_read_only_partition_refuses(policed, template):
    output = policed.guest.refuses(
        template.format(**blocks(policed, "readonly")))
    assert WRITE_PROTECTED in output


@pytest.mark.parametrize("template", (WRITES | READS).values(),
                         ids=WRITES | READS)
def test_hidden_partition_refuses(policed, template):
    output = policed.guest.refuses(
        template.format(**blocks(policed, "hidden")))
    assert ACCESS_DENIED in output


@pytest.mark.parametrize("label", ["readonly", "hidden"])
@pytest.mark.parametrize("template", UNKNOWN.values(), ids=UNKNOWN)
def test_policed_partition_refuses(policed, template, label):
    policed.guest.refuses(template.format(**blocks(policed, label)))


@pytest.mark.parametrize("command", WHOLE.values(), ids=WHOLE)
def test_policed_namespace_refuses(policed, command):
    policed.guest.refuses(command)
    policed.guest.check(f"dd if={DISK} of=/dev/null bs=4096 count=1")


@pytest.mark.parametrize("label", ["readonly", "hidden"])
@pytest.mark.parametrize("template", FILES.values(), ids=FILES)
def test_tools_of_the_guest_fail(policed, template, label):
    policed.guest.refuses(template.format(part=PART + label))


@pytest.mark.parametrize("label", ["readonly", "hidden"])
def test_range_across_the_border_is_refused_whole(policed, label):
    before = policed.disk.read("open")
    policed.guest.refuses(WRITES["write"].format(
        **blocks(policed, label, offset=-4)))
    assert policed.disk.read("open") == before


def test_read_only_partition_can_be_read(policed):
    assert (policed.guest.sha256(PART + "readonly") ==
            policed.disk.sha256("readonly"))


def test_hidden_partition_gives_no_byte(policed):
    policed.guest.refuses(f"dd if={PART}hidden of=/tmp/seen iflag=direct "
                          "bs=4096 count=1")
    assert policed.guest.check("cat /tmp/seen | wc -c") == "0"


def test_compare_cannot_guess_hidden_data(policed):
    """Neither a right guess nor a wrong one: both are refused alike."""
    right = policed.disk.read("hidden", 0, 512).hex()
    policed.guest.check(f"echo {right} | xxd -r -p >/tmp/guess")
    for guess in ("/tmp/guess", "/dev/zero"):
        output = policed.guest.refuses(
            f"nvme compare {DISK} -z 512 -d {guess} -c 0 -s "
            f"{policed.disk.start['hidden'] // 512}")
        assert ACCESS_DENIED in output


@pytest.mark.parametrize("lba", [0, 1, 2, 33, -33, -2, -1], ids=[
    "protective record", "header", "first entries", "last entries",
    "first entries of the backup", "last entries of the backup",
    "header of the backup"])
@pytest.mark.parametrize("verb", ["write", "write zeroes", "deallocate"])
def test_partition_table_is_read_only(policed, verb, lba):
    before = policed.disk.table()
    place = {"lba": lba % (policed.disk.size // 512), "spare": 0}
    one_block = WRITES[verb].replace("-c 7 -z 4096", "-c 0 -z 512")
    one_block = one_block.replace("-c 7", "-c 0").replace("-b 8", "-b 1")
    assert WRITE_PROTECTED in policed.guest.refuses(one_block.format(**place))
    assert policed.disk.table() == before


def test_refusals_are_logged(policed):
    for label, rule in (("readonly", "ro"), ("hidden", "none")):
        policed.guest.refuses(WRITES["write"].format(
            **blocks(policed, label)))
        policed.machine.expect_log(
            rf"gate: {rule} PARTLABEL={label}: refused Write lba "
            rf"{blocks(policed, label)['lba']}\+8")
    assert not re.search("panic", policed.machine.log.text)
