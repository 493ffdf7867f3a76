# SPDX-License-Identifier: BSD-2-Clause
"""Mistakes in sluice.conf and processors without SVM: a clear message on the
firmware's console, and what fail= asks for."""
import pytest
from lab import NEXT, config, twin
from mkdisk import MIB, Partition

MISTAKES = {
    "bad value": (b"log = com3\n", r"sluice\.conf:1: log: expected .*com2"),
    "no equals sign": (b"# one\n\nlog com2\n", r"sluice\.conf:3: .*="),
    "unknown key": (b"log = com2\ncolour = blue\n",
                    r"sluice\.conf:2: colour"),
    "bad rule": (b"gate = maybe PARTLABEL=x\n", r"sluice\.conf:1: gate: expected rw, ro or none"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_reported_with_its_line(lab, request, mistake):
    text, message = mistake
    name = "config-" + request.node.callspec.id.replace(" ", "-")
    with lab.machine(name, lab.disk(name, text)) as system:
        system.machine.expect(message, 120)


def test_without_svm_the_system_starts_anyway(lab):
    system = lab.system("plain")
    assert "neither AMD SVM nor Intel VMX" in system.machine.console.text
    assert "WITHOUT Sluice" in system.machine.console.text


def test_without_svm_and_fail_closed_nothing_starts(lab):
    disk = lab.disk("config-closed", config(**NEXT, fail="closed"))
    with lab.machine("config-closed", disk, cpu="EPYC,-svm") as system:
        system.machine.expect("neither AMD SVM nor Intel VMX", 120)
        system.machine.send("\r")
        system.machine.expect_end()
        assert "Linux version" not in system.machine.console.text


def test_rules_without_a_partition_and_with_two(lab):
    """The first is said, the second is said and holds for both."""
    partitions = [twin("one", 1), twin("two", 2),
                  Partition("open", 8 * MIB)]
    conf = config("ro PARTLABEL=nosuch", "none PARTLABEL=twin", **NEXT)
    with lab.boot("config-rules", conf=conf,
                  partitions=partitions) as system:
        system.machine.expect_log(
            "gate: ro PARTLABEL=nosuch: matches nothing here")
        system.machine.expect_log(
            "gate: none PARTLABEL=twin: matches more than once")
        for number in (2, 3):
            system.guest.refuses(f"dd if=/dev/nvme0n1p{number} bs=4096 "
                                 "count=1 of=/dev/null iflag=direct")
        system.guest.check("dd if=/dev/nvme0n1p4 bs=4096 count=1 "
                           "of=/dev/null iflag=direct")
