"""The little that packing must know of a program: for which machine it is, and that it needs no other file to run."""

import struct

ARCHITECTURES = {62: "amd64", 183: "arm64"}  # e_machine → the name images use
PROGRAM_INTERPRETER = 3  # PT_INTERP: the program asks for a dynamic loader


class NotPackable(ValueError):
    """A program that would not run in an image that holds nothing else."""


def architecture(path):
    """amd64 or arm64; refuses what is no static 64-bit Linux program."""
    with open(path, "rb") as file:
        data = file.read(1 << 16)
    if data[:4] != b"\x7fELF" or data[4:6] != b"\x02\x01":
        raise NotPackable(f"{path} is no 64-bit little-endian ELF program; build it with: make build")
    machine, = struct.unpack_from("<H", data, 18)
    offset, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    if machine not in ARCHITECTURES:
        raise NotPackable(f"{path} is for machine type {machine}; images are made for {sorted(ARCHITECTURES.values())}")
    for index in range(count):
        kind, = struct.unpack_from("<I", data, offset + index * size)
        if kind == PROGRAM_INTERPRETER:
            raise NotPackable(f"{path} needs a dynamic loader and the image has none; build it static with: make build")
    return ARCHITECTURES[machine]
