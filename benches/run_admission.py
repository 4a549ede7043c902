#!/usr/bin/env python3
"""`make bench-admission`: how quick and how frugal the sizing webhook is, beside a server that decides nothing.

Brings up a control plane of its own, fills it, measures, and takes it down. docs/benchmarks.md says what the figures mean.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benches"))

from benchlib import cluster, figures, machine, storm  # noqa: E402
from benchlib.control_plane import ControlPlane  # noqa: E402
from benchlib.direct import Direct, Sizes  # noqa: E402
from benchlib.load import Driver  # noqa: E402
from benchlib.programs import Programs  # noqa: E402
from benchlib.servers import certificates  # noqa: E402


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", metavar="DIR", help="where cargo has put holdfast, bench-bare and examples/bench-driver")
    parser.add_argument("--archive", default="dist/holdfast.tar", help="for the storm: the image, as `make image` packs it (default: dist/holdfast.tar)")
    parser.add_argument("--image", help="… and its name in there")
    parser.add_argument("--name", default="bench", help="the world's name (default: bench)")
    parser.add_argument("--only", choices=("direct", "cluster", "storm"), help="one part: straight at the webhook, through an API server, or while certificates change and replicas end")
    parser.add_argument("--quick", action="store_true", help="two minutes instead of twenty: shows that it works, its figures mean nothing")
    parser.add_argument("--null", action="store_true", help="the baseline against itself: what of the figures is the machine's own noise")
    parser.add_argument("--keep", action="store_true", help="leave the world up")
    arguments = parser.parse_args()
    if arguments.only != "storm" and not arguments.programs:
        parser.error("--programs is needed for all but the storm")
    if arguments.only in (None, "storm") and not arguments.null and not arguments.image:
        parser.error("--image is needed for the storm")
    return arguments


def direct(arguments, programs, folder):
    if not (arguments.null or programs.has_webhooks()):
        sys.exit("bench: `holdfast serve` of this build has no --webhook-bind-address: there is no webhook to measure. --null measures the machine.")
    cores = machine.two_cores()
    print(f"server on core {cores[0]}, driver on core {cores[1]}, everything else on {sorted(machine.rest_of_cores(*cores))}")
    plane = ControlPlane(ROOT, arguments.name)
    try:
        plane.up()
        plane.prepare(programs)
        plane.end_what_is_not_needed()
        plane.keep_to(machine.rest_of_cores(*cores))
        driver = Driver(programs.driver, cores[1], certificates(folder / "certs") / "ca.crt", plane.pids())
        run = Direct(plane, programs, driver, cores, folder, Sizes(arguments.quick), arguments.null)
        run.run()
    finally:
        if not arguments.keep:
            plane.world("down")
    print("\n" + figures.table(["what", "in", "baseline" if not arguments.null else "baseline A", "holdfast" if not arguments.null else "baseline B", "ratio"], run.rows))
    return run.figures


def main():
    arguments = parse()
    programs, began = Programs(arguments.programs) if arguments.programs else None, time.monotonic()
    # Thousands of connections; containers have such limits by default.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    print("\n".join(machine.describe(programs)))
    told = {}
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        if arguments.only in (None, "direct"):
            told.update(direct(arguments, programs, Path(folder)))
        if arguments.only in (None, "cluster") and not arguments.null:
            told.update(cluster.run(ROOT, f"{arguments.name}-cluster", programs, Path(folder), arguments.quick, arguments.keep))
        if arguments.only in (None, "storm") and not arguments.null:
            told.update(storm.run(ROOT, f"{arguments.name}-storm", ROOT / arguments.archive, arguments.image, arguments.quick, arguments.keep))
    print(f"\n{time.monotonic() - began:.0f} s in all")
    if not (arguments.quick or arguments.null):
        print("\n".join(figures.bars(told)))
    print(figures.result({"quick": 1 if arguments.quick else None, "null": 1 if arguments.null else None, **told}), flush=True)
    if told.get("errors"):
        sys.exit(f"bench: {told['errors']} answers were wrong, late or missing; what was measured is not what it should be.")


if __name__ == "__main__":
    main()
