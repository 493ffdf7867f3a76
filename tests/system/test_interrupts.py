# SPDX-License-Identifier: BSD-2-Clause
"""Interrupts that are masked and unmasked again while commands complete: none
is lost. A lost one costs Linux a timeout, which it complains about."""
import re

from test_data import FIO, TOOLS

PCI = "/sys/class/nvme/nvme0/device"
CAPABILITIES, MSI_X = 0x34, 0x11
ENABLED, MASKED = 0x80, 0x40    # in the upper byte of Message Control


def capability(space, wanted):
    offset = space[CAPABILITIES]
    while offset and space[offset] != wanted:
        offset = space[offset + 1]
    return offset


def set_control(offset, value):
    return (f"printf '\\x{value:02x}' | dd of={PCI}/config bs=1 "
            f"seek={offset + 3} conv=notrunc 2>/dev/null")


def test_masking_all_vectors_under_load_loses_no_interrupt(system):
    guest = system.guest
    guest.check(TOOLS)
    text = guest.check(f"hexdump -v -e '1/1 \"%02x\"' {PCI}/config")
    offset = capability(bytes.fromhex(text), MSI_X)
    mask, unmask = (set_control(offset, value)
                    for value in (ENABLED | MASKED, ENABLED))
    report = guest.check(
        f"( {FIO}--rw=randrw --bs=16k --iodepth=16 & job=$!; n=0; "
        f"while kill -0 $job; do {mask}; {unmask}; n=$((n + 1)); done "
        "2>/dev/null; echo times=$n; wait $job )", 180)
    assert "err= 0" in report
    assert int(re.search(r"times=(\d+)", report)[1]) > 50
    guest.check_kernel_is_content()
