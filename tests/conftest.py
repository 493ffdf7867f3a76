# SPDX-License-Identifier: BSD-2-Clause
"""Several workers side by side (pytest -n): which tests stay together, and
who comes first. With one worker only the order is another."""
import pytest

# What takes longest comes first, so that no worker is left with it at the
# end; the last has a thread for each processor and fills what is left.
FIRST = ("test_namespaces", "test_gate", "test_payloads", "test_bochs",
         "test_boot", "test_backports", "test_suites", "test_reset",
         "test_life", "test_errors")
LAST = ("test_fuzz", "test_unit")
# These share their machines and are one piece of work.
SHARED = ("test_gate", "test_data", "test_interrupts")


def piece(path):
    """Of the work, that a test in this file belongs to."""
    stem = path.rpartition("/")[2].removesuffix(".py")
    return SHARED[0] if stem in SHARED else stem


def rank(item):
    order = (*FIRST, None, *LAST)
    name = piece(str(item.path))
    return order.index(name if name in order else None)


def pytest_collection_modifyitems(items):
    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class Pieces(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return piece(nodeid.partition("::")[0])

    return Pieces(config, log)
