"""The world's own cgroups: `holdfast-<name>/{control,node<N>}` below every hierarchy that this machine has mounted.

On a v1 machine each controller is a hierarchy (and a v2 one without controllers may be mounted beside them); on a v2 machine
there is one. Whatever runs in a world is below its cgroup, also what was started a moment before this command was killed:
that is how it is found again.
"""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from .refusal import ProbeFailed, Refusal

V2_CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "io", "hugetlb")
ENTER = 'for p in $HF_CGROUPS; do echo 0 > "$p/cgroup.procs" || exit 125; done; unset HF_CGROUPS; exec "$@"'


@dataclass(frozen=True)
class Hierarchy:
    mount: Path
    is_v2: bool
    controllers: tuple


def hierarchies(mountinfo=None):
    """Every cgroup hierarchy of this machine, once each, from /proc/self/mountinfo."""
    found = {}
    for line in (mountinfo or Path("/proc/self/mountinfo").read_text()).splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            mine = tuple(o for o in options.split(",") if o not in ("rw", "ro", "xattr", "nsdelegate", "relatime") and "/" not in o)
            found.setdefault((kind, mine if kind == "cgroup" else ()), Hierarchy(Path(left.split()[4]), kind == "cgroup2", mine))
    if not found:
        raise ProbeFailed("No cgroup hierarchy is mounted: mount cgroup2 at /sys/fs/cgroup, then try again.")
    return list(found.values())


def version():
    return 1 if any(not h.is_v2 for h in hierarchies()) else 2


def version_one_mounts():
    """(directory name, mount option) for each v1 hierarchy, as a node mounts them for itself."""
    mounts = []
    for h in hierarchies():
        if not h.is_v2:
            named = [c for c in h.controllers if c.startswith("name=")]
            mounts.append((h.mount.name, f"none,{named[0]}" if named else ",".join(h.controllers)))
    return mounts


class Subtree:
    """The cgroup of one world, or of one part of it."""

    def __init__(self, path):
        self.path = path.strip("/")

    def part(self, name):
        return Subtree(f"{self.path}/{name}")

    def directories(self):
        return [h.mount / self.path for h in hierarchies()]

    def make(self):
        for h in hierarchies():
            here = h.mount
            for step in self.path.split("/"):
                here = here / step
                here.mkdir(exist_ok=True)
                if "cpuset" in h.controllers:
                    _inherit_cpuset(here)
            if h.is_v2 and version() == 2:
                _delegate(h.mount, self.path)

    def entry(self):
        """The start of a command line that puts itself into this cgroup and then becomes the rest of the line."""
        places = [str(d / "init" if (d / "init").is_dir() else d) for d in self.directories()]
        return ["env", f"HF_CGROUPS={' '.join(places)}", "/bin/sh", "-c", ENTER, "world"]

    def take(self, pid):
        """Moves a process here, in the v2 hierarchy."""
        for h in hierarchies():
            if h.is_v2:
                (h.mount / self.path / "cgroup.procs").write_text(str(pid))

    def pids(self):
        found = set()
        for top in self.directories():
            for folder, _, _ in os.walk(top):
                try:
                    found.update(int(p) for p in Path(folder, "cgroup.procs").read_text().split())
                except (FileNotFoundError, OSError):
                    continue
        return found - {0}

    def kill_all(self, deadline_s=15, spare=()):
        """SIGKILL for everything below but `spare`, until nothing is left. Frozen tasks die once thawed, before they run again."""
        ends = time.monotonic() + deadline_s
        while True:
            pids = self.pids().difference(spare)
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self._thaw()
            if not pids:
                return
            if time.monotonic() > ends:
                raise Refusal(f"processes {sorted(pids)} in cgroup /{self.path} do not end, even by SIGKILL: look at /proc/PID/stack.")
            time.sleep(0.02)

    def _thaw(self):
        for top in self.directories():
            for folder, _, files in os.walk(top):
                if "freezer.state" in files:
                    _write(Path(folder, "freezer.state"), "THAWED")

    def clear(self):
        """Removes the cgroups below, as a boot would find them; then it hands nothing on and may hold processes again."""
        for top in self.directories():
            for folder, _, _ in os.walk(top, topdown=False):
                if Path(folder) != top:
                    _remove(folder)
            handed_on = top / "cgroup.subtree_control"
            if handed_on.exists():
                for controller in handed_on.read_text().split():
                    _write(handed_on, f"-{controller}")

    def remove(self):
        for top in self.directories():
            for folder, _, _ in os.walk(top, topdown=False):
                _remove(folder)


def _inherit_cpuset(folder):
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (folder / name).read_text().strip():
            _write(folder / name, (folder.parent / name).read_text().strip())


def _delegate(mount, path):
    """Hands the controllers down to `path`. Only the last step may hold processes, so a node moves its own into `init`."""
    here = mount
    for step in path.split("/"):
        offered = (here / "cgroup.controllers").read_text().split()
        for controller in set(offered) & set(V2_CONTROLLERS):
            _write(here / "cgroup.subtree_control", f"+{controller}")
        here = here / step


def handing_on_problem(mount, controllers):
    """Why a cgroup below a v2 `mount` cannot hand these controllers to a child of its own, in the kernel's words; None if it can."""
    top = mount / f"holdfast-probe-{os.getpid()}"
    what = f"mkdir {top}"
    try:
        (top / "child").mkdir(parents=True)
        for controller in sorted(controllers):
            for folder in (mount, top):
                file = folder / "cgroup.subtree_control"
                if controller not in file.read_text().split():
                    what = f"+{controller} > {file}"
                    file.write_text(f"+{controller}")
    except OSError as refused:
        return f"{what}: {refused.strerror}"
    finally:
        for folder in (top / "child", top):
            if folder.is_dir():
                _remove(folder)
    return None


def _write(file, text):
    try:
        file.write_text(text)
    except OSError:
        pass  # a file of a cgroup that is going, or a controller that the kernel does not hand on


def _remove(folder, deadline_s=10):
    ends = time.monotonic() + deadline_s
    while True:
        try:
            return os.rmdir(folder)
        except FileNotFoundError:
            return None
        except OSError:  # a task that has just ended keeps its cgroup busy for a moment
            if time.monotonic() > ends:
                raise Refusal(f"cgroup {folder} stays busy: see its cgroup.procs.") from None
            time.sleep(0.02)
