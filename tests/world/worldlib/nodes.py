"""The nodes of a world: add, start, kill, partition, heal; run a command on one; load images into it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from . import network, processes
from .addresses import check_node
from .refusal import BadUsage, Refusal

PACKAGE_ROOT = Path(__file__).resolve().parent.parent
INSIDE = ("--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--root", "--wd")


class Node:
    """Node N of a world: a machine that is on or off, whose disk outlives it."""

    def __init__(self, world, n):
        self.world, self.n = world, check_node(n)
        self.dir = world.node_dir(n)
        if n not in world.nodes:
            has = ", ".join(map(str, world.nodes)) or "none"
            raise BadUsage(f"World `{world.name}` has no node {n} (it has: {has}): `world node add {n}` makes one.")

    @property
    def name(self):
        return f"node{self.n}"

    @property
    def process_name(self):
        return f"machine-{self.name}"

    @property
    def cgroup(self):
        return self.world.cgroup.part(self.name)

    def running(self):
        """What the machine wrote at the last boot, if that boot still runs."""
        try:
            record = json.loads((self.dir / "running.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        is_on = processes.is_alive(record["init"]) and record["machine"] == self.world.process(self.process_name)
        return record if is_on else None

    @property
    def is_on(self):
        return self.running() is not None

    @property
    def is_partitioned(self):
        return (self.dir / "partitioned").exists()

    @property
    def state(self):
        if not self.is_on:
            return "off"
        return "partitioned" if self.is_partitioned else "running"

    @property
    def boot_id(self):
        record = self.running()
        return record["boot_id"] if record else ""

    def start(self):
        """Switches it on; returns when its first process runs."""
        if self.is_on:
            return
        self.kill()
        env = {**processes.BARE_ENV, "PYTHONPATH": str(PACKAGE_ROOT), "XDG_CACHE_HOME": str(self.world.dir.parents[2]), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "worldlib.machine", self.world.name, str(self.n)]
        who = processes.start(command, self.dir / "log" / "machine.log", self.world.cgroup.part("control").entry(), env=env)
        self.world.remember(self.process_name, who)
        if not processes.wait_until(lambda: self.is_on or not processes.is_alive(who), 20) or not self.is_on:
            log = (self.dir / "log" / "machine.log").read_text(errors="replace").strip().splitlines()
            raise Refusal(f"node {self.n} did not start; the machine's last words: {' / '.join(log[-3:])}")

    def kill(self):
        """A power cut: nothing it does from now on is seen by anybody, and what was not on its disk is lost."""
        if network.exists(self.world.at.netns):
            network.ip("link", "del", self.world.at.port(self.n), netns=self.world.at.netns, may_fail=True)
        machine = self.world.process(self.process_name)
        if machine:
            processes.send(machine, signal.SIGKILL)
            processes.wait_until(lambda: not processes.is_alive(machine), 10)
            processes.reap(machine["pid"])
        self.cgroup.kill_all()
        self.cgroup.clear()
        network.drop_node(self.world.at, self.n)
        self.world.forget(self.process_name)
        (self.dir / "running.json").unlink(missing_ok=True)

    def partition(self):
        """Its cable is out; its programs go on."""
        self._need_on("partition")
        (self.dir / "partitioned").touch()
        network.set_link(self.world.at, self.world.at.port(self.n), is_up=False)

    def heal(self):
        (self.dir / "partitioned").unlink(missing_ok=True)
        if self.is_on:
            network.set_link(self.world.at, self.world.at.port(self.n), is_up=True)

    def _need_on(self, verb):
        if not self.is_on:
            raise Refusal(f"Node {self.n} is off, so there is nothing to {verb}: `world node start {self.n}` first.")

    def command(self, words):
        """The command line that runs `words` on the node, in its cgroup and namespaces."""
        self._need_on("run a command on")
        init = self.running()["init"]["pid"]
        clean = [f"{k}={v}" for k, v in {**processes.BARE_ENV, "TERM": os.environ.get("TERM", "dumb")}.items()]
        return [*self.cgroup.entry(), "nsenter", f"--target={init}", *INSIDE, "--", "env", "-i", *clean, *words]

    def run(self, words, **options):
        return subprocess.run(self.command(words), **options)

    def load(self, archive):
        """Imports an archive of the world's images directory; the names it brought."""
        done = self.run(["ctr", "--namespace", "k8s.io", "images", "import", f"/var/lib/holdfast-world/images/{archive.name}"],
                        stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise Refusal(f"node {self.n} could not import {archive.name}: {(done.stderr or done.stdout).strip()}")
        return [line.split()[1] if line.startswith("unpacking ") else line.split()[0] for line in done.stdout.splitlines() if line.split()]


def add(world, n, bare=False, machine="native", reserve=None):
    """Records a node; `start` switches it on."""
    check_node(n)
    asked = {"bare": bare, "machine": machine, "reserve": reserve or {}}
    known = world.nodes.get(n)
    if known and known != asked and (bare or machine != known["machine"] or reserve):
        raise BadUsage(f"Node {n} exists with other properties: take another number, or `world down` first.")
    if not known:
        world.record["nodes"][str(n)] = asked
        world.save()
    return Node(world, n)


def all_of(world):
    return [Node(world, n) for n in world.nodes]


def load_image(world, archive):
    """Remembers an archive for nodes to come and imports it into those that are on."""
    source = Path(archive)
    if not source.is_file():
        raise BadUsage(f"{archive} is not a file: give a docker or OCI archive.")
    kept = world.dir / "images" / source.name
    if not kept.name.endswith(".tar"):
        kept = kept.with_name(kept.name + ".tar")
    unfinished = kept.with_name(kept.name + ".unfinished")
    shutil.copy(source, unfinished)
    unfinished.rename(kept)
    return {node.n: node.load(kept) for node in all_of(world) if node.is_on}
