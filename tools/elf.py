"""The little that packing must know of a program: for which machine it is, and which other files it needs to run."""

import struct

ARCHITECTURES = {62: "amd64", 183: "arm64"}  # e_machine → the name images use
LOADED, DYNAMIC, PROGRAM_INTERPRETER = 1, 2, 3  # PT_LOAD, PT_DYNAMIC, PT_INTERP: the program asks for a dynamic loader
NEEDED, STRING_TABLE = 1, 5  # DT_NEEDED, DT_STRTAB


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


def segments(data):
    """(type, offset in the file, address, size in the file) of each program header."""
    offset, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for index in range(count):
        kind, _flags, place, address, _physical, length = struct.unpack_from("<IIQQQQ", data, offset + index * size)
        yield kind, place, address, length


def text_at(data, place):
    return data[place:data.index(b"\0", place)].decode()


def interpreter(path):
    """The loader that a program asks for, or nothing."""
    data = path.read_bytes()
    return next((text_at(data, place) for kind, place, _, _ in segments(data) if kind == PROGRAM_INTERPRETER), "")


def needed(path):
    """The names of the libraries that a program or library asks for."""
    data = path.read_bytes()
    entries = []
    for kind, place, _, length in segments(data):
        if kind == DYNAMIC:
            entries = [struct.unpack_from("<qQ", data, at) for at in range(place, place + length, 16)]
    names = next((value for tag, value in entries if tag == STRING_TABLE), 0)
    start = next((names - address + place for kind, place, address, length in segments(data) if kind == LOADED and address <= names < address + length), 0)
    return [text_at(data, start + value) for tag, value in entries if tag == NEEDED]
