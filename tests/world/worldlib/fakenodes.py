"""Nodes that exist only in the API: kwok keeps them Ready and lets their pods run on paper.

They carry a taint, so that only what tolerates `kwok.x-k8s.io/node` is scheduled there.
"""

from concurrent.futures import ThreadPoolExecutor

from . import controlplane
from .api import api_of, is_ready_node
from .processes import wait_until
from .programs import PROGRAMS
from .refusal import Refusal

USER = "holdfast-world:kwok"
READY_WITHIN_S = 120
REPORTED = """        resources:
          requests:
          {{ range $resource, $amount := .resources.requests }}
            {{ $resource | Quote }}: {{ $amount | Quote }}
          {{ end }}
          limits:
          {{ range $resource, $amount := .resources.limits }}
            {{ $resource | Quote }}: {{ $amount | Quote }}
          {{ end }}
"""
# kwok renews a lease every quarter of this, well within controlplane.NODE_GRACE_S.
LEASE_S = 40
EVERYTHING = ["create", "delete", "get", "list", "patch", "update", "watch"]
RULES = [
    {"apiGroups": [""], "resources": ["events", "pods"], "verbs": EVERYTHING},
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["nodes/status", "pods/status"], "verbs": ["patch", "update"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "get", "list", "patch", "update", "watch"]},
]


def ensure(world, api, count):
    """At least `count` such nodes, Ready."""
    _grant(api)
    _start_controller(world)
    there = set(api.nodes())
    wanted = [f"kwok-{i:04}" for i in range(count)]
    missing = [name for name in wanted if name not in there]
    _create(world, missing)
    if count > world.record["kwok"]:
        world.record["kwok"] = count
        world.save()

    def all_ready():
        seen = api.nodes()
        return all(is_ready_node(seen.get(name)) for name in wanted)

    if not wait_until(all_ready, READY_WITHIN_S, 0.3):
        raise Refusal(f"not all {count} nodes on paper became Ready within {READY_WITHIN_S} s: `world logs kwok` shows why.")


def _create(world, names):
    """In parallel, over a connection for each worker."""
    def create(share):
        api = api_of(world)
        for name in share:
            api.ensure("/api/v1/nodes", _node(name))

    workers = min(8, len(names)) or 1
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(create, [names[i::workers] for i in range(workers)]))


def _grant(api):
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": USER}, "rules": RULES}
    api.ensure("/apis/rbac.authorization.k8s.io/v1/clusterroles", role)
    api.ensure("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", controlplane.cluster_role_binding(USER, USER, USER))


def _as_a_kubelet(name, stage):
    """What a kubelet reports and kwok does not: the resources of a container that runs. Without them an API server resizes no pod."""
    if name != "pod-ready.yaml":
        return stage
    before, anchor, after = stage.partition("      {{ range .spec.containers }}\n      - image: {{ .image | Quote }}\n")
    if not anchor:
        raise Refusal("kwok's stage pod-ready is not what it was: see fakenodes.py.")
    return before + anchor + REPORTED + after


def _start_controller(world):
    if world.is_running("kwok"):
        return
    kwok = PROGRAMS["kwok"].obtain()
    stages = world.dir / "kwok-stages.yaml"
    texts = [_as_a_kubelet(file.name, file.read_text()) for file in sorted((kwok / "usr/local/share/kwok").glob("*.yaml"))]
    stages.write_text("\n---\n".join(texts))
    controlplane.launch(world, "kwok", [
        str(kwok / "usr/local/bin/kwok"), f"--kubeconfig={world.dir}/pki/kwok.kubeconfig", f"--config={stages}", f"--cidr={world.at.paper_pods}", f"--node-ip={world.at.control}",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake", f"--node-lease-duration-seconds={LEASE_S}"])


def _node(name):
    size = {"cpu": "32", "memory": "256Gi", "pods": "110", "ephemeral-storage": "1Ti"}
    labels = {"type": "kwok", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "node.kubernetes.io/exclude-from-external-load-balancers": ""}
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"}},
        "spec": {"taints": [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]}, "status": {"allocatable": size, "capacity": size},
    }
