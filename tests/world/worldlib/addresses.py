"""Who has which address and which name: all of it follows from a world's name and its index.

    10.77.k.0/24    the world's own subnet: .1 control plane and gateway, .254 this machine, .10+N node N
    10.(128+k).N/24 the pods of node N
    10.(144+k).0.0/16 pods on paper (kwok), which nothing routes
    10.96.0.0/16    Services; the same in every world, as nothing outside a world routes there
"""

import ipaddress
import re
from dataclasses import dataclass

from .refusal import BadUsage

MAX_WORLDS = 16
MAX_NODES = 200
API_PORT = 6443
SERVICES = "10.96.0.0/16"
FIRST_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"


def check_name(name):
    """A world's name becomes part of file, namespace and cgroup names."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?", name):
        raise BadUsage(f"`{name}` cannot name a world: take up to 30 lower-case letters, digits and inner hyphens.")
    if re.search(r"-n\d+$", name):
        raise BadUsage(f"`{name}` cannot name a world: an ending like -n1 is for the namespaces of nodes.")
    return name


def check_node(number):
    if not 1 <= number <= MAX_NODES:
        raise BadUsage(f"A node's number is between 1 and {MAX_NODES}, not {number}.")
    return number


@dataclass(frozen=True)
class Addresses:
    """The addresses and interface names of the world `name` with index `k`."""

    name: str
    k: int

    @property
    def subnet(self):
        return f"10.77.{self.k}.0/24"

    @property
    def control(self):
        return f"10.77.{self.k}.1"

    @property
    def host(self):
        return f"10.77.{self.k}.254"

    @property
    def server(self):
        return f"https://{self.control}:{API_PORT}"

    @property
    def pods(self):
        return f"10.{128 + self.k}.0.0/16"

    @property
    def paper_pods(self):
        return f"10.{144 + self.k}.0.0/16"

    def node(self, n):
        return f"10.77.{self.k}.{10 + n}"

    def pods_of(self, n):
        return f"10.{128 + self.k}.{n}.0/24"

    def mac(self, host_part):
        """Each address keeps its MAC, so that no neighbour remembers a wrong one after a node boots or leaves the bridge."""
        return f"02:48:46:{self.k:02x}:00:{host_part:02x}"

    @property
    def netns(self):
        return f"hf-{self.name}"

    def node_netns(self, n):
        return f"hf-{self.name}-n{n}"

    # Interface names have at most 15 bytes, so they carry the index and not the name.

    @property
    def host_link(self):
        return f"hf{self.k}-host"

    def tap(self, n):
        return f"hf{self.k}-tap{n}"

    @staticmethod
    def port(n):
        """Node N's port at the world's bridge; it lives in the world's own namespace."""
        return f"node{n}"


def free_index(taken, routes):
    """The lowest index that no world has and whose subnets no route of this machine covers; None if there is none."""
    nets = [ipaddress.ip_network(r, strict=False) for r in routes]
    for k in range(MAX_WORLDS):
        ours = Addresses("", k)
        mine = [ipaddress.ip_network(ours.subnet), ipaddress.ip_network(ours.pods)]
        if k not in taken and not any(net.overlaps(m) for net in nets for m in mine):
            return k
    return None
