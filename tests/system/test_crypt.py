# SPDX-License-Identifier: BSD-2-Clause
"""What crypt writes is what dm-crypt reads, and the other way round: one disk
with Sluice, then with cryptsetup in a guest without it, then with Sluice,
which asks for a passphrase."""
import json
import re
import subprocess

import initramfs
import kernel
import pytest
import sealkey
from exits import sluice_memory
from guest import Guest
from lab import BUILD, CPU, HERE, NEXT, config, once, pattern
from machine import BOOT_DEADLINE, nvme
from mkdisk import MIB, Disk, Partition, bootable
from test_data import FIO, OPEN

SIZE = 32 * MIB
# By the size of a block: the key, AES-256 or AES-128 in XTS.
KEYS = {512: pattern(64, 51), 4096: pattern(32, 52)}
PASSPHRASE = "correct horse 7"
DAMAGED = b"sluice-key 1\npbkdf2-sha512 1000\nsalt 00\n"
PROGRAMS = ("cryptsetup", "fio")
MODULES = ("dm-crypt", "xts", "ecb", "aes_generic", "aesni-intel")
TOOLS = "mkdir -p /tools; mount -o ro /dev/disk/by-partlabel/tools /tools"
LOAD = "for m in /tools/*.ko; do insmod $m 2>/dev/null; done; true"


def secret(block):
    return f"/dev/disk/by-partlabel/secret{block}"


def plain(block):
    return f"/dev/disk/by-partlabel/plain{block}"


def conf(word, **keys):
    return config(**NEXT, **keys) + "".join(
        rf"crypt = PARTLABEL=secret{block} {word}=\EFI\sluice\{block}.{word}"
        "\n" for block in KEYS).encode()


def keys_as_they_are():
    return {f"EFI/sluice/{block}.key-file": key
            for block, key in KEYS.items()}


def keys_sealed():
    """With few iterations: the loader is emulated."""
    return {f"EFI/sluice/{block}.passphrase":
            sealkey.seal(key, PASSPHRASE, 1000).encode()
            for block, key in KEYS.items()}


def make_tools(image):
    """ext4 with cryptsetup, fio, what they need, dm-crypt's modules, and the
    program that looks at its registers."""
    folder = image.parent / "crypt-tools"
    initramfs.copy_programs(PROGRAMS, folder)
    modules = kernel.fetch("cloud-amd64").modules
    for number, path in enumerate(initramfs.load_order(modules, MODULES)):
        (folder / f"{number:02}-{path.name}").write_bytes(path.read_bytes())
    for block, key in KEYS.items():
        (folder / f"{block}.key").write_bytes(key)
    subprocess.run(["gcc", "-static", "-O2", "-Wall", "-Wextra", "-Werror",
                    HERE / "registers.c", "-o", folder / "registers"],
                   check=True)
    image.unlink(missing_ok=True)
    subprocess.run(["mkfs.ext4", "-q", "-d", folder, image, "150M"],
                   check=True, env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})


def tools():
    """The partition that they are on."""
    image = BUILD / "guest" / "crypt-tools.img"
    once(image, make_tools)
    return Partition("tools", 160 * MIB, image.read_bytes())


class Disks:
    """The boot disk, and a drive for each size of blocks."""

    def __init__(self, lab):
        self.lab = lab
        parts = [tools()]
        self.keyed = bootable(
            lab.image("crypt-keyed"), parts,
            lab.files(conf("key-file")) | keys_as_they_are())
        self.sealed = bootable(
            lab.image("crypt-sealed"), parts,
            lab.files(conf("passphrase", fail="closed")) | keys_sealed())
        self.keyless = bootable(
            lab.image("crypt-keyless"), parts,
            lab.files(conf("passphrase")) |
            keys_sealed() | {"EFI/sluice/512.passphrase": DAMAGED})
        self.drives = {block: Disk(lab.image(f"crypt{block}"), [
            Partition(f"secret{block}", SIZE),
            Partition(f"plain{block}", SIZE)], block).create()
            for block in KEYS}

    def devices(self):
        return [word for block, drive in self.drives.items()
                for word in nvme(drive, f"QF{block}")]

    def machine(self, name, boot, mode="sluice"):
        return self.lab.machine(f"crypt-{name}", boot, self.devices(),
                                cpu="EPYC" + CPU[mode])


