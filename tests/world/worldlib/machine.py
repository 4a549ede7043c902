"""A native node's machine: the process that switches a node on, and again when a program on the node calls reboot(2).

It runs for as long as the node is on (`python3 -m worldlib.machine NAME N`), in the world's control cgroup. The kernel ends a
PID namespace by SIGHUP when one of its programs asks for a restart and by SIGINT for power-off; anything else is a crash and
leaves the node off.
"""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

from . import cgroups, network, nodefiles, processes
from .refusal import Refusal
from .worlds import World

BOOT = Path(__file__).resolve().parent / "node" / "boot.sh"


class Machine:
    def __init__(self, world, n):
        self.world, self.n, self.at = world, n, world.at
        self.disk = world.node_dir(n)
        self.cgroup = world.cgroup.part(f"node{n}")

    def run(self):
        """Boots until the node stays off; the exit code for the log."""
        while True:
            ended = self._boot()
            self.cgroup.kill_all()
            print(f"world: node {self.n} ended with {ended}", flush=True)
            if ended != -signal.SIGHUP:
                network.drop_node(self.at, self.n)
                return 0 if ended == -signal.SIGINT else 1

    def _boot(self):
        self._prepare()
        boot_id = str(uuid.uuid4())
        (self.disk / "boot_id").write_text(boot_id + "\n")
        with subprocess.Popen(self._command(), env={**processes.BARE_ENV, **self._environment()}, stdin=subprocess.DEVNULL) as outer:
            init = processes.wait_until(lambda: outer.poll() is not None or self._init_of(outer.pid), 10)
            who = processes.identity(init) if isinstance(init, int) and init > 1 else None
            if who and cgroups.version() == 2:
                # `unshare` had to start in the node's cgroup, to make that the root of what the node sees; but a cgroup with a process
                # hands no controllers to its children, so now it leaves (boot.sh waits for that).
                self.world.cgroup.part("control").take(outer.pid)
            processes.wait_until(lambda: outer.poll() is not None or self._has_booted(init), 15)
            self.world.write(f"nodes/{self.n}/running.json", {"machine": processes.identity(os.getpid()), "init": who, "boot_id": boot_id})
            return self._watch(outer, who)

    def _prepare(self):
        self.world.reread()
        if not self.world.exists:
            raise Refusal("the world is gone")
        for part in ("upper", "work", "root", "containerd", "kubelet", "log"):
            (self.disk / part).mkdir(parents=True, exist_ok=True)
        nodefiles.write(self.world, self.n, self.disk / "layer")
        self.cgroup.make()
        self.cgroup.clear()
        network.raise_node(self.at, self.n, partitioned=(self.disk / "partitioned").exists())

    def _environment(self):
        layers = [str(self.disk / "layer"), *self.world.record["layers"]["bare" if self.world.nodes[self.n]["bare"] else "full"]]
        return {
            "HF_LAYERS": ":".join(layers), "HF_DISK": str(self.disk), "HF_BOOT_ID": str(self.disk / "boot_id"), "HF_WORLD": str(self.world.dir),
            "HF_V1": " ".join(f"{name}={option}" for name, option in cgroups.version_one_mounts()), "HF_NAME": f"node{self.n}", "HF_LOGS": str(self.disk / "log"),
        }

    def _command(self):
        unshare = ["unshare", "--cgroup", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "/bin/sh", str(BOOT)]
        return ["setpriv", "--pdeathsig", "KILL", *self.cgroup.entry(), *network.inside(self.at.node_netns(self.n)), *unshare]

    @staticmethod
    def _init_of(pid):
        """The first process of the node's PID namespace, once unshare has made it."""
        try:
            is_unshare = Path(f"/proc/{pid}/comm").read_text() == "unshare\n"
        except FileNotFoundError:
            return None
        return (processes.children(pid) or [None])[0] if is_unshare else None

    @staticmethod
    def _has_booted(init):
        """Whether boot.sh has become the node's own first program."""
        try:
            return Path(f"/proc/{init}/comm").read_text() == "init\n"
        except (FileNotFoundError, ProcessLookupError):
            return False

    def _watch(self, outer, init):
        """Waits for the end. A frozen container would hold it up for ever: once init is exiting, everything is killed and thawed.

        Only `unshare` is spared, as it still has to tell by which signal the namespace ended.
        """
        while outer.poll() is None:
            if init and processes.is_exiting(init["pid"]):
                self.cgroup.kill_all(spare={outer.pid})
            time.sleep(0.2)
        return outer.returncode


def main(name, n):
    world = World(name)
    if not world.exists:
        raise SystemExit(f"no world `{name}`")
    raise SystemExit(Machine(world, int(n)).run())


if __name__ == "__main__":
    main(*sys.argv[1:])
