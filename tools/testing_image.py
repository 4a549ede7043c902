"""A small image for the tests: real layout, a program that is nothing but a valid header."""

import struct

import image_archive
from image_archive import Entry


def elf_program(machine=62, program_headers=()):
    """A 64-bit ELF file with these program header types and no code."""
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, len(program_headers), 0, 0, 0)
    return header + b"".join(struct.pack("<I", kind) + bytes(52) for kind in program_headers)


def image(name="localhost/holdfast:0.1.0", content=b"program"):
    layers = [
        [Entry.directory("etc"), Entry.file("etc/passwd", b"root\n")],
        [Entry.file("usr/local/bin/holdfast", content, mode=0o755)],
    ]
    config = {"architecture": "amd64", "config": {"User": "65533:65533"}}
    return image_archive.build(name, layers, config, {"org.opencontainers.image.title": "holdfast"})
