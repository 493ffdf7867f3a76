# SPDX-License-Identifier: BSD-2-Clause
"""What the bench makes of what it has measured: half an hour is too long to
find a mistake in its last line."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
import rig                                                # noqa: E402
import goals                                              # noqa: E402
import jobs                                               # noqa: E402
import table                                              # noqa: E402

MIB = 1 << 20
COUNTS = {"exits": {"memory": 1.0, "0x74": 0.01}, "instructions": 870.0,
          "copied_bytes": 0.0}
RELAYED = {"exits": {"memory": 1.0, "interrupt": 1.1}, "copied_bytes": 0.0}


def measured():
    """All that a run finds, with Sluice at three quarters of bare."""
    speed = jobs.summary({name: [75.0, 150.0, 225.0] for name in rig.MACHINES}
                         | {"bare": [100.0, 200.0, 300.0]})
    count = {"direct": COUNTS, "relayed": RELAYED}
    return {
        "about": "Sluice, QEMU\n",
        "speed": {job.name: speed for job in jobs.JOBS},
        "counts": {job.name: count for job in jobs.JOBS},
        "plugins": {"gate": {job.name: {"path": "direct", "ratio": 0.6,
                                        **COUNTS} for job in jobs.JOBS[:1]}},
        "growth": {"queues": {1: COUNTS, 8: COUNTS}},
        "idle": {1: {}, 2: {"0x74": 0.5}},
        "startup": {"seconds": {"bare": 8.0, "direct": 8.8}, "ratio": 1.1,
                    "memory_taken": 16 * MIB, "image_size": 454 << 10},
    }


def test_a_ratio_is_that_of_runs_that_were_side_by_side():
    slower_later = {"bare": [400.0, 100.0, 300.0],
                    "direct": [200.0, 50.0, 300.0]}
    assert jobs.summary(slower_later)["ratio"] == {"direct": 0.5}


def test_the_table_fits_a_terminal_and_names_every_job():
    text = table.text(measured())
    assert max(map(len, text.splitlines())) <= 80
    for job in jobs.JOBS:
        assert job.name in text


def test_the_table_says_what_its_apic_setting_is_sound_for():
    assert "apic = intercept" in table.text(measured())
    assert "INIT" in table.text(measured())


def test_what_could_not_be_stepped_has_no_instructions():
    line = next(line for line in table.counts(measured())
                if line.startswith("  relayed"))
    assert line.split() == ["relayed", "2.10", "1.00", "0.00", "1.10", "0.00",
                            "-", "0"]


def test_goals_are_missed_and_reached():
    found = {goal.name: goal.is_reached() for goal in goals.judge(measured())}
    assert not found[f"{goals.QD1}: of bare"]
    assert found[f"{goals.QD32}: of bare"]
    assert found[f"{goals.QD1}: exits"]
    assert found["power-on to shell: of bare"]
    assert not found[f"{goals.BATCHES}: exits"]
