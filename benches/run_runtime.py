#!/usr/bin/env python3
"""`make bench-runtime`: what holdfast-runtime adds to `create` and `start` of a container, beside the real runtime alone.

Containers are made by one and the other in turn, on one machine, in one run. docs/benchmarks.md says what the figures mean.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benches"))

from benchlib import figures  # noqa: E402
from benchlib.containers import Agent, Containers  # noqa: E402


def tool(name):
    done = subprocess.run([ROOT / "tests/world/world", "tool", name], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench: no {name}: {done.stderr.strip()}")
    return Path(done.stdout.strip())


def install(folder, program, real):
    """The program as it lies on a node; its path."""
    own = folder / "bin/holdfast-runtime"
    own.parent.mkdir()
    (folder / "run").mkdir()
    shutil.copy(program, own)
    settings = {"real": str(real), "socket": str(folder / "run/agent.sock"), "run": str(folder / "run"), "records": str(folder / "records")}
    (folder / "runtime.json").write_text(json.dumps(settings))
    return own


def startup(program, times=200):
    """Milliseconds from the start of the program to its end, when it has nothing to do."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run([program, "--holdfast-version"], stdout=subprocess.DEVNULL, check=True)
        took.append((time.perf_counter() - began) * 1000)
    return took


def percentile(values, quantile):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * quantile))]


def measure(containers, runtimes, count):
    """{name: milliseconds}; who begins changes from pair to pair, and the first pairs only warm up."""
    took = {name: [] for name in runtimes}
    for number in range(-5, count):
        order = list(runtimes) if number % 2 else list(runtimes)[::-1]
        for place, name in enumerate(order):
            value = containers.timed(runtimes[name], (number + 5) * 2 + place)
            if number >= 0:
                took[name].append(value)
    return took


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, type=Path, help="holdfast-runtime, as it is released")
    parser.add_argument("--real", type=Path, help="the real runtime (default: runc as the world builds it)")
    parser.add_argument("--containers", type=int, default=200, help="how many of each (default: 200)")
    arguments = parser.parse_args()
    real = arguments.real or tool("runc")
    with tempfile.TemporaryDirectory(prefix="bench-runtime-") as folder:
        folder = Path(folder)
        ours = install(folder, arguments.program, real)
        agent, containers = Agent(folder / "run/agent.sock"), Containers(folder, tool("busybox"))
        try:
            began = startup(ours)
            took = measure(containers, {"real": real, "ours": ours}, arguments.containers)
        finally:
            containers.close()
        if agent.questions != arguments.containers + 5:
            sys.exit(f"bench: the agent was asked {agent.questions} times: not every container of ours was a pod's")
    for name, values in took.items():
        print(f"create + start, {name}: median {percentile(values, 0.5):.1f} ms, p99 {percentile(values, 0.99):.1f} ms, {len(values)} containers")
    added = {quantile: percentile(took["ours"], quantile) - percentile(took["real"], quantile) for quantile in (0.5, 0.99)}
    print(f"load of the machine: {os.getloadavg()[0]:.1f}; above 1 or 2 the 99th percentiles are its own")
    said = {"create_start_median_added_ms": added[0.5], "create_start_p99_added_ms": added[0.99], "startup_ms": percentile(began, 0.5)}
    for line in figures.bars(said):
        print(line)
    print(figures.result(said))


if __name__ == "__main__":
    main()
