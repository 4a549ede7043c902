"""CRIU where this machine's root lacks CAP_SYS_RESOURCE: preloaded with a small library (shim/prlimit.c says why)."""

import subprocess
from pathlib import Path

from . import cache
from .refusal import ProbeFailed, Refusal

SOURCE = Path(__file__).resolve().parent / "shim" / "prlimit.c"
CAP_SYS_RESOURCE = 24
WRAPPER = """\
#!/bin/sh
# This machine lacks CAP_SYS_RESOURCE: CRIU reads other users' resource limits from /proc instead.
LD_PRELOAD=/usr/local/lib/holdfast-world/prlimit.so exec /usr/sbin/criu "$@"
"""
FLAGS = ("-O2", "-shared", "-fPIC", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-Wall", "-Wextra", "-Werror")


def is_needed():
    status = Path("/proc/self/status").read_text()
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    return not effective >> CAP_SYS_RESOURCE & 1


def obtain():
    return cache.obtain("criu-shim", cache.key([SOURCE], [WRAPPER, *FLAGS]), _build)


def _build(into):
    library, program = into / "usr/local/lib/holdfast-world/prlimit.so", into / "usr/local/sbin/criu"
    library.parent.mkdir(parents=True)
    program.parent.mkdir(parents=True)
    try:
        done = subprocess.run(["gcc", *FLAGS, "-o", str(library), str(SOURCE)], capture_output=True, text=True)
    except FileNotFoundError:
        raise ProbeFailed("gcc is not installed: run tests/setup, which installs what the world needs.") from None
    if done.returncode:
        raise Refusal(f"gcc could not build {SOURCE.name}: {done.stderr.strip().splitlines()[-1]}")
    program.write_text(WRAPPER)
    program.chmod(0o755)
