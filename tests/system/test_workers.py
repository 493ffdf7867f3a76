# SPDX-License-Identifier: BSD-2-Clause
"""Workers of one run do the work for all of them once."""
from lab import once


def test_what_all_workers_need_is_made_once_in_a_run(tmp_path, monkeypatch):
    made = []
    for run in ("first", "first", "second", "", ""):
        monkeypatch.setenv("PYTEST_XDIST_TESTRUNUID", run)
        once(tmp_path / "all", made.append)
    assert len(made) == 4
