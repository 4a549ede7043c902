"""Everything the world builds, by name: for `world build` and `world tool`."""

from . import emulation, parts, shim
from .programs import PROGRAMS
from .refusal import BadUsage

TREES = {"debian": parts.node_tree, "criu": parts.criu_layer, "crun": parts.crun_layer, "qemu": emulation.qemu_layer, "system": emulation.system_layer,
         "programs": parts.program_image, "registry": parts.registry_layer}
OTHERS = {"images": parts.sample_images, "shim": shim.obtain, "cert-manager-image": parts.cert_manager_image}
FROM_TREE = {"etcd": "usr/bin/etcd", "etcdctl": "usr/bin/etcdctl", "busybox": "usr/bin/busybox"}


def things():
    return [*PROGRAMS, *TREES, *OTHERS]


def build(thing):
    if thing in PROGRAMS:
        return PROGRAMS[thing].obtain()
    make = {**TREES, **OTHERS}.get(thing)
    if not make:
        raise BadUsage(f"`{thing}` is not a thing the world builds: it knows {', '.join(things())}.")
    return make()


def package_records():
    """What the trees were made of, as `debian.Tree.record` wrote it."""
    return [record for tree in TREES.values() for record in tree().glob("etc/world-packages-*")]


def tool(name, kubernetes):
    """The path of a program, built if needed."""
    if name in FROM_TREE:
        return parts.node_tree() / FROM_TREE[name]
    for program in PROGRAMS.values():
        if name in program.tools() and (not program.one_for_all or program.name == f"kube-{kubernetes}"):
            return program.obtain() / program.folder / name
    known = sorted({*FROM_TREE, *(t for p in PROGRAMS.values() for t in p.tools())})
    raise BadUsage(f"`{name}` is not a tool of the world: it has {', '.join(known)}.")
