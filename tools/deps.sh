#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Installs the Debian packages that `make run` and `make test` need and that
# are missing, and those that it is given; where it may not, prints the
# command and stops.
set -eu

packages="gcc make git gnu-efi newlib-source libjansson-dev xz-utils
	qemu-system-x86 ovmf bochs seabios
	mtools dosfstools e2fsprogs gdisk cpio busybox-static nvme-cli fio
	cryptsetup-bin nettle-dev
	python3 python3-pytest python3-pytest-xdist clang libclang-rt-14-dev"

missing=""
for package in $packages "$@"; do
	status=$(dpkg-query -W -f '${db:Status-Status}' "$package" \
		2>/dev/null || true)
	[ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "  DEPS   $missing"

# The words are a list of packages.
# shellcheck disable=SC2086
install() {
	"$@" apt-get update -q &&
		"$@" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
			--no-install-recommends $missing
}

if [ "$(id -u)" = 0 ]; then
	install env
elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }
then
	install sudo
else
	echo "Packages are missing. As root, run:" >&2
	echo "apt-get install --no-install-recommends$missing" >&2
	exit 1
fi
