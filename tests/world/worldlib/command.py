"""The command line of the world: what each verb takes, and what it prints."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from . import cache, catalogue, lifecycle, nodes, packagelock, parts, status, worlds
from .api import api_of, boot_id
from .commandline import parser
from .lifecycle import open_world
from .processes import wait_until
from .refusal import BadUsage, Refusal
from .report import say
from .worlds import World


REBOOT_WITHIN_S = 300


@dataclass(frozen=True)
class Asked:
    """What `up` was asked for; None means: as it is, or the default."""

    nodes: int
    kwok: int
    kubernetes: str | None
    runtime: str | None
    bare: tuple
    machine: str


def up(args):
    world = World(args.name)
    if not world.exists:
        parts.check_pair(args.k8s or "1.35", args.runtime)
    bare = tuple(int(n) for n in args.bare.split(",")) if args.bare else ()
    asked = Asked(args.nodes if args.nodes is not None else (0 if world.exists else 2), args.kwok, args.k8s, args.runtime, bare, args.machine)
    started = lifecycle.up(world, asked)
    say(f"started: {', '.join(started)}" if started else "nothing to do: it is up and whole")
    print(status.as_text(status.describe(world)))


def down(args):
    lifecycle.down(World(args.name))
    say(f"world `{args.name}` is down")


def show_status(args):
    known = status.describe(World(args.name))
    print(json.dumps(known, indent=2) if args.output == "json" else status.as_text(known))
    return 0 if known["up"] else 1


def kubeconfig(args):
    print(open_world(args.name).dir / "admin.kubeconfig")


def load(args):
    world = open_world(args.name)
    with world.locked():
        for n, names in nodes.load_image(world, args.archive).items():
            print(f"node {n}: {', '.join(names)}")


def node(args):
    world = open_world(args.name)
    with world.locked():
        world.reread()
        VERBS[args.verb](world, args)


def _add(world, args):
    added = nodes.add(world, args.number, args.bare, args.machine, args.reserve)
    added.start()
    _wait_for(added)


def _start(world, args):
    started = nodes.find(world, args.number)
    started.start()
    _wait_for(started)


def _reboot(world, args):
    rebooted, api = nodes.find(world, args.number), api_of(world)
    before = boot_id(api.nodes().get(rebooted.name))
    rebooted.reboot()
    if rebooted.is_partitioned:
        return _wait_for(rebooted)
    if not wait_until(lambda: boot_id(api.nodes().get(rebooted.name)) not in ("", before), REBOOT_WITHIN_S, 0.2):
        raise Refusal(f"node {args.number} did not come back in another boot within {REBOOT_WITHIN_S} s: `world logs node {args.number}` shows why.")
    _wait_for(rebooted)


def _wait_for(node):
    """Until this node is Ready, whatever the others are; nobody hears of a partitioned one."""
    if node.is_partitioned:
        return say(f"node {node.n} is partitioned, so nobody waits for it to be Ready: `world node heal {node.n}` puts its cable back")
    lifecycle.wait_for_nodes(node.world, api_of(node.world), only=[node.n])


VERBS = {
    "add": _add, "start": _start, "reboot": _reboot,
    "kill": lambda world, args: nodes.find(world, args.number).kill(),
    "partition": lambda world, args: nodes.find(world, args.number).partition(),
    "heal": lambda world, args: nodes.find(world, args.number).heal(),
}


def execute(args):
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    sys.stdout.flush()
    return nodes.find(open_world(args.name), args.number).execute(words or ["bash"])


def logs(args):
    world = open_world(args.name)
    folder = world.dir / "log"
    if args.what[:1] == ["node"] and len(args.what) == 2 and args.what[1].isdigit():
        node = nodes.find(world, int(args.what[1]))
        folder = node.collect_logs()
        wanted = sorted(folder.glob("*.log"))
    elif len(args.what) == 1:
        wanted = [folder / f"{args.what[0]}.log"]
    elif not args.what:
        wanted = sorted(folder.glob("*.log"))
    else:
        raise BadUsage("`world logs` takes nothing, one COMPONENT, or `node N`.")
    if not all(w.exists() for w in wanted):
        raise BadUsage(f"There is no log `{args.what[0]}`: there are {', '.join(sorted(p.stem for p in folder.glob('*.log')))}, and `node N`.")
    sys.stdout.flush()
    subprocess.run(["tail", "-n", str(args.lines), *(["-F"] if args.follow else []), *map(str, wanted)], check=False)


def build(args):
    for thing in args.things or catalogue.things():
        print(f"{thing}: {catalogue.build(thing)}")
    if args.update_lock:
        packagelock.update(catalogue.package_records())
        say(f"wrote {packagelock.LOCK}; trees whose packages changed are made anew when they are next needed")


def tool(args):
    world = World(args.name)
    print(catalogue.tool(args.tool, args.k8s or (world.record["kubernetes"] if world.exists else "1.35")))


def list_worlds(args):
    everywhere = {d.name: d for d in worlds.claims().values()}
    for name in sorted({*worlds.known(), *everywhere}):
        if everywhere.get(name, cache.root() / "worlds" / name).parent != cache.root() / "worlds":
            print(f"{name}  of another cache: {everywhere[name]}")
            continue
        known = status.describe(World(name))
        if not known["up"]:
            print(f"{name}  left over, without a record: `world down --name {name}` clears it")
            continue
        ready = sum(n["ready"] for n in known.get("nodes", []))
        print(f"{name}  Kubernetes {known['kubernetes']}, {known['runtime']}, {ready} of {len(known['nodes'])} nodes Ready, {known['kubeconfig']}")


def images(args):
    folder = parts.program_image() if args.programs else parts.cert_manager_image() if args.cert_manager else parts.sample_images()
    for archive in sorted(Path(folder).glob("*.tar")):
        print(archive)


ACTIONS = {
    "up": up, "down": down, "status": show_status, "kubeconfig": kubeconfig, "load": load, "node": node, "exec": execute, "logs": logs, "build": build, "tool": tool,
    "list": list_worlds, "images": images,
}


def _interrupted(signum, frame):
    raise KeyboardInterrupt


def main(argv):
    os.umask(0o022)
    signal.signal(signal.SIGTERM, _interrupted)
    signal.signal(signal.SIGHUP, _interrupted)
    try:
        args = parser().parse_args(argv)
        return ACTIONS[args.action](args) or 0
    except Refusal as refusal:
        say(f"world: {refusal}")
        return refusal.exit_code
    except KeyboardInterrupt:
        say("world: interrupted")
        return 1
    except BrokenPipeError:
        return 0
