#!/usr/bin/env python3
"""`make bench-migration`: how long a program stands still that goes to another node, beside the quickest that there is on one node.

A program that ticks each millisecond says itself how long it stood still. docs/benchmarks.md says what the figures mean.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benches"))

from benchlib import figures  # noqa: E402
from benchlib.control_plane import ControlPlane  # noqa: E402
from benchlib.moving.archive import Archive  # noqa: E402
from benchlib.moving.here import Here  # noqa: E402
from benchlib.moving.pods import Moves  # noqa: E402
from benchlib.moving.ticker import Ticker  # noqa: E402

# What a move between two nodes may cost besides: a fixed part, which is not memory's.
FIXED_S = 0.1


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, metavar="DIR", type=Path, help="where cargo has put examples/bench-ticker")
    parser.add_argument("--archive", default="dist/holdfast.tar", help="the image, as `make image` packs it (default: dist/holdfast.tar)")
    parser.add_argument("--image", required=True, help="… and its name in there")
    parser.add_argument("--name", default="bench-moves", help="the world's name (default: bench-moves)")
    parser.add_argument("--sizes", default="16,256,1024", help="MiB of memory that is touched (default: 16,256,1024)")
    parser.add_argument("--rounds", type=int, default=10, help="how often each way is gone (default: 10)")
    parser.add_argument("--quick", action="store_true", help="two rounds, 16 and 64 MiB: shows that it works")
    parser.add_argument("--only", choices=("runc", "criu", "archive", "ours", "bare"), action="append", help="one way alone; may be said more than once")
    parser.add_argument("--keep", action="store_true", help="leave the world up")
    arguments = parser.parse_args()
    arguments.sizes = [16, 64] if arguments.quick else [int(size) for size in arguments.sizes.split(",")]
    arguments.rounds = 2 if arguments.quick else arguments.rounds
    return arguments


class Bench:
    def __init__(self, arguments, plane, folder):
        self.arguments, self.plane = arguments, plane
        ticker = Ticker(ROOT, arguments.programs / "examples/bench-ticker", folder)
        self.moves = Moves(plane, ticker)
        self.moves.install(ROOT / arguments.archive, arguments.image)
        here = Here(plane, ticker)
        self.ways = {"runc": here.runc, "criu": here.criu, "archive": Archive(plane, ticker).freeze, "ours": self.moves.freeze, "bare": self.moves.freeze_bare}
        self.took = {}

    def run(self):
        wanted = self.arguments.only or list(self.ways)
        for size in self.arguments.sizes:
            print(f"\n== {size} MiB", flush=True)
            self.moves.begin(size)
            for number in range(self.arguments.rounds):
                for way in wanted:
                    # Bare pods apart: a few are enough, there is no ratio.
                    if way == "bare" and number >= max(1, self.arguments.rounds // 3):
                        continue
                    took, parts = self.ways[way](size)
                    self.took.setdefault((way, size), []).append(took)
                    told = ", ".join(f"{name} {value:.3f}" for name, value in parts.items())
                    print(f"  {number + 1:>2}  {way:<8} {took:.3f} s   {told}   load {os.getloadavg()[0]:.1f}", flush=True)
            self.moves.end()

    def further_containers(self):
        """What one more container costs: the same memory in one, two and three."""
        freezes = {}
        for count in (1, 2, 3):
            self.moves.begin(16, count)
            freezes[count] = figures.Series(self.moves.freeze(16)[0] for _ in range(max(2, self.arguments.rounds // 2)))
            self.moves.end()
            print(f"  {count} containers of 16 MiB: {freezes[count].told(3)} s", flush=True)
        return (freezes[3].middle - freezes[1].middle) / 2

    def figures(self):
        told, rows = {}, []
        for size in self.arguments.sizes:
            series = {way: figures.Series(self.took[way, size]) for way in self.ways if (way, size) in self.took}
            for way, one in series.items():
                rows.append([f"{size} MiB", way, f"{one.told(3)} s"])
                told[f"{way}_s_{size}"] = one.middle
            if {"runc", "ours"} <= series.keys():
                told[f"freeze_ratio_{size}"] = (series["ours"].middle - FIXED_S) / series["runc"].middle
            if {"archive", "ours"} <= series.keys():
                told[f"archive_path_ratio_{size}"] = series["ours"].middle / series["archive"].middle
        ratios = [value for name, value in told.items() if name.startswith("archive_path_ratio_")]
        if ratios:
            # The worst of them is held against the bar.
            told["archive_path_ratio"] = max(ratios)
        print("\n" + figures.table(["memory", "way", "stood still"], rows))
        return told


def main():
    arguments, began = parse(), time.monotonic()
    plane = ControlPlane(ROOT, arguments.name)
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        try:
            plane.up(nodes=2, runtime="containerd-2")
            bench = Bench(arguments, plane, Path(folder))
            bench.run()
            further = bench.further_containers() if not arguments.only or "ours" in arguments.only else None
            told = {**bench.figures(), "container_s": further}
        finally:
            if not arguments.keep:
                plane.world("down")
    print(f"\n{time.monotonic() - began:.0f} s in all")
    if not arguments.quick:
        print("\n".join(figures.bars(told)))
    print(figures.result({"quick": 1 if arguments.quick else None, **told}), flush=True)


if __name__ == "__main__":
    main()
