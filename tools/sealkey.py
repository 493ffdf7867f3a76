#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Keys for crypt, sealed with a passphrase: boot/sealed.h says how.

sealkey.py seal FILE [--key-file KEY]   seals a new key, or that of KEY
sealkey.py open FILE >KEY               the key itself, for cryptsetup
"""
import argparse
import getpass
import hashlib
import os
import sys
from pathlib import Path

ITERATIONS = 600_000
SALT_SIZE, KEY_SIZE, CHECK_SIZE = 32, 64, 32
PASSPHRASE_MAX = 128            # PROMPT_MAX of boot/prompt.h


def mask(passphrase, salt, iterations, size):
    return hashlib.pbkdf2_hmac("sha512", passphrase.encode(), salt,
                               iterations, size)


def check(key):
    return hashlib.sha512(key).digest()[:CHECK_SIZE]


def xor(one, other):
    return bytes(a ^ b for a, b in zip(one, other))


def seal(key, passphrase, iterations=ITERATIONS):
    """The text of the file."""
    salt = os.urandom(SALT_SIZE)
    sealed = xor(key, mask(passphrase, salt, iterations, len(key)))
    return (f"sluice-key 1\npbkdf2-sha512 {iterations}\nsalt {salt.hex()}\n"
            f"key {sealed.hex()}\ncheck {check(key).hex()}\n")


def unseal(text, passphrase):
    """The key; None: not with this passphrase."""
    lines = dict(line.split(" ", 1) for line in text.splitlines())
    sealed = bytes.fromhex(lines["key"])
    key = xor(sealed, mask(passphrase, bytes.fromhex(lines["salt"]),
                           int(lines["pbkdf2-sha512"]), len(sealed)))
    return key if check(key) == bytes.fromhex(lines["check"]) else None


def ask(prompt):
    """Where no terminal is, a line of standard input."""
    if sys.stdin.isatty():
        return getpass.getpass(f"{prompt}: ")
    return sys.stdin.readline().rstrip("\n")


def ask_for_new():
    """One that can be typed at the loader's prompt."""
    passphrase = ask("Passphrase")
    if not 0 < len(passphrase) <= PASSPHRASE_MAX or not all(
            character.isprintable() and character <= "\uffff"
            for character in passphrase):
        raise SystemExit(f"sealkey: a passphrase has 1 to {PASSPHRASE_MAX} "
                         "characters, each of which a keyboard has")
    if sys.stdin.isatty() and ask("Again") != passphrase:
        raise SystemExit("sealkey: these are two passphrases")
    return passphrase


def write_new(path, text):
    """For its owner's eyes. What is there may be the only way to a disk."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise SystemExit(f"sealkey: {path} is there already: remove it, if "
                         "what it opens is to be lost") from None
    with open(file, "w") as out:
        out.write(text)


def seal_file(path, key_file):
    key = key_file.read_bytes() if key_file else os.urandom(KEY_SIZE)
    if len(key) not in (32, 64):
        raise SystemExit("sealkey: a key has 32 or 64 bytes")
    write_new(path, seal(key, ask_for_new()))


def open_file(path):
    key = unseal(path.read_text(), ask("Passphrase"))
    if not key:
        raise SystemExit("sealkey: not with this passphrase")
    sys.stdout.buffer.write(key)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("verb", choices=("seal", "open"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--key-file", type=Path)
    options = parser.parse_args()
    if options.verb == "seal":
        seal_file(options.file, options.key_file)
    else:
        open_file(options.file)


if __name__ == "__main__":
    main()
