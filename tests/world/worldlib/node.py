"""What every node has in common: a machine that is on or off, whose disk outlives it, at the end of a cable."""

import signal

from . import network, processes
from .refusal import Refusal


class Node:
    """Node N of a world. Native and emulated ones differ in how they are switched on and how commands get in."""

    def __init__(self, world, n):
        self.world, self.n = world, n
        self.dir = world.node_dir(n)

    # --- for each kind

    def switch_on(self):
        """Starts the machine's process and returns when its first program runs."""
        raise NotImplementedError

    def running(self):
        """The record of the present boot, {} if it says nothing of itself; None if the node is off."""
        raise NotImplementedError

    def reboot(self):
        raise NotImplementedError

    def run(self, words, stdin=b""):
        """Runs a command on the node: (exit code, output, errors), in bytes."""
        raise NotImplementedError

    def execute(self, words):
        """Runs a command on the node with this command's own input and output; its exit code."""
        raise NotImplementedError

    # --- what they share

    @property
    def name(self):
        return f"node{self.n}"

    @property
    def process_name(self):
        return f"machine-{self.name}"

    @property
    def cgroup(self):
        return self.world.cgroup.part(self.name)

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
        """As far as the machine knows it from outside."""
        return (self.running() or {}).get("boot_id", "")

    def start(self):
        if not self.is_on:
            self.kill()
            self.switch_on()

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
        self.need_on("partition")
        (self.dir / "partitioned").touch()
        network.set_link(self.world.at, self.world.at.port(self.n), is_up=False)

    def heal(self):
        (self.dir / "partitioned").unlink(missing_ok=True)
        if self.is_on:
            network.set_link(self.world.at, self.world.at.port(self.n), is_up=True)

    def need_on(self, verb):
        if not self.is_on:
            raise Refusal(f"Node {self.n} is off, so there is nothing to {verb}: `world node start {self.n}` first.")

    def load(self, archive):
        """Imports an archive of the world's images directory; the names it brought."""
        code, output, errors = self.run(["ctr", "--namespace", "k8s.io", "images", "import", f"/var/lib/holdfast-world/images/{archive.name}"])
        if code:
            raise Refusal(f"node {self.n} could not import {archive.name}: {(errors or output).decode(errors='replace').strip()}")
        lines = [line.split() for line in output.decode().splitlines() if line.strip()]
        return [words[1] if words[0] == "unpacking" else words[0] for words in lines]

    def collect_logs(self):
        """The directory of this machine that has the node's logs."""
        return self.dir / "log"

    def last_words(self, lines=3):
        log = self.dir / "log" / "machine.log"
        return " / ".join(log.read_text(errors="replace").strip().splitlines()[-lines:]) if log.exists() else "none"
