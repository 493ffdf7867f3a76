# SPDX-License-Identifier: BSD-2-Clause
"""No operating system at all: the firmware's own driver, which never asks
for a number of queues, reads and writes files through Sluice."""
from lab import config, pattern
from mkdisk import MIB, Esp, bootable

SCRIPT = b"""@echo -off
fs0:
cp big.bin copy.bin
comp big.bin copy.bin
echo SCRIPT-DONE
reset -s
"""


def test_firmware_shell_copies_a_file(lab):
    """Without next=, sluice.efi returns and the firmware goes on to its next
    boot entry, which is its own shell."""
    content = pattern(3 * MIB + 123, 4)
    files = lab.files(config())
    del files["EFI/demo/vmlinuz"], files["EFI/demo/initrd.gz"]
    disk = bootable(lab.image("firmware"), [],
                    files | {"big.bin": content, "startup.nsh": SCRIPT})
    with lab.machine("firmware", disk) as system:
        system.machine.expect("Press ESC in", 120)
        system.machine.send("\r")
        system.machine.expect("SCRIPT-DONE", 120)
        system.machine.expect_log("nvme0: ")
        system.machine.expect_end()
    assert Esp(disk).get("copy.bin") == content
