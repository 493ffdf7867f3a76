# SPDX-License-Identifier: BSD-2-Clause
"""One emulated machine: the only file that knows QEMU.

A machine has two byte streams, the console (COM1) and the log (COM2), and a
QMP socket. Nothing here sleeps: every wait ends by an event or a deadline,
and an ended QEMU ends every wait at once. The streams are only read while
somebody waits, so no thread is needed; both are kept in LOGS.
"""
import codecs
import json
import os
import re
import selectors
import shlex
import shutil
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# Where disks and logs go; two runs at once need two places.
BUILD = Path(os.environ.get("SLUICE_TEST_BUILD", ROOT / "build"))
LOGS = BUILD / "logs"
FIRMWARE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")

BOOT_DEADLINE = 120     # seconds to a prompt, on a loaded machine
COMMAND_DEADLINE = 60


class Trouble(AssertionError):
    """The machine did not do what was waited for."""


# What a terminal would act on, and the beginning of such a sequence.
ESCAPE = re.compile(r"\x1b\[[0-9;=?]*[A-Za-z]|\r")
ESCAPE_PART = re.compile(r"\x1b(\[[0-9;=?]*)?$")


class Stream:
    """What one serial port has said: `text` without colours and the like,
    the file as it came."""

    def __init__(self, path):
        self.path = path
        self.file = open(path, "wb")
        self.decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self.text = ""
        self.part = ""          # of an escape sequence
        self.seen = 0           # expect() goes on from here

    def feed(self, data):
        self.file.write(data)
        self.file.flush()
        text = self.part + self.decode(data)
        found = ESCAPE_PART.search(text)
        self.part = found[0] if found else ""
        self.text += ESCAPE.sub("", text[:len(text) - len(self.part)])

    def match(self, pattern):
        found = re.compile(pattern, re.M).search(self.text, self.seen)
        if found:
            self.seen = found.end()
        return found

    def tail(self, lines=25):
        return "\n".join(self.text.splitlines()[-lines:])


def nvme(disk, serial="QF0", bootindex=None, read_only=False, options=""):
    """QEMU's arguments for one NVMe controller with one namespace."""
    drive = f"drive-{serial}"
    namespace = ""
    if bootindex is not None:
        namespace += f",bootindex={bootindex}"
    if disk.block_size != 512:
        namespace += (f",logical_block_size={disk.block_size}"
                      f",physical_block_size={disk.block_size}")
    return ["-drive", f"if=none,id={drive},format=raw,file={disk.path}"
            f",readonly={'on' if read_only else 'off'}",
            *_controller(drive, serial, namespace, options)]


def _controller(drive, serial, namespace="", options=""):
    return ["-device", f"nvme,id={serial},serial={serial}{options}",
            "-device", f"nvme-ns,drive={drive},bus={serial},nsid=1{namespace}"]


def subsystem(serial, options=""):
    """A controller whose namespaces can be attached and detached."""
    return ["-device", f"nvme-subsys,id=subsystem-{serial},nqn={serial}",
            "-device", f"nvme,id={serial},serial={serial},"
            f"subsys=subsystem-{serial}{options}"]


def namespace(image, serial, nsid, options=""):
    """One more of a controller, of any kind that QEMU knows."""
    drive = f"drive-{serial}-{nsid}"
    return ["-drive", f"if=none,id={drive},format=raw,file={image}",
            "-device", f"nvme-ns,drive={drive},bus={serial},nsid={nsid}"
            f"{options}"]


def failing_nvme(disk, serial, **sectors):
    """One whose medium is bad: read=N, write=N name the sector that an
    access of that kind fails at."""
    errors = "".join(f",inject-error.{i}.event=none,inject-error.{i}.errno=5"
                     f",inject-error.{i}.iotype={kind}"
                     f",inject-error.{i}.sector={sector}"
                     for i, (kind, sector) in enumerate(sectors.items()))
    return ["-blockdev", f"file,node-name=file-{serial},filename={disk.path}",
            "-blockdev", f"blkdebug,node-name=drive-{serial},"
            f"image=file-{serial}{errors}",
            *_controller(f"drive-{serial}", serial)]


