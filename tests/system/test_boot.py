# SPDX-License-Identifier: BSD-2-Clause
"""From power-on to the shell, on machines of several shapes."""
import re

import pytest
from lab import NEXT, OPEN_ONLY, config, next_on
from machine import LOGS

MACHINES = {
    "1-epyc": dict(cpus=1, thread="single"),
    "2-max-multi": dict(cpus=2, thread="multi", model="max"),
    "4-epyc-multi": dict(cpus=4, thread="multi"),
    "4-max": dict(cpus=4, thread="single", model="max"),
}
CONTROLLER = (r"nvme0: QEMU NVMe Ctrl SN=QF0 1 namespaces?, \d+ queues, "
              r"mdts \d+ KiB")
MEMORY = "awk '/MemTotal/ { print $2 }' /proc/meminfo"
# What Sluice takes, in KiB: its memory, and what alignment may cost.
TAKEN_MAX = (16 + 2) * 1024


def check_every_cpu_is_guest(guest, cpus):
    """Each CPU fills in its own flags: one that had left Sluice, or was
    never taken, would say svm."""
    assert guest.check("nproc") == str(cpus)
    flags = guest.check("grep ^flags /proc/cpuinfo").splitlines()
    assert len(flags) == cpus
    assert not [line for line in flags if re.search(r"\bsvm\b", line)]


def check_disk_works(system):
    assert (system.guest.sha256("/dev/disk/by-partlabel/open") ==
            system.disk.sha256("open"))


@pytest.mark.parametrize("hardware", MACHINES.values(), ids=MACHINES)
def test_boots_to_a_shell(lab, request, hardware):
    name = "boot-" + request.node.callspec.id
    with lab.boot(name, conf=config(**next_on(**hardware)),
                  partitions=OPEN_ONLY, **hardware) as system:
        system.machine.expect_log(CONTROLLER)
        check_every_cpu_is_guest(system.guest, hardware["cpus"])
        check_disk_works(system)
        system.check_kernel_is_content()
        system.guest.power_off()


def test_generic_kernel_loads_nvme_as_a_module(lab):
    with lab.boot("boot-generic", flavour="amd64",
                  partitions=OPEN_ONLY) as system:
        assert "nvme_core" in system.guest.check("lsmod")
        check_every_cpu_is_guest(system.guest, 2)
        check_disk_works(system)


def test_every_cpu_is_a_guest(sluice):
    check_every_cpu_is_guest(sluice.guest, 2)


def test_memory_taken_is_small(lab):
    plain = int(lab.system("plain").guest.check(MEMORY))
    under = int(lab.system("sluice").guest.check(MEMORY))
    assert 0 < plain - under <= TAKEN_MAX


def test_log_shares_the_first_serial_port(lab):
    """The firmware's console, the kernel's and the shell keep working."""
    with lab.boot("boot-com1", conf=config(**NEXT, log="com1")) as system:
        console = system.machine.console.text
        assert re.search(CONTROLLER, console)
        assert "Linux version" in console
        lines = "\n".join(map(str, range(1, 501)))
        assert system.guest.check("seq 1 500") == lines


def test_log_goes_to_the_debug_port(lab):
    text = LOGS / "boot-debug.port.log"
    port = ["-chardev", f"file,id=debug,path={text}",
            "-device", "isa-debugcon,iobase=0xe9,chardev=debug"]
    with lab.boot("boot-debug", conf=config(**NEXT, log="debug"),
                  devices=port) as system:
        assert re.search(CONTROLLER, text.read_text())
        assert "] sluice:" not in system.machine.console.text
        assert "] sluice:" not in system.machine.log.text
