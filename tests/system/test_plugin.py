# SPDX-License-Identifier: BSD-2-Clause
"""Plug-ins from outside the tree: what the README has a newcomer do works as
it stands, and host requests run while the guest works."""
import os
import re
import subprocess

import pytest
from lab import GATE, NEXT, Lab, config
from machine import ROOT
from mkdisk import MIB
from test_data import FIO, OPEN, TOOLS

BACKGROUND = ROOT / "tests" / "system" / "background.c"
EXAMPLE = ROOT / "tests" / "example" / "nodiscard.c"


@pytest.fixture(scope="module")
def busy():
    """A guest beside which one plug-in reads without pause, and another is
    the example."""
    lab = Lab(build(ROOT / "build" / "plugins",
                    f"gate trace {BACKGROUND} {EXAMPLE}"))
    conf = config(*GATE, chain="gate, nodiscard, background", **NEXT)
    with lab.boot("plugins", conf=conf,
                  partitions=lab.partitions()) as system:
        yield system


def outside_make():
    """What a make that has started this has set is not for another one."""
    return {name: value for name, value in os.environ.items()
            if not name.startswith("MAKE")}


def build(folder, interceptors, *variables):
    """A sluice.efi of its own kind, with the newlib that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    newlib = folder / "newlib"
    if not newlib.is_symlink():
        newlib.symlink_to("../newlib")
    name = folder.relative_to(ROOT)
    subprocess.run(["make", "-s", f"B={name}", f"INTERCEPTORS={interceptors}",
                    *variables, f"{name}/sluice.efi"], cwd=ROOT, check=True,
                   env=outside_make(), stdout=subprocess.DEVNULL)
    return folder / "sluice.efi"


def readme_commands():
    text = (ROOT / "README.md").read_text()
    section = text.split("\n## Your interceptor in ten minutes\n")[1]
    return re.findall(r"^    (.*)$", section.split("\n## ")[0], re.M)


def test_a_newcomer_does_what_the_readme_says(tmp_path):
    commands = readme_commands()
    assert "make test" in commands
    (tmp_path / "sluice").symlink_to(ROOT)
    environment = {name: value for name, value in outside_make().items()
                   if not name.startswith("SLUICE_")}
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(commands)], cwd=ROOT, text=True,
        env={**environment, "HOME": str(tmp_path)}, timeout=1200,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    assert re.findall(r"^ok (\w+)$", done.stdout, re.M) == [
        "a_discard_succeeds_and_the_drive_never_sees_it",
        "what_was_written_is_still_there"]
    assert "nodiscard: 1 ranges of n1 kept" in done.stdout


def test_the_example_is_short():
    assert len(EXAMPLE.read_text().splitlines()) < 60


def test_the_example_keeps_what_is_discarded(busy):
    before = busy.disk.read("open", 0, MIB)
    busy.guest.check(f"blkdiscard -l {MIB} {OPEN}")
    busy.machine.expect_log("nodiscard: . ranges of n1 kept")
    assert busy.disk.read("open", 0, MIB) == before


def reads(system):
    """(reads, bad) as last logged."""
    found = re.findall(r"background: (\d+) reads, (\d+) bad",
                       system.machine.log.text)
    return tuple(map(int, found[-1])) if found else (0, 0)


def test_host_requests_run_beside_the_guests(busy):
    busy.guest.check(TOOLS)
    before, _ = reads(busy)
    report = busy.guest.check(
        FIO + "--rw=randrw --bs=64k --iodepth=16 --loops=3", 180)
    assert "err= 0" in report
    after, bad = reads(busy)
    assert after > before and bad == 0


def test_host_requests_survive_controller_resets(busy):
    for _ in range(3):
        busy.guest.check("nvme reset /dev/nvme0")
    before, _ = reads(busy)
    busy.guest.check("dd if=/dev/nvme0n1p2 of=/dev/null bs=64k iflag=direct")
    after, bad = reads(busy)
    assert after > before and bad == 0
