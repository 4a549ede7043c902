"""What runs on nodes on paper: templates, DaemonSets, and pods as the DaemonSet controller makes them. Pure."""

from . import pods
from . import population as p

# What every node on paper can give; tests/world makes them so.
ALLOCATABLE = {"cpu": "32", "memory": "256Gi"}
# One percent: a hundred of them fit on a node.
PERCENTAGES = {"cpu": 1, "memory": 1}
EVERYWHERE = {"type": "kwok"}
NOWHERE = {"bench.example.com/nowhere": "true"}


def node_name(i):
    return f"kwok-{i:04}"


def template(name):
    item = p.template(0)
    item["metadata"]["name"], item["spec"] = name, {"cpuPercentage": PERCENTAGES["cpu"], "memoryPercentage": PERCENTAGES["memory"]}
    return item


def daemonset(name, template_name, nodes=None, wave=None):
    """On the nodes with these labels; its pods are Guaranteed before and after, so a repair in place is possible."""
    item = p.daemonset(0, template_name)
    item["metadata"]["name"] = name
    if template_name is None:
        item["metadata"]["annotations"] = {}
    labels, inner = {"app": name, **({"wave": wave} if wave else {})}, item["spec"]["template"]
    item["spec"]["selector"]["matchLabels"], inner["metadata"]["labels"] = {"app": name}, labels
    inner["spec"]["volumes"] = [v for v in inner["spec"]["volumes"] if v["name"] != "host"] + [{"name": "host", "emptyDir": {}}]
    inner["spec"]["nodeSelector"] = nodes or EVERYWHERE
    return item


def has_share(pod):
    return pods.has_share(pod, ALLOCATABLE, PERCENTAGES)


def pod_of(owner, node):
    """As the DaemonSet controller makes one."""
    inner, meta = owner["spec"]["template"], owner["metadata"]
    reference = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": meta["name"], "uid": meta["uid"], "controller": True, "blockOwnerDeletion": True}
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    metadata = {"generateName": f"{meta['name']}-", "namespace": p.NAMESPACE, "labels": inner["metadata"]["labels"], "ownerReferences": [reference]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**inner["spec"], "affinity": affinity}}
