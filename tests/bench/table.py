# SPDX-License-Identifier: BSD-2-Clause
"""The results as text, in 80 columns."""
import goals

APIC = """With apic = intercept, which is sound in this QEMU only as long as nobody sends
an INIT after the operating system has started its CPUs: nothing here does.
"""
# Trapped memory is doorbells while I/O is under way.
CAUSES = {"memory": "doorb.", "apic": "APIC", "interrupt": "int."}
NAME, CELLS = 30, 49            # characters


def text(results):
    parts = (speed, counts, plugins, growth, idle, startup, judged)
    return "\n".join([results["about"] + APIC, *("\n".join(part(results)) + "\n"
                                          for part in parts)])


def line(name, *cells):
    width = min(9, CELLS // len(cells))
    return f"{name:<{NAME}}" + "".join(f"{cell:>{width}}" for cell in cells)


def speed(results):
    names = ("direct", "relayed", "empty")
    yield line("I/O operations per second", "bare", *names)
    for job, found in results["speed"].items():
        iops, ratio = found["iops"], found["ratio"]
        yield line(job, *(f"{iops[name]:.0f}" for name in ("bare", *names)))
        yield line("  of bare", "", *(f"{ratio[name]:.2f}" for name in names))


def counts(results):
    yield line("For one I/O operation", "exits", *CAUSES.values(), "other",
               "instr.", "copied")
    for job, modes in results["counts"].items():
        for mode, found in modes.items():
            yield line(job if mode == "direct" else f"  {mode}",
                       *per_command(found))


def per_command(found):
    exits = dict(found["exits"])
    total = sum(exits.values())
    named = [exits.pop(cause, 0) for cause in CAUSES]
    instructions = (f"{found['instructions']:.0f}"
                    if "instructions" in found else "-")
    return (*(f"{n:.2f}" for n in (total, *named, sum(exits.values()))),
            instructions, f"{found['copied_bytes']:.0f}")


def plugins(results):
    yield line("One plug-in alone, QD1", "path", "ratio", "exits", "int.",
               "instr.", "copied")
    for name, found in results["plugins"].items():
        for job, one in found.items():
            exits = one["exits"]
            yield line(f"{name}, {job.split()[3].rstrip(',')}", one["path"],
                       f"{one['ratio']:.2f}", f"{sum(exits.values()):.2f}",
                       f"{exits.get('interrupt', 0):.2f}",
                       f"{one['instructions']:.0f}",
                       f"{one['copied_bytes']:.0f}")


def growth(results):
    some = next(iter(results["growth"].values()))
    yield line("For one 4 KiB read, with", *some)
    for kind, found in results["growth"].items():
        yield line(f"{kind}: exits", *(f"{sum(f['exits'].values()):.2f}"
                                       for f in found.values()))
        yield line("  instructions", *(f"{f['instructions']:.0f}"
                                       for f in found.values()))


def idle(results):
    yield "Idle, exits per second and CPU"
    for cpus, exits in results["idle"].items():
        causes = ", ".join(f"{cause} {rate:.1f}"
                           for cause, rate in exits.items()) or "none"
        yield line(f"  CPUs: {cpus}", f"{sum(exits.values()):.1f}",
                   f"  {causes}")


def startup(results):
    found = results["startup"]
    seconds = found["seconds"]
    yield line("Power-on to shell, seconds", f"{seconds['bare']:.1f}",
               f"{seconds['direct']:.1f}", f"{found['ratio']:.2f}")
    yield line("Guest memory taken, KiB", "",
               f"{found['memory_taken'] / 1024:.0f}")
    yield line("sluice.efi, KiB", "", f"{found['image_size'] / 1024:.0f}")


def judged(results):
    yield "empty: before no drive, and with an exit that does nothing after each"
    yield "submission: the least there is for a guest that leaves to submit."
    yield f"{'Goals':<44}{'goal':>9}{'found':>9}{'empty':>7}"
    for goal in goals.judge(results):
        limit = "" if goal.limit is None else f"{goal.limit:.2f}"
        yield (f"{goal.name:<44}" + f"{goal.sign} {goal.bound:g}".rjust(9) +
               f"{goal.found:>9.4g}{limit:>7}  " +
               ("reached" if goal.is_reached() else "missed"))