def dm_open(guest, block):
    key = KEYS[block]
    guest.check(
        "DM_DISABLE_UDEV=1 LD_LIBRARY_PATH=/tools/lib /tools/cryptsetup open "
        f"--type plain --cipher aes-xts-plain64 --key-size {len(key) * 8} "
        f"--key-file /tools/{block}.key --sector-size {block} "
        f"{secret(block)} m{block}")
    return f"/dev/mapper/m{block}"


def fill(guest, device, name):
    """A file system with a file whose sum is known."""
    guest.check(f"mount {device} /mnt && dd if=/dev/urandom of=/mnt/{name} "
                "bs=64k count=64 2>/dev/null; sync")
    text = guest.check(f"sha256sum </mnt/{name}; umount /mnt")
    return text.split()[0]


def check_file(guest, device, name, expected):
    guest.check(f"e2fsck -f -n {device}")
    text = guest.check(f"mount -o ro {device} /mnt && "
                       f"sha256sum </mnt/{name}; umount /mnt")
    assert text.split()[0] == expected


def check_status(guest, block):
    """Of the drive with blocks of this size: the other's volume is not on it,
    and keys are told to nobody."""
    device = f"/dev/{guest.controller(f'QF{block}')}"
    volumes = json.loads(guest.check(
        f"sluicectl --json -d {device} status"))["crypt"]
    found = {volume["volume"]: volume for volume in volumes}
    assert [volume["state"] for name, volume in found.items()
            if name != f"PARTLABEL=secret{block}"] == ["not here"]
    assert found[f"PARTLABEL=secret{block}"] == {
        "volume": f"PARTLABEL=secret{block}", "state": "encrypted",
        "from": found[f"PARTLABEL=secret{block}"]["from"], "ranges": 1,
        "key_bits": len(KEYS[block]) * 8, "blocks": SIZE // block}


def check_keys_are_sluices_alone(machine):
    """Not a quarter of one is in memory but Sluice's, as it is or in hex."""
    path = BUILD / "logs" / f"{machine.name}.memory"
    size = 1 << 30
    machine.qmp("stop")
    machine.qmp("pmemsave", val=0, size=size, filename=str(path))
    machine.qmp("cont")
    text = path.read_bytes()
    path.unlink()
    assert len(text) == size
    sluice = sluice_memory(machine)
    for key in KEYS.values():
        for quarter in (key[i:i + 16] for i in range(0, len(key), 16)):
            places = [found.start() for found in
                      re.finditer(re.escape(quarter), text)]
            assert places and all(place in sluice for place in places)
            assert quarter.hex().encode() not in text


def start(system):
    system.guest = Guest(system.machine)
    system.guest.check(TOOLS)
    return system.guest


def answer(machine, text):
    """What is typed is not shown."""
    machine.expect("Passphrase for .*: ", BOOT_DEADLINE)
    machine.send(text + "\r")


@pytest.fixture(scope="module")
def disks(lab):
    return Disks(lab)


def write_under_sluice(disks):
    """The sum of a file on each partition."""
    sums = {}
    with disks.machine("keyed", disks.keyed) as system:
        guest = start(system)
        for block in KEYS:
            check_status(guest, block)
            guest.check(f"mkfs.ext4 -q -F {secret(block)}")
            sums[block] = fill(guest, secret(block), "ours")
            guest.check(FIO.replace(OPEN, plain(block)) +
                        "--rw=randrw --bs=64k --iodepth=8 --size=8M", 180)
        guest.power_off()
    return sums


def check_is_encrypted(disks):
    """Where ext4 has its magic number, and where it has zeroes."""
    for block, drive in disks.drives.items():
        assert drive.read(f"secret{block}", 1080, 2) != b"\x53\xef"
        assert any(drive.read(f"secret{block}", 0, 1024))


def read_and_write_with_dm_crypt(disks, sums):
    """The sums of other files there, when these are right."""
    theirs = {}
    with disks.machine("plain", disks.keyed, "plain") as system:
        guest = start(system)
        guest.check(LOAD)
        for block in KEYS:
            device = dm_open(guest, block)
            check_file(guest, device, "ours", sums[block])
            theirs[block] = fill(guest, device, "theirs")
            guest.check("DM_DISABLE_UDEV=1 LD_LIBRARY_PATH=/tools/lib "
                        f"/tools/cryptsetup close m{block}")
        guest.power_off()
    return theirs


def type_passphrase(machine):
    """Wrong once, then with either key that takes back the last letter."""
    answer(machine, PASSPHRASE.upper())
    answer(machine, PASSPHRASE[:-1] + "8\x7f7")
    answer(machine, PASSPHRASE[:-1] + "8\b7")


def use_all_registers(guest, block):
    report = guest.check(
        FIO.replace(OPEN, secret(block)) + "--rw=randrw "
        f"--bsrange={block}-256k --iodepth=32 --size=16M", 240)
    assert "err= 0" in report
    assert guest.check(f"/tools/registers {secret(block)} 400") == "ymm"


def test_dm_crypt_and_crypt_read_each_other(disks):
    sums = write_under_sluice(disks)
    check_is_encrypted(disks)
    sums = read_and_write_with_dm_crypt(disks, sums)
    with disks.machine("sealed", disks.sealed) as system:
        type_passphrase(system.machine)
        guest = start(system)
        assert PASSPHRASE not in system.machine.console.text
        for block in KEYS:
            check_file(guest, secret(block), "theirs", sums[block])
            use_all_registers(guest, block)
        check_keys_are_sluices_alone(system.machine)
        guest.power_off()


def test_without_the_passphrase_nothing_is_started(disks):
    with disks.machine("closed", disks.sealed) as system:
        for guess in ("", "open sesame", PASSPHRASE + " "):
            answer(system.machine, guess)
        system.machine.expect("no passphrase, no key")
        system.machine.expect("fail = closed: no operating system is started")
        system.machine.expect_end()


def test_what_has_no_key_is_closed_and_the_system_starts(disks):
    """A damaged file, a passphrase that is not it: with fail = open the rest
    of the machine is there."""
    before = {block: drive.sha256(f"secret{block}")
              for block, drive in disks.drives.items()}
    with disks.machine("keyless", disks.keyless) as system:
        system.machine.expect("passphrase= names no file of sealkey.py",
                              BOOT_DEADLINE)
        system.machine.expect("What it is for stays closed")
        for guess in ("", "open sesame", PASSPHRASE + " "):
            answer(system.machine, guess)
        system.machine.expect("no passphrase, no key")
        guest = start(system)
        for block in KEYS:
            check_is_closed(guest, block)
            guest.check(f"dd if=/dev/zero of={plain(block)} bs=4k count=1 "
                        "oflag=direct")
        assert system.machine.log.text.count("refused: there is no key") >= 2
        guest.power_off()
    assert before == {block: drive.sha256(f"secret{block}")
                      for block, drive in disks.drives.items()}


def check_is_closed(guest, block):
    guest.refuses(f"dd if={secret(block)} of=/dev/null bs=4k count=1 "
                  "iflag=direct")
    guest.refuses(f"dd if=/dev/zero of={secret(block)} bs=4k count=1 "
                  "oflag=direct")
    device = f"/dev/{guest.controller(f'QF{block}')}"
    text = guest.check(f"sluicectl -d {device} crypt list")
    assert re.search(rf"secret{block} .* no key$", text, re.M)


def test_without_the_key_file_nothing_is_started(lab):
    conf_closed = conf("key-file", fail="closed")
    with lab.machine("crypt-lost", lab.disk("crypt-lost", conf_closed),
                     cpu="EPYC" + CPU["sluice"]) as system:
        system.machine.expect("the key file cannot be read", BOOT_DEADLINE)
        system.machine.expect("fail = closed: no operating system is started")
        system.machine.expect_end()
