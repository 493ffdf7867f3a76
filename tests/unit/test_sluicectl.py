# SPDX-License-Identifier: BSD-2-Clause
"""sluicectl on a saved trace: what it comes to, and that fio takes it. Its
manual and its completion know what it does."""
import csv
import io
import json
import pathlib
import re
import struct
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SLUICECTL = ROOT / "build" / "sluicectl"
RECORD = struct.Struct("<QQIIIHHHBBB3x")
ADMIN, READS, WRITES, LOST = 1, 2, 4, 128
FLUSH, WRITE, READ, IDENTIFY = 0, 1, 2, 6
UNKNOWN = 0xffffffff


def record(time, opcode, lba=0, blocks=0, latency=UNKNOWN, status=0xffff,
           flags=0, queue=1):
    kinds = {READ: READS, WRITE: WRITES}
    return RECORD.pack(time, lba, blocks, 1, latency, queue, 7, status,
                       opcode, flags or kinds.get(opcode, 0), 9)


def saved(folder, records):
    path = folder / "saved"
    path.write_bytes(struct.pack("<8sII", b"SLUICETR", 1, RECORD.size) +
                     b"".join(records))
    return path


@pytest.fixture
def trace(tmp_path):
    """A hundred reads that take 1 to 100 us, a write that fails, and what
    came before them all but was answered last."""
    reads = [record(1000 + 500 * i, READ, 8 * i, 8, i + 1, 0)
             for i in range(100)]
    return saved(tmp_path, [
        record(0, 0, 5, flags=LOST), *reads,
        record(70000, WRITE, 2000, 16, 900, 0x281),
        record(71000, FLUSH, latency=50, status=0),
        record(500, IDENTIFY, latency=9999, status=0, flags=ADMIN, queue=0)])


def run(*words):
    return subprocess.run([SLUICECTL, *words], check=True, text=True,
                          capture_output=True).stdout


def test_a_summary_counts_and_ranks(trace):
    found = json.loads(run("--json", "trace", "summary", trace))
    assert (found["records"], found["lost"]) == (103, 5)
    kinds = {row["kind"]: row for row in found["kinds"]}
    assert kinds["read"]["commands"] == 100
    assert kinds["read"]["kib"] == 400
    assert [kinds["read"][f"{key}_us"] for key in
            ("p50", "p90", "p99", "p99.9", "max")] == [50, 90, 99, 100, 100]
    assert kinds["write"]["errors"] == 1 and kinds["admin"]["commands"] == 1
    assert [row["latency_us"] for row in found["slowest"]][:3] == [
        900, 100, 99]
    assert sum(row["commands"] for row in found["latency"]) == 102
    assert sum(row["reads"] for row in found["heat"]) == 100
    assert found["heat"][-1]["writes"] == 1


def test_a_summary_for_people_has_bars(trace):
    text = run("trace", "summary", trace)
    assert re.search(r"^ *64 +37 +#{40}$", text, re.M)
    assert re.search(r"^read +100 +400 +0 +50 +90 +99 +100 +100$", text, re.M)


def test_an_empty_trace_has_a_summary(tmp_path):
    found = json.loads(run("--json", "trace", "summary", saved(tmp_path, [])))
    assert found["records"] == 0 and found["slowest"] == []


def test_csv_has_a_line_for_each_record(trace):
    rows = list(csv.DictReader(io.StringIO(
        run("trace", "export", "csv", trace))))
    assert len(rows) == 103
    assert rows[0]["kind"] == "admin"
    assert (rows[1]["lba"], rows[1]["bytes"], rows[1]["latency_us"]) == (
        "0", "4096", "1")
    assert rows[-2]["status"] == str(0x281)


def test_blkparse_text_has_issue_and_completion_in_order(trace):
    lines = run("trace", "export", "blkparse", trace).splitlines()
    line = re.compile(r"259,1 +(\d+) +(\d+) +(\d+\.\d{9}) +7  ([CD]) +(\w+) "
                      r"(?:(\d+) \+ (\d+) )?\[\w+\]")
    events = [line.fullmatch(text) for text in lines]
    assert len(events) == 2 * 102 and all(events)
    times = [float(event[3]) for event in events]
    assert times == sorted(times)
    assert events[0].group(4, 5, 6, 7) == ("D", "R", "0", "8")
    assert events[1].group(3, 4) == ("0.000001000", "C")


def test_fio_replays_it(trace, tmp_path):
    log = tmp_path / "iolog"
    log.write_text(run("trace", "export", "fio", trace))
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4 << 20))
    text = subprocess.run(
        ["fio", "--name=replay", f"--read_iolog={log}",
         f"--replay_redirect={disk}", "--output-format=json"],
        check=True, text=True, capture_output=True, cwd=tmp_path).stdout
    job = json.loads(text[text.index("{"):])["jobs"][0]
    assert job["read"]["total_ios"] == 100
    assert job["read"]["io_bytes"] == 100 * 4096
    assert job["write"]["io_bytes"] == 16 * 512
    assert job["job_runtime"] >= 60


def test_what_is_no_trace_is_refused(tmp_path):
    path = tmp_path / "other"
    for data in (b"", b"SLUICETR", bytes(16), RECORD.pack(*[0] * 11)):
        path.write_bytes(data)
        done = subprocess.run([SLUICECTL, "trace", "summary", path],
                              text=True, capture_output=True)
        assert done.returncode == 4
        assert "not a saved trace" in done.stderr


def complete(line):
    """What bash offers for the last word, which may be empty."""
    words = line.split(" ")
    script = (f"source {ROOT}/tools/sluicectl/sluicectl.bash; "
              f'COMP_WORDS=("$@"); COMP_CWORD={len(words) - 1}; _sluicectl; '
              'echo "${COMPREPLY[@]}"')
    return subprocess.run(["bash", "-c", script, "bash", *words], check=True,
                          text=True, capture_output=True).stdout.split()


@pytest.mark.parametrize("line, offered", [
    ("sluicectl pan", "panic-log"), ("sluicectl -j st", "status stats"),
    ("sluicectl --device /dev/nvme1 ga", "gate"), ("sluicectl log ", "-f"),
    ("sluicectl trace s", "start stop save summary"),
    ("sluicectl trace export ", "fio blkparse csv"),
    ("sluicectl gate ", "list ro none"),
    ("sluicectl -d /dev/nvme0 gate ro PARTU", "PARTUUID="),
    ("sluicectl overlay c", "commit"), ("sluicectl fault cl", "clear"),
    ("sluicectl fault drop o", "on= one-in="), ("sluicectl fault clear ", ""),
    ("sluicectl crypt ", "list"), ("sluicectl version ", "")])
def test_words_are_completed(line, offered):
    assert complete(line) == offered.split()


def test_every_command_is_in_manual_help_and_completion():
    manual = (ROOT / "tools" / "sluicectl" / "sluicectl.8").read_text()
    offered = {word for word in complete("sluicectl ")
               if not word.startswith("-")}
    helped = set(re.findall(r"^  ([a-z][a-z-]+) ", run("--help"), re.M))
    assert helped < offered
    for word in offered:
        assert re.search(rf"^\.BR? \"?{word}\b", manual, re.M), word
