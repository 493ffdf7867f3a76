# SPDX-License-Identifier: BSD-2-Clause
"""A Sluice that panics: everything stops, and after a reset of the machine
its last words are still there."""
from lab import NEXT, Lab, config
from machine import ROOT
from test_plugin import build

CRASH = ROOT / "tests" / "system" / "crash.c"


def test_last_words_survive_a_reset():
    lab = Lab(build(ROOT / "build" / "crash", CRASH))
    with lab.boot("panic", conf=config(**NEXT), reboot=True) as system:
        guest = system.guest
        assert guest.check("sluicectl panic-log") == ""
        guest.begin("sluicectl crash into the wall")
        system.machine.expect_log("panic: every CPU is stopped")
        system.machine.reset()
        guest.take_over()
        system.machine.expect_log("the run before this one ended in a panic")
        words = guest.check("sluicectl panic-log")
        assert "crash: into the wall" in words
        assert "panic: exception 6" in words.splitlines()[-1]
