#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sluice beside the bare machine, in one run: writes bench.txt, bench.json
and bench.png. BENCH_ROUNDS and BENCH_SECONDS make it longer or shorter.
"""
import json
import subprocess

import counts
import growth
import idle
import jobs
import picture
import plugins
import rig
import startup
import table
from lab import ROOT, Lab


def about():
    def first_line(*command):
        return subprocess.run(command, check=True, capture_output=True,
                              text=True, cwd=ROOT).stdout.split("\n")[0]

    qemu, _ = first_line("qemu-system-x86_64", "--version").split(" (")
    return (f"Sluice {first_line('git', 'describe', '--always', '--dirty')}, "
            f"{qemu}\n"
            f"Medians of {rig.ROUNDS} rounds of {rig.SECONDS:g} s, the "
            "machines taking turns.\n")


def measure(lab):
    results = {"about": about(), "speed": {}, "counts": {}, "idle": {}}
    for cpus in sorted({job.cpus for job in jobs.JOBS}):
        chosen = [job for job in jobs.JOBS if job.cpus == cpus]
        with rig.machines(lab, cpus) as seats:
            results["speed"] |= jobs.compare(seats, chosen)
            systems = {name: seat.system for name, seat in seats.items()}
            results["counts"] |= counts.of_jobs(systems, chosen)
            results["idle"][cpus] = idle.measure(systems["direct"], cpus)
        save(results)
    results["plugins"] = plugins.measure(lab)
    save(results)
    results["startup"] = startup.measure(lab)
    save(results)
    results["growth"] = growth.measure(lab)
    return results


def save(results):
    """Also what there is so far, should the rest come to nothing."""
    (rig.FOLDER / "bench.json").write_text(json.dumps(results, indent=1))


def main():
    rig.FOLDER.mkdir(parents=True, exist_ok=True)
    lab = Lab(ROOT / "build" / "sluice.efi")
    lab.files(b"")              # made once, before machines want it at once
    results = measure(lab)
    text = table.text(results)
    save(results)
    (rig.FOLDER / "bench.txt").write_text(text)
    picture.draw(results, rig.FOLDER / "bench.png")
    print(text)


if __name__ == "__main__":
    main()
