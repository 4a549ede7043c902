"""A file tree as a container image: a docker archive of one layer, written without holding it in memory, the same bytes for the same tree."""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

from .images import ARCHITECTURES

# What no program reads that runs in a container, and what is another one each time the tree is made.
LEFT_OUT = ("boot", "dev", "proc", "run", "sys", "tmp", "usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man", "var/cache", "var/lib/apt", "var/log")
EMPTY = {"dev": 0o755, "proc": 0o755, "run": 0o755, "sys": 0o755, "tmp": 0o1777, "var/cache": 0o755, "var/log": 0o755}


def pack(tree, reference, folders, archive):
    """Writes `tree` as the image `reference`; `folders` are added, each with its mode, uid and gid."""
    layer = archive.with_suffix(".layer")
    digest = _write_layer(tree, folders, layer)
    config = {"architecture": ARCHITECTURES.get(platform.machine(), platform.machine()), "os": "linux",
              "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]}, "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]}}
    config = json.dumps(config, sort_keys=True).encode()
    name = hashlib.sha256(config).hexdigest()
    manifest = json.dumps([{"Config": f"{name}.json", "RepoTags": [reference], "Layers": [f"{digest}/layer.tar"]}]).encode()
    with tarfile.open(archive, "w") as tar, open(layer, "rb") as content:
        entry = tarfile.TarInfo(f"{digest}/layer.tar")
        entry.size = layer.stat().st_size
        tar.addfile(entry, content)
        for path, data in ((f"{name}.json", config), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    layer.unlink()


def _write_layer(tree, folders, into):
    with tarfile.open(into, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(Path(tree).rglob("*")):
            name = path.relative_to(tree).as_posix()
            if not any(name == out or name.startswith(f"{out}/") for out in LEFT_OUT):
                tar.add(path, name, recursive=False, filter=_timeless)
        for name, (mode, uid, gid) in {**{name: (mode, 0, 0) for name, mode in EMPTY.items()}, **folders}.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, uid, gid
            tar.addfile(entry)
    digest = hashlib.sha256()
    with open(into, "rb") as layer:
        while piece := layer.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _timeless(entry):
    entry.mtime = int(entry.mtime)
    return entry
