# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures: the lab, and the two machines that most tests share."""
import os

import pytest
from lab import Lab
from machine import ROOT


@pytest.fixture(scope="session")
def lab():
    """SLUICE_EFI names another sluice.efi to test than the one just built."""
    made = Lab(os.environ.get("SLUICE_EFI", ROOT / "build" / "sluice.efi"))
    yield made
    for mode in list(made.shared):
        made.close(mode)


@pytest.fixture
def sluice(lab):
    """The shared guest under Sluice."""
    return lab.system("sluice")


@pytest.fixture(params=["sluice", "plain"])
def system(lab, request):
    """The shared guest under Sluice, then the same one without: what a test
    with this fixture sees has to be the same."""
    yield from shared(lab, request.param)


def shared(lab, mode):
    system = lab.system(mode)
    yield system
    system.check_kernel_is_content()
