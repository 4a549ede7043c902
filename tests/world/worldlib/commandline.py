"""The words of the command line and the help that teaches them."""

import argparse
import os
import re

from . import catalogue, parts

OVERVIEW = """\
A real Kubernetes cluster on this Linux machine, without Docker: its own control plane, nodes in their own namespaces.

  world up                          two nodes, Ready in seconds once everything is built
  export KUBECONFIG=$(world kubeconfig)
  $(world tool kubectl) get nodes
  world load image.tar              into every node, now and later
  world node kill 2                 a power cut; `world node start 2` boots it again
  world exec 1 ctr -n k8s.io c ls   a command on node 1
  world down                        and nothing is left

What is built is kept in ${XDG_CACHE_HOME:-~/.cache}/holdfast, by its pins. Exit codes: 0 done, 1 failed, 2 bad usage,
3 this machine cannot do it (the sentence says what to do)."""


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"world: {message} (`{self.prog} --help` shows what it takes)\n")


def _verb(verbs, name, line, more=""):
    verb = verbs.add_parser(name, help=line, description=f"{line[0].upper()}{line[1:]}. {more}".strip(), formatter_class=argparse.RawDescriptionHelpFormatter)
    # SUPPRESS: a name given before the verb is not overwritten by the absence of one after it.
    verb.add_argument("--name", default=argparse.SUPPRESS, help="which world (default: $HOLDFAST_WORLD or `default`)")
    return verb


def parser():
    top = _Parser(prog="world", description=OVERVIEW, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--name", default=os.environ.get("HOLDFAST_WORLD") or "default", help="which world (default: $HOLDFAST_WORLD or `default`)")
    verbs = top.add_subparsers(dest="action", required=True, metavar="VERB", parser_class=_Parser)
    _lifecycle(verbs)
    _nodes(verbs)
    _things(verbs)
    return top


def _lifecycle(verbs):
    up = _verb(verbs, "up", "bring the world up, or make an existing one whole",
               "Builds what is missing (the first time some 20 minutes, with progress).\nOn a world that is up it starts what died, boots nodes that are off, heals partitions, and adds nodes up to --nodes.")
    up.add_argument("--nodes", type=_count, help="how many nodes it has at least (default 2 for a new world)")
    up.add_argument("--kwok", type=_count, default=0, help="how many nodes on paper besides, for scale (default 0)")
    up.add_argument("--k8s", choices=parts.KUBERNETES, help="Kubernetes (default 1.35)")
    up.add_argument("--runtime", choices=parts.RUNTIMES, help="container runtime (default containerd-1.7 with 1.35, containerd-2 with 1.36)")
    up.add_argument("--bare", metavar="N[,M]", type=_numbers, help="nodes without CRIU and with Debian's runc 1.1, as most real ones are")
    up.add_argument("--machine", choices=("native", "vm"), default="native", help="native: namespaces on this kernel; vm: emulated machines with their own (slow)")
    _verb(verbs, "down", "end the world and leave nothing: no process, mount, namespace, link, cgroup, rule or file",
          "Also clears what an `up` that was killed left half. It ends only what is in the world's own cgroups.")
    status = _verb(verbs, "status", "show what the world is and how it is", "Exit code 1 if it is not up.")
    status.add_argument("-o", "--output", choices=("text", "json"), default="text")
    _verb(verbs, "kubeconfig", "print the path of an admin kubeconfig; its server can be reached from this machine")
    _verb(verbs, "list", "list the worlds of this machine")
    logs = _verb(verbs, "logs", "print the last lines of the logs: all of the control plane, one COMPONENT, or `node N`")
    logs.add_argument("what", nargs="*", metavar="COMPONENT | node N", help="etcd, kube-apiserver, kube-controller-manager, kube-scheduler, audit, kwok; or node N")
    logs.add_argument("-n", "--lines", type=_count, default=40)
    logs.add_argument("-f", "--follow", action="store_true")


def _nodes(verbs):
    load = _verb(verbs, "load", "load a docker or OCI archive into every node, and into nodes that start later")
    load.add_argument("archive", metavar="IMAGE.tar")
    node = _verb(verbs, "node", "change a node: add, start, kill, partition, heal, reboot")
    changes = node.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)
    for name, line in (("add", "make node N, start it, and wait until it is Ready"), ("start", "boot a node that is off, with its old disk and a new boot id; wait until it is Ready"),
                       ("kill", "cut its power: it is gone at once and silently; its tmpfs is lost, its disk stays"), ("reboot", "power off and on again: another boot id"),
                       ("partition", "pull its cable: its programs run on, nobody hears them"), ("heal", "put the cable back")):
        change = _verb(changes, name, line)
        change.add_argument("number", type=int, metavar="N")
        if name == "add":
            change.add_argument("--bare", action="store_true", help="no CRIU, and Debian's runc 1.1")
            change.add_argument("--machine", choices=("native", "vm"), default="native")
            change.add_argument("--reserve", metavar="cpu=500m,memory=1Gi", type=_quantities, help="what pods may not have of the machine, to make nodes of different size")
    execute = _verb(verbs, "exec", "run a command on node N, as root, in the node's namespaces and cgroup; its exit code is ours")
    execute.add_argument("number", type=int, metavar="N")
    execute.add_argument("words", nargs=argparse.REMAINDER, metavar="CMD…", help="default: bash")


def _things(verbs):
    build = _verb(verbs, "build", "build what the world is made of into the cache, with progress", f"Without a THING: all of {', '.join(catalogue.things())}.")
    build.add_argument("things", nargs="*", metavar="THING")
    build.add_argument("--update-lock", action="store_true", help="afterwards write debian.lock anew, from what Debian's archive had when the trees were made")
    tool = _verb(verbs, "tool", "print the path of kubectl, helm, kwok, kubeconform, etcd, …; built first if needed")
    tool.add_argument("tool", metavar="NAME")
    tool.add_argument("--k8s", choices=parts.KUBERNETES, help="of which Kubernetes (default: the world's, or 1.35)")
    images = _verb(verbs, "images", "print the paths of the sample images (localhost/busybox:1 and pause), docker archives")
    instead = images.add_mutually_exclusive_group()
    instead.add_argument("--programs", action="store_true", help="instead that of localhost/programs:1: Redis, nginx, PostgreSQL, Python and a JVM, from Debian's packages; built first if needed")
    instead.add_argument("--cert-manager", action="store_true", help="instead that of localhost/cert-manager:1, controller and injector; built first if needed")


def _count(text):
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("it must not be negative")
    return number


def _numbers(text):
    if not all(word.isdigit() for word in text.split(",")):
        raise argparse.ArgumentTypeError("give numbers of nodes, with commas between")
    return text


def _quantities(text):
    items = dict(item.partition("=")[::2] for item in text.split(","))
    if not set(items) <= {"cpu", "memory"} or not all(re.fullmatch(r"\d+(\.\d+)?(m|[KMGT]i?)?", amount) for amount in items.values()):
        raise argparse.ArgumentTypeError("give amounts of cpu and memory, for example cpu=500m,memory=1Gi")
    return items
