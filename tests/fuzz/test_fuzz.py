# SPDX-License-Identifier: BSD-2-Clause
"""Each fuzz target of build/fuzz for a fixed number of inputs."""
import pathlib
import random
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
FUZZ = ROOT / "build" / "fuzz"
SEEDS = ROOT / "tests" / "fuzz" / "seeds"
RUNS = {"registers": 2500, "commands": 4000, "gpt": 10000}
RUNS_OTHERS = 50000
NOISE_COUNT = 64
NOISE_SIZE = 600
TIMEOUT_S = 300


def names():
    sources = sorted((ROOT / "tests" / "fuzz").glob("*_fuzz.c"))
    return [source.stem.removesuffix("_fuzz") for source in sources]


def write_noise(folder):
    """Inputs to begin with that are long enough to get somewhere."""
    noise = random.Random(1)
    for i in range(NOISE_COUNT):
        (folder / str(i)).write_bytes(noise.randbytes(NOISE_SIZE))


@pytest.mark.skipif(not shutil.which("clang"), reason="clang is missing")
@pytest.mark.parametrize("name", names())
def test_fuzz(name, tmp_path):
    seeds = SEEDS / name
    write_noise(tmp_path)
    command = [FUZZ / f"{name}_fuzz", "-seed=1", "-len_control=0", "-timeout=30",
               f"-runs={RUNS.get(name, RUNS_OTHERS)}",
               f"-artifact_prefix={FUZZ}/{name}-", tmp_path]
    done = subprocess.run(command + [seeds] * seeds.is_dir(), text=True,
                          errors="replace", timeout=TIMEOUT_S,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, f"\n{done.stdout[-8000:]}"
