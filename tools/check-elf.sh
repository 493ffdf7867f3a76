#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What boot/image.c and the guest's registers rely on: check-elf.sh FILE
set -eu

others=$(readelf -rW "$1" | awk '/R_X86_64_/ && $3 != "R_X86_64_RELATIVE"')
if [ -n "$others" ]; then
	echo "$1: the loader knows only R_X86_64_RELATIVE:" >&2
	echo "$others" >&2
	exit 1
fi

# The registers belong to the guest: no exit saves them.
if objdump -d --no-show-raw-insn "$1" | grep -m5 '%[xyz]mm[0-9]' >&2; then
	echo "$1: uses SSE registers" >&2
	exit 1
fi
