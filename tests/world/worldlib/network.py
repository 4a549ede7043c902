"""Namespaces, bridge and veths of a world. Everything hangs on namespaces of ours, so deleting those deletes all of it.

The control plane and the bridge live in `hf-<name>`; each node has `hf-<name>-n<N>` with a veth to that bridge; this machine
has one veth into the world. Its own iptables, routes to elsewhere and ip_forward are never touched.
"""

import json
import subprocess
from pathlib import Path

from . import processes
from .refusal import Refusal

NAMED = Path("/run/netns")
BRIDGE = "world"
ROUTER_SYSCTLS = {
    "net/ipv4/ip_forward": 1, "net/ipv4/conf/all/rp_filter": 0, "net/ipv4/conf/default/rp_filter": 0,
    "net/ipv4/conf/all/send_redirects": 0, "net/ipv4/conf/default/send_redirects": 0,
}


def inside(netns):
    """The start of a command line that runs in a network namespace."""
    return ["nsenter", f"--net={NAMED / netns}", "--"]


def ip(*words, netns=None, may_fail=False):
    command = ["ip", *(["-n", netns] if netns else []), *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode and not may_fail:
        raise Refusal(f"`{' '.join(command)}` failed: {done.stderr.strip()}. `world down` clears what a broken run left.")
    return done


def exists(netns):
    return (NAMED / netns).exists()


def has_link(link, netns=None):
    return ip("link", "show", "dev", link, netns=netns, may_fail=True).returncode == 0


def machine_routes():
    """Destinations of this machine's routes, default left out."""
    shown = json.loads(ip("-j", "route").stdout or "[]")
    return [r["dst"] for r in shown if r["dst"] != "default" and not r.get("dev", "").startswith("hf")]


def make_namespace(netns):
    ip("netns", "add", netns)
    ip("link", "set", "lo", "up", netns=netns)
    lines = "; ".join(f"echo {value} > /proc/sys/{name}" for name, value in ROUTER_SYSCTLS.items())
    subprocess.run([*inside(netns), "sh", "-c", lines], check=True)


def raise_world(at):
    """The world's bridge and the way to it from this machine; does nothing where it is already there."""
    if not exists(at.netns):
        make_namespace(at.netns)
    if not has_link(BRIDGE, at.netns):
        ip("link", "add", BRIDGE, "address", at.mac(1), "type", "bridge", netns=at.netns)
        ip("addr", "add", f"{at.control}/24", "dev", BRIDGE, netns=at.netns)
        ip("link", "set", BRIDGE, "up", netns=at.netns)
    if not has_link(at.host_link):
        ip("link", "add", at.host_link, "address", at.mac(254), "type", "veth", "peer", "name", "host", "netns", at.netns)
        ip("link", "set", "host", "master", BRIDGE, "up", netns=at.netns)
        ip("addr", "add", f"{at.host}/24", "dev", at.host_link)
        ip("link", "set", at.host_link, "up")
        ip("route", "add", at.pods, "via", at.control, "dev", at.host_link)


def raise_node(at, n, partitioned):
    """A new namespace for node N, as a machine that is switched on finds its network."""
    netns = at.node_netns(n)
    drop_node(at, n)
    make_namespace(netns)
    ip("link", "add", at.port(n), "netns", at.netns, "type", "veth", "peer", "name", "eth0", "address", at.mac(10 + n), "netns", netns)
    ip("addr", "add", f"{at.node(n)}/24", "dev", "eth0", netns=netns)
    ip("link", "set", "eth0", "up", netns=netns)
    ip("route", "add", "default", "via", at.control, netns=netns)
    join_bridge(at, n, at.port(n), partitioned)


def join_bridge(at, n, link, partitioned=False):
    """Puts a link in the world's namespace on the bridge, and node N's pods behind it."""
    ip("link", "set", link, "master", BRIDGE, "down" if partitioned else "up", netns=at.netns)
    ip("route", "replace", at.pods_of(n), "via", at.node(n), "dev", BRIDGE, netns=at.netns)


def drop_node(at, n):
    """Takes node N's link away at once (nothing it sends afterwards gets out), then its namespace."""
    if exists(at.netns):
        ip("link", "del", at.port(n), netns=at.netns, may_fail=True)
    if exists(at.node_netns(n)):
        ip("netns", "del", at.node_netns(n))


def set_link(at, link, is_up):
    ip("link", "set", link, "up" if is_up else "down", netns=at.netns)


def is_link_up(at, link):
    shown = ip("-j", "link", "show", "dev", link, netns=at.netns, may_fail=True).stdout
    return bool(shown) and "UP" in json.loads(shown)[0]["flags"]


def world_namespaces(name):
    """The namespaces of a world that exist now, nodes first."""
    if not NAMED.is_dir():
        return []
    nodes = sorted(p.name for p in NAMED.iterdir() if p.name.startswith(f"hf-{name}-n") and p.name[len(f"hf-{name}-n"):].isdigit())
    return nodes + ([f"hf-{name}"] if exists(f"hf-{name}") else [])


def cut(at):
    """Deletes this machine's link to the world; with it go its address and its routes. `at` must be of an index that is the world's."""
    ip("link", "del", at.host_link, may_fail=True)


def raze(name):
    """Deletes every namespace of the world and, with them, every link, address, route and rule."""
    for netns in world_namespaces(name):
        ip("netns", "del", netns)


def see_cut(at):
    if not processes.wait_until(lambda: not has_link(at.host_link), 10):
        raise Refusal(f"the link {at.host_link} stays although its namespace is gone: `ip link del {at.host_link}`.")