def throttled_nvme(disk, serial, iops):
    return ["-drive", f"if=none,id=drive-{serial},format=raw,"
            f"file={disk.path},throttling.iops-total={iops}",
            *_controller(f"drive-{serial}", serial)]


def slow_nvme(size, serial, latency_us):
    """Without contents: reads give zeroes, after a while."""
    return ["-blockdev", f"null-co,node-name=drive-{serial},size={size},"
            f"latency-ns={latency_us * 1000},read-zeroes=on",
            *_controller(f"drive-{serial}", serial)]


def slots(*names):
    """Where a controller can be put in while the machine runs."""
    return [word for chassis, name in enumerate(names, 1) for word in
            ("-device", f"pcie-root-port,id={name},chassis={chassis}")]


def drive(disk, name):
    """One that outlives the controller it is pulled out with."""
    return ["-blockdev", f"raw,node-name={name},file.driver=file,"
            f"file.filename={disk.path}"]


def in_slot(slot, serial, drive):
    return ["-device", f"nvme,id={serial},serial={serial},drive={drive},"
            f"bus={slot}"]


def virtio(disk, bootindex=0):
    return ["-drive", f"if=none,id=drive-virtio,format=raw,file={disk.path}",
            "-device", f"virtio-blk-pci,drive=drive-virtio,"
            f"bootindex={bootindex}"]


def base_arguments(variables, cpu="EPYC,+svm,+npt", cpus=2, thread="single",
                   memory=1024, program=("qemu-system-x86_64",)):
    """A PC with UEFI firmware; no disk, no display, no serial port yet."""
    flash = "if=pflash,format=raw"
    return [*program, "-M", "q35", "-nodefaults",
            "-accel", f"tcg,thread={thread}", "-cpu", cpu,
            "-smp", str(cpus), "-m", str(memory), "-display", "none",
            "-drive", f"{flash},unit=0,readonly=on,file={FIRMWARE}",
            "-drive", f"{flash},unit=1,file={variables}"]


