#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the compiler does not hold us to: directions of #include, headers
that stand alone, licence lines, file lengths, shell scripts."""
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
LINES_MAX = 800

# Folder: the headers of ours it may include. A folder's own headers are
# always allowed; the longest folder that matches a file decides.
SPEC = ["spec/*.h"]
DEVICE = ["mmio.h", "pci.h", "irq.h", "gmem.h", "page.h", "pool.h", "clock.h",
          "lock.h", "log.h", "list.h", "bits.h", "barrier.h", "types.h",
          "setting.h", "gpt.h", "nvme_io.h"]
MAY_INCLUDE = {
    "include/spec": ["types.h", "bits.h"],
    "include": ["*.h"],
    "boot": ["boot_info.h", "bits.h", "types.h", *SPEC],
    "core": ["*.h", *SPEC],
    "drivers": DEVICE + SPEC,
    "drivers/nvme/interceptors": ["nvme_io.h"],
}
# The vendor stays behind include/vt.h: who may know the VMCB.
SVM = re.compile(r"core/x86/svm")

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def tracked(*patterns):
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT,
                            check=True, text=True, stdout=subprocess.PIPE)
    return [ROOT / name for name in listed.stdout.split()
            if (ROOT / name).is_file()]


def rules_for(name):
    folders = [f for f in MAY_INCLUDE if name.startswith(f + "/")]
    return MAY_INCLUDE[max(folders, key=len)] if folders else None


def is_own(path, included):
    return (path.parent / included).is_file() and \
        not str(path.relative_to(ROOT)).startswith("include/") or \
        included == "version.h"


def check_includes(path):
    name = str(path.relative_to(ROOT))
    rules = rules_for(name)
    for included in INCLUDE.findall(path.read_text()):
        header = pathlib.PurePath(included)
        if included == "spec/svm.h" and not SVM.match(name):
            yield f"{name}: {included} is for core/x86/svm*.c alone"
        elif rules is None or is_own(path, included):
            continue
        elif name.startswith("core/") and \
                (ROOT / "core" / included).is_file():
            continue
        elif not any(header.match(rule) for rule in rules):
            yield f"{name}: may not include {included}"


def check_alone(path):
    """Every header compiles by itself."""
    flags = ["-std=gnu11", "-fsyntax-only", "-xc", "-w", "-Iinclude",
             "-Icore", "-fshort-wchar", "-DGNU_EFI_USE_MS_ABI",
             "-I/usr/include/efi", "-I/usr/include/efi/x86_64"]
    done = subprocess.run(["gcc", *flags, str(path)], cwd=ROOT, text=True,
                          stderr=subprocess.PIPE)
    if done.returncode:
        yield f"{path.relative_to(ROOT)}: does not compile alone:\n" \
              f"{done.stderr}"


def check_text(path):
    name = path.relative_to(ROOT)
    lines = path.read_text().splitlines()
    if not any("SPDX-License-Identifier: BSD-2-Clause" in line
               for line in lines[:3]):
        yield f"{name}: no SPDX line"
    if len(lines) > LINES_MAX:
        yield f"{name}: {len(lines)} lines"
    for number, line in enumerate(lines, 1):
        if line != line.rstrip():
            yield f"{name}:{number}: space at the end of the line"


def check_shell(paths):
    if not shutil.which("shellcheck"):
        print("lint: no shellcheck here, shell scripts are not checked")
        return
    done = subprocess.run(["shellcheck", *map(str, paths)], text=True,
                          stdout=subprocess.PIPE)
    if done.returncode:
        yield done.stdout


def problems():
    sources = tracked("*.c", "*.h", "*.S")
    for path in sources:
        yield from check_includes(path)
    for path in sources + tracked("*.py", "*.sh", "Makefile", ".ci/run"):
        yield from check_text(path)
    for path in tracked("*.h"):
        yield from check_alone(path)
    yield from check_shell(tracked("*.sh", ".ci/run"))


def main():
    found = list(problems())
    for problem in found:
        print(problem)
    print(f"lint: {len(found)} problems")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
