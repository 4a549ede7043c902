"""The objects of the benchmark cluster. Pure: numbers in, objects out.

Sizes are chosen so that every share comes out even: half a percent of each node's allocatable is a whole number of millicores and
of mebibytes. So pods that are made with their share need no repair, and an answer can be checked to the last digit.
"""

import hashlib

NAMESPACE = "bench"
CORES = (4, 8, 16, 32, 64)
IMAGES_PER_NODE = 32
GROUP = "flexdaemonsets.xai/v1alpha1"
TEMPLATES = f"/apis/{GROUP}/flexdaemonsettemplates"
DAEMONSETS = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
NODES = "/api/v1/nodes"
ANNOTATION = "flexdaemonsets.xai/resource-template"
MIB = 1 << 20


def node_name(i):
    return f"bench-node-{i:05}"


def millicores(i):
    return CORES[i % len(CORES)] * 1000 - 200


def mebibytes(i):
    """A bit less than 4 GiB for each core, a multiple of 200 MiB."""
    return (CORES[i % len(CORES)] * 4096 // 200 - 5) * 200


def cpu_percentage(i):
    return 1 + i % 5


def memory_percentage(i):
    return 1 + i % 7


def node(i):
    """As a cloud's kubelet reports one: some 20 labels, its images, some 10 KB in all."""
    name, cores = node_name(i), CORES[i % len(CORES)]
    zone, address = f"eu-central-1{'abc'[i % 3]}", f"10.{64 + i // 65536}.{i // 256 % 256}.{i % 256}"
    labels = {
        "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": "amd64", "node.kubernetes.io/instance-type": f"m7i.{cores // 4}xlarge", "beta.kubernetes.io/instance-type": f"m7i.{cores // 4}xlarge",
        "topology.kubernetes.io/region": "eu-central-1", "topology.kubernetes.io/zone": zone, "failure-domain.beta.kubernetes.io/region": "eu-central-1",
        "failure-domain.beta.kubernetes.io/zone": zone, "topology.ebs.csi.aws.com/zone": zone, "karpenter.sh/nodepool": f"pool-{i % 8}",
        "karpenter.sh/capacity-type": "on-demand", "karpenter.k8s.aws/instance-cpu": str(cores), "karpenter.k8s.aws/instance-memory": str(cores * 4096),
        "karpenter.k8s.aws/instance-family": "m7i", "karpenter.k8s.aws/instance-generation": "7", "example.com/team": f"team-{i % 20}", "example.com/tier": "general",
    }
    capacity = {"cpu": str(cores), "memory": f"{cores * 4096 * 1024}Ki", "ephemeral-storage": "104845292Ki", "hugepages-1Gi": "0", "hugepages-2Mi": "0", "pods": "250"}
    allocatable = {**capacity, "cpu": f"{millicores(i)}m", "memory": f"{mebibytes(i) * 1024}Ki", "ephemeral-storage": "95551679124"}
    return {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"node.alpha.kubernetes.io/ttl": "0", "alpha.kubernetes.io/provided-node-ip": address,
                                                                     "volumes.kubernetes.io/controller-managed-attach-detach": "true",
                                                                     "csi.volume.kubernetes.io/nodeid": f'{{"ebs.csi.aws.com":"i-{_digest(name)[:17]}"}}'}},
        "spec": {"podCIDR": f"100.{i // 256 % 256}.{i % 256}.0/24", "providerID": f"aws:///{zone}/i-{_digest(name)[:17]}"},
        "status": {
            "capacity": capacity, "allocatable": allocatable, "conditions": [_condition(*words) for words in CONDITIONS],
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}, "nodeInfo": _node_info(name),
            "images": [_image(name, number) for number in range(IMAGES_PER_NODE)],
        },
    }


CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"), ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"), ("Ready", "True", "KubeletReady", "kubelet is posting ready status"))


def _condition(kind, status, reason, message):
    moment = "2026-01-01T00:00:00Z"
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": moment, "lastTransitionTime": moment}


def _node_info(name):
    return {"machineID": _digest(name)[:32], "systemUUID": _digest(name)[:32], "bootID": _digest(name)[:32], "kernelVersion": "6.12.40-63.114.amzn2023.x86_64",
            "osImage": "Amazon Linux 2023.8", "containerRuntimeVersion": "containerd://2.1.4", "kubeletVersion": "v1.35.0", "kubeProxyVersion": "", "operatingSystem": "linux", "architecture": "amd64"}


