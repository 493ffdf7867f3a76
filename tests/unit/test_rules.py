# SPDX-License-Identifier: BSD-2-Clause
"""tests/NVME.md: each row of it names a test that there is, or a reason."""
import pathlib
import re

import pytest

TESTS = pathlib.Path(__file__).parents[1]
RULES = TESTS / "NVME.md"
ROWS_MIN = 80


def sources(pattern):
    return [path.read_text() for path in TESTS.glob(pattern)]


def known_tests():
    units = [name for text in sources("unit/*_test.c")
             for name in re.findall(r"^TEST\((\w+)\)", text, re.M)]
    systems = [name for text in sources("system/test_*.py")
               for name in re.findall(r"^def (test_\w+)", text, re.M)]
    return {*units, *systems,
            *(path.stem for path in TESTS.glob("fuzz/*_fuzz.c"))}


def rows():
    """What each says, and the points below it."""
    text = RULES.read_text().split("\n## ", 1)[1]
    for row in re.split(r"^- ", text, flags=re.M)[1:]:
        rule, *points = re.split(r"^  - ", row.split("\n\n")[0], flags=re.M)
        yield pytest.param(points, id=" ".join(rule.split())[:60])


@pytest.mark.parametrize("points", rows())
def test_rule_names_its_tests(points):
    assert points
    known = known_tests()
    for point in map(str.strip, points):
        found = re.fullmatch(r"`(\w+)`", point)
        assert found[1] in known if found else \
            point.startswith("not tested: "), point


def test_no_row_is_overlooked():
    assert len(list(rows())) >= ROWS_MIN
