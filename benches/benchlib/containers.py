"""Containers for a benchmark of runtimes: bundles as containerd writes them, made and started by one runtime or another, and timed."""

import json
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

CAPABILITIES = [f"CAP_{name}" for name in "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE".split()]
# About as many as a profile of containerd names: a specification is some 20 KB.
SYSCALLS = [f"call_{number:03}" for number in range(380)]


def specification(rootfs, cgroup, number):
    """The specification of a pod's container. What no runtime here can do is left out, but for its weight: that is an annotation."""
    namespaces = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
    ]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": ["/bin/busybox", "sleep", "1000"], "cwd": "/", "env": ["PATH=/bin"],
            "capabilities": {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")}, "noNewPrivileges": True,
        },
        "root": {"path": str(rootfs)},
        "mounts": mounts,
        "annotations": {
            "io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.container-name": "app",
            "io.kubernetes.cri.sandbox-namespace": "bench", "io.kubernetes.cri.sandbox-name": f"pod-{number}",
            "io.kubernetes.cri.sandbox-uid": f"0000-{number}", "bench/weight": json.dumps(SYSCALLS),
        },
        "linux": {"cgroupsPath": f"{cgroup}/c{number}", "namespaces": namespaces, "resources": {"devices": [{"allow": False, "access": "rwm"}]}},
    }


class Agent:
    """Answers every question with `start`, at once."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(16)
        self.questions = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                question = connection.makefile("rb").readline()
                self.questions += b'"ask":"create"' in question
                connection.sendall(b'{"do":"start"}\n')


class Containers:
    """A folder with bundles, and a cgroup below which they run."""

    def __init__(self, folder, busybox):
        self.folder, self.cgroup = folder, f"/holdfast-bench-{folder.name}"
        self.rootfs = folder / "rootfs"
        (self.rootfs / "bin").mkdir(parents=True)
        shutil.copy(busybox, self.rootfs / "bin/busybox")
        self.log = open(folder / "output", "w+")

    def timed(self, runtime, number):
        """Milliseconds that `create` and `start` take; then the container is deleted."""
        name = f"c{number}"
        bundle = self.folder / name
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(specification(self.rootfs, self.cgroup, number)))
        call = [str(runtime), "--root", str(self.folder / "state"), "--log", str(bundle / "log.json"), "--log-format", "json"]
        began = time.perf_counter()
        self._run([*call, "create", "--bundle", str(bundle), "--pid-file", str(bundle / "init.pid"), name])
        self._run([*call, "start", name])
        took = (time.perf_counter() - began) * 1000
        self._run([*call, "delete", "--force", name])
        shutil.rmtree(bundle)
        return took

    def _run(self, command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        if done.returncode:
            self.log.seek(0)
            raise SystemExit(f"bench: {' '.join(command)} ended with {done.returncode}: {self.log.read()[-2000:]}")

    def close(self):
        for hierarchy in (line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2] in ("cgroup", "cgroup2")):
            own = Path(hierarchy) / self.cgroup[1:]
            if own.exists():
                own.rmdir()
