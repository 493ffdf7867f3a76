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

# The registers belong to the guest: no exit saves them, but for the functions
# that do their work between sse_begin() and sse_end().
found=$(objdump -d --no-show-raw-insn "$1" | awk '
	/^[0-9a-f]+ <.*>:$/ { is_leaf = $2 ~ /^<(xts|sse)_[a-z]+>:$/ }
	/%[xyz]mm[0-9]/ && !is_leaf' | head -n 5)
if [ -n "$found" ]; then
	echo "$1: uses SSE registers:" >&2
	echo "$found" >&2
	exit 1
fi
