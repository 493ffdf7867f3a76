#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the compiler does not check: who may include whom, headers that
compile alone, file sizes, licence lines, white space. Prints one line for
each finding; any but a warning makes it fail."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys

FREESTANDING = ["<stdarg.h>", "<stdbool.h>", "<stddef.h>", "<stdint.h>",
                "<limits.h>"]
LIBC = FREESTANDING + ["<errno.h>", "<stdio.h>", "<stdlib.h>", "<string.h>",
                       "<strings.h>", "<ctype.h>"]
NVME_NEEDS = ["barrier", "bits", "clock", "control", "gmem", "gpt", "irq",
              "list", "lock", "log", "mmio", "nvme_io", "page", "pci", "pool",
              "setting", "span", "spec/nvme", "spec/pci", "status", "timer",
              "types"]
SVM = ["include/spec/svm.h", "core/x86/svm*.h"]

# The first pattern that matches a file says what it may include, as paths in
# the repository; then what is taken out again.
ALLOWED = [
    ("include/spec/uefi.h", ["<efi.h>"], []),
    ("include/spec/*", ["<stdint.h>", "include/types.h", "include/bits.h",
                        "include/spec/*"], []),
    ("include/nvme_io.h", FREESTANDING, []),
    ("include/*", FREESTANDING + ["include/*"], []),
    ("boot/sealed.c", LIBC + ["<nettle/*.h>", "include/*", "boot/*"], SVM),
    ("boot/*", LIBC + ["<efi.h>", "<efilib.h>", "include/*", "boot/*",
                       "build/boot/*"], SVM),
    ("core/x86/svm*", LIBC + ["include/*", "core/*"], []),
    ("core/x86/vt.c", LIBC + ["include/*", "core/*"], ["include/spec/svm.h"]),
    ("core/libc.c", LIBC + ["<sys/*>", "include/*", "core/*"], SVM),
    ("core/*", LIBC + ["include/*", "core/*"], SVM),
    ("drivers/nvme/interceptors/crypt_xts.c",
     ["<emmintrin.h>", "<wmmintrin.h>",
      "drivers/nvme/interceptors/crypt_xts.h"], []),
    ("drivers/nvme/interceptors/*", LIBC + ["include/nvme_io.h",
                                            "drivers/nvme/interceptors/*.h"],
     []),
    ("drivers/nvme/*", LIBC + ["drivers/nvme/*.h"] +
     [f"include/{name}.h" for name in NVME_NEEDS],
     ["drivers/nvme/interceptors/*"]),
    ("drivers/*", LIBC + ["include/*", "drivers/*.h"], SVM),
    ("tools/sluicectl/*", ["<*>", "include/*", "tools/*",
                           "build/boot/version.h",
                           "drivers/nvme/interceptors/trace_record.h"], []),
    ("tools/*", ["<*>", "include/*", "tools/*"], []),
    ("tests/*", ["<*>", "*"], []),
]

# Where a quoted include is looked for, after the folder of the file.
SEARCH = ["include", "core", "tests/unit", "build/boot",
          "drivers/nvme/interceptors"]

LINES_MANY = 500
LINES_TOO_MANY = 800

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|(<[^>]+>))')
SOURCE = (".c", ".h", ".S")
CODE = SOURCE + (".py", ".sh", ".ld")


class Report:
    """Findings, and whether any of them is an error."""

    def __init__(self):
        self.errors = 0

    def error(self, where, text):
        self.errors += 1
        print(f"{where}: {text}")

    def warn(self, where, text):
        print(f"{where}: warning: {text}")


def tracked_files():
    """Files git knows or would add, and that are still there."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        check=True, capture_output=True, text=True).stdout
    return sorted(filter(os.path.isfile, set(listing.splitlines())))


def resolve(path, name):
    """Repository path of a quoted include."""
    for folder in [os.path.dirname(path)] + SEARCH:
        candidate = os.path.normpath(os.path.join(folder, name))
        if os.path.isfile(candidate):
            return candidate
    is_made = path.startswith(("boot/", "tools/"))
    return f"build/boot/{name}" if is_made else name


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def rule_for(path):
    for pattern, allowed, forbidden in ALLOWED:
        if fnmatch.fnmatchcase(path, pattern):
            return allowed, forbidden
    return [], []


def check_includes(path, lines, report):
    allowed, forbidden = rule_for(path)
    for number, line in enumerate(lines, 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        name = found[2] or resolve(path, found[1])
        if not matches(name, allowed) or matches(name, forbidden):
            report.error(f"{path}:{number}", f"may not include {name}")


def check_text(path, lines, report):
    for number, line in enumerate(lines, 1):
        if line != line.rstrip():
            report.error(f"{path}:{number}", "trailing white space")
    if lines and not lines[-1]:
        report.error(path, "empty line at the end")
    if not any("SPDX-License-Identifier: BSD-2-Clause" in line
               for line in lines[:2]):
        report.error(path, "no SPDX line at the top")
    if len(lines) > LINES_TOO_MANY:
        report.error(path, f"{len(lines)} lines")
    elif len(lines) > LINES_MANY:
        report.warn(path, f"{len(lines)} lines")


def check_header(path, report):
    """A header must stand alone, and twice."""
    source = f'#include "{path}"\n' * 2
    run = subprocess.run(
        ["gcc", "-std=gnu11", "-ffreestanding", "-fsyntax-only", "-Wall",
         "-Wextra", "-Werror", "-I.", "-Iinclude", "-isystem",
         "/usr/include/efi", "-isystem", "/usr/include/efi/x86_64",
         "-x", "c", "-"],
        input=source, capture_output=True, text=True)
    if run.returncode:
        report.error(path, "does not compile alone: " +
                     run.stderr.strip().splitlines()[0])


def check_format(paths, report):
    """clang-format's opinion differs between versions: said, not enforced."""
    if not shutil.which("clang-format"):
        return
    run = subprocess.run(["clang-format", "--dry-run"] + paths,
                         capture_output=True, text=True)
    files = {line.split(":")[0] for line in run.stderr.splitlines()
             if "[-Wclang-format-violations]" in line}
    if files:
        report.warn("clang-format",
                    f"{len(files)} of {len(paths)} files would change")


def check_shell(paths, report):
    if not shutil.which("shellcheck"):
        return
    run = subprocess.run(["shellcheck", "--format=gcc"] + paths,
                         capture_output=True, text=True)
    for line in run.stdout.splitlines():
        where, _, text = line.partition(" ")
        report.error(where.rstrip(":"), text)


def main():
    report = Report()
    files = tracked_files()
    for path in files:
        if not path.endswith(CODE) and path != "Makefile":
            continue
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        check_text(path, lines, report)
        if path.endswith(SOURCE):
            check_includes(path, lines, report)
        if path.startswith("include/") and path.endswith(".h"):
            check_header(path, report)
    check_format([p for p in files if p.endswith((".c", ".h"))], report)
    check_shell([p for p in files if p.endswith(".sh") or p == ".ci/run"],
                report)
    return 1 if report.errors else 0


if __name__ == "__main__":
    sys.exit(main())
