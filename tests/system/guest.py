# SPDX-License-Identifier: BSD-2-Clause
"""The shell that tools/guest/init starts, driven over the console."""
import re
from typing import NamedTuple

from machine import BOOT_DEADLINE, COMMAND_DEADLINE

LINE_MAX = 4000         # a terminal's line buffer holds 4095 characters
COMPLAINTS = "timeout, |BUG:|Oops|WARNING: CPU|detected stall|soft lockup"


class Result(NamedTuple):
    status: int
    output: str


class Guest:
    """Waits for the shell of a booting machine and takes it over."""

    def __init__(self, machine, deadline=BOOT_DEADLINE):
        self.machine = machine
        self.count = 0
        self.take_over(deadline)

    def take_over(self, deadline=BOOT_DEADLINE):
        """Also after a reboot: no echo, no prompt, no kernel messages."""
        self.machine.expect(r"^GUEST-READY$", deadline)
        self.boot_seconds = self.machine.seconds()
        self.run("stty -echo; PS1=; PS2=; dmesg -n 1")

    def run(self, command, deadline=COMMAND_DEADLINE):
        """Runs a shell command: its exit status, and what it printed."""
        self.begin(command)
        return self.finish(deadline)

    def begin(self, command):
        """The marker is written in two pieces, so that an echoed command
        line does not look like its result."""
        self.count += 1
        line = f"{{ {command}\n}} 2>&1; echo '<<'{self.count}:$?'>>'\n"
        assert max(map(len, line.split("\n"))) < LINE_MAX
        self.machine.console.seen = len(self.machine.console.text)
        self.machine.send(line)

    def finish(self, deadline=COMMAND_DEADLINE):
        start = self.machine.console.seen
        found = self.machine.expect(rf"<<{self.count}:(\d+)>>\n", deadline)
        output = self.machine.console.text[start:found.start()]
        return Result(int(found[1]), output.rstrip("\n"))

    def check(self, command, deadline=COMMAND_DEADLINE):
        """The output of a command that has to succeed."""
        result = self.run(command, deadline)
        assert result.status == 0, f"{command}: {result}"
        return result.output

    def refuses(self, command, deadline=COMMAND_DEADLINE):
        """The output of a command that has to fail: an error of the command,
        not a missing program (127) or one that was killed."""
        result = self.run(command, deadline)
        assert 0 < result.status < 127, f"{command}: {result}"
        return result.output

    def controller(self, serial):
        """The name of a controller: the order is the kernel's choice."""
        return self.check(f"basename $(dirname $(grep -l '^{serial} *$' "
                          "/sys/class/nvme/*/serial))")

    def sha256(self, device, skip=0, size=None):
        """Of `size` bytes at `skip`; read from the disk, not from memory."""
        part = f"skip={skip} iflag=skip_bytes,count_bytes,fullblock bs=1M"
        part += f" count={size}" if size else ""
        text = self.check("echo 3 >/proc/sys/vm/drop_caches; "
                          f"dd if={device} {part} 2>/dev/null | sha256sum")
        return re.match(r"[0-9a-f]{64}", text)[0]

    def check_kernel_is_content(self):
        """A lost interrupt costs the kernel a minute and no error."""
        found = self.run(f"dmesg | grep -E '{COMPLAINTS}'").output
        assert not found, found

    def power_off(self):
        self.machine.send("sync; poweroff -f\n")
        self.machine.expect_end()
