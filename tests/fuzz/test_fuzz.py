# SPDX-License-Identifier: BSD-2-Clause
"""Each fuzz target of build/fuzz with a fixed set of inputs: its seeds, noise,
and both with some bytes changed. The same inputs whatever the code looks like,
so that a commit fails by what it changes and not by where a search went;
`make fuzz` searches."""
import pathlib
import random
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
FUZZ = ROOT / "build" / "fuzz"
SEEDS = ROOT / "tests" / "fuzz" / "seeds"
COUNTS = {"registers": 2000, "commands": 3000, "gate": 2000,
          "control": 2000}
COUNT_OTHERS = 3000
NOISE_COUNT = 64
NOISE_SIZE = 1200
TIMEOUT_S = 300


def names():
    sources = sorted((ROOT / "tests" / "fuzz").glob("*_fuzz.c"))
    return [source.stem.removesuffix("_fuzz") for source in sources]


def seeds(name, chance):
    found = sorted((SEEDS / name).glob("*"))
    return ([path.read_bytes() for path in found] +
            [chance.randbytes(NOISE_SIZE) for _ in range(NOISE_COUNT)])


def change(data, chance, other):
    """A byte, a number, a piece less or more, or the end of another one."""
    at = chance.randrange(len(data) + 1)
    end = min(len(data), at + chance.choice((1, 1, 2, 4, 8, 32)))
    number = chance.choice((0, 1, 0xff, 0xffff, 1 << 31, (1 << 32) - 1))
    return chance.choice((
        data[:at] + chance.randbytes(end - at) + data[end:],
        data[:at] + number.to_bytes(8, "little")[:end - at] + data[end:],
        data[:at] + data[end:],
        data[:end] + data[at:],
        data[:at] + other[at:])) or b"\0"


def write_inputs(folder, name, count):
    chance = random.Random(name)
    known = seeds(name, chance)
    for number in range(count):
        data = known[number % len(known)]
        if number >= len(known):
            for _ in range(chance.randrange(1, 6)):
                data = change(data, chance, chance.choice(known))
        (folder / str(number)).write_bytes(data)


@pytest.mark.skipif(not shutil.which("clang"), reason="clang is missing")
@pytest.mark.parametrize("name", names())
def test_fuzz(name):
    count = COUNTS.get(name, COUNT_OTHERS)
    folder = FUZZ / "inputs" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_inputs(folder, name, count)
    done = subprocess.run(
        [FUZZ / f"{name}_fuzz", "-runs=0", "-timeout=30", folder,
         "-print_final_stats=1", f"-artifact_prefix={FUZZ}/{name}-"],
        text=True, errors="replace", timeout=TIMEOUT_S,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, f"\n{done.stdout[-8000:]}"
    executed = re.search(r"executed_units: +(\d+)", done.stdout)
    assert int(executed[1]) >= count
