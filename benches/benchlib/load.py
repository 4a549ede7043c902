"""The load driver, run on a core of its own."""

import json
import subprocess
from contextlib import contextmanager

# Above this the driver may be what is measured, and not the server.
DRIVER_IS_BUSY = 0.9
# Of all cores: what else runs on the machine is then part of the result.
OTHERS_ARE_BUSY = 0.1


class Driver:
    def __init__(self, program, core, ca, watch=()):
        self.program, self.core, self.ca, self.watch = program, core, ca, tuple(watch)

    def measure(self, server, seconds, *words, expect="sized"):
        """One run; what the driver tells, and the shares of a core that server, driver, control plane and all others took."""
        watched = [word for pid in (server.pid, *self.watch) for word in ("--watch", str(pid))]
        told = self._run(["load", *self._peer(server), "--seconds", str(seconds), "--expect", expect, *watched, *map(str, words)], 60 + 3 * seconds)
        cpu, window = told["cpu"], told["seconds"]
        control = sum(cpu["watched"][str(pid)] for pid in self.watch)
        of_server = cpu["watched"][str(server.pid)]
        told["shares"] = {
            "server": of_server / window, "driver": cpu["driver"] / window, "control": control / window,
            "others": max(0.0, cpu["busy"] - of_server - cpu["driver"] - control) / window, "stolen": cpu["stolen"] / window,
        }
        told["cpu_us"] = of_server / told["requests"] * 1e6 if told["requests"] else None
        return told

    def _peer(self, server):
        return ["--address", server.address, "--ca", str(self.ca)]

    def _command(self, words):
        return ["taskset", "-c", str(self.core), self.program, *words]

    def _run(self, words, limit_s):
        done = subprocess.run(self._command(words), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s)
        if not done.stdout.strip():
            raise SystemExit(f"bench: the driver failed: {done.stderr.strip()}")
        return json.loads(done.stdout.splitlines()[-1])

    @contextmanager
    def flood(self, kind, server, count, *words):
        """So many connections are held while the block runs; {"holding": …} of the beginning and, afterwards, {"held": …} of the end."""
        # It shares the core of the driver, whose requests shall not wait for it. To be nice is not enough: what runs at any niceness may
        # stay for a slice of some milliseconds when the driver wakes.
        command = ["chrt", "--idle", "0", *self._command([kind, *self._peer(server), "--seconds", "600", *words, str(count)])]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        told = {}
        try:
            line = process.stdout.readline()
            if not line:
                raise SystemExit(f"bench: the driver could not hold {count} connections to {server.name}")
            told.update(json.loads(line))
            yield told
        finally:
            process.stdin.close()
            rest = process.stdout.read()
            process.wait(60)
        told.update(json.loads(rest))


def told_in_a_line(run):
    shares = run["shares"]
    warnings = []
    if shares["driver"] > DRIVER_IS_BUSY and not run["intended_rate"]:
        warnings.append("the driver is nearly full")
    if shares["others"] + shares["stolen"] > OTHERS_ARE_BUSY:
        warnings.append("OTHERS ARE AT WORK")
    if run["errors"]:
        warnings.append(f"{run['errors']} ERRORS, first: {run['first_fault']}")
    parts = " ".join(f"{name} {share:.0%}" for name, share in shares.items())
    return f"{run['rate']:9,.0f}/s  p50 {run['p50_us']:7,.0f}  p99 {run['p99_us']:7,.0f} us  cpu {run['cpu_us'] or 0:5.1f} us  [{parts}]{'  ' + '; '.join(warnings) if warnings else ''}"
