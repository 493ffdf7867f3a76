# SPDX-License-Identifier: BSD-2-Clause
"""Each TEST() of each program in build/host, in a process of its own; those
of threads in build/tsan, too, and those of queues on the relayed path, too."""
import os
import pathlib
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

ROOT = pathlib.Path(__file__).parents[2]
HOST = ROOT / "build" / "host"
TSAN = ROOT / "build" / "tsan"
TIMEOUT_S = 120
# Taken once: pytest changes the real one while threads would look at it.
ENVIRONMENT = dict(os.environ)
EITHER_PATH = ["admin_test", "chain_test", "ctrl_test", "dbbuf_test",
               "hub_test", "own_test", "sgl_test", "threads_test"]


def programs():
    sources = sorted((ROOT / "tests" / "unit").glob("*_test.c"))
    threads = [source.stem.replace("_test", "_tsan") for source in sources
               if source.stem.endswith("threads_test")]
    return ([HOST / source.stem for source in sources] +
            [TSAN / name for name in threads])


def sentences(program):
    listed = subprocess.run([program, "--list"], check=True, text=True,
                            stdout=subprocess.PIPE)
    return listed.stdout.split()


def cases():
    for program in programs():
        for name in sentences(program):
            yield pytest.param(program, name, None,
                               id=f"{program.stem}-{name}")
            if program.stem in EITHER_PATH:
                yield pytest.param(program, name, "relayed",
                                   id=f"{program.stem}-{name}-relayed")


def run(program, name, completions):
    extra = {"COMPLETIONS": completions} if completions else {}
    return subprocess.run([program, name], text=True, timeout=TIMEOUT_S,
                          env=ENVIRONMENT | extra, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)


@pytest.fixture(scope="module")
def runs(request):
    """Of all that were asked for, as many at once as there are processors;
    each test then waits for its own."""
    wanted = [item.callspec.params for item in request.session.items
              if item.path == request.path]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {tuple(case.values()): pool.submit(run, **case)
               for case in wanted}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("program, name, completions", cases())
def test_unit(runs, program, name, completions):
    done = runs[program, name, completions].result()
    assert done.returncode == 0, f"\n{done.stdout}"
