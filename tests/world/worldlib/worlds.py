"""What is known of a world: its directory, its record, its index among the worlds of this machine.

    ${XDG_CACHE_HOME:-~/.cache}/holdfast/worlds/NAME/
        world.json    what was asked for, and the keys of the things it runs on
        processes/    one file per process that was started: pid and start time
        pki/ etcd/ log/ images/ witness/ nodes/N/ admin.kubeconfig

The index is claimed for the whole machine by a link /run/holdfast-worlds/<k> to that directory.
"""

import json
import os
import shutil
from pathlib import Path

from . import cache, cgroups, network, processes
from .addresses import MAX_WORLDS, Addresses, check_name, free_index
from .refusal import Refusal

CLAIMS = Path("/run/holdfast-worlds")


class World:
    """One world, whether it exists or not."""

    def __init__(self, name):
        self.name = check_name(name)
        self.dir = cache.root() / "worlds" / name
        self.cgroup = cgroups.Subtree(f"holdfast-{name}")
        self.record = self._read("world.json")

    # --- the record

    @property
    def exists(self):
        return self.record is not None

    @property
    def at(self):
        return Addresses(self.name, self.record["index"])

    @property
    def nodes(self):
        """{number: what was asked for}, by number."""
        return {int(n): spec for n, spec in sorted(self.record["nodes"].items(), key=lambda item: int(item[0]))}

    def node_dir(self, n):
        return self.dir / "nodes" / str(n)

    def save(self):
        self.write("world.json", self.record)

    def write(self, name, value):
        """Replaces a file of JSON as a whole."""
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".unfinished")
        unfinished.write_text(json.dumps(value, indent=2) + "\n")
        unfinished.rename(path)

    def _read(self, name):
        try:
            return json.loads((self.dir / name).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def locked(self):
        """Held by every command that changes the world."""
        return cache.locked(cache.root() / "locks" / f"world-{self.name}")

    def reread(self):
        self.record = self._read("world.json")

    # --- processes

    def process(self, name):
        return self._read(f"processes/{name}.json")

    def remember(self, name, who):
        self.write(f"processes/{name}.json", who)

    def forget(self, name):
        (self.dir / "processes" / f"{name}.json").unlink(missing_ok=True)

    def is_running(self, name):
        return processes.is_alive(self.process(name))

    def log(self, name):
        return self.dir / "log" / f"{name}.log"

    # --- the index

    def check_name_is_ours(self):
        """Names of namespaces and cgroups are the machine's, whichever cache a world is in: another's must not be touched."""
        for directory in claims().values():
            if directory.name == self.name and directory != self.dir and (directory / "world.json").exists():
                raise Refusal(f"A world `{self.name}` of another cache ({directory}) uses this machine: take another --name, or `world down` it "
                              f"there (XDG_CACHE_HOME={directory.parents[2]}).")

    def claim(self):
        """An index of this machine, kept until `release`."""
        CLAIMS.mkdir(exist_ok=True)
        for k, directory in claims().items():
            if directory == self.dir:
                return k
        while True:
            k = free_index(set(claims()), network.machine_routes())
            if k is None:
                raise Refusal(f"All {MAX_WORLDS} indexes are taken or their networks (10.77.k.0/24, 10.{{128+k}}.0.0/16) are routed elsewhere: `world list` shows the worlds; end one.")
            try:
                os.symlink(self.dir, CLAIMS / str(k))
                return k
            except FileExistsError:
                continue

    @property
    def has_its_index(self):
        """Whether the recorded index is still this world's: claims do not outlive a boot of this machine, the record does."""
        return self.exists and claims().get(self.record["index"]) == self.dir

    def release(self):
        for k, directory in claims().items():
            if directory.name == self.name:  # also one whose cache was deleted under it
                (CLAIMS / str(k)).unlink(missing_ok=True)
        try:
            CLAIMS.rmdir()
        except OSError:
            pass  # another world's claim is there, or none ever was

    def delete(self, keep_logs=False):
        if not keep_logs or not self.dir.is_dir():
            return shutil.rmtree(self.dir, ignore_errors=True)
        for log in self.dir.glob("nodes/*/log"):
            kept = self.dir / "log" / f"node{log.parent.name}"
            shutil.rmtree(kept, ignore_errors=True)
            kept.parent.mkdir(exist_ok=True)
            log.rename(kept)
        for entry in self.dir.iterdir():
            if entry.name != "log":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def claims():
    """{index: directory} of every world that has one."""
    if not CLAIMS.is_dir():
        return {}
    return {int(link.name): Path(os.readlink(link)) for link in CLAIMS.iterdir() if link.is_symlink() and link.name.isdigit()}


def known():
    """Names of the worlds below this cache."""
    folder = cache.root() / "worlds"
    return sorted(p.parent.name for p in folder.glob("*/world.json"))
