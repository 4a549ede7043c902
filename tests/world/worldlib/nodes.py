"""The nodes of a world: find one, add one, load images into all."""

import shutil
from pathlib import Path

from .addresses import check_node
from .emulated import EmulatedNode
from .native import NativeNode
from .refusal import BadUsage

KINDS = {"native": NativeNode, "vm": EmulatedNode}


def find(world, n):
    check_node(n)
    if n not in world.nodes:
        has = ", ".join(map(str, world.nodes)) or "none"
        raise BadUsage(f"World `{world.name}` has no node {n} (it has: {has}): `world node add {n}` makes one.")
    return KINDS[world.nodes[n]["machine"]](world, n)


def all_of(world):
    return [find(world, n) for n in world.nodes]


def add(world, n, bare=False, machine="native", reserve=None):
    """Records a node; `start` switches it on."""
    check_node(n)
    asked = {"bare": bare, "machine": machine, "reserve": reserve or {}}
    known = world.nodes.get(n)
    if known and known != asked and (bare or machine != known["machine"] or reserve):
        raise BadUsage(f"Node {n} exists with other properties: take another number, or `world down` first.")
    if not known:
        world.record["nodes"][str(n)] = asked
        world.save()
    return find(world, n)


def load_image(world, archive):
    """Remembers an archive for nodes to come and imports it into those that are on."""
    source = Path(archive)
    if not source.is_file():
        raise BadUsage(f"{archive} is not a file: give a docker or OCI archive.")
    kept = world.dir / "images" / source.name
    if not kept.name.endswith(".tar"):
        kept = kept.with_name(kept.name + ".tar")
    unfinished = kept.with_name(kept.name + ".unfinished")
    shutil.copy(source, unfinished)
    unfinished.rename(kept)
    return {node.n: node.load(kept) for node in all_of(world) if node.is_on}
