# SPDX-License-Identifier: BSD-2-Clause
"""ACPI tables for a machine whose firmware has none: enough for Linux to find
every processor and the I/O APIC. They travel as an option ROM, and the
kernel's acpi_rsdp= says where that is. Sections: ACPI 6.4.
"""
import struct

BASE = 0xd0000                  # above the video ROM
SIZE = 2048                     # ROMs come in such pieces
XSDT, MADT = BASE + 0x40, BASE + 0x80
LOCAL_APIC, IO_APIC = 0xfee00000, 0xfec00000
ENABLED, PC_AT_COMPATIBLE = 1, 1


def with_sum(raw, place, size):
    """Makes the first `size` bytes add up to 0 by the one at `place`."""
    byte = -sum(raw[:size]) & 0xff
    return raw[:place] + bytes([byte]) + raw[place + 1:]


def table(signature, body):
    """5.2.6"""
    raw = struct.pack("<4sIBB6s8sI4sI", signature, 36 + len(body), 1, 0,
                      b"SLUICE", b"TESTS   ", 1, b"TEST", 1) + body
    return with_sum(raw, 9, len(raw))


def madt(cpus):
    """5.2.12; the timer's interrupt is the I/O APIC's third, as on all PCs."""
    body = struct.pack("<II", LOCAL_APIC, PC_AT_COMPATIBLE)
    for cpu in range(cpus):
        body += struct.pack("<BBBBI", 0, 8, cpu, cpu, ENABLED)
    body += struct.pack("<BBBxII", 1, 12, cpus, IO_APIC, 0)
    body += struct.pack("<BBBBIH", 2, 10, 0, 0, 2, 0)
    return table(b"APIC", body)


def rsdp():
    """5.2.5.3"""
    raw = struct.pack("<8sB6sBIIQB3x", b"RSD PTR ", 0, b"SLUICE", 2, 0, 36,
                      XSDT, 0)
    return with_sum(with_sum(raw, 8, 20), 32, 36)


def rom(cpus):
    """The tables, as they are to be at BASE."""
    image = rsdp().ljust(XSDT - BASE, b"\0")
    image += table(b"XSDT", struct.pack("<Q", MADT))
    return (image.ljust(MADT - BASE, b"\0") + madt(cpus)).ljust(SIZE, b"\0")
