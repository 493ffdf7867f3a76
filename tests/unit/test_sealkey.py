# SPDX-License-Identifier: BSD-2-Clause
"""sealkey.py, at a terminal as its users are and without one."""
import os
import pathlib
import pty
import subprocess

SEALKEY = pathlib.Path(__file__).parents[2] / "tools" / "sealkey.py"
KEY = bytes(range(64))


def run(*arguments, passphrase="open sesame\n"):
    return subprocess.run([SEALKEY, *arguments], capture_output=True,
                          input=passphrase.encode())


def seal(folder, **options):
    (folder / "key").write_bytes(KEY)
    return run("seal", folder / "home.pass", "--key-file", folder / "key",
               **options)


def test_what_is_sealed_can_be_opened(tmp_path):
    assert seal(tmp_path).returncode == 0
    assert run("open", tmp_path / "home.pass").stdout == KEY
    other = run("open", tmp_path / "home.pass", passphrase="sesame\n")
    assert other.returncode and b"not with this" in other.stderr
    assert (tmp_path / "home.pass").stat().st_mode & 0o777 == 0o600


def test_a_key_that_is_there_is_not_overwritten(tmp_path):
    assert seal(tmp_path).returncode == 0
    before = (tmp_path / "home.pass").read_text()
    again = seal(tmp_path)
    assert again.returncode and b"is there already" in again.stderr
    assert (tmp_path / "home.pass").read_text() == before


def test_no_passphrase_seals_nothing(tmp_path):
    for passphrase in ("", "\n", "é" * 129 + "\n", "\t\n"):
        assert seal(tmp_path, passphrase=passphrase).returncode
        assert not (tmp_path / "home.pass").exists()


def at_terminal(file, *lines):
    """What it says to somebody who types these lines."""
    child, terminal = pty.fork()
    if not child:
        os.execv(SEALKEY, [SEALKEY, "seal", file])
    said = b""
    for number, line in enumerate(lines, 1):
        while said.count(b": ") < number:
            said += os.read(terminal, 1024)
        os.write(terminal, line.encode() + b"\n")
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status)


def test_a_typist_has_to_say_it_twice(tmp_path):
    assert at_terminal(tmp_path / "one", "sesame", "sesamy")
    assert not (tmp_path / "one").exists()
    assert at_terminal(tmp_path / "two", "sesame ", "sesame ") == 0
    assert run("open", tmp_path / "two", passphrase="sesame \n").stdout
