"""The machine: which cores to use, what a process takes of it, and what to say of it beside every number."""

import os
import platform
import subprocess
from pathlib import Path


def two_cores():
    """One for the server, one for the driver: on two physical cores where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("bench: two cores are needed, one for the server and one for the driver; this machine has one.")
    server = cores[0]
    apart = [core for core in cores if core != server and server not in _siblings(core)]
    return server, (apart or cores[1:])[0]


def rest_of_cores(server, driver):
    """Where everything else may run: not beside the server."""
    return set(os.sched_getaffinity(0)) - {server, driver} or {driver}


def _siblings(core):
    try:
        text = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text()
    except OSError:
        return {core}
    found = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def keep_to(pid, cores):
    """All threads of a process; threads it starts later are where their parents are."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            os.sched_setaffinity(int(task.name), cores)
        except ProcessLookupError:
            pass


def memory_mib(pid):
    """{rss, peak, pss} in MiB."""
    def kib(path, *fields):
        lines = dict(line.split(":", 1) for line in Path(path).read_text().splitlines() if ":" in line)
        return [int(lines[field].split()[0]) / 1024 for field in fields]

    rss, peak = kib(f"/proc/{pid}/status", "VmRSS", "VmHWM")
    return {"rss": rss, "peak": peak, "pss": kib(f"/proc/{pid}/smaps_rollup", "Pss")[0]}


def describe(programs):
    """Lines about what was measured on what; the storm measures an image and needs no programs."""
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), platform.machine())
    total = int(Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    said = lambda *words: subprocess.run(words, capture_output=True, text=True).stdout.strip()
    measured = [f"programs  {said(programs.holdfast, 'version')}, {said('rustc', '--version')}, baseline and driver from the same checkout ({said('git', 'rev-parse', '--short', 'HEAD') or 'no git'})"] if programs else []
    return [
        f"machine   {len(os.sched_getaffinity(0))} cores, {model}, {total:.0f} GiB, kernel {platform.release()}, governor {governor.read_text().strip() if governor.exists() else 'not told'}",
        *measured,
        f"load      {' '.join(f'{load:.2f}' for load in os.getloadavg())} before anything was measured",
    ]
