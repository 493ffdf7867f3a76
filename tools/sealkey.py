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


def ask():
    """Where no terminal is, a line of standard input."""
    if sys.stdin.isatty():
        return getpass.getpass("Passphrase: ")
    return sys.stdin.readline().rstrip("\n")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("verb", choices=("seal", "open"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--key-file", type=Path)
    options = parser.parse_args()
    if options.verb == "seal":
        key = (options.key_file.read_bytes() if options.key_file else
               os.urandom(KEY_SIZE))
        if len(key) not in (32, 64):
            raise SystemExit("sealkey: a key has 32 or 64 bytes")
        options.file.write_text(seal(key, ask()))
        return
    key = unseal(options.file.read_text(), ask())
    if not key:
        raise SystemExit("sealkey: not with this passphrase")
    sys.stdout.buffer.write(key)


if __name__ == "__main__":
    main()
