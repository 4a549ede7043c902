"""A native node: namespaces on this machine's own kernel. What switches it on and keeps it is `machine.py`."""

import json
import os
import subprocess
import sys
from pathlib import Path

from . import processes
from .node import Node
from .refusal import Refusal

PACKAGE_ROOT = Path(__file__).resolve().parent.parent
INSIDE = ("--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--root", "--wd")


class NativeNode(Node):
    def running(self):
        try:
            record = json.loads((self.dir / "running.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        is_on = processes.is_alive(record["init"]) and record["machine"] == self.world.process(self.process_name)
        return record if is_on else None

    def switch_on(self):
        env = {**processes.BARE_ENV, "PYTHONPATH": str(PACKAGE_ROOT), "XDG_CACHE_HOME": str(self.world.dir.parents[2]), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "worldlib.machine", self.world.name, str(self.n)]
        who = processes.start(command, self.dir / "log" / "machine.log", self.world.cgroup.part("control").entry(), env=env)
        self.world.remember(self.process_name, who)
        if not processes.wait_until(lambda: self.is_on or not processes.is_alive(who), 20) or not self.is_on:
            raise Refusal(f"node {self.n} did not start; the machine's last words: {self.last_words()}")

    def reboot(self):
        self.need_on("reboot")
        self.kill()
        self.switch_on()

    def run(self, words, stdin=b""):
        done = subprocess.run(self._command(words), input=stdin, capture_output=True)
        return done.returncode, done.stdout, done.stderr

    def execute(self, words):
        command = self._command(words)
        os.execvp(command[0], command)

    def _command(self, words):
        """The command line that runs `words` on the node, in its cgroup and namespaces."""
        self.need_on("run a command on")
        clean = [f"{k}={v}" for k, v in {**processes.BARE_ENV, "TERM": os.environ.get("TERM", "dumb")}.items()]
        return [*self.cgroup.entry(), "nsenter", f"--target={self.running()['init']['pid']}", *INSIDE, "--", "env", "-i", *clean, *words]
