"""What a world is and how it is, as data and as text."""

from . import controlplane, network, nodes
from .addresses import FIRST_SERVICE, SERVICES
from .api import api_of, boot_id, is_ready_node
from .lifecycle import leftovers


def describe(world):
    """Everything `world status -o json` prints."""
    if not world.exists:
        return {"name": world.name, "up": False, "leftovers": leftovers(world.name)}
    at, record = world.at, world.record
    # Without the link to the world its addresses would be looked for on the way out of this machine.
    seen = api_of(world).nodes() if world.has_its_index and network.has_link(at.host_link) else {}
    components = [*controlplane.ORDER, *(["kwok"] if world.process("kwok") else [])]
    return {
        "name": world.name, "up": True, "index": at.k, "directory": str(world.dir), "kubernetes": record["kubernetes"], "runtime": record["runtime"],
        "server": at.server, "kubeconfig": str(world.dir / "admin.kubeconfig"), "hostAddress": at.host, "podCIDR": at.pods, "serviceCIDR": SERVICES,
        "serviceOfAPI": FIRST_SERVICE, "kubeProxyMode": record["proxy_mode"], "auditLog": str(controlplane.audit_log(world)), "witness": str(world.dir / "witness"),
        "components": [{"name": c, "running": world.is_running(c), "pid": (world.process(c) or {}).get("pid"), "log": str(world.log(c))} for c in components],
        "nodes": [_node(node, seen.get(node.name)) for node in nodes.all_of(world)],
        "kwok": {"nodes": record["kwok"], "ready": sum(is_ready_node(n) for name, n in seen.items() if name.startswith("kwok-"))}, "notes": record["notes"],
    }


def _node(node, seen):
    spec = node.world.nodes[node.n]
    return {"number": node.n, "name": node.name, "machine": spec["machine"], "bare": spec["bare"], "state": node.state, "ready": is_ready_node(seen),
            "address": node.world.at.node(node.n), "pods": node.world.at.pods_of(node.n), "bootID": node.boot_id, "bootIDReported": boot_id(seen), "logs": str(node.dir / "log")}


def as_text(known):
    if not known["up"]:
        left = known["leftovers"]
        return f"world {known['name']}: down" + (f"; left over: {', '.join(left)} (`world down` clears it)" if left else "")
    lines = [f"world {known['name']}: Kubernetes {known['kubernetes']}, {known['runtime']}, kube-proxy by {known['kubeProxyMode']}"]
    for title, field in (("kubeconfig", "kubeconfig"), ("API server", "server"), ("this machine is", "hostAddress"), ("pods", "podCIDR"), ("Services", "serviceCIDR"),
                         ("audit log", "auditLog"), ("witness", "witness"), ("directory", "directory")):
        lines.append(f"  {title:<16} {known[field]}")
    for part in known["components"]:
        lines.append(f"  {part['name']:<24} {'running, pid ' + str(part['pid']) if part['running'] else 'NOT RUNNING (`world up` starts it): ' + part['log']}")
    for node in known["nodes"]:
        kind = ", ".join([*(["emulated machine"] if node["machine"] == "vm" else []), *(["bare"] if node["bare"] else [])])
        lines.append(f"  {node['name']:<8} {node['address']:<14} {node['state']:<12} {'Ready' if node['ready'] else 'NotReady':<9} boot {node['bootID'] or '-'} {kind}".rstrip())
    if known["kwok"]["nodes"]:
        lines.append(f"  kwok     {known['kwok']['nodes']} nodes on paper, {known['kwok']['ready']} Ready")
    return "\n".join([*lines, *(f"  note: {n}" for n in known["notes"])])
