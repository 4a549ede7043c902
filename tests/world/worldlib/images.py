"""Container images without a registry: writes docker archives that `ctr images import` takes, byte for byte the same each time.

    python3 -c 'from worldlib.images import Image; Image("localhost/x:1", command=["/x"]).add_file("x", data, 0o755).write("x.tar")'
"""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Image:
    """One image of one layer."""

    def __init__(self, reference, command, environment=("PATH=/bin",), user="", entrypoint=()):
        self.reference, self.config = reference, {"Cmd": list(command), "Env": list(environment), "User": user, "Entrypoint": list(entrypoint)}
        self._entries = []

    def add_directory(self, name, mode=0o755):
        self._entries.append((_entry(name, mode, tarfile.DIRTYPE), b""))
        return self

    def add_file(self, name, content, mode=0o644):
        self._entries.append((_entry(name, mode, tarfile.REGTYPE), content))
        return self

    def add_link(self, name, target):
        entry = _entry(name, 0o777, tarfile.SYMTYPE)
        entry.linkname = target
        self._entries.append((entry, b""))
        return self

    def write(self, path):
        layer = _tar(self._entries)
        diff_id = hashlib.sha256(layer).hexdigest()
        config = {"architecture": ARCHITECTURES.get(platform.machine(), platform.machine()), "os": "linux", "config": self.config,
                  "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]}}
        config = json.dumps(config, sort_keys=True).encode()
        name = hashlib.sha256(config).hexdigest()
        manifest = [{"Config": f"{name}.json", "RepoTags": [self.reference], "Layers": [f"{diff_id}/layer.tar"]}]
        parts = {f"{name}.json": config, f"{diff_id}/layer.tar": layer, "manifest.json": json.dumps(manifest).encode()}
        Path(path).write_bytes(_tar([(_entry(n, 0o644, tarfile.REGTYPE), content) for n, content in parts.items()]))


def _entry(name, mode, kind):
    entry = tarfile.TarInfo(name)
    entry.mode, entry.type = mode, kind
    return entry


def _tar(entries):
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        for entry, content in entries:
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return held.getvalue()


# --- the samples ----------------------------------------------------------------------------------------------------

APPLETS = ("cat", "chmod", "cp", "cut", "date", "dd", "df", "echo", "env", "false", "find", "grep", "head", "hostname", "httpd", "id", "ip", "kill", "ln",
           "ls", "md5sum", "mkdir", "mkfifo", "mount", "mv", "nc", "netstat", "nslookup", "ping", "printf", "ps", "rm", "sed", "seq", "sh", "sha256sum", "sleep",
           "sort", "stat", "sync", "tail", "tar", "telnet", "test", "timeout", "top", "touch", "tr", "true", "umount", "uname", "vi", "wc", "wget", "xargs")
PAUSE_LOOP = 'trap "exit 0" TERM INT; while :; do sleep 3600 & wait $!; done'


def busybox_image(busybox, reference, command):
    image = Image(reference, command)
    for name in ("bin", "data", "dev", "etc", "proc", "sys", "var"):
        image.add_directory(name)
    image.add_directory("tmp", 0o1777).add_file("bin/busybox", busybox, 0o755)
    image.add_file("etc/passwd", b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    for applet in APPLETS:
        image.add_link(f"bin/{applet}", "busybox")
    return image


def write_program(program, into):
    """An image of nothing but a static program, called after it; what a pod says are its arguments."""
    image = Image(f"localhost/{program.name}:1", (), user="65532", entrypoint=[f"/{program.name}"])
    image.add_file(program.name, program.read_bytes(), 0o755).write(into / f"{program.name}.tar")


def write_samples(busybox, into):
    """`localhost/busybox:1` and the pause image, from the busybox of a node's root."""
    into.mkdir(parents=True, exist_ok=True)
    content = Path(busybox).read_bytes()
    busybox_image(content, "localhost/busybox:1", ["/bin/sh"]).write(into / "busybox.tar")
    busybox_image(content, "registry.k8s.io/pause:3.10", ["/bin/sh", "-c", PAUSE_LOOP]).write(into / "pause.tar")
