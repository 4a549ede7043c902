"""The two servers that are compared, each pinned to a core: Holdfast as it is deployed, and the bare one."""

import os
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from . import machine
from .control_plane import wait

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/world"))
from worldlib.certificates import Identity, Keys  # noqa: E402

STOP_WITHIN_S = 40
# How the C library keeps its heap, as the chart's Deployment says; the same for the bare server.
HEAP = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_ARENA_MAX": "1"}


def certificates(directory, *addresses):
    """ca.crt, tls.crt and tls.key (P-256), for localhost and these addresses."""
    keys = Keys(directory)
    keys.authority("ca")
    keys.issue("tls", "ca", Identity("holdfast", answers_to=("localhost", "127.0.0.1", *addresses), is_client=False))
    return directory


def free_port(address="127.0.0.1"):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


class Server:
    """A process, on one core where one is given; known by its pid, ended by it."""

    def __init__(self, name, command, core, log, env=None):
        self.name, self.log = name, log
        self.began = time.monotonic()
        with open(log, "ab") as sink:
            pinned = ["taskset", "-c", str(core)] if core is not None else []
            self.process = subprocess.Popen([*pinned, *command], stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})})
        self.pid = self.process.pid

    def check(self):
        """It must run; else its last words are the error."""
        if self.process.poll() is not None:
            last = " / ".join(Path(self.log).read_text(errors="replace").strip().splitlines()[-3:])
            raise SystemExit(f"bench: {self.name} ended with {self.process.returncode}: {last}")
        return True

    def memory(self):
        return machine.memory_mib(self.pid)

    def settled_memory(self):
        """When it changes no more: twice the same within a percent, a second apart, for at most half a minute."""
        last = self.memory()
        for _ in range(30):
            time.sleep(1)
            self.check()
            now = self.memory()
            if abs(now["rss"] - last["rss"]) <= 0.01 * last["rss"]:
                return now
            last = now
        return last

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Bare(Server):
    def __init__(self, programs, core, directory, log, answer_bytes=None):
        self.address = f"127.0.0.1:{free_port()}"
        more = [str(answer_bytes)] if answer_bytes else []
        super().__init__("the bare server", [programs.bare, self.address, str(directory), *more], core, log, HEAP)
        wait("the bare server", 10, lambda: self.check() and _listens(self.address))


class Holdfast(Server):
    """`holdfast serve` as its Deployment runs it: election, all controllers, log level and format as they are by default."""

    def __init__(self, programs, core, directory, log, kubeconfig, host="127.0.0.1"):
        self.address = f"{host}:{free_port(host)}"
        self.probes, self.metrics = free_port(), free_port()
        command = [programs.holdfast, "serve", "--identity", "bench", "--health-probe-bind-address", f"127.0.0.1:{self.probes}", "--metrics-bind-address", f"127.0.0.1:{self.metrics}"]
        if programs.has_webhooks():
            command += ["--webhook-bind-address", self.address, "--cert-dir", str(directory)]
        # As the chart deploys it.
        super().__init__("holdfast", command, core, log, {"KUBECONFIG": kubeconfig, **HEAP})
        # Ready is asked for often: the time until it is, is a figure.
        wait("holdfast to be ready", 120, lambda: self.check() and self._is_ready(), 0.005)
        self.ready_after_s = time.monotonic() - self.began

    def _is_ready(self):
        connection = HTTPConnection("127.0.0.1", self.probes, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


def _listens(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 1).close()
        return True
    except OSError:
        return False
