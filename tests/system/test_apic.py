# SPDX-License-Identifier: BSD-2-Clause
"""What exits of the APIC. QEMU's processors do not redirect an INIT, so with
apic=intercept the page is open when no more of them is to come."""
import pytest
from exits import COMMANDS, Exits
from lab import GATE, NEXT, config
from test_boot import check_every_cpu_is_guest
from test_exits import READS, dd

IDLE_SECONDS = 10
IDLE_EXITS_MAX = 5      # a second and CPU
TRAPPED = r"apic: every write trapped: this processor does not redirect INIT"
FORCED = r"warning: apic: open once the system has started every CPU"


def test_where_no_init_is_redirected_every_write_is_trapped(lab):
    lab.system("sluice").machine.expect_log(TRAPPED)


@pytest.fixture(scope="module", params=[1, 2])
def opened(lab, request):
    """A machine whose guest has its APICs to itself."""
    name = f"apic-{request.param}"
    exits = Exits(name)
    conf = config(*GATE, apic="intercept", **NEXT)
    with lab.boot(name, conf=conf, partitions=lab.partitions(),
                  cpus=request.param, devices=exits.arguments) as system:
        system.machine.expect_log(FORCED)
        system.machine.expect_log("apic: open$")
        yield request.param, system, exits


def test_every_cpu_is_a_guest_before_the_page_opens(opened):
    cpus, system, _ = opened
    check_every_cpu_is_guest(system.guest, cpus)


def test_with_an_open_page_only_doorbells_exit(opened):
    _, system, exits = opened
    system.guest.check(dd(READS))
    with exits.watch(system.machine, COMMANDS) as found:
        system.guest.check(dd(READS))
    assert found.commands == READS - 1, found
    assert found.exits_per_command("memory") <= 1.05, found
    assert found.exits_per_command() <= 1.1, found
    assert found.exits["apic"] == 0, found


def test_with_an_open_page_an_idle_cpu_hardly_exits(opened):
    cpus, system, exits = opened
    with exits.watch(system.machine) as found:
        system.guest.check(f"sleep {IDLE_SECONDS}")
    assert (found.exits.total() <=
            IDLE_EXITS_MAX * IDLE_SECONDS * cpus), found