def _image(name, number):
    repository = f"registry.example.com/platform/component-{number:03}"
    return {"names": [f"{repository}@sha256:{_digest(f'{name}/{number}')}", f"{repository}:v1.{number}.0"], "sizeBytes": 10_000_000 + number * 777_777}


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def template(i, **more):
    spec = {"cpuPercentage": cpu_percentage(i), "memoryPercentage": memory_percentage(i), "minCPU": "10m", "minMemory": "16Mi"}
    return {"apiVersion": GROUP, "kind": "FlexDaemonsetTemplate", "metadata": {"name": f"bench-template-{i:03}"}, "spec": {**spec, **more}}


def daemonset(i, template_name=None):
    """One whose pods look as driver/review.json. It selects no node: nobody shall make its pods."""
    name = f"bench-set-{i:03}"
    labels = {"app": name, "app.kubernetes.io/component": "agent", "app.kubernetes.io/version": "1.4.2"}
    spec = {**pod_spec(), "nodeSelector": {"bench.example.com/nowhere": "true"}}
    return {
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels, "annotations": {ANNOTATION: template_name or f"bench-template-{i:03}"}},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }


def pod_spec(cpu="100m", memory="128Mi"):
    amounts = {"cpu": cpu, "memory": memory}
    resources = {"requests": amounts, "limits": amounts}
    return {
        "terminationGracePeriodSeconds": 30, "tolerations": [{"operator": "Exists"}],
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {"name": "agent", "image": "registry.example.com/observability/agent:1.4.2", "args": ["--config=/etc/agent/agent.yaml", "--node=$(NODE_NAME)"],
             "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}], "ports": [{"name": "metrics", "containerPort": 9100}], "resources": resources,
             "volumeMounts": [{"name": "config", "mountPath": "/etc/agent", "readOnly": True}, {"name": "host", "mountPath": "/host", "readOnly": True}]},
            {"name": "shipper", "image": "registry.example.com/observability/shipper:0.9.0", "resources": resources, "volumeMounts": [{"name": "buffer", "mountPath": "/var/lib/shipper"}]}],
        "volumes": [{"name": "config", "configMap": {"name": "agent"}}, {"name": "buffer", "emptyDir": {"sizeLimit": "512Mi"}}, {"name": "host", "hostPath": {"path": "/"}}],
    }


def share(node_index, set_index):
    """What each of the two containers gets: millicores, mebibytes."""
    return millicores(node_index) * cpu_percentage(set_index) // 200, mebibytes(node_index) * memory_percentage(set_index) // 200


def pod(number, nodes, owners):
    """The number-th pod on a cluster of so many nodes: one of each DaemonSet on each node, with its share, bound. `owners` are the
    DaemonSets as the API server has them."""
    node_index, set_index = number % nodes, number // nodes % len(owners)
    owner, (cpu, memory) = owners[set_index]["metadata"], share(node_index, set_index)
    affinity = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node_name(node_index)]}]}]}}
    labels = {"app": owner["name"], "app.kubernetes.io/component": "agent", "app.kubernetes.io/version": "1.4.2", "controller-revision-hash": "f49788798", "pod-template-generation": "1"}
    reference = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": owner["name"], "uid": owner["uid"], "controller": True, "blockOwnerDeletion": True}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": f"{owner['name']}-", "namespace": NAMESPACE, "labels": labels, "ownerReferences": [reference]},
        "spec": {**pod_spec(f"{cpu}m", f"{memory}Mi"), "nodeName": node_name(node_index), "affinity": {"nodeAffinity": affinity}},
    }


def for_driver(nodes, owners):
    """What the load driver is told, so that it can name what exists and check what it is answered."""
    return {
        "nodes": [{"name": node_name(i), "cpu": millicores(i), "memory": mebibytes(i) * MIB} for i in range(nodes)],
        "daemonSets": [{"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "cpuPercentage": cpu_percentage(i), "memoryPercentage": memory_percentage(i)} for i, owner in enumerate(owners)],
    }
