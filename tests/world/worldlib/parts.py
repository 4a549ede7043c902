"""Which built things a world is made of, and where they are: Kubernetes, its runtime, the nodes' file trees, the sample images."""

import shutil
from pathlib import Path

from . import cache, debian, images, packing, shim
from .programs import PROGRAMS
from .refusal import BadUsage

KUBERNETES = ("1.35", "1.36")
RUNTIMES = ("containerd-1.7", "containerd-2")


def check_pair(kubernetes, runtime):
    """The runtime to use; a pair that cannot work is refused."""
    runtime = runtime or ("containerd-1.7" if kubernetes == "1.35" else "containerd-2")
    if kubernetes == "1.36" and runtime == "containerd-1.7":
        raise BadUsage("Kubernetes 1.36 needs containerd 2 and does not run on containerd 1.7: use --runtime containerd-2, or --k8s 1.35.")
    return runtime


def node_tree():
    """The root of every native node: Debian with containerd 1.7, runc 1.1, CNI plugins, etcd; no CRIU."""
    key = debian.key(["node"], debian.NODE_PACKAGES, "2")
    return cache.obtain("debian", key, lambda into: debian.bootstrap(into, "node", debian.NODE_PACKAGES, 45))


def criu_layer():
    """CRIU from Debian's next release: the present one's cannot dump inet sockets on Linux 6.16 and later."""
    key = debian.key(["node", "criu"], ["criu"], "2")
    return cache.obtain("criu", key, lambda into: debian.add_layer(into, [node_tree()], "criu", ["criu"], 10, debian.CRIU_SUITE))


def crun_layer():
    """The other common runtime. No node of the world runs it; tests of what must work with both do."""
    key = debian.key(["node", "crun"], ["crun"], "1")
    return cache.obtain("crun", key, lambda into: debian.add_layer(into, [node_tree()], "crun", ["crun"], 10))


def registry_layer():
    """A registry of images, and what it needs. No node of the world has it; a test that needs one puts it there."""
    key = debian.key(["node", "registry"], ["docker-registry"], "1")
    return cache.obtain("registry", key, lambda into: debian.add_layer(into, [node_tree()], "registry", ["docker-registry"], 15))


def sample_images():
    """A directory with busybox.tar and pause.tar."""
    tree = node_tree()
    source = Path(images.__file__)
    return cache.obtain("images", cache.key([source], [tree.name]), lambda into: images.write_samples(tree / "usr/bin/busybox", into))


def cert_manager_image():
    """A directory with cert-manager.tar: the image localhost/cert-manager:1. No world has it; a test that needs it loads it."""
    program = PROGRAMS["cert-manager"]
    built = program.obtain()
    key = cache.key([Path(images.__file__)], [built.name])
    return cache.obtain("cert-manager-image", key, lambda into: images.write_program(built / program.folder / "cert-manager", into))


def program_image():
    """A directory with programs.tar: the image localhost/programs:1, Debian with what the tests move."""
    made_by = cache.key([Path(packing.__file__)], ["1"])
    return cache.obtain("programs", debian.key(["programs"], debian.PROGRAM_PACKAGES, made_by), _pack_programs)


def _pack_programs(into):
    tree, record = into / "tree", "etc/world-packages-programs"
    debian.programs(tree, 60)
    packing.pack(tree, "localhost/programs:1", {"run/postgresql": (0o1777, 0, 0), "var/log/nginx": (0o755, 0, 0), "var/lib/nginx": (0o755, 0, 0)}, into / "programs.tar")
    (into / "etc").mkdir()
    shutil.move(tree / record, into / record)
    shutil.rmtree(tree)


def obtain(kubernetes, runtime):
    """Where the things of such a world are, and the layers of its nodes, topmost first; builds what is missing."""
    kube, base = PROGRAMS[f"kube-{kubernetes}"].obtain(), node_tree()
    containerd = [PROGRAMS["containerd"].obtain()] if runtime == "containerd-2" else []
    full = [*([shim.obtain()] if shim.is_needed() else []), kube, *containerd, PROGRAMS["runc"].obtain(), criu_layer(), base]
    layers = {"full": list(map(str, full)), "bare": list(map(str, [kube, *containerd, base]))}
    return {"kube": str(kube), "debian": str(base), "images": str(sample_images())}, layers