class Machine:
    def __init__(self, name, devices, *, reboot=False, **hardware):
        LOGS.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.console = Stream(LOGS / f"{name}.log")
        self.log = Stream(LOGS / f"{name}.sluice.log")
        self.variables = LOGS / f"{name}.vars"
        shutil.copy(VARIABLES, self.variables)
        self.selector = selectors.DefaultSelector()
        self.events = []        # of QMP, in order
        self.replies = []
        self.qmp_text = b""
        self.arguments = [*base_arguments(self.variables, **hardware),
                          *devices]
        if not reboot:
            self.arguments.append("-no-reboot")
        self._start()

    def _start(self):
        handles, sockets = [], {}
        for port in ("console", "log", "qmp"):
            ours, its = socket.socketpair()
            sockets[port] = ours
            handles.append(its)
            self.arguments += ["-chardev",
                               f"socket,id={port},fd={its.fileno()}"]
        self.arguments += ["-serial", "chardev:console",
                           "-serial", "chardev:log",
                           "-mon", "chardev=qmp,mode=control"]
        with open(LOGS / f"{self.name}.qemu.log", "w") as errors:
            errors.write(shlex.join(self.arguments) + "\n")
            errors.flush()
            self.process = subprocess.Popen(
                self.arguments, stdin=subprocess.DEVNULL, stdout=errors,
                stderr=errors, pass_fds=[h.fileno() for h in handles])
        self.started = time.monotonic()
        for handle in handles:
            handle.close()
        self._listen(sockets)

    def _listen(self, sockets):
        self.console_socket, self.qmp_socket = (sockets["console"],
                                                sockets["qmp"])
        feeds = {"console": self.console.feed, "log": self.log.feed,
                 "qmp": self._feed_qmp}
        for port, feed in feeds.items():
            self.selector.register(sockets[port], selectors.EVENT_READ, feed)
        self.qmp("qmp_capabilities")

    def seconds(self):
        """Since power-on."""
        return time.monotonic() - self.started

    # ---- Waiting ------------------------------------------------------

    def expect(self, pattern, deadline=COMMAND_DEADLINE, stream=None):
        """The next match of `pattern` on the console (or `stream`)."""
        stream = stream or self.console
        return self._wait(lambda: stream.match(pattern), deadline,
                          f"/{pattern}/ on {stream.path.name}")

    def expect_log(self, pattern, deadline=COMMAND_DEADLINE):
        """A match anywhere in Sluice's log, also in what was said before."""
        self.log.seen = 0
        return self.expect(pattern, deadline, self.log)

    def expect_event(self, name, deadline=COMMAND_DEADLINE):
        def take():
            while self.events:
                if self.events.pop(0)["event"] == name:
                    return True
            return False
        self._wait(take, deadline, f"event {name}")

    def expect_end(self, deadline=COMMAND_DEADLINE):
        """The machine powers itself off (or, without reboot=True, resets)."""
        end = time.monotonic() + deadline
        while self._pump(end):
            if time.monotonic() >= end:
                raise self._trouble(f"no end within {deadline} s")
        self.process.wait(max(0.1, end - time.monotonic()))

    def _wait(self, is_done, deadline, what):
        end = time.monotonic() + deadline
        while True:
            result = is_done()
            if result:
                return result
            if time.monotonic() >= end:
                raise self._trouble(f"no {what} within {deadline} s")
            if not self._pump(end):
                result = is_done()
                if result:
                    return result
                raise self._trouble(f"QEMU ended, no {what}")

    def _pump(self, end):
        """Waits for input until `end`; False when QEMU has gone."""
        if not self.selector.get_map():
            return False
        timeout = max(0, end - time.monotonic())
        for key, _ in self.selector.select(timeout):
            try:
                data = key.fileobj.recv(65536)
            except ConnectionResetError:
                data = b""
            if data:
                key.data(data)
            else:
                self.selector.unregister(key.fileobj)
                key.fileobj.close()
        return True

    def _trouble(self, what):
        return Trouble(f"{self.name}: {what}\n--- console\n"
                       f"{self.console.tail()}\n--- log\n{self.log.tail()}")

    # ---- Acting -------------------------------------------------------

    def send(self, text):
        self.console_socket.sendall(text.encode())

    def qmp(self, command, **arguments):
        request = {"execute": command, "arguments": arguments}
        self.replies.clear()
        self.qmp_socket.sendall(json.dumps(request).encode() + b"\n")
        self._wait(lambda: self.replies, COMMAND_DEADLINE, f"QMP {command}")
        reply = self.replies[0]
        if "error" in reply:
            raise self._trouble(f"QMP {command}: {reply['error']['desc']}")
        return reply["return"]

    def monitor(self, line):
        """What only QEMU's monitor for people can do."""
        answer = self.qmp("human-monitor-command", **{"command-line": line})
        if answer:
            raise self._trouble(f"{line}: {answer}")

    def _feed_qmp(self, data):
        *lines, self.qmp_text = (self.qmp_text + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "event" in message:
                self.events.append(message)
            elif "return" in message or "error" in message:
                self.replies.append(message)

    def pull_out(self, serial):
        self.qmp("device_del", id=serial)
        self.expect_event("DEVICE_DELETED")

    def put_in(self, slot, serial, drive):
        self.qmp("device_add", driver="nvme", id=serial, serial=serial,
                 drive=drive, bus=slot)

    def reset(self):
        self.qmp("system_reset")

    def stop(self):
        """Ends QEMU, whatever it is doing; keeps the logs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for key in list(self.selector.get_map().values()):
            self.selector.unregister(key.fileobj)
            key.fileobj.close()
        self.console.file.close()
        self.log.file.close()
        os.unlink(self.variables)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
