"""Bringing a world up, making it whole again, and taking it down without a trace."""

import shutil
import subprocess
from pathlib import Path

from . import cache, cgroups, controlplane, fakenodes, network, nodes, parts, probes, processes
from .api import api_of, wait_ready
from .refusal import BadUsage, Refusal
from .report import say
from .worlds import World

READY_WITHIN_S = 90
NETNS_MADE = Path("/run/holdfast-worlds.netns-mount")


def up(world, asked):
    """Makes the world as asked, or makes an existing one whole; returns it with all nodes Ready."""
    world.check_name_is_ours()
    probes.require()
    probes.require_overlay(cache.root())
    runtime = parts.check_pair(asked.kubernetes or _recorded(world, "kubernetes") or "1.35", asked.runtime or _recorded(world, "runtime"))
    kubernetes = asked.kubernetes or _recorded(world, "kubernetes") or "1.35"
    programs, layers = parts.obtain(kubernetes, runtime)
    with world.locked():
        world.reread()
        if world.exists:
            _check_same(world, kubernetes, runtime)
            if world.record["layers"] != layers or not world.record["is_whole"]:
                say(f"world `{world.name}` is from other pins or was never finished: starting over")
                _clear(world)
        is_new = not world.exists
        try:
            if is_new:
                _found(world, kubernetes, runtime, programs, layers)
            return _make_whole(world, asked)
        except BaseException:
            if is_new:
                say(f"clearing what was begun; its logs stay in {world.dir / 'log'}, those of node N in {world.dir / 'log'}/nodeN")
                _clear(world, keep_logs=True)
            raise


def _recorded(world, what):
    return world.record[what] if world.exists else None


def _check_same(world, kubernetes, runtime):
    has = (world.record["kubernetes"], world.record["runtime"])
    if has != (kubernetes, runtime):
        raise BadUsage(f"World `{world.name}` runs Kubernetes {has[0]} on {has[1]}: `world down` it first, or give the new one another --name.")


def _found(world, kubernetes, runtime, programs, layers):
    """Claims an index and writes the record; nothing runs yet."""
    _clear(world)
    problem = probes.criu_problem(layers["full"][1:] if not parts.shim.is_needed() else layers["full"])
    if problem:
        say(problem)
    index = world.claim()
    world.dir.mkdir(parents=True, exist_ok=True)
    world.record = {
        "name": world.name, "index": index, "kubernetes": kubernetes, "runtime": runtime, "programs": programs, "layers": layers, "nodes": {}, "kwok": 0,
        "proxy_mode": probes.proxy_mode(), "notes": [*probes.notes(), *([problem] if problem else [])], "is_whole": False,
    }
    world.save()
    witness = world.dir / "witness"
    witness.mkdir()
    witness.chmod(0o1777)
    (world.dir / "images").mkdir()
    for archive in Path(programs["images"]).glob("*.tar"):
        shutil.copy(archive, world.dir / "images")


def _make_whole(world, asked):
    _note_netns_mount()
    if world.claim() != world.record["index"]:
        raise Refusal(f"World `{world.name}` lost its index to another world since this machine started: `world down`, then up again.")
    for n in range(1, asked.nodes + 1):
        if n not in world.nodes:
            nodes.add(world, n, bare=n in asked.bare, machine=asked.machine)
    _check_bare(world, asked)
    network.raise_world(world.at)
    world.cgroup.part("control").make()
    controlplane.make_keys(world)
    switched_on = [node for node in nodes.all_of(world) if not node.is_on]
    for node in switched_on:
        node.start()
    for node in nodes.all_of(world):
        node.heal()
    api = api_of(world)
    started = controlplane.start(world, {k: Path(v) for k, v in world.record["programs"].items()}, api)
    controlplane.wait_for_api(world, api)
    controlplane.grant_access(api)
    on_paper = max(asked.kwok, world.record["kwok"])
    if on_paper:
        fakenodes.ensure(world, api, on_paper)
    controlplane.wait_for_accounts(api)
    wait_for_nodes(world, api)
    if not world.record["is_whole"]:
        world.record["is_whole"] = True
        world.save()
    return started + [node.name for node in switched_on]


def _check_bare(world, asked):
    for n in asked.bare:
        if n not in world.nodes or not world.nodes[n]["bare"]:
            raise BadUsage(f"Node {n} is not bare: --bare is for nodes that this `up` makes (1 to --nodes); else `world node add N --bare`.")


def wait_for_nodes(world, api, only=None):
    """Every node (or only those with these numbers) Ready, in its present boot."""
    waited_for = [node for node in nodes.all_of(world) if only is None or node.n in only]
    is_slow = any(world.nodes[node.n]["machine"] == "vm" for node in waited_for)
    deadline_s = READY_WITHIN_S * (3 if is_slow else 1)
    missing = wait_ready(api, {node.name: node.boot_id for node in waited_for if node.is_on}, deadline_s)
    if missing:
        raise Refusal(f"{missing}: `world logs node N` shows why.")


def _note_netns_mount():
    """The first `ip netns add` of a machine mounts /run/netns on itself; if that will be ours, `down` takes it away again."""
    mounted = any(line.split()[4] == str(network.NAMED) for line in Path("/proc/self/mountinfo").read_text().splitlines())
    if not mounted:
        NETNS_MADE.touch()


def down(world):
    """Ends everything of the world, also what an `up` that was killed left half."""
    probes.require_root()
    with world.locked():
        world.reread()
        _clear(world)


def _clear(world, keep_logs=False):
    world.check_name_is_ours()
    has_link = world.has_its_index  # after a boot of this machine the link of that index may be another world's
    if has_link:
        # Links first: what dies then is not heard of outside, and nobody waits for a last word.
        network.cut(world.at)
    world.cgroup.kill_all()
    if world.exists:
        for record in world.dir.glob("processes/*.json"):
            who = world.process(record.stem)
            processes.end(who, 0)
    network.raze(world.name)
    if has_link:
        network.see_cut(world.at)
    world.cgroup.remove()
    world.delete(keep_logs)
    world.release()
    world.record = None
    _drop_netns_mount()


def _drop_netns_mount():
    if NETNS_MADE.exists() and network.NAMED.is_dir() and not any(network.NAMED.iterdir()):
        if subprocess.run(["umount", str(network.NAMED)], capture_output=True).returncode == 0:
            network.NAMED.rmdir()
            NETNS_MADE.unlink()


def leftovers(name):
    """What of a world still exists on this machine though it is down, as sentences; for `status` and the tests."""
    found = [f"network namespace {n}" for n in network.world_namespaces(name)]
    found += [f"cgroup {d}" for d in cgroups.Subtree(f"holdfast-{name}").directories() if d.exists()]
    return found


def require_up(world):
    if not world.exists:
        raise Refusal(f"World `{world.name}` is not up: `world up{'' if world.name == 'default' else ' --name ' + world.name}` brings it up.")
    return world


def open_world(name):
    return require_up(World(name))
