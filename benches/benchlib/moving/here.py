"""The quickest that there is: the same program is dumped and restored on one node and one disk, by the real runtime or by CRIU alone."""

import json
import time
from pathlib import Path

from ..control_plane import wait
from .ticker import longest

# On the node; on the disk on which states lie.
PLACE = "/var/lib/holdfast-bench"
BEGUN_S = 60


class Here:
    def __init__(self, plane, ticker):
        self.plane = plane
        self.node(f"mkdir -p {PLACE}/bin")
        self.node(f"cat > {PLACE}/bin/ticker && chmod 755 {PLACE}/bin/ticker", stdin=Path(ticker.program).read_bytes())
        self.number = 0

    def node(self, script, stdin=None):
        return self.plane.node(1, script, stdin)

    def text(self, folder):
        return self.node(f"cat {folder}/ticks/log 2>/dev/null || true")

    def fresh(self):
        self.number += 1
        folder = f"{PLACE}/{self.number}"
        self.node(f"mkdir -p {folder}/ticks {folder}/img {folder}/work")
        return folder

    def begun(self, folder):
        wait("the program to begin", BEGUN_S, lambda: "begun" in self.text(folder))
        time.sleep(0.5)

    def after(self, folder, began):
        """The longest gap since then, once the program ticks again."""
        found, _ = wait("a tick after the restore", BEGUN_S, lambda: longest(self.text(folder), began))
        return found

    def runc(self, size):
        folder = self.fresh()
        for name in ("a", "b"):
            self.node(f"mkdir -p {folder}/{name}/rootfs && cp {PLACE}/bin/ticker {folder}/{name}/rootfs/ && cat > {folder}/{name}/config.json",
                      stdin=json.dumps(specification(folder, size)).encode())
        call, more = f"runc --root {folder}/state", f"--manage-cgroups-mode ignore --image-path {folder}/img --work-path {folder}/work"
        try:
            self.node(f"{call} run -d --bundle {folder}/a source-{self.number} </dev/null >/dev/null 2>&1")
            self.begun(folder)
            began = time.time()
            marks = self.node(f"{call} checkpoint {more} source-{self.number} </dev/null >/dev/null && date +%s.%N && "
                              f"{call} restore --detach {more} --bundle {folder}/b target-{self.number} </dev/null >/dev/null 2>&1 && date +%s.%N").split()
            took = self.after(folder, began)
        finally:
            self.node(f"for i in source target; do {call} delete --force $i-{self.number} 2>/dev/null; done; rm -rf {folder}; true")
        return took, {"checkpoint": float(marks[0]) - began, "restore": float(marks[1]) - float(marks[0])}

    def criu(self, size):
        folder = self.fresh()
        pid = self.node(f"cd /; setsid {PLACE}/bin/ticker {size} {folder}/ticks/log </dev/null >/dev/null 2>&1 & echo $!").strip()
        try:
            self.begun(folder)
            began = time.time()
            self.node(f"criu dump --tree {pid} --images-dir {folder}/img --work-dir {folder}/work </dev/null >/dev/null 2>&1 && "
                      f"criu restore --restore-detached --images-dir {folder}/img --work-dir {folder}/work </dev/null >/dev/null 2>&1")
            took = self.after(folder, began)
        finally:
            self.node(f"kill -9 {pid} 2>/dev/null; rm -rf {folder}; true")
        return took, {}


def specification(folder, size):
    """A container with the program alone, without a network of its own."""
    everything = ["CAP_SYS_PTRACE"]
    return {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/ticker", str(size), "/ticks/log"], "cwd": "/", "env": ["PATH=/bin"],
                    "capabilities": {kind: everything for kind in ("bounding", "effective", "permitted")}},
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
            {"destination": "/ticks", "type": "bind", "source": f"{folder}/ticks", "options": ["rbind", "rw"]},
        ],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]},
    }
